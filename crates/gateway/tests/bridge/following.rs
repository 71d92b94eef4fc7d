//! What clients are told outside of their calls: resources that they follow, lists that change, log messages.

use std::sync::Arc;

use gateway::Gateway;
use json_rpc::{Message, Notification, Outcome, Request};
use serde_json::{Value, json};

use crate::{
    calls::{era, request},
    client::RawClient,
    server::{Heard, Script, Voice, params},
    support::{gateway, plain, prefixed, raw, settings, soon},
};

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// A server whose resource `a:b` changes whenever the tool `echo` is called. It refuses to tell of `a:secret`.
async fn tells_of_changes(request: Request, voice: Voice) -> Outcome {
    let given = params(&request);
    match request.method.as_ref() {
        "resources/subscribe" if given["uri"] == "a:secret" => {
            Err(raw(&json!({"code": -32002, "message": "not for you", "data": {"x": 1.5}})))
        }
        "resources/subscribe" | "resources/unsubscribe" | "logging/setLevel" => Ok(raw(&json!({}))),
        "subscriptions/listen" => {
            let meta = json!({SUBSCRIPTION: request.id.number()});
            let mut agreed = given["notifications"].clone();
            if let Some(uris) = agreed["resourceSubscriptions"].as_array_mut() {
                uris.retain(|uri| uri != "a:secret");
            }
            let params = json!({"_meta": meta, "notifications": agreed});
            voice.tell("notifications/subscriptions/acknowledged", &params);
            voice.listens(meta);
            std::future::pending().await
        }
        "tools/call" => {
            let update = json!({"uri": given["arguments"]["uri"], "vendor": 1.5});
            voice.update(&update);
            Ok(raw(&json!({"content": []})))
        }
        other => panic!("{other} is not expected"),
    }
}

fn capabilities() -> Value {
    let told = json!({"listChanged": true});
    json!({"tools": told, "prompts": told, "resources": {"subscribe": true, "listChanged": true}, "logging": {}})
}

fn script(is_modern: bool) -> (Script, Heard) {
    let (script, heard) = Script::new(is_modern, tells_of_changes);
    let resources =
        json!([{"uri": "a:b", "name": "b"}, {"uri": "a:c", "name": "c"}, {"uri": "a:secret", "name": "s"}]);
    (script.capabilities(capabilities()).resources(resources), heard)
}

async fn over(script: Script, is_modern: bool) -> Arc<Gateway> {
    gateway([("far", prefixed(script.start(), era(is_modern)))]).await
}

/// The next notification of this method, and what it says.
async fn told(client: &mut RawClient, method: &str) -> Value {
    loop {
        if let Message::Notification(told) = client.next().await
            && told.method == method
        {
            return told.params.map_or(Value::Null, |params| params.parse().unwrap());
        }
    }
}

/// Has the client follow these, and says what it will hear.
async fn follow(client: &mut RawClient, is_modern: bool, uris: &[&str]) -> Value {
    if is_modern {
        let filter = json!({"resourceSubscriptions": uris});
        client.begin("subscriptions/listen", &json!({"notifications": filter})).await;
        return told(client, "notifications/subscriptions/acknowledged").await["notifications"].clone();
    }
    for uri in uris {
        client.call("resources/subscribe", &json!({"uri": uri})).await.unwrap();
    }
    json!({"resourceSubscriptions": uris})
}

async fn client(gateway: &Arc<Gateway>, is_modern: bool) -> RawClient {
    if is_modern {
        RawClient::modern(gateway, json!({}))
    } else {
        RawClient::legacy(gateway, json!({})).await
    }
}

/// The next request or notification of this method that the server hears.
async fn heard(heard: &mut Heard, method: &str) -> Value {
    loop {
        let (known, params) = match soon(heard.recv()).await.unwrap() {
            Message::Request(Request { method, params, .. }) => (method, params),
            Message::Notification(Notification { method, params }) => (method, params),
            Message::Response(_) => continue,
        };
        if known == method {
            return params.map_or(Value::Null, |params| params.parse().unwrap());
        }
    }
}

#[tokio::test]
async fn a_resource_is_followed_in_every_pair_of_eras() {
    for (newer_client, newer_server) in [(false, false), (false, true), (true, false), (true, true)] {
        let (script, _heard) = script(newer_server);
        let gateway = over(script, newer_server).await;
        let mut follower = client(&gateway, newer_client).await;
        let mut other = client(&gateway, newer_client).await;
        assert_eq!(
            follow(&mut follower, newer_client, &["a:b"]).await,
            json!({"resourceSubscriptions": ["a:b"]})
        );
        follow(&mut other, newer_client, &["a:c"]).await;

        for uri in ["a:b", "a:c"] {
            let mut caller = client(&gateway, true).await;
            let call = json!({"name": "far__echo", "arguments": {"uri": uri}});
            caller.call("tools/call", &call).await.unwrap();
        }

        for (client, uri) in [(&mut follower, "a:b"), (&mut other, "a:c")] {
            let mut update = told(client, "notifications/resources/updated").await;
            let id = update["_meta"][SUBSCRIPTION].take();
            assert_eq!(id.is_number(), newer_client, "{newer_client} {newer_server}");
            assert_eq!((&update["uri"], &update["vendor"]), (&json!(uri), &json!(1.5)));
        }
    }
}

