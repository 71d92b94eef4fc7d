//! `listen`.

use std::time::Duration;

use mcp_transport::Change;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    time::timeout,
};

use crate::support::{Program, Server, ended, nowhere, run, shell_server, soon};

#[tokio::test]
async fn changes_are_told_as_they_come_over_every_transport_and_in_both_eras() {
    let server = Server::start();
    for transport in ["http", "websocket", "sse"] {
        for era in ["modern", "legacy"] {
            let name = format!("a={}", server.address());
            let flags = [
                "--resource",
                "test://text",
                "--count",
                "12",
                "--json",
                "--transport",
                transport,
                "--era",
                era,
            ];
            let mut done = Box::pin(ended(Program::new().start(&[&["listen", &name], &flags[..]].concat())));
            // When it listens is not told, so things change until it has heard enough.
            let mut rounds = 0..;
            let done = loop {
                // Lists are listened to sooner than resources, and must not be all that is heard.
                if rounds.next().is_some_and(|round| round % 4 == 0) {
                    server.seen.subscribers().changed(&Change::Tools);
                }
                server.seen.subscribers().changed(&Change::Resource("test://text".to_owned()));
                if let Ok(done) = timeout(Duration::from_millis(20), &mut done).await {
                    break done;
                }
            };
            let lines = done.lines();
            assert_eq!(done.code, Some(0), "{transport} {era}: {done:?}");
            let events: Vec<_> =
                lines.iter().map(|line| (&line["event"], &line["server"], &line["uri"])).collect();
            assert!(
                events.iter().any(|(event, server, _)| *event == "tools_changed" && *server == "a"),
                "{transport} {era}: {events:?}"
            );
            assert!(
                events.iter().any(|(event, _, uri)| *event == "resource_updated" && *uri == "test://text"),
                "{transport} {era}: {events:?}"
            );
        }
    }
}

#[tokio::test]
async fn listening_ends_after_the_time_that_was_asked_for() {
    let server = Server::start();
    let done = run(&["listen", &server.address(), "--for", "3s", "--json"]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.lines().iter().any(|line| line["event"] == "connected"), "{done:?}");
}

#[tokio::test]
async fn a_server_that_is_gone_is_not_listened_to() {
    assert_eq!(run(&["listen", &nowhere().await]).await.code, Some(3));
}

#[tokio::test]
async fn listening_ends_when_there_is_nobody_to_listen_to() {
    let done = run(&["listen", &nowhere().await, &nowhere().await, "--json"]).await;
    assert_eq!(done.code, Some(3), "{done:?}");
    assert!(done.lines().iter().all(|line| line["event"] == "failed"), "{done:?}");
}

#[tokio::test]
async fn what_is_heard_of_a_server_is_said_and_that_nothing_is() {
    let (server, program) = (Server::start(), Program::new());
    program.file("srv.sh", &shell_server("exit"));
    for (address, words) in [
        (server.address(), "listening (changes of tools); Ctrl-C ends it"),
        ("stdio:sh srv.sh".to_owned(), "there is nothing to hear"),
    ] {
        let mut listening = program.start(&["listen", &address]);
        let mut said = BufReader::new(listening.stderr.take().unwrap()).lines();
        soon(async { while !said.next_line().await.unwrap().expect("it is said").contains(words) {} }).await;
        listening.start_kill().unwrap();
        soon(listening.wait()).await.unwrap();
    }
}
