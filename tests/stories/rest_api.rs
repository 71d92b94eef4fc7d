//! The REST API of server-b, against the real program.

use std::time::Duration;

use anyhow::Context as _;
use e2e::{
    programs::PATIENCE,
    world::{ServerB, ServerBSettings},
};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

type Story = anyhow::Result<()>;

fn server() -> anyhow::Result<ServerB> {
    ServerBSettings::new()?.start()
}

fn client() -> Client {
    Client::builder().no_proxy().build().expect("a plain client")
}

fn process(server: &ServerB, body: impl Into<reqwest::Body>) -> RequestBuilder {
    client().post(server.url("/process")).header("content-type", "application/json").body(body)
}

/// The problem document of a failed request, checked for what every one has.
async fn problem(response: Response) -> anyhow::Result<Value> {
    let status = response.status().as_u16();
    let id = response.headers()["x-request-id"].to_str()?.to_owned();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem: Value = response.json().await?;
    assert_eq!(problem["status"], status);
    assert_eq!(problem["type"], "about:blank");
    assert_eq!(problem["request_id"], id);
    assert!(problem["code"].is_string() && problem["title"].is_string() && problem["retryable"].is_boolean());
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 20), "{problem}");
    Ok(problem)
}

fn fields(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut names: Vec<_> = errors.iter().filter_map(|error| error["field"].as_str()).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn every_endpoint_answers_in_its_documented_shape() -> Story {
    let server = server()?;
    let get = async |path| anyhow::Ok(client().get(server.url(path)).send().await?.json::<Value>().await?);

    let health = get("/health").await?;
    assert_eq!(health["status"], "healthy");
    assert_eq!(health["server"], "Server B (AI Responder)");
    assert_eq!((&health["provider"], &health["messagesProcessed"]), (&json!("mock"), &json!(0)));
    assert_eq!((&health["ai"]["configured"], &health["ai"]["status"]), (&json!(true), &json!("healthy")));
    assert_eq!(
        get("/models").await?,
        json!({"provider": "mock", "models": ["mock-model"], "default": "mock-model"})
    );
    let config =
        json!({"provider": "mock", "defaultModel": "mock-model", "temperature": 0.7, "maxTokens": 1000});
    assert_eq!(get("/config").await?, config);

    let answer = process(&server, r#"{"message":"What is Python?"}"#).send().await?.json::<Value>().await?;
    assert_eq!(answer["status"], "success");
    assert_eq!(
        answer["aiResponse"],
        "[MOCK RESPONSE #1] You said: 'What is Python?'. This is a test response without calling any external API."
    );
    assert_eq!(answer["model"], "mock-model");
    let usage = json!({"promptTokens": 4, "completionTokens": 26, "totalTokens": 30, "estimatedCost": 0.0, "costProvenance": "exact"});
    assert_eq!(answer["usage"], usage);
    assert!(answer["processingTime"].is_f64());
    let timestamp = answer["timestamp"].as_str().context("a timestamp")?;
    assert!(timestamp.ends_with('Z') && timestamp.len() == "2026-01-31T12:00:00.000Z".len(), "{timestamp}");
    assert_eq!(get("/health").await?["messagesProcessed"], 1);
    Ok(())
}

#[tokio::test]
async fn a_stream_is_pieces_then_usage_then_done() -> Story {
    let server = server()?;
    let response = client()
        .post(server.url("/stream"))
        .json(&json!({"message": "Tell me a joke ❤", "max_tokens": 5}))
        .send()
        .await?;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    let text = response.text().await?;
    let mut data: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(data.pop(), Some("[DONE]"));
    let end: Value = serde_json::from_str(data.pop().context("a usage event")?)?;
    assert_eq!(end["model"], "mock-model");
    assert_eq!(end["usage"]["promptTokens"], 4);
    let pieces: anyhow::Result<Vec<Value>> =
        data.iter().map(|json| Ok(serde_json::from_str(json)?)).collect();
    let answer: String = pieces?.iter().filter_map(|piece| piece["content"].as_str()).collect();
    assert_eq!(answer, "[MOCK STREAM #1] You said: 'Tell me a joke ❤'. This is a streaming test response.");
    assert_eq!(data.len(), 16, "word by word");
    Ok(())
}

#[tokio::test]
async fn every_broken_field_is_named_at_once() -> Story {
    let server = server()?;
    let body = json!({"message": "x".repeat(10_001), "context": "y".repeat(5_001), "model": 3, "temperature": 2.5, "max_tokens": 32_001,
        "history": [{"role": "user", "content": "fine"}, {"role": "assistant", "content": ""}], "colour": "red"});
    let response = process(&server, body.to_string()).send().await?;
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let problem = problem(response).await?;
    assert_eq!(problem["code"], "invalid_request");
    let named = ["colour", "context", "history[1].content", "message", "model", "temperature"];
    assert_eq!(fields(&problem), named);
    Ok(())
}

#[tokio::test]
async fn every_kind_of_bad_input_gets_its_documented_answer_and_the_next_request_is_answered() -> Story {
    let server = server()?;
    let huge = format!(r#"{{"message":"{}"}}"#, "x".repeat(5 << 20));
    let many_turns =
        json!({"message": "a", "history": vec![json!({"role": "user", "content": "x"}); 201]}).to_string();
    let post = |body: &str| process(&server, body.to_owned());
    let as_type = |kind: &str| client().post(server.url("/process")).header("content-type", kind).body("{}");
    let key = |key: &str| post(r#"{"message":"a"}"#).header("idempotency-key", key);
    let cases = [
        (post(""), 400, "malformed_json"),
        (post("{"), 400, "malformed_json"),
        (post("{\"message\":\"a\"}}"), 400, "malformed_json"),
        (post(&"[".repeat(100_000)), 400, "malformed_json"),
        (process(&server, b"{\"message\":\"\xff\"}".to_vec()), 400, "malformed_json"),
        (post("[]"), 400, "malformed_json"),
        (post("null"), 400, "malformed_json"),
        (post("{}"), 422, "invalid_request"),
        (post(r#"{"message":""}"#), 422, "invalid_request"),
        (post(r#"{"message":7}"#), 422, "invalid_request"),
        (post(r#"{"message":"a","max_tokens":0}"#), 422, "invalid_request"),
        (post(r#"{"message":"a","max_tokens":32001}"#), 422, "invalid_request"),
        (post(r#"{"message":"a","max_tokens":1e99}"#), 422, "invalid_request"),
        (post(r#"{"message":"a","temperature":-0.1}"#), 422, "invalid_request"),
        (post(r#"{"message":"a","temperature":"hot"}"#), 422, "invalid_request"),
        (post(r#"{"message":"a","history":[{"role":"system","content":"x"}]}"#), 422, "invalid_request"),
        (post(&many_turns), 422, "invalid_request"),
        (post(r#"{"message":"a","extra":1}"#), 422, "invalid_request"),
        (post(&huge), 413, "body_too_large"),
        (as_type("text/plain"), 415, "unsupported_media_type"),
        (as_type("application/x-www-form-urlencoded"), 415, "unsupported_media_type"),
        (client().post(server.url("/process")), 415, "unsupported_media_type"),
        (key(""), 400, "invalid_idempotency_key"),
        (key(&"k".repeat(256)), 400, "invalid_idempotency_key"),
        (client().get(server.url("/process")), 405, "method_not_allowed"),
        (client().delete(server.url("/health")), 405, "method_not_allowed"),
        (client().get(server.url("/proces")), 404, "not_found"),
        (client().get(server.url("/../etc/passwd")), 404, "not_found"),
        (client().get(server.url("/docs/nothing")), 404, "not_found"),
    ];
    for (request, status, code) in cases {
        let response = request.send().await?;
        assert_eq!(response.status().as_u16(), status, "{code}");
        assert_eq!(problem(response).await?["code"], code);
        let next = post(r#"{"message":"still there?"}"#).send().await?;
        assert_eq!(next.status(), StatusCode::OK);
    }
    Ok(())
}

#[tokio::test]
async fn a_key_is_needed_where_one_is_set_and_several_are_accepted() -> Story {
    let server = ServerBSettings::new()?.with("SERVER_B_API_KEY", "old-key, new-key").start()?;
    for path in ["/models", "/config", "/metrics"] {
        let response = client().get(server.url(path)).send().await?;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        assert_eq!(problem(response).await?["code"], "unauthorized");
    }
    for (key, status) in [("old-key", 200), ("new-key", 200), ("new-ke", 401), ("new-key2", 401), ("", 401)] {
        let response = process(&server, r#"{"message":"a"}"#).bearer_auth(key).send().await?;
        assert_eq!(response.status().as_u16(), status, "{key}");
    }
    let open: Value = client().get(server.url("/health")).send().await?.json().await?;
    let shown: Vec<_> = open.as_object().context("an object")?.keys().map(String::as_str).collect();
    assert_eq!(shown, ["server", "status", "timestamp"]);
    let full: Value = client().get(server.url("/health")).bearer_auth("old-key").send().await?.json().await?;
    assert_eq!(full["provider"], "mock");
    Ok(())
}

#[tokio::test]
async fn the_documentation_names_every_route_and_works_without_any_other_host() -> Story {
    let server = server()?;
    let document: Value = client().get(server.url("/openapi.json")).send().await?.json().await?;
    assert_eq!(document["openapi"], "3.1.0");
    let paths: Vec<_> = document["paths"].as_object().context("paths")?.keys().map(String::as_str).collect();
    assert_eq!(paths, ["/config", "/health", "/metrics", "/models", "/process", "/stream"]);
    let message = &document["components"]["schemas"]["ProcessRequest"]["properties"]["message"];
    assert_eq!((&message["minLength"], &message["maxLength"]), (&json!(1), &json!(10_000)));
    let page = client().get(server.url("/docs/")).send().await?.text().await?;
    for part in page.split(['"', '\'']).filter(|part| part.ends_with(".js") || part.ends_with(".css")) {
        assert!(!part.contains("//"), "{part} is on another host");
        let url = server.url(&format!("/docs/{}", part.trim_start_matches("./")));
        assert_eq!(client().get(url).send().await?.status(), StatusCode::OK, "{part}");
    }
    Ok(())
}

#[tokio::test]
async fn http_2_works_too() -> Story {
    let server = server()?;
    let client = Client::builder().no_proxy().http2_prior_knowledge().build()?;
    let response = client.get(server.url("/config")).send().await?;
    assert_eq!((response.version(), response.status()), (reqwest::Version::HTTP_2, StatusCode::OK));
    let answer = client.post(server.url("/stream")).json(&json!({"message": "a"})).send().await?;
    assert!(answer.text().await?.ends_with("data: [DONE]\n\n"));
    Ok(())
}

#[tokio::test]
async fn a_full_server_says_so_instead_of_queueing() -> Story {
    let settings =
        ServerBSettings::new()?.with("MAX_CONCURRENT_REQUESTS", 1).with("MOCK_CHUNK_DELAY_MS", 3_600_000);
    let server = settings.start()?;
    let endless = || client().post(server.url("/stream")).json(&json!({"message": "two words"}));
    let mut first = endless().send().await?;
    first.chunk().await?.context("the first word")?;

    let refused = endless().send().await?;

    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(problem(refused).await?["code"], "server_busy");
    assert_eq!(client().get(server.url("/health")).send().await?.status(), StatusCode::OK);
    drop(first);
    let freed = async {
        // The place is free as soon as server-b has noticed; every refusal in between is a whole answer.
        while endless().send().await?.status() != StatusCode::OK {}
        anyhow::Ok(())
    };
    timeout(PATIENCE, freed).await.context("the place is never free again")?
}

#[tokio::test]
async fn a_request_keeps_its_id_and_its_trace() -> Story {
    let server = server()?;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let response = process(&server, r#"{"message":"a"}"#)
        .header("x-request-id", "caller-7")
        .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))
        .send()
        .await?;
    assert_eq!(response.headers()["x-request-id"], "caller-7");
    let line = server.program.wait_for_log("caller-7")?;
    assert!(line.contains(trace) && line.contains("POST /process"), "{line}");
    let odd = process(&server, r#"{"message":"a"}"#).header("x-request-id", "two words").send().await?;
    assert_ne!(odd.headers()["x-request-id"], "two words");
    Ok(())
}

#[tokio::test]
async fn sigterm_stops_accepting_finishes_what_is_in_flight_and_ends_with_0() -> Story {
    let settings = ServerBSettings::new()?.with("MOCK_CHUNK_DELAY_MS", 40);
    let mut server = settings.start()?;
    let mut stream =
        client().post(server.url("/stream")).json(&json!({"message": "finish me"})).send().await?;
    stream.chunk().await?.context("the first word")?;

    server.program.signal("TERM")?;
    server.program.wait_for_log("stopping")?;

    assert!(client().get(server.url("/health")).send().await.is_err(), "nothing new is accepted");
    let mut rest = String::new();
    while let Some(chunk) = stream.chunk().await? {
        rest.push_str(std::str::from_utf8(&chunk)?);
    }
    assert!(rest.ends_with("data: [DONE]\n\n"), "{rest}");
    assert_eq!(server.program.wait()?.code(), Some(0));
    let restarted = settings.start()?;
    let health: Value = client().get(restarted.url("/health")).send().await?.json().await?;
    assert_eq!(health["messagesProcessed"], 1);
    Ok(())
}

#[tokio::test]
async fn what_outlasts_the_grace_period_is_cut_and_recorded() -> Story {
    let settings =
        ServerBSettings::new()?.with("MOCK_CHUNK_DELAY_MS", 3_600_000).with("SHUTDOWN_GRACE_SECONDS", 0.05);
    let mut server = settings.start()?;
    let mut stream = client().post(server.url("/stream")).json(&json!({"message": "cut me"})).send().await?;
    stream.chunk().await?.context("the first word")?;
    server.program.signal("TERM")?;
    assert_eq!(server.program.wait()?.code(), Some(0));
    while let Ok(Some(_)) = stream.chunk().await {}
    let ledger = rusqlite::Connection::open(settings.ledger())?;
    let row = ledger.query_row("SELECT outcome, answer, prompt_tokens FROM exchanges", [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
    })?;
    assert_eq!((row.0, row.1.as_str()), (2, "[MOCK "), "cancelled, with what was sent so far");
    assert!(row.2 > 0);
    Ok(())
}

#[tokio::test]
async fn the_same_key_is_answered_once_also_when_two_arrive_together_or_after_a_restart() -> Story {
    let settings = ServerBSettings::new()?.with("MOCK_DELAY_MS", 50);
    let server = settings.start()?;
    let ask = |server: &ServerB, message: &str| {
        let body = json!({"message": message}).to_string();
        process(server, body).header("idempotency-key", "one-key").timeout(Duration::from_secs(30)).send()
    };
    let (first, second) = tokio::try_join!(ask(&server, "once"), ask(&server, "once"))?;
    let (first, second): (Value, Value) = (first.json().await?, second.json().await?);
    assert_eq!(first, second);
    let other = ask(&server, "another").await?;
    assert_eq!(other.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem(other).await?["code"], "idempotency_key_reused");
    drop(server);

    let server = settings.start()?;
    assert_eq!(ask(&server, "once").await?.json::<Value>().await?, first);
    let streamed = client()
        .post(server.url("/stream"))
        .header("idempotency-key", "one-key")
        .json(&json!({"message": "once"}))
        .send()
        .await?;
    let text = streamed.text().await?;
    assert!(text.contains("MOCK RESPONSE #1") && text.ends_with("data: [DONE]\n\n"), "{text}");
    let health: Value = client().get(server.url("/health")).send().await?.json().await?;
    assert_eq!(health["messagesProcessed"], 1);
    Ok(())
}
