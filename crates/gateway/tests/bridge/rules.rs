//! What rules keep from clients, and what they call otherwise: for all that can be listed, in both eras.

mod logged;
mod told;

use std::sync::Arc;

use gateway::{BatchSettings, Expose, Filter, Gateway, InMemory, Rules, Settings, UpstreamSettings};
use json_rpc::{Message, Outcome, Request};
use serde_json::{Value, json};

use crate::{
    calls::{client, era},
    client::RawClient,
    server::{Heard, Script, Voice, params},
    support::{gateway, prefixed, raw, settings, soon},
};

/// The eras of client and upstream: whether each is the newer one.
const PAIRS: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

/// A server that says what it was asked, and tells of changes when its tool `touch` is called.
async fn answers(request: Request, voice: Voice) -> Outcome {
    let given = params(&request);
    let said = match request.method.as_ref() {
        "resources/read" if given["uri"] == "doc://all/" => {
            json!({"contents": [{"uri": "doc://all/open", "text": "o"}, {"uri": "doc://all/secret", "text": "s"}]})
        }
        "resources/read" if given["uri"] == "doc://elsewhere" => {
            json!({"contents": [{"uri": "doc://all/secret", "text": "s"}]})
        }
        "resources/read" => json!({"contents": [{"uri": given["uri"], "text": "t"}]}),
        "completion/complete" => {
            json!({"completion": {"values": ["open", "secret"], "total": 2}, "ref": given["ref"]})
        }
        "prompts/get" => json!({"messages": [], "got": given["name"]}),
        "resources/subscribe" | "resources/unsubscribe" => json!({}),
        "subscriptions/listen" => {
            let meta = json!({"io.modelcontextprotocol/subscriptionId": request.id.number()});
            let agreed = json!({"_meta": meta, "notifications": given["notifications"]});
            voice.tell("notifications/subscriptions/acknowledged", &agreed);
            voice.listens(meta);
            return std::future::pending().await;
        }
        "tools/call" if given["name"] == "touch" => {
            for uri in given["arguments"]["uris"].as_array().unwrap() {
                voice.update(&json!({"uri": uri}));
            }
            json!({"content": []})
        }
        "tools/call" => {
            json!({"content": [{"type": "resource_link", "name": "n", "uri": "doc://all/open"}], "got": given["name"]})
        }
        "skills/list" => json!({"skills": [], "got": given["cursor"]}),
        other => panic!("{other} is not expected"),
    };
    Ok(raw(&said))
}

fn script(is_modern: bool) -> (Script, Heard) {
    let (script, heard) = Script::new(is_modern, answers);
    let capabilities =
        json!({"tools": {}, "prompts": {}, "resources": {"subscribe": true}, "completions": {}});
    let tools =
        ["read", "delete", "touch"].map(|name| json!({"name": name, "inputSchema": {"type": "object"}}));
    let prompts = ["greet", "secret"].map(|name| json!({"name": name}));
    let uris = ["doc://all/", "doc://all/open", "doc://all/secret", "doc://elsewhere"];
    let resources = uris.map(|uri| json!({"uri": uri, "name": "n"}));
    let templates = ["doc://all/{name}", "admin://{id}"].map(|uri| json!({"uriTemplate": uri, "name": "n"}));
    let script = script.capabilities(capabilities).tools(json!(tools)).prompts(json!(prompts));
    (script.resources(json!(resources)).templates(json!(templates)), heard)
}

fn filter(allow: &[&str], deny: &[&str], rename: &[(&str, &str)]) -> Filter {
    let owned = |patterns: &[&str]| patterns.iter().map(|&pattern| pattern.to_owned()).collect();
    let rename = rename.iter().map(|&(from, to)| (from.to_owned(), to.to_owned())).collect();
    Filter { allow: owned(allow), deny: owned(deny), rename }
}

fn ruled(server: InMemory, newer: bool, rules: Rules) -> UpstreamSettings {
    UpstreamSettings { rules: rules.into(), ..prefixed(server, era(newer)) }
}

