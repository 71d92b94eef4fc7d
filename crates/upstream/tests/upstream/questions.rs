use std::sync::atomic::Ordering;

use mcp_transport::Era;
use serde_json::json;
use upstream::{Abilities, CallError, CallOptions};

use crate::{
    host::{ALL, person},
    support::{Server, call, object, options, soon, upstream, ways},
};

#[tokio::test]
async fn what_a_tool_asks_in_between_is_answered_by_the_host() {
    let server = Server::start();
    for (address, era) in ways(server.port) {
        let (host, _) = person(ALL);
        let upstream = upstream(address.clone(), options(era), host.clone());
        let answer = call(&upstream, "ask", json!({"message": "who"})).await.unwrap();
        let state = if era == Era::Modern { " with a state" } else { "" };
        assert_eq!(answer, format!("server asks who{state}"), "{address} {era:?}");
        assert_eq!(host.asked.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn what_was_not_offered_is_not_answered() {
    let server = Server::start();
    for (address, era) in ways(server.port) {
        let (host, _) = person(Abilities { elicit_urls: true, ..Abilities::default() });
        let upstream = upstream(address.clone(), options(era), host.clone());
        let answer = call(&upstream, "ask", json!({"message": "who"})).await;
        match era {
            Era::Modern => assert!(matches!(answer, Err(CallError::Unanswered(_))), "{answer:?}"),
            _ => assert!(!answer.unwrap().starts_with("server asks"), "{address}"),
        }
        assert_eq!(host.asked.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn a_host_without_an_answer_ends_the_call_in_the_newer_era_and_is_told_to_the_server_in_the_older() {
    let server = Server::start();
    for (address, era) in ways(server.port) {
        let upstream = upstream(address, options(era), person(ALL).0);
        let answer = call(&upstream, "ask", json!({"message": "refuse"})).await;
        match era {
            Era::Modern => {
                let error = answer.unwrap_err();
                assert_eq!(error.to_string(), "the server's question was not answered: nobody is here");
            }
            _ => assert!(answer.unwrap().contains("nobody is here")),
        }
    }
}

#[tokio::test]
async fn prompts_and_resources_may_ask_too() {
    let server = Server::start();
    for (address, era) in ways(server.port).into_iter().filter(|(_, era)| *era == Era::Modern) {
        let upstream = upstream(address, options(era), person(ALL).0);
        let prompt = soon(upstream.prompt("ask", object(json!({})), CallOptions::default())).await.unwrap();
        let prompt = json!(prompt.messages).to_string();
        assert!(prompt.contains("server asks prompt"), "{prompt}");
        let read = soon(upstream.read_resource("test://ask", CallOptions::default())).await.unwrap();
        assert!(json!(read.contents).to_string().contains("state"));
    }
}

#[tokio::test]
async fn rounds_without_questions_are_patient_and_rounds_without_end_are_not() {
    let server = Server::start();
    for (address, era) in ways(server.port).into_iter().filter(|(_, era)| *era == Era::Modern) {
        let (host, _) = person(ALL);
        let upstream = upstream(address, options(era), host.clone());
        assert_eq!(call(&upstream, "patience", json!({})).await.unwrap(), "patient");
        let before = server.state.calls.load(Ordering::SeqCst);
        let endless = call(&upstream, "endless", json!({})).await;
        assert!(matches!(endless, Err(CallError::Protocol(_))), "{endless:?}");
        assert_eq!(host.asked.load(Ordering::SeqCst), 10);
        assert_eq!(server.state.calls.load(Ordering::SeqCst) - before, 11);
    }
}
