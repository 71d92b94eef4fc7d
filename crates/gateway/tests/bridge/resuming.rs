//! Runs of pipelines that were cut off, and go on where they were.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use json_rpc::{Id, Message, Notification};
use pipeline::{OnError, Stage, Step};
use serde_json::{Value, json};

use crate::{
    calls::{client, request},
    client::RawClient,
    pipelines::{called, echo, named, over, pipeline, run, stage},
    server::{Script, params},
    support::{raw, soon},
};

/// The run that was cut off.
async fn cut_off(client: &mut RawClient) -> String {
    let listed = run(client, "resume_pipeline", json!({})).await;
    let runs = listed["structuredContent"]["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 1, "{listed}");
    assert_eq!(runs[0]["input"], json!({"message": "hello"}));
    runs[0]["run_id"].as_str().unwrap().to_owned()
}

async fn cancel(client: &mut RawClient, id: &Id) {
    let params = json!({"requestId": id.as_raw().parse::<Value>().unwrap()});
    client.send(Notification::new("notifications/cancelled", Some(raw(&params)))).await;
}

#[tokio::test]
async fn a_cancelled_pipeline_cancels_the_stage_that_runs_and_can_be_resumed() {
    for newer_client in [false, true] {
        let (script, mut heard) = Script::new(false, |request, _| async move {
            match params(&request)["name"].as_str().unwrap() {
                "slow" => std::future::pending().await,
                _ => echo(&request),
            }
        });
        let annotated = json!([
            {"name": "one", "inputSchema": {"type": "object"}},
            {"name": "slow", "inputSchema": {"type": "object"}, "annotations": {"idempotentHint": true}},
        ]);
        let steps = vec![stage("first", "one", "x"), stage("second", "slow", "x")];
        let gateway = over(script.tools(annotated), false, vec![pipeline("long", steps)]).await;
        let mut client = client(&gateway, newer_client).await;
        let id = client.begin("tools/call", &json!({"name": "long", "arguments": {}})).await;
        request(&mut heard).await;
        let slow = request(&mut heard).await;

        cancel(&mut client, &id).await;

        let told = loop {
            match soon(heard.recv()).await.unwrap() {
                Message::Notification(told) if told.method == "notifications/cancelled" => break told,
                _ => {}
            }
        };
        let told: Value = told.params.unwrap().parse().unwrap();
        assert_eq!(told["requestId"], slow.id.as_raw().parse::<Value>().unwrap());

        let run_id = cut_off(&mut client).await;
        let again = json!({"name": "resume_pipeline", "arguments": {"run_id": run_id}});
        client.begin("tools/call", &again).await;
        let second = request(&mut heard).await;
        assert_eq!(params(&second)["name"], "slow", "the first stage keeps its result");
        let twice = run(&mut client, "resume_pipeline", json!({"run_id": run_id})).await;
        assert_eq!(twice["structuredContent"]["error_code"], "RUN_IS_RUNNING", "{twice}");
    }
}

#[tokio::test]
async fn a_stage_of_which_nobody_knows_whether_it_ran_is_run_again_only_when_the_caller_says_so() {
    let is_well = Arc::new(AtomicBool::new(false));
    let well = is_well.clone();
    let (script, mut heard) = Script::new(false, move |request, _| {
        let waits = params(&request)["name"] == "two" && !well.load(Ordering::SeqCst);
        async move { if waits { std::future::pending().await } else { echo(&request) } }
    });
    let script = script.tools(named(&["one", "two"]));
    let hang_up = script.hang_up();
    let steps = vec![stage("first", "one", "x"), stage("second", "two", "{{ first.text }}")];
    let gateway = over(script, false, vec![pipeline("risky", steps)]).await;
    let mut client = client(&gateway, true).await;
    let id = client.begin("tools/call", &json!({"name": "risky", "arguments": {}})).await;
    request(&mut heard).await;
    request(&mut heard).await;
    hang_up();
    let lost: Value = client.end(&id).await.unwrap().parse().unwrap();
    assert_eq!(lost["structuredContent"]["error_code"], "DELIVERY_UNKNOWN", "{lost}");
    is_well.store(true, Ordering::SeqCst);
    let run_id = cut_off(&mut client).await;
    assert!(lost["content"][0]["text"].as_str().unwrap().contains(&run_id), "{lost}");

    let still = run(&mut client, "resume_pipeline", json!({"run_id": run_id})).await;

    assert_eq!(
        (&still["isError"], &still["structuredContent"]["error_code"]),
        (&json!(true), &json!("DELIVERY_UNKNOWN"))
    );
    assert!(still["content"][0]["text"].as_str().unwrap().contains("repeat"), "{still}");
    assert_eq!(called(&mut heard), [""; 0]);

    let again = run(&mut client, "resume_pipeline", json!({"run_id": run_id, "repeat": true})).await;

    assert_eq!(again["structuredContent"]["result"]["text"], "two one x", "{again}");
    assert_eq!(again["structuredContent"]["run_id"], run_id.as_str());
    assert_eq!(called(&mut heard), ["two"]);
    let over = run(&mut client, "resume_pipeline", json!({"run_id": run_id})).await;
    assert_eq!(over["structuredContent"]["error_code"], "RUN_IS_OVER", "{over}");
}

#[tokio::test]
async fn a_pipeline_within_another_goes_on_with_it_and_none_of_its_stages_runs_twice() {
    let is_well = Arc::new(AtomicBool::new(false));
    let well = is_well.clone();
    let (script, mut heard) = Script::new(false, move |request, _| {
        let waits = params(&request)["name"] == "look" && !well.load(Ordering::SeqCst);
        async move { if waits { std::future::pending().await } else { echo(&request) } }
    });
    let tools = json!([
        {"name": "one", "inputSchema": {"type": "object"}},
        {"name": "look", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": true}},
    ]);
    let inner =
        pipeline("inner", vec![stage("a", "one", "{{ input.message }}"), stage("b", "look", "{{ a.text }}")]);
    let outer = pipeline(
        "outer",
        vec![
            stage("x", "one", "{{ input.message }}"),
            stage("y", "inner", "{{ x.text }}"),
            stage("z", "one", "{{ y.structured.result.text }}"),
        ],
    );
    let gateway = over(script.tools(tools), false, vec![inner, outer]).await;
    let mut client = client(&gateway, false).await;
    let id = client.begin("tools/call", &json!({"name": "outer", "arguments": {}})).await;
    for _ in 0..3 {
        request(&mut heard).await;
    }
    cancel(&mut client, &id).await;
    let run_id = cut_off(&mut client).await;
    is_well.store(true, Ordering::SeqCst);

    let result = run(&mut client, "resume_pipeline", json!({"run_id": run_id})).await;

    assert_eq!(result["structuredContent"]["result"]["text"], "one look one one hello", "{result}");
    assert_eq!(called(&mut heard), ["look", "one"], "the one that was cut off, and the last");
    let listed = run(&mut client, "resume_pipeline", json!({})).await;
    assert_eq!(listed["structuredContent"], json!({"runs": []}));
}

/// The stage, once for each of one item, whose failures are let pass.
fn each_goes_on(step: Step) -> Stage {
    let Step::Stage(stage) = step else { panic!("a stage") };
    Stage { for_each: Some("{{ ['x'] }}".to_owned()), on_error: OnError::Continue, ..stage }
}

#[tokio::test]
async fn nothing_is_called_when_a_part_of_the_run_cannot_go_on() {
    let is_well = Arc::new(AtomicBool::new(false));
    let well = is_well.clone();
    let (script, mut heard) = Script::new(false, move |request, _| {
        let waits = !well.load(Ordering::SeqCst);
        async move { if waits { std::future::pending().await } else { echo(&request) } }
    });
    let tools = json!([
        {"name": "pay", "inputSchema": {"type": "object"}},
        {"name": "look", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": true}},
        {"name": "last", "inputSchema": {"type": "object"}},
    ]);
    let inner = pipeline("inner", vec![stage("a", "pay", "x")]);
    let both =
        vec![each_goes_on(stage("beside", "look", "x")), each_goes_on(stage("part", "inner", "{{ item }}"))];
    let outer = pipeline("outer", vec![Step::Parallel(both), stage("z", "last", "x")]);
    let gateway = over(script.tools(tools), false, vec![inner, outer]).await;
    let mut client = client(&gateway, false).await;
    let id = client.begin("tools/call", &json!({"name": "outer", "arguments": {}})).await;
    for _ in 0..2 {
        request(&mut heard).await;
    }
    cancel(&mut client, &id).await;
    let run_id = cut_off(&mut client).await;
    is_well.store(true, Ordering::SeqCst);

    let refused = run(&mut client, "resume_pipeline", json!({"run_id": run_id})).await;

    assert_eq!(refused["structuredContent"]["error_code"], "DELIVERY_UNKNOWN", "{refused}");
    assert_eq!(called(&mut heard), [""; 0]);
    assert_eq!(cut_off(&mut client).await, run_id, "it can still be resumed");
    let again = run(&mut client, "resume_pipeline", json!({"run_id": run_id, "repeat": true})).await;
    assert_eq!(again["structuredContent"]["result"]["text"], "last x", "{again}");
    let mut called = called(&mut heard);
    called[..2].sort_unstable();
    assert_eq!(called, ["look", "pay", "last"]);
}
