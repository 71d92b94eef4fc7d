//! Two tools in place of all: what they find and call, in both eras.

use std::sync::Arc;

use gateway::{BatchSettings, Expose, Filter, Gateway, Rules, Settings, UpstreamSettings};
use json_rpc::{Message, Outcome, Request};
use serde_json::{Value, json};

use crate::{
    calls::{client, era, request},
    client::RawClient,
    server::{Heard, Script, Voice, params},
    support::{plain, prefixed, raw, settings, soon},
};

/// A gateway over these upstreams that shows two tools and knows the others.
async fn searched(
    upstreams: impl IntoIterator<Item = (&'static str, UpstreamSettings)>,
    more: impl FnOnce(Settings) -> Settings,
) -> Arc<Gateway> {
    let gateway = Gateway::new(more(Settings { expose: Expose::Search, ..settings(upstreams) }));
    soon(gateway.settled()).await;
    gateway
}

fn weather() -> Value {
    let tool = |name: &str, says: &str| json!({"name": name, "description": says, "inputSchema": {"type": "object"}});
    json!([tool("forecast", "Tells how the weather will be."), tool("send", "Sends a message to somebody.")])
}

async fn echoes(request: Request, _: Voice) -> Outcome {
    Ok(raw(&json!({"content": [], "structuredContent": params(&request)})))
}

async fn find(client: &mut RawClient, query: &str) -> Vec<String> {
    let call = json!({"name": "find_tool", "arguments": {"query": query}});
    let result = client.call("tools/call", &call).await.unwrap();
    let tools = result["structuredContent"]["tools"].as_array().unwrap().clone();
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

async fn listed(client: &mut RawClient) -> Vec<String> {
    let list = client.call("tools/list", &json!({})).await.unwrap();
    list["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

/// What a call that went wrong says.
fn wrong(result: &Value) -> &str {
    assert_eq!(result["isError"], true, "{result}");
    result["content"][0]["text"].as_str().unwrap()
}

/// How many calls of tools a server has heard.
fn calls(heard: &mut Heard) -> usize {
    let heard = std::iter::from_fn(|| heard.try_recv().ok());
    heard.filter(|heard| matches!(heard, Message::Request(request) if request.method == "tools/call")).count()
}

#[tokio::test]
async fn two_tools_are_listed_and_all_others_are_found_and_called() {
    for is_modern in [false, true] {
        let (script, mut heard) = Script::new(is_modern, echoes);
        let far = prefixed(script.tools(weather()).start(), era(is_modern));
        let gateway = searched([("far", far)], |settings| settings).await;
        let mut client = client(&gateway, is_modern).await;

        assert_eq!(listed(&mut client).await, ["find_tool", "call_tool"]);
        let call = json!({"name": "find_tool", "arguments": {"query": "will it rain? weather forecast", "limit": 1}});
        let found = client.call("tools/call", &call).await.unwrap();
        let tool = &found["structuredContent"]["tools"][0];
        assert_eq!(
            (&tool["name"], &tool["inputSchema"]),
            (&json!("far__forecast"), &json!({"type": "object"}))
        );
        assert_eq!(found.get("resultType"), is_modern.then(|| json!("complete")).as_ref());

        for call in [
            json!({"name": "call_tool", "arguments": {"name": "far__forecast", "arguments": {"x": 1}}}),
            json!({"name": "far__forecast", "arguments": {"x": 1}}),
        ] {
            let result = client.call("tools/call", &call).await.unwrap();
            let got = params(&request(&mut heard).await);
            assert_eq!((&got["name"], &got["arguments"]), (&json!("forecast"), &json!({"x": 1})));
            assert_eq!(result["structuredContent"]["name"], "forecast", "the result is the tool's own");
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_call_is_said_and_no_upstream_hears_of_it() {
    for is_modern in [false, true] {
        let (script, mut heard) = Script::new(is_modern, echoes);
        let far = prefixed(script.tools(weather()).start(), era(is_modern));
        let gateway = searched([("far", far)], |settings| settings).await;
        let mut client = client(&gateway, is_modern).await;
        for (arguments, says) in [
            (json!({}), "name is missing"),
            (json!({"name": "far__send", "text": "hi"}), "into arguments"),
            (json!({"name": "far__send", "arguments": "{}"}), "must be an object"),
            (json!({"name": "call_tool", "arguments": {"name": "far__send"}}), "cannot call itself"),
        ] {
            let call = json!({"name": "call_tool", "arguments": arguments});
            let result = client.call("tools/call", &call).await.unwrap();
            assert!(wrong(&result).contains(says) && wrong(&result).contains(r#"{"name": "#), "{result}");
        }
        let result = client.call("tools/call", &json!({"name": "call_tool"})).await.unwrap();
        assert!(wrong(&result).contains("name is missing"));
        let result = client.call("tools/call", &json!({"name": "find_tool", "arguments": {}})).await.unwrap();
        assert!(wrong(&result).contains("query must be"));

        let call = json!({"name": "call_tool", "arguments": {"name": "far__nothing"}});
        let error = client.call("tools/call", &call).await.unwrap_err();
        assert_eq!(error["data"]["code"], "TOOL_NOT_FOUND");
        assert!(error["message"].as_str().unwrap().contains("find_tool"), "{error}");
        assert_eq!(calls(&mut heard), 0, "the upstream must hear nothing of it");
    }
}

#[tokio::test]
async fn what_is_withheld_is_neither_found_nor_called() {
    for is_modern in [false, true] {
        let (script, mut heard) = Script::new(is_modern, echoes);
        let tools = Filter { deny: vec!["send".to_owned()], ..Filter::default() };
        let rules = Arc::new(Rules { tools, ..Rules::default() });
        let far = UpstreamSettings { rules, ..prefixed(script.tools(weather()).start(), era(is_modern)) };
        let gateway = searched([("far", far)], |settings| settings).await;
        let mut client = client(&gateway, is_modern).await;

        assert_eq!(find(&mut client, "send a message to somebody").await, Vec::<String>::new());
        let call = json!({"name": "call_tool", "arguments": {"name": "far__send"}});
        let error = client.call("tools/call", &call).await.unwrap_err();
        assert_eq!((&error["code"], &error["data"]["code"]), (&json!(-32004), &json!("ACCESS_DENIED")));
        assert_eq!(calls(&mut heard), 0, "the upstream must hear nothing of it");
        assert_eq!(gateway.savings().unwrap().tools, 1, "what is withheld is not counted");
    }
}

#[tokio::test]
async fn the_gateways_own_tools_are_found_and_called_too() {
    for is_modern in [false, true] {
        let (script, _heard) = Script::new(is_modern, echoes);
        let far = prefixed(script.tools(weather()).start(), era(is_modern));
        let with_batch = |settings| Settings { batch: Some(BatchSettings::default()), ..settings };
        let gateway = searched([("far", far)], with_batch).await;
        let mut client = client(&gateway, is_modern).await;

        assert_eq!(find(&mut client, "make many calls at once as a batch").await[0], "batch");
        assert!(!find(&mut client, "find_tool call_tool").await.iter().any(|name| name.ends_with("_tool")));
        let inner =
            json!({"tool": "call_tool", "arguments": {"name": "far__forecast", "arguments": {"x": 2}}});
        let call =
            json!({"name": "call_tool", "arguments": {"name": "batch", "arguments": {"calls": [inner]}}});
        let result = client.call("tools/call", &call).await.unwrap();
        assert!(result.to_string().contains("forecast") && result["isError"] != true, "{result}");

        let search = json!({"name": "find_tool", "arguments": {"query": "weather"}});
        let call = json!({"name": "call_tool", "arguments": search});
        let found = client.call("tools/call", &call).await.unwrap();
        assert_eq!(found["structuredContent"]["tools"][0]["name"], "far__forecast");
    }
}

/// Asks who it is, says how far it is, and then what it was told.
async fn asks(request: Request, voice: Voice) -> Outcome {
    let who = json!({"message": "who?", "requestedSchema": {"type": "object"}});
    let who: Value = voice.ask("elicitation/create", &who).await?.parse().unwrap();
    let token = params(&request)["_meta"]["progressToken"].clone();
    voice.tell("notifications/progress", &json!({"progressToken": token, "progress": 2}));
    Ok(raw(&json!({"content": [{"type": "text", "text": who["content"]["name"]}]})))
}

#[tokio::test]
async fn a_tool_that_is_called_by_another_asks_its_client_and_says_how_far_it_is() {
    let (script, mut heard) = Script::new(false, asks);
    let gateway = searched([("far", prefixed(script.start(), era(false)))], |settings| settings).await;
    let answer = json!({"action": "accept", "content": {"name": "Ada"}});
    let mut call = json!({
        "name": "call_tool", "arguments": {"name": "far__echo"}, "_meta": {"progressToken": "mine"},
    });

    let mut newer = client(&gateway, true).await;
    let needed = newer.call("tools/call", &call).await.unwrap();
    assert_eq!(needed["resultType"], "input_required");
    let other = json!({
        "name": "call_tool", "arguments": {"name": "far__other"},
        "inputResponses": {}, "requestState": needed["requestState"],
    });
    assert!(newer.call("tools/call", &other).await.is_err(), "the state is for the tool that asked");
    let keys = needed["inputRequests"].as_object().unwrap().keys();
    call["inputResponses"] = keys.map(|key| (key.clone(), answer.clone())).collect();
    call["requestState"] = needed["requestState"].clone();
    let result = newer.call("tools/call", &call).await.unwrap();
    assert_eq!((&result["content"][0]["text"], &result["resultType"]), (&json!("Ada"), &json!("complete")));

    let mut older = client(&gateway, false).await;
    let id = older.begin("tools/call", &json!({"name": "call_tool", "arguments": {"name": "far__echo"}, "_meta": {"progressToken": "mine"}})).await;
    let question = older.question().await;
    older.reply(question.id, Ok(raw(&answer))).await;
    let result: Value = older.end(&id).await.unwrap().parse().unwrap();
    assert_eq!(result["content"][0]["text"], "Ada");

    for heard in [&newer.heard, &older.heard] {
        let told: Vec<Value> =
            heard.iter().map(|told| told.params.as_ref().unwrap().parse().unwrap()).collect();
        assert_eq!(told, [json!({"progressToken": "mine", "progress": 2})]);
    }
    assert_eq!(calls(&mut heard), 2, "the upstream is called once for each client");
}

#[tokio::test]
async fn what_changes_is_found_as_it_is_now() {
    let (one, _heard) = Script::new(false, echoes);
    let (other, _heard) = Script::new(false, echoes);
    let other = prefixed(other.tools(weather()).start(), era(false));
    let gateway = searched([("near", prefixed(one.start(), era(false)))], |settings| settings).await;
    let mut client = client(&gateway, false).await;
    assert_eq!(find(&mut client, "weather forecast").await, Vec::<String>::new());
    let before = gateway.savings().unwrap();

    gateway.apply(Settings { expose: Expose::Search, ..settings([("far", other)]) });
    soon(gateway.settled()).await;

    assert_eq!(find(&mut client, "weather forecast").await, ["far__forecast"]);
    let savings = gateway.savings().unwrap();
    assert_eq!((before.tools, savings.tools), (1, 2));
    assert!(savings.bytes > before.bytes && savings.shown_bytes == before.shown_bytes);
    assert_eq!(gateway.health().search, Some(savings));
}

#[tokio::test]
async fn without_search_the_two_names_are_anybodys() {
    for is_modern in [false, true] {
        let (script, mut heard) = Script::new(is_modern, echoes);
        let tools =
            json!([{"name": "call_tool", "inputSchema": {}}, {"name": "find_tool", "inputSchema": {}}]);
        let far = plain(script.tools(tools).start(), era(is_modern));
        let gateway = crate::support::gateway([("far", far)]).await;
        let mut client = client(&gateway, is_modern).await;

        let call = json!({"name": "call_tool", "arguments": {"name": "a", "arguments": {"x": 1}}});
        client.call("tools/call", &call).await.unwrap();

        let got = params(&request(&mut heard).await);
        assert_eq!((&got["name"], &got["arguments"]), (&call["name"], &call["arguments"]));
        assert_eq!(gateway.savings(), None);
    }
}
