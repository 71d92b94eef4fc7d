//! What a request is answered with, and how.

use reqwest::header;
use serde_json::json;

use crate::{
    client::{
        ACCEPT, LEGACY, MODERN, Session, Stream, messages, modern, notification, post, read, request, send,
        tool,
    },
    support::{Server, log, reaches, within},
};

#[tokio::test]
async fn an_answer_that_comes_alone_is_one_json_text_and_every_byte_of_it_stays() {
    let server = Server::start().await;
    let session = Session::open(&server).await;
    let params =
        r#"{ "name":"echo", "z" : 1.50, "a":[1E3,{"ü":"\u00fc"}],"arguments":{"x":9007199254740993} }"#;
    let text =
        format!(r#"{{"jsonrpc":"2.0","vendor":1,"id":"i\u0064","method":"tools/call","params":{params}}}"#);
    let sent = post(&server, &json!(0)).body(text);
    let response = send(sent.header("mcp-session-id", &session.id)).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    let answer = within(response.text()).await.unwrap();
    assert_eq!(answer, format!(r#"{{"jsonrpc":"2.0","id":"i\u0064","result":{params}}}"#));

    let failed = within(session.call(1, "fail").await.text()).await.unwrap();
    let error = r#"{"code":7,"message":"as it came","data":{"z":1.50},"extra":null}"#;
    assert_eq!(failed, format!(r#"{{"jsonrpc":"2.0","id":1,"error":{error}}}"#));
}

#[tokio::test]
async fn in_the_newer_era_each_request_is_a_client_of_its_own() {
    let server = Server::start().await;
    let response = send(modern(&server, "tools/call", tool("echo"))).await;
    assert!(response.headers().get("mcp-session-id").is_none());
    let (status, answer) = read(response).await;
    assert_eq!((status, &answer["result"]["name"]), (200, &json!("echo")));
    assert_eq!(*server.fixture.is_brief.borrow(), Some(true));
    reaches(&server.fixture.sessions, 0).await;
    Session::open(&server).await;
    assert_eq!(*server.fixture.is_brief.borrow(), Some(false));
}

#[tokio::test]
async fn what_is_told_before_the_answer_comes_before_it() {
    let server = Server::start().await;
    let session = Session::open(&server).await;
    for response in [session.call(5, "tell").await, send(modern(&server, "tools/call", tool("tell"))).await] {
        let text = Stream::new(response).all().await;
        let messages = messages(&text);
        let told: Vec<_> = messages[..3].iter().map(|told| &told["params"]["data"]).collect();
        assert_eq!(told, ["0", "1", "2"], "{text}");
        assert_eq!((messages.len(), &messages[3]["id"]), (4, &json!(5)), "{text}");
    }
}

#[tokio::test]
async fn a_message_arrives_when_it_is_told_and_not_with_the_answer() {
    let server = Server::start().await;
    let session = Session::open(&server).await;
    for response in [
        session.call(5, "tell and wait").await,
        send(modern(&server, "tools/call", tool("tell and wait"))).await,
    ] {
        let mut stream = Stream::new(response);
        stream.until("first").await;
        server.fixture.release.add_permits(1);
        let text = stream.all().await;
        assert!(text.contains("second") && text.contains("done"), "{text}");
    }
}

#[tokio::test]
async fn a_response_begins_although_nothing_comes_for_a_while() {
    let server = Server::start().await;
    let session = Session::open(&server).await;
    let older = Session::of(&server, "2025-06-18").await;
    for (waiting, is_resumable) in [
        (session.call(5, "wait").await, true),
        (older.call(5, "wait").await, false),
        (send(modern(&server, "tools/call", tool("wait"))).await, false),
    ] {
        let stream = Stream::new(waiting);
        server.fixture.release.add_permits(1);
        let text = stream.all().await;
        assert!(text.contains("done"), "{text}");
        assert_eq!(text.contains("retry: 3000\ndata: \n\n"), is_resumable, "{text}");
    }
}

#[tokio::test]
async fn a_handler_that_panics_is_an_error_and_the_server_goes_on() {
    let server = Server::start().await;
    let session = Session::open(&server).await;
    for response in [session.call(5, "panic").await, send(modern(&server, "tools/call", tool("panic"))).await]
    {
        let (status, answer) = read(response).await;
        assert_eq!((status, &answer["error"]["code"], &answer["id"]), (200, &json!(-32603), &json!(5)));
        assert!(!answer.to_string().contains("on purpose"), "{answer}");
    }
    let (status, answer) = read(session.say("notifications/panic", json!({})).await).await;
    assert_eq!((status, &answer["error"]["code"]), (500, &json!(-32603)));
    assert_eq!(session.call(6, "echo").await.status(), 200);
}

#[tokio::test]
async fn what_is_no_message_gets_its_error_with_status_400() {
    let server = Server::start().await;
    let session = Session::open(&server).await;
    for (text, code, id) in [
        ("{\"jsonrpc\": \"2.0\", ", -32700, json!(null)),
        ("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]", -32600, json!(null)),
        ("7", -32600, json!(null)),
        ("{\"jsonrpc\":\"1.0\",\"id\":71,\"method\":\"ping\"}", -32600, json!(71)),
        ("{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"ping\",\"params\":[]}", -32602, json!(3)),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"ping\",\"params\":{\"name\":1,\"name\":2}}",
            -32602,
            json!(3),
        ),
    ] {
        for request in [
            post(&server, &json!(0)),
            post(&server, &json!(0)).header("mcp-session-id", &session.id),
            post(&server, &json!(0)).header("mcp-protocol-version", MODERN),
        ] {
            let (status, answer) = read(send(request.body(text)).await).await;
            assert_eq!((status, &answer["error"]["code"], &answer["id"]), (400, &json!(code), &id), "{text}");
        }
    }
}

#[tokio::test]
async fn bodies_accepts_and_methods_that_are_not_taken_are_told_in_json() {
    let server = Server::start().await;
    let ping = request(1, "ping", json!({}));
    let large = request(1, "ping", json!({"x": "x".repeat(64 * 1024)}));
    let to = |method: &str| server.http.request(method.parse().unwrap(), server.url("/mcp")).json(&ping);
    for (request, status, id) in [
        (post(&server, &large), 413, json!(null)),
        (to("POST").header(header::ACCEPT, "text/html"), 406, json!(1)),
        (to("POST").header(header::ACCEPT, "application/json, text/event-stream;q=0"), 406, json!(1)),
        (to("GET").header(header::ACCEPT, "application/json"), 406, json!(null)),
        (to("PUT"), 405, json!(null)),
        (post(&server, &ping).header(header::CONTENT_TYPE, "text/plain"), 400, json!(1)), // both are named
        (
            server.http.post(server.url("/mcp")).header(header::ACCEPT, ACCEPT).body(ping.to_string()),
            415,
            json!(null),
        ),
        (server.http.get(server.url("/nothing")), 404, json!(null)),
    ] {
        let (got, answer) = read(send(request).await).await;
        assert_eq!((got, &answer["error"]["code"], &answer["id"]), (status, &json!(-32600), &id), "{answer}");
    }
    let taken =
        to("POST").header(header::ACCEPT, "text/html, */*;q=0.8").header("mcp-protocol-version", LEGACY);
    assert_eq!(send(taken).await.status(), 400, "it has no session, and no worse fault");
    assert_eq!(send(to("PATCH")).await.headers()["allow"], "GET, POST, DELETE");
    assert_eq!(send(server.http.get(server.url("/more"))).await.text().await.unwrap(), "more");
}

#[tokio::test]
async fn notifications_are_heard_in_their_session() {
    let server = Server::start().await;
    let session = Session::open(&server).await;
    assert_eq!(session.say("notifications/roots/list_changed", json!({})).await.status(), 202);
    // About a request that is not running, it is one like any other.
    assert_eq!(session.say("notifications/cancelled", json!({"requestId": 77})).await.status(), 202);
    let told = notification("notifications/other", json!({}));
    let sent = post(&server, &told).header("mcp-protocol-version", MODERN);
    assert_eq!(send(sent.header("mcp-method", "notifications/other")).await.status(), 202);
    let heard =
        ["initialized", "roots/list_changed", "cancelled"].map(|name| format!("notifications/{name}"));
    assert_eq!(*server.fixture.heard.borrow(), heard, "and not that of nobody");
}

#[tokio::test]
async fn a_link_of_a_request_leads_nowhere_after_its_answer() {
    let server = Server::start().await;
    let session = Session::open(&server).await;
    session.call(5, "keep").await;
    send(modern(&server, "tools/call", tool("keep"))).await;
    let links = server.fixture.links.lock().unwrap().split_off(1);
    assert_eq!(links.len(), 2);
    for link in links {
        assert!(link.tell(log("late")).await.is_err());
    }
}
