//! Tools that were approved, and that are not as they were: in both eras.

use std::sync::Arc;

use gateway::{Gateway, Pins, Rules, Settings, UpstreamSettings};
use serde_json::{Value, json};

use crate::{
    calls::era,
    client::RawClient,
    server::{Script, Voice},
    support::{gateway, plain, prefixed, raw, settings, soon},
};

/// A server with these tools.
fn server(is_modern: bool, tools: &Value) -> UpstreamSettings {
    let (script, _heard) = Script::new(is_modern, |_, _: Voice| async { Ok(raw(&json!({"content": []}))) });
    plain(script.tools(tools.clone()).start(), era(is_modern))
}

fn tools(description: &str) -> Value {
    json!([
        {"name": "look", "description": "Looks", "inputSchema": {"type": "object"}},
        {"name": "touch", "description": description, "inputSchema": {"type": "object"}},
    ])
}

/// All that these upstreams offer, approved.
async fn approved(upstreams: Vec<(&'static str, UpstreamSettings)>) -> Pins {
    let gateway = gateway(upstreams).await;
    let mut pins = Pins::default();
    for change in gateway.compare_pins(&pins).changes {
        pins.approve(&change);
    }
    pins
}

async fn pinned(upstreams: Vec<(&'static str, UpstreamSettings)>, pins: &Pins) -> Arc<Gateway> {
    let gateway = Gateway::new(Settings { pins: Some(Arc::new(pins.clone())), ..settings(upstreams) });
    soon(gateway.settled()).await;
    gateway
}

async fn client(gateway: &Arc<Gateway>, is_modern: bool) -> RawClient {
    if is_modern {
        RawClient::modern(gateway, json!({}))
    } else {
        RawClient::legacy(gateway, json!({})).await
    }
}

async fn names(client: &mut RawClient) -> Vec<String> {
    let list = client.call("tools/list", &json!({})).await.unwrap();
    let tools = list["tools"].as_array().unwrap().iter();
    tools.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

async fn call(client: &mut RawClient, name: &str) -> Result<Value, Value> {
    client.call("tools/call", &json!({"name": name, "arguments": {}})).await
}

#[tokio::test]
async fn a_tool_that_changed_is_withheld_until_it_is_approved_again_and_no_other_is() {
    for (newer_client, newer_server) in [(false, false), (false, true), (true, false), (true, true)] {
        let server = |description| server(newer_server, &tools(description));
        let mut pins = approved(vec![("far", server("Touches"))]).await;
        let gateway = pinned(vec![("far", server("Touches, and tells everybody"))], &pins).await;
        let mut client = client(&gateway, newer_client).await;

        assert_eq!(names(&mut client).await, ["look"]);
        call(&mut client, "look").await.unwrap();
        let refused = call(&mut client, "touch").await.unwrap_err();
        assert_eq!((&refused["code"], &refused["data"]["code"]), (&json!(-32004), &json!("ACCESS_DENIED")));
        assert!(refused["message"].as_str().unwrap().contains("pins diff"), "{refused}");
        let explained = gateway.explain("touch");
        assert!(explained.reasons.iter().any(|reason| reason.contains("approved")), "{explained:?}");

        let found = gateway.compare_pins(&pins);
        let [change] = &found.changes[..] else { panic!("{:?}", found.changes) };
        assert!(change.is_withheld() && change.is_at("far/touch") && !change.is_at("touch"));
        assert_eq!((found.named("touch"), found.named("far/touch")), (vec![change], vec![change]));
        assert!(change.approved.as_ref().unwrap().contains("\"Touches\""));
        assert!(change.present.as_ref().unwrap().contains("tells everybody"));
        pins.approve(change);
        let upstream = server("Touches, and tells everybody");
        gateway.apply(Settings { pins: Some(pins.into()), ..settings([("far", upstream)]) });
        soon(gateway.settled()).await;

        assert_eq!(names(&mut client).await, ["look", "touch"]);
        call(&mut client, "touch").await.unwrap();
    }
}

#[tokio::test]
async fn the_order_of_members_is_no_change_and_a_new_tool_is_one() {
    let pins = approved(vec![("far", server(false, &tools("Touches")))]).await;
    let turned = json!([
        {"inputSchema": {"type": "object"}, "name": "new"},
        {"inputSchema": {"type": "object"}, "description": "Touches", "name": "touch"},
        {"inputSchema": {"type": "object"}, "description": "Looks", "name": "look"},
    ]);
    let gateway = pinned(vec![("far", server(false, &turned))], &pins).await;
    let mut client = client(&gateway, false).await;

    let mut names = names(&mut client).await;
    names.sort();
    assert_eq!(names, ["look", "touch"]);
    let found = gateway.compare_pins(&pins);
    let places: Vec<_> = found.changes.iter().map(|change| change.tool.as_str()).collect();
    assert_eq!((places, found.unchanged.len()), (vec!["new"], 2));
}

#[tokio::test]
async fn a_tool_that_is_withheld_keeps_its_name_from_others() {
    let upstreams = || {
        let (one, other) = (server(false, &tools("One")), server(false, &tools("Other")));
        vec![("one", one), ("other", other)]
    };
    let all = approved(upstreams()).await;
    let mut everything = client(&gateway(upstreams()).await, false).await;
    let names_of_all = names(&mut everything).await;
    let mut some = all.clone();
    let gateway = gateway(upstreams()).await;
    for tool in gateway.compare_pins(&all).unchanged.into_iter().filter(|tool| tool.upstream == "one") {
        some.approve(&gateway::PinChange { present: None, ..tool });
    }

    let mut client = client(&pinned(upstreams(), &some).await, false).await;

    let left = names(&mut client).await;
    assert_eq!(left.len(), 2);
    assert!(left.iter().all(|name| names_of_all.contains(name)), "{left:?} of {names_of_all:?}");
}

#[tokio::test]
async fn an_upstream_that_is_away_loses_no_pins_and_one_that_is_not_used_any_more_does() {
    let pins =
        approved(vec![("far", server(false, &tools("Touches"))), ("old", server(false, &tools("Old")))])
            .await;
    let away = gateway::InMemory::new(|| Err(std::io::Error::other("away")));
    let gateway = gateway([("far", prefixed(away, era(false)))]).await;

    let found = gateway.compare_pins(&pins);

    assert_eq!(found.away.len(), 1);
    assert!(found.away[0].1.contains("away"), "{:?}", found.away);
    let gone: Vec<_> =
        found.changes.iter().map(|change| (change.upstream.as_str(), change.is_withheld())).collect();
    assert_eq!(gone, [("old", false), ("old", false)]);
}

#[tokio::test]
async fn a_tool_is_withheld_while_any_replica_defines_it_otherwise() {
    let one = |description| server(false, &tools(description));
    let pins = approved(vec![("far", one("Touches"))]).await;
    let (first, second) = (one("Touches"), one("Touches, and tells everybody"));
    let replicas = [first.replicas.clone(), second.replicas].concat();
    let gateway = pinned(vec![("far", UpstreamSettings { replicas, ..first })], &pins).await;
    soon(gateway.settled_everywhere()).await;
    let mut client = client(&gateway, false).await;

    assert_eq!(names(&mut client).await, ["look"]);
    for _ in 0..4 {
        call(&mut client, "look").await.unwrap();
        let refused = call(&mut client, "touch").await.unwrap_err();
        assert_eq!(refused["data"]["code"], "ACCESS_DENIED");
        assert!(refused["message"].as_str().unwrap().contains("replica"), "{refused}");
    }
    let found = gateway.compare_pins(&pins);
    assert!(found.changes.is_empty(), "{:?}", found.changes);
    assert_eq!(found.unlike, [("far".to_owned(), "touch".to_owned())]);
}

#[tokio::test]
async fn a_method_that_nobody_knows_is_refused_as_long_as_tools_must_be_approved() {
    let pins = approved(vec![("far", server(true, &tools("Touches")))]).await;
    let free = gateway([("far", server(true, &tools("Touches")))]).await;
    let strict = pinned(vec![("far", server(true, &tools("Touches")))], &pins).await;
    let rules = Rules { methods: Some(vec!["vendor/*".to_owned()]), ..Rules::default() };
    let naming = UpstreamSettings { rules: rules.into(), ..server(true, &tools("Touches")) };
    let naming = pinned(vec![("far", naming)], &pins).await;
    for method in ["vendor/callTool", "tools/run"] {
        let mut client = client(&free, true).await;
        client.call(method, &json!({"name": "touch"})).await.unwrap();
        let mut client = self::client(&strict, true).await;
        let refused = client.call(method, &json!({"name": "touch"})).await.unwrap_err();
        assert_eq!(refused["data"]["code"], "METHOD_NOT_FOUND", "{method}");
        let mut client = self::client(&naming, true).await;
        let answer = client.call(method, &json!({"name": "touch"})).await;
        assert_eq!(answer.is_ok(), method == "vendor/callTool", "{answer:?}");
    }
}

#[tokio::test]
async fn no_server_is_approved_in_place_of_another_because_of_what_it_calls_a_tool() {
    let tool = |name: &str| server(false, &json!([{"name": name, "inputSchema": {"type": "object"}}]));
    let gateway = gateway([("files", tool("read")), ("strange", tool("files/read"))]).await;

    let found = gateway.compare_pins(&Pins::default());

    let named = |name: &str| found.named(name).iter().map(|tool| tool.upstream.as_str()).collect::<Vec<_>>();
    assert_eq!(named("files/read"), ["files"]);
    assert_eq!(named("strange/files/read"), ["strange"]);
    assert_eq!(named("read"), ["files"]);
    assert!(named("files").is_empty());
}
