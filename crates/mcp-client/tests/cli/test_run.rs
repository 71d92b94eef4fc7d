//! `--mode test`.

use serde_json::{Value, json};

use crate::support::{Server, nowhere, run};

fn outcome<'a>(server: &'a Value, test: &str) -> &'a Value {
    let tests = server["tests"].as_array().unwrap();
    &tests.iter().find(|step| step["test"] == test).unwrap_or_else(|| panic!("{test}: {server}"))["outcome"]
}

#[tokio::test]
async fn what_can_be_tried_without_harm_is_tried_and_the_rest_is_said_to_be_skipped() {
    let server = Server::start();
    for transport in ["http", "websocket", "sse"] {
        let name = format!("a={}", server.address());
        let done = run(&[&name, "--mode", "test", "--transport", transport, "--json"]).await;
        let document = done.json();
        assert_eq!((done.code, &document["passed"]), (Some(0), &json!(true)), "{done:?}");
        let a = &document["servers"][0];
        for (test, expected) in [
            ("connect", "passed"),
            ("list tools", "passed"),
            ("call echo", "passed"),
            ("call structured", "passed"),
            ("call add", "skipped"),
            ("call wait", "skipped"),
            ("read test://text", "passed"),
            ("list prompts", "passed"),
            ("get other prompts", "skipped"),
        ] {
            assert_eq!(outcome(a, test), expected, "{test}");
        }
    }
}

#[tokio::test]
async fn a_server_that_is_gone_fails_the_run_and_the_others_are_tried_all_the_same() {
    let (server, none) = (Server::start(), nowhere().await);
    let done = run(&["--mode", "test", &format!("a={}", server.address()), &format!("b={none}")]).await;
    assert_eq!(done.code, Some(1));
    assert!(done.out.contains("call echo") && done.out.contains("1 failed"), "{}", done.out);
}
