//! What an upstream needs from its client before it can go on, where the two are not of one era, and where they are of the newer.

use std::{sync::Arc, time::Duration};

use gateway::Gateway;
use json_rpc::{Message, Notification, Outcome, Raw, Request};
use serde_json::{Value, json};

use crate::{
    calls::era,
    client::RawClient,
    server::{Heard, Script, Voice, params},
    support::{gateway, prefixed, raw, soon},
};

fn everything() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}})
}

async fn over(script: Script, is_modern: bool) -> Arc<Gateway> {
    gateway([("far", prefixed(script.start(), era(is_modern)))]).await
}

async fn heard(heard: &mut Heard, wanted: impl Fn(&Message) -> bool) -> Message {
    loop {
        let message = soon(heard.recv()).await.unwrap();
        if wanted(&message) {
            return message;
        }
    }
}

fn text(text: &str) -> Outcome {
    Ok(raw(&json!({"content": [{"type": "text", "text": text}]})))
}

/// A server of the newer era that asks twice before it is done.
async fn asks_in_rounds(request: Request) -> Outcome {
    let given = params(&request);
    let needed = |state: &str, requests: Value| {
        Ok(raw(&json!({"resultType": "input_required", "requestState": state, "inputRequests": requests})))
    };
    match given["requestState"].as_str() {
        None => needed(
            "one",
            json!({
                "who": {"method": "elicitation/create", "params": {"mode": "form", "message": "who?", "vendor": [1]}},
                "where": {"method": "roots/list"},
            }),
        ),
        Some("one") => {
            let said = &given["inputResponses"];
            assert_eq!(said["who"]["content"]["name"], "Ada");
            assert_eq!(said["where"]["roots"][0]["uri"], "file:///a");
            needed(
                "two",
                json!({"what": {"method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 1}}}),
            )
        }
        Some(state) => text(&format!("{state} {}", given["inputResponses"]["what"]["model"])),
    }
}

fn answer(method: &str) -> Value {
    match method {
        "elicitation/create" => json!({"action": "accept", "content": {"name": "Ada"}}),
        "roots/list" => json!({"roots": [{"uri": "file:///a"}]}),
        "sampling/createMessage" => json!({"role": "assistant", "model": "m", "content": []}),
        other => panic!("{other} is no question"),
    }
}

#[tokio::test]
async fn an_older_client_is_asked_round_after_round_what_a_newer_upstream_needs() {
    let (script, _heard) = Script::new(true, |request, _| asks_in_rounds(request));
    let gateway = over(script, true).await;
    let mut client = RawClient::legacy(&gateway, everything()).await;

    let id = client.begin("tools/call", &json!({"name": "far__echo", "arguments": {"x": 1}})).await;
    let mut asked = Vec::new();
    for _ in 0..3 {
        let question = client.question().await;
        let reply = answer(&question.method);
        asked.push((question.method.to_string(), params(&question)));
        client.reply(question.id, Ok(raw(&reply))).await;
    }
    let outcome = client.end(&id).await;

    asked[..2].sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(asked[0].1, json!({"mode": "form", "message": "who?", "vendor": [1]}));
    assert_eq!((asked[1].0.as_str(), asked[2].0.as_str()), ("roots/list", "sampling/createMessage"));
    let result: Value = outcome.unwrap().parse().unwrap();
    assert_eq!(result["content"][0]["text"], r#"two "m""#);
}

#[tokio::test]
async fn an_older_client_that_cannot_answer_ends_the_call() {
    let (script, _heard) = Script::new(true, |request, _| asks_in_rounds(request));
    let gateway = over(script, true).await;

    let mut silent = RawClient::legacy(&gateway, json!({})).await;
    let error = silent.call("tools/call", &json!({"name": "far__echo"})).await.unwrap_err();
    let data = &error["data"];
    assert_eq!((&data["code"], &data["upstream"]), (&json!("INPUT_NOT_POSSIBLE"), &json!("far")));

    let mut unwilling = RawClient::legacy(&gateway, everything()).await;
    let id = unwilling.begin("tools/call", &json!({"name": "far__echo"})).await;
    let question = unwilling.question().await;
    unwilling.reply(question.id, Err(raw(&json!({"code": -1, "message": "rejected by the user"})))).await;
    // The other question is taken back, or was not even asked.
    let error = loop {
        match unwilling.next().await {
            Message::Response(response) if response.id.as_ref() == Some(&id) => {
                break response.outcome.unwrap_err();
            }
            Message::Response(response) => panic!("{response:?} answers nothing"),
            Message::Request(_) | Message::Notification(_) => {}
        }
    };
    let error: Value = error.parse().unwrap();
    assert_eq!(error["data"]["code"], "INPUT_REFUSED");
}

#[tokio::test(start_paused = true)]
async fn an_older_client_that_never_answers_ends_the_call_too() {
    let (script, _heard) = Script::new(true, |request, _| asks_in_rounds(request));
    let gateway = over(script, true).await;
    let mut client = RawClient::legacy(&gateway, everything()).await;
    let id = client.begin("tools/call", &json!({"name": "far__echo"})).await;
    client.question().await;
    client.question().await;

    tokio::time::sleep(Duration::from_secs(600)).await; // on the paused clock

    let error: Value = client.end(&id).await.unwrap_err().parse().unwrap();
    assert_eq!(error["data"]["code"], "INPUT_REFUSED");
}

#[tokio::test]
async fn a_newer_client_goes_through_the_rounds_of_a_newer_upstream_by_itself() {
    let (script, _heard) = Script::new(true, |request, _| asks_in_rounds(request));
    let gateway = over(script, true).await;
    let mut client = RawClient::modern(&gateway, everything());
    let mut call = json!({"name": "far__echo", "arguments": {"x": 1}});

    let mut result = client.call("tools/call", &call).await.unwrap();
    for state in ["one", "two"] {
        assert_eq!(result["resultType"], "input_required");
        assert_ne!(result["requestState"], state, "the upstream's state must not be taken for the gateway's");
        let requests = result["inputRequests"].as_object().unwrap().iter();
        let answers =
            requests.map(|(key, request)| (key.clone(), answer(request["method"].as_str().unwrap())));
        call["inputResponses"] = answers.collect();
        call["requestState"] = result["requestState"].clone();
        result = client.call("tools/call", &call).await.unwrap();
    }

    assert_eq!(result["content"][0]["text"], r#"two "m""#);
}

#[tokio::test]
async fn a_state_is_of_no_use_when_it_was_changed_or_for_another_request() {
    let (script, mut heard) = Script::new(true, |request, _| asks_in_rounds(request));
    let tools = json!([{"name": "echo", "inputSchema": {}}, {"name": "other", "inputSchema": {}}]);
    let gateway = over(script.tools(tools), true).await;
    let mut client = RawClient::modern(&gateway, everything());
    let result = client.call("tools/call", &json!({"name": "far__echo"})).await.unwrap();
    let state = result["requestState"].as_str().unwrap().to_owned();
    soon(heard.recv()).await.unwrap();

    let changed = format!("{}x", &state[..state.len() - 1]);
    for (name, state) in [("far__other", state.as_str()), ("far__echo", &changed), ("far__echo", "one")] {
        let call = json!({"name": name, "inputResponses": {}, "requestState": state});
        let error = client.call("tools/call", &call).await.unwrap_err();
        assert_eq!(error["code"], -32602, "{name}");
    }
    let call = json!({"name": "far__echo", "inputResponses": {}, "requestState": 7});
    assert_eq!(client.call("tools/call", &call).await.unwrap_err()["code"], -32602);
    assert!(heard.try_recv().is_err(), "the upstream must hear nothing of it");
}

/// A server of the older era: asks two things at once, says how far it is, and then what it was told.
async fn asks_directly(request: Request, voice: Voice) -> Outcome {
    let params = params(&request);
    let who = json!({"message": "who?", "requestedSchema": {"type": "object"}});
    let what = json!({"messages": [], "maxTokens": 1});
    let (who, what) =
        tokio::join!(voice.ask("elicitation/create", &who), voice.ask("sampling/createMessage", &what));
    let progress = json!({"progressToken": params["_meta"]["progressToken"], "progress": 2});
    voice.tell("notifications/progress", &progress);
    let (who, what): (Value, Value) = (who?.parse().unwrap(), what?.parse().unwrap());
    text(&format!("{} {}", who["content"]["name"], what["model"]))
}

#[tokio::test]
async fn a_newer_client_answers_an_older_upstream_by_trying_again() {
    let (script, mut heard) = Script::new(false, asks_directly);
    let gateway = over(script, false).await;
    let mut client = RawClient::modern(&gateway, everything());
    let mut call = json!({"name": "far__echo", "_meta": {"progressToken": "first"}});

    // The questions may come one by one, and one answer is forgotten at first.
    let mut result = client.call("tools/call", &call).await.unwrap();
    let mut forgotten = false;
    let mut rounds = 0;
    while result["resultType"] == "input_required" {
        rounds += 1;
        let mut answers = serde_json::Map::new();
        for (key, request) in result["inputRequests"].as_object().unwrap() {
            let method = request["method"].as_str().unwrap();
            if method == "elicitation/create" && !std::mem::replace(&mut forgotten, true) {
                continue;
            }
            answers.insert(key.clone(), answer(method));
        }
        call["inputResponses"] = answers.into();
        call["requestState"] = result["requestState"].clone();
        call["_meta"]["progressToken"] = format!("round {rounds}").into();
        result = client.call("tools/call", &call).await.unwrap();
    }

    assert_eq!(result["content"][0]["text"], r#""Ada" "m""#);
    assert_eq!(result["resultType"], "complete");
    let told: Vec<Value> =
        client.heard.iter().map(|told| told.params.as_ref().unwrap().parse().unwrap()).collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["progressToken"], format!("round {rounds}"), "it belongs to the request that waits");
    let calls = std::iter::from_fn(|| heard.try_recv().ok());
    let calls =
        calls.filter(|heard| matches!(heard, Message::Request(request) if request.method == "tools/call"));
    assert_eq!(calls.count(), 1, "the upstream is called once");
}

#[tokio::test]
async fn a_parked_call_waits_for_its_own_request_and_no_other() {
    let (script, _heard) = Script::new(false, asks_directly);
    let tools = json!([{"name": "echo", "inputSchema": {}}, {"name": "other", "inputSchema": {}}]);
    let gateway = over(script.tools(tools), false).await;
    let mut client = RawClient::modern(&gateway, everything());
    let result = client.call("tools/call", &json!({"name": "far__echo"})).await.unwrap();
    let again =
        |name: &str| json!({"name": name, "inputResponses": {}, "requestState": result["requestState"]});

    assert_eq!(client.call("tools/call", &again("far__other")).await.unwrap_err()["code"], -32602);
    let still = client.call("tools/call", &again("far__echo")).await.unwrap();
    assert_eq!(still["resultType"], "input_required");
    // Each state is good for one try: the call waits under another one now.
    assert_eq!(client.call("tools/call", &again("far__echo")).await.unwrap_err()["code"], -32602);
}

#[tokio::test]
async fn a_client_that_leaves_while_its_parked_call_goes_on_cancels_it() {
    let (script, mut hears) = Script::new(false, |_, voice| async move {
        let _ = voice.ask("roots/list", &json!({})).await;
        std::future::pending().await
    });
    let gateway = over(script, false).await;
    let mut client = RawClient::modern(&gateway, everything());
    let result = client.call("tools/call", &json!({"name": "far__echo"})).await.unwrap();
    let key = result["inputRequests"].as_object().unwrap().keys().next().unwrap().clone();
    let answers = json!({key: {"roots": []}});
    let again =
        json!({"name": "far__echo", "inputResponses": answers, "requestState": result["requestState"]});
    let id = client.begin("tools/call", &again).await;

    let params = json!({"requestId": id.number()});
    client.send(Notification::new("notifications/cancelled", Some(raw(&params)))).await;

    let is_cancelled = |message: &Message| matches!(message, Message::Notification(told) if told.method == "notifications/cancelled");
    heard(&mut hears, is_cancelled).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_client_does_not_try_again_is_cancelled_at_the_upstream() {
    let (script, mut hears) = Script::new(false, asks_directly);
    let gateway = over(script, false).await;
    let mut client = RawClient::modern(&gateway, everything());
    let result = client.call("tools/call", &json!({"name": "far__echo"})).await.unwrap();
    assert_eq!(result["resultType"], "input_required");

    // Nothing happens any more, so the clock runs ahead.
    loop {
        match hears.recv().await.unwrap() {
            Message::Notification(told) if told.method == "notifications/cancelled" => break,
            _ => {}
        }
    }

    let again = json!({"name": "far__echo", "inputResponses": {}, "requestState": result["requestState"]});
    let error = client.call("tools/call", &again).await.unwrap_err();
    assert_eq!(error["code"], -32602);
}

#[tokio::test]
async fn only_answers_that_are_objects_reach_an_older_upstream() {
    let (script, _heard) = Script::new(false, |_, voice| async move {
        let said = voice.ask("roots/list", &json!({})).await?;
        Ok(said)
    });
    let gateway = over(script, false).await;
    let mut client = RawClient::modern(&gateway, everything());
    let mut call = json!({"name": "far__echo"});

    for answer in [json!("roots"), json!(null), json!({"roots": [], "vendor": 1.5})] {
        let result = client.call("tools/call", &call).await.unwrap();
        let key = result["inputRequests"].as_object().unwrap().keys().next().unwrap().clone();
        call["inputResponses"] = json!({key: answer, "unasked": {}});
        call["requestState"] = result["requestState"].clone();
    }
    let result: Raw = client.call("tools/call", &call).await.map(|result| raw(&result)).unwrap();

    assert_eq!(result.as_str(), r#"{"resultType":"complete","roots":[],"vendor":1.5}"#);
}
