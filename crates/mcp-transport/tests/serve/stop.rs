//! The end of a server.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{io::AsyncReadExt as _, net::TcpStream};

use crate::{
    client::{Client, EVERYWHERE, Era, MODERN, Wire, add_metadata},
    support::{Server, reaches, within},
};

#[tokio::test]
async fn calls_in_flight_are_answered_before_the_server_stops() {
    for (wire, era) in EVERYWHERE {
        let server = Server::start().await;
        let mut client = Client::open(&server, wire, era).await;
        let id = client.call("wait", json!({})).await;
        reaches(&server.state.begun, 1).await;
        server.stop.cancel();
        // It does not accept any more: it is stopping, and still there is time.
        within(async { while TcpStream::connect(server.address).await.is_ok() {} }).await;
        server.state.release.add_permits(1);
        let answer = client.answer(id).await;
        assert_eq!(answer["result"]["content"][0]["text"], "released", "{wire:?} {era:?}");
        if let Some(served) = client.served.take() {
            within(served).await.unwrap().unwrap();
        }
        let state = server.end().await;
        assert_eq!(*state.handlers.borrow(), 0, "{wire:?} {era:?}");
    }
}

#[tokio::test]
async fn clients_that_only_listen_do_not_hold_the_server_up() {
    let server = Server::start().await;
    let idle = TcpStream::connect(server.address).await.unwrap();
    let mut clients = vec![];
    for (wire, era) in EVERYWHERE {
        let mut client = Client::open(&server, wire, era).await;
        let listening = match era {
            Era::Legacy => None,
            Era::Modern => {
                let listen = json!({"notifications": {"toolsListChanged": true}});
                let id = client.send("subscriptions/listen", listen).await;
                assert_eq!(client.next().await["method"], "notifications/subscriptions/acknowledged");
                Some(id)
            }
        };
        clients.push((wire, listening, client));
    }
    let state = server.state.clone();
    server.end().await;
    for (wire, listening, client) in &mut clients {
        if let Some(id) = listening {
            let answer = client.answer(*id).await;
            assert_eq!(answer["result"]["resultType"], "complete", "{wire:?}: {answer}");
        }
        if let Some(served) = client.served.take() {
            within(served).await.unwrap().unwrap();
        }
        match (*wire, client.era) {
            (Wire::Streamable, Era::Modern) => {} // its response has ended with the answer
            (Wire::Streamable, Era::Legacy) => assert_eq!(client.next().await["closed"], "stream"),
            (Wire::WebSocket, _) => assert_eq!(client.next().await["closed"], 1001),
            _ => assert_eq!(client.next().await["closed"], "connection", "{wire:?}"),
        }
    }
    reaches(&state.handlers, 0).await;
    let mut nothing = vec![];
    { idle }.read_to_end(&mut nothing).await.unwrap();
    assert!(nothing.is_empty());
}

#[tokio::test]
async fn a_call_that_never_ends_is_cut_after_the_grace_period() {
    for (wire, era) in EVERYWHERE {
        if wire == Wire::Stdio {
            continue; // it has a test of its own
        }
        for tool in ["wait", "deaf"] {
            let server = Server::with(|options| options.timing.grace = Duration::from_millis(50)).await;
            let mut client = Client::open(&server, wire, era).await;
            client.call(tool, json!({})).await;
            let begun = if tool == "wait" { &server.state.begun } else { &server.state.deaf };
            reaches(begun, 1).await;
            let state = server.end().await;
            assert_eq!((*state.deaf.borrow(), *state.handlers.borrow()), (0, 0), "{wire:?} {era:?} {tool}");
        }
    }
}

#[tokio::test]
async fn what_a_call_waits_for_still_arrives_while_the_server_stops() {
    for wire in [Wire::Stdio, Wire::WebSocket] {
        let server = Server::start().await;
        let mut client = Client::open(&server, wire, Era::Legacy).await;
        let id = client.call("ask", json!({})).await;
        let question = client.next().await;
        assert_eq!(question["method"], "roots/list", "{wire:?}");
        server.stop.cancel();
        within(async { while TcpStream::connect(server.address).await.is_ok() {} }).await;
        client.write(json!({"jsonrpc": "2.0", "id": question["id"], "result": {"roots": []}})).await;
        assert_eq!(client.answer(id).await["result"]["content"][0]["text"], "0 roots", "{wire:?}");
        server.end().await;
    }
}

#[tokio::test]
async fn streams_of_http2_end_as_others_do() {
    let server = Server::start().await;
    let http = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let post = |method: &str, mut params: Value| {
        add_metadata(&mut params);
        let name = params["name"].as_str().unwrap_or_default().to_owned();
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let request = http.post(server.url("/mcp")).header("accept", "*/*").header("mcp-name", name);
        request.header("mcp-protocol-version", MODERN).header("mcp-method", method).json(&message).send()
    };
    let sse = http.get(server.url("/sse")).send().await.unwrap();
    let listening =
        post("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}})).await.unwrap();
    let calling = tokio::spawn(post("tools/call", json!({"name": "wait"})));
    reaches(&server.state.begun, 1).await;
    server.stop.cancel();
    assert!(within(listening.text()).await.unwrap().contains("\"resultType\":\"complete\""));
    assert!(within(sse.text()).await.unwrap().contains("sessionId"));
    server.state.release.add_permits(1);
    assert!(within(calling).await.unwrap().unwrap().text().await.unwrap().contains("released"));
    server.end().await;
}
