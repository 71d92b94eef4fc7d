use std::sync::{Arc, atomic::Ordering};

use futures_util::future::join_all;
use serde_json::json;
use upstream::CallError;

use crate::{
    host::{ALL, person, tools_changed},
    support::{Server, call, options, soon, upstream, ways},
};

#[tokio::test]
async fn a_list_is_asked_for_once_until_it_changes() {
    let server = Server::start();
    for (address, era) in ways(server.port) {
        let (host, mut heard) = person(ALL);
        server.state.offer(25);
        let upstream = upstream(address.clone(), options(era), host);
        heard_agreement(&upstream).await;
        let before = server.state.pages.load(Ordering::SeqCst);
        let lists = join_all((0..10).map(|_| upstream.tools())).await;
        let lists: Vec<_> = lists.into_iter().map(Result::unwrap).collect();
        assert!(lists.iter().all(|list| Arc::ptr_eq(list, &lists[0])));
        assert!(Arc::ptr_eq(&upstream.tools().await.unwrap(), &lists[0]));
        assert_eq!(server.state.pages.load(Ordering::SeqCst) - before, 3, "{address} {era:?}");

        heard.so_far();
        let change = async || {
            call(&upstream, "change", json!({})).await.unwrap();
        };
        heard.provoked(tools_changed, change).await;
        assert_eq!(soon(upstream.tools()).await.unwrap().len(), 1, "{address} {era:?}");
        soon(upstream.close()).await;
    }
}

/// In the newer era the server tells of changes as soon as it has agreed to.
async fn heard_agreement(upstream: &upstream::Upstream) {
    upstream.subscribe("test://one").await.unwrap();
}

#[tokio::test]
async fn a_list_without_an_end_is_an_error_and_not_remembered() {
    let server = Server::start();
    for (address, era) in ways(server.port) {
        let upstream = upstream(address, options(era), person(ALL).0);
        for endless in [1, 2] {
            server.state.endless.store(endless, Ordering::SeqCst);
            let listed = soon(upstream.tools()).await;
            let Err(CallError::Protocol(reason)) = listed else { panic!("{listed:?}") };
            assert!(reason.contains("list of tools has no end"), "{reason}");
        }
        server.state.endless.store(0, Ordering::SeqCst);
        upstream.tools().await.unwrap();
    }
}
