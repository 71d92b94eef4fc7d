//! Sessions: whose they are, how many, how long, and that nothing is left of them.

use reqwest::Method;
use secrecy::SecretString;
use serde_json::json;

use crate::{
    client::{Session, Stream, error, initialize, modern, post, read, request, send, tool},
    support::{Server, log, reaches, within},
};

#[tokio::test]
async fn sessions_that_are_not_known_are_not_found() {
    let server = Server::start().await;
    let ping = request(2, "ping", json!({}));
    for unknown in ["none", "00000000-0000-4000-8000-000000000000"] {
        let session = Session { id: unknown.to_owned(), ..Session::open(&server).await };
        assert_eq!(error(session.post(&ping)).await, (404, -32600, json!(2)));
        assert_eq!(error(session.request(Method::GET)).await, (404, -32600, json!(null)));
        assert_eq!(error(session.request(Method::DELETE)).await, (404, -32600, json!(null)));
    }
    assert_eq!(error(post(&server, &ping)).await, (400, -32600, json!(2)), "it names none");
}

#[tokio::test]
async fn a_session_is_for_the_key_that_opened_it() {
    let server = Server::with(|options| {
        options.settings.mcp_api_key = Some(SecretString::from("first, second"));
    })
    .await;
    let opened = send(post(&server, &initialize("2025-11-25", "test")).bearer_auth("first")).await;
    let id = opened.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    let session = Session { server: &server, id, version: "2025-11-25".to_owned() };
    let ping = || session.post(&request(2, "ping", json!({})));
    assert_eq!(send(ping()).await.status(), 401);
    assert_eq!(error(ping().bearer_auth("second")).await, (403, -32600, json!(null)));
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(error(session.request(method).bearer_auth("second")).await, (403, -32600, json!(null)));
    }
    assert_eq!(send(ping().bearer_auth("first")).await.status(), 200);
    assert_eq!(send(server.http.get(server.url("/more"))).await.status(), 401);
}

#[tokio::test]
async fn a_session_ends_when_its_client_says_so_and_its_calls_with_it() {
    let server = Server::start().await;
    let session = Session::open(&server).await;
    let waiting = Stream::new(session.call(5, "wait").await);
    let listening = session.listen().await;
    assert_eq!(send(session.request(Method::DELETE)).await.status(), 202);
    assert!(!waiting.all().await.contains("done"));
    listening.all().await;
    reaches(&server.fixture.running, 0).await;
    reaches(&server.fixture.sessions, 0).await;
    assert_eq!(*server.fixture.finished.borrow(), 1, "the handshake alone");
    assert_eq!(send(session.request(Method::DELETE)).await.status(), 404);
    let link = server.fixture.links.lock().unwrap()[0].clone();
    assert!(link.tell(log("late")).await.is_err());
}

#[tokio::test]
async fn one_session_more_than_there_is_room_for_is_put_off() {
    let server = Server::with(|options| options.settings.mcp_max_sessions = 2).await;
    let first = Session::open(&server).await;
    Session::open(&server).await;
    let refused = send(post(&server, &initialize("2025-11-25", "test"))).await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"5".parse().unwrap()));
    let (_, answer) = read(send(modern(&server, "tools/call", tool("echo"))).await).await;
    assert_eq!(answer["result"]["name"], "echo", "those who need none are served");
    send(first.request(Method::DELETE)).await;
    Session::open(&server).await;
}

#[tokio::test]
async fn handshakes_that_fail_or_are_given_up_leave_nothing_behind() {
    let server = Server::with(|options| options.settings.mcp_max_sessions = 1).await;
    for _ in 0..3 {
        let refused = send(post(&server, &initialize("2025-11-25", "unwanted"))).await;
        assert!(refused.headers().get("mcp-session-id").is_none());
        let (status, answer) = read(refused).await;
        assert_eq!((status, &answer["error"]["message"]), (200, &json!("not wanted")));

        let slow = tokio::spawn(post(&server, &initialize("2025-11-25", "slow")).send());
        reaches(&server.fixture.running, 1).await;
        slow.abort();
        reaches(&server.fixture.sessions, 0).await;
    }
    Session::open(&server).await;
}

#[tokio::test]
async fn sessions_that_nobody_uses_are_closed_and_those_in_use_are_not() {
    let server = Server::with(|options| options.settings.mcp_session_idle_seconds = 1.0).await;
    let listens = Session::open(&server).await;
    let _listening = listens.listen().await;
    let calls = Session::open(&server).await;
    let calling = Stream::new(calls.call(5, "wait").await);
    Session::open(&server).await;
    reaches(&server.fixture.sessions, 2).await;
    server.fixture.release.add_permits(1);
    assert!(calling.all().await.contains("done"));
    reaches(&server.fixture.sessions, 1).await;
    assert_eq!(listens.call(1, "echo").await.status(), 200);
    assert_eq!(calls.call(1, "echo").await.status(), 404);
}

#[tokio::test]
async fn a_session_whose_connections_broke_is_in_use_while_a_call_of_it_runs() {
    let server = Server::with(|options| options.settings.mcp_session_idle_seconds = 0.5).await;
    let calls = Session::open(&server).await;
    drop(calls.call(5, "wait").await);
    Session::open(&server).await;
    reaches(&server.fixture.sessions, 1).await; // the other one, which was used later
    let finished = *server.fixture.finished.borrow();
    server.fixture.release.add_permits(1);
    reaches(&server.fixture.finished, finished + 1).await;
    reaches(&server.fixture.sessions, 0).await;
}

#[tokio::test]
async fn requests_that_are_too_many_or_have_the_id_of_another_are_refused() {
    let server = Server::with(|options| options.settings.mcp_max_connections = 300).await;
    let session = Session::of(&server, "2025-06-18").await;
    let mut waiting = tokio::task::JoinSet::new();
    let http = &server.http;
    for id in 0..256 {
        let request = session.post(&request(id, "tools/call", tool("wait"))).build().unwrap();
        waiting.spawn(http.execute(request));
    }
    reaches(&server.fixture.running, 256).await;
    let (status, answer) = read(session.call(1, "echo").await).await;
    assert_eq!((status, &answer["error"]["code"]), (200, &json!(-32600)));
    assert!(answer.to_string().contains("in flight already"), "{answer}");
    let (status, answer) = read(session.call(1_000, "echo").await).await;
    assert_eq!(
        (status, &answer["error"]["code"], &answer["error"]["data"]["code"]),
        (200, &json!(-32006), &json!("SERVER_OVERLOADED"))
    );
    server.fixture.release.add_permits(256);
    while let Some(answered) = within(waiting.join_next()).await {
        assert!(answered.unwrap().unwrap().text().await.unwrap().contains("done"));
    }
    assert_eq!(session.call(1, "echo").await.status(), 200);
}
