//! Other settings while clients are connected.

use std::time::Duration;

use gateway::{Filter, Rules, UpstreamSettings};
use json_rpc::Raw;
use mcp_transport::Era;
use serde_json::{Value, json};

use crate::{
    calls::{client, request},
    client::RawClient,
    server::{Script, Voice, params},
    support::{gateway, plain, prefixed, raw, settings, soon},
};

fn named(name: &'static str) -> (Script, crate::server::Heard) {
    Script::new(false, move |_, _: Voice| async move { Ok(raw(&json!({"who": name}))) })
}

async fn tools(client: &mut RawClient) -> Vec<String> {
    let list = client.call("tools/list", &json!({})).await.unwrap();
    let name = |tool: &Value| tool["name"].as_str().unwrap().to_owned();
    list["tools"].as_array().unwrap().iter().map(name).collect()
}

#[tokio::test]
async fn an_upstream_that_stays_the_same_keeps_its_calls_in_flight() {
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let gone = std::sync::Arc::new(tokio::sync::Mutex::new(Some(gone)));
    let (script, mut heard) = Script::new(false, move |_, _| {
        let gone = gone.clone();
        async move {
            gone.lock().await.take().unwrap().await.unwrap();
            Ok(Raw::empty_object())
        }
    });
    let stays = prefixed(script.start(), Era::Legacy);
    let (leaves, _heard_by_it) = named("leaves");
    let gateway =
        gateway([("stays", stays.clone()), ("leaves", prefixed(leaves.start(), Era::Legacy))]).await;
    let mut client = client(&gateway, false).await;
    assert_eq!(tools(&mut client).await, ["leaves__echo", "stays__echo"]);

    let id = client.begin("tools/call", &json!({"name": "stays__echo"})).await;
    request(&mut heard).await;
    let (comes, _heard_by_the_new) = named("comes");
    let comes = prefixed(comes.start(), Era::Legacy);
    gateway.apply(settings([("stays", stays), ("comes", comes)]));
    soon(gateway.settled()).await;
    assert_eq!(tools(&mut client).await, ["comes__echo", "stays__echo"]);
    go.send(()).unwrap();

    client.end(&id).await.unwrap();
    let gone = client.call("tools/call", &json!({"name": "leaves__echo"})).await.unwrap_err();
    assert_eq!(gone["data"]["code"], "TOOL_NOT_FOUND");
    let come = client.call("tools/call", &json!({"name": "comes__echo"})).await.unwrap();
    assert_eq!(come["who"], "comes");
}

#[tokio::test]
async fn an_upstream_that_changes_is_another_one_under_the_same_names() {
    let ((old, _heard), (new, _heard_too)) = (named("old"), named("new"));
    let gateway = gateway([("far", plain(old.start(), Era::Legacy))]).await;
    let mut client = client(&gateway, false).await;
    let who = client.call("tools/call", &json!({"name": "echo"})).await.unwrap();
    assert_eq!(who["who"], "old");

    gateway.apply(settings([("far", plain(new.start(), Era::Legacy))]));

    let who = client.call("tools/call", &json!({"name": "echo"})).await.unwrap();
    assert_eq!(who["who"], "new");
}

#[tokio::test]
async fn another_prefix_changes_names_and_nothing_else() {
    let (script, _heard) = named("far");
    let far = plain(script.start(), Era::Legacy);
    let gateway = gateway([("far", far.clone())]).await;
    let mut client = client(&gateway, false).await;
    assert_eq!(tools(&mut client).await, ["echo"]);

    let renamed = UpstreamSettings { prefix: Some("near".to_owned()), ..far };
    gateway.apply(settings([("far", renamed)]));

    assert_eq!(tools(&mut client).await, ["near__echo"]);
    client.call("tools/call", &json!({"name": "near__echo"})).await.unwrap();
}

#[tokio::test]
async fn what_the_gateway_knows_of_a_name_is_explained() {
    let (script, _heard) = named("far");
    let gateway = gateway([("far", prefixed(script.start(), Era::Legacy))]).await;

    let known = gateway.explain("far__echo");
    assert_eq!((known.upstream.as_deref(), known.name_there.as_deref()), (Some("far"), Some("echo")));
    assert!(gateway.explain("nothing").upstream.is_none());
    let health = gateway.health();
    assert_eq!((health.status, health.upstreams[0].tools), ("ok", 1));
}