/// Rules that keep one of each kind from clients: by `deny`, or because it is not in `allow`.
fn refusing(by_deny: bool) -> Rules {
    if by_deny {
        Rules {
            tools: filter(&[], &["del*"], &[]),
            prompts: filter(&[], &["secret"], &[]),
            resources: filter(&[], &["doc://*secret"], &[]),
            templates: filter(&[], &["admin:*"], &[]),
            methods: None,
        }
    } else {
        Rules {
            tools: filter(&["read", "touch"], &[], &[]),
            prompts: filter(&["greet"], &[], &[]),
            resources: filter(&["doc://all/", "doc://all/open", "doc://elsewhere", "admin:*"], &[], &[]),
            templates: filter(&["doc:*"], &[], &[]),
            methods: None,
        }
    }
}

async fn over(upstream: UpstreamSettings) -> Arc<Gateway> {
    with(settings([("far", upstream)])).await
}

async fn with(settings: Settings) -> Arc<Gateway> {
    let gateway = Gateway::new(settings);
    soon(gateway.settled()).await;
    gateway
}

/// Names, URIs or templates of a list.
async fn listed(client: &mut RawClient, method: &str) -> Vec<String> {
    let (list, member) = match method {
        "tools/list" => ("tools", "name"),
        "prompts/list" => ("prompts", "name"),
        "resources/list" => ("resources", "uri"),
        _ => ("resourceTemplates", "uriTemplate"),
    };
    let page = client.call(method, &json!({})).await.unwrap();
    let items = page[list].as_array().unwrap().iter();
    items.map(|item| item[member].as_str().unwrap().to_owned()).collect()
}

/// All requests that a server has heard.
fn requests(heard: &mut Heard) -> Vec<Request> {
    let messages = std::iter::from_fn(|| heard.try_recv().ok());
    let request = |message| match message {
        Message::Request(request) => Some(request),
        _ => None,
    };
    messages.filter_map(request).collect()
}

fn completing(reference: &Value) -> Value {
    json!({"ref": reference, "argument": {"name": "name", "value": ""}})
}

/// Requests that rules refuse, and what they say.
fn refused(by_deny: bool) -> Vec<(&'static str, Value, &'static str)> {
    let why = |deny, allow| if by_deny { deny } else { allow };
    let tool = why("\"del*\" in tools.deny", "nothing in tools.allow");
    let prompt = why("\"secret\" in prompts.deny", "nothing in prompts.allow");
    let resource = why("\"doc://*secret\" in resources.deny", "nothing in resources.allow");
    let template = why("\"admin:*\" in templates.deny", "nothing in templates.allow");
    vec![
        ("tools/call", json!({"name": "far__delete"}), tool),
        ("prompts/get", json!({"name": "far__secret"}), prompt),
        ("resources/read", json!({"uri": "doc://all/secret"}), resource),
        ("resources/read", json!({"uri": "doc://all/never/listed/secret"}), resource),
        ("resources/read", json!({"uri": "doc://all/%73ecret"}), resource),
        ("resources/read", json!({"uri": "mcp-far+doc://all/secret"}), resource),
        ("resources/read", json!({"uri": "doc://elsewhere"}), resource),
        ("resources/read", json!({"uri": "admin://7"}), template),
        ("completion/complete", completing(&json!({"type": "ref/prompt", "name": "far__secret"})), prompt),
        (
            "completion/complete",
            completing(&json!({"type": "ref/resource", "uri": "admin://{id}"})),
            template,
        ),
    ]
}

