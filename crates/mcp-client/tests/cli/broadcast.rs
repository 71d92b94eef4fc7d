//! `broadcast`.

use crate::support::{Server, nowhere, run, silent};

#[tokio::test]
async fn all_servers_answer_under_their_names() {
    let (a, b) = (Server::start(), Server::start());
    let (a, b) = (format!("a={}", a.address()), format!("b={}", b.address()));
    let done = run(&["broadcast", "echo", "hello", "-s", &a, "-s", &b]).await;
    let mut lines: Vec<_> = done.out.lines().collect();
    lines.sort_unstable();
    assert_eq!((done.code, &lines[..]), (Some(0), &["[a] Echo: hello", "[b] Echo: hello"][..]));
}

#[tokio::test]
async fn a_server_that_hangs_delays_nobody_and_the_worst_outcome_is_the_exit_status() {
    let (server, (_listener, hangs), none) = (Server::start(), silent().await, nowhere().await);
    let mut arguments = vec!["broadcast", "echo", "hi", "--json", "--connect-timeout", "3s", "-s"];
    let (good, bad, gone) =
        (format!("good={}", server.address()), format!("bad={hangs}"), format!("gone={none}"));
    arguments.extend([&*good, "-s", &bad, "-s", &gone]);
    let done = run(&arguments).await;
    let lines = done.lines();
    let of = |name: &str| lines.iter().find(|line| line["server"] == name).unwrap();
    assert_eq!(of("good")["result"]["content"][0]["text"], "Echo: hi");
    assert_eq!(of("bad")["error"]["kind"], "timed_out");
    assert_eq!(of("gone")["error"]["kind"], "unreachable");
    assert_eq!(lines.last().unwrap()["server"], "bad", "the others did not wait for it");
    assert_eq!((done.code, lines.len()), (Some(3), 3));
}

#[tokio::test]
async fn a_tool_that_fails_somewhere_is_told_by_the_exit_status() {
    let server = Server::start();
    let done = run(&["broadcast", "fail", "-s", &server.address()]).await;
    assert_eq!(done.code, Some(1));
    assert!(done.out.contains("the tool failed: it broke"), "{}", done.out);
}
