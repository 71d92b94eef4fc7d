//! Clients that go away, calls that are cancelled, and the end of the server.

use std::time::Duration;

use serde_json::json;
use tokio::net::TcpStream;

use crate::{
    client::{Session, Stream, messages, modern, request, send, tool},
    support::{Server, reaches, within},
};

#[tokio::test]
async fn in_the_newer_era_to_close_the_response_is_to_cancel() {
    let server = Server::start().await;
    // Before the response has begun, and after.
    let calling = tokio::spawn(modern(&server, "tools/call", tool("wait")).send());
    reaches(&server.fixture.running, 1).await;
    calling.abort();
    reaches(&server.fixture.running, 0).await;
    let mut stream = Stream::new(send(modern(&server, "tools/call", tool("tell and wait"))).await);
    stream.until("first").await;
    drop(stream);
    reaches(&server.fixture.sessions, 0).await;
    assert_eq!(*server.fixture.finished.borrow(), 0);
}

#[tokio::test]
async fn in_the_older_era_a_call_goes_on_without_its_response() {
    let server = Server::start().await;
    let older = Session::of(&server, "2025-06-18").await; // which gets no head before the first message
    let calling = tokio::spawn(older.post(&request(5, "tools/call", tool("wait"))).send());
    reaches(&server.fixture.running, 1).await;
    calling.abort();
    let mut stream = Stream::new(older.call(6, "tell and wait").await);
    stream.until("first").await;
    drop(stream);
    assert_eq!(older.call(7, "echo").await.status(), 200);
    assert_eq!(*server.fixture.running.borrow(), 2);
    server.fixture.release.add_permits(2);
    reaches(&server.fixture.finished, 4).await;
    reaches(&server.fixture.running, 0).await;
    assert_eq!(older.call(5, "echo").await.status(), 200, "its id is free again");
}

#[tokio::test]
async fn a_cancelled_call_is_dropped_wherever_it_runs() {
    let server = Server::start().await;
    let session = Session::open(&server).await;
    let cancel = async |id: u64| {
        let said = session.say("notifications/cancelled", json!({"requestId": id, "reason": "enough"})).await;
        assert_eq!(said.status(), 202);
        reaches(&server.fixture.running, 0).await;
    };
    // In its connection.
    let stream = Stream::new(session.call(5, "tell and wait").await);
    cancel(5).await;
    let text = stream.all().await;
    assert!(text.contains("first") && !text.contains("done"), "{text}");
    // Without one.
    let stream = Stream::new(session.call(6, "wait").await);
    drop(stream);
    cancel(6).await;
    // Before its response has begun.
    let older = Session::of(&server, "2025-06-18").await;
    let calling = tokio::spawn(older.post(&request(7, "tools/call", tool("wait"))).send());
    reaches(&server.fixture.running, 1).await;
    older.say("notifications/cancelled", json!({"requestId": 7})).await;
    let response = within(calling).await.unwrap().unwrap();
    assert_eq!(Stream::new(response).all().await, "");
    assert_eq!(session.call(5, "echo").await.status(), 200);
    assert!(!server.fixture.heard.borrow().iter().any(|method| method.contains("cancelled")));
}

async fn refuses(server: &Server) {
    within(async { while TcpStream::connect(server.address).await.is_ok() {} }).await;
}

#[tokio::test]
async fn calls_in_flight_are_answered_before_the_server_stops() {
    let server = Server::start().await;
    let session = Session::open(&server).await;
    let in_session = Stream::new(session.call(5, "wait").await);
    let alone = Stream::new(session.call(6, "wait").await);
    drop(alone);
    let modern = Stream::new(send(modern(&server, "tools/call", tool("tell and wait"))).await);
    server.stop.cancel();
    refuses(&server).await;
    server.fixture.release.add_permits(3);
    assert!(in_session.all().await.contains("done"));
    assert!(modern.all().await.contains("done"));
    let fixture = server.end().await;
    assert_eq!((*fixture.finished.borrow(), *fixture.sessions.borrow()), (4, 0));
}

#[tokio::test]
async fn clients_that_only_listen_do_not_hold_the_server_up() {
    let server = Server::start().await;
    let session = Session::open(&server).await;
    let listening = session.listen().await;
    let mut subscribed = Stream::new(send(modern(&server, "subscriptions/listen", json!({}))).await);
    subscribed.until("acknowledged").await;
    let _idle = TcpStream::connect(server.address).await.unwrap();
    let fixture = server.end().await;
    listening.all().await;
    let text = subscribed.all().await;
    let last = messages(&text).pop().unwrap();
    assert_eq!(last["id"], 5, "{text}");
    assert_eq!(last["result"]["resultType"], "complete", "{text}");
    assert_eq!(last["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 5, "{text}");
    assert_eq!(*fixture.sessions.borrow(), 0);
}

#[tokio::test]
async fn calls_that_never_end_are_cut_after_the_grace_period() {
    let server = Server::with(|options| options.timing.grace = Duration::from_millis(50)).await;
    let session = Session::open(&server).await;
    let _in_session = Stream::new(session.call(5, "wait").await);
    drop(Stream::new(session.call(6, "wait").await));
    let _modern = Stream::new(send(modern(&server, "tools/call", tool("tell and wait"))).await);
    assert_eq!(*server.fixture.running.borrow(), 3);
    let fixture = server.end().await;
    assert_eq!(
        (*fixture.running.borrow(), *fixture.sessions.borrow(), *fixture.finished.borrow()),
        (0, 0, 1)
    );
}

#[tokio::test]
async fn streams_of_http2_are_served_and_cancelled_alike() {
    let server = Server::start().await;
    let http2 = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let call = |name: &str| {
        let request = modern(&server, "tools/call", tool(name)).build().unwrap();
        http2.execute(request)
    };
    let mut stream = Stream::new(within(call("tell and wait")).await.unwrap());
    stream.until("first").await;
    assert!(within(call("echo")).await.unwrap().text().await.unwrap().contains("echo"));
    drop(stream);
    reaches(&server.fixture.running, 0).await;
    assert_eq!(server.http.get(server.url("/more")).send().await.unwrap().status(), 200);
}
