//! Broken messages, and handlers that break.

use serde_json::{Value, json};

use crate::{
    support::{INITIALIZE, META, Server, call, message, soon},
    wire::Wire,
};

/// Text that is no message, and the code of its answer.
const BROKEN: [(&str, i64); 6] = [
    ("{", -32_700),
    ("\u{1}", -32_700),
    ("[]", -32_600),
    (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32_600),
    (r#"{"id":7,"method":"ping"}"#, -32_600),
    (r#"{"jsonrpc":"1.0","id":7,"method":"ping"}"#, -32_600),
];

#[tokio::test]
async fn what_is_no_message_is_answered_and_the_conversation_goes_on() {
    let server = Server::start(&[]).await;
    for (name, mut wire) in Wire::all(&server).await {
        for (text, code) in BROKEN {
            let answer = wire.ask(text).await;
            assert_eq!(answer["error"]["code"], code, "{name}: {text}: {answer}");
        }
        let answer = wire.ask(&call(1, "echo")).await;
        assert_eq!(answer["result"]["content"][0]["text"], "hi", "{name}: {answer}");
    }
    for (text, code) in BROKEN {
        let response = soon(server.post("/mcp", text).send()).await.unwrap();
        assert_eq!(response.status(), 400, "{text}");
        assert_eq!(message(response).await["error"]["code"], code, "{text}");
    }
}

#[tokio::test]
async fn the_id_of_a_broken_request_is_in_its_answer() {
    let server = Server::start(&[]).await;
    for (name, mut wire) in Wire::all(&server).await {
        assert_eq!(wire.ask(r#"{"id":7,"method":"ping"}"#).await["id"], 7, "{name}");
    }
}

#[tokio::test]
async fn a_tool_that_panics_is_an_error_and_the_session_lives_on() {
    let server = Server::start(&[]).await;
    for (name, mut wire) in Wire::all(&server).await {
        assert_eq!(wire.ask(&call(1, "panic")).await["result"]["isError"], true, "{name}");
        assert_eq!(wire.ask(&call(2, "echo")).await["result"]["content"][0]["text"], "hi", "{name}");
    }
    let session = server.session().await;
    for (tool, failed) in [("panic", true), ("echo", false)] {
        let legacy = soon(server.in_session(&session, call(1, tool)).send()).await.unwrap();
        assert_eq!(message(legacy).await["result"]["isError"], failed, "{tool}");
        let modern = soon(server.modern_call(tool).send()).await.unwrap();
        assert_eq!(message(modern).await["result"]["isError"], failed, "{tool}");
    }
}

#[tokio::test]
async fn parameters_of_the_wrong_shape_are_told_from_methods_that_there_are_not() {
    let server = Server::start(&[]).await;
    for (name, mut wire) in Wire::all(&server).await {
        for (method, code) in [
            ("tools/call", -32_602),
            ("resources/read", -32_602),
            ("tools/fly", -32_601),
            ("prompts/list", -32_601),
        ] {
            let request =
                json!({ "jsonrpc": "2.0", "id": 3, "method": method, "params": { "arguments": 7 } });
            assert_eq!(wire.ask(&request.to_string()).await["error"]["code"], code, "{name}: {method}");
        }
    }
}

/// Status and code of the answer to a request of 2026-07-28.
async fn modern_answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = soon(request.send()).await.unwrap();
    let status = response.status().as_u16();
    (status, message(response).await)
}

#[tokio::test]
async fn requests_without_the_metadata_of_their_era_are_refused() {
    let server = Server::start(&[]).await;
    let list = |meta: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{{meta}}}}}"#);
        server
            .post("/mcp", body)
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/list")
    };
    let no_capabilities = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
    let (status, answer) = modern_answer(list(no_capabilities)).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32_602)), "{answer}");

    let future = META.replace("2026-07-28", "2099-01-01");
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{{future}}}}}"#);
    let unsupported = server
        .post("/mcp", body)
        .header("mcp-protocol-version", "2099-01-01")
        .header("mcp-method", "tools/list");
    let (status, answer) = modern_answer(unsupported).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32_022)), "{answer}");
    assert!(
        answer["error"]["data"]["supported"].as_array().is_some_and(|versions| versions.len() > 1),
        "{answer}"
    );

    let contradicting =
        server.modern(1, "tools/list", None, "").header("mcp-name", "x").header("mcp-method", "tools/call");
    let (status, answer) = modern_answer(contradicting).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32_020)), "{answer}");
}

#[tokio::test]
async fn results_of_the_newer_era_say_who_made_them_and_how_long_they_last() {
    let server = Server::start(&[]).await;
    let info =
        |answer: &Value| answer["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"].clone();

    let (_, tools) = modern_answer(server.modern(1, "tools/list", None, "")).await;
    assert_eq!(
        (info(&tools), &tools["result"]["ttlMs"], &tools["result"]["cacheScope"]),
        (json!("tested"), &json!(300_000), &json!("public"))
    );
    let (_, resources) = modern_answer(server.modern(1, "resources/list", None, "")).await;
    assert_eq!(
        (&resources["result"]["ttlMs"], &resources["result"]["cacheScope"]),
        (&json!(0), &json!("private"))
    );
    let (_, called) = modern_answer(server.modern_call("echo")).await;
    assert_eq!(info(&called), "tested");

    let session = server.session().await;
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let older = message(soon(server.in_session(&session, list).send()).await.unwrap()).await;
    assert!(older["result"].get("_meta").is_none() && older["result"].get("ttlMs").is_none(), "{older}");
}

#[tokio::test]
async fn a_client_that_takes_anything_is_answered() {
    let server = Server::start(&[]).await;
    let anything = server
        .modern_call("echo")
        .headers([(http::header::ACCEPT, "*/*".parse().unwrap())].into_iter().collect());
    assert_eq!(modern_answer(anything).await.1["result"]["content"][0]["text"], "hi");
}

#[tokio::test]
async fn wrong_paths_methods_and_kinds_are_errors_that_say_so() {
    let server = Server::start(&[]).await;
    let wrong = [
        (server.http.get(server.url("/nowhere")), 404),
        (server.http.put(server.url("/mcp")), 405),
        (server.http.post(server.url("/sse")), 405),
        (server.http.get(server.url("/message")), 405),
        (
            server
                .post("/mcp", INITIALIZE)
                .headers([(http::header::CONTENT_TYPE, "text/plain".parse().unwrap())].into_iter().collect()),
            415,
        ),
    ];
    for (request, status) in wrong {
        let response = soon(request.send()).await.unwrap();
        assert_eq!(response.status(), status, "{}", response.url());
        let answer = message(response).await;
        assert!(answer["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{answer}");
    }
}
