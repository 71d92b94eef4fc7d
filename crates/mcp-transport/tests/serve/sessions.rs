//! Sessions of the older era over Streamable HTTP.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, sleep};

use crate::support::{INITIALIZE, Server, call, message, soon};

const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;

async fn status(server: &Server, session: &str) -> u16 {
    soon(server.in_session(session, LIST).send()).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_session_that_is_unknown_or_ended_is_404() {
    let server = Server::start(&[]).await;
    assert_eq!(status(&server, "unknown").await, 404);
    let id = server.session().await;
    assert_eq!(status(&server, &id).await, 200);
    let ended =
        soon(server.http.delete(server.url("/mcp")).header("mcp-session-id", &id).send()).await.unwrap();
    assert!(ended.status().is_success());
    assert_eq!(status(&server, &id).await, 404);
    let nameless = soon(server.post("/mcp", LIST).send()).await.unwrap();
    assert_eq!(nameless.status(), 400);
    let unknown = soon(server.post("/message?sessionId=unknown", LIST).send()).await.unwrap();
    assert_eq!(unknown.status(), 404);
    let nameless = soon(server.post("/message", LIST).send()).await.unwrap();
    assert_eq!(nameless.status(), 400);
}

#[tokio::test]
async fn more_sessions_than_there_may_be_are_told_to_come_back() {
    let server = Server::start(&["--mcp-max-sessions", "3"]).await;
    for _ in 0..3 {
        server.session().await;
    }
    let refused = soon(server.post("/mcp", INITIALIZE).send()).await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert!(message(refused).await["error"]["message"].as_str().unwrap().contains("sessions"));
    // Requests that need no session are answered.
    let modern = soon(server.modern_call("echo").send()).await.unwrap();
    assert_eq!(modern.status(), 200);
    // And a stream counts by itself.
    let streams: Vec<_> = stream::iter(0..4)
        .then(async |_| soon(server.http.get(server.url("/sse")).send()).await.unwrap())
        .collect()
        .await;
    assert_eq!(
        streams.iter().map(|stream| stream.status().as_u16()).collect::<Vec<_>>(),
        [200, 200, 200, 503]
    );
}

#[tokio::test]
async fn ten_thousand_abandoned_sessions_are_closed_and_make_room() {
    let server = Server::start(&["--mcp-session-idle-seconds", "0.5", "--mcp-max-sessions", "10000"]).await;
    let open = async |_| server.session().await;
    let ids: Vec<_> = stream::iter(0..10_000).map(open).buffer_unordered(64).collect().await;
    assert_eq!(ids.len(), 10_000);
    let deadline = Instant::now() + Duration::from_secs(60);
    for id in ids.iter().rev() {
        // Asking does not keep a closed session alive; one that is still open begins to be idle anew.
        while status(&server, id).await != 404 {
            assert!(Instant::now() < deadline, "sessions stay open");
            sleep(Duration::from_millis(600)).await;
        }
    }
    assert_eq!(status(&server, &server.session().await).await, 200);
}

#[tokio::test]
async fn a_session_is_in_use_while_a_call_runs_or_somebody_listens() {
    let server = Server::start(&["--mcp-session-idle-seconds", "0.05"]).await;
    let calling = server.session().await;
    let call = tokio::spawn(server.in_session(&calling, call(1, "hold")).send());
    soon(server.events.waiting.notified()).await;
    let listening = server.session().await;
    let listen = server.http.get(server.url("/mcp")).header("accept", "text/event-stream");
    let listen = listen.header("mcp-session-id", &listening).header("mcp-protocol-version", "2025-11-25");
    let stream = soon(listen.send()).await.unwrap();
    assert_eq!(stream.status(), 200);

    // An idle session that began later is closed, so the others have had the time to be.
    let idle = server.session().await;
    let deadline = Instant::now() + Duration::from_secs(60);
    while status(&server, &idle).await != 404 {
        assert!(Instant::now() < deadline, "an idle session stays open");
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(status(&server, &listening).await, 200);
    server.events.release.notify_one();
    let answer = message(soon(call).await.unwrap().unwrap()).await;
    assert_eq!(answer["result"]["content"][0]["text"], "released");
}

#[tokio::test]
async fn only_clients_that_know_them_get_events_without_a_message() {
    let server = Server::start(&[]).await;
    for (version, primes) in [("2025-06-18", false), ("2025-11-25", true)] {
        let opened =
            soon(server.post("/mcp", INITIALIZE.replace("2025-11-25", version)).send()).await.unwrap();
        let id = opened.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        let request = server.post("/mcp", call(1, "echo")).header("mcp-session-id", &id);
        let response = soon(request.header("mcp-protocol-version", version).send()).await.unwrap();
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        let text = soon(response.text()).await.unwrap();
        assert_eq!(text.contains("retry:"), primes, "{version}: {text}");
    }
}
