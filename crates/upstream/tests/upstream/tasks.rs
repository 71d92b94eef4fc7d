use std::{
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use mcp_transport::{Address, Era};
use rmcp::ErrorData;
use serde_json::json;
use tokio::sync::Notify;
use upstream::{CallError, CallOptions, Progress};

use crate::{
    host::{ALL, person},
    support::{Server, call, object, options, soon, text, upstream, ways, within},
};

fn modern(server: &Server) -> impl Iterator<Item = Address> {
    ways(server.port).into_iter().filter(|(_, era)| *era == Era::Modern).map(|(address, _)| address)
}

#[tokio::test]
async fn a_call_that_becomes_a_task_has_the_result_of_the_task() {
    let server = Server::start();
    for address in modern(&server) {
        let upstream = upstream(address, options(Era::Modern), person(ALL).0);
        let said = Arc::new(Mutex::new(Vec::new()));
        let told = said.clone();
        let listener = move |progress: Progress| told.lock().unwrap().extend(progress.message);
        let options = CallOptions { progress: Some(Arc::new(listener)), ..CallOptions::default() };
        let asked = soon(upstream.call_tool("task", object(json!({"what": "ask"})), options)).await.unwrap();
        assert!(text(asked).contains("server asks task"));
        assert_eq!(*said.lock().unwrap(), ["begun"]);

        let failed = call(&upstream, "task", json!({"what": "fail"})).await.unwrap_err();
        assert_eq!(failed.to_string(), "the server refuses: it cannot be done (code -32602)");
        soon(upstream.close()).await;
        assert_eq!(server.state.cancellations.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn a_task_that_nobody_waits_for_any_more_is_cancelled() {
    let server = Server::start();
    for address in modern(&server) {
        let upstream = upstream(address, options(Era::Modern), person(ALL).0);
        let wait = || object(json!({"what": "wait"}));
        let limit = Duration::from_secs(1); // the server must have told of the task
        let late = soon(upstream.call_tool("task", wait(), within(Duration::from_secs(60), limit))).await;
        assert!(matches!(late, Err(CallError::TimedOut(_))), "{late:?}");
        soon(server.state.waiting.notified()).await;
        soon(server.state.cancelled.notified()).await;

        let known = Arc::new(Notify::new());
        let told = known.clone();
        let listener = move |_: Progress| told.notify_one();
        let options = CallOptions { progress: Some(Arc::new(listener)), ..CallOptions::default() };
        tokio::select! {
            result = upstream.call_tool("task", wait(), options) => panic!("{result:?}"),
            () = soon(known.notified()) => {}
        }
        soon(server.state.cancelled.notified()).await;
        soon(upstream.close()).await;
    }
}

#[tokio::test]
async fn a_task_that_the_server_has_no_time_to_tell_of_is_cancelled_and_one_that_it_does_not_know_is_not() {
    let server = Server::start();
    let refuse = |error| *server.state.overloaded.lock().unwrap() = Some(error);
    for address in modern(&server) {
        let upstream = upstream(address, options(Era::Modern), person(ALL).0);
        refuse(ErrorData::invalid_params("there is no such task", None));
        let unknown = call(&upstream, "task", json!({"what": "wait"})).await;
        assert!(matches!(unknown, Err(CallError::Refused(_))), "{unknown:?}");
        refuse(ErrorData::internal_error("too much to do", None));
        let refused = call(&upstream, "task", json!({"what": "wait"})).await;
        assert!(matches!(refused, Err(CallError::Refused(_))), "{refused:?}");
        soon(server.state.cancelled.notified()).await;
        soon(upstream.close()).await;
        assert_eq!(server.state.cancellations.swap(0, Ordering::SeqCst), 1);
    }
}
