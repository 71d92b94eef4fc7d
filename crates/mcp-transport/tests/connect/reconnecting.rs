use std::{sync::Arc, time::Duration};

use axum::{Router, http::StatusCode, routing::any};
use futures_util::future::join_all;
use mcp_transport::{ConnectError, ConnectOptions, Era, Reconnecting, ServerCommand};
use rmcp::service::ServiceError;
use tempfile::tempdir;
use tokio::sync::mpsc;

use crate::support::{Seen, Server, address, addresses, call, era, free_port, reconnecting, serve, soon};

#[tokio::test]
async fn a_server_that_crashed_is_reached_again_and_no_call_is_made_twice() {
    for asked in [Era::Auto, Era::Legacy] {
        for transport in 0..3 {
            let seen = Seen::default();
            let server = Server::start(&seen);
            let place = addresses(server.port)[transport].clone();
            let upstream = reconnecting(place.clone(), era(asked));
            let first = upstream.client().await.unwrap();
            assert_eq!(call(&first, "count").await.unwrap(), "1", "{place}");

            let calling = tokio::spawn({
                let first = first.clone();
                async move { call(&first, "wait").await }
            });
            seen.waiting().await;
            let server = Server::start_again(server.crash(), &seen).await;
            assert!(soon(calling).await.unwrap().is_err(), "{place} {asked:?}");

            let second = soon(upstream.client()).await.unwrap();
            assert_eq!(call(&second, "count").await.unwrap(), "3", "{place} {asked:?}");
            // Requests of the newer era stand alone over HTTP: there is nothing to connect again. Those of the older one fail
            // with their stream, which ends the connection, or before there was one, which does not.
            match (transport, asked) {
                (0, Era::Auto) => assert!(Arc::ptr_eq(&first, &second), "{place}"),
                (0, _) => {}
                _ => assert!(!Arc::ptr_eq(&first, &second), "{place} {asked:?}"),
            }
            soon(upstream.close()).await;
            assert_eq!(seen.calls(), 3, "{place}");
            drop(server);
        }
    }
}

#[tokio::test]
async fn a_call_while_the_server_is_down_fails_and_is_not_made_up_for() {
    for transport in 0..3 {
        let seen = Seen::default();
        let server = Server::start(&seen);
        let place = addresses(server.port)[transport].clone();
        let upstream = reconnecting(place.clone(), era(Era::Auto));
        let first = upstream.client().await.unwrap();
        let port = server.crash();
        assert!(call(&first, "count").await.is_err(), "{place}");
        let _server = Server::start_again(port, &seen).await;
        let second = soon(upstream.client()).await.unwrap();
        assert_eq!(call(&second, "count").await.unwrap(), "1", "{place}");
    }
}

#[tokio::test]
async fn a_child_that_died_is_started_again() {
    let folder = tempdir().unwrap();
    let script = r#"
        echo >> starts
        while read -r line; do
            id=${line#*\"id\":}; id=${id%%[,\}]*}
            case $line in
                *'"tools/call"'*) exit 1;;
                *'"initialize"'*) result='{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"shell","version":"1"}}'
                    echo "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":$result}";;
                *'"server/discover"'*) echo "{\"jsonrpc\":\"2.0\",\"id\":$id,\"error\":{\"code\":-32601,\"message\":\"\"}}";;
            esac
        done"#;
    let command = ServerCommand::new("sh").argument("-c").argument(script).directory(folder.path());
    let upstream = reconnecting(command.into(), era(Era::Auto));
    for start in 1..=3 {
        let client = soon(upstream.client()).await.unwrap();
        let starts = std::fs::read_to_string(folder.path().join("starts")).unwrap();
        assert_eq!(starts.lines().count(), start);
        assert!(matches!(call(&client, "exit").await, Err(ServiceError::TransportClosed)));
        soon(client.ended()).await;
        assert!(upstream.connected().is_none());
    }
}

#[tokio::test]
async fn all_who_ask_share_one_attempt_and_its_error() {
    let (asked, mut asks) = mpsc::channel(64);
    let down = any(move || async move {
        asked.send(()).await.unwrap();
        StatusCode::SERVICE_UNAVAILABLE
    });
    let site = serve(Router::new().fallback(down)).await;
    let upstream = reconnecting(address(format!("http://{site}/mcp")), era(Era::Modern));
    let outcomes = join_all((0..10).map(|_| upstream.client())).await;
    let errors: Vec<_> = outcomes.into_iter().map(|outcome| outcome.err().unwrap()).collect();
    assert!(errors.iter().all(|error| Arc::ptr_eq(error, &errors[0])));
    assert!(
        matches!(&*errors[0], ConnectError::Unreachable { cause, .. } if cause.to_string().contains("503"))
    );
    assert_eq!(count(&mut asks), 3); // three attempts for all of them

    assert!(upstream.peer().await.is_err()); // and the next one who asks starts anew
    assert_eq!(count(&mut asks), 3);
}

fn count(asks: &mut mpsc::Receiver<()>) -> usize {
    std::iter::from_fn(|| asks.try_recv().ok()).count()
}

#[tokio::test]
async fn an_error_that_waiting_does_not_mend_is_told_at_once() {
    let (asked, mut asks) = mpsc::channel(64);
    let locked = any(move || async move {
        asked.send(()).await.unwrap();
        StatusCode::UNAUTHORIZED
    });
    let site = serve(Router::new().fallback(locked)).await;
    let upstream = reconnecting(address(format!("http://{site}/mcp")), era(Era::Modern));
    let error = upstream.client().await.err().unwrap();
    assert!(matches!(&*error, ConnectError::NeedsCredentials { .. }));
    assert_eq!(count(&mut asks), 1);
}

#[tokio::test]
async fn all_who_ask_share_one_connection_and_an_attempt_survives_those_who_stop_waiting() {
    let server = Server::start(&Seen::default());
    let [.., socket] = addresses(server.port);
    let upstream = reconnecting(socket, era(Era::Auto));
    {
        let mut impatient = Box::pin(upstream.client());
        assert!(futures_util::poll!(&mut impatient).is_pending());
    }
    let clients = join_all((0..10).map(|_| upstream.client())).await;
    let clients: Vec<_> = clients.into_iter().map(Result::unwrap).collect();
    assert!(clients.iter().all(|client| Arc::ptr_eq(client, &clients[0])));
}

#[tokio::test]
async fn a_closed_one_connects_no_more() {
    let server = Server::start(&Seen::default());
    for place in addresses(server.port) {
        let upstream = reconnecting(place, era(Era::Auto));
        let client = upstream.client().await.unwrap();
        soon(upstream.close()).await;
        assert!(client.is_ended() && upstream.connected().is_none());
        assert!(upstream.client().await.is_err());
    }
    // Also while it tries.
    let options = ConnectOptions { timeout: Duration::from_secs(30), ..era(Era::Auto) };
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = address(silent.local_addr().unwrap().to_string());
    let upstream: Arc<Reconnecting<()>> = Arc::new(reconnecting(place, options));
    let asking = tokio::spawn({
        let upstream = upstream.clone();
        async move { upstream.client().await.is_err() }
    });
    let _accepted = soon(silent.accept()).await.unwrap();
    soon(upstream.close()).await;
    assert!(soon(asking).await.unwrap());
}

#[tokio::test]
async fn nothing_is_connected_before_it_is_asked_for() {
    let upstream = reconnecting(address(format!("127.0.0.1:{}", free_port().await)), era(Era::Auto));
    assert!(upstream.connected().is_none());
    assert!(upstream.client().await.is_err());
}