#[tokio::test]
async fn what_is_refused_is_neither_listed_nor_reached_in_any_pair_of_eras() {
    for ((newer_client, newer_server), by_deny) in
        PAIRS.into_iter().flat_map(|pair| [(pair, true), (pair, false)])
    {
        let (script, mut heard) = script(newer_server);
        let gateway = over(ruled(script.start(), newer_server, refusing(by_deny))).await;
        let mut client = client(&gateway, newer_client).await;

        for (method, left) in [
            ("tools/list", &["far__read", "far__touch"][..]),
            ("prompts/list", &["far__greet"]),
            ("resources/list", &["doc://all/", "doc://all/open", "doc://elsewhere"]),
            ("resources/templates/list", &["doc://all/{name}"]),
        ] {
            assert_eq!(listed(&mut client, method).await, left, "{method}");
        }
        let mut asked = refused(by_deny);
        if !newer_client {
            let why = asked[2].2;
            asked.push(("resources/subscribe", json!({"uri": "doc://all/secret"}), why));
        }
        for (method, params, why) in asked {
            let error = client.call(method, &params).await.unwrap_err();
            let message = error["message"].as_str().unwrap();
            assert_eq!(
                (&error["code"], &error["data"]["code"]),
                (&json!(-32004), &json!("ACCESS_DENIED")),
                "{params}"
            );
            assert_eq!(error["data"]["upstream"], "far", "{params}");
            assert!(message.contains(why), "{params}: {message}");
        }
        client.call("tools/call", &json!({"name": "far__read"})).await.unwrap();

        let came: Vec<_> = requests(&mut heard)
            .iter()
            .map(|request| (request.method.to_string(), params(request)["uri"].clone()))
            .collect();
        // This one tells only when it is read what it gives.
        let elsewhere = ("resources/read".to_owned(), json!("doc://elsewhere"));
        assert_eq!(came, [elsewhere, ("tools/call".to_owned(), Value::Null)]);
    }
}

#[tokio::test]
async fn names_that_nobody_has_are_unknown_and_not_refused() {
    for newer in [false, true] {
        let (script, _heard) = script(newer);
        let gateway = over(ruled(script.start(), newer, refusing(false))).await;
        let mut client = client(&gateway, newer).await;

        for (method, params, code) in [
            ("tools/call", json!({"name": "far__nothing"}), "TOOL_NOT_FOUND"),
            ("tools/call", json!({"name": "delete"}), "TOOL_NOT_FOUND"),
            ("prompts/get", json!({"name": "far__nothing"}), "PROMPT_NOT_FOUND"),
            ("tools/all_at_once", json!({"names": ["delete"]}), "METHOD_NOT_FOUND"),
        ] {
            assert_eq!(
                client.call(method, &params).await.unwrap_err()["data"]["code"],
                code,
                "{method} {params}"
            );
        }
    }
}

#[tokio::test]
async fn a_method_that_nobody_knows_goes_to_the_one_upstream_whose_rules_name_it() {
    let naming = |rules: Rules, methods: &[&str]| Rules {
        methods: Some(methods.iter().map(|&method| method.to_owned()).collect()),
        ..rules
    };
    for (newer_client, newer_server) in PAIRS {
        let (far, mut heard) = script(newer_server);
        let (near, _) = script(newer_server);
        let far = ruled(far.start(), newer_server, naming(refusing(true), &["skills/*", "shared"]));
        let near = ruled(near.start(), newer_server, naming(Rules::default(), &["shared"]));
        let gateway = gateway([("far", far), ("near", near)]).await;
        let mut client = client(&gateway, newer_client).await;
        requests(&mut heard);

        let answer = client.call("skills/list", &json!({"cursor": "x"})).await.unwrap();
        assert_eq!(answer["got"], "x");
        for (method, why) in [("shared", "several"), ("tools/all_at_once", "name it in `methods`")] {
            let error = client.call(method, &json!({})).await.unwrap_err();
            assert_eq!(error["data"]["code"], "METHOD_NOT_FOUND");
            assert!(error["message"].as_str().unwrap().contains(why), "{method}: {error}");
        }
        let came: Vec<_> = requests(&mut heard).iter().map(|request| request.method.to_string()).collect();
        assert_eq!(came, ["skills/list"]);
    }
}

