use std::sync::atomic::Ordering;

use mcp_transport::{Change, Era};
use rmcp::model::LoggingLevel;
use serde_json::json;
use upstream::{Abilities, CallError, CallOptions, Notice, Status};

use crate::{
    host::{ALL, person, updated},
    support::{Server, call, object, options, soon, upstream, ways},
};

#[tokio::test]
async fn a_server_that_went_away_is_found_again_by_itself_and_no_call_is_made_twice() {
    for way in 0..6 {
        let server = Server::start();
        let (address, era) = ways(server.port)[way].clone();
        let (host, mut heard) = person(ALL);
        let mut options = options(era);
        options.backoff.attempts = 1_000;
        let upstream = upstream(address.clone(), options, host);
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
    for way in 0..6 {
        let server = Server::start();
        let (address, era) = ways(server.port)[way].clone();
        let (host, mut heard) = person(ALL);
        let mut options = options(era);
        options.backoff.attempts = 1_000;
        let upstream = upstream(address.clone(), options, host);
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
