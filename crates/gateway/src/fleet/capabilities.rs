//! What servers of the older era are told that their client can do.

use bytes::Bytes;
use json_rpc::{Members, Raw};

/// What a connection that clients share can do: whatever can be passed on to a client. A question about roots belongs to no
/// request as a rule, and can be placed only where each request has its own stream.
pub(super) fn shared(keeps_requests_apart: bool) -> Raw {
    let text: &'static [u8] = if keeps_requests_apart {
        br#"{"roots":{},"sampling":{"context":{},"tools":{}},"elicitation":{"form":{},"url":{}}}"#
    } else {
        br#"{"sampling":{"context":{},"tools":{}},"elicitation":{"form":{},"url":{}}}"#
    };
    Raw::read(Bytes::from_static(text)).expect("it is JSON")
}

/// What a client can do that is not known here.
const EXTRAS: [&str; 2] = ["experimental", "extensions"];
/// Longest text of what is not known here and passed on all the same.
const MOST_EXTRA: usize = 1024;

/// What of a client's capabilities can be passed on over a connection that is used by this client alone, or by those that can
/// do the same. It is a text of its own, in one form for all that means the same: clients choose which connection they use by
/// what they can do, and not by how they say it.
pub(super) fn passed_on(capabilities: &Raw, with_roots: bool) -> Raw {
    let Ok(client) = Members::of(capabilities) else { return Raw::empty_object() };
    let mut passed = Members::default();
    // That the client's roots have changed is not passed on.
    if with_roots && client.get("roots").is_some() {
        passed.set("roots", Raw::empty_object());
    }
    for (name, parts) in [("sampling", ["context", "tools"]), ("elicitation", ["form", "url"])] {
        let Some(value) = client.get(name) else { continue };
        let said = Members::of(value).unwrap_or_default();
        let known = parts.into_iter().filter(|part| said.get(part).is_some());
        let known = known.map(|part| (part, Raw::empty_object())).collect::<Members>();
        passed.set(name, known.to_raw());
    }
    for name in EXTRAS {
        let Some(value) = client.get(name).filter(|value| value.as_bytes().len() <= MOST_EXTRA) else {
            continue;
        };
        let Ok(said) = Members::of(value) else { continue };
        let mut said: Vec<_> = said.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
        said.sort_by(|one, other| one.0.cmp(&other.0));
        passed.set(name, said.into_iter().collect::<Members>().to_raw());
    }
    passed.to_raw()
}

/// Whether there is anything in it that is not known here.
pub(super) fn has_extras(passed: &Raw) -> bool {
    let passed = Members::of(passed).unwrap_or_default();
    EXTRAS.into_iter().any(|name| passed.get(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_passed_on_is_told() {
        let client = r#"{"tasks":{},"roots":{"listChanged":true},"elicitation":{"url":{}},"x":1,"extensions":{"a":{}}}"#;
        let client = Raw::read(client).unwrap();
        let passed = |with_roots| passed_on(&client, with_roots).as_str().to_owned();
        assert_eq!(passed(true), r#"{"roots":{},"elicitation":{"url":{}},"extensions":{"a":{}}}"#);
        assert_eq!(passed(false), r#"{"elicitation":{"url":{}},"extensions":{"a":{}}}"#);
        assert_eq!(passed_on(&Raw::text("nothing"), true).as_str(), "{}");
    }

    #[test]
    fn how_a_client_says_it_makes_no_difference() {
        let passed = |text: &str| passed_on(&Raw::read(text.to_owned()).unwrap(), true).as_str().to_owned();
        let shared = shared(true).as_str().to_owned();
        for text in [
            r#"{"roots":{},"sampling":{"context":{},"tools":{}},"elicitation":{"form":{},"url":{}}}"#,
            r#"{"elicitation": {"url":{"n":1},"form":{}}, "n":2, "sampling":{"tools":{},"context":{},"n":3},"roots":{"n":4}}"#,
        ] {
            assert_eq!(passed(text), shared);
        }
        assert_eq!(
            passed(r#"{"extensions":{"b":{},"a":{"x":1}}}"#),
            passed(r#"{"extensions": {"a":{"x":1} , "b":{}}}"#)
        );
        let long = format!(r#"{{"experimental":{{"n":"{}"}}}}"#, "x".repeat(2_000));
        assert_eq!(passed(&long), "{}");
    }

    #[test]
    fn roots_are_shared_only_where_questions_can_be_placed() {
        assert!(shared(true).as_str().contains("roots") && !shared(false).as_str().contains("roots"));
    }
}
