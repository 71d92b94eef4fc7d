//! `batch`: many calls at once, each with its result or error, in order.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use gateway::{BatchSettings, Expose, Gateway, Settings, UpstreamSettings};
use json_rpc::{Message, Request};
use mcp_transport::Era;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    calls::{client, era},
    client::RawClient,
    server::{Heard, Script, params},
    support::{prefixed, raw, settings, soon},
};

/// A gateway over these upstreams with the tool `batch`.
pub async fn batching(
    batch: BatchSettings,
    upstreams: impl IntoIterator<Item = (&'static str, UpstreamSettings)>,
) -> Arc<Gateway> {
    let gateway = Gateway::new(Settings { batch: Some(batch), ..settings(upstreams) });
    soon(gateway.settled()).await;
    gateway
}

/// The parameters of a call of `batch` with these calls.
pub fn batch(calls: impl IntoIterator<Item = Value>) -> Value {
    json!({"name": "batch", "arguments": {"calls": calls.into_iter().collect::<Vec<_>>()}})
}

/// What each call of a batch came to.
pub fn results(result: &Value) -> &Vec<Value> {
    assert_ne!(result["isError"], true, "{result}");
    let text = result["content"][0]["text"].as_str().expect("it is told as a text too");
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), result["structuredContent"]);
    result["structuredContent"]["results"].as_array().expect("a batch has results")
}

/// A server that says what it was asked.
pub fn says_back(is_modern: bool) -> Script {
    let answer = |request: Request, _| async move {
        let text = params(&request)["arguments"]["say"].to_string();
        Ok(raw(&json!({"content": [{"type": "text", "text": text}]})))
    };
    Script::new(is_modern, answer).0
}

fn hangs() -> (Script, Heard) {
    Script::new(true, |_, _| std::future::pending())
}

