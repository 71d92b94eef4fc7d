//! Headers that repeat what the message says.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::{
    client::{MODERN, Session, add_metadata, error, post, request, send},
    support::Server,
};

fn call(server: &Server, arguments: &Value) -> RequestBuilder {
    let mut params = json!({"name": "mirrored", "arguments": arguments});
    add_metadata(&mut params);
    let sent = post(server, &request(5, "tools/call", params)).header("mcp-protocol-version", MODERN);
    sent.header("mcp-method", "tools/call").header("mcp-name", "=?base64?bWlycm9yZWQ=?=")
}

#[tokio::test]
async fn arguments_are_repeated_rightly_or_not_taken() {
    let server = Server::start().await;
    let (region, count) = ("mcp-param-region", "Mcp-Param-Count");
    let both = json!({"region": "eu west", "deep": {"count": 7}});
    for (arguments, headers) in [
        (&both, vec![(region, "eu west"), (count, "7")]),
        (&both, vec![(region, "=?base64?ZXUgd2VzdA==?="), (count, "7")]),
        (&json!({"region": "ü\n"}), vec![(region, "=?base64?w7wK?=")]),
        (&json!({"region": null, "deep": 3}), vec![]),
        (&json!({"region": true, "deep": {"count": 1e3}}), vec![(region, "true"), (count, "1000")]),
    ] {
        let sent =
            headers.iter().fold(call(&server, arguments), |sent, (name, value)| sent.header(*name, *value));
        assert_eq!(send(sent).await.status(), 200, "{arguments} {headers:?}");
    }
    for (arguments, headers) in [
        (&both, vec![(region, "eu west")]),
        (&both, vec![(region, "eu west"), (count, "8")]),
        (&both, vec![(region, "eu west"), (count, "7"), (count, "7")]),
        (&both, vec![(region, "EU WEST"), (count, "7")]),
        (&json!({}), vec![(region, "eu west")]),
        (&json!({"region": null}), vec![(region, "null")]),
        (&json!({"region": "ü"}), vec![(region, "ü")]),
        // A text is no number, whatever it looks like.
        (&json!({"region": "1e2"}), vec![(region, "100")]),
        (&json!({"region": "1.10"}), vec![(region, "1.1")]),
    ] {
        let sent =
            headers.iter().fold(call(&server, arguments), |sent, (name, value)| sent.header(*name, *value));
        assert_eq!(error(sent).await, (400, -32020, json!(5)), "{arguments} {headers:?}");
    }
    // Who reads the first of two would take another region than who reads the last.
    let mut params = json!({"name": "mirrored", "arguments": {}});
    add_metadata(&mut params);
    let text = request(5, "tools/call", params).to_string();
    let text = text.replace("\"arguments\":{}", "\"arguments\":{\"region\":\"a\",\"region\":\"b\"}");
    for region in ["a", "b"] {
        let sent = call(&server, &json!({})).body(text.clone()).header("mcp-param-region", region);
        assert_eq!(error(sent).await, (400, -32020, json!(5)), "{region}");
    }
}

#[tokio::test]
async fn headers_that_say_where_a_message_belongs_come_once() {
    let server = Server::start().await;
    let sent = call(&server, &json!({})).header("mcp-protocol-version", "2025-11-25");
    assert_eq!(error(sent).await, (400, -32020, json!(5)));
    let session = Session::open(&server).await;
    let sent = session.post(&request(5, "ping", json!({}))).header("mcp-session-id", &session.id);
    assert_eq!(error(sent).await, (400, -32020, Value::Null));
}

#[tokio::test]
async fn names_of_all_kinds_are_repeated() {
    let server = Server::start().await;
    for (method, name) in
        [("tools/call", "name"), ("prompts/get", "name"), ("resources/read", "uri"), ("tasks/get", "taskId")]
    {
        let mut params = json!({name: "a \"b\""});
        add_metadata(&mut params);
        let sent = |repeated: &str| {
            let sent =
                post(&server, &request(5, method, params.clone())).header("mcp-protocol-version", MODERN);
            sent.header("mcp-method", method).header("mcp-name", repeated)
        };
        assert_eq!(send(sent("a \"b\"")).await.status(), 200, "{method}");
        assert_eq!(error(sent("a b")).await, (400, -32020, json!(5)), "{method}");
    }
}
