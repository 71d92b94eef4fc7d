//! URIs in results, as clients know them.

use std::borrow::Cow;

use json_rpc::{Members, Notification, Raw};

use super::glance::mentions;

/// A result in which every URI of a resource is the one that clients know: `public` says which, when it is another one.
pub(crate) fn onward(result: Raw, public: impl Fn(&str) -> Option<String>) -> Raw {
    in_result(&result, &public).unwrap_or(result)
}

/// What was read, without what is kept from clients: `refusal` says why something is.
///
/// # Errors
/// Why nothing is left of it.
pub(crate) fn permitted(result: Raw, refusal: impl Fn(&str) -> Option<String>) -> Result<Raw, String> {
    let Ok(mut members) = Members::of(&result) else { return Ok(result) };
    let Some(Ok(all)) = members.get("contents").map(Raw::parse::<Vec<Raw>>) else { return Ok(result) };
    let (mut kept, mut refused) = (Vec::with_capacity(all.len()), None);
    for content in &all {
        match uri_of(content).and_then(|uri| refusal(&uri)) {
            Some(why) => refused = Some(why),
            None => kept.push(content),
        }
    }
    match refused {
        None => Ok(result),
        Some(why) if kept.is_empty() => Err(why),
        Some(_) => {
            members.set("contents", Raw::of(&kept).expect("what was JSON is JSON"));
            Ok(members.to_raw())
        }
    }
}

/// `notifications/resources/updated` as clients are to hear it, unless it is kept from them.
pub(crate) fn updated(
    notification: Notification,
    refusal: impl Fn(&str) -> Option<String>,
    public: impl Fn(&str) -> Option<String>,
) -> Option<Notification> {
    let Some(uri) = notification.params.as_ref().and_then(uri_of) else { return Some(notification) };
    if refusal(&uri).is_some() {
        return None;
    }
    let renamed = notification.params.as_ref().and_then(|params| renamed(params, &public));
    Some(Notification { params: renamed.or(notification.params), ..notification })
}

fn uri_of(object: &Raw) -> Option<String> {
    Members::of(object).ok()?.get("uri")?.parse().ok()
}

/// The result, if something in it changes: `contents` of a resource, `content` of a tool, `messages` of a prompt.
fn in_result(result: &Raw, public: &impl Fn(&str) -> Option<String>) -> Option<Raw> {
    if !mentions(result, "\"uri\"") {
        return None;
    }
    let mut members = Members::of(result).ok()?;
    let changes = [
        each(&members, "contents", |content| renamed(content, public)),
        each(&members, "content", |block| in_block(block, public)),
        each(&members, "messages", |message| inside(message, "content", |block| in_block(block, public))),
    ];
    let mut is_changed = false;
    for (name, value) in changes.into_iter().flatten() {
        members.set(name, value);
        is_changed = true;
    }
    is_changed.then(|| members.to_raw())
}

/// The list of this name, if one of its items changes.
fn each(
    members: &Members,
    name: &'static str,
    change: impl Fn(&Raw) -> Option<Raw>,
) -> Option<(&'static str, Raw)> {
    let mut items: Vec<Raw> = members.get(name)?.parse().ok()?;
    let mut is_changed = false;
    for item in &mut items {
        if let Some(changed) = change(item) {
            *item = changed;
            is_changed = true;
        }
    }
    is_changed.then(|| (name, Raw::of(&items).expect("what was JSON is JSON")))
}

/// A block of content: a link to a resource, or one that is embedded.
fn in_block(block: &Raw, public: &impl Fn(&str) -> Option<String>) -> Option<Raw> {
    let members = Members::of(block).ok()?;
    match members.get("type")?.as_str() {
        "\"resource_link\"" => renamed(block, public),
        "\"resource\"" => inside(block, "resource", |resource| renamed(resource, public)),
        _ => None,
    }
}

