//! What goes in comes out.

use bytes::Bytes;
use json_rpc::{Error, Id, Members, MembersError, Message, Raw};
use proptest::prelude::*;
use serde_json::{Value, json};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("JSON has no other numbers", |number| number.is_finite())
            .prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".*", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_object() -> impl Strategy<Value = Value> {
    prop::collection::btree_map(".*", any_json(), 0..6)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

fn any_message() -> impl Strategy<Value = Value> {
    let id = prop_oneof![any::<i64>().prop_map(Value::from), ".*".prop_map(Value::from)];
    (id, ".*", any_object(), 0..4).prop_map(|(id, method, object, kind)| match kind {
        0 => json!({"jsonrpc": "2.0", "id": id, "method": method, "params": object}),
        1 => json!({"jsonrpc": "2.0", "method": method, "params": object}),
        2 => json!({"jsonrpc": "2.0", "id": id, "result": object}),
        _ => json!({"jsonrpc": "2.0", "id": id, "error": object}),
    })
}

proptest! {
    #[test]
    fn a_message_is_written_as_it_was_read(message in any_message()) {
        let text = message.to_string();
        let read = Message::read(&Bytes::from(text.clone())).unwrap();
        // The value's own digits may be others: serde_json reads floats to within their last one.
        let written: Value = serde_json::from_slice(&read.to_bytes()).unwrap();
        prop_assert_eq!(written, serde_json::from_str::<Value>(&text).unwrap());
    }

    #[test]
    fn members_that_are_not_changed_keep_their_text(object in any_object()) {
        let text = object.to_string();
        let raw = Raw::read(text.clone()).unwrap();
        let mut members = Members::of(&raw).unwrap();
        members.set("a name that nobody has", Raw::from(7));
        members.remove("a name that nobody has");
        let written = members.to_raw();
        prop_assert_eq!(written.as_str(), text);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in ".*") {
        let _ = Message::read(&Bytes::from(text));
    }
}

#[test]
fn digits_spaces_and_order_survive() {
    let params = r#"{ "z": 1.10, "a": 123456789012345678901234567890, "e": 1E400, "é": "\u00e9" }"#;
    let text = format!(r#"{{"params": {params}, "id":"x", "method":"m","jsonrpc":"2.0"}}"#);
    let Message::Request(request) = Message::read(&text.into()).unwrap() else { panic!() };
    assert_eq!(request.params.unwrap().as_str(), params);
}

#[test]
fn what_is_no_message_gets_the_error_that_says_why() {
    for (text, code, id) in [
        ("{", Error::PARSE_ERROR, None),
        ("", Error::PARSE_ERROR, None),
        ("\u{0}", Error::PARSE_ERROR, None),
        ("[]", Error::INVALID_REQUEST, None),
        ("7", Error::INVALID_REQUEST, None),
        (r#"{"id":3,"method":"ping"}"#, Error::INVALID_REQUEST, Some(3)),
        (r#"{"jsonrpc":"2.0","id":3,"method":"m","params":[]}"#, Error::INVALID_PARAMS, Some(3)),
        (r#"{"jsonrpc":"2.0","id":3}"#, Error::INVALID_REQUEST, Some(3)),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, Error::INVALID_REQUEST, None),
        (r#"{"jsonrpc":"2.0","id":3,"method":"a","method":"b"}"#, Error::INVALID_REQUEST, None),
        (r#"{"jsonrpc":"2.0","id":3,"result":1,"error":{}}"#, Error::INVALID_REQUEST, Some(3)),
    ] {
        let refused = Message::read(&Bytes::from(text)).unwrap_err();
        assert_eq!((refused.error.code, refused.id), (code, id.map(Id::from)), "{text}");
    }
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    let deep = format!(r#"{{"jsonrpc":"2.0","method":"m","params":{}"#, "[".repeat(100_000));
    assert_eq!(Message::read(&deep.into()).unwrap_err().error.code, Error::PARSE_ERROR);
}

#[test]
fn a_member_that_is_named_twice_is_refused() {
    let twice = Raw::read(r#"{"name":"a","\u006eame":"b"}"#).unwrap();
    assert_eq!(Members::of(&twice).unwrap_err(), MembersError::Duplicate);
    assert_eq!(Members::of(&Raw::read("[1]").unwrap()).unwrap_err(), MembersError::NotAnObject);
}

#[test]
fn an_id_is_told_apart_by_how_it_is_written_and_known_by_its_number() {
    assert_eq!(Id::new(Raw::read("7.0").unwrap()).unwrap().number(), Some(7));
    assert_eq!(Id::new(Raw::text("7")).unwrap().number(), Some(7));
    assert_ne!(Id::new(Raw::text("7")), Some(Id::from(7)));
    assert_eq!(Id::new(Raw::read("true").unwrap()), None);
}

#[test]
fn a_line_has_no_line_breaks_and_says_the_same() {
    let text = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\r\n  \"text\": \"a\\nb\",\n  \"list\": [\n1]\n}}";
    let line = Message::read(&Bytes::from(text)).unwrap().to_line();
    assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
    let values = [text.as_bytes(), &line[..]]
        .map(|text| Raw::read(text.to_vec()).unwrap().parse::<serde_json::Value>().unwrap());
    assert_eq!(values[0], values[1]);
}

#[test]
fn an_error_about_what_could_not_be_read_has_no_id() {
    let refused = Message::read(&Bytes::from("[]")).unwrap_err();
    assert!(Message::from(refused).to_bytes().starts_with(br#"{"jsonrpc":"2.0","error":{"code":-32600,"#));
}

#[test]
fn what_is_absent_may_be_written_as_null() {
    for (text, written) in [
        (
            r#"{"jsonrpc":"2.0","method":"notifications/initialized","params":null}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":null}"#, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#),
        (r#"{"jsonrpc":"2.0","id":1,"result":null,"error":{}}"#, r#"{"jsonrpc":"2.0","id":1,"error":{}}"#),
        (r#"{"jsonrpc":"2.0","id":1,"result":null}"#, r#"{"jsonrpc":"2.0","id":1,"result":null}"#),
    ] {
        assert_eq!(Message::read(&Bytes::from(text)).unwrap().to_bytes(), written);
    }
}

#[test]
fn a_detached_value_is_the_same_and_is_found_in() {
    let value = Raw::read(r#"{"resultType":"complete"}"#).unwrap();
    assert_eq!(value.detached(), value);
    assert!(value.contains("\"resultType\"") && !value.contains("result\""));
}
