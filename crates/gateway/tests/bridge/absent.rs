//! Upstreams that are not there.

use std::time::Duration;

use gateway::{Gateway, InMemory};
use json_rpc::Raw;
use mcp_transport::Era;
use serde_json::{Value, json};
use tokio::io::{DuplexStream, duplex};

use crate::{
    client::RawClient,
    server::Script,
    support::{gateway, prefixed, settings, soon},
};

fn there() -> InMemory {
    let (script, _heard) = Script::new(false, |_, _| async { Ok(Raw::empty_object()) });
    script.start()
}

/// Nobody is there.
fn dead() -> InMemory {
    InMemory::new(|| Err(std::io::ErrorKind::ConnectionRefused.into()))
}

/// Somebody is there who never says a word.
fn silent() -> InMemory {
    let kept = std::sync::Mutex::new(Vec::<DuplexStream>::new());
    InMemory::new(move || {
        let (near, far) = duplex(1 << 16);
        kept.lock().unwrap().push(far);
        Ok(near)
    })
}

async fn tools(client: &mut RawClient) -> Vec<Value> {
    let list = client.call("tools/list", &json!({})).await.unwrap();
    list["tools"].as_array().unwrap().iter().map(|tool| tool["name"].clone()).collect()
}

#[tokio::test]
async fn a_dead_upstream_takes_nothing_from_the_others() {
    let gateway =
        gateway([("dead", prefixed(dead(), Era::Legacy)), ("there", prefixed(there(), Era::Legacy))]).await;
    let mut client = RawClient::legacy(&gateway, json!({})).await;

    assert_eq!(tools(&mut client).await, ["there__echo"]);
    client.call("tools/call", &json!({"name": "there__echo"})).await.unwrap();
    let missing = client.call("tools/call", &json!({"name": "dead__echo"})).await.unwrap_err();
    let data = &missing["data"];
    assert_eq!((&data["code"], &data["upstream"]), (&json!("UPSTREAM_UNAVAILABLE"), &json!("dead")));
    let unknown = client.call("tools/call", &json!({"name": "nobody__echo"})).await.unwrap_err();
    assert_eq!(unknown["data"]["code"], "TOOL_NOT_FOUND");
    assert_eq!(gateway.health().status, "degraded");
    let explained = gateway.explain("dead__echo");
    assert_eq!(explained.upstream.as_deref(), Some("dead"));
    assert!(explained.reasons.iter().any(|reason| reason.contains("\"dead\"")), "{:?}", explained.reasons);
}

#[tokio::test(start_paused = true)]
async fn the_first_list_does_not_wait_for_ever_for_an_upstream_that_is_silent() {
    let gateway = Gateway::new(settings([
        ("silent", prefixed(silent(), Era::Auto)),
        ("there", prefixed(there(), Era::Legacy)),
    ]));
    let mut client = RawClient::modern(&gateway, json!({}));

    assert_eq!(tools(&mut client).await, ["there__echo"]);
    soon(gateway.settled()).await;
    assert_eq!(tools(&mut client).await, ["there__echo"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_its_upstream_which_is_slower_to_start_than_the_first_list_waits() {
    let (script, _heard) = Script::new(false, |_, _| async { Ok(Raw::empty_object()) });
    let slow = script.start_slowly(Duration::from_secs(7));
    let gateway = Gateway::new(settings([
        ("slow", prefixed(slow, Era::Legacy)),
        ("there", prefixed(there(), Era::Legacy)),
    ]));
    let mut client = RawClient::modern(&gateway, json!({}));

    assert_eq!(tools(&mut client).await, ["there__echo"]);
    client.call("tools/call", &json!({"name": "slow__echo"})).await.unwrap();

    assert_eq!(tools(&mut client).await, ["slow__echo", "there__echo"]);
}
