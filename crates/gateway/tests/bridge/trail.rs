//! What becomes known of requests: in errors, in the access log, and to whoever asks.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use gateway::{
    AccessLog, AccessLogSettings, BatchSettings, Filter, Gateway, Rules, Settings, UpstreamSettings,
};
use json_rpc::Notification;
use mcp_transport::Era;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    calls::{client, request},
    client::RawClient,
    server::{Script, params},
    support::{prefixed, raw, settings, soon},
};

/// A gateway that writes down what it does.
pub struct Logged {
    pub gateway: Arc<Gateway>,
    folder: TempDir,
}

impl Logged {
    pub async fn start(settings: Settings, bodies: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.jsonl");
        let log = AccessLogSettings { path, max_bytes: 1 << 20, bodies, mask: vec!["EMP-[0-9]+".to_owned()] };
        let access_log = Some(AccessLog::open(&log).unwrap());
        let gateway = Gateway::new(Settings { access_log, ..settings });
        soon(gateway.settled()).await;
        Self { gateway, folder }
    }

    /// Ends it, and reads what it wrote.
    pub async fn end(self) -> Vec<Value> {
        soon(self.gateway.close(Duration::ZERO)).await;
        let path: PathBuf = self.folder.path().join("access.jsonl");
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

pub fn of<'l>(lines: &'l [Value], operation: &str) -> Vec<&'l Value> {
    lines.iter().filter(|line| line["operation"] == operation).collect()
}

fn echo() -> UpstreamSettings {
    let (script, _heard) = Script::new(false, |request, _| async move {
        let said = params(&request)["arguments"]["message"].clone();
        Ok(raw(&json!({"content": [{"type": "text", "text": said}]})))
    });
    prefixed(script.start(), Era::Legacy)
}

/// A server that hangs up during its first calls; its tool says so of itself.
fn moody(moods: usize, hints: &Value) -> UpstreamSettings {
    let hang_up = Arc::new(OnceLock::<Box<dyn Fn() + Send + Sync>>::new());
    let (hangs_up, calls) = (hang_up.clone(), Arc::new(std::sync::atomic::AtomicUsize::new(0)));
    let (script, _heard) = Script::new(false, move |_, _| {
        let is_moody = calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < moods;
        let hang_up = hangs_up.clone();
        async move {
            if is_moody {
                (hang_up.get().unwrap())();
                std::future::pending::<()>().await;
            }
            Ok(raw(&json!({"content": []})))
        }
    });
    let script = script.tools(json!([{"name": "echo", "inputSchema": {}, "annotations": hints}]));
    assert!(hang_up.set(Box::new(script.hang_up())).is_ok());
    prefixed(script.start(), Era::Legacy)
}

