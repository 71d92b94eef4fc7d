//! Pipelines through the gateway: as tools, with what their stages say, ask and fail at.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gateway::Gateway;
use json_rpc::{Message, Outcome, Request};
use ledger::{Location, Runs};
use pipeline::{Definition, OnError, Pipeline, Stage, Step};
use serde_json::{Value, json};

use crate::{
    calls::{PAIRS, client, era},
    client::RawClient,
    server::{Heard, Script, Voice, params},
    support::{plain, raw, settings, soon},
};

/// A stage that calls this tool with this message.
pub fn stage(name: &str, tool: &str, message: &str) -> Step {
    Step::Stage(Stage {
        name: name.to_owned(),
        tool: tool.to_owned(),
        arguments: [("message".to_owned(), message.into())].into_iter().collect(),
        for_each: None,
        concurrency: 4,
        timeout: None,
        on_error: OnError::Stop,
    })
}

pub fn pipeline(name: &str, steps: Vec<Step>) -> Arc<Pipeline> {
    let input = BTreeMap::from([("message".to_owned(), json!({"type": "string", "default": "hello"}))]);
    let definition = Definition {
        name: name.to_owned(),
        description: format!("The pipeline {name}"),
        input: Some(input),
        steps,
        output: None,
        timeout: Duration::from_secs(600),
        max_output_bytes: 1 << 20,
    };
    Pipeline::new(definition).unwrap().into()
}

/// A gateway over this server whose tools keep their names, with these pipelines.
pub async fn over(script: Script, is_modern: bool, pipelines: Vec<Arc<Pipeline>>) -> Arc<Gateway> {
    let mut settings = settings([("far", plain(script.start(), era(is_modern)))]);
    settings.pipelines = pipelines;
    settings.runs = Some(Runs::open(&Location::Memory).unwrap());
    let gateway = Gateway::new(settings);
    soon(gateway.settled()).await;
    gateway
}

fn text(text: &str) -> Outcome {
    Ok(raw(&json!({"content": [{"type": "text", "text": text}]})))
}

pub fn named(names: &[&str]) -> Value {
    names.iter().map(|name| json!({"name": name, "inputSchema": {"type": "object"}})).collect()
}

/// A server that says what it was told, with these tools.
fn echoes(is_modern: bool, names: &[&str]) -> (Script, Heard) {
    let (script, heard) = Script::new(is_modern, |request, _| async move { echo(&request) });
    (script.tools(named(names)), heard)
}

pub fn echo(request: &Request) -> Outcome {
    let call = params(request);
    text(&format!(
        "{} {}",
        call["name"].as_str().unwrap(),
        call["arguments"]["message"].as_str().unwrap_or("-")
    ))
}

/// What tools this server was asked to call so far, that waits in the channel.
pub fn called(heard: &mut Heard) -> Vec<String> {
    let mut called = Vec::new();
    while let Ok(message) = heard.try_recv() {
        if let Message::Request(request) = message
            && request.method == "tools/call"
        {
            called.push(params(&request)["name"].as_str().unwrap().to_owned());
        }
    }
    called
}

pub async fn run(client: &mut RawClient, name: &str, arguments: Value) -> Value {
    client.call("tools/call", &json!({"name": name, "arguments": arguments})).await.unwrap()
}

#[tokio::test]
async fn a_pipeline_is_a_tool_whose_stages_hand_on_their_results() {
    for (newer_client, newer_server) in PAIRS {
        let (script, mut heard) = echoes(newer_server, &["one", "two"]);
        let steps =
            vec![stage("first", "one", "{{ input.message }}"), stage("second", "two", "<{{ first.text }}>")];
        let gateway = over(script, newer_server, vec![pipeline("both", steps)]).await;
        let mut client = client(&gateway, newer_client).await;

        let result = run(&mut client, "both", json!({"message": "hi"})).await;

        assert_eq!(result.get("isError"), None, "{result}");
        let report = &result["structuredContent"];
        assert_eq!(report["result"]["text"], "two <one hi>");
        let log: Vec<_> = report["execution_log"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| (entry["stage"].clone(), entry["tool"].clone(), entry["success"].clone()))
            .collect();
        assert_eq!(
            log,
            [("first".into(), "one".into(), true.into()), ("second".into(), "two".into(), true.into())]
        );
        assert!(report["run_id"].is_string(), "{report}");
        assert_eq!(result["content"], json!([{"type": "text", "text": "two <one hi>"}]), "not twice");
        assert_eq!(called(&mut heard), ["one", "two"]);
    }
}

