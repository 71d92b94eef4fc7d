//! Calls through the gateway, within one era and across.

use json_rpc::{Message, Notification, Raw, Request};
use mcp_transport::Era;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    client::RawClient,
    server::{Heard, Script, params},
    support::{gateway, plain, prefixed, raw, soon},
};

/// The eras of client and upstream: whether each is the newer one.
pub const PAIRS: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

pub fn era(is_modern: bool) -> Era {
    if is_modern { Era::Modern } else { Era::Legacy }
}

pub async fn client(gateway: &std::sync::Arc<gateway::Gateway>, is_modern: bool) -> RawClient {
    let capabilities = json!({"elicitation": {}});
    if is_modern {
        RawClient::modern(gateway, capabilities)
    } else {
        RawClient::legacy(gateway, capabilities).await
    }
}

/// The next request that a server heard.
pub async fn request(heard: &mut Heard) -> Request {
    loop {
        if let Message::Request(request) = soon(heard.recv()).await.unwrap() {
            return request;
        }
    }
}

/// The next notification of this method that a server heard.
async fn notification(heard: &mut Heard, method: &str) -> Notification {
    loop {
        match soon(heard.recv()).await.unwrap() {
            Message::Notification(notification) if notification.method == method => return notification,
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_tool_is_called_under_its_own_name_and_its_result_comes_back_as_it_was() {
    for (newer_client, newer_server) in PAIRS {
        let text =
            r#"{"vendor":{"z":1,"a":[1.50]},"content":[{"type":"x","y":null}],"resultType":"complete"}"#;
        let (script, mut heard) =
            Script::new(newer_server, move |_, _| async move { Ok(Raw::read(text).unwrap()) });
        let gateway = gateway([("far", prefixed(script.start(), era(newer_server)))]).await;
        let mut client = client(&gateway, newer_client).await;

        let sent = json!({"name": "far__echo", "arguments": {"b": 1, "a": "é"}, "unknown": [2]});
        let id = client.begin("tools/call", &sent).await;
        let outcome = client.end(&id).await;

        assert_eq!(outcome.unwrap().as_str(), text);
        let got = params(&request(&mut heard).await);
        assert_eq!((&got["name"], &got["arguments"]), (&json!("echo"), &sent["arguments"]));
        assert_eq!(got["unknown"], json!([2]));
    }
}

#[tokio::test]
async fn an_upstream_is_told_what_its_era_wants_and_nothing_of_the_way_from_the_client() {
    for (newer_client, newer_server) in PAIRS {
        let (script, mut heard) =
            Script::new(newer_server, |_, _| async { Ok(Raw::read(r#"{"content":[]}"#).unwrap()) });
        let gateway = gateway([("far", plain(script.start(), era(newer_server)))]).await;
        let mut client = client(&gateway, newer_client).await;

        let meta = json!({"traceparent": "00-1-2-3", "vendor/x": {"y": 1}});
        client.call("tools/call", &json!({"name": "echo", "_meta": meta})).await.unwrap();

        let mut got = params(&request(&mut heard).await)["_meta"].take();
        if newer_server {
            let got = got.as_object_mut().unwrap();
            assert_eq!(got.remove("io.modelcontextprotocol/protocolVersion").unwrap(), "2026-07-28");
            let capabilities = got.remove("io.modelcontextprotocol/clientCapabilities").unwrap();
            assert_eq!(capabilities, json!({"elicitation": {}}));
            let info = got.remove("io.modelcontextprotocol/clientInfo").unwrap();
            assert_eq!(info["name"], "mcp-gateway");
            got.remove("io.modelcontextprotocol/logLevel");
        }
        assert_eq!(got, meta, "client newer: {newer_client}, server newer: {newer_server}");
    }
}

#[tokio::test]
async fn an_upstreams_error_comes_back_as_it_was() {
    for (newer_client, newer_server) in PAIRS {
        let text = r#"{"code":-31999,"message":"no","data":{"b":1,"a":[2.0]},"more":true}"#;
        let (script, _heard) =
            Script::new(newer_server, move |_, _| async move { Err(Raw::read(text).unwrap()) });
        let gateway = gateway([("far", plain(script.start(), era(newer_server)))]).await;
        let mut client = client(&gateway, newer_client).await;

        let id = client.begin("tools/call", &json!({"name": "echo"})).await;

        assert_eq!(client.end(&id).await.unwrap_err().as_str(), text);
    }
}

#[tokio::test]
async fn progress_arrives_in_order_before_the_answer_and_under_the_clients_token() {
    for (newer_client, newer_server) in PAIRS {
        let (script, _heard) = Script::new(newer_server, |request, voice| async move {
            let token = params(&request)["_meta"]["progressToken"].clone();
            for progress in 0..20 {
                let params = json!({"progressToken": token, "progress": progress, "vendor": 1});
                voice.tell("notifications/progress", &params);
            }
            Ok(Raw::empty_object())
        });
        let gateway = gateway([("far", plain(script.start(), era(newer_server)))]).await;
        let mut client = client(&gateway, newer_client).await;

        let meta = json!({"progressToken": "my token"});
        client.call("tools/call", &json!({"name": "echo", "_meta": meta})).await.unwrap();

        let told: Vec<Value> =
            client.heard.iter().map(|told| told.params.as_ref().unwrap().parse().unwrap()).collect();
        let expected: Vec<_> = (0..20)
            .map(|progress| json!({"progressToken": "my token", "progress": progress, "vendor": 1}))
            .collect();
        assert_eq!(told, expected);
    }
}

#[tokio::test]
async fn log_messages_of_a_call_arrive_from_the_level_on_that_the_client_wants() {
    for (newer_client, newer_server) in PAIRS {
        let (script, _heard) = Script::new(newer_server, |request, voice| async move {
            if request.method == "tools/call" {
                for level in ["debug", "info", "error"] {
                    voice.tell("notifications/message", &json!({"level": level, "data": "x"}));
                }
            }
            Ok(Raw::empty_object())
        });
        let gateway = gateway([("far", plain(script.start(), era(newer_server)))]).await;
        let mut client = client(&gateway, newer_client).await;
        let mut meta = json!({});
        if newer_client {
            client.call("tools/call", &json!({"name": "echo"})).await.unwrap();
            assert!(client.heard.is_empty(), "it did not ask for any");
            meta["io.modelcontextprotocol/logLevel"] = "warning".into();
        } else {
            client.call("logging/setLevel", &json!({"level": "warning"})).await.unwrap();
        }

        client.call("tools/call", &json!({"name": "echo", "_meta": meta})).await.unwrap();

        let levels = client.heard.iter().map(|told| {
            let params: Value = told.params.as_ref().unwrap().parse().unwrap();
            params["level"].clone()
        });
        assert_eq!(levels.collect::<Vec<_>>(), ["error"], "{newer_client} {newer_server}");
    }
}

#[tokio::test]
async fn a_cancelled_request_is_cancelled_at_the_upstream() {
    for (newer_client, newer_server) in PAIRS {
        let (script, mut heard) = Script::new(newer_server, |_, _| std::future::pending());
        let gateway = gateway([("far", plain(script.start(), era(newer_server)))]).await;
        let mut client = client(&gateway, newer_client).await;

        let id = client.begin("tools/call", &json!({"name": "echo"})).await;
        let there = request(&mut heard).await;
        let params = json!({"requestId": id.as_raw(), "reason": "changed my mind"});
        client.send(Notification::new("notifications/cancelled", Some(raw(&params)))).await;

        let told = notification(&mut heard, "notifications/cancelled").await.params.unwrap();
        let told: Value = told.parse().unwrap();
        assert_eq!(raw(&told["requestId"]), there.id.into_raw());
    }
}

#[tokio::test]
async fn the_requests_of_a_client_that_leaves_are_cancelled_at_the_upstream() {
    for (newer_client, newer_server) in PAIRS {
        let (script, mut heard) = Script::new(newer_server, |_, _| std::future::pending());
        let gateway = gateway([("far", plain(script.start(), era(newer_server)))]).await;
        let mut client = client(&gateway, newer_client).await;

        client.begin("tools/call", &json!({"name": "echo"})).await;
        request(&mut heard).await;
        client.leave().await;

        notification(&mut heard, "notifications/cancelled").await;
    }
}

#[tokio::test]
async fn an_older_client_is_asked_what_an_older_upstream_wants_to_know() {
    let (script, _heard) = Script::new(false, |_, voice| async move {
        voice.ask("elicitation/create", &json!({"message": "who?", "vendor": 1.0})).await
    });
    let gateway = gateway([("far", plain(script.start(), Era::Legacy))]).await;
    let mut client = client(&gateway, false).await;

    let id = client.begin("tools/call", &json!({"name": "echo"})).await;
    let question = client.question().await;
    assert_eq!(question.method, "elicitation/create");
    assert_eq!(question.params.unwrap().as_str(), r#"{"message":"who?","vendor":1.0}"#);
    let answer = r#"{"action":"accept","content":{"b":1,"a":2}}"#;
    client.reply(question.id, Ok(Raw::read(answer).unwrap())).await;

    assert_eq!(client.end(&id).await.unwrap().as_str(), answer);
}

#[tokio::test]
async fn a_client_is_not_asked_for_what_it_did_not_declare() {
    let (script, _heard) = Script::new(false, |_, voice| async move {
        Ok(voice.ask("sampling/createMessage", &json!({"messages": []})).await.unwrap_err())
    });
    let gateway = gateway([("far", plain(script.start(), Era::Legacy))]).await;
    let mut client = client(&gateway, false).await;

    let told = client.call("tools/call", &json!({"name": "echo"})).await.unwrap();

    assert_eq!(told["code"], -32601);
}

#[tokio::test]
async fn calls_of_many_clients_do_not_wait_for_each_other() {
    let (release, mut released) = mpsc::unbounded_channel::<tokio::sync::oneshot::Sender<()>>();
    let (script, _heard) = Script::new(false, move |request, _| {
        let release = release.clone();
        async move {
            if params(&request)["arguments"]["waits"] == true {
                let (go, gone) = tokio::sync::oneshot::channel();
                release.send(go).unwrap();
                gone.await.unwrap();
            }
            Ok(Raw::empty_object())
        }
    });
    let gateway = gateway([("far", plain(script.start(), Era::Legacy))]).await;
    let (mut first, mut second) = (client(&gateway, false).await, client(&gateway, false).await);

    let waiting = json!({"name": "echo", "arguments": {"waits": true}});
    let id = first.begin("tools/call", &waiting).await;
    let go = soon(released.recv()).await.unwrap();
    second.call("tools/call", &json!({"name": "echo"})).await.unwrap();
    first.call("ping", &json!({})).await.unwrap();
    go.send(()).unwrap();

    first.end(&id).await.unwrap();
}

#[tokio::test]
async fn names_lead_to_their_upstreams_and_unknown_ones_nowhere() {
    let answer = |name: &'static str| {
        move |request: Request, _| async move {
            Ok(raw(&json!({"who": name, "method": request.method, "params": params(&request)})))
        }
    };
    let prompts = json!([{"name": "greet"}]);
    let (one, _heard) = Script::new(false, answer("one"));
    let (two, _heard) = Script::new(true, answer("two"));
    let one = one.prompts(prompts.clone()).resources(json!([{"uri": "one:x", "name": "x"}]));
    let two = two.prompts(prompts).resources(json!([{"uri": "two:x", "name": "x"}]));
    let gateway =
        gateway([("one", prefixed(one.start(), Era::Legacy)), ("two", prefixed(two.start(), Era::Modern))])
            .await;
    for newer in [false, true] {
        let mut client = client(&gateway, newer).await;
        let who = async |client: &mut RawClient, method: &str, params: Value| {
            client.call(method, &params).await.map(|result| result["who"].clone())
        };

        let prompt = |name: &str| json!({"type": "ref/prompt", "name": name});
        let argument = json!({"name": "a", "value": ""});
        for name in ["one", "two"] {
            let (tool, greet) = (format!("{name}__echo"), format!("{name}__greet"));
            let called = who(&mut client, "tools/call", json!({"name": tool})).await;
            assert_eq!(called.unwrap(), name);
            let got = who(&mut client, "prompts/get", json!({"name": greet})).await;
            assert_eq!(got.unwrap(), name);
            let uri = format!("{name}:x");
            assert_eq!(who(&mut client, "resources/read", json!({"uri": uri})).await.unwrap(), name);
            let complete = json!({"ref": prompt(&greet), "argument": argument});
            assert_eq!(who(&mut client, "completion/complete", complete).await.unwrap(), name);
        }
        let code = async |client: &mut RawClient, method: &str, params: Value| {
            let error = client.call(method, &params).await.unwrap_err();
            (error["code"].clone(), error["data"]["code"].clone(), error["data"]["uri"].clone())
        };
        let null = Value::Null;
        let unknown = code(&mut client, "tools/call", json!({"name": "echo"})).await;
        assert_eq!(unknown, (json!(-32602), json!("TOOL_NOT_FOUND"), null.clone()));
        let unknown = code(&mut client, "prompts/get", json!({"name": "greet"})).await;
        assert_eq!(unknown, (json!(-32602), json!("PROMPT_NOT_FOUND"), null.clone()));
        let unknown = code(&mut client, "resources/read", json!({"uri": "three:x"})).await;
        let number = if newer { -32602 } else { -32002 };
        assert_eq!(unknown, (json!(number), json!("RESOURCE_NOT_FOUND"), json!("three:x")));
        let unknown = code(&mut client, "vendor/method", json!({})).await;
        assert_eq!(unknown, (json!(-32601), json!("METHOD_NOT_FOUND"), null.clone()));
        let unknown = code(&mut client, "tools/call", json!({"name": 7})).await;
        assert_eq!(unknown, (json!(-32602), json!("INVALID_PARAMS"), null));
    }
}

#[tokio::test]
async fn a_method_that_nobody_here_knows_goes_to_the_only_upstream() {
    for (newer_client, newer_server) in PAIRS {
        let (script, _heard) = Script::new(newer_server, |request, _| async move {
            Ok(raw(&json!({"method": request.method, "x": params(&request)["x"]})))
        });
        let gateway = gateway([("far", prefixed(script.start(), era(newer_server)))]).await;
        let mut client = client(&gateway, newer_client).await;

        let result = client.call("vendor/method", &json!({"x": 1})).await.unwrap();

        assert_eq!((&result["method"], &result["x"]), (&json!("vendor/method"), &json!(1)));
    }
}
