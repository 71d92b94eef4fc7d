//! Tasks of several clients: each hears of its own, and is asked about its own.

use std::sync::Arc;

use gateway::{Gateway, Reach, Replica, UpstreamSettings};
use json_rpc::{Message, Outcome, Request};
use mcp_transport::Era;
use serde_json::{Value, json};

use crate::{
    client::RawClient,
    server::{Script, Voice, params},
    support::{gateway, prefixed, raw},
};

const RELATED: &str = "io.modelcontextprotocol/related-task";

/// A server that counts its tasks from 7. The tool `echo` becomes a task, or asks about the one that it is told.
async fn asks_about_tasks(request: Request, voice: Voice) -> Outcome {
    let given = params(&request);
    let task = json!({"taskId": "7", "status": "working"});
    match request.method.as_ref() {
        "tools/call" if given["arguments"]["about"].is_null() => Ok(raw(&json!({"task": task}))),
        "tools/call" => {
            let meta = json!({RELATED: {"taskId": given["arguments"]["about"]}, "progressToken": 1});
            let question = json!({"message": "who?", "requestedSchema": {"type": "object"}, "_meta": meta});
            let answer = voice.ask("elicitation/create", &question).await;
            let (Ok(answer) | Err(answer)) = answer;
            let answer: Value = answer.parse().unwrap();
            Ok(raw(&json!({"content": [], "answer": answer})))
        }
        "tasks/get" => {
            voice.tell("notifications/tasks/status", &task);
            Ok(raw(&task))
        }
        "tasks/list" => Ok(raw(&json!({"tasks": [task]}))),
        other => panic!("{other} is not expected"),
    }
}

fn script() -> Script {
    let (script, _heard) = Script::new(false, asks_about_tasks);
    let capabilities =
        json!({"tools": {}, "tasks": {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}});
    script.capabilities(capabilities)
}

async fn over(script: Script) -> Arc<Gateway> {
    gateway([("far", prefixed(script.start(), Era::Legacy))]).await
}

async fn client(gateway: &Arc<Gateway>) -> RawClient {
    RawClient::legacy(gateway, json!({"elicitation": {}})).await
}

/// Has the client begin a task: its id.
async fn begin(client: &mut RawClient) -> Value {
    let begun = client.call("tools/call", &json!({"name": "far__echo", "task": {}})).await.unwrap();
    begun["task"]["taskId"].clone()
}

fn about(task: &str) -> Value {
    json!({"name": "far__echo", "arguments": {"about": task}})
}

#[tokio::test]
async fn a_question_about_a_task_is_for_the_client_that_began_it() {
    let gateway = over(script()).await;
    let (mut first, mut second) = (client(&gateway).await, client(&gateway).await);
    let mut newer = RawClient::modern(&gateway, json!({"elicitation": {}}));
    let id = begin(&mut first).await;

    for caller in [&mut second, &mut newer] {
        let call = caller.begin("tools/call", &about("7")).await;
        let question = first.question().await;
        assert_eq!(params(&question)["_meta"], json!({RELATED: {"taskId": id}}));
        first.reply(question.id, Ok(raw(&json!({"action": "accept"})))).await;

        let result: Value = caller.end(&call).await.unwrap().parse().unwrap();
        assert_eq!(result["answer"]["action"], "accept");
    }
}

#[tokio::test]
async fn a_question_about_a_task_that_nobody_has_is_for_nobody() {
    let gateway = over(script()).await;
    let mut first = client(&gateway).await;
    begin(&mut first).await;
    first.leave().await;
    let mut second = client(&gateway).await;
    let mut newer = RawClient::modern(&gateway, json!({"elicitation": {}}));

    for caller in [&mut second, &mut newer] {
        for task in ["7", "8"] {
            let result = caller.call("tools/call", &about(task)).await.unwrap();
            assert_eq!(result["answer"]["data"]["code"], "NOT_ANSWERED", "{result}");
        }
    }
}

#[tokio::test]
async fn without_keys_a_session_lists_its_own_tasks_only() {
    let gateway = over(script()).await;
    let (mut first, mut second) = (client(&gateway).await, client(&gateway).await);
    let id = begin(&mut first).await;

    let own = first.call("tasks/list", &json!({})).await.unwrap();
    let others = second.call("tasks/list", &json!({})).await.unwrap();

    assert_eq!((&own["tasks"][0]["taskId"], &others["tasks"]), (&id, &json!([])));
}

#[tokio::test]
async fn replicas_that_count_their_tasks_alike_tell_each_client_of_its_own() {
    let replica = || Replica::new(Reach::InMemory(script().start()));
    let replicas = UpstreamSettings::new(vec![replica(), replica()]);
    let gateway = gateway([("far", UpstreamSettings { era: Era::Legacy, ..replicas })]).await;
    let (mut first, mut second) = (client(&gateway).await, client(&gateway).await);
    let (one, other) = (begin(&mut first).await, begin(&mut second).await);
    assert_ne!(one, other, "they are at different replicas");

    for (client, id) in [(&mut first, &one), (&mut second, &other)] {
        client.begin("tasks/get", &json!({"taskId": id})).await;
        // The answer and the news, in whichever order.
        for _ in 0..2 {
            let told: Value = match client.next().await {
                Message::Response(response) => response.outcome.unwrap().parse().unwrap(),
                Message::Notification(status) => status.params.unwrap().parse().unwrap(),
                Message::Request(question) => panic!("{question:?} is not expected"),
            };
            assert_eq!(&told["taskId"], id);
        }
    }
}
