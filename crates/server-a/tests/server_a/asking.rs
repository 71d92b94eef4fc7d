//! Questions to the user before a message is sent, in both eras.

use cost_calculator::Usd;
use serde_json::{Value, json};
use server_a::MessengerServer;

use crate::{
    session::{LEGACY, Pipe, call, connect, connect_to, modern, modern_with},
    support::{Script, StandIn, memory, messenger},
};

const LISTED: &str = r#"{"provider": "openai", "models": ["gpt-4", "gpt-4o"], "default": "gpt-4o"}"#;

fn unlisted() -> Value {
    call("send_message_to_ai", json!({"message": "a", "model": "gpt-9"}))
}

/// Parameters of the newer era, from a client that can ask.
fn asking(params: Value) -> Value {
    modern_with(params, json!({"elicitation": {"form": {}}}))
}

/// The same call again, with an answer.
fn again(mut params: Value, question: &Value, key: &str, answer: Value) -> Value {
    params["requestState"] = question["result"]["requestState"].clone();
    params["inputResponses"] = json!({key: answer});
    asking(params)
}

fn accept(content: Value) -> Value {
    json!({"action": "accept", "content": content})
}

/// A server that asks before a message that may cost more than half a cent.
fn careful(stand_in: &StandIn) -> MessengerServer {
    let server = MessengerServer::starting(Usd::from_f64(0.005));
    server.start(messenger(&stand_in.url, memory()));
    server
}

/// Calls in the older era as a client that can ask, and answers the question that comes; gives it, and the result.
async fn asked(client: &mut Pipe, params: Value, answer: Value) -> (Value, Value) {
    let id = client.request("tools/call", params).await;
    let question = client.next_that(|message| message["method"] == "elicitation/create").await;
    client.write(json!({"jsonrpc": "2.0", "id": question["id"], "result": answer})).await;
    (question, client.answer_to(id).await["result"].take())
}

async fn legacy_that_asks(server: &MessengerServer) -> Pipe {
    let mut client = connect_to(server).client;
    client.initialize_with(LEGACY, json!({"elicitation": {}})).await;
    client
}

#[tokio::test]
async fn a_legacy_client_is_asked_for_a_model_that_is_listed() {
    let mut stand_in = StandIn::new([Script::Json(LISTED)]).await;
    let server = MessengerServer::new(messenger(&stand_in.url, memory()));
    let mut client = legacy_that_asks(&server).await;

    let (question, result) = asked(&mut client, unlisted(), accept(json!({"model": "gpt-4"}))).await;

    let field = &question["params"]["requestedSchema"]["properties"]["model"];
    assert_eq!(field["enum"], json!(["gpt-4", "gpt-4o", "gpt-9"]));
    assert_eq!(field["default"], "gpt-4o");
    assert_eq!(result["structuredContent"]["success"], true, "{result}");
    assert_eq!(stand_in.next().await.path, "/models");
    assert_eq!(stand_in.next().await.body["model"], "gpt-4");
}

#[tokio::test]
async fn a_legacy_client_that_declines_or_answers_nonsense_sends_nothing() {
    let mut stand_in = StandIn::new([Script::Json(LISTED)]).await;
    let server = MessengerServer::new(messenger(&stand_in.url, memory()));
    let mut client = legacy_that_asks(&server).await;
    for (answer, code) in [
        (json!({"action": "decline"}), "declined"),
        (json!({"action": "cancel"}), "declined"),
        (accept(json!({"model": "rm -rf"})), "unanswered_question"),
        (accept(json!(7)), "unanswered_question"),
    ] {
        let (_, result) = asked(&mut client, unlisted(), answer).await;
        assert_eq!((&result["isError"], &result["structuredContent"]["code"]), (&json!(true), &json!(code)));
        assert!(result["structuredContent"]["detail"].as_str().unwrap().ends_with("nothing was sent"));
    }
    let id = client.request("tools/call", unlisted()).await;
    let question = client.next_that(|message| message["method"] == "elicitation/create").await;
    let error = json!({"code": -32601, "message": "no"});
    client.write(json!({"jsonrpc": "2.0", "id": question["id"], "error": error})).await;
    let result = client.answer_to(id).await;
    assert_eq!(result["result"]["structuredContent"]["code"], "unanswered_question", "{result}");
    assert_eq!(stand_in.paths(), ["/models"]);
}

#[tokio::test]
async fn cancelling_a_call_ends_its_question() {
    let mut stand_in = StandIn::new([Script::Json(LISTED)]).await;
    let server = MessengerServer::new(messenger(&stand_in.url, memory()));
    let mut client = legacy_that_asks(&server).await;
    let id = client.request("tools/call", unlisted()).await;
    let question = client.next_that(|message| message["method"] == "elicitation/create").await;
    client
        .write(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}))
        .await;
    let ended = client.next_that(|message| message["method"] == "notifications/cancelled").await;
    assert_eq!(ended["params"]["requestId"], question["id"]);
    assert_eq!(stand_in.paths(), ["/models"]);
}

