//! What calls of the gateway's own tools have in common: state, questions, news, cancellation, in both eras.

use std::{sync::Arc, time::Duration};

use gateway::{BatchSettings, CacheScope, CacheSettings, Gateway, UpstreamSettings};
use json_rpc::{Message, Notification, Raw};
use mcp_transport::Era;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    batch::{asks, batch, batching, by_coming_again, echoed, is_cancelled, results},
    calls::{client, era, request},
    client::RawClient,
    server::{Heard, Script, params},
    support::{prefixed, raw, soon},
};

/// The eras of client and upstream: whether each is the newer one.
const PAIRS: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

async fn over(script: Script, is_modern: bool) -> Arc<Gateway> {
    batching(BatchSettings::default(), [("far", prefixed(script.start(), era(is_modern)))]).await
}

fn one_call() -> Value {
    batch([json!({"tool": "far__echo", "arguments": {"say": "x"}})])
}

async fn cancellations(heard: &mut Heard, count: usize) {
    for _ in 0..count {
        while !is_cancelled(&soon(heard.recv()).await.unwrap()) {}
    }
}

#[tokio::test]
async fn nothing_is_a_part_of_itself() {
    let (script, mut heard) = asks(true);
    let gateway = over(script, true).await;
    for newer in [false, true] {
        let mut client = client(&gateway, newer).await;

        let inner = json!({"tool": "batch", "arguments": {"calls": [{"tool": "far__echo"}]}});
        let result = client.call("tools/call", &batch([inner])).await.unwrap();

        let error = &results(&result)[0]["error"];
        assert_eq!(error["data"]["code"], "WITHIN_ITSELF", "{error}");
        assert_eq!(error["data"]["target"], "batch");
    }
    assert!(heard.try_recv().is_err(), "the inner call must not be made");
}