#[tokio::test]
async fn an_error_says_which_request_it_is_about_and_the_gateway_can_tell_more_of_it() {
    let gateway = Gateway::new(settings([("far", moody(usize::MAX, &json!({})))]));
    soon(gateway.settled()).await;
    for is_modern in [false, true] {
        let mut client = client(&gateway, is_modern).await;

        let error = client.call("tools/call", &json!({"name": "far__echo"})).await.unwrap_err();

        let mut data = error["data"].clone();
        let mut take = |name: &str| data.as_object_mut().unwrap().remove(name).unwrap();
        let (id, time) = (take("request_id"), take("time"));
        assert!(time.as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{time}");
        let expected = json!({
            "code": "DELIVERY_UNKNOWN", "upstream": "far", "operation": "tools/call", "target": "far__echo", "attempt": 1,
        });
        assert_eq!(data, expected);
        let explained = gateway.explain(id.as_str().unwrap());
        assert_eq!(
            (explained.kind.as_deref(), explained.upstream.as_deref()),
            (Some("request"), Some("far"))
        );
        let reasons = explained.reasons.join("\n");
        for expected in [
            "tools/call of \"far__echo\"",
            "may have done something",
            "sent to upstream \"far\" once",
            "DELIVERY_UNKNOWN",
        ] {
            assert!(reasons.contains(expected), "{expected}: {reasons}");
        }
    }
    let unknown = gateway.explain("00000000-0000-4000-8000-000000000000");
    assert!(
        unknown.kind.is_none() && unknown.reasons[0].contains("no request of this id"),
        "{:?}",
        unknown.reasons
    );
}

#[tokio::test]
async fn what_was_tried_again_says_why_and_how_often() {
    let logged = Logged::start(settings([("far", moody(1, &json!({"readOnlyHint": true})))]), false).await;
    let mut client = client(&logged.gateway, true).await;

    client.call("tools/call", &json!({"name": "far__echo"})).await.unwrap();

    let gateway = logged.gateway.clone();
    let lines = logged.end().await;
    let line = of(&lines, "tools/call")[0];
    assert_eq!((&line["outcome"], &line["attempts"]), (&json!("ok"), &json!(2)));
    let reasons = gateway.explain(line["request_id"].as_str().unwrap()).reasons.join("\n");
    assert!(reasons.contains("its answer was lost") && reasons.contains("tried again"), "{reasons}");
    assert!(reasons.contains("sent 2 times") && reasons.contains("it was answered"), "{reasons}");
}

#[tokio::test]
async fn each_request_is_a_line_that_says_who_asked_what_of_whom_and_what_came_of_it() {
    let rules =
        Rules { tools: Filter { deny: vec!["ec*".to_owned()], ..Filter::default() }, ..Rules::default() };
    let (script, _heard) = Script::new(true, |request, _| async move {
        match params(&request)["name"].as_str() {
            Some("fails") => Ok(raw(&json!({"content": [], "isError": true}))),
            _ => Err(raw(&json!({"code": -32099, "message": "no"}))),
        }
    });
    let tools = ["fails", "errs"].map(|name| json!({"name": name, "inputSchema": {}}));
    let other = prefixed(script.tools(json!(tools)).start(), Era::Modern);
    let denied = UpstreamSettings { rules: rules.into(), ..echo() };
    let upstreams = settings([("far", echo()), ("no", denied), ("other", other)]);
    let logged = Logged::start(upstreams, false).await;
    let mut legacy = client(&logged.gateway, false).await;
    let mut modern = client(&logged.gateway, true).await;

    legacy.call("tools/list", &json!({})).await.unwrap();
    legacy.call("tools/call", &json!({"name": "far__echo", "arguments": {"message": "x"}})).await.unwrap();
    modern.call("tools/call", &json!({"name": "no__echo"})).await.unwrap_err();
    modern.call("tools/call", &json!({"name": "other__fails"})).await.unwrap();
    modern.call("tools/call", &json!({"name": "other__errs"})).await.unwrap_err();
    modern.call("resources/read", &json!({"uri": "file:///ada%40example.com"})).await.unwrap_err();

    let lines = logged.end().await;
    assert_eq!(lines[0]["operation"], "initialize");
    assert_eq!(of(&lines, "tools/list")[0]["outcome"], "ok");
    let calls = of(&lines, "tools/call");
    let [done, refused, failed, erred] = calls[..] else { panic!("{calls:?}") };
    assert_eq!((&done["era"], &done["transport"]), (&json!("legacy"), &json!("stdio")));
    assert_eq!((&done["target"], &done["upstream"]), (&json!("far__echo"), &json!("far")));
    assert!(done["input_bytes"].as_u64() > Some(20) && done["output_bytes"].as_u64() > Some(20));
    assert!(done["duration_ms"].as_f64().unwrap() > 0.0 && done["session"].is_u64());
    assert!(done.get("params").is_none() && done.get("caller").is_none() && done.get("error").is_none());
    assert_eq!((&refused["outcome"], &refused["era"]), (&json!("error"), &json!("modern")));
    assert_eq!(refused["error"], json!({"code": "ACCESS_DENIED", "number": -32004}));
    assert!(refused["rule"].as_str().unwrap().contains("ec*"), "{refused}");
    assert!(refused.get("attempts").is_none());
    assert_eq!(failed["outcome"], "tool_error");
    assert_eq!((&erred["outcome"], &erred["error"]), (&json!("error"), &json!({"number": -32099})));
    let read = of(&lines, "resources/read")[0];
    assert_eq!(
        (&read["target"], &read["error"]["code"]),
        (&json!("file:///[email]"), &json!("RESOURCE_NOT_FOUND"))
    );
}

#[tokio::test]
async fn bodies_are_written_without_personal_data_and_arrive_with_it() {
    let logged = Logged::start(settings([("far", echo())]), true).await;
    let mut client = client(&logged.gateway, true).await;
    let said = r#"{"iban":"x","n":7} EMP-77 ada@example.com, 4111 1111 1111 1111"#;
    let arguments = json!({"message": said, "password": "hunter2", "count": 12});

    let result =
        client.call("tools/call", &json!({"name": "far__echo", "arguments": arguments})).await.unwrap();

    assert_eq!(result["content"][0]["text"], said);
    let lines = logged.end().await;
    let line = of(&lines, "tools/call")[0];
    let masked = r#"{"iban":"[hidden]","n":7} [masked] [email], [card]"#;
    let expected = json!({"message": masked, "password": "[hidden]", "count": 12});
    assert_eq!(line["params"]["arguments"], expected);
    assert_eq!(line["result"]["content"][0]["text"], masked);
}

#[tokio::test]
async fn a_request_that_is_taken_back_was_cancelled() {
    let (script, mut heard) = Script::new(false, |_, _| std::future::pending());
    let logged = Logged::start(settings([("far", prefixed(script.start(), Era::Legacy))]), false).await;
    let mut client = client(&logged.gateway, false).await;
    let id = client.begin("tools/call", &json!({"name": "far__echo"})).await;
    request(&mut heard).await;

    let cancelled = json!({"requestId": id.number()});
    client.send(Notification::new("notifications/cancelled", Some(raw(&cancelled)))).await;
    client.call("ping", &json!({})).await.unwrap();
    client.leave().await;

    let lines = logged.end().await;
    let line = of(&lines, "tools/call")[0];
    assert_eq!((&line["outcome"], &line["attempts"]), (&json!("cancelled"), &json!(1)));
    assert_eq!(of(&lines, "ping").len(), 1);
}

#[tokio::test]
async fn a_request_that_goes_on_with_a_call_names_the_one_that_began_it() {
    let (script, _heard) = Script::new(false, |_, voice| async move {
        let asked = json!({"message": "?", "requestedSchema": {"type": "object", "properties": {}}});
        voice.ask("elicitation/create", &asked).await.map(|_| raw(&json!({"content": []})))
    });
    let logged = Logged::start(settings([("far", prefixed(script.start(), Era::Legacy))]), false).await;
    let mut client = RawClient::modern(&logged.gateway, json!({"elicitation": {"form": {}}}));
    let mut call = json!({"name": "far__echo"});
    let needed = client.call("tools/call", &call).await.unwrap();
    let requests = needed["inputRequests"].as_object().unwrap();
    call["inputResponses"] = requests.keys().map(|key| (key.clone(), json!({"action": "decline"}))).collect();
    call["requestState"] = needed["requestState"].clone();

    client.call("tools/call", &call).await.unwrap();

    let gateway = logged.gateway.clone();
    let lines = logged.end().await;
    let calls = of(&lines, "tools/call");
    assert_eq!((&calls[0]["outcome"], &calls[1]["outcome"]), (&json!("input_required"), &json!("ok")));
    assert_ne!(calls[0]["request_id"], calls[1]["request_id"]);
    assert_eq!(calls[1]["earlier_request_id"], calls[0]["request_id"]);
    assert_eq!((&calls[1]["upstream"], &calls[1]["attempts"]), (&json!("far"), &json!(1)));
    let reasons = gateway.explain(calls[1]["request_id"].as_str().unwrap()).reasons.join("\n");
    assert!(reasons.contains(calls[0]["request_id"].as_str().unwrap()), "{reasons}");
}

#[tokio::test]
async fn the_calls_of_a_batch_are_written_down_one_by_one_and_name_it() {
    let batch = Some(BatchSettings::default());
    let logged = Logged::start(Settings { batch, ..settings([("far", echo())]) }, false).await;
    let mut client = client(&logged.gateway, true).await;
    let calls = ["far__echo", "far__none"].map(|name| json!({"tool": name}));

    client.call("tools/call", &json!({"name": "batch", "arguments": {"calls": calls}})).await.unwrap();

    let gateway = logged.gateway.clone();
    let lines = logged.end().await;
    let calls = of(&lines, "tools/call");
    let batch = calls.iter().find(|line| line["target"] == "batch").unwrap();
    let parts: Vec<_> =
        calls.iter().filter(|line| line["parent_request_id"] == batch["request_id"]).collect();
    assert_eq!((calls.len(), parts.len()), (3, 2));
    assert!(
        parts.iter().any(|part| part["target"] == "far__none" && part["error"]["code"] == "TOOL_NOT_FOUND")
    );
    assert!(parts.iter().all(|part| part["era"] == "modern"));
    let reasons = gateway.explain(batch["request_id"].as_str().unwrap()).reasons.join("\n");
    assert!(
        reasons.contains("it made 2 calls") && reasons.contains(parts[0]["request_id"].as_str().unwrap()),
        "{reasons}"
    );
}

#[tokio::test]
async fn other_settings_keep_the_log_and_a_reload_loses_no_line() {
    let logged = Logged::start(settings([("far", echo())]), false).await;
    let mut client = client(&logged.gateway, true).await;
    client.call("tools/call", &json!({"name": "far__echo"})).await.unwrap();
    let path = logged.folder.path().join("other.jsonl");
    let other = AccessLogSettings { path: path.clone(), max_bytes: 1 << 20, bodies: false, mask: Vec::new() };
    let access_log = Some(AccessLog::open(&other).unwrap());

    logged.gateway.apply(Settings { access_log, ..settings([("far", echo())]) });
    soon(logged.gateway.settled()).await;
    client.call("prompts/list", &json!({})).await.unwrap();
    logged.gateway.apply(Settings { access_log: Some(AccessLog::open(&other).unwrap()), ..settings([]) });
    client.call("resources/list", &json!({})).await.unwrap();

    let lines = logged_until(&logged.folder.path().join("access.jsonl"), 1).await;
    assert_eq!(lines[0]["operation"], "tools/call");
    soon(logged.gateway.close(Duration::ZERO)).await;
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["operation"]), (2, &json!("prompts/list")));
}

