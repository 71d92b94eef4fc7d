//! Requests that do not say, or not rightly, of which era they are.

use reqwest::Method;
use serde_json::json;

use crate::{
    client::{LEGACY, MODERN, Session, add_metadata, error, initialize, modern, post, request, send, tool},
    support::Server,
};

#[tokio::test]
async fn headers_that_contradict_the_message_are_a_mismatch() {
    let server = Server::start().await;
    let message = |method: &str, mut params: serde_json::Value| {
        add_metadata(&mut params);
        request(5, method, params)
    };
    let list = message("tools/list", json!({}));
    let call = message("tools/call", tool("echo"));
    let (version, method, name) = ("mcp-protocol-version", "mcp-method", "mcp-name");
    for (message, headers) in [
        (&list, vec![(version, LEGACY), (method, "tools/list")]),
        (&list, vec![(version, MODERN)]),
        (&list, vec![(method, "tools/list")]),
        (&list, vec![(version, MODERN), (method, "tools/call")]),
        (&list, vec![(version, MODERN), (method, "tools/list"), (method, "tools/list")]),
        (&call, vec![(version, MODERN), (method, "tools/call")]),
        (&call, vec![(version, MODERN), (method, "tools/call"), (name, "wait")]),
        (&call, vec![(version, MODERN), (method, "tools/call"), (name, "=?base64?AAA?=")]),
    ] {
        let sent =
            headers.iter().fold(post(&server, message), |sent, (name, value)| sent.header(*name, *value));
        assert_eq!(error(sent).await, (400, -32020, json!(5)), "{headers:?}");
    }
    // A handshake need not repeat anything, but what it repeats must be right.
    let handshake = initialize(MODERN, "test");
    let sent = post(&server, &handshake).header(version, MODERN).header(method, "tools/list");
    assert_eq!(error(sent).await, (400, -32020, json!(0)));
    let sent = post(&server, &handshake).header(version, LEGACY);
    assert_eq!(error(sent).await, (400, -32600, json!(0)));
    let sent = post(&server, &json!({"jsonrpc": "2.0", "method": "notifications/x"})).header(version, MODERN);
    assert_eq!(error(sent).await, (400, -32020, json!(null)));
}

#[tokio::test]
async fn a_request_of_the_newer_era_says_its_version() {
    let server = Server::start().await;
    for (method, header) in [("tools/list", Some(MODERN)), ("server/discover", None)] {
        let sent = post(&server, &request(5, method, json!({}))).header("mcp-method", method);
        let sent =
            header.into_iter().fold(sent, |sent, version| sent.header("mcp-protocol-version", version));
        assert_eq!(error(sent).await, (400, -32602, json!(5)), "{method}");
    }
    let mut params = json!({});
    add_metadata(&mut params);
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(7);
    let sent = post(&server, &request(5, "tools/list", params)).header("mcp-protocol-version", MODERN);
    assert_eq!(error(sent).await, (400, -32602, json!(5)), "its version is no text");
}

#[tokio::test]
async fn errors_of_the_newer_era_have_their_status() {
    let server = Server::start().await;
    let session = Session::open(&server).await;
    for (method, status, code) in [
        ("version", 400, -32022),
        ("capability", 400, -32021),
        ("none", 404, -32601),
        ("invalid", 200, -32602),
    ] {
        assert_eq!(error(modern(&server, method, json!({}))).await, (status, code, json!(5)), "{method}");
        let legacy = session.post(&request(5, method, json!({})));
        assert_eq!(error(legacy).await, (200, code, json!(5)), "{method}");
    }
    // One that is invalid because it does not say what each must say.
    let params = json!({"_meta": {"io.modelcontextprotocol/protocolVersion": MODERN}});
    let sent = post(&server, &request(5, "invalid", params)).header("mcp-protocol-version", MODERN);
    assert_eq!(error(sent.header("mcp-method", "invalid")).await, (400, -32602, json!(5)));
}

#[tokio::test]
async fn a_version_that_nobody_knows_is_the_endpoints_to_refuse_if_the_message_names_it() {
    let server = Server::start().await;
    let version = "2099-01-01";
    let session = Session::open(&server).await;
    let mut params = json!({});
    add_metadata(&mut params);
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(version);
    let sent = post(&server, &request(5, "version", params)).header("mcp-protocol-version", version);
    assert_eq!(error(sent.header("mcp-method", "version")).await, (400, -32022, json!(5)));

    let ping = post(&server, &request(5, "ping", json!({}))).header("mcp-session-id", &session.id);
    assert_eq!(error(ping.header("mcp-protocol-version", version)).await, (400, -32600, json!(5)));
    let ping = post(&server, &request(5, "ping", json!({}))).header("mcp-session-id", &session.id);
    assert_eq!(send(ping).await.status(), 200, "clients of before 2025-06-18 name none");
}

#[tokio::test]
async fn a_client_of_the_newer_era_has_no_use_for_sessions() {
    let server = Server::start().await;
    for method in [Method::GET, Method::DELETE] {
        let session = Session { version: MODERN.to_owned(), ..Session::open(&server).await };
        let response = send(session.request(method)).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["allow"]),
            (405, &"POST".parse().unwrap())
        );
    }
    let response = json!({"jsonrpc": "2.0", "id": 1, "result": {}});
    let sent = post(&server, &response).header("mcp-protocol-version", MODERN);
    assert_eq!(error(sent).await, (400, -32600, json!(null)));
}