#[tokio::test]
async fn a_pipeline_says_of_itself_what_all_its_stages_say() {
    let (script, _heard) = echoes(false, &[]);
    let tool = |name: &str, annotations: Value| json!({"name": name, "inputSchema": {"type": "object"}, "annotations": annotations});
    let tools = json!([
        tool("look", json!({"readOnlyHint": true, "openWorldHint": false})),
        tool("put", json!({"idempotentHint": true, "openWorldHint": false})),
        tool("add", json!({"destructiveHint": false})),
        tool("silent", json!({})),
    ]);
    let of = |name: &str, tools: &[&str]| {
        let steps = tools.iter().enumerate();
        pipeline(name, steps.map(|(number, tool)| stage(&format!("s{number}"), tool, "x")).collect())
    };
    let pipelines = vec![
        of("reads", &["look", "look"]),
        of("puts", &["look", "put"]),
        of("adds", &["look", "add"]),
        of("anything", &["look", "silent"]),
        of("absent", &["look", "nowhere"]),
        of("outer", &["reads", "look"]),
    ];
    let gateway = over(script.tools(tools), false, pipelines).await;
    let mut client = client(&gateway, true).await;

    let listed = client.call("tools/list", &json!({})).await.unwrap();

    let hints = |name: &str| {
        let tool = listed["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == name).unwrap();
        assert_eq!(tool["inputSchema"]["type"], "object", "{tool}");
        assert_eq!(tool["outputSchema"]["type"], "object", "{tool}");
        ["readOnlyHint", "idempotentHint", "destructiveHint", "openWorldHint"]
            .map(|hint| tool["annotations"][hint].as_bool().unwrap())
    };
    assert_eq!(hints("reads"), [true, true, false, false]);
    assert_eq!(hints("outer"), hints("reads"));
    assert_eq!(hints("puts"), [false, true, true, false]);
    assert_eq!(hints("adds"), [false, false, false, true]);
    assert_eq!(hints("anything"), [false, false, true, true]);
    assert_eq!(hints("absent"), [false, false, true, true]);
}

#[tokio::test]
async fn a_stage_that_fails_ends_the_pipeline_and_says_why() {
    let (script, mut heard) = Script::new(true, |request, _| async move {
        match params(&request)["name"].as_str().unwrap() {
            "refuses" => {
                Ok(raw(&json!({"content": [{"type": "text", "text": "not today"}], "isError": true})))
            }
            "breaks" => Err(raw(&json!({"code": -31999, "message": "it broke"}))),
            _ => echo(&request),
        }
    });
    let failing = [("refuses", "not today"), ("breaks", "it broke")];
    let pipelines = failing.map(|(tool, _)| {
        pipeline(&format!("{tool}_it"), vec![stage("bad", tool, "x"), stage("after", "echo", "x")])
    });
    let gateway = over(script.tools(named(&["refuses", "breaks", "echo"])), true, pipelines.into()).await;
    let mut client = client(&gateway, false).await;

    for (tool, why) in failing {
        let result = run(&mut client, &format!("{tool}_it"), json!({})).await;

        assert_eq!(result["isError"], true, "{result}");
        let report = &result["structuredContent"];
        let error = report["error"].as_str().unwrap();
        assert!(error.contains("bad") && error.contains(why), "{error}");
        assert_eq!(
            (&report["result"], &report["error_code"]),
            (&Value::Null, &json!("TOOL_EXECUTION_ERROR"))
        );
        assert!(result["content"][0]["text"].as_str().unwrap().contains(why), "{result}");
        assert!(!called(&mut heard).contains(&"echo".to_owned()));
    }
    let listed = run(&mut client, "resume_pipeline", json!({})).await;
    assert_eq!(listed["structuredContent"], json!({"runs": []}), "what failed is over");
}

/// A server whose tool `ask` asks the user, as its era has it.
async fn asks(is_modern: bool, request: Request, voice: Voice) -> Outcome {
    let call = params(&request);
    if call["name"] != "ask" {
        return echo(&request);
    }
    let question = json!({"message": "who?", "requestedSchema": {"type": "object", "properties": {}}});
    if !is_modern {
        let answer: Value = voice.ask("elicitation/create", &question).await.unwrap().parse().unwrap();
        return text(answer["content"]["name"].as_str().unwrap());
    }
    match call["inputResponses"]["who"]["content"]["name"].as_str() {
        Some(name) => text(name),
        None => Ok(raw(&json!({
            "resultType": "input_required",
            "requestState": "s",
            "inputRequests": {"who": {"method": "elicitation/create", "params": question}},
        }))),
    }
}

#[tokio::test]
async fn what_a_stage_asks_the_client_answers_and_the_stages_before_it_are_not_run_again() {
    let ada = json!({"action": "accept", "content": {"name": "Ada"}});
    for (newer_client, newer_server) in PAIRS {
        let (script, mut heard) =
            Script::new(newer_server, move |request, voice| asks(newer_server, request, voice));
        let steps = vec![
            stage("before", "one", "{{ input.message }}"),
            stage("name", "ask", "x"),
            stage("after", "two", "{{ name.text }}"),
        ];
        let script = script.tools(named(&["one", "ask", "two"]));
        let gateway = over(script, newer_server, vec![pipeline("asking", steps)]).await;
        let mut client = client(&gateway, newer_client).await;
        let call = json!({"name": "asking", "arguments": {}});

        let result = if newer_client {
            let needed = client.call("tools/call", &call).await.unwrap();
            assert_eq!(needed["resultType"], "input_required", "{needed}");
            let (key, question) = needed["inputRequests"].as_object().unwrap().iter().next().unwrap();
            assert_eq!(question["params"]["message"], "who?");
            let mut again = call.clone();
            again["requestState"] = needed["requestState"].clone();
            again["inputResponses"] = json!({ key: ada });
            client.call("tools/call", &again).await.unwrap()
        } else {
            let id = client.begin("tools/call", &call).await;
            let question = client.question().await;
            assert_eq!(params(&question)["message"], "who?");
            client.reply(question.id, Ok(raw(&ada))).await;
            client.end(&id).await.unwrap().parse().unwrap()
        };

        assert_eq!(result["structuredContent"]["result"]["text"], "two Ada", "{result}");
        let mut called = called(&mut heard);
        called.dedup(); // a newer upstream that asks is called again with the answer
        assert_eq!(called, ["one", "ask", "two"]);
    }
}

#[tokio::test]
async fn progress_is_told_for_each_stage_under_the_clients_token() {
    for (newer_client, newer_server) in PAIRS {
        let (script, _heard) = Script::new(newer_server, |request, voice| async move {
            let token = params(&request)["_meta"]["progressToken"].clone();
            voice.tell("notifications/progress", &json!({"progressToken": token, "progress": 77}));
            echo(&request)
        });
        let inner = pipeline("inner", vec![stage("deep", "one", "x")]);
        let outer =
            pipeline("outer", vec![stage("a", "one", "x"), stage("b", "inner", "x"), stage("c", "one", "x")]);
        let gateway = over(script.tools(named(&["one"])), newer_server, vec![inner, outer]).await;
        let mut client = client(&gateway, newer_client).await;

        let call = json!({"name": "outer", "arguments": {}, "_meta": {"progressToken": "mine"}});
        client.call("tools/call", &call).await.unwrap();

        let told = client.heard.iter().map(|told| told.params.as_ref().unwrap().parse::<Value>().unwrap());
        let told: Vec<_> = told.inspect(|told| assert_eq!(told["progressToken"], "mine")).collect();
        let steps: Vec<_> = told.iter().map(|told| told["progress"].as_u64().unwrap()).collect();
        assert!(steps.is_sorted_by(|a, b| a < b) && steps.last() == Some(&3), "{told:?}");
        assert!(told.iter().all(|told| told["total"] == 3), "{told:?}");
    }
}

#[tokio::test]
async fn a_pipeline_is_never_within_itself() {
    let (script, mut heard) = echoes(true, &["one"]);
    let pipelines = vec![
        pipeline("left", vec![stage("a", "one", "x"), stage("b", "right", "x")]),
        pipeline("right", vec![stage("c", "left", "x")]),
    ];
    let gateway = over(script, true, pipelines).await;
    let mut client = client(&gateway, true).await;

    let result = run(&mut client, "left", json!({})).await;

    assert_eq!(result["isError"], true);
    let error = result["structuredContent"]["error"].as_str().unwrap();
    assert!(error.contains("is at work already"), "{error}");
    assert_eq!(called(&mut heard), ["one"]);
}

#[tokio::test]
async fn wrong_arguments_are_told_so_that_a_model_can_do_better() {
    let (script, _heard) = echoes(true, &["one"]);
    let gateway = over(script, true, vec![pipeline("short", vec![stage("a", "one", "x")])]).await;
    let mut client = client(&gateway, true).await;
    for (tool, arguments, why) in [
        ("short", json!({"message": 1}), "message"),
        ("resume_pipeline", json!({"run_id": 1}), "run_id must be a text"),
        ("resume_pipeline", json!({"run_id": "x", "repeat": "yes"}), "repeat must be true or false"),
        ("resume_pipeline", json!({"run": "x"}), "allowed are run_id and repeat"),
        ("resume_pipeline", json!({"run_id": "x"}), "no run of yours"),
    ] {
        let result = run(&mut client, tool, arguments).await;

        assert_eq!(result["isError"], true, "{result}");
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(text.contains(why), "{text}");
    }
}

#[tokio::test]
async fn a_stage_that_was_not_delivered_leaves_the_run_to_be_resumed() {
    let (script, mut heard) = echoes(true, &["one"]);
    let steps = vec![stage("first", "one", "x"), stage("second", "nowhere", "x")];
    let gateway = over(script, true, vec![pipeline("early", steps)]).await;
    let mut client = client(&gateway, false).await;

    let result = run(&mut client, "early", json!({})).await;

    let report = &result["structuredContent"];
    assert_eq!((&result["isError"], &report["error_code"]), (&json!(true), &json!("TOOL_NOT_FOUND")));
    let run_id = report["run_id"].as_str().unwrap();
    assert!(result["content"][0]["text"].as_str().unwrap().contains(run_id), "{result}");
    let again = run(&mut client, "resume_pipeline", json!({"run_id": run_id})).await;
    assert_eq!(again["structuredContent"]["error_code"], "TOOL_NOT_FOUND", "{again}");
    assert_eq!(called(&mut heard), ["one"], "the first stage keeps its result");
}