#[tokio::test]
async fn a_modern_client_is_told_what_to_ask_and_calls_again() {
    let mut stand_in = StandIn::new([Script::Json(LISTED)]).await;
    let mut client = connect(&stand_in).client;

    let question = client.ask("tools/call", asking(unlisted())).await;

    assert_eq!(question["result"]["resultType"], "input_required", "{question}");
    let request = &question["result"]["inputRequests"]["model"];
    assert_eq!(
        (&request["method"], &request["params"]["mode"]),
        (&json!("elicitation/create"), &json!("form"))
    );
    assert_eq!(stand_in.paths(), ["/models"]);

    let params = again(unlisted(), &question, "model", accept(json!({"model": "gpt-4"})));
    let answer = client.ask("tools/call", params).await;
    assert_eq!(answer["result"]["structuredContent"]["success"], true, "{answer}");
    let seen = stand_in.next().await;
    assert_eq!((seen.path.as_str(), &seen.body["model"]), ("/process", &json!("gpt-4")));
}

#[tokio::test]
async fn a_modern_client_that_declines_sends_nothing_and_a_useless_answer_is_asked_for_again() {
    let mut stand_in = StandIn::new([Script::Json(LISTED)]).await;
    let mut client = connect(&stand_in).client;
    let question = client.ask("tools/call", asking(unlisted())).await;

    let declined = again(unlisted(), &question, "model", json!({"action": "decline"}));
    let answer = client.ask("tools/call", declined).await;
    assert_eq!(answer["result"]["structuredContent"]["code"], "declined", "{answer}");

    let useless = [
        again(unlisted(), &question, "other", accept(json!({"model": "gpt-4"}))),
        again(unlisted(), &question, "model", json!("gpt-4")),
        again(unlisted(), &question, "model", accept(json!({"model": "gpt-5"}))),
        {
            let mut without_state = again(unlisted(), &question, "model", accept(json!({"model": "gpt-4"})));
            without_state.as_object_mut().unwrap().remove("requestState");
            without_state
        },
    ];
    for params in useless {
        let answer = client.ask("tools/call", params).await;
        assert_eq!(answer["result"]["resultType"], "input_required", "{answer}");
    }
    assert_eq!(stand_in.paths(), ["/models"]);
}

#[tokio::test]
async fn a_state_that_belongs_to_something_else_is_refused() {
    let mut stand_in = StandIn::new([Script::Json(LISTED), Script::Json(LISTED)]).await;
    let mut client = connect(&stand_in).client;
    let question = client.ask("tools/call", asking(unlisted())).await;
    let answer = || accept(json!({"model": "gpt-4"}));
    let other_message = call("send_message_to_ai", json!({"message": "b", "model": "gpt-9"}));
    let other_tool = call("send_message_stream", json!({"message": "a", "model": "gpt-9"}));
    let mut wrong = vec![
        again(other_message, &question, "model", answer()),
        again(other_tool, &question, "model", answer()),
    ];
    let state = question["result"]["requestState"].as_str().unwrap();
    for forged in ["", "private words", &state[1..], &state.to_uppercase()] {
        let mut params = again(unlisted(), &question, "model", answer());
        params["requestState"] = json!(forged);
        wrong.push(params);
    }
    for params in wrong {
        let answer = client.ask("tools/call", params).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }

    let mut other_server = connect(&stand_in).client;
    let params = again(unlisted(), &question, "model", answer());
    assert_eq!(other_server.ask("tools/call", params).await["error"]["code"], -32602);
    assert_eq!(stand_in.paths(), ["/models"]);
}

#[tokio::test]
async fn a_client_that_cannot_ask_gets_what_it_always_got() {
    let mut stand_in = StandIn::new([]).await;
    let server = careful(&stand_in);
    let mut older = connect_to(&server).client;
    older.initialize(LEGACY).await;
    let mut newer = connect_to(&server).client;
    let urls_only = modern_with(unlisted(), json!({"elicitation": {"url": {}}}));
    let results = [
        older.ask("tools/call", unlisted()).await,
        newer.ask("tools/call", modern(unlisted())).await,
        newer.ask("tools/call", urls_only).await,
    ];
    for result in results {
        assert_eq!(result["result"]["structuredContent"]["success"], true, "{result}");
        assert_eq!(stand_in.next().await.body["model"], "gpt-9");
    }
    assert!(stand_in.paths().is_empty(), "nobody asked for the models");
}

