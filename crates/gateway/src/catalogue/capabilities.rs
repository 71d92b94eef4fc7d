//! What all upstreams can do, said as one server says it.

use json_rpc::{Members, Raw};

/// The extension that tasks are in the newer era; in the older one they are a capability of their own, `tasks`.
const TASKS: &str = "io.modelcontextprotocol/tasks";

/// Lists that change when upstreams come and go: the gateway tells its clients, whether or not an upstream would.
const LISTS: [&str; 3] = ["tools", "prompts", "resources"];

/// The capabilities of these servers together. While not all are known, what the others may have is announced too: a
/// client of the older era is told only once, and would never ask for what comes later.
pub(super) fn united<'a>(
    all: impl Iterator<Item = &'a Raw>,
    has_own_tools: bool,
    is_complete: bool,
    is_modern: bool,
) -> Raw {
    let together = all.fold(Raw::empty_object(), |sum, one| unite(&sum, one, DEPTH));
    let mut together = Members::of(&together).unwrap_or_default();
    if has_own_tools {
        add(&mut together, "tools", &Members::default());
    }
    if !is_complete {
        for name in LISTS.into_iter().chain(["completions"]) {
            add(&mut together, name, &Members::default());
        }
        add(&mut together, "resources", &[("subscribe", Raw::from(true))].into_iter().collect());
    }
    for list in LISTS.into_iter().filter(|list| together.get(list).is_some()).collect::<Vec<_>>() {
        add(&mut together, list, &[("listChanged", Raw::from(true))].into_iter().collect());
    }
    drop_other_era(&mut together, is_modern);
    together.to_raw()
}

/// Adds to the member of this name, an object.
fn add(together: &mut Members, name: &str, what: &Members) {
    let known = together.get(name).cloned().filter(Raw::is_object).unwrap_or_else(Raw::empty_object);
    let mut known = Members::of(&known).unwrap_or_default();
    for (name, value) in what.iter() {
        known.set(name, value.clone());
    }
    together.set(name, known);
}

fn drop_other_era(together: &mut Members, is_modern: bool) {
    if is_modern {
        together.remove("tasks");
        return;
    }
    let extensions = together.get("extensions").and_then(|extensions| Members::of(extensions).ok());
    let Some(mut extensions) = extensions.filter(|extensions| extensions.get(TASKS).is_some()) else {
        return;
    };
    extensions.remove(TASKS);
    if extensions.is_empty() {
        together.remove("extensions");
    } else {
        together.set("extensions", extensions);
    }
}

/// Capabilities are nested this deep at most; below it the first counts.
const DEPTH: usize = 8;

/// Both together: objects and lists are united, `true` wins over `false`, otherwise the first counts.
fn unite(first: &Raw, second: &Raw, depth: usize) -> Raw {
    if depth == 0 {
        return first.clone();
    }
    if let (Ok(mut sum), Ok(more)) = (Members::of(first), Members::of(second)) {
        for (name, value) in more.iter() {
            let value = sum.get(name).map_or_else(|| value.clone(), |known| unite(known, value, depth - 1));
            sum.set(name, value);
        }
        return sum.to_raw();
    }
    if let (Ok(mut sum), Ok(more)) = (first.parse::<Vec<Raw>>(), second.parse::<Vec<Raw>>()) {
        for item in more {
            if !sum.contains(&item) {
                sum.push(item);
            }
        }
        return Raw::of(&sum).unwrap_or_else(|_| first.clone());
    }
    match second.as_bytes() {
        b"true" if first.as_bytes() == b"false" => second.clone(),
        _ => first.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn together(all: &[Value], is_complete: bool, is_modern: bool) -> Value {
        let all: Vec<Raw> = all.iter().map(|one| Raw::of(one).unwrap()).collect();
        united(all.iter(), false, is_complete, is_modern).parse().unwrap()
    }

    #[test]
    fn what_one_can_do_all_can_do() {
        let first = json!({
            "tools": {}, "resources": { "subscribe": false },
            "experimental": { "a": { "n": 1 } }, "extensions": { "x/ui": { "mimeTypes": ["text/html"] } },
        });
        let second = json!({
            "logging": {}, "resources": { "subscribe": true }, "future": { "deep": [1] },
            "experimental": { "b": {} }, "extensions": { "x/ui": { "mimeTypes": ["text/plain", "text/html"] } },
        });

        assert_eq!(
            together(&[first, second], true, true),
            json!({
                "tools": { "listChanged": true }, "logging": {}, "future": { "deep": [1] },
                "resources": { "subscribe": true, "listChanged": true },
                "experimental": { "a": { "n": 1 }, "b": {} },
                "extensions": { "x/ui": { "mimeTypes": ["text/html", "text/plain"] } },
            })
        );
    }

    #[test]
    fn lists_are_announced_while_it_is_not_known_who_has_them() {
        assert_eq!(
            together(&[json!({ "tools": {} })], false, false),
            json!({
                "tools": { "listChanged": true }, "prompts": { "listChanged": true },
                "resources": { "subscribe": true, "listChanged": true }, "completions": {},
            })
        );
    }

    #[test]
    fn what_is_nested_without_end_is_not_followed() {
        let deep = Raw::read(format!("{}1{}", "{\"a\":".repeat(50_000), "}".repeat(50_000))).unwrap();
        let together = united([&deep, &deep].into_iter(), false, true, true);
        assert_eq!(together.as_str().len(), deep.as_str().len());
    }

    #[test]
    fn tasks_are_announced_in_the_words_of_the_clients_era() {
        let all = [json!({ "tasks": { "list": {} }, "extensions": { TASKS: {} } })];

        assert_eq!(together(&all, true, true), json!({ "extensions": { TASKS: {} } }));
        assert_eq!(together(&all, true, false), json!({ "tasks": { "list": {} } }));
    }
}
