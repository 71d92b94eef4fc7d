//! Messages whose answers are fetched later: the tasks extension.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::{
    session::{LEGACY, Pipe, call, connect, connect_to, modern, modern_with, server},
    support::{After, Script, StandIn},
};

fn with_tasks(params: Value) -> Value {
    modern_with(params, json!({"extensions": {"io.modelcontextprotocol/tasks": {}}}))
}

fn stream() -> Value {
    call("send_message_stream", json!({"message": "a", "conversation_id": "c"}))
}

/// Begins a task and gives its id.
async fn begin(client: &mut Pipe) -> String {
    let answer = client.ask("tools/call", with_tasks(stream())).await;
    let task = &answer["result"];
    assert_eq!((&task["resultType"], &task["status"]), (&json!("task"), &json!("working")), "{answer}");
    assert!(task["ttlMs"].as_u64().unwrap() > 0 && task["pollIntervalMs"].as_u64().unwrap() > 0);
    task["taskId"].as_str().unwrap().to_owned()
}

async fn get(client: &mut Pipe, id: &str) -> Value {
    client.ask("tasks/get", with_tasks(json!({"taskId": id}))).await["result"].take()
}

/// Asks until the task is over.
async fn over(client: &mut Pipe, id: &str) -> Value {
    let asking = async {
        loop {
            let task = get(client, id).await;
            if task["status"] != "working" {
                return task;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asking).await.expect("the task ends")
}

#[tokio::test]
async fn a_long_message_is_a_task_whose_result_is_fetched_later_and_is_sent_once() {
    let mut stand_in = StandIn::new([]).await;
    let server = server(&stand_in);
    let mut client = connect_to(&server).client;
    let discovered = client.ask("server/discover", modern(json!({}))).await;
    let extensions = &discovered["result"]["capabilities"]["extensions"];
    assert!(extensions["io.modelcontextprotocol/tasks"].is_object());

    let id = begin(&mut client).await;
    let task = over(&mut client, &id).await;

    assert_eq!((&task["status"], &task["resultType"]), (&json!("completed"), &json!("complete")));
    let result = &task["result"]["structuredContent"];
    assert_eq!((&result["success"], &result["aiResponse"]), (&json!(true), &json!("a language")));
    assert_eq!(result["conversationId"], "c");
    assert_eq!(stand_in.paths(), ["/stream"]);

    let mut other = connect_to(&server).client;
    assert_eq!(get(&mut other, &id).await["status"], "completed", "a task outlives its connection");
    let ack = other.ask("tasks/cancel", with_tasks(json!({"taskId": id}))).await;
    assert!(ack.get("error").is_none(), "{ack}");
    assert_eq!(get(&mut other, &id).await["status"], "completed", "what is over stays as it is");
}

#[tokio::test]
async fn a_task_outlives_the_session_that_began_it() {
    let now = Arc::new(Notify::new());
    let mut stand_in = StandIn::new([Script::AnswerWhen(now.clone(), "unused")]).await;
    let server = server(&stand_in);
    let mut first = connect_to(&server);
    let id = begin(&mut first.client).await;
    stand_in.next().await;
    drop(first.client);
    first.served.await.unwrap().unwrap();

    let mut second = connect_to(&server).client;
    assert_eq!(get(&mut second, &id).await["status"], "working");
    now.notify_one();
    let task = over(&mut second, &id).await; // what comes is no stream, so there is a second attempt
    assert_eq!(task["result"]["structuredContent"]["aiResponse"], "a language", "{task}");
}

#[tokio::test]
async fn cancelling_a_task_closes_its_request_to_server_b() {
    let mut stand_in = StandIn::new([Script::Stream(&["a "], After::Silence)]).await;
    let server = server(&stand_in);
    let mut client = connect_to(&server).client;
    let id = begin(&mut client).await;
    let seen = stand_in.next().await;

    let ack = client.ask("tasks/cancel", with_tasks(json!({"taskId": id}))).await;

    assert_eq!(ack["result"]["resultType"], "complete", "{ack}");
    seen.over.await.unwrap();
    assert_eq!(over(&mut client, &id).await["status"], "cancelled");
    let read = client.ask("resources/read", modern(json!({"uri": "conversation://c"}))).await;
    let text = read["result"]["contents"][0]["text"].as_str().unwrap();
    assert!(text.contains("\"cancelled\""), "it is in the history: {text}");
}

#[tokio::test]
async fn only_who_can_fetch_an_answer_and_does_not_watch_it_come_gets_a_task() {
    let stand_in = StandIn::new([]).await;
    let server = server(&stand_in);
    let mut client = connect_to(&server).client;
    let mut watched = with_tasks(stream());
    watched["_meta"]["progressToken"] = json!("t");
    let whole = with_tasks(call("send_message_to_ai", json!({"message": "a"})));
    let wrong = with_tasks(call("send_message_stream", json!({"message": ""})));
    for params in [modern(stream()), watched, whole, wrong] {
        let answer = client.ask("tools/call", params).await;
        assert_eq!(answer["result"]["resultType"], "complete", "{answer}");
    }
    let mut legacy = connect_to(&server).client;
    let capabilities = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
    legacy.initialize_with(LEGACY, capabilities).await;
    let answer = legacy.ask("tools/call", stream()).await;
    assert_eq!(answer["result"]["structuredContent"]["aiResponse"], "a language", "{answer}");
}

#[tokio::test]
async fn a_task_that_never_was_is_refused_and_so_is_a_client_without_the_extension() {
    let stand_in = StandIn::new([]).await;
    let mut client = connect(&stand_in).client;
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let params = json!({"taskId": "private words", "inputResponses": {}});
        let answer = client.ask(method, with_tasks(params.clone())).await;
        assert_eq!(answer["error"]["code"], -32602, "{method}: {answer}");
        assert!(!answer.to_string().contains("private words"), "{answer}");
        let answer = client.ask(method, modern(params)).await;
        assert_eq!(answer["error"]["code"], -32021, "{method}: {answer}");
        let answer = client.ask(method, with_tasks(json!({"taskId": 7}))).await;
        assert_eq!(answer["error"]["code"], -32602, "{method}: {answer}");
    }
}

#[tokio::test]
async fn running_tasks_count_as_calls() {
    let mut stand_in = StandIn::new(vec![Script::Silence; 64]).await;
    let mut client = connect(&stand_in).client;
    for _ in 0..64 {
        begin(&mut client).await;
        stand_in.next().await;
    }
    let answer = client.ask("tools/call", with_tasks(stream())).await;
    assert_eq!(answer["result"]["structuredContent"]["code"], "busy", "{answer}");
}

#[tokio::test]
async fn a_server_that_stops_calls_its_tasks_off() {
    let mut stand_in = StandIn::new([Script::Stream(&["a "], After::Silence)]).await;
    let server = server(&stand_in);
    let mut client = connect_to(&server).client;
    let id = begin(&mut client).await;
    let seen = stand_in.next().await;

    let stopping = tokio::spawn(async move { server.stop().await });
    tokio::task::yield_now().await; // it waits for the task
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(5)).await; // the grace period is over, the time to keep tasks is not
    tokio::time::resume();
    stopping.await.unwrap();

    seen.over.await.unwrap();
    assert_eq!(get(&mut client, &id).await["status"], "cancelled");
    let answer = client.ask("tools/call", with_tasks(stream())).await;
    assert_eq!(answer["result"]["resultType"], "complete", "no task begins any more: {answer}");
}