#[tokio::test]
async fn nobody_is_asked_about_models_that_are_listed_or_not_known() {
    let stand_in = StandIn::new([Script::Json(LISTED)]).await;
    let mut client = connect(&stand_in).client;
    for model in ["gpt-4", "gpt-4o"] {
        let params = asking(call("send_message_to_ai", json!({"message": "a", "model": model})));
        let answer = client.ask("tools/call", params).await;
        assert_eq!(answer["result"]["structuredContent"]["success"], true, "{answer}");
    }
    let silent = StandIn::new([Script::Problem(503, None)]).await;
    let mut client = connect(&silent).client;
    let answer = client.ask("tools/call", asking(unlisted())).await;
    assert_eq!(answer["result"]["structuredContent"]["success"], true, "{answer}");
}

#[tokio::test]
async fn an_expensive_message_is_sent_when_the_user_says_so() {
    let mut stand_in = StandIn::new([Script::Json(LISTED)]).await;
    let server = careful(&stand_in);
    let mut client = connect_to(&server).client;
    let expensive =
        || call("send_message_to_ai", json!({"message": "a", "model": "gpt-4", "max_tokens": 1000}));

    let question = client.ask("tools/call", asking(expensive())).await;
    let message = question["result"]["inputRequests"]["confirm"]["params"]["message"].as_str().unwrap();
    assert!(message.contains("gpt-4") && message.contains("0.06"), "{message}");
    let refused = again(expensive(), &question, "confirm", accept(json!({"confirm": false})));
    let answer = client.ask("tools/call", refused).await;
    assert_eq!(answer["result"]["structuredContent"]["code"], "declined", "{answer}");
    assert_eq!(stand_in.paths(), ["/models"]);

    let params = again(expensive(), &question, "confirm", accept(json!({"confirm": true})));
    let answer = client.ask("tools/call", params).await;
    assert_eq!(answer["result"]["structuredContent"]["success"], true, "{answer}");

    let cheap = call("send_message_to_ai", json!({"message": "a", "model": "gpt-4", "max_tokens": 10}));
    let answer = client.ask("tools/call", asking(cheap)).await;
    assert_eq!(answer["result"]["structuredContent"]["success"], true, "{answer}");
    let usual = call("send_message_to_ai", json!({"message": "a"}));
    let answer = client.ask("tools/call", asking(usual)).await;
    assert_eq!(
        answer["result"]["resultType"], "input_required",
        "the default model and limit count: {answer}"
    );
}

#[tokio::test]
async fn both_questions_are_asked_one_after_the_other() {
    for is_modern in [true, false] {
        let mut stand_in = StandIn::new([Script::Json(LISTED)]).await;
        let server = careful(&stand_in);
        let params =
            || call("send_message_to_ai", json!({"message": "a", "model": "gpt-9", "max_tokens": 1000}));
        let result = if is_modern {
            let mut client = connect_to(&server).client;
            let first = client.ask("tools/call", asking(params())).await;
            let second = again(params(), &first, "model", accept(json!({"model": "gpt-4"})));
            let second = client.ask("tools/call", second).await;
            assert!(second["result"]["inputRequests"]["confirm"].is_object(), "{second}");
            let last = again(params(), &second, "confirm", accept(json!({"confirm": true})));
            client.ask("tools/call", last).await["result"].take()
        } else {
            let mut client = legacy_that_asks(&server).await;
            let id = client.request("tools/call", params()).await;
            for content in [json!({"model": "gpt-4"}), json!({"confirm": true})] {
                let question = client.next_that(|message| message["method"] == "elicitation/create").await;
                client
                    .write(json!({"jsonrpc": "2.0", "id": question["id"], "result": accept(content)}))
                    .await;
            }
            client.answer_to(id).await["result"].take()
        };
        assert_eq!(result["structuredContent"]["success"], true, "{result}");
        assert_eq!(stand_in.next().await.path, "/models");
        assert_eq!(stand_in.next().await.body["model"], "gpt-4");
        assert!(stand_in.paths().is_empty());
    }
}

#[tokio::test]
async fn a_task_begins_after_the_questions_are_answered() {
    let stand_in = StandIn::new([Script::Json(LISTED)]).await;
    let mut client = connect(&stand_in).client;
    let params = || call("send_message_stream", json!({"message": "a", "model": "gpt-9"}));
    let capabilities = json!({"elicitation": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}});
    let question = client.ask("tools/call", modern_with(params(), capabilities.clone())).await;
    assert_eq!(question["result"]["resultType"], "input_required", "{question}");
    let mut answered = again(params(), &question, "model", accept(json!({"model": "gpt-4"})));
    answered["_meta"]["io.modelcontextprotocol/clientCapabilities"] = capabilities;
    let answer = client.ask("tools/call", answered).await;
    assert_eq!(answer["result"]["resultType"], "task", "{answer}");
}
