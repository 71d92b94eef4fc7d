//! Whatever is in a message, it goes through as it is, but for what the gateway must change.

use std::sync::Mutex;

use json_rpc::{Members, Outcome, Raw};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use crate::{
    calls::{client, era, request},
    client::RawClient,
    server::{Heard, Script},
    support::{gateway, prefixed, raw},
};

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
            any_members(inner).prop_map(Value::Object),
        ]
    })
}

fn any_members(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::btree_map(".*", value, 0..6).prop_map(|members| members.into_iter().collect())
}

/// The members of any object, none of which means anything to the gateway.
fn any_unknown() -> impl Strategy<Value = Map<String, Value>> {
    any_members(any_json())
        .prop_map(|members| members.into_iter().map(|(name, value)| (format!("x{name}"), value)).collect())
}

struct Pair {
    runtime: Runtime,
    client: RawClient,
    heard: Heard,
}

/// A client of one era and a server of one, which answers what is given.
fn pair(newer_client: bool, newer_server: bool, outcome: &'static Mutex<Option<Outcome>>) -> Pair {
    let runtime = Runtime::new().unwrap();
    let (client, heard) = runtime.block_on(async {
        let (script, heard) = Script::new(newer_server, |_, _| async {
            outcome.lock().unwrap().take().unwrap_or_else(|| Ok(Raw::empty_object()))
        });
        let gateway = gateway([("far", prefixed(script.start(), era(newer_server)))]).await;
        (client(&gateway, newer_client).await, heard)
    });
    Pair { runtime, client, heard }
}

impl Pair {
    /// What comes back, and what the server was given.
    fn call(&mut self, params: &Value) -> (Outcome, Raw) {
        self.runtime.block_on(async {
            let id = self.client.begin("tools/call", params).await;
            let outcome = self.client.end(&id).await;
            (outcome, request(&mut self.heard).await.params.unwrap())
        })
    }
}

/// The members of an object, as texts.
type Texts = Vec<(String, String)>;

fn texts(object: &Raw) -> Texts {
    let members = Members::of(object).unwrap();
    members.iter().map(|(name, value)| (name.to_owned(), value.as_str().to_owned())).collect()
}

/// Parameters as texts, with `_meta` beside them, but for what the gateway must change.
fn unchanged(params: &Raw) -> (Texts, Texts) {
    let mut members = texts(params);
    let mut meta = Members::of(params).unwrap().get("_meta").map(texts).unwrap_or_default();
    members.retain(|(name, _)| name != "name" && name != "_meta");
    meta.retain(|(name, _)| !name.starts_with("io.modelcontextprotocol/"));
    (members, meta)
}

fn check(newer_client: bool, newer_server: bool) {
    let outcome: &'static Mutex<Option<Outcome>> = Box::leak(Box::default());
    let pair = std::cell::RefCell::new(pair(newer_client, newer_server, outcome));
    let inputs = (any_unknown(), any_unknown(), any_unknown(), any_unknown(), any::<bool>());
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
    let test =
        |(params, meta, arguments, answer, fails): (Map<_, _>, Map<_, _>, Map<_, _>, Map<_, _>, bool)| {
            let mut answer = Value::Object(answer);
            if fails {
                answer["code"] = json!(1);
                answer["message"] = json!("no");
            } else {
                answer["content"] = json!([{"type": "y", "z": 1}]);
                answer["resultType"] = json!("complete");
            }
            let answer = Raw::of(&answer).unwrap();
            *outcome.lock().unwrap() = Some(if fails { Err(answer.clone()) } else { Ok(answer.clone()) });
            let mut sent = Value::Object(params);
            sent["name"] = json!("far__echo");
            sent["arguments"] = Value::Object(arguments);
            sent["_meta"] = Value::Object(meta);

            let (came, got) = pair.borrow_mut().call(&sent);

            let came = if fails { came.unwrap_err() } else { came.unwrap() };
            prop_assert_eq!(came.as_str(), answer.as_str());
            prop_assert_eq!(unchanged(&got), unchanged(&raw(&sent)));
            Ok(())
        };
    TestRunner::new(config).run(&inputs, test).unwrap();
}

#[test]
fn messages_between_older_clients_and_older_upstreams_stay_as_they_are() {
    check(false, false);
}

#[test]
fn messages_between_older_clients_and_newer_upstreams_stay_as_they_are() {
    check(false, true);
}

#[test]
fn messages_between_newer_clients_and_older_upstreams_stay_as_they_are() {
    check(true, false);
}

#[test]
fn messages_between_newer_clients_and_newer_upstreams_stay_as_they_are() {
    check(true, true);
}

#[test]
fn digits_escapes_and_order_survive_in_both_directions() {
    for (newer_client, newer_server) in [(false, false), (true, true)] {
        let text = r#"{"z":1.10,"content":[],"e":1E400,"a":123456789012345678901234567890,"\u00e9":"\u00e9\/","resultType":"complete"}"#;
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let (script, mut heard) =
                Script::new(newer_server, move |_, _| async move { Ok(Raw::read(text).unwrap()) });
            let gateway = gateway([("far", prefixed(script.start(), era(newer_server)))]).await;
            let mut client = client(&gateway, newer_client).await;
            let meta = if newer_client {
                r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},"#
            } else {
                ""
            };
            let arguments = r#"{ "z": 1.10, "a": 1E400, "é": "\u00e9" }"#;
            let params = format!(r#"{{{meta}"name":"far__echo","arguments":{arguments}}}"#);

            let id = client.begin_raw("tools/call", Raw::read(params).unwrap()).await;

            assert_eq!(client.end(&id).await.map_err(|e| e.as_str().to_owned()).unwrap().as_str(), text);
            let got = request(&mut heard).await.params.unwrap();
            assert!(got.as_str().contains(arguments));
        });
    }
}