#[tokio::test]
async fn other_settings_of_the_same_file_are_written_by_the_same_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.jsonl");
    let of = |path: &std::path::Path, max_bytes, bodies| AccessLogSettings {
        path: path.to_owned(),
        max_bytes,
        bodies,
        mask: Vec::new(),
    };
    let log = AccessLog::open(&of(&path, 1 << 20, false)).unwrap();
    let gateway = Gateway::new(Settings { access_log: Some(log.clone()), ..settings([("far", echo())]) });
    soon(gateway.settled()).await;
    let mut client = client(&gateway, true).await;
    client.call("tools/call", &json!({"name": "far__echo"})).await.unwrap();
    logged_until(&path, 1).await;
    // A file that is opened once more would be made anew.
    std::fs::remove_file(&path).unwrap();

    let other = log.reopen(&of(&path, 1, true)).unwrap();
    assert!(!path.exists(), "the writer has it open");
    gateway.apply(Settings { access_log: Some(other), ..settings([("far", echo())]) });
    soon(gateway.settled()).await;
    client.call("tools/call", &json!({"name": "far__echo"})).await.unwrap();

    soon(gateway.close(Duration::ZERO)).await;
    let text = std::fs::read_to_string(&path).unwrap();
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["params"]["name"], "far__echo", "the new settings hold, of size and of bodies");
    let elsewhere = folder.path().join("other.jsonl");
    let _elsewhere = log.reopen(&of(&elsewhere, 1, true)).unwrap();
    assert!(elsewhere.exists());
}

/// What is in a file that nobody waits for any more, once it is there.
async fn logged_until(path: &std::path::Path, count: usize) -> Vec<Value> {
    soon(async {
        loop {
            let text = std::fs::read_to_string(path).unwrap();
            if text.ends_with('\n') && text.lines().count() >= count {
                return text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[test]
fn a_mask_that_fits_everywhere_is_refused() {
    assert!(AccessLogSettings::check_mask("EMP-[0-9]+").is_ok());
    assert!(AccessLogSettings::check_mask("x*").unwrap_err().contains("empty text"));
}