#[tokio::test]
async fn methods_that_nobody_knows_are_those_that_the_rules_name_also_with_the_only_upstream() {
    let named = Some(vec!["skills/*".to_owned()]);
    for (rules, method, why) in [
        (Rules { methods: named.clone(), ..refusing(true) }, "skills/list", None),
        (Rules { methods: named.clone(), ..refusing(true) }, "skills", Some("do not name it")),
        (Rules { methods: named, ..Rules::default() }, "vendor/run", Some("do not name it")),
        (Rules { methods: Some(Vec::new()), ..Rules::default() }, "skills/list", Some("do not name it")),
        (refusing(true), "skills/list", Some("cannot apply rules and pins")),
        // The gateway knows these, and so passes them on to nobody by their names.
        (
            Rules { methods: Some(vec!["*".to_owned()]), ..Rules::default() },
            "tasks/no",
            Some("no such method"),
        ),
        (Rules { methods: Some(vec!["*".to_owned()]), ..Rules::default() }, "ping", Some("no such method")),
    ] {
        let (script, _heard) = script(true);
        let gateway = over(ruled(script.start(), true, rules)).await;
        let answer = client(&gateway, true).await.call(method, &json!({})).await;
        let said = answer.err().map(|error| error["message"].as_str().unwrap_or_default().to_owned());
        match (&said, why) {
            (None, None) => {}
            (Some(said), Some(why)) if said.contains(why) => {}
            _ => panic!("{method}: {said:?}"),
        }
    }
}

#[tokio::test]
async fn a_folder_and_a_completion_give_only_what_may_be_read() {
    for (newer_client, newer_server) in PAIRS {
        let (script, _heard) = script(newer_server);
        let gateway = over(ruled(script.start(), newer_server, refusing(true))).await;
        let mut client = client(&gateway, newer_client).await;

        let folder = client.call("resources/read", &json!({"uri": "doc://all/"})).await.unwrap();
        assert_eq!(folder["contents"], json!([{"uri": "doc://all/open", "text": "o"}]));
        let reference = json!({"type": "ref/resource", "uri": "doc://all/{name}"});
        let completed = client.call("completion/complete", &completing(&reference)).await.unwrap();
        assert_eq!(completed["completion"], json!({"values": ["open"]}));
        let reference = json!({"type": "ref/prompt", "name": "far__greet"});
        let completed = client.call("completion/complete", &completing(&reference)).await.unwrap();
        assert_eq!(
            completed["completion"],
            json!({"values": ["open", "secret"], "total": 2}),
            "of prompts all"
        );
    }
}

#[tokio::test]
async fn what_is_refused_is_not_reached_through_the_gateways_own_tools() {
    for (newer_client, newer_server) in PAIRS {
        let (script, mut heard) = script(newer_server);
        let upstream = ruled(script.start(), newer_server, refusing(true));
        let settings = Settings {
            expose: Expose::Search,
            batch: Some(BatchSettings::default()),
            ..settings([("far", upstream)])
        };
        let gateway = with(settings).await;
        let mut client = client(&gateway, newer_client).await;
        assert_eq!(listed(&mut client, "tools/list").await, ["find_tool", "call_tool"]);

        let call = json!({"name": "call_tool", "arguments": {"name": "far__delete"}});
        let error = client.call("tools/call", &call).await.unwrap_err();
        assert_eq!(error["data"]["code"], "ACCESS_DENIED");
        let calls = json!({"calls": [{"tool": "far__delete"}, {"tool": "far__read"}]});
        let batch = client.call("tools/call", &json!({"name": "batch", "arguments": calls})).await.unwrap();
        let results = &batch["structuredContent"]["results"];
        assert_eq!(results[0]["error"]["data"]["code"], "ACCESS_DENIED", "{batch}");
        assert_eq!(results[1]["result"]["got"], "read", "{batch}");
        let find = json!({"name": "find_tool", "arguments": {"query": "delete"}});
        let found = client.call("tools/call", &find).await.unwrap();
        assert!(!found.to_string().contains("far__delete"), "{found}");

        let came: Vec<_> =
            requests(&mut heard).iter().map(|request| params(request)["name"].clone()).collect();
        assert_eq!(came, [json!("read")]);
    }
}
