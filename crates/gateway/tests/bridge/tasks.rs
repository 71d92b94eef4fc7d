//! Tasks through the gateway.

use std::{collections::BTreeMap, sync::Arc};

use gateway::Gateway;
use json_rpc::{Message, Outcome, Request};
use serde_json::{Value, json};

use crate::{
    calls::{era, request},
    client::RawClient,
    server::{Heard, Script, Voice, params},
    support::{gateway, prefixed, raw},
};

const EXTENSION: &str = "io.modelcontextprotocol/tasks";
const RELATED: &str = "io.modelcontextprotocol/related-task";

/// A server whose calls become the task `7`.
async fn works_later(request: Request, voice: Voice, is_modern: bool) -> Outcome {
    let given = params(&request);
    let task = json!({"taskId": "7", "status": "working", "vendor": 1.5});
    let whole = |mut task: Value, kind: &str| {
        task["resultType"] = kind.into();
        task
    };
    let result = match (request.method.as_ref(), is_modern) {
        ("tools/call", true) => whole(task, "task"),
        ("tools/call", false) => json!({"task": task}),
        ("tasks/get", _) if given["taskId"] != "7" => {
            return Err(raw(&json!({"code": -32602, "message": "unknown task"})));
        }
        ("tasks/get", true) => whole(task, "complete"),
        ("tasks/get", false) => {
            voice.tell("notifications/tasks/status", &task);
            task
        }
        ("tasks/update" | "tasks/cancel", _) => json!({"resultType": "complete", "got": given["taskId"]}),
        ("tasks/result", false) => json!({"content": [], "_meta": {RELATED: {"taskId": given["taskId"]}}}),
        ("tasks/list", false) if given["cursor"].is_null() => json!({"tasks": [], "nextCursor": "more"}),
        ("tasks/list", false) => json!({"tasks": [task, {"taskId": "8", "status": "working"}]}),
        (other, _) => panic!("{other} is not expected"),
    };
    Ok(raw(&result))
}

fn script(is_modern: bool) -> (Script, Heard) {
    let (script, heard) =
        Script::new(is_modern, move |request, voice| works_later(request, voice, is_modern));
    let capabilities = if is_modern {
        json!({"tools": {}, "extensions": {EXTENSION: {}}})
    } else {
        json!({"tools": {}, "tasks": {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}})
    };
    (script.capabilities(capabilities), heard)
}

async fn over(script: Script, is_modern: bool) -> Arc<Gateway> {
    gateway([("far", prefixed(script.start(), era(is_modern)))]).await
}

#[tokio::test]
async fn tasks_of_the_newer_era_are_fetched_answered_and_cancelled_by_the_ids_that_clients_were_given() {
    let (script, _heard) = script(true);
    let gateway = over(script, true).await;
    let mut client = RawClient::modern(&gateway, json!({"extensions": {EXTENSION: {}}}));

    let begun = client.call("tools/call", &json!({"name": "far__echo"})).await.unwrap();
    let id = begun["taskId"].clone();
    assert_ne!(id, "7");
    assert_eq!((&begun["resultType"], &begun["vendor"]), (&json!("task"), &json!(1.5)));

    let task = client.call("tasks/get", &json!({"taskId": id})).await.unwrap();
    assert_eq!((&task["taskId"], &task["resultType"]), (&id, &json!("complete")));
    for method in ["tasks/update", "tasks/cancel"] {
        let done = client.call(method, &json!({"taskId": id, "inputResponses": {}})).await.unwrap();
        assert_eq!(done["got"], "7");
    }
}

#[tokio::test]
async fn ids_that_were_not_given_lead_nowhere() {
    let (script, mut heard) = script(true);
    let gateway = over(script, true).await;
    let mut client = RawClient::modern(&gateway, json!({"extensions": {EXTENSION: {}}}));
    for wrong in [json!({"taskId": "7"}), json!({"taskId": 7}), json!({})] {
        assert_eq!(client.call("tasks/get", &wrong).await.unwrap_err()["code"], -32602);
    }
    for method in ["tasks/result", "tasks/list", "tasks/other"] {
        assert_eq!(client.call(method, &json!({})).await.unwrap_err()["code"], -32601, "{method}");
    }
    assert!(heard.try_recv().is_err(), "the upstream must hear nothing of it");

    let mut unable = RawClient::modern(&gateway, json!({}));
    let error = unable.call("tasks/get", &json!({"taskId": "7"})).await.unwrap_err();
    assert_eq!(
        (&error["code"], &error["data"]["requiredCapabilities"]["extensions"]),
        (&json!(-32021), &json!({EXTENSION: {}}))
    );
}

#[tokio::test]
async fn tasks_of_the_older_era_are_begun_followed_listed_and_fetched() {
    let (script, _heard) = script(false);
    let gateway = over(script, false).await;
    let mut client = RawClient::legacy(&gateway, json!({})).await;

    let begun = client.call("tools/call", &json!({"name": "far__echo", "task": {"ttl": 1}})).await.unwrap();
    let id = begun["task"]["taskId"].clone();
    assert_ne!(id, "7");
    client.begin("tasks/get", &json!({"taskId": id})).await;
    // The answer and the news, in whichever order.
    for _ in 0..2 {
        let told: Value = match client.next().await {
            Message::Response(response) => response.outcome.unwrap().parse().unwrap(),
            Message::Notification(status) => status.params.unwrap().parse().unwrap(),
            Message::Request(question) => panic!("{question:?} is not expected"),
        };
        assert_eq!((&told["taskId"], &told["vendor"]), (&id, &json!(1.5)));
    }

    let result = client.call("tasks/result", &json!({"taskId": id})).await.unwrap();
    assert_eq!(result["_meta"][RELATED]["taskId"], id);
    let cancelled = client.call("tasks/cancel", &json!({"taskId": id})).await.unwrap();
    assert_eq!(cancelled["got"], "7");
    let mut tasks = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let page = client.call("tasks/list", &json!({"cursor": cursor})).await.unwrap();
        tasks.extend(page["tasks"].as_array().unwrap().iter().map(|task| task["taskId"].clone()));
        cursor = page["nextCursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(tasks, [id], "a task that another client began is none of its business");
    let wrong = client.call("tasks/list", &json!({"cursor": "more"})).await.unwrap_err();
    assert_eq!(wrong["code"], -32602);
}

#[tokio::test]
async fn each_task_is_asked_for_where_it_was_begun() {
    let (first, mut first_heard) = script(true);
    let (second, mut second_heard) = script(true);
    let upstreams = [("a", prefixed(first.start(), era(true))), ("b", prefixed(second.start(), era(true)))];
    let gateway = gateway(upstreams).await;
    let mut client = RawClient::modern(&gateway, json!({"extensions": {EXTENSION: {}}}));
    let mut ids = BTreeMap::new();
    for name in ["a__echo", "b__echo"] {
        let begun = client.call("tools/call", &json!({"name": name})).await.unwrap();
        ids.insert(name, begun["taskId"].clone());
    }

    assert_ne!(ids["a__echo"], ids["b__echo"]);
    client.call("tasks/get", &json!({"taskId": ids["b__echo"]})).await.unwrap();

    for (heard, methods) in
        [(&mut first_heard, &["tools/call"][..]), (&mut second_heard, &["tools/call", "tasks/get"])]
    {
        for method in methods {
            assert_eq!(request(heard).await.method, *method);
        }
        assert!(heard.try_recv().is_err());
    }
}
