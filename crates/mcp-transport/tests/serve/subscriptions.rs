//! What changed is told in both eras, over every transport.

use serde_json::{Value, json};

use crate::{
    support::{META, Server, call, message, soon},
    wire::Wire,
};

const SUBSCRIBE: &str =
    r#"{"jsonrpc":"2.0","id":5,"method":"resources/subscribe","params":{"uri":"test://a"}}"#;

#[tokio::test]
async fn sessions_hear_of_what_they_subscribed_to_and_of_lists() {
    for transport in 0..3 {
        let server = Server::start(&[]).await; // of its own: changes are told to all sessions
        let (name, mut wire) = Wire::all(&server).await.remove(transport);
        assert!(wire.ask(SUBSCRIBE).await.get("result").is_some(), "{name}");
        wire.send(&call(6, "change")).await;
        let mut methods = Vec::new();
        let mut answered = false;
        while methods.len() < 2 || !answered {
            let heard = wire.receive().await;
            match heard["method"].as_str() {
                Some(method) => methods.push(method.to_owned()),
                None => answered = heard["id"] == 6,
            }
        }
        methods.sort();
        assert_eq!(
            methods,
            ["notifications/resources/updated", "notifications/tools/list_changed"],
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_listening_stream_of_the_newer_era_hears_of_what_it_asked_for() {
    let server = Server::start(&[]).await;
    let asked = r#""notifications":{"resourceSubscriptions":["test://a"]}"#;
    let listen =
        format!(r#"{{"jsonrpc":"2.0","id":5,"method":"subscriptions/listen","params":{{{asked},{META}}}}}"#);
    for mut wire in [Wire::stdio(&server.events), Wire::sse(&server).await, Wire::web_socket(&server).await] {
        let acknowledged = wire.ask(&listen).await;
        assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged", "{acknowledged}");
        let changed = soon(server.modern_call("change").send()).await.unwrap();
        assert_eq!(message(changed).await["result"]["isError"], false);
        let heard: Value = wire.receive().await;
        assert_eq!(heard["method"], "notifications/resources/updated", "not of tools: {heard}");
        assert_eq!(heard["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], json!(5));
    }
}

#[tokio::test]
async fn log_messages_are_for_those_who_ask() {
    let server = Server::start(&[]).await;
    let quiet = soon(server.modern_call("log").send()).await.unwrap().text().await.unwrap();
    assert!(!quiet.contains("notifications/message"), "{quiet}");
    let meta = META.replace("\"_meta\":{", r#""_meta":{"io.modelcontextprotocol/logLevel":"debug","#);
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"log","arguments":{{}},{meta}}}}}"#
    );
    let asking = server.post("/mcp", body).header("mcp-protocol-version", "2026-07-28");
    let asking = asking.header("mcp-method", "tools/call").header("mcp-name", "log");
    let told = soon(asking.send()).await.unwrap().text().await.unwrap();
    assert!(told.contains("notifications/message"), "{told}");
}
