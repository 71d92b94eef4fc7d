//! Whatever JSON allows in a call and its result goes through as it was written: digits, escapes, spaces, order, depth.

use std::{cell::RefCell, sync::Mutex};

use json_rpc::{Members, Outcome, Raw};
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::runtime::Runtime;

use crate::{
    calls::{client, era, request},
    client::RawClient,
    server::{Heard, Script},
    support::{gateway, prefixed},
};

/// Deepest nesting of what is sent. A reader that follows texts by recursion has to stop somewhere, ours does at 128.
const DEEPEST: usize = 100;

/// Space between two tokens. Line breaks would end the message here.
fn any_space() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 1 => "[ \t]{1,3}"]
}

/// Numbers as nobody writes them, and as some do.
fn any_number() -> impl Strategy<Value = String> {
    "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?"
}

/// Characters in every way in which they may be written.
fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[^\"\\\\\u{0}-\u{1f}]{1,4}",
        Just("\u{2028}\u{feff}😀\u{202e}".to_owned()),
        "\\\\[\"\\\\/bfnrt]",
        "\\\\u00[0-7][0-9a-fA-F]",
        Just("\\uD83D\\ude00".to_owned()),
    ];
    prop::collection::vec(piece, 0..5).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn any_value() -> impl Strategy<Value = String> {
    let word = prop_oneof![Just("null".to_owned()), Just("true".to_owned()), Just("false".to_owned())];
    let leaf = prop_oneof![word, any_number(), any_text()];
    let tree = leaf.prop_recursive(5, 40, 5, |inner| {
        let items = prop::collection::vec((any_space(), inner.clone()), 0..5);
        let list = items.prop_map(|items| {
            let items: Vec<_> = items.iter().map(|(space, item)| format!("{space}{item}{space}")).collect();
            format!("[{}]", items.join(","))
        });
        prop_oneof![list, any_object(inner, "m")]
    });
    (tree, prop_oneof![4 => Just(0), 1 => 0..DEEPEST - 20])
        .prop_map(|(tree, depth)| format!("{}{tree}{}", "[".repeat(depth), "]".repeat(depth)))
}

/// An object whose members' names begin with `prefix`, each another one.
fn any_object(value: impl Strategy<Value = String>, prefix: &'static str) -> impl Strategy<Value = String> {
    prop::collection::vec((any_space(), any_space(), value), 0..5).prop_map(move |members| {
        let member = |(number, (before, after, value)): (usize, &(String, String, String))| {
            format!("{before}\"{prefix}\\u00e4\\/{number}\"{after}:{before}{value}{after}")
        };
        let members: Vec<_> = members.iter().enumerate().map(member).collect();
        format!("{{{}}}", members.join(","))
    })
}

/// Puts members into an object, before all others.
fn with(object: &str, members: &str) -> String {
    let rest = object.trim_start().strip_prefix('{').expect("it is an object");
    let comma = if rest.trim() == "}" { "" } else { "," };
    format!("{{{members}{comma}{rest}")
}

struct Pair {
    runtime: Runtime,
    client: RawClient,
    heard: Heard,
    answer: &'static Mutex<Option<Outcome>>,
}

impl Pair {
    fn new(newer: bool) -> Self {
        let runtime = Runtime::new().unwrap();
        let answer: &'static Mutex<Option<Outcome>> = Box::leak(Box::default());
        let (client, heard) = runtime.block_on(async {
            let (script, heard) = Script::new(newer, |_, _| async {
                answer.lock().unwrap().take().unwrap_or_else(|| Ok(Raw::empty_object()))
            });
            let gateway = gateway([("far", prefixed(script.start(), era(newer)))]).await;
            (client(&gateway, newer).await, heard)
        });
        Self { runtime, client, heard, answer }
    }

    /// What comes back, and what the server was given.
    fn call(&mut self, params: String, answer: Outcome) -> (Outcome, Raw) {
        *self.answer.lock().unwrap() = Some(answer);
        self.runtime.block_on(async {
            let id = self.client.begin_raw("tools/call", Raw::read(params).unwrap()).await;
            (self.client.end(&id).await, request(&mut self.heard).await.params.unwrap())
        })
    }
}

fn member(object: &Raw, name: &str) -> Option<String> {
    Some(Members::of(object).unwrap().get(name)?.as_str().to_owned())
}

fn check(newer: bool) {
    let pair = RefCell::new(Pair::new(newer));
    let inputs = (any_object(any_value(), "a"), any_object(any_value(), "b"), any_object(any_value(), "c"));
    let config = ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() };
    let era = if newer {
        r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}"#
    } else {
        r#""traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01""#
    };
    let test = |(params, meta, result): (String, String, String)| {
        let sent = with(
            &params,
            &format!(r#""name" : "far__echo","arguments":{params},"_meta":{}"#, with(&meta, era)),
        );
        let answer = with(&result, r#""resultType":"complete","content": [ ]"#);
        let failure = with(&result, r#""code":-1,"message":"\u006eo""#);
        for outcome in [Ok(answer), Err(failure)] {
            let outcome =
                outcome.map(|text| Raw::read(text).unwrap()).map_err(|text| Raw::read(text).unwrap());
            let (came, got) = pair.borrow_mut().call(sent.clone(), outcome.clone());
            prop_assert_eq!(came, outcome);
            prop_assert_eq!(member(&got, "name"), Some("\"echo\"".to_owned()));
            prop_assert_eq!(member(&got, "arguments"), Some(params.clone()));
            let sent = Raw::read(sent.clone()).unwrap();
            let (sent, got) = (Members::of(&sent).unwrap(), Members::of(&got).unwrap());
            for (name, value) in sent.iter().filter(|(name, _)| *name != "name" && *name != "_meta") {
                prop_assert_eq!(got.get(name).map(Raw::as_str), Some(value.as_str()), "{}", name);
            }
            let (sent, got) = (sent.get("_meta").unwrap(), got.get("_meta").unwrap());
            let (sent, got) = (Members::of(sent).unwrap(), Members::of(got).unwrap());
            for (name, value) in sent.iter().filter(|(name, _)| !name.starts_with("io.modelcontextprotocol/"))
            {
                prop_assert_eq!(got.get(name).map(Raw::as_str), Some(value.as_str()), "{}", name);
            }
        }
        Ok(())
    };
    TestRunner::new(config).run(&inputs, test).unwrap();
}

#[test]
fn whatever_an_older_client_and_an_older_upstream_write_arrives_as_it_was_written() {
    check(false);
}

#[test]
fn whatever_a_newer_client_and_a_newer_upstream_write_arrives_as_it_was_written() {
    check(true);
}

/// Such a text says nothing, but the grammar of JSON allows it.
#[test]
fn half_a_surrogate_pair_goes_through() {
    for newer in [false, true] {
        let mut pair = Pair::new(newer);
        let meta = if newer {
            r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},"#
        } else {
            ""
        };
        let params = format!(r#"{{{meta}"name":"far__echo","arguments":{{"half":"\ud800"}}}}"#);
        let result = Raw::read(r#"{"content":[],"resultType":"complete","half":"\udc00"}"#).unwrap();
        let (came, got) = pair.call(params, Ok(result.clone()));
        assert_eq!(came, Ok(result));
        assert_eq!(member(&got, "arguments").as_deref(), Some(r#"{"half":"\ud800"}"#));
    }
}
