//! Requests and their answers.

use serde_json::{Value, json};

use crate::{
    client::{Client, WIRES, Wire},
    support::{Server, reaches, within},
};

#[tokio::test]
async fn what_goes_through_keeps_its_text_but_for_the_line_breaks() {
    let server = Server::start().await;
    for wire in WIRES {
        let mut client = Client::connect(&server, wire).await;
        let params = r#"{"z":1.50,"a":12345678901234567890123,"é":"\u00e9\n","_x":{"b":null,"a":[]}}"#;
        client.write(format!(
            r#"{{"id":"7\u0041","params":{params},"extra":1,"method":"echo","jsonrpc":"2.0"}}"#
        ));
        let answer = client.text().await.unwrap();
        assert_eq!(answer, format!(r#"{{"jsonrpc":"2.0","id":"7\u0041","result":{params}}}"#), "{wire:?}");

        client.request(1, "fail", &json!({}));
        let error = r#"{"code":7,"message":"as it came","data":{"z":1.50},"extra":null}"#;
        let answer = client.text().await.unwrap();
        assert_eq!(answer, format!(r#"{{"jsonrpc":"2.0","id":1,"error":{error}}}"#), "{wire:?}");
    }
    for wire in [Wire::Sse, Wire::WebSocket] {
        let mut client = Client::connect(&server, wire).await;
        client.write("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"echo\",\"params\":{\r\n\"a\":\n1}}");
        assert_eq!(
            client.text().await.unwrap(),
            r#"{"jsonrpc":"2.0","id":2,"result":{  "a": 1}}"#,
            "{wire:?}"
        );
    }
}

#[tokio::test]
async fn requests_run_side_by_side_and_their_notifications_come_first_and_in_order() {
    let server = Server::start().await;
    for wire in WIRES {
        let mut client = Client::connect(&server, wire).await;
        client.request(1, "wait", &json!({}));
        client.request(2, "count", &json!({}));
        for count in 0..100 {
            assert_eq!(client.next().await["params"]["data"], count, "{wire:?}");
        }
        assert_eq!(client.next().await["id"], 2, "{wire:?}");
        server.fixture.release.add_permits(1);
        assert_eq!(client.next().await, json!({"jsonrpc": "2.0", "id": 1, "result": "released"}), "{wire:?}");
        client.request(3, "tell outside", &json!({}));
        assert_eq!(client.next().await["method"], "notifications/outside", "{wire:?}");
        assert_eq!(client.next().await["id"], 3, "{wire:?}");
    }
}

#[tokio::test]
async fn a_panic_is_an_error_and_the_conversation_goes_on() {
    let server = Server::start().await;
    for wire in WIRES {
        let mut client = Client::connect(&server, wire).await;
        client.request(1, "panic", &json!({}));
        let answer = client.next().await;
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(1), &json!(-32603)), "{wire:?}");
        assert!(!answer.to_string().contains("purpose"), "{answer}");
        client.write(json!({"jsonrpc": "2.0", "method": "notifications/panic"}));
        assert_eq!(client.ask(2, "echo").await, json!({}), "{wire:?}");
    }
}

#[tokio::test]
async fn a_request_that_is_cancelled_is_dropped_without_an_answer() {
    let server = Server::start().await;
    for wire in WIRES {
        let mut client = Client::connect(&server, wire).await;
        client.request(1, "wait", &json!({}));
        reaches(&server.fixture.running, 1).await;
        client.cancel(1);
        reaches(&server.fixture.running, 0).await;
        client.cancel(77); // of no request that is known: the endpoint hears of it
        assert_eq!(client.ask(1, "echo").await, json!({}), "{wire:?}"); // and its id is free again
        let heard = server.fixture.heard.send_replace(Vec::new());
        assert_eq!(heard, ["wait", "notifications/cancelled", "echo"], "{wire:?}");
    }
}

#[tokio::test]
async fn each_request_has_begun_before_the_next_message_is_heard() {
    let server = Server::start().await;
    for wire in [Wire::Streams, Wire::WebSocket] {
        let mut client = Client::connect(&server, wire).await;
        let mut expected = Vec::new();
        for id in 0..50 {
            client.request(id, "echo", &json!({}));
            client.write(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
            expected.extend(["echo", "notifications/initialized"]);
        }
        for id in 0..50 {
            assert_eq!(client.next().await["id"], id, "{wire:?}");
        }
        within(server.fixture.heard.subscribe().wait_for(|heard| heard.len() == 100)).await.unwrap();
        assert_eq!(server.fixture.heard.send_replace(Vec::new()), expected, "{wire:?}");
    }
}

#[tokio::test]
async fn more_requests_than_may_be_in_flight_are_refused_and_so_is_an_id_twice() {
    let server = Server::start().await;
    for wire in WIRES {
        let mut client = Client::connect(&server, wire).await;
        for id in 0..256 {
            client.request(id, "wait", &json!({}));
        }
        reaches(&server.fixture.running, 256).await;
        client.request(255, "echo", &json!({}));
        let refused = client.next().await;
        assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(255), &json!(-32600)), "{wire:?}");
        client.request(256, "echo", &json!({}));
        let refused = client.next().await;
        assert_eq!(refused["id"], 256, "{wire:?}");
        assert_eq!(
            (&refused["error"]["code"], &refused["error"]["data"]["code"]),
            (&json!(-32006), &json!("SERVER_OVERLOADED")),
            "{wire:?}"
        );
        client.cancel(9);
        reaches(&server.fixture.running, 255).await;
        assert_eq!(client.ask(256, "echo").await, json!({}), "{wire:?}");
        server.fixture.release.add_permits(255);
        let mut answered: Vec<Value> = Vec::new();
        while answered.len() < 255 {
            answered.push(client.next().await["id"].clone());
        }
        assert!(!answered.contains(&json!(9)), "{wire:?}");
        reaches(&server.fixture.running, 0).await;
    }
}

#[tokio::test]
async fn each_client_is_a_session_of_its_own() {
    let server = Server::start().await;
    let mut clients = Vec::new();
    for wire in WIRES {
        clients.push(Client::connect(&server, wire).await);
        reaches(&server.fixture.sessions, clients.len()).await;
    }
    let arrivals = server.fixture.arrivals.lock().unwrap().clone();
    assert_eq!(arrivals, ["Stdio, brief: false", "Http, brief: false", "Http, brief: false"]);
    within(async { drop(clients) }).await;
    reaches(&server.fixture.sessions, 0).await;
}
