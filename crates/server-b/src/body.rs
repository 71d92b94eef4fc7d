//! From the bytes of a body to a valid request, or to everything that is wrong with it.

use models::{FieldError, ProcessRequest};
use serde::de::IgnoredAny;
use serde_json::{Map, Value, error::Category};

/// Why a body is not a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvalidBody {
    /// It is not JSON.
    Malformed(String),
    /// It is JSON, but not an object.
    NotAnObject,
    /// Fields break rules: all of them.
    Fields(Vec<FieldError>),
}

/// Reads a request and checks every rule that does not depend on settings.
///
/// # Errors
/// When the bytes are not JSON, or with every field that breaks a rule.
pub fn parse_request(bytes: &[u8]) -> Result<ProcessRequest, InvalidBody> {
    // serde would take an array for a struct.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(match serde_json::from_slice::<IgnoredAny>(bytes) {
            Ok(_) => InvalidBody::NotAnObject,
            Err(error) => InvalidBody::Malformed(error.to_string()),
        });
    }
    let request = match serde_json::from_slice::<ProcessRequest>(bytes) {
        Ok(request) => request,
        Err(error) if error.classify() == Category::Data => return Err(explain(bytes, &error)),
        Err(error) => return Err(InvalidBody::Malformed(error.to_string())),
    };
    let broken = request.broken_rules();
    if broken.is_empty() { Ok(request) } else { Err(InvalidBody::Fields(broken)) }
}

/// The slow way, for bodies that are JSON but of the wrong shape: serde stops at the first error, so each field is read
/// alone. A request with one field is valid, because missing ones have defaults; its error is therefore that field's.
fn explain(bytes: &[u8], first: &serde_json::Error) -> InvalidBody {
    let Ok(Value::Object(fields)) = serde_json::from_slice(bytes) else {
        return InvalidBody::NotAnObject;
    };
    let mut errors = Vec::new();
    let mut sound = Map::new();
    for (field, value) in fields {
        let alone = Map::from_iter([(field.clone(), value.clone())]);
        match serde_json::from_value::<ProcessRequest>(Value::Object(alone)) {
            Ok(_) => drop(sound.insert(field, value)),
            Err(error) => errors.push(FieldError { field, detail: error.to_string() }),
        }
    }
    if errors.is_empty() {
        // What only the bytes show, for instance a field that stands twice.
        errors.push(FieldError { field: "body".to_owned(), detail: first.to_string() });
        return InvalidBody::Fields(errors);
    }
    let rest = serde_json::from_value::<ProcessRequest>(Value::Object(sound)).unwrap_or_default();
    // A field that could not be read looks like a missing one.
    let unread: Vec<_> = errors.iter().map(|error| error.field.clone()).collect();
    errors.extend(rest.broken_rules().into_iter().filter(|error| !unread.contains(&error.field)));
    InvalidBody::Fields(errors)
}

#[cfg(test)]
mod tests {
    use models::{Role, Turn};
    use proptest::prelude::*;

    use super::*;

    fn fields(body: &str) -> Vec<String> {
        match parse_request(body.as_bytes()) {
            Err(InvalidBody::Fields(errors)) => errors.into_iter().map(|error| error.field).collect(),
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn wrong_types_unknown_fields_and_broken_rules_are_named_together() {
        let body = r#"{"message":"","context":7,"model":["x"],"temperature":"hot","max_tokens":-1,"history":[{"role":"robot"}],"max_token":5}"#;
        let mut named = fields(body);
        named.sort();
        assert_eq!(
            named,
            ["context", "history", "max_token", "max_tokens", "message", "model", "temperature"]
        );
    }

    #[test]
    fn a_missing_message_is_a_broken_rule() {
        assert_eq!(fields("{}"), ["message"]);
        assert_eq!(fields(r#"{"temperature":3}"#), ["message", "temperature"]);
        assert_eq!(fields(r#"{"message":"a","message":"b"}"#), ["body"]);
    }

    #[test]
    fn a_broken_turn_is_named_by_its_place() {
        let body =
            r#"{"message":"a","history":[{"role":"user","content":"x"},{"role":"assistant","content":""}]}"#;
        assert_eq!(fields(body), ["history[1].content"]);
    }

    #[test]
    fn what_is_not_json_or_not_an_object_is_told_apart() {
        for body in ["", "{", "{\"message\":", "nonsense", "{\"message\":\"a\"} x", "\u{0}"] {
            assert!(matches!(parse_request(body.as_bytes()), Err(InvalidBody::Malformed(_))), "{body}");
        }
        assert!(matches!(parse_request(b"{\"message\":\"\xff\"}"), Err(InvalidBody::Malformed(_))));
        for body in ["[]", "7", "\"x\"", "null"] {
            assert_eq!(parse_request(body.as_bytes()), Err(InvalidBody::NotAnObject), "{body}");
        }
        let deep = format!("{{\"message\":{}", "[".repeat(100_000));
        assert!(parse_request(deep.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse_request(&bytes);
        }

        #[test]
        fn no_json_makes_the_parser_panic_and_what_it_takes_is_valid(
            field in "message|context|model|temperature|max_tokens|history|other",
            value in r#"[0-9]{1,30}|-1|1e400|"[a-z❤\\u]{0,9}"|\[\]|\{\}|null|true|\[\{"role":"user","content":"x"\}\]"#,
        ) {
            let body = format!("{{\"message\":\"hello\",\"{field}\":{value}}}");
            if let Ok(request) = parse_request(body.as_bytes()) {
                prop_assert!(request.broken_rules().is_empty());
            }
        }

        #[test]
        fn every_valid_request_survives_the_wire(
            message in ".{1,50}", context in proptest::option::of(".{0,50}"), hundredths in 0..=200_u8,
            turns in proptest::collection::vec(".{1,9}", 0..5),
        ) {
            let history = turns.into_iter().map(|content| Turn { role: Role::User, content }).collect();
            let request = ProcessRequest { message, context, temperature: Some(f64::from(hundredths) / 100.0), history: Some(history), ..Default::default() };
            let bytes = serde_json::to_vec(&request).unwrap();
            prop_assert_eq!(parse_request(&bytes), Ok(request));
        }
    }
}
