//! Clients that go away in the middle of a call.

use serde_json::json;

use crate::{
    client::{Client, EVERYWHERE, Era, Wire, http, session_headers},
    support::{Server, reaches, within},
};

#[tokio::test]
async fn the_call_of_a_client_that_has_gone_is_cancelled() {
    for (wire, era) in EVERYWHERE {
        if wire == Wire::Stdio || (wire, era) == (Wire::Streamable, Era::Legacy) {
            continue; // their clients may still want the answer
        }
        let server = Server::start().await;
        for tool in ["wait", "flood"] {
            let mut client = Client::open(&server, wire, era).await;
            client.call(tool, json!({"bytes": 10})).await;
            let begun = if tool == "wait" { &server.state.begun } else { &server.state.flooded };
            within(begun.subscribe().wait_for(|count| *count > 0)).await.unwrap();
            drop(client);
            within(server.state.cancelled.subscribe().wait_for(|count| *count > 0)).await.unwrap();
            server.state.cancelled.send_replace(0);
            reaches(&server.state.handlers, 0).await;
        }
    }
}

#[tokio::test]
async fn a_cancelled_call_is_told_so_and_the_session_goes_on() {
    for (wire, era) in EVERYWHERE {
        if (wire, era) == (Wire::Streamable, Era::Modern) {
            continue; // to close the response is to cancel
        }
        let server = Server::start().await;
        let mut client = Client::open(&server, wire, era).await;
        let id = client.call("wait", json!({})).await;
        reaches(&server.state.begun, 1).await;
        let cancelled = json!({"requestId": id, "reason": "enough"});
        client
            .write(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancelled}))
            .await;
        reaches(&server.state.cancelled, 1).await;
        assert_eq!(client.text("echo", json!({"text": "a"})).await, "a", "{wire:?} {era:?}");
    }
}

#[tokio::test]
async fn a_call_in_a_session_goes_on_without_its_response() {
    let server = Server::start().await;
    let mut client = Client::open(&server, Wire::Streamable, Era::Legacy).await;
    let session = client.session().unwrap().to_owned();
    let message = json!({"jsonrpc": "2.0", "id": 99, "method": "tools/call", "params": {"name": "wait"}});
    let accept = "application/json, text/event-stream";
    let request = http().post(server.url("/mcp")).header("accept", accept).json(&message);
    let response = session_headers(request, &session).send().await.unwrap();
    reaches(&server.state.begun, 1).await;
    drop(response);
    assert_eq!(client.text("echo", json!({"text": "a"})).await, "a");
    assert_eq!(*server.state.cancelled.borrow(), 0);
    server.state.release.add_permits(1);
    within(async {
        while server.state.release.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn when_the_input_ends_calls_in_flight_are_answered_and_listeners_are_let_go() {
    for era in [Era::Legacy, Era::Modern] {
        let server = Server::start().await;
        let mut client = Client::open(&server, Wire::Stdio, era).await;
        let id = client.call("wait", json!({})).await;
        reaches(&server.state.begun, 1).await;
        let listening = match era {
            Era::Legacy => None,
            Era::Modern => {
                let listen = json!({"notifications": {"toolsListChanged": true}});
                let id = client.send("subscriptions/listen", listen).await;
                assert_eq!(client.next().await["method"], "notifications/subscriptions/acknowledged");
                Some(id)
            }
        };
        client.end_input();
        if let Some(id) = listening {
            assert_eq!(client.answer(id).await["result"]["resultType"], "complete");
        }
        server.state.release.add_permits(1);
        assert_eq!(client.answer(id).await["result"]["content"][0]["text"], "released");
        within(client.served.take().unwrap()).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn an_input_that_ends_before_or_after_any_request_is_no_error() {
    let server = Server::start().await;
    for methods in [&[][..], &["server/discover"], &["tools/list"]] {
        let mut client = Client::connect(&server, Wire::Stdio, Era::Modern).await;
        for method in methods {
            client.ask(method, json!({})).await;
        }
        client.end_input();
        within(client.served.take().unwrap()).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn when_the_input_ends_a_call_that_never_ends_is_cut_after_the_grace_period() {
    let server = Server::start().await;
    for tool in ["wait", "deaf"] {
        let mut client = Client::open(&server, Wire::Stdio, Era::Legacy).await;
        client.call(tool, json!({})).await;
        let begun = if tool == "wait" { &server.state.begun } else { &server.state.deaf };
        reaches(begun, 1).await;
        tokio::time::pause(); // nothing here is more than memory: from here on seconds pass at once
        client.end_input();
        client.served.take().unwrap().await.unwrap().unwrap();
        tokio::time::resume();
    }
    assert_eq!((*server.state.cancelled.borrow(), *server.state.deaf.borrow()), (1, 0));
}
