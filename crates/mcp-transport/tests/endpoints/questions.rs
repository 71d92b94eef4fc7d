//! What the endpoint asks its clients.

use serde_json::json;

use crate::{
    client::{Client, WIRES, Wire},
    support::{Server, reaches, within},
};

#[tokio::test]
async fn a_question_is_answered_by_the_response_of_its_id() {
    let server = Server::start().await;
    for wire in WIRES {
        let mut client = Client::connect(&server, wire).await;
        client.request(1, "ask", &json!({"n": 1}));
        client.request(2, "ask", &json!({"n": 2}));
        let (first, second) = (client.next().await, client.next().await);
        assert_eq!((&first["method"], &first["params"]["n"]), (&json!("roots/list"), &json!(1)), "{wire:?}");
        let error = json!({"code": -1, "message": "declined"});
        client.write(json!({"jsonrpc": "2.0", "id": "unknown", "result": {}}));
        client.write(json!({"jsonrpc": "2.0", "id": second["id"], "error": error}));
        assert_eq!(client.next().await, json!({"jsonrpc": "2.0", "id": 2, "error": error}), "{wire:?}");
        // Some clients write every number with a point.
        client.write(format!(r#"{{"jsonrpc":"2.0","id":{}.0,"result":{{"a":1}}}}"#, first["id"]));
        assert_eq!(client.next().await, json!({"jsonrpc": "2.0", "id": 1, "result": {"a": 1}}), "{wire:?}");
    }
}

#[tokio::test]
async fn a_question_that_nobody_waits_for_any_more_is_cancelled() {
    let server = Server::start().await;
    for wire in WIRES {
        let mut client = Client::connect(&server, wire).await;
        client.request(1, "ask", &json!({}));
        let question = client.next().await;
        server.fixture.release.add_permits(1);
        let cancelled = client.next().await;
        assert_eq!(cancelled["method"], "notifications/cancelled", "{wire:?}");
        assert_eq!(cancelled["params"]["requestId"], question["id"], "{wire:?}");
        assert_eq!(client.next().await["result"], "never mind", "{wire:?}");

        client.request(2, "ask", &json!({}));
        let question = client.next().await;
        client.cancel(2); // with the request its question goes too
        assert_eq!(client.next().await["params"]["requestId"], question["id"], "{wire:?}");
        assert_eq!(client.ask(3, "echo").await, json!({}), "{wire:?}");
    }
}

#[tokio::test]
async fn more_questions_than_may_be_open_cannot_be_asked() {
    let server = Server::start().await;
    for wire in WIRES {
        let mut client = Client::connect(&server, wire).await;
        client.request(1, "ask often", &json!({"times": 300}));
        let mut questions = Vec::new();
        while questions.len() < 256 {
            questions.push(client.next().await["id"].clone());
        }
        for id in questions {
            client.write(json!({"jsonrpc": "2.0", "id": id, "result": {}}));
        }
        assert_eq!(client.next().await["result"], 44, "{wire:?}"); // that were not asked
        client.request(2, "ask often", &json!({"times": 1}));
        let question = client.next().await;
        client.write(json!({"jsonrpc": "2.0", "id": question["id"], "result": {}}));
        assert_eq!(client.next().await["result"], 0, "{wire:?}");
    }
}

#[tokio::test]
async fn when_the_input_has_ended_questions_have_no_answer_and_are_not_waited_for() {
    let server = Server::start().await;
    let mut client = Client::connect(&server, Wire::Streams).await;
    client.request(1, "ask", &json!({}));
    assert_eq!(client.next().await["method"], "roots/list");
    client.end_input();
    let answer = client.next().await;
    assert_eq!((&answer["id"], &answer["error"]["message"]), (&json!(1), &json!("the client has left")));
    within(client.served.take().unwrap()).await.unwrap().unwrap();
    reaches(&server.fixture.sessions, 0).await;
}

#[tokio::test]
async fn a_client_can_still_answer_while_the_server_stops() {
    // Over HTTP+SSE answers come on connections of their own, and a server that stops accepts none.
    for wire in [Wire::Streams, Wire::WebSocket] {
        let server = Server::start().await;
        let mut client = Client::connect(&server, wire).await;
        client.request(1, "ask", &json!({}));
        let question = client.next().await;
        server.stop.cancel();
        client.write(json!({"jsonrpc": "2.0", "id": question["id"], "result": {"a": 1}}));
        assert_eq!(client.next().await["result"], json!({"a": 1}), "{wire:?}");
        assert_eq!(client.text().await, None, "{wire:?}");
        server.end().await;
    }
}
