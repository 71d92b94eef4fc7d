//! Results that are kept: in both eras, for whom, and until when.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use auth::{Caller, Keys};
use gateway::{CacheScope, CacheSettings, Gateway, Sessions, UpstreamSettings};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use json_rpc::{Message, Notification, Outcome, Request};
use mcp_transport::{Arrival, Endpoint, Link, Mirrored};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    calls::era,
    client::RawClient,
    server::{Heard, Script, Voice, params},
    support::{gateway, plain, prefixed, raw, settings, soon},
};

const PAIRS: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

/// A server whose tools answer with how many calls there were before.
#[derive(Clone)]
struct Counter {
    calls: Arc<AtomicU64>,
    /// Calls wait until this is so.
    is_open: watch::Sender<bool>,
}

impl Counter {
    fn new() -> Self {
        Self { calls: Arc::default(), is_open: watch::Sender::new(true) }
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    async fn answer(self, request: Request, voice: Voice) -> Outcome {
        let given = params(&request);
        if request.method != "tools/call" {
            return Ok(raw(&json!({})));
        }
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let _ = self.is_open.subscribe().wait_for(|is_open| *is_open).await;
        let arguments = &given["arguments"];
        if let Some(method) = arguments["tell"].as_str() {
            let method: &'static str = method.to_owned().leak();
            voice.tell(method, &json!({"uri": "a:b"}));
        }
        if arguments["ask"] == true {
            let question =
                json!({"message": "sure?", "requestedSchema": {"type": "object", "properties": {}}});
            voice.ask("elicitation/create", &question).await.unwrap();
        }
        if arguments["needs"] == true && given["inputResponses"].is_null() {
            let question =
                json!({"message": "sure?", "requestedSchema": {"type": "object", "properties": {}}});
            let requests = json!({"q": {"method": "elicitation/create", "params": question}});
            return Ok(raw(&json!({"resultType": "input_required", "inputRequests": requests})));
        }
        if arguments["error"] == true {
            return Err(raw(&json!({"code": -32000, "message": "no", "data": number})));
        }
        let is_error = arguments["fail"] == true;
        Ok(raw(&json!({"content": [], "isError": is_error, "number": number})))
    }

    fn script(&self, is_modern: bool) -> (Script, Heard) {
        let counter = self.clone();
        let (script, heard) =
            Script::new(is_modern, move |request, voice| counter.clone().answer(request, voice));
        let tools = json!([
            {"name": "look", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": true}},
            {"name": "touch", "inputSchema": {"type": "object"}, "annotations": {"idempotentHint": true}},
        ]);
        let told = json!({"listChanged": true});
        let capabilities = json!({"tools": told, "resources": {"subscribe": true, "listChanged": true}});
        (script.tools(tools).capabilities(capabilities), heard)
    }
}

fn kept(scope: CacheScope) -> Option<CacheSettings> {
    Some(CacheSettings { time_to_live: std::time::Duration::from_secs(3_600), scope })
}

/// A gateway that keeps what this server answers.
async fn over(counter: &Counter, is_modern: bool) -> (Arc<Gateway>, UpstreamSettings) {
    let upstream = plain(counter.script(is_modern).0.start(), era(is_modern));
    let upstream = UpstreamSettings { cache: kept(CacheScope::Private), ..upstream };
    (gateway([("far", upstream.clone())]).await, upstream)
}

async fn client<E: Endpoint>(endpoint: &Arc<E>, is_modern: bool) -> RawClient {
    let capabilities = json!({"elicitation": {}});
    if is_modern {
        RawClient::modern(endpoint, capabilities)
    } else {
        RawClient::legacy(endpoint, capabilities).await
    }
}

/// The number of the call that answered.
async fn number(client: &mut RawClient, tool: &str, arguments: Value) -> u64 {
    let result = client.call("tools/call", &json!({"name": tool, "arguments": arguments})).await;
    result.unwrap()["number"].as_u64().unwrap()
}

async fn look(client: &mut RawClient) -> u64 {
    number(client, "look", json!({})).await
}

#[tokio::test]
async fn an_equal_call_is_answered_with_what_is_kept_and_another_is_made() {
    for (newer_client, newer_server) in PAIRS {
        let counter = Counter::new();
        let (gateway, _) = over(&counter, newer_server).await;
        let mut client = client(&gateway, newer_client).await;
        let call = json!({"name": "look", "arguments": {"a": [1, {"x": 1, "y": null}], "b": "é"}});
        let first = client.call("tools/call", &call).await.unwrap();

        let same = r#"{"_meta":META,"arguments":{ "b":"\u00e9", "a":[1,{"y":null,"x":1}]},"name":"look"}"#;
        let meta = json!({"progressToken": 7, "traceparent": "00-1-2-3", "claudecode/toolUseId": "t"});
        let meta = if newer_client { client.stamped(&json!({"_meta": meta}))["_meta"].clone() } else { meta };
        let same = json_rpc::Raw::read(same.replace("META", &meta.to_string())).unwrap();
        let id = client.begin_raw("tools/call", same).await;
        let second: Value = client.end(&id).await.unwrap().parse().unwrap();
        assert_eq!(first, second);
        assert_eq!(second["resultType"].is_null(), !newer_client);

        for (place, other) in [
            (1, json!({"name": "look", "arguments": {"a": [{"x": 1, "y": null}, 1], "b": "é"}})),
            (2, json!({"name": "look", "arguments": {"a": [1.0, {"x": 1, "y": null}], "b": "é"}})),
            (3, json!({"name": "look", "arguments": call["arguments"], "_meta": {"vendor": 1}})),
            (4, json!({"name": "look"})),
        ] {
            assert_eq!(client.call("tools/call", &other).await.unwrap()["number"], place, "{other}");
        }
        assert_eq!(client.call("tools/call", &call).await.unwrap(), first);
    }
}

#[tokio::test]
async fn a_tool_that_does_not_say_that_it_only_reads_and_an_upstream_without_cache_are_asked_each_time() {
    for (newer_client, newer_server) in PAIRS {
        let counter = Counter::new();
        let (gateway, upstream) = over(&counter, newer_server).await;
        let mut client = client(&gateway, newer_client).await;
        assert_eq!(number(&mut client, "touch", json!({})).await, 0);
        assert_eq!(number(&mut client, "touch", json!({})).await, 1);

        gateway.apply(settings([("far", UpstreamSettings { cache: None, ..upstream })]));

        assert_eq!((look(&mut client).await, look(&mut client).await), (2, 3));
    }
}

#[tokio::test]
async fn a_thousand_equal_calls_at_once_are_one_for_the_upstream() {
    for newer_client in [false, true] {
        let counter = Counter::new();
        counter.is_open.send_replace(false);
        let (gateway, _) = over(&counter, false).await;
        let mut clients = Vec::new();
        for _ in 0..20 {
            let mut client = client(&gateway, newer_client).await;
            let mut ids = Vec::new();
            for _ in 0..50 {
                ids.push(client.begin("tools/call", &json!({"name": "look"})).await);
            }
            clients.push((client, ids));
        }

        counter.is_open.send_replace(true);

        for (client, ids) in &mut clients {
            for _ in &mut *ids {
                let Message::Response(response) = client.next().await else { panic!("no answer") };
                let result: Value = response.outcome.unwrap().parse().unwrap();
                assert_eq!(result["number"], 0);
            }
        }
        assert_eq!(counter.calls(), 1);
    }
}

#[tokio::test]
async fn a_call_that_its_client_gives_up_is_made_for_those_who_wait_for_it() {
    let counter = Counter::new();
    counter.is_open.send_replace(false);
    let (script, mut heard) = counter.script(false);
    let upstream = UpstreamSettings { cache: kept(CacheScope::Private), ..plain(script.start(), era(false)) };
    let gateway = gateway([("far", upstream)]).await;
    let (mut first, mut second) = (client(&gateway, false).await, client(&gateway, false).await);
    let given_up = first.begin("tools/call", &json!({"name": "look"})).await;
    crate::calls::request(&mut heard).await;
    let waits = second.begin("tools/call", &json!({"name": "look"})).await;
    // Answered only after what came before it was read.
    second.call("ping", &json!({})).await.unwrap();

    let cancelled = json!({"requestId": given_up.number()});
    first.send(Notification::new("notifications/cancelled", Some(raw(&cancelled)))).await;
    crate::calls::request(&mut heard).await;
    counter.is_open.send_replace(true);

    let result: Value = second.end(&waits).await.unwrap().parse().unwrap();
    assert_eq!((result["number"].as_u64(), counter.calls()), (Some(1), 2));
}

#[tokio::test]
async fn a_failure_is_not_kept() {
    for (newer_client, newer_server) in PAIRS {
        let counter = Counter::new();
        let (gateway, _) = over(&counter, newer_server).await;
        let mut client = client(&gateway, newer_client).await;
        for expected in [0, 1] {
            assert_eq!(number(&mut client, "look", json!({"fail": true})).await, expected);
        }
        for expected in [2, 3] {
            let call = json!({"name": "look", "arguments": {"error": true}});
            assert_eq!(client.call("tools/call", &call).await.unwrap_err()["data"], expected);
        }
    }
}

#[tokio::test]
async fn what_somebody_was_asked_for_is_not_kept() {
    for (newer_client, newer_server) in PAIRS {
        let counter = Counter::new();
        let (gateway, _) = over(&counter, newer_server).await;
        let mut client = client(&gateway, newer_client).await;
        let how = if newer_server { "needs" } else { "ask" };
        let mut call = json!({"name": "look", "arguments": {how: true}});
        let mut last = Value::Null;
        for _ in 0..2 {
            let id = client.begin("tools/call", &call).await;
            let result: Value = if newer_client {
                let asked: Value = client.end(&id).await.unwrap().parse().unwrap();
                assert_eq!(asked["resultType"], "input_required");
                let key = asked["inputRequests"].as_object().unwrap().keys().next().unwrap().clone();
                call["inputResponses"] = json!({key: {"action": "accept", "content": {}}});
                if !asked["requestState"].is_null() {
                    call["requestState"] = asked["requestState"].clone();
                }
                let result = client.call("tools/call", &call).await.unwrap();
                call = json!({"name": "look", "arguments": {how: true}});
                result
            } else {
                let question = client.question().await;
                let accepted = json!({"action": "accept", "content": {}});
                client.reply(question.id, Ok(raw(&accepted))).await;
                client.end(&id).await.unwrap().parse().unwrap()
            };
            assert_ne!(result["number"], last, "client {newer_client}, server {newer_server}");
            last = result["number"].clone();
        }
    }
}

#[tokio::test]
async fn what_may_have_changed_is_asked_for_again() {
    for (newer_client, newer_server) in PAIRS {
        let counter = Counter::new();
        let (gateway, _) = over(&counter, newer_server).await;
        let mut client = client(&gateway, newer_client).await;
        let mut expected = 0;
        for change in [
            ("touch", json!({})),
            ("look", json!({"tell": "notifications/tools/list_changed"})),
            ("look", json!({"tell": "notifications/resources/list_changed"})),
            ("look", json!({"tell": "notifications/resources/updated"})),
        ] {
            let before = look(&mut client).await;
            assert_eq!((before, look(&mut client).await), (expected, expected));
            number(&mut client, change.0, change.1.clone()).await;
            expected += 2;
            assert_eq!(look(&mut client).await, expected, "{change:?}, server {newer_server}");
        }
    }
}

#[tokio::test]
async fn a_change_at_one_upstream_is_nothing_to_another() {
    let (one, other) = (Counter::new(), Counter::new());
    let upstream = |counter: &Counter| UpstreamSettings {
        cache: kept(CacheScope::Private),
        ..prefixed(counter.script(false).0.start(), era(false))
    };
    let gateway = gateway([("one", upstream(&one)), ("other", upstream(&other))]).await;
    let mut client = client(&gateway, false).await;
    number(&mut client, "one__look", json!({})).await;
    number(&mut client, "other__look", json!({})).await;

    number(&mut client, "one__touch", json!({})).await;

    assert_eq!(number(&mut client, "one__look", json!({})).await, 2);
    assert_eq!(number(&mut client, "other__look", json!({})).await, 0);
}

#[tokio::test]
async fn other_settings_empty_what_they_are_about() {
    let counter = Counter::new();
    let (gateway, upstream) = over(&counter, false).await;
    let mut client = client(&gateway, false).await;
    assert_eq!(look(&mut client).await, 0);

    gateway.apply(settings([("far", upstream.clone())]));
    assert_eq!(look(&mut client).await, 0, "nothing has changed");

    gateway
        .apply(settings([("far", UpstreamSettings { cache: kept(CacheScope::Public), ..upstream.clone() })]));
    assert_eq!(look(&mut client).await, 1);

    let replaced = plain(counter.script(false).0.start(), era(false));
    gateway.apply(settings([("far", UpstreamSettings { cache: kept(CacheScope::Public), ..replaced })]));
    soon(gateway.settled()).await;
    assert_eq!(look(&mut client).await, 2);
}

#[tokio::test]
async fn two_callers_share_what_is_public_and_never_what_is_private() {
    for newer_client in [false, true] {
        for (scope, of_the_second) in [(CacheScope::Private, 1), (CacheScope::Public, 0)] {
            let counter = Counter::new();
            let upstream = plain(counter.script(false).0.start(), era(false));
            let upstream = UpstreamSettings { cache: kept(scope), ..upstream };
            let gateway = gateway([("far", upstream)]).await;
            let one = Arc::new(As { gateway: gateway.clone(), caller: caller("key-number-one") });
            let two = Arc::new(As { gateway: gateway.clone(), caller: caller("key-number-two") });
            let (mut first, mut second) =
                (client(&one, newer_client).await, client(&two, newer_client).await);
            let mut again = client(&one, newer_client).await;

            assert_eq!(look(&mut first).await, 0);
            assert_eq!(look(&mut second).await, of_the_second);
            assert_eq!((look(&mut first).await, look(&mut again).await), (0, 0));
        }
    }
}

#[tokio::test]
async fn where_each_client_has_its_own_session_it_has_its_own_answers() {
    let counter = Counter::new();
    let upstream = plain(counter.script(false).0.start(), era(false));
    let upstream =
        UpstreamSettings { cache: kept(CacheScope::Public), sessions: Sessions::PerClient, ..upstream };
    let gateway = gateway([("far", upstream)]).await;
    let (mut first, mut second) = (client(&gateway, false).await, client(&gateway, false).await);

    assert_eq!((look(&mut first).await, look(&mut second).await), (0, 1));
    assert_eq!((look(&mut first).await, look(&mut second).await), (0, 1));
}

/// The gateway, as somebody with a key sees it.
struct As {
    gateway: Arc<Gateway>,
    caller: Caller,
}

fn caller(key: &str) -> Caller {
    let keys = Keys::new(&[SecretString::from("key-number-one"), SecretString::from("key-number-two")]);
    let shown = HeaderValue::from_str(&format!("Bearer {key}")).unwrap();
    keys.caller(&HeaderMap::from_iter([(AUTHORIZATION, shown)])).unwrap()
}

impl Endpoint for As {
    type Session = <Gateway as Endpoint>::Session;

    fn open(&self, arrival: Arrival) -> Self::Session {
        self.gateway.open(Arrival { caller: self.caller, ..arrival })
    }

    async fn answer(&self, session: Arc<Self::Session>, request: Request, link: Link) -> Outcome {
        self.gateway.answer(session, request, link).await
    }

    fn hear(&self, session: &Arc<Self::Session>, notification: Notification) {
        self.gateway.hear(session, notification);
    }

    fn mirrored(&self, session: &Arc<Self::Session>, tool: &str) -> Vec<Mirrored> {
        self.gateway.mirrored(session, tool)
    }
}

#[tokio::test]
async fn what_is_kept_is_forgotten_when_the_uris_in_it_would_lead_nowhere() {
    for is_modern in [false, true] {
        let link = json!({"type": "resource_link", "name": "n", "uri": "doc://nowhere/listed"});
        let answer = move |request: Request, _: Voice| {
            let said = match request.method.as_ref() {
                "tools/call" => json!({"content": [link]}),
                _ => json!({"contents": [{"uri": params(&request)["uri"], "text": "t"}]}),
            };
            async move { Ok(raw(&said)) }
        };
        let tools = json!([
            {"name": "look", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": true}},
        ]);
        let (script, _heard) = Script::new(is_modern, answer);
        let far = plain(script.tools(tools).start(), era(is_modern));
        let far = UpstreamSettings { cache: kept(CacheScope::Private), ..far };
        let gateway = gateway([("far", far.clone())]).await;
        let mut client = client(&gateway, is_modern).await;
        let look = json!({"name": "look", "arguments": {}});
        client.call("tools/call", &look).await.unwrap();

        // It has resources, and lists none: no list changes.
        let (other, _heard_too) = Script::new(is_modern, |_, _: Voice| async { Ok(raw(&json!({}))) });
        let other = prefixed(other.tools(json!([])).start(), era(is_modern));
        gateway.apply(settings([("far", far), ("other", other)]));
        soon(gateway.settled()).await;

        let looked = client.call("tools/call", &look).await.unwrap();
        let uri = &looked["content"][0]["uri"];
        client.call("resources/read", &json!({"uri": uri})).await.unwrap();
    }
}
