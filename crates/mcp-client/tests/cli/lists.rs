//! `tools`, `resources`, `prompts`, `servers`, `info`, `ping`.

use serde_json::{Value, json};

use crate::support::{Program, Server, nowhere, run};

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn lists_are_tables_for_people_and_documents_for_scripts() {
    let server = Server::start();
    let name = format!("a={}", server.address());
    let done = run(&["tools", &name]).await;
    assert_eq!(done.code, Some(0));
    assert!(done.out.starts_with("a · 9 tools\nTOOL"), "{}", done.out);
    for words in ["message: string", "read-only", "destructive", "b?: integer = 1"] {
        assert!(done.out.contains(words), "{words}: {}", done.out);
    }
    let document = run(&["tools", &name, "--json"]).await.json();
    assert_eq!(document["servers"][0]["server"], "a");
    assert_eq!(names(&document["servers"][0]["tools"])[..2], ["echo", "add"]);
    let document = run(&["resources", &name, "--json"]).await.json();
    assert_eq!(names(&document["servers"][0]["resources"]), ["text", "blob"]);
    assert_eq!(document["servers"][0]["resourceTemplates"][0]["uriTemplate"], "test://{id}");
    let document = run(&["prompts", &name, "--json"]).await.json();
    assert_eq!(document["servers"][0]["prompts"][0]["arguments"][0]["name"], "name");
}

#[tokio::test]
async fn one_tool_is_shown_with_all_that_is_known_of_it() {
    let server = Server::start();
    let done = run(&["tools", &server.address(), "--tool", "add"]).await;
    assert!(done.out.contains("b?") && done.out.contains("default: 1"), "{}", done.out);
    assert!(!done.out.contains("echo"), "{}", done.out);
}

#[tokio::test]
async fn servers_are_listed_with_what_they_are_and_those_that_are_gone_with_why() {
    let (server, none) = (Server::start(), nowhere().await);
    let (a, b) = (format!("a={}", server.address()), format!("b={none}"));
    let done = run(&["servers", &a, &b, "--json"]).await;
    assert_eq!(done.code, Some(3));
    let document = done.json();
    let servers = document["servers"].as_array().unwrap();
    assert_eq!(
        (&servers[0]["status"], &servers[0]["serverInfo"]["version"], &servers[0]["era"]),
        (&json!("connected"), &json!("1.2.3"), &json!("modern"))
    );
    assert_eq!(
        (&servers[1]["status"], &servers[1]["error"]["kind"]),
        (&json!("disconnected"), &json!("unreachable"))
    );
    let table = run(&["servers", &a, &b]).await.out;
    assert!(table.contains("scripted 1.2.3") && table.contains("disconnected"), "{table}");
}

#[tokio::test]
async fn servers_that_are_only_listed_are_not_started() {
    let program = Program::new();
    let mark = program.home.path().join("it-ran");
    let done = program.run(&["servers", &format!("a=stdio:touch {}", mark.display()), "--offline"]).await;
    assert_eq!((done.code, mark.exists()), (Some(0), false));
    assert!(done.out.contains("idle"), "{}", done.out);
}

#[tokio::test]
async fn a_server_introduces_itself_and_gives_a_sign_of_life() {
    let server = Server::start();
    let done = run(&["info", &server.address()]).await;
    for words in ["scripted 1.2.3", "2026-07-28", "Be kind.", "completions"] {
        assert!(done.out.contains(words), "{words}: {}", done.out);
    }
    let document = run(&["info", &server.address(), "--era", "legacy", "--json"]).await.json();
    assert_eq!(
        (&document["servers"][0]["protocolVersion"], &document["servers"][0]["era"]),
        (&json!("2025-11-25"), &json!("legacy"))
    );
    let document = run(&["ping", &server.address(), "--json"]).await.json();
    assert!(document["seconds"].as_f64().unwrap() > 0.0);
}