#[tokio::test]
async fn an_upstream_is_subscribed_to_once_for_all_and_no_longer_than_needed() {
    let (script, mut hears) = script(false);
    let gateway = over(script, false).await;
    let (mut first, mut second) = (client(&gateway, false).await, client(&gateway, false).await);
    follow(&mut first, false, &["a:b"]).await;
    follow(&mut second, false, &["a:b"]).await;
    first.call("resources/unsubscribe", &json!({"uri": "a:b"})).await.unwrap();
    follow(&mut first, false, &["a:c"]).await;

    second.leave().await;

    let methods =
        [("resources/subscribe", "a:b"), ("resources/subscribe", "a:c"), ("resources/unsubscribe", "a:b")];
    for (method, uri) in methods {
        let request = request(&mut hears).await;
        assert_eq!((request.method.as_ref(), &params(&request)["uri"]), (method, &json!(uri)));
    }
}

#[tokio::test]
async fn a_resource_is_followed_again_after_the_upstream_was_away() {
    for newer_server in [false, true] {
        let (script, mut hears) = script(newer_server);
        let hang_up = script.hang_up();
        let gateway = over(script, newer_server).await;
        let (mut older, mut newer) = (client(&gateway, false).await, client(&gateway, true).await);
        follow(&mut older, false, &["a:b"]).await;
        follow(&mut newer, true, &["a:b"]).await;
        let method = if newer_server { "subscriptions/listen" } else { "resources/subscribe" };
        heard(&mut hears, method).await;

        hang_up();

        heard(&mut hears, method).await;
        let call = json!({"name": "far__echo", "arguments": {"uri": "a:b"}});
        client(&gateway, false).await.call("tools/call", &call).await.unwrap();
        for client in [&mut older, &mut newer] {
            assert_eq!(told(client, "notifications/resources/updated").await["uri"], "a:b");
        }
    }
}

#[tokio::test]
async fn a_resource_that_is_not_there_any_more_can_be_let_go() {
    let (first, _hears) = script(false);
    let gateway = over(first, false).await;
    let mut older = client(&gateway, false).await;
    follow(&mut older, false, &["a:b"]).await;
    let (other, _heard) = script(false);
    let empty = other.resources(json!([])).capabilities(json!({"tools": {}}));

    gateway.apply(settings([("other", plain(empty.start(), era(false)))]));
    older.call("resources/subscribe", &json!({"uri": "a:b"})).await.unwrap_err();
    older.call("resources/unsubscribe", &json!({"uri": "a:b"})).await.unwrap();
}

#[tokio::test]
async fn a_newer_upstream_is_listened_to_on_one_stream_that_follows_the_wishes() {
    let (script, mut hears) = script(true);
    let gateway = over(script, true).await;
    let mut older = client(&gateway, false).await;
    follow(&mut older, false, &["a:b"]).await;
    let first = heard(&mut hears, "subscriptions/listen").await;
    assert_eq!(first["notifications"], json!({"resourceSubscriptions": ["a:b"]}));

    let mut newer = client(&gateway, true).await;
    follow(&mut newer, true, &["a:c"]).await;
    let second = heard(&mut hears, "subscriptions/listen").await;
    assert_eq!(second["notifications"], json!({"resourceSubscriptions": ["a:b", "a:c"]}));
    heard(&mut hears, "notifications/cancelled").await;

    newer.leave().await;
    let third = heard(&mut hears, "subscriptions/listen").await;
    assert_eq!(third["notifications"], json!({"resourceSubscriptions": ["a:b"]}));
}

#[tokio::test]
async fn a_refusal_arrives_as_the_upstream_said_it_and_is_left_out_of_what_is_agreed() {
    for newer_server in [false, true] {
        let (script, _heard) = script(newer_server);
        let gateway = over(script, newer_server).await;
        let mut newer = client(&gateway, true).await;
        let agreed = follow(&mut newer, true, &["a:secret", "a:b"]).await;
        assert_eq!(agreed, json!({"resourceSubscriptions": ["a:b"]}));

        let mut older = client(&gateway, false).await;
        let error = older.call("resources/subscribe", &json!({"uri": "a:secret"})).await.unwrap_err();
        if newer_server {
            assert_eq!(error["data"]["code"], "NOT_SUBSCRIBABLE");
        } else {
            assert_eq!(error, json!({"code": -32002, "message": "not for you", "data": {"x": 1.5}}));
        }
    }
}

