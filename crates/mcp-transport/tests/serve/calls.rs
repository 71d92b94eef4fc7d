//! What every transport does with a call, in both eras.

use serde_json::{Value, json};

use crate::{
    client::{Client, EVERYWHERE, Era, Wire},
    support::{Server, reaches},
};

const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

#[tokio::test]
async fn a_tool_is_called_everywhere() {
    let server = Server::start().await;
    for (wire, era) in EVERYWHERE {
        let mut client = Client::open(&server, wire, era).await;
        assert_eq!(
            client.text("echo", json!({"text": "a\n\u{1F600}"})).await,
            "a\n\u{1F600}",
            "{wire:?} {era:?}"
        );
    }
}

#[tokio::test]
async fn a_tool_that_panics_is_a_result_with_an_error_and_the_session_lives_on() {
    let server = Server::start().await;
    for (wire, era) in EVERYWHERE {
        let mut client = Client::open(&server, wire, era).await;
        let id = client.call("panic", json!({})).await;
        let answer = client.answer(id).await;
        assert_eq!(answer["result"]["isError"], true, "{wire:?} {era:?}: {answer}");
        assert!(!answer.to_string().contains("on purpose"), "{wire:?} {era:?}: {answer}");
        assert_eq!(client.text("echo", json!({"text": "a"})).await, "a");
    }
}

#[tokio::test]
async fn a_result_of_megabytes_arrives_whole() {
    let server = Server::start().await;
    for (wire, era) in EVERYWHERE {
        let mut client = Client::open(&server, wire, era).await;
        let text = client.text("big", json!({"bytes": 3_000_000})).await;
        assert_eq!(text.len(), 3_000_000, "{wire:?} {era:?}");
    }
}

#[tokio::test]
async fn progress_arrives_in_order_and_before_the_result() {
    let server = Server::start().await;
    for (wire, era) in EVERYWHERE {
        let mut client = Client::open(&server, wire, era).await;
        let id = client.call("flood", json!({"count": 100, "bytes": 10})).await;
        for count in 1..=100 {
            let notification = client.next().await;
            assert_eq!(
                notification["params"]["progress"],
                f64::from(count),
                "{wire:?} {era:?}: {notification}"
            );
        }
        assert_eq!(client.answer(id).await["result"]["content"][0]["text"], "all sent");
    }
}

#[tokio::test]
async fn known_methods_with_parameters_of_another_shape_are_invalid_and_unknown_methods_are_not_found() {
    let server = Server::start().await;
    for (wire, era) in EVERYWHERE {
        let mut client = Client::open(&server, wire, era).await;
        for (method, params, code) in [
            ("tools/call", json!({"name": "echo", "arguments": 7}), -32602),
            ("tools/call", json!({"arguments": {}}), -32602),
            ("tools/call", json!(["echo"]), -32602),
            ("resources/read", json!({}), -32602),
            ("prompts/get", json!({}), -32601), // this server has no prompts
            ("tools/none", json!({}), -32601),
        ] {
            // The header names what the body names, where there is one.
            if era == Era::Modern && params.get("name").is_none() {
                continue;
            }
            let answer = client.ask(method, params).await;
            assert_eq!(answer["error"]["code"], code, "{wire:?} {era:?} {method}: {answer}");
        }
        assert_eq!(client.text("echo", json!({"text": "a"})).await, "a");
    }
}

#[tokio::test]
async fn results_say_who_answered_and_how_long_they_last_to_clients_of_the_newer_era() {
    let server = Server::start().await;
    for (wire, era) in EVERYWHERE {
        let mut client = Client::open(&server, wire, era).await;
        let listed = client.ask("tools/list", json!({})).await["result"].take();
        let called =
            client.ask("tools/call", json!({"name": "echo", "arguments": {}})).await["result"].take();
        let modern = era == Era::Modern;
        for result in [&listed, &called] {
            let name = if modern { json!("fixture") } else { Value::Null };
            assert_eq!(result["_meta"][SERVER_INFO]["name"], name, "{wire:?} {era:?}: {result}");
        }
        assert_eq!(listed.get("ttlMs").is_some(), modern, "{wire:?} {era:?}: {listed}");
        assert_eq!(listed.get("cacheScope").is_some(), modern, "{wire:?} {era:?}: {listed}");
        assert!(called.get("ttlMs").is_none(), "{wire:?} {era:?}: {called}");
    }
}

#[tokio::test]
async fn more_requests_than_a_session_may_have_in_flight_are_refused_and_it_goes_on() {
    let server = Server::start().await;
    for (wire, era) in EVERYWHERE {
        if wire == Wire::Streamable && era == Era::Modern {
            continue; // each request is by itself
        }
        let begun = *server.state.begun.borrow();
        let mut client = Client::open(&server, wire, era).await;
        for count in 1..=256 {
            client.call("wait", json!({})).await;
            reaches(&server.state.begun, begun + count).await;
        }
        let answer = client.ask("tools/list", json!({})).await;
        assert_eq!(answer["error"]["code"], -32006, "{wire:?} {era:?}: {answer}");
        let cancelled = json!({"requestId": client.last_id() - 10, "reason": "enough"});
        client
            .write(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancelled}))
            .await;
        assert!(client.ask("tools/list", json!({})).await.get("result").is_some(), "{wire:?} {era:?}");
    }
}
