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

/// Has the client list its tasks: the ids of each page.
async fn listed(client: &mut RawClient) -> Vec<Vec<Value>> {
    let (mut pages, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let page = client.call("tasks/list", &json!({"cursor": cursor})).await.unwrap();
        let tasks = page["tasks"].as_array().unwrap();
        pages.push(tasks.iter().map(|task| task["taskId"].clone()).collect());
        cursor = page["nextCursor"].clone();
        if cursor.is_null() {
            return pages;
        }
    }
}

/// A replica of which one page has nothing of interest, and the next one the task 7; or no next one, if it breaks.
async fn lists_in_pages(request: Request, breaks: bool) -> Outcome {
    let cursor = params(&request)["cursor"].clone();
    let task = json!({"taskId": "7", "status": "working"});
    match request.method.as_ref() {
        "tools/call" => Ok(raw(&json!({"task": task}))),
        _ if cursor.is_null() => Ok(raw(&json!({"tasks": [], "nextCursor": breaks.to_string()}))),
        _ if breaks => Err(raw(&json!({"code": -32603, "message": "the list is broken"}))),
        _ => {
            assert_eq!(cursor, "false", "it is asked for its own page");
            Ok(raw(&json!({"tasks": [task]})))
        }
    }
}

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
    script.capabilities(tasks_and_lists())
}

fn tasks_and_lists() -> Value {
    json!({"tools": {}, "tasks": {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}})
}

async fn over_replicas(scripts: [Script; 2]) -> Arc<Gateway> {
    let replicas = scripts.map(|script| Replica::new(Reach::InMemory(script.start())));
    let settings = UpstreamSettings::new(replicas.into());
    gateway([("far", UpstreamSettings { era: Era::Legacy, ..settings })]).await
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
    let gateway = over_replicas([script(), script()]).await;
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

#[tokio::test]
async fn the_tasks_of_all_replicas_are_listed_one_replica_after_the_other() {
    let pages = || Script::new(false, |request, _| lists_in_pages(request, false)).0;
    let gateway = over_replicas([pages(), pages()].map(|pages| pages.capabilities(tasks_and_lists()))).await;
    let mut client = client(&gateway).await;
    let (one, other) = (begin(&mut client).await, begin(&mut client).await);
    assert_ne!(one, other, "they are at different replicas");

    for _ in 0..3 {
        let pages = listed(&mut client).await;
        assert_eq!(pages.len(), 4);
        let mut tasks = pages.concat();
        tasks.sort_by_key(|task| *task != one);
        assert_eq!(tasks, [one.clone(), other.clone()]);
    }
}

#[tokio::test]
async fn a_list_that_breaks_off_is_told_from_one_that_has_ended() {
    let pages = |breaks| Script::new(false, move |request, _| lists_in_pages(request, breaks)).0;
    let gateway =
        over_replicas([true, false].map(|breaks| pages(breaks).capabilities(tasks_and_lists()))).await;
    let mut client = client(&gateway).await;

    let page = client.call("tasks/list", &json!({})).await.unwrap();
    for _ in 0..3 {
        let broken = client.call("tasks/list", &json!({"cursor": page["nextCursor"]})).await.unwrap_err();
        assert_eq!(broken["message"], "the list is broken");
    }
}

#[tokio::test]
async fn a_replica_that_cannot_list_does_not_keep_the_tasks_of_others_away() {
    let broken = Script::new(false, |_, _| async { Err(raw(&json!({"code": -32603, "message": "no"}))) }).0;
    let gateway = over_replicas([broken.capabilities(tasks_and_lists()), script()]).await;
    let mut client = client(&gateway).await;
    let _nothing = client.call("tools/call", &json!({"name": "far__echo", "task": {}})).await.unwrap_err();
    let id = begin(&mut client).await;

    assert_eq!(listed(&mut client).await, [vec![], vec![id]]);
}