#[tokio::test]
async fn an_upstream_that_refuses_one_more_resource_still_tells_of_the_others() {
    let (refusing, mut hears) = Script::new(true, async |request: Request, voice: Voice| {
        let uris = &params(&request)["notifications"]["resourceSubscriptions"];
        if uris.as_array().is_some_and(|uris| uris.len() > 1) {
            return Err(raw(&json!({"code": -32602, "message": "too many"})));
        }
        tells_of_changes(request, voice).await
    });
    let resources = json!([{"uri": "a:b", "name": "b"}, {"uri": "a:c", "name": "c"}]);
    let gateway = over(refusing.capabilities(capabilities()).resources(resources), true).await;
    let mut first = client(&gateway, false).await;
    follow(&mut first, false, &["a:b"]).await;

    let mut second = client(&gateway, false).await;
    let refused = second.call("resources/subscribe", &json!({"uri": "a:c"})).await.unwrap_err();

    assert_eq!(refused["message"], "too many");
    let call = json!({"name": "far__echo", "arguments": {"uri": "a:b"}});
    client(&gateway, true).await.call("tools/call", &call).await.unwrap();
    assert_eq!(told(&mut first, "notifications/resources/updated").await["uri"], "a:b");
    while let Ok(message) = hears.try_recv() {
        let is_end =
            matches!(&message, Message::Notification(told) if told.method == "notifications/cancelled");
        assert!(!is_end, "the stream that tells of it was given up");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_agreed_is_asked_for_again_after_an_error_and_ever_more_slowly() {
    let (failing, mut hears) = Script::new(true, async |request: Request, voice: Voice| {
        let meta = json!({SUBSCRIPTION: request.id.number()});
        let agreed = json!({"_meta": meta, "notifications": params(&request)["notifications"]});
        voice.tell("notifications/subscriptions/acknowledged", &agreed);
        Err(raw(&json!({"code": -32603, "message": "out of order"})))
    });
    let resources = json!([{"uri": "a:b", "name": "b"}]);
    let gateway = over(failing.capabilities(capabilities()).resources(resources), true).await;
    let mut follower = client(&gateway, false).await;
    follow(&mut follower, false, &["a:b"]).await;
    heard(&mut hears, "subscriptions/listen").await;

    let began = tokio::time::Instant::now();
    for _ in 0..4 {
        let again = heard(&mut hears, "subscriptions/listen").await;
        assert_eq!(again["notifications"], json!({"resourceSubscriptions": ["a:b"]}));
    }
    assert!(began.elapsed().as_secs() >= 12, "{:?}", began.elapsed());
}

#[tokio::test]
async fn changed_lists_are_told_to_all_who_want_to_hear_of_them() {
    let (first, _heard) = script(false);
    let (second, _also) = script(true);
    let first = || plain(first.clone().start(), era(false));
    let gateway = gateway([("a", first())]).await;
    let mut older = client(&gateway, false).await;
    let mut newer = client(&gateway, true).await;
    let mut deaf = client(&gateway, true).await;
    let wanted = json!({"toolsListChanged": true, "resourcesListChanged": false, "unknown": 1});
    newer.begin("subscriptions/listen", &json!({"notifications": wanted})).await;
    let agreed = told(&mut newer, "notifications/subscriptions/acknowledged").await;
    assert_eq!(agreed["notifications"], json!({"toolsListChanged": true}));
    assert_eq!(follow(&mut deaf, true, &["a:b"]).await["resourceSubscriptions"], json!(["a:b"]));
    // The session counts as begun once its `notifications/initialized` was heard, which this comes after.
    older.call("ping", &json!({})).await.unwrap();

    gateway.apply(settings([("a", first()), ("b", prefixed(second.start(), era(true)))]));

    told(&mut older, "notifications/tools/list_changed").await;
    let change = told(&mut newer, "notifications/tools/list_changed").await;
    assert!(change["_meta"][SUBSCRIPTION].is_number());
    let mut caller = client(&gateway, true).await;
    caller.call("tools/call", &json!({"name": "echo", "arguments": {"uri": "a:b"}})).await.unwrap();
    let Message::Notification(only) = deaf.next().await else { panic!() };
    assert_eq!(only.method, "notifications/resources/updated");
}

#[tokio::test]
async fn an_older_upstream_is_told_the_least_level_that_anybody_wants() {
    let (script, mut hears) = script(false);
    let gateway = over(script, false).await;
    let (mut first, mut second) = (client(&gateway, false).await, client(&gateway, false).await);

    first.call("logging/setLevel", &json!({"level": "notice"})).await.unwrap();
    // The second has said nothing, and so wants `info`.
    assert_eq!(heard(&mut hears, "logging/setLevel").await["level"], "info");
    second.call("logging/setLevel", &json!({"level": "debug"})).await.unwrap();
    assert_eq!(heard(&mut hears, "logging/setLevel").await["level"], "debug");
    second.call("logging/setLevel", &json!({"level": "error"})).await.unwrap();
    assert_eq!(heard(&mut hears, "logging/setLevel").await["level"], "notice");

    // One that leaves wants nothing any more.
    second.call("logging/setLevel", &json!({"level": "debug"})).await.unwrap();
    assert_eq!(heard(&mut hears, "logging/setLevel").await["level"], "debug");
    second.leave().await;
    assert_eq!(heard(&mut hears, "logging/setLevel").await["level"], "notice");

    // Upstreams that come later are told as well.
    let (late, mut late_hears) = self::script(false);
    let near = || plain(late.clone().start(), era(false));
    gateway.apply(settings([("late", near())]));
    assert_eq!(heard(&mut late_hears, "logging/setLevel").await["level"], "notice");

    let wrong = first.call("logging/setLevel", &json!({"level": "loud"})).await.unwrap_err();
    assert_eq!(wrong["code"], -32602);
}

#[tokio::test]
async fn an_older_upstream_learns_which_log_messages_a_request_of_the_newer_era_wants() {
    let (script, mut hears) = script(false);
    let gateway = over(script, false).await;
    let mut client = client(&gateway, true).await;

    for level in ["warning", "debug", "error"] {
        let meta = json!({"io.modelcontextprotocol/logLevel": level});
        let call = json!({"name": "far__echo", "arguments": {"uri": "a:b"}, "_meta": meta});
        client.call("tools/call", &call).await.unwrap();
    }

    let mut methods = Vec::new();
    while let Ok(message) = hears.try_recv() {
        if let Message::Request(request) = message {
            methods.push((request.method.to_string(), params(&request)["level"].as_str().map(str::to_owned)));
        }
    }
    let level = |level: &str| ("logging/setLevel".to_owned(), Some(level.to_owned()));
    let call = ("tools/call".to_owned(), None);
    // Each connection is told.
    methods.dedup_by(|one, other| one == other && one.0 == "logging/setLevel");
    // What was wanted once is wanted again soon; whoever wants less gets less.
    assert_eq!(methods, [level("warning"), call.clone(), level("debug"), call.clone(), call]);
}

#[tokio::test]
async fn a_request_of_the_newer_era_takes_no_log_messages_from_older_sessions() {
    let (script, mut hears) = script(false);
    let gateway = over(script, false).await;
    let mut older = client(&gateway, false).await;
    // The session counts as begun once its `notifications/initialized` was heard, which this comes after.
    older.call("ping", &json!({})).await.unwrap();

    let meta = json!({"io.modelcontextprotocol/logLevel": "error"});
    let call = json!({"name": "far__echo", "arguments": {"uri": "a:b"}, "_meta": meta});
    client(&gateway, true).await.call("tools/call", &call).await.unwrap();

    // It has said nothing, and so wants `info`.
    assert_eq!(heard(&mut hears, "logging/setLevel").await["level"], "info");
}

#[tokio::test]
async fn a_filter_that_says_nothing_is_refused() {
    let (script, _heard) = script(true);
    let gateway = over(script, true).await;
    let mut client = client(&gateway, true).await;
    for wrong in [json!({}), json!({"notifications": {"toolsListChanged": 1}})] {
        assert_eq!(client.call("subscriptions/listen", &wrong).await.unwrap_err()["code"], -32602);
    }
}

#[tokio::test]
async fn the_end_of_an_elicitation_on_a_web_page_is_told_after_the_call_was_answered() {
    let voices = Arc::new(std::sync::Mutex::new(None));
    let voice_of = voices.clone();
    let (script, _heard) = Script::new(false, move |_, voice: Voice| {
        *voice_of.lock().unwrap() = Some(voice);
        async { Err(raw(&json!({"code": -32042, "message": "see", "data": {"elicitations": []}}))) }
    });
    let gateway = over(script, false).await;
    let mut client = client(&gateway, false).await;
    client.call("tools/call", &json!({"name": "far__echo"})).await.unwrap_err();

    let voice = voices.lock().unwrap().clone().unwrap();
    voice.tell("notifications/elicitation/complete", &json!({"elicitationId": "e"}));

    assert_eq!(told(&mut client, "notifications/elicitation/complete").await["elicitationId"], "e");
}
