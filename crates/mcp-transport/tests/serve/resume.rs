//! Streams that broke off and go on.

use mcp_transport::Change;
use reqwest::{RequestBuilder, Response, header};
use serde_json::json;

use crate::{
    client::{Client, Era, Wire, http, session_headers},
    support::{Server, reaches, within},
};

const ACCEPT: &str = "application/json, text/event-stream";

async fn read_until(response: &mut Response, wanted: &str) -> String {
    let mut text = String::new();
    while !text.contains(wanted) || !text.ends_with("\n\n") {
        let Some(chunk) = within(response.chunk()).await.unwrap() else { panic!("it ended: {text}") };
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    text
}

fn ids(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("id:")).map(str::trim).collect()
}

fn last_id(text: &str) -> &str {
    ids(text).last().unwrap()
}

fn listen(server: &Server, session: &str) -> RequestBuilder {
    session_headers(http().get(server.url("/mcp")).header(header::ACCEPT, ACCEPT), session)
}

#[tokio::test]
async fn a_call_is_answered_on_another_connection_with_nothing_twice() {
    let server = Server::start().await;
    let mut client = Client::open(&server, Wire::Streamable, Era::Legacy).await;
    let session = client.session().unwrap().to_owned();
    let params =
        json!({"name": "flood", "arguments": {"count": 3, "bytes": 1}, "_meta": {"progressToken": "p"}});
    let call = json!({"jsonrpc": "2.0", "id": 90, "method": "tools/call", "params": params});
    let wait = json!({"jsonrpc": "2.0", "id": 91, "method": "tools/call", "params": {"name": "wait"}});
    let post = |message| {
        session_headers(
            http().post(server.url("/mcp")).header(header::ACCEPT, ACCEPT).json(message),
            &session,
        )
    };

    let text = post(&call).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("all sent"), "{text}");

    let mut waiting = post(&wait).send().await.unwrap();
    let text = read_until(&mut waiting, "id:").await;
    reaches(&server.state.begun, 1).await;
    drop(waiting);
    let mut resumed = listen(&server, &session).header("last-event-id", last_id(&text)).send().await.unwrap();
    server.state.release.add_permits(1);
    let rest = read_until(&mut resumed, "released").await;
    assert!(!ids(&rest).contains(&last_id(&text)), "{rest}");
    assert_eq!(client.text("echo", json!({"text": "a"})).await, "a");
}

#[tokio::test]
async fn what_a_listening_client_missed_it_gets_and_what_it_had_it_does_not() {
    let server = Server::start().await;
    let client = Client::open(&server, Wire::Streamable, Era::Legacy).await;
    let session = client.session().unwrap().to_owned();
    drop(client); // and its stream
    let change = |uri: &str| server.state.subscribers.changed(&Change::Resource(uri.to_owned()));
    for uri in ["a://1", "a://2", "a://3"] {
        let message =
            json!({"jsonrpc": "2.0", "id": uri, "method": "resources/subscribe", "params": {"uri": uri}});
        let request = http().post(server.url("/mcp")).header(header::ACCEPT, ACCEPT).json(&message);
        session_headers(request, &session).send().await.unwrap().text().await.unwrap();
    }
    let mut first = listen(&server, &session).send().await.unwrap();
    change("a://1");
    let had = read_until(&mut first, "a://1").await;
    change("a://2");
    let had_too = read_until(&mut first, "a://2").await;
    drop(first);

    change("a://3");
    for (last, expected) in [("0", "123"), (last_id(&had), "23"), (last_id(&had_too), "3")] {
        let mut resumed = listen(&server, &session).header("last-event-id", last).send().await.unwrap();
        let text = read_until(&mut resumed, "a://3").await;
        for number in ["1", "2", "3"] {
            assert_eq!(
                text.contains(&format!("a://{number}")),
                expected.contains(number),
                "after {last}: {text}"
            );
        }
    }
    // Without a place to go on at, what was read already does not come again.
    let mut another = listen(&server, &session).send().await.unwrap();
    change("a://1");
    let text = read_until(&mut another, "a://1").await;
    assert!(!text.contains("a://3"), "{text}");
}

#[tokio::test]
async fn an_answer_that_was_lost_is_read_again() {
    let server = Server::start().await;
    let client = Client::open(&server, Wire::Streamable, Era::Legacy).await;
    let session = client.session().unwrap().to_owned();
    let call = json!({"jsonrpc": "2.0", "id": 90, "method": "tools/call", "params": {"name": "wait"}});
    let request = http().post(server.url("/mcp")).header(header::ACCEPT, ACCEPT).json(&call);
    let mut response = session_headers(request, &session).send().await.unwrap();
    let begun = read_until(&mut response, "id:").await;
    server.state.release.add_permits(1);
    let answer = read_until(&mut response, "released").await;
    drop(response);
    for _ in 0..2 {
        let again = listen(&server, &session).header("last-event-id", last_id(&begun)).send().await.unwrap();
        assert_eq!(within(again.text()).await.unwrap(), answer);
    }
    let after = listen(&server, &session).header("last-event-id", last_id(&answer)).send().await.unwrap();
    assert_eq!(within(after.text()).await.unwrap(), "");
    let never = listen(&server, &session).header("last-event-id", "7/7").send().await.unwrap();
    assert_eq!(within(never.text()).await.unwrap(), "");
    assert_eq!(*server.state.begun.borrow(), 1);
}

#[tokio::test]
async fn two_calls_of_one_id_are_not_mixed_up() {
    let server = Server::start().await;
    let client = Client::open(&server, Wire::Streamable, Era::Legacy).await;
    let session = client.session().unwrap().to_owned();
    let call = json!({"jsonrpc": "2.0", "id": 90, "method": "tools/call", "params": {"name": "wait"}});
    let post = || {
        session_headers(http().post(server.url("/mcp")).header(header::ACCEPT, ACCEPT).json(&call), &session)
    };
    let mut first = post().send().await.unwrap();
    reaches(&server.state.begun, 1).await;
    let second = within(post().send().await.unwrap().text()).await.unwrap();
    assert!(second.contains("-32600") && second.contains("in flight already"), "{second}");
    server.state.release.add_permits(1);
    read_until(&mut first, "released").await;
    assert_eq!(*server.state.begun.borrow(), 1);
}
