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

    for (last, expected) in [("00", "123"), (last_id(&had), "23"), (last_id(&had_too), "3")] {
        // The server notices that the connection has gone a moment later; until then another stream gets nothing.
        let text = within(async {
            loop {
                let mut resumed =
                    listen(&server, &session).header("last-event-id", last).send().await.unwrap();
                change("a://3");
                let mut text = String::new();
                let reading = async { text.push_str(&read_until(&mut resumed, "a://3").await) };
                if tokio::time::timeout(std::time::Duration::from_millis(200), reading).await.is_ok() {
                    return text;
                }
            }
        })
        .await;
        for number in ["1", "2", "3"] {
            assert_eq!(
                text.contains(&format!("a://{number}")),
                expected.contains(number),
                "after {last}: {text}"
            );
        }
    }
}
