//! How clients of both eras and the gateway introduce themselves.

use std::sync::Arc;

use gateway::Gateway;
use json_rpc::Raw;
use mcp_transport::Era;
use serde_json::{Value, json};

use crate::{
    client::RawClient,
    server::Script,
    support::{gateway, prefixed, raw},
};

async fn echo() -> Arc<Gateway> {
    let (script, _heard) = Script::new(false, |_, _| async { Ok(Raw::empty_object()) });
    gateway([("far", prefixed(script.start(), Era::Legacy))]).await
}

fn introduction(version: &str) -> Value {
    json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}})
}

/// A client that has said nothing.
fn new(gateway: &Arc<Gateway>) -> RawClient {
    RawClient::modern(gateway, json!({}))
}

async fn ask(client: &mut RawClient, method: &str, params: &Value) -> Result<Value, Value> {
    let id = client.begin_raw(method, raw(params)).await;
    let outcome = client.end(&id).await;
    outcome.map(|raw| raw.parse().unwrap()).map_err(|raw| raw.parse().unwrap())
}

#[tokio::test]
async fn every_older_revision_is_agreed_to_and_others_get_the_newest_of_them() {
    let gateway = echo().await;
    for (wanted, agreed) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
    ] {
        let result = ask(&mut new(&gateway), "initialize", &introduction(wanted)).await.unwrap();
        assert_eq!(result["protocolVersion"], agreed);
        assert_eq!(result["serverInfo"]["name"], "mcp-gateway");
        assert!(result["capabilities"]["tools"].is_object());
    }
}

#[tokio::test]
async fn a_method_that_the_gateway_knows_is_never_passed_on_as_one_it_does_not() {
    let known = [
        "tools/call",
        "tools/list",
        "prompts/get",
        "prompts/list",
        "resources/read",
        "resources/list",
        "resources/templates/list",
        "resources/subscribe",
        "resources/unsubscribe",
        "completion/complete",
        "logging/setLevel",
        "initialize",
        "ping",
        "server/discover",
        "subscriptions/listen",
        "tasks/get",
        "tasks/list",
        "tasks/result",
        "tasks/update",
        "tasks/cancel",
        "tasks/other",
    ];
    let gateway = gateway([]).await;
    for mut client in [RawClient::legacy(&gateway, json!({})).await, RawClient::modern(&gateway, json!({}))] {
        for method in known.into_iter().chain(["tools/other"]) {
            let id = client.begin(method, &json!({})).await;
            let told = match client.end(&id).await {
                Ok(_) => String::new(),
                Err(raw) => raw.as_str().to_owned(),
            };
            let is_known = !told.contains("the gateway does not know this method");
            assert_eq!(
                (is_known, gateway::knows_method(method)),
                (known.contains(&method), is_known),
                "{method}: {told}"
            );
        }
    }
}

#[tokio::test]
async fn a_session_begins_once_and_nothing_but_a_ping_comes_before() {
    let gateway = echo().await;
    let mut client = new(&gateway);

    assert_eq!(ask(&mut client, "ping", &json!({})).await.unwrap(), json!({}));
    let early = ask(&mut client, "tools/list", &json!({})).await.unwrap_err();
    assert_eq!(early["code"], -32602);
    let mut large = introduction("2025-11-25");
    large["capabilities"] = json!({"experimental": {"x": "y".repeat(64 << 10)}});
    assert_eq!(ask(&mut client, "initialize", &large).await.unwrap_err()["code"], -32602);
    ask(&mut client, "initialize", &introduction("2025-11-25")).await.unwrap();
    ask(&mut client, "tools/list", &json!({})).await.unwrap();
    let again = ask(&mut client, "initialize", &introduction("2025-11-25")).await.unwrap_err();
    assert_eq!(again["code"], -32600);
}

#[tokio::test]
async fn a_newer_client_discovers_what_there_is() {
    let gateway = echo().await;
    let mut client = new(&gateway);

    let found = client.call("server/discover", &json!({})).await.unwrap();

    assert_eq!(found["resultType"], "complete");
    assert_eq!(found["supportedVersions"][0], "2026-07-28");
    assert_eq!(found["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "mcp-gateway");
    assert!(found["ttlMs"].is_u64() && found["cacheScope"].is_string());
    let list = client.call("tools/list", &json!({})).await.unwrap();
    assert_eq!(list["tools"][0]["name"], "far__echo");
    assert_eq!(list["resultType"], "complete");
}

#[tokio::test]
async fn a_request_that_does_not_say_what_the_newer_era_wants_is_refused() {
    let gateway = echo().await;
    let mut client = new(&gateway);
    let stamped = client.stamped(&json!({}));
    let changed = |key: &str, value: Option<Value>| {
        let mut params = stamped.clone();
        let meta = params["_meta"].as_object_mut().unwrap();
        match value {
            Some(value) => meta.insert(format!("io.modelcontextprotocol/{key}"), value),
            None => meta.remove(&format!("io.modelcontextprotocol/{key}")),
        };
        params
    };
    for (method, params, code) in [
        ("server/discover", json!({}), -32602),
        ("server/discover", changed("clientCapabilities", None), -32602),
        ("server/discover", changed("clientCapabilities", Some(json!([]))), -32602),
        ("server/discover", changed("protocolVersion", None), -32602),
        ("tools/list", changed("protocolVersion", Some(json!(7))), -32602),
        ("tools/list", changed("protocolVersion", Some(json!("2030-01-01"))), -32022),
        ("tools/list", json!({"_meta": 7}), -32602),
        ("tools/list", changed("clientCapabilities", Some(json!({"x": "y".repeat(64 << 10)}))), -32602),
    ] {
        let refused = ask(&mut client, method, &params).await.unwrap_err();
        assert_eq!(refused["code"], code, "{method} {params}");
        if code == -32022 {
            assert_eq!(refused["data"]["requested"], "2030-01-01");
            assert!(refused["data"]["supported"].as_array().unwrap().contains(&json!("2026-07-28")));
        }
    }
}

#[tokio::test]
async fn methods_of_the_other_era_are_not_known() {
    let gateway = echo().await;
    let mut newer = new(&gateway);
    for method in ["ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"] {
        assert_eq!(newer.call(method, &json!({})).await.unwrap_err()["code"], -32601, "{method}");
    }
    let mut older = RawClient::legacy(&gateway, json!({})).await;
    assert_eq!(older.call("subscriptions/listen", &json!({})).await.unwrap_err()["code"], -32601);
}

#[tokio::test]
async fn the_first_list_waits_for_the_upstreams() {
    let (script, _heard) = Script::new(true, |_, _| async { Ok(Raw::empty_object()) });
    let upstream = prefixed(script.start(), Era::Auto);
    let gateway = Gateway::new(crate::support::settings([("far", upstream)]));
    let mut client = new(&gateway);

    let list = client.call("tools/list", &json!({})).await.unwrap();

    assert_eq!(list["tools"][0]["name"], "far__echo");
}

#[tokio::test]
async fn a_cursor_that_no_list_gave_is_refused() {
    let gateway = echo().await;
    let mut client = new(&gateway);
    for cursor in [json!("made up"), json!(7)] {
        let refused = client.call("tools/list", &json!({"cursor": cursor})).await.unwrap_err();
        assert_eq!(refused["code"], -32602);
    }
}