/// The object with this member changed.
fn inside(object: &Raw, name: &str, change: impl Fn(&Raw) -> Option<Raw>) -> Option<Raw> {
    let mut members = Members::of(object).ok()?;
    let changed = change(members.get(name)?)?;
    members.set(name, changed);
    Some(members.to_raw())
}

/// The object with another `uri`.
fn renamed(object: &Raw, public: &impl Fn(&str) -> Option<String>) -> Option<Raw> {
    let here = |uri: &Raw| public(&uri.parse::<Cow<'_, str>>().ok()?).map(|uri| Raw::text(&uri));
    let mut members = Members::of(object).ok()?;
    let uri = here(members.get("uri")?)?;
    members.set("uri", uri);
    Some(members.to_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(result: &'static str) -> String {
        let public = |uri: &str| (uri == "a:b").then(|| "u+a:b".to_owned());
        onward(Raw::read(result).unwrap(), public).as_str().to_owned()
    }

    #[test]
    fn uris_are_those_that_clients_know_wherever_a_resource_is_meant() {
        for result in [
            r#"{"contents":[{"uri":"a:b","text":"a:b","v":1.0},{"uri":"a:c"}],"z":0}"#,
            r#"{"content":[{"type":"text","text":"x"},{"type":"resource_link","name":"n","uri":"a:b"}]}"#,
            r#"{"content":[{"type":"resource","resource":{"text":"x","uri":"a:b"}}],"isError":false}"#,
            r#"{"messages":[{"role":"user","content":{"type":"resource","resource":{"uri":"a:b"}}}]}"#,
        ] {
            assert_eq!(told(result), result.replacen(r#""uri":"a:b""#, r#""uri":"u+a:b""#, 1));
        }
    }

    #[test]
    fn what_is_refused_is_cut_out_of_what_was_read() {
        let refusal = |uri: &str| uri.starts_with("s:").then(|| "not you".to_owned());
        let read = |text: &'static str| {
            permitted(Raw::read(text).unwrap(), refusal).map(|raw| raw.as_str().to_owned())
        };

        let both = r#"{"contents":[{"uri":"a:b","v":1.0},{"uri":"s:1"}],"z":0}"#;
        assert_eq!(read(both).unwrap(), r#"{"contents":[{"uri":"a:b","v":1.0}],"z":0}"#);
        assert_eq!(read(r#"{"contents":[{"uri":"s:1"}]}"#), Err("not you".to_owned()));
        for whole in [r#"{ "contents":[ {"uri":"a:b"} ] }"#, r#"{ "contents":[] }"#, "[1]"] {
            assert_eq!(read(whole).unwrap(), whole);
        }
    }

    #[test]
    fn updates_are_told_under_the_uris_that_clients_know_or_not_at_all() {
        let refusal = |uri: &str| uri.starts_with("s:").then(String::new);
        let public = |uri: &str| (uri == "a:b").then(|| "u+a:b".to_owned());
        let told = |params: &'static str| {
            let update =
                Notification::new("notifications/resources/updated", Some(Raw::read(params).unwrap()));
            updated(update, refusal, public).map(|update| update.params.unwrap().as_str().to_owned())
        };

        assert_eq!(told(r#"{"uri":"a:b","v":1.0}"#).unwrap(), r#"{"uri":"u+a:b","v":1.0}"#);
        assert_eq!(told(r#"{ "uri":"a:c" }"#).unwrap(), r#"{ "uri":"a:c" }"#);
        assert_eq!(told(r#"{"uri":"s:1"}"#), None);
    }

    #[test]
    fn what_means_no_resource_stays_as_it_is() {
        for result in [
            r#"{ "content":[ {"type":"text","uri":"a:b"} ], "uri":"a:b"}"#,
            r#"{"structuredContent":{"uri":"a:b"},"content":"a:b","messages":[1]}"#,
            r#"[1]"#,
        ] {
            assert_eq!(told(result), result);
        }
    }
}
