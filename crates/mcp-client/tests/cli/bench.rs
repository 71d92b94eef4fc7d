//! `bench`.

use crate::support::{Server, nowhere, run};

#[tokio::test]
async fn a_tool_is_measured_over_every_transport() {
    let server = Server::start();
    for transport in ["http", "websocket", "sse"] {
        let flags =
            ["--transport", transport, "--count", "50", "--concurrency", "4", "--warm-up", "3", "--json"];
        let before = server.seen.calls();
        let done = run(&[&["bench", &server.address(), "echo", "hi"], &flags[..]].concat()).await;
        let document = done.json();
        assert_eq!((done.code, server.seen.calls() - before), (Some(0), 53), "{done:?}");
        assert_eq!((document["calls"].as_u64(), document["errors"].as_u64()), (Some(50), Some(0)));
        let latency = |name: &str| document["latency_ms"][name].as_f64().unwrap();
        assert!(latency("p50") <= latency("p99") && latency("p99") <= latency("max"), "{document}");
        let counted: u64 =
            document["histogram"].as_array().unwrap().iter().map(|row| row["calls"].as_u64().unwrap()).sum();
        assert_eq!(counted, 50);
    }
}

#[tokio::test]
async fn people_get_the_figures_and_a_drawing() {
    let server = Server::start();
    let done = run(&["bench", &server.address(), "echo", "hi", "--duration", "200ms"]).await;
    for words in ["calls/s", "p50", "p99", "█", "0 without an answer"] {
        assert!(done.out.contains(words), "{words}: {}", done.out);
    }
}

#[tokio::test]
async fn a_tool_that_fails_and_a_server_that_is_gone_are_told() {
    let server = Server::start();
    let done = run(&["bench", &server.address(), "fail", "-n", "5", "--json"]).await;
    assert_eq!((done.code, done.json()["tool_errors"].as_u64()), (Some(1), Some(5)));
    assert_eq!(run(&["bench", &nowhere().await, "echo"]).await.code, Some(3));
}