/// 100 calls, each fifth of which goes to an upstream that hangs.
async fn one_of_five_hangs(
    is_modern: bool,
    expose: Expose,
    bounds: BatchSettings,
) -> (Vec<Value>, Duration, Heard) {
    let (hanging, heard) = hangs();
    let upstreams = ["a", "b", "c", "d"]
        .map(|name| (name, prefixed(says_back(name < "c").start(), era(name < "c"))))
        .into_iter()
        .chain([("hangs", prefixed(hanging.start(), Era::Modern))]);
    let gateway = Gateway::new(Settings { batch: Some(bounds), expose, ..settings(upstreams) });
    soon(gateway.settled()).await;
    let mut client = client(&gateway, is_modern).await;
    let names = ["a", "b", "hangs", "c", "d"];
    let calls = (0..100).map(|call| {
        let (name, arguments) = (format!("{}__echo", names[call % 5]), json!({"say": call}));
        match expose {
            Expose::All => json!({"tool": name, "arguments": arguments}),
            Expose::Search => {
                json!({"tool": "call_tool", "arguments": {"name": name, "arguments": arguments}})
            }
        }
    });

    let began = Instant::now();
    let result = client.call("tools/call", &batch(calls)).await.unwrap();

    (results(&result).clone(), began.elapsed(), heard)
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_hangs_costs_its_own_calls_and_no_others() {
    let (all, search) = (Expose::All, Expose::Search);
    for (is_modern, expose, concurrency) in
        [(false, all, 32), (true, all, 32), (true, all, 2), (false, search, 32), (true, search, 2)]
    {
        let tool = if expose == search { "call_tool" } else { "hangs__echo" };
        let bounds = BatchSettings { concurrency, ..BatchSettings::default() };
        let (results, took, mut heard) = one_of_five_hangs(is_modern, expose, bounds).await;

        assert_eq!(results.len(), 100);
        for (call, told) in results.iter().enumerate() {
            if call % 5 == 2 {
                let error = &told["error"];
                assert_eq!((&told["tool"], &error["code"]), (&json!(tool), &json!(-32005)), "{told}");
                assert_eq!(error["data"]["code"], "TIMEOUT");
            } else {
                assert_eq!(told["result"]["content"][0]["text"], call.to_string(), "{told}");
            }
        }
        let unsent =
            results.iter().filter(|told| told["error"]["message"].to_string().contains("nothing was"));
        let sent = 20 - unsent.count();
        assert_eq!(sent, concurrency.min(20), "with {concurrency} at a time");
        assert!(took <= BatchSettings::default().timeout + Duration::from_millis(1), "it took {took:?}");
        // Each that was sent is told to stop.
        for _ in 0..2 * sent {
            soon(heard.recv()).await.unwrap();
        }
        let _ = heard.try_recv().expect_err("the upstream hears of no others");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_may_ask_for_less_time() {
    let (hanging, _heard) = hangs();
    let gateway = batching(BatchSettings::default(), [("far", prefixed(hanging.start(), Era::Modern))]).await;
    let mut client = client(&gateway, true).await;
    let mut call = batch([json!({"tool": "far__echo"})]);
    call["arguments"]["timeout_seconds"] = 0.25.into();

    let began = Instant::now();
    let result = client.call("tools/call", &call).await.unwrap();

    assert_eq!(results(&result)[0]["error"]["data"]["code"], "TIMEOUT");
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn each_call_comes_to_what_it_would_have_come_to_alone() {
    for newer_client in [false, true] {
        let answer = |request: Request, _| async move {
            match params(&request)["arguments"]["as"].as_str() {
                Some("error") => {
                    Err(raw(&json!({"code": -31999, "message": "no", "data": {"x": 1.5}, "more": true})))
                }
                Some("failure") => {
                    Ok(raw(&json!({"content": [], "isError": true, "resultType": "complete"})))
                }
                _ => Ok(raw(
                    &json!({"content": [], "structuredContent": {"y": 1.0}, "vendor": 1, "resultType": "complete"}),
                )),
            }
        };
        let (script, _heard) = Script::new(true, answer);
        let gateway =
            batching(BatchSettings::default(), [("far", prefixed(script.start(), Era::Modern))]).await;
        let mut client = client(&gateway, newer_client).await;
        let calls = [
            json!({"name": "far__echo", "arguments": {"as": "error"}}),
            json!({"name": "far__echo"}),
            json!({"name": "far__nothing", "arguments": {}}),
            json!({"name": "far__echo", "arguments": {"as": "failure"}}),
        ];
        let mut alone = Vec::new();
        for call in &calls {
            let told = match client.call("tools/call", call).await {
                Ok(result) => json!({"tool": call["name"], "result": result}),
                Err(error) => json!({"tool": call["name"], "error": error}),
            };
            alone.push(told);
        }

        let calls = calls.map(|mut call| {
            call["tool"] = call["name"].take();
            call.as_object_mut().unwrap().remove("name");
            call
        });
        let result = client.call("tools/call", &batch(calls)).await.unwrap();

        let mut together = results(&result).clone();
        for unknown in [&mut alone[2]["error"]["data"], &mut together[2]["error"]["data"]] {
            let context = unknown.as_object_mut().unwrap();
            assert!(context.contains_key("request_id") && context.contains_key("time"), "{context:?}");
            context.retain(|name, _| name == "code" || name == "operation" || name == "target");
        }
        assert_eq!(together, alone);
        assert_eq!(together[2]["error"]["data"]["code"], "TOOL_NOT_FOUND");
        assert_eq!(result.get("resultType").is_some(), newer_client);
    }
}

#[tokio::test]
async fn no_more_calls_are_under_way_than_the_settings_allow() {
    let (active, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (active.clone(), most.clone());
    let (script, _heard) = Script::new(true, move |_, _| {
        let (active, most) = counts.clone();
        async move {
            most.fetch_max(active.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            active.fetch_sub(1, Ordering::SeqCst);
            Ok(raw(&json!({"content": []})))
        }
    });
    let bounds = BatchSettings { concurrency: 3, ..BatchSettings::default() };
    let gateway = batching(bounds, [("far", prefixed(script.start(), Era::Modern))]).await;
    let mut client = client(&gateway, true).await;

    let calls = (0..20).map(|_| json!({"tool": "far__echo"}));
    let result = client.call("tools/call", &batch(calls)).await.unwrap();

    assert!(results(&result).iter().all(|told| told["result"].is_object()));
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn wrong_arguments_are_a_result_that_says_so() {
    let bounds = BatchSettings { max_calls: 2, ..BatchSettings::default() };
    let gateway = batching(bounds, [("far", prefixed(says_back(true).start(), Era::Modern))]).await;
    for newer in [false, true] {
        let mut client = client(&gateway, newer).await;
        let call = json!({"tool": "far__echo"});

        let result = client.call("tools/call", &batch([call.clone(), call.clone(), call])).await.unwrap();

        assert_eq!(result["isError"], true);
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(text.contains("make several batches"), "{text}");
        let error = client.call("tools/call", &json!({"name": "batch", "arguments": [1]})).await.unwrap_err();
        assert_eq!(error["data"]["code"], "INVALID_PARAMS");
    }
}

#[tokio::test]
async fn answers_that_are_too_large_together_are_left_out_one_by_one() {
    let (script, _heard) = Script::new(true, |request, _| async move {
        let length = params(&request)["arguments"]["length"].as_u64().unwrap();
        let text = "x".repeat(usize::try_from(length).unwrap());
        Ok(raw(&json!({"content": [{"type": "text", "text": text}]})))
    });
    let bounds = BatchSettings { concurrency: 1, ..BatchSettings::default() };
    let gateway = batching(bounds, [("far", prefixed(script.start(), Era::Modern))]).await;
    let mut client = client(&gateway, true).await;
    let lengths = [3 << 20, 2 << 20, 10, 1 << 19];

    let calls = lengths.map(|length| json!({"tool": "far__echo", "arguments": {"length": length}}));
    let result = client.call("tools/call", &batch(calls)).await.unwrap();

    let results = results(&result);
    assert_eq!(results[1]["error"]["data"]["code"], "OUTPUT_TOO_LARGE");
    assert_eq!(results[1]["error"]["data"]["upstream"], "far");
    for (place, length) in [(0, 3 << 20), (2, 10), (3, 1 << 19)] {
        assert_eq!(results[place]["result"]["content"][0]["text"].as_str().unwrap().len(), length);
    }
}

#[tokio::test]
async fn without_its_settings_there_is_no_batch() {
    let gateway = crate::support::gateway([("far", prefixed(says_back(true).start(), Era::Modern))]).await;
    let mut client = client(&gateway, true).await;

    let error = client.call("tools/call", &batch([json!({"tool": "far__echo"})])).await.unwrap_err();

    assert_eq!(error["data"]["code"], "TOOL_NOT_FOUND");
}

/// A server of this era that asks who is there, and says it back.
pub fn asks(is_modern: bool) -> (Script, Heard) {
    Script::new(is_modern, move |request, voice| async move {
        let asked = params(&request);
        let message = json!({"mode": "form", "message": asked["arguments"]["say"]});
        let said = if !is_modern {
            let said = voice.ask("elicitation/create", &message).await?;
            said.parse::<Value>().unwrap()
        } else if asked["inputResponses"].is_null() {
            let question = json!({"method": "elicitation/create", "params": message});
            let needed = json!({"resultType": "input_required", "inputRequests": {"who": question}});
            return Ok(raw(&needed));
        } else {
            asked["inputResponses"]["who"].clone()
        };
        let text = format!("{}: {}", asked["arguments"]["say"], said["content"]["name"]);
        Ok(raw(&json!({"content": [{"type": "text", "text": text}]})))
    })
}

/// The answer to a question that [`asks`] asks: its own message again.
pub fn echoed(question: &Value) -> Value {
    json!({"action": "accept", "content": {"name": question["message"]}})
}

#[tokio::test]
async fn two_calls_of_a_batch_ask_the_client_at_once_and_each_hears_its_own_answer() {
    // Two servers, of each era or of both, and one that is asked twice.
    let cases = [
        ([false, false], ["one", "two"]),
        ([false, true], ["one", "two"]),
        ([true, true], ["one", "two"]),
        ([false, false], ["one", "one"]),
        ([true, true], ["one", "one"]),
    ];
    for (newer_servers, names) in cases {
        for newer_client in [false, true] {
            let upstreams = ["one", "two"].into_iter().zip(newer_servers);
            let upstreams =
                upstreams.map(|(name, newer)| (name, prefixed(asks(newer).0.start(), era(newer))));
            let gateway = batching(BatchSettings::default(), upstreams).await;
            let mut client = client(&gateway, newer_client).await;
            let mut calls =
                names.map(|name| json!({"tool": format!("{name}__echo"), "arguments": {"say": "first"}}));
            calls[1]["arguments"]["say"] = "second".into();

            let result = if newer_client {
                by_coming_again(&mut client, batch(calls)).await
            } else {
                let id = client.begin("tools/call", &batch(calls)).await;
                let questions = [client.question().await, client.question().await];
                for question in questions.into_iter().rev() {
                    let answer = echoed(&params(&question));
                    client.reply(question.id, Ok(raw(&answer))).await;
                }
                client.end(&id).await.unwrap().parse().unwrap()
            };

            let told = results(&result).iter().map(|told| told["result"]["content"][0]["text"].clone());
            assert_eq!(
                told.collect::<Vec<_>>(),
                [r#""first": "first""#, r#""second": "second""#],
                "{result}"
            );
        }
    }
}

/// What a call comes to whose questions a client of the newer era answers.
pub async fn by_coming_again(client: &mut RawClient, mut call: Value) -> Value {
    loop {
        let result = client.call("tools/call", &call).await.unwrap();
        if result["resultType"] != "input_required" {
            return result;
        }
        let questions = result["inputRequests"].as_object().unwrap().iter();
        let answers = questions.map(|(key, question)| (key.clone(), echoed(&question["params"])));
        call["inputResponses"] = answers.collect();
        call["requestState"] = result["requestState"].clone();
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_in_which_the_client_is_asked_does_not_count() {
    for newer_client in [false, true] {
        let (script, _heard) = asks(false);
        let gateway =
            batching(BatchSettings::default(), [("far", prefixed(script.start(), Era::Legacy))]).await;
        let mut client = client(&gateway, newer_client).await;
        let call = batch([json!({"tool": "far__echo", "arguments": {"say": "x"}})]);
        let a_while = Duration::from_secs(300);

        let result = if newer_client {
            let mut call = call;
            let result = client.call("tools/call", &call).await.unwrap();
            tokio::time::sleep(a_while).await;
            let (key, _) = result["inputRequests"].as_object().unwrap().iter().next().unwrap();
            call["inputResponses"] = json!({key: echoed(&json!({"message": "x"}))});
            call["requestState"] = result["requestState"].clone();
            client.call("tools/call", &call).await.unwrap()
        } else {
            let id = client.begin("tools/call", &call).await;
            let question = client.question().await;
            tokio::time::sleep(a_while).await;
            client.reply(question.id, Ok(raw(&echoed(&json!({"message": "x"}))))).await;
            client.end(&id).await.unwrap().parse().unwrap()
        };

        assert_eq!(results(&result)[0]["result"]["content"][0]["text"], r#""x": "x""#, "{result}");
    }
}

/// Whether a server heard that a request is cancelled.
pub fn is_cancelled(message: &Message) -> bool {
    matches!(message, Message::Notification(told) if told.method == "notifications/cancelled")
}

#[tokio::test]
async fn a_batch_is_listed_with_what_it_takes_and_gives() {
    let bounds = BatchSettings { max_calls: 7, ..BatchSettings::default() };
    let gateway = batching(bounds, [("far", prefixed(says_back(true).start(), Era::Modern))]).await;
    for newer in [false, true] {
        let mut client = client(&gateway, newer).await;

        let list = client.call("tools/list", &json!({})).await.unwrap();

        let listed = list["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == "batch").unwrap();
        assert_eq!(listed["inputSchema"]["properties"]["calls"]["maxItems"], 7);
        assert_eq!(listed["outputSchema"]["required"], json!(["results"]));
        assert_eq!(listed["annotations"]["readOnlyHint"], false);
    }
}
