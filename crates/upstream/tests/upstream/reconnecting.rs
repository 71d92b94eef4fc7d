use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use mcp_transport::{Change, ConnectError, Era};
use rmcp::model::LoggingLevel;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use upstream::{Abilities, CallError, CallOptions, Notice, Options, Status};

use crate::{
    host::{ALL, person, updated},
    support::{Server, call, listener, object, options, soon, upstream, ways},
};

fn tried(attempts: u32, era: Era) -> Options {
    let mut options = options(era);
    options.backoff.attempts = attempts;
    options
}

#[tokio::test]
async fn a_server_that_went_away_is_found_again_by_itself_and_no_call_is_made_twice() {
    for (way, attempts) in (0..6).flat_map(|way| [(way, 1), (way, 4)]) {
        let server = Server::start();
        let (address, era) = ways(server.port)[way].clone();
        let (host, mut heard) = person(ALL);
        let upstream = upstream(address.clone(), tried(attempts, era), host);
        server.state.offer(25);
        assert_eq!(upstream.tools().await.unwrap().len(), 25);
        upstream.subscribe("test://one").await.unwrap();

        let state = server.state.clone();
        let calling = tokio::spawn({
            let upstream = upstream.clone();
            async move { upstream.call_tool("wait", object(json!({})), CallOptions::default()).await }
        });
        soon(state.waiting.notified()).await;
        heard.so_far();
        let port = server.crash();
        heard.disconnected().await;
        let server = Server::again(port, state).await;
        server.state.tools.store(3, Ordering::SeqCst);
        // Over Streamable HTTP its answer could have been read again, had the server been there all the time.
        let lost = soon(calling).await.unwrap();
        assert!(matches!(lost, Err(CallError::Lost { .. })), "{address} {era:?}: {lost:?}");
        heard.connected().await;
        heard.tools_changed().await;
        assert_eq!(soon(upstream.tools()).await.unwrap().len(), 3, "{address} {era:?}");
        assert_eq!(server.state.calls.load(Ordering::SeqCst), 1);
        assert_eq!(call(&upstream, "echo", json!({"text": "again"})).await.unwrap(), "again");
        soon(upstream.close()).await;
    }
}

#[tokio::test]
async fn what_was_wanted_is_wanted_over_the_next_connection_too() {
    for (way, attempts) in (0..6).flat_map(|way| [(way, 1), (way, 4)]) {
        let server = Server::start();
        let (address, era) = ways(server.port)[way].clone();
        let (host, mut heard) = person(ALL);
        let upstream = upstream(address.clone(), tried(attempts, era), host);
        upstream.set_log_level(Some(LoggingLevel::Warning)).await.unwrap();
        upstream.subscribe("test://one").await.unwrap();
        soon(upstream.set_log_level(Some(LoggingLevel::Warning))).await.unwrap();

        let state = server.state.clone();
        state.subscribed.send_replace(Vec::new());
        state.level.send_replace(None);
        let port = server.crash();
        heard.disconnected().await;
        let server = Server::again(port, state.clone()).await;
        let subscribed = |uris: &Vec<String>| uris.contains(&"test://one".to_owned());
        soon(state.subscribed.subscribe().wait_for(subscribed)).await.unwrap();
        if era == Era::Legacy {
            let level = |level: &Option<LoggingLevel>| *level == Some(LoggingLevel::Warning);
            soon(state.level.subscribe().wait_for(level)).await.unwrap();
        }
        let told = call(&upstream, "log", json!({})).await.unwrap();
        assert_eq!(told, if era == Era::Modern { "Some(Warning)" } else { "None" });
        heard.next(|notice| matches!(notice, Notice::Log(_)).then_some(())).await;
        // It is told as soon as the server has agreed.
        let change = Change::Resource("test://one".to_owned());
        upstream.subscribe("test://one").await.unwrap();
        let change = async || server.state.subscribers.changed(&change);
        assert_eq!(heard.provoked(updated, change).await, "test://one", "{address} {era:?}");
        soon(upstream.close()).await;
    }
}

#[tokio::test]
async fn a_server_that_is_away_for_longer_than_anybody_tries_is_heard_again_without_being_asked() {
    for (way, attempts) in (0..6).flat_map(|way| [(way, 1), (way, 4)]) {
        let server = Server::start();
        let (address, era) = ways(server.port)[way].clone();
        let (host, mut heard) = person(ALL);
        let upstream = upstream(address.clone(), tried(attempts, era), host);
        upstream.subscribe("test://one").await.unwrap();
        heard.connected().await;

        let state = server.state.clone();
        let port = server.crash();
        heard.disconnected().await; // it has gone
        heard.disconnected().await; // and all attempts have failed
        // What is there instead does not end the search, and is no news.
        let other = listener(port).await;
        for _ in 0..3 {
            drop(soon(other.accept()).await.unwrap());
        }
        drop(other);
        assert_eq!(heard.so_far().len(), 0, "{address} {era:?} {attempts}");
        let server = Server::again(port, state).await;
        heard.connected().await;
        let change = Change::Resource("test://one".to_owned());
        let change = async || server.state.subscribers.changed(&change);
        assert_eq!(heard.provoked(updated, change).await, "test://one", "{address} {era:?} {attempts}");
        soon(upstream.close()).await;
    }
}

