use std::{
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use futures_util::{FutureExt as _, future::join_all, poll};
use serde_json::json;
use upstream::{Abilities, CallError, CallOptions, Progress};

use crate::{
    host::{ALL, person, slow_person},
    support::{Server, call, object, options, soon, text, upstream, ways, within},
};

const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_call_without_an_answer_ends_in_time_and_the_server_is_told_to_stop() {
    let server = Server::start();
    for (address, era) in ways(server.port) {
        let upstream = upstream(address.clone(), options(era), person(ALL).0);
        for (idle, total) in [(SHORT, LONG), (LONG, SHORT)] {
            let failed = soon(upstream.call_tool("wait", object(json!({})), within(idle, total))).await;
            assert!(matches!(failed, Err(CallError::TimedOut(SHORT))), "{address} {era:?}: {failed:?}");
            soon(server.state.cancelled.notified()).await;
        }
        assert_eq!(call(&upstream, "echo", json!({"text": "still here"})).await.unwrap(), "still here");
        soon(upstream.close()).await;
    }
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_any_more_is_cancelled_at_the_server() {
    let server = Server::start();
    for (address, era) in ways(server.port) {
        let upstream = upstream(address, options(era), person(ALL).0);
        upstream.connect().await.unwrap();
        {
            let mut calling = Box::pin(upstream.call_tool("wait", object(json!({})), CallOptions::default()));
            tokio::select! {
                result = &mut calling => panic!("{result:?}"),
                () = soon(server.state.waiting.notified()) => {}
            }
        }
        soon(server.state.cancelled.notified()).await;
        soon(upstream.close()).await;
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_right_before_the_close_is_cancelled_too() {
    let server = Server::start();
    for (address, era) in ways(server.port) {
        let upstream = upstream(address, options(era), person(ALL).0);
        upstream.connect().await.unwrap();
        let mut calling = Box::pin(upstream.call_tool("wait", object(json!({})), CallOptions::default()));
        while server.state.waiting.notified().now_or_never().is_none() {
            assert!(poll!(&mut calling).is_pending());
            tokio::task::yield_now().await;
        }
        drop(calling);
        soon(upstream.close()).await;
        soon(server.state.cancelled.notified()).await;
    }
}

#[tokio::test]
async fn progress_is_told_while_the_call_goes_on() {
    let server = Server::start();
    for (address, era) in ways(server.port) {
        let upstream = upstream(address.clone(), options(era), person(ALL).0);
        let told = Arc::new(Mutex::new(Vec::new()));
        let (seen, state) = (told.clone(), server.state.clone());
        let listener = move |progress: Progress| {
            seen.lock().unwrap().push((progress.progress, progress.total));
            state.step.notify_one();
        };
        let options = CallOptions { progress: Some(Arc::new(listener)), ..CallOptions::default() };
        let result = soon(upstream.call_tool("steps", object(json!({})), options)).await.unwrap();
        assert_eq!(text(result), "stepped");
        let three = Some(3.0);
        assert_eq!(*told.lock().unwrap(), [(1.0, three), (2.0, three), (3.0, three)], "{address} {era:?}");
    }
}

#[tokio::test]
async fn the_limits_do_not_run_while_the_host_thinks() {
    const LIMIT: Duration = Duration::from_millis(700);
    let server = Server::start();
    let calls = ways(server.port).into_iter().map(async |(address, era)| {
        let (host, _) = slow_person();
        let slow = upstream(address.clone(), options(era), host.clone());
        slow.connect().await.unwrap();
        let limits = within(LIMIT, LIMIT);
        let mut calling = Box::pin(slow.call_tool("ask", object(json!({"message": "who"})), limits.clone()));
        // Another call that begins later has run into the same limits meanwhile.
        let other = upstream(address.clone(), options(era), person(ALL).0);
        let later = async {
            soon(host.question.notified()).await;
            soon(other.call_tool("wait", object(json!({})), limits)).await
        };
        tokio::select! {
            result = &mut calling => panic!("{address} {era:?}: {result:?}"),
            later = later => assert!(matches!(later, Err(CallError::TimedOut(LIMIT))), "{later:?}"),
        }
        host.thinks.as_ref().unwrap().notify_one();
        assert!(text(soon(calling).await.unwrap()).starts_with("server asks who"), "{address} {era:?}");
        assert_eq!(host.asked.load(Ordering::SeqCst), 1);
    });
    join_all(calls).await;
}

#[tokio::test]
async fn a_server_that_never_answers_the_handshake_is_given_up_in_time() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    let mut options = options(mcp_transport::Era::Auto);
    options.connect.timeout = SHORT;
    let upstream = upstream(address, options, person(Abilities::default()).0);
    let failed = soon(upstream.tools()).await;
    assert!(matches!(failed, Err(CallError::Connect(_))), "{failed:?}");
    soon(upstream.close()).await;
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused_with_a_clear_reason() {
    let server = Server::start();
    for (address, era) in ways(server.port) {
        let upstream = upstream(address.clone(), options(era), person(ALL).0);
        let failed = call(&upstream, "big", json!({"bytes": 17 << 20})).await.map(|text| text.len());
        let failed = failed.unwrap_err().to_string();
        assert!(failed.contains("large") || failed.contains("bytes"), "{address} {era:?}: {failed}");
        assert_eq!(call(&upstream, "echo", json!({"text": "again"})).await.unwrap(), "again");
        soon(upstream.close()).await;
    }
}