#[tokio::test]
async fn what_a_part_asks_reaches_the_client_and_the_answer_the_part() {
    for (newer_client, newer_server) in PAIRS {
        let gateway = over(asks(newer_server).0, newer_server).await;
        let mut client = client(&gateway, newer_client).await;

        let result = if newer_client {
            by_coming_again(&mut client, one_call()).await
        } else {
            let id = client.begin("tools/call", &one_call()).await;
            let question = client.question().await;
            assert_eq!(params(&question)["message"], "x");
            client.reply(question.id.clone(), Ok(raw(&echoed(&params(&question))))).await;
            client.end(&id).await.unwrap().parse().unwrap()
        };

        assert_eq!(results(&result)[0]["result"]["content"][0]["text"], r#""x": "x""#);
    }
}

#[tokio::test]
async fn a_part_that_cannot_ask_fails_and_the_others_go_on() {
    for newer_client in [false, true] {
        let (script, _heard) = asks(true);
        let upstreams = [
            ("far", prefixed(script.start(), Era::Modern)),
            ("near", prefixed(crate::batch::says_back(true).start(), Era::Modern)),
        ];
        let gateway = batching(BatchSettings::default(), upstreams).await;
        let mut client = if newer_client {
            RawClient::modern(&gateway, json!({}))
        } else {
            RawClient::legacy(&gateway, json!({})).await
        };

        let calls = batch([json!({"tool": "far__echo"}), json!({"tool": "near__echo"})]);
        let result = client.call("tools/call", &calls).await.unwrap();

        assert_eq!(results(&result)[0]["error"]["data"]["code"], "INPUT_NOT_POSSIBLE");
        assert!(results(&result)[1]["result"].is_object());
    }
}

#[tokio::test]
async fn a_call_that_waits_is_resumed_by_its_own_request_and_once() {
    let gateway = over(asks(false).0, false).await;
    let mut client = client(&gateway, true).await;
    let result = client.call("tools/call", &one_call()).await.unwrap();
    let with_state = |mut call: Value| {
        call["inputResponses"] = json!({});
        call["requestState"] = result["requestState"].clone();
        call
    };

    let other = with_state(json!({"name": "far__echo", "arguments": {"say": "x"}}));
    assert_eq!(client.call("tools/call", &other).await.unwrap_err()["code"], -32602);
    let still = client.call("tools/call", &with_state(one_call())).await.unwrap();
    assert_eq!(still["resultType"], "input_required");
    assert_eq!(client.call("tools/call", &with_state(one_call())).await.unwrap_err()["code"], -32602);
}

#[tokio::test]
async fn cancelling_the_whole_cancels_all_its_parts() {
    for (newer_client, newer_server) in PAIRS {
        let (script, mut heard) = Script::new(newer_server, |_, _| std::future::pending());
        let gateway = over(script, newer_server).await;
        let mut client = client(&gateway, newer_client).await;

        let call = json!({"tool": "far__echo"});
        let id = client.begin("tools/call", &batch([call.clone(), call.clone(), call])).await;
        for _ in 0..3 {
            request(&mut heard).await;
        }
        let params = json!({"requestId": id.number()});
        client.send(Notification::new("notifications/cancelled", Some(raw(&params)))).await;

        cancellations(&mut heard, 3).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_client_does_not_come_again_is_stopped_with_all_its_parts() {
    for newer_server in [false, true] {
        let (hangs, mut heard) = Script::new(newer_server, |_, _| std::future::pending());
        let hangs = prefixed(hangs.start(), era(newer_server));
        let hangs = UpstreamSettings { call_timeout: Duration::from_secs(10_000), ..hangs };
        let upstreams = [("far", prefixed(asks(newer_server).0.start(), era(newer_server))), ("near", hangs)];
        let gateway = batching(BatchSettings::default(), upstreams).await;
        let mut client = client(&gateway, true).await;
        let calls = ["far__echo", "near__echo"].map(|tool| json!({"tool": tool, "arguments": {"say": "x"}}));

        let result = client.call("tools/call", &batch(calls)).await.unwrap();
        assert_eq!(result["resultType"], "input_required");
        active(&gateway, "near", 1).await;

        // Nothing happens any more, so the clock runs ahead.
        tokio::time::sleep(Duration::from_secs(601)).await;
        cancellations(&mut heard, 1).await;
        active(&gateway, "near", 0).await;
        active(&gateway, "far", 0).await;
    }
}

/// A server that answers once it is told to, with a tool that only reads.
fn looks(is_modern: bool) -> (UpstreamSettings, Heard, watch::Sender<bool>) {
    let is_open = watch::Sender::new(false);
    let opened = is_open.clone();
    let (script, heard) = Script::new(is_modern, move |_, _| {
        let mut opened = opened.subscribe();
        async move {
            let _ = opened.wait_for(|is_open| *is_open).await;
            Ok(raw(&json!({"content": []})))
        }
    });
    let tools = json!([{
        "name": "look", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": true},
    }]);
    let cache = CacheSettings { time_to_live: Duration::from_secs(3_600), scope: CacheScope::Private };
    let upstream = prefixed(script.tools(tools).start(), era(is_modern));
    (UpstreamSettings { cache: Some(cache), ..upstream }, heard, is_open)
}

/// Until the upstream has so many calls under way.
async fn active(gateway: &Gateway, upstream: &str, calls: usize) {
    let now = || gateway.health().upstreams.into_iter().find(|known| known.name == upstream).unwrap().active;
    soon(async {
        while now() != calls {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_part_that_is_under_way_while_another_asks_ends_before_the_client_comes_again() {
    for (newer_server, newer_sibling) in PAIRS {
        let (sibling, mut heard, is_open) = looks(newer_sibling);
        let upstreams =
            [("far", prefixed(asks(newer_server).0.start(), era(newer_server))), ("near", sibling)];
        let gateway = batching(BatchSettings::default(), upstreams).await;
        let mut client = client(&gateway, true).await;
        let look = json!({"name": "near__look"});
        let mut call = batch([
            json!({"tool": "far__echo", "arguments": {"say": "x"}}),
            json!({"tool": "near__look"}),
            json!({"tool": "near__look", "arguments": {"at": 1}}),
        ]);

        let asked = client.call("tools/call", &call).await.unwrap();
        assert_eq!(asked["resultType"], "input_required");
        for _ in 0..2 {
            request(&mut heard).await;
        }
        active(&gateway, "near", 2).await;
        // Others get the same answer, and need not wait for the client that is away.
        let mut other = crate::calls::client(&gateway, true).await;
        let same = other.begin("tools/call", &look).await;
        is_open.send_replace(true);
        soon(other.end(&same)).await.unwrap();
        active(&gateway, "near", 0).await;
        soon(other.call("tools/call", &look)).await.unwrap();

        let (key, question) = asked["inputRequests"].as_object().unwrap().iter().next().unwrap();
        call["inputResponses"] = json!({key: echoed(&question["params"])});
        call["requestState"] = asked["requestState"].clone();
        let result = client.call("tools/call", &call).await.unwrap();
        assert!(results(&result).iter().all(|told| told["result"].is_object()), "{result}");
        while let Ok(message) = heard.try_recv() {
            assert!(!matches!(message, Message::Request(_)), "it was called again: {message:?}");
        }
    }
}

#[tokio::test]
async fn closing_the_gateway_reaches_all_parts_of_a_call_that_waits() {
    for newer_server in [false, true] {
        let (sibling, mut heard, _is_open) = looks(newer_server);
        let upstreams =
            [("far", prefixed(asks(newer_server).0.start(), era(newer_server))), ("near", sibling)];
        let gateway = batching(BatchSettings::default(), upstreams).await;
        let mut client = client(&gateway, true).await;
        let calls =
            batch([json!({"tool": "far__echo", "arguments": {"say": "x"}}), json!({"tool": "near__look"})]);
        let asked = client.call("tools/call", &calls).await.unwrap();
        assert_eq!(asked["resultType"], "input_required");
        request(&mut heard).await;

        gateway.close(Duration::from_secs(1)).await;

        cancellations(&mut heard, 1).await;
    }
}

#[tokio::test]
async fn progress_is_that_of_the_whole_under_the_token_of_the_request_that_waits() {
    for newer_server in [false, true] {
        let (script, _heard) = Script::new(newer_server, |request, voice| async move {
            let token = params(&request)["_meta"]["progressToken"].clone();
            assert!(!token.is_null(), "a part is told to report: that is a sign of life");
            voice.tell("notifications/progress", &json!({"progressToken": token, "progress": 77}));
            Ok(raw(&json!({"content": []})))
        });
        let upstreams = [
            ("far", prefixed(script.start(), era(newer_server))),
            ("asks", prefixed(asks(false).0.start(), Era::Legacy)),
        ];
        let gateway = batching(BatchSettings::default(), upstreams).await;
        let told = |client: &RawClient| {
            let told =
                client.heard.iter().map(|told| told.params.as_ref().unwrap().parse::<Value>().unwrap());
            told.map(|told| (told["progressToken"].clone(), told["progress"].clone())).collect::<Vec<_>>()
        };

        for newer_client in [false, true] {
            let mut client = client(&gateway, newer_client).await;
            let mut calls = batch((0..3).map(|_| json!({"tool": "far__echo"})));
            calls["_meta"] = json!({"progressToken": "mine"});
            let result = client.call("tools/call", &calls).await.unwrap();
            assert!(results(&result).iter().all(|told| told["result"].is_object()), "{result}");
            assert_eq!(told(&client), [1, 2, 3].map(|done| (json!("mine"), json!(done))));
        }

        let mut client = client(&gateway, true).await;
        let mut call = batch([json!({"tool": "asks__echo", "arguments": {"say": "x"}})]);
        let asked = client.call("tools/call", &call).await.unwrap();
        let (key, question) = asked["inputRequests"].as_object().unwrap().iter().next().unwrap();
        call["inputResponses"] = json!({key: echoed(&question["params"])});
        call["requestState"] = asked["requestState"].clone();
        call["_meta"] = json!({"progressToken": "later"});
        client.call("tools/call", &call).await.unwrap();
        assert_eq!(told(&client), [(json!("later"), json!(1))]);
    }
}

#[tokio::test]
async fn log_messages_of_parts_arrive_from_the_level_on_that_the_client_wants() {
    for (newer_client, newer_server) in PAIRS {
        let (script, _heard) = Script::new(newer_server, |request, voice| async move {
            if request.method == "tools/call" {
                for level in ["debug", "info", "error"] {
                    voice.tell("notifications/message", &json!({"level": level, "data": "x"}));
                }
            }
            Ok(Raw::empty_object())
        });
        let gateway = over(script, newer_server).await;
        let mut client = client(&gateway, newer_client).await;
        let mut call = one_call();
        if newer_client {
            call["_meta"] = json!({"io.modelcontextprotocol/logLevel": "warning"});
        } else {
            client.call("logging/setLevel", &json!({"level": "warning"})).await.unwrap();
        }

        client.call("tools/call", &call).await.unwrap();

        let levels = client.heard.iter().map(|told| {
            let params: Value = told.params.as_ref().unwrap().parse().unwrap();
            params["level"].clone()
        });
        assert_eq!(levels.collect::<Vec<_>>(), ["error"], "{newer_client} {newer_server}");
    }
}

#[tokio::test]
async fn parts_belong_to_the_clients_trace_and_know_nothing_of_tasks() {
    const TASKS: &str = "io.modelcontextprotocol/tasks";
    let (script, mut heard) = Script::new(true, |_, _| async { Ok(raw(&json!({"content": []}))) });
    let script = script.capabilities(json!({"tools": {}, "extensions": {TASKS: {}}}));
    let gateway = over(script, true).await;
    let capabilities = json!({"extensions": {TASKS: {}, "vendor/x": {}}, "elicitation": {}});
    let mut client = RawClient::modern(&gateway, capabilities);
    let mut call = one_call();
    call["_meta"] = json!({"traceparent": "00-1-2-3", "vendor/y": 1});

    client.call("tools/call", &call).await.unwrap();

    let got = params(&request(&mut heard).await)["_meta"].take();
    assert_eq!(got["traceparent"], "00-1-2-3");
    assert_eq!(got["vendor/y"], Value::Null);
    let declared = &got["io.modelcontextprotocol/clientCapabilities"];
    assert_eq!(*declared, json!({"extensions": {"vendor/x": {}}, "elicitation": {}}));
}

#[tokio::test]
async fn own_tools_cannot_be_tasks() {
    let gateway = over(asks(false).0, false).await;
    let mut client = client(&gateway, false).await;
    let mut call = one_call();
    call["task"] = json!({});

    let error = client.call("tools/call", &call).await.unwrap_err();

    assert_eq!((&error["code"], &error["data"]["code"]), (&json!(-32601), &json!("METHOD_NOT_FOUND")));
}