#[tokio::test]
async fn a_server_that_came_back_and_wants_credentials_is_not_asked_again_and_again() {
    for way in 2..6 {
        let server = Server::start();
        let (address, era) = ways(server.port)[way].clone();
        let (host, mut heard) = person(ALL);
        let upstream = upstream(address, options(era), host);
        upstream.connect().await.unwrap();
        let port = server.crash();
        let (asked, gate) = (Arc::new(AtomicUsize::new(0)), listener(port).await);
        let refuse = axum::Router::new().fallback({
            let asked = asked.clone();
            async move || {
                asked.fetch_add(1, Ordering::SeqCst);
                axum::http::StatusCode::UNAUTHORIZED
            }
        });
        let refusing = tokio::spawn(async move { axum::serve(gate, refuse).await });
        let refused = |notice| match notice {
            Notice::Status(Status::Disconnected(error)) => {
                matches!(*error, ConnectError::NeedsCredentials { .. }).then_some(())
            }
            _ => None,
        };
        heard.next(refused).await;
        let so_far = asked.load(Ordering::SeqCst);
        others_are_tried_many_times().await;
        assert_eq!(asked.load(Ordering::SeqCst), so_far);
        soon(upstream.close()).await;
        refusing.abort();
    }
}

/// A server went away, and was looked for 20 times.
async fn others_are_tried_many_times() {
    let server = Server::start();
    let (address, era) = ways(server.port)[4].clone();
    let other = upstream(address, options(era), person(ALL).0);
    other.connect().await.unwrap();
    let place = listener(server.crash()).await;
    for _ in 0..20 {
        drop(soon(place.accept()).await.unwrap());
    }
    soon(other.close()).await;
}

#[tokio::test]
async fn a_call_that_breaks_is_not_the_end_of_another_one_over_stateless_http() {
    let server = Server::start();
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, era) = ways(proxy.local_addr().unwrap().port())[0].clone();
    let mut proxies = JoinSet::new();
    let port = server.port;
    proxies.spawn(async move {
        let mut ways = JoinSet::new();
        while let Ok((client, _)) = proxy.accept().await {
            ways.spawn(cut(client, port));
        }
    });
    let (host, mut heard) = person(ALL);
    let upstream = upstream(address, options(era), host);
    let calling = tokio::spawn({
        let upstream = upstream.clone();
        async move { call(&upstream, "wait", json!({})).await }
    });
    soon(server.state.waiting.notified()).await;
    let broken = call(&upstream, "echo", json!({"text": CUT})).await;
    assert!(matches!(broken, Err(CallError::Lost { .. })), "{broken:?}");
    assert_eq!(call(&upstream, "echo", json!({"text": "here"})).await.unwrap(), "here");
    let ended = |notice: &Notice| matches!(notice, Notice::Status(Status::Disconnected(_)));
    assert!(!heard.so_far().iter().any(ended));
    server.state.release.notify_one();
    assert_eq!(soon(calling).await.unwrap().unwrap(), "waited");
    soon(upstream.close()).await;
}

/// A connection that breaks when this is sent over it.
const CUT: &str = "cut here";

async fn cut(mut client: TcpStream, port: u16) {
    let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut sent, mut received) = ([0; 1 << 16], [0; 1 << 16]);
    loop {
        tokio::select! {
            Ok(size @ 1..) = client.read(&mut sent) => {
                if sent[..size].windows(CUT.len()).any(|part| part == CUT.as_bytes()) {
                    return;
                }
                server.write_all(&sent[..size]).await.unwrap();
            }
            Ok(size @ 1..) = server.read(&mut received) => client.write_all(&received[..size]).await.unwrap(),
            else => return,
        }
    }
}

#[tokio::test]
async fn nothing_is_heard_any_more_of_what_is_not_wanted_any_more() {
    let server = Server::start();
    for (address, era) in ways(server.port) {
        let (host, mut heard) = person(ALL);
        let upstream = upstream(address, options(era), host);
        upstream.subscribe("test://one").await.unwrap();
        upstream.unsubscribe("test://one").await.unwrap();
        upstream.set_log_level(None).await.unwrap();
        call(&upstream, "log", json!({})).await.unwrap();
        upstream.subscribe("test://two").await.unwrap();
        let change = async || {
            for uri in ["test://one", "test://two"] {
                server.state.subscribers.changed(&Change::Resource(uri.to_owned()));
            }
        };
        let told = |notice| match notice {
            Notice::Log(line) => panic!("{line:?}"),
            notice => updated(notice),
        };
        assert_eq!(heard.provoked(told, change).await, "test://two");
        soon(upstream.close()).await;
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_tried_as_often_as_told_and_each_time_it_is_wanted() {
    let server = Server::start();
    let ways = ways(server.port);
    let port = server.crash();
    drop(tokio::net::TcpListener::bind(("127.0.0.1", port)).await);
    for (address, era) in ways {
        let (host, mut heard) = person(Abilities::default());
        let upstream = upstream(address, options(era), host);
        for _ in 0..2 {
            let failed = soon(upstream.tools()).await;
            assert!(matches!(failed, Err(CallError::Connect(_))), "{failed:?}");
            let statuses = heard.so_far();
            let [Notice::Status(Status::Connecting), Notice::Status(Status::Disconnected(_))] = &statuses[..]
            else {
                panic!("{statuses:?}")
            };
        }
    }
}

#[tokio::test]
async fn connecting_to_one_does_not_wait_for_another() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_address = silent.local_addr().unwrap().to_string().parse().unwrap();
    let hanging = upstream(silent_address, options(Era::Auto), person(ALL).0);
    let trying = tokio::spawn({
        let hanging = hanging.clone();
        async move { hanging.tools().await }
    });
    let _accepted = soon(silent.accept()).await.unwrap();
    let server = Server::start();
    for (address, era) in ways(server.port) {
        let upstream = upstream(address, options(era), person(ALL).0);
        upstream.tools().await.unwrap();
    }
    assert!(!trying.is_finished());
    soon(hanging.close()).await;
    assert!(soon(trying).await.unwrap().is_err());
}