#[tokio::test]
async fn a_call_that_meets_a_reload_goes_on_at_the_new_upstream() {
    let asks = |name: &'static str| {
        Script::new(true, move |request, _: Voice| async move {
            if params(&request)["requestState"] == "asked" {
                return Ok(raw(&json!({"resultType": "complete", "who": name})));
            }
            let question = json!({"who": {"method": "roots/list"}});
            Ok(raw(
                &json!({"resultType": "input_required", "requestState": "asked", "inputRequests": question}),
            ))
        })
    };
    let ((old, _heard), (new, _heard_too)) = (asks("old"), asks("new"));
    let gateway = gateway([("far", plain(old.start(), Era::Modern))]).await;
    let mut client = RawClient::legacy(&gateway, json!({"roots": {}})).await;
    let call = client.begin("tools/call", &json!({"name": "echo"})).await;
    let question = client.question().await;

    gateway.apply(settings([("far", plain(new.start(), Era::Modern))]));
    soon(gateway.settled()).await;
    client.reply(question.id, Ok(raw(&json!({"roots": []})))).await;

    let result: Value = client.end(&call).await.unwrap().parse().unwrap();
    assert_eq!(result["who"], "new");
}

#[tokio::test]
async fn a_call_whose_upstream_has_gone_while_it_asked_may_have_done_something() {
    let (script, _heard) = Script::new(true, |_, _: Voice| async {
        let question = json!({"who": {"method": "roots/list"}});
        Ok(raw(&json!({"resultType": "input_required", "requestState": "asked", "inputRequests": question})))
    });
    let gateway = gateway([("far", plain(script.start(), Era::Modern))]).await;
    let mut client = RawClient::legacy(&gateway, json!({"roots": {}})).await;
    let call = client.begin("tools/call", &json!({"name": "echo"})).await;
    let question = client.question().await;

    gateway.apply(settings([]));
    soon(gateway.settled()).await;
    client.reply(question.id, Ok(raw(&json!({"roots": []})))).await;

    let error: Value = client.end(&call).await.unwrap_err().parse().unwrap();
    assert_eq!(error["data"]["code"], "DELIVERY_UNKNOWN", "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_long_and_says_so_is_finished_by_an_upstream_that_was_replaced() {
    let limit = Duration::from_secs(2);
    let (old, mut heard) = Script::new(false, move |request, voice: Voice| async move {
        let token = params(&request)["_meta"]["progressToken"].clone();
        for progress in 0..5 {
            tokio::time::sleep(limit / 2).await; // on the paused clock
            voice.tell("notifications/progress", &json!({"progressToken": token, "progress": progress}));
        }
        Ok(raw(&json!({"who": "old"})))
    });
    let (new, _heard) = named("new");
    let far = |script: Script| UpstreamSettings { call_timeout: limit, ..plain(script.start(), Era::Legacy) };
    let gateway = gateway([("far", far(old))]).await;
    let mut client = client(&gateway, false).await;
    let call = client.begin("tools/call", &json!({"name": "echo", "_meta": {"progressToken": 1}})).await;
    request(&mut heard).await;

    gateway.apply(settings([("far", far(new))]));
    soon(gateway.settled()).await;

    let result: Value = client.end(&call).await.unwrap().parse().unwrap();
    assert_eq!(result["who"], "old");
}

#[tokio::test(start_paused = true)]
async fn closing_cuts_off_what_an_upstream_that_was_replaced_is_still_doing() {
    let (old, mut heard) = Script::new(false, |_, _| std::future::pending());
    let (new, _heard) = named("new");
    let far = |script: Script| UpstreamSettings {
        call_timeout: Duration::from_secs(24 * 60 * 60),
        ..plain(script.start(), Era::Legacy)
    };
    let gateway = gateway([("far", far(old))]).await;
    let mut client = client(&gateway, false).await;
    client.begin("tools/call", &json!({"name": "echo"})).await;
    request(&mut heard).await;
    gateway.apply(settings([("far", far(new))]));
    soon(gateway.settled()).await;

    // The clock runs ahead while nothing happens: this would be over, had it waited for the call.
    soon(gateway.close(Duration::from_secs(1))).await;
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_for_clients_that_have_not_come_back() {
    let (asks, _heard) =
        Script::new(false, |_, voice: Voice| async move { voice.ask("roots/list", &json!({})).await });
    let gateway = gateway([("far", plain(asks.start(), Era::Legacy))]).await;
    let mut client = RawClient::modern(&gateway, json!({"roots": {}}));
    let asked = client.call("tools/call", &json!({"name": "echo"})).await.unwrap();
    assert_eq!(asked["resultType"], "input_required");

    // As above.
    soon(gateway.close(Duration::from_secs(300))).await;
}

fn denying(tool: &str, settings: UpstreamSettings) -> UpstreamSettings {
    let tools = Filter { deny: vec![tool.to_owned()], ..Filter::default() };
    UpstreamSettings { rules: Rules { tools, ..Rules::default() }.into(), ..settings }
}

/// Two tools, of which `slow` is not done before it is told.
fn slow_and_danger() -> (Script, crate::server::Heard, std::sync::Arc<tokio::sync::Notify>) {
    let go = std::sync::Arc::new(tokio::sync::Notify::new());
    let gone = go.clone();
    let (script, heard) = Script::new(false, move |request, _: Voice| {
        let gone = gone.clone();
        async move {
            if params(&request)["name"] == "slow" {
                gone.notified().await;
            }
            Ok(Raw::empty_object())
        }
    });
    let tool = |name: &str| json!({"name": name, "inputSchema": {"type": "object"}});
    (script.tools(json!([tool("slow"), tool("danger")])), heard, go)
}

#[tokio::test]
async fn a_call_that_waits_for_its_turn_is_refused_by_a_rule_that_comes_meanwhile() {
    for is_replaced in [false, true] {
        let (script, mut heard, go) = slow_and_danger();
        let one_at_a_time =
            |script: Script| UpstreamSettings { concurrency: 1, ..plain(script.start(), Era::Legacy) };
        let far = one_at_a_time(script);
        let gateway = gateway([("far", far.clone())]).await;
        let mut client = client(&gateway, false).await;
        let slow = client.begin("tools/call", &json!({"name": "slow"})).await;
        assert_eq!(params(&request(&mut heard).await)["name"], "slow");
        let danger = client.begin("tools/call", &json!({"name": "danger"})).await;
        let unknown = client.begin("vendor/run", &json!({})).await;
        let allowed = client.begin("tools/call", &json!({"name": "slow"})).await;
        soon(async {
            while gateway.health().upstreams[0].queued < 3 {
                tokio::task::yield_now().await;
            }
        })
        .await;

        let next = if is_replaced { one_at_a_time(slow_and_danger().0) } else { far };
        gateway.apply(settings([("far", denying("danger", next))]));
        soon(gateway.settled()).await;
        go.notify_one();
        client.end(&slow).await.unwrap();

        let refused: Value = client.end(&danger).await.unwrap_err().parse().unwrap();
        assert_eq!(refused["data"]["code"], "ACCESS_DENIED", "{refused}");
        assert!(refused["message"].as_str().unwrap().contains("nothing was delivered"), "{refused}");
        let refused: Value = client.end(&unknown).await.unwrap_err().parse().unwrap();
        assert_eq!(refused["data"]["code"], "ACCESS_DENIED", "{refused}");
        // What no rule speaks of takes its turn.
        assert_eq!(params(&request(&mut heard).await)["name"], "slow");
        go.notify_one();
        client.end(&allowed).await.unwrap();
    }
}

#[tokio::test]
async fn a_call_that_goes_on_at_the_new_upstream_keeps_to_its_rules_and_names() {
    let asks = || {
        Script::new(true, |request, _: Voice| async move {
            let given = params(&request);
            if given["requestState"] == "asked" {
                return Ok(raw(&json!({"resultType": "complete", "got": given["name"]})));
            }
            let question = json!({"who": {"method": "roots/list"}});
            Ok(raw(
                &json!({"resultType": "input_required", "requestState": "asked", "inputRequests": question}),
            ))
        })
    };
    let tools = json!([{"name": "say", "inputSchema": {"type": "object"}}]);
    for is_denied in [false, true] {
        let ((old, _heard), (new, mut heard)) = (asks(), asks());
        let gateway = gateway([("far", plain(old.start(), Era::Modern))]).await;
        let mut client = RawClient::legacy(&gateway, json!({"roots": {}})).await;
        let call = client.begin("tools/call", &json!({"name": "echo"})).await;
        let question = client.question().await;

        let new = plain(new.tools(tools.clone()).start(), Era::Modern);
        let deny = if is_denied { vec!["say".to_owned()] } else { Vec::new() };
        let rename = [("say".to_owned(), "echo".to_owned())].into();
        let rules = Rules { tools: Filter { deny, rename, ..Filter::default() }, ..Rules::default() };
        gateway.apply(settings([("far", UpstreamSettings { rules: rules.into(), ..new })]));
        soon(gateway.settled()).await;
        client.reply(question.id, Ok(raw(&json!({"roots": []})))).await;

        let outcome = client.end(&call).await;
        if is_denied {
            let refused: Value = outcome.unwrap_err().parse().unwrap();
            assert_eq!(refused["data"]["code"], "ACCESS_DENIED", "{refused}");
            assert!(heard.try_recv().is_err());
        } else {
            let result: Value = outcome.unwrap().parse().unwrap();
            assert_eq!(result["got"], "say");
        }
    }
}
