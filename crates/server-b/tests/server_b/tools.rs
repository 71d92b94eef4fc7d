//! Every tool, with the mock and with a stand-in for OpenAI.

use rmcp::{
    ServiceError,
    model::{ClientRequest, CustomRequest, ErrorCode, PaginatedRequestParams, ServerResult},
};
use serde_json::{Value, json};

use crate::{
    provider::Provider,
    support::{Client, ServerB, request, start},
};

async fn mock() -> (ServerB, Client) {
    let mut server = start(&["stdio"], &[]);
    let client = server.client().await;
    (server, client)
}

fn keys(value: &Value) -> Vec<&String> {
    value.as_object().unwrap().keys().collect()
}

#[tokio::test]
async fn every_tool_answers_as_its_output_schema_says() {
    let (_server, client) = mock().await;
    let tools = client.service.list_all_tools().await.unwrap();
    assert_eq!(tools.len(), 7);
    for tool in tools {
        let name = tool.name.as_ref();
        let message = if name.starts_with("process_") { json!({"message": "a"}) } else { json!({}) };
        let result = client.result(name, message).await;
        let output = Value::Object(tool.output_schema.unwrap().as_ref().clone());
        assert_eq!(output["anyOf"].as_array().map(Vec::len), Some(2), "{name}: the result or the failure");
        let place = output["anyOf"][0]["$ref"].as_str().unwrap();
        let schema = output.pointer(place.trim_start_matches('#')).unwrap();
        for field in schema["required"].as_array().unwrap() {
            assert!(result.get(field.as_str().unwrap()).is_some(), "{name}: {field}");
        }
        for field in keys(&result) {
            assert!(schema["properties"].get(field).is_some(), "{name}: {field}");
        }
    }
}

#[tokio::test]
async fn a_message_is_answered_as_over_rest() {
    let (server, client) = mock().await;
    let by_tool = client.result("process_message", json!({"message": "What is Python?"})).await;
    let mut by_rest = server.rest().await.process(json!({"message": "What is Python?"})).await;

    by_rest["success"] = json!(true);
    assert_eq!(keys(&by_tool), keys(&by_rest));
    assert_eq!(by_tool["usage"], by_rest["usage"]);
    let first = "[MOCK RESPONSE #1] You said: 'What is Python?'. This is a test response without calling any external API.";
    assert_eq!(by_tool["aiResponse"], first);
    assert_eq!(by_rest["aiResponse"], first.replace("#1", "#2"));
}

#[tokio::test]
async fn the_pieces_of_a_stream_are_progress_notifications() {
    let (_server, mut client) = mock().await;
    let result = client.result("process_message_stream", json!({"message": "hello"})).await;

    let whole = "[MOCK STREAM #1] You said: 'hello'. This is a streaming test response.";
    assert_eq!(result["aiResponse"], whole);
    let mut pieces = Vec::new();
    for _ in whole.split_inclusive(' ') {
        pieces.push(client.progress.recv().await.unwrap());
    }
    pieces.sort_by(|one, other| one.progress.total_cmp(&other.progress));
    assert_eq!(pieces[0].progress, 1.0);
    let texts: String = pieces.into_iter().filter_map(|piece| piece.message).collect();
    assert_eq!(texts, whole);
}

#[tokio::test]
async fn both_faces_share_the_history_the_statistics_and_the_counters() {
    let (server, client) = mock().await;
    let rest = server.rest().await;
    rest.process(json!({"message": "over rest"})).await;
    client.result("process_message", json!({"message": "over mcp"})).await;
    client.result("process_message_stream", json!({"message": "streamed"})).await;

    let newest = client.result("get_received_messages", json!({"limit": 2})).await;
    assert_eq!((&newest["totalReceived"], &newest["totalAnswered"]), (&json!(3), &json!(3)));
    let said = |page: &Value| -> Vec<_> {
        let messages = page["messages"].as_array().unwrap();
        messages.iter().map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(said(&newest), ["over mcp", "streamed"]);
    assert_eq!(newest["messages"][0]["status"], "answered");
    assert!(newest["messages"][0]["aiResponse"].as_str().unwrap().contains("over mcp"));
    let older = json!({"limit": 2, "before": newest["nextBefore"]});
    let older = client.result("get_received_messages", older).await;
    assert_eq!(said(&older), ["over rest"]);
    assert!(older.get("nextBefore").is_none());

    let statistics = client.result("get_openai_stats", json!({})).await;
    assert_eq!((&statistics["totalRequests"], &statistics["provider"]), (&json!(3), &json!("mock")));
    assert_eq!(statistics["modelUsage"]["mock-model"]["requests"], 3);
    assert_eq!(statistics["totalTokens"], newest["totalTokensUsed"]);
    assert_eq!(rest.get("/health").await["messagesProcessed"], 3);
    let metrics = rest.text("/metrics").await;
    for line in [
        r#"server_b_mcp_tool_calls_total{tool="process_message",outcome="answered"} 1"#,
        r#"server_b_provider_calls_total{provider="mock",outcome="answered"} 3"#,
        "server_b_messages_in_flight 0",
    ] {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
}

#[tokio::test]
async fn changed_defaults_are_those_of_all_callers() {
    let mut provider = Provider::new([]).await;
    let mut server = start(&["stdio"], &provider.settings());
    let (rest, client) = (server.rest().await, server.client().await);

    let changes = json!({"model": "gpt-4o", "temperature": 0.25, "max_tokens": 7});
    let changed = client.result("configure_ai_model", changes).await;

    let before =
        json!({"provider": "openai", "defaultModel": "gpt-4o-mini", "temperature": 0.7, "maxTokens": 1000});
    let after = json!({"provider": "openai", "defaultModel": "gpt-4o", "temperature": 0.25, "maxTokens": 7});
    assert_eq!((&changed["previous"], &changed["current"]), (&before, &after));
    assert!(changed.get("note").is_none(), "{changed}");
    assert_eq!(rest.get("/config").await, after);
    assert_eq!(rest.get("/models").await["default"], "gpt-4o");
    assert_eq!(rest.process(json!({"message": "a"})).await["model"], "gpt-4o");
    client.result("process_message", json!({"message": "a"})).await;
    for _ in 0..2 {
        let asked = provider.next().await.body;
        assert_eq!((&asked["model"], &asked["temperature"]), (&json!("gpt-4o"), &json!(0.25)));
    }
    let one = client.result("configure_ai_model", json!({"temperature": 1})).await;
    assert_eq!((&one["current"]["temperature"], &one["current"]["maxTokens"]), (&json!(1.0), &json!(7)));
}

#[tokio::test]
async fn a_default_model_without_a_price_is_taken_and_said_to_have_none() {
    let provider = Provider::new([]).await;
    let mut server = start(&["stdio"], &provider.settings());
    let client = server.client().await;
    let changed = client.result("configure_ai_model", json!({"model": "gpt-9"})).await;
    assert!(changed["note"].as_str().unwrap().starts_with("gpt-9 has no listed price"), "{changed}");
    let info = client.result("get_provider_info", json!({})).await;
    assert_eq!((&info["defaultModel"], &info["defaultModelPrice"]), (&json!("gpt-9"), &Value::Null));
    let nothing = client.result("configure_ai_model", json!({})).await;
    assert_eq!(nothing["previous"], nothing["current"]);
    assert!(nothing["note"].as_str().unwrap().contains("nothing has changed"), "{nothing}");
}

#[tokio::test]
async fn defaults_that_break_a_rule_change_nothing() {
    let mut server = start(&["stdio"], &[("AI_MAX_TOKENS_LIMIT", "2000")]);
    let (rest, client) = (server.rest().await, server.client().await);
    let before = rest.get("/config").await;
    for (changes, field) in [
        (json!({"temperature": 0.1, "max_tokens": 2001}), "max_tokens"),
        (json!({"temperature": 2.1, "max_tokens": 5}), "temperature"),
        (json!({"temperature": 0.1, "model": "gpt-4o"}), "model"), // the mock has no such model
        (json!({"temperature": 0.1, "top_p": 1}), "top_p"),
    ] {
        let failure = client.failure("configure_ai_model", changes).await;
        assert_eq!(
            (&failure["code"], &failure["errors"][0]["field"]),
            (&json!("invalid_request"), &json!(field))
        );
    }
    assert_eq!(rest.get("/config").await, before);
}

#[tokio::test]
async fn the_provider_is_described_without_its_key() {
    let provider = Provider::new([]).await;
    let mut server = start(&["stdio"], &provider.settings());
    let client = server.client().await;
    let info = client.result("get_provider_info", json!({})).await;
    assert_eq!((&info["provider"], &info["defaultModel"]), (&json!("openai"), &json!("gpt-4o-mini")));
    assert_eq!(info["models"], json!(["gpt-4o", "gpt-4o-mini"]));
    let price = json!({"promptUsdPer1kTokens": 0.000_15, "completionUsdPer1kTokens": 0.000_6});
    assert_eq!(info["defaultModelPrice"], price);
    assert_eq!(info["limits"]["maxTokensLimit"], 32_000);
    assert!(!info.to_string().contains("private"), "{info}");
}

#[tokio::test]
async fn a_provider_without_a_key_is_described_and_its_health_is_degraded() {
    let mut server = start(&["stdio"], &[("AI_PROVIDER", "openai")]);
    let (rest, client) = (server.rest().await, server.client().await);
    let info = client.result("get_provider_info", json!({})).await;
    assert_eq!(info["models"], Value::Null);
    assert!(info["modelsNote"].as_str().unwrap().contains("OPENAI_API_KEY"), "{info}");
    let mut health = client.result("health_check", json!({})).await;
    assert_eq!((&health["status"], &health["ai"]["configured"]), (&json!("degraded"), &json!(false)));
    let mut by_rest = rest.get("/health").await;
    assert_eq!(health["timestamp"].take().as_str().unwrap().len(), "2026-01-31T12:00:00.000Z".len());
    by_rest["timestamp"].take();
    assert_eq!(health, by_rest);
}

#[tokio::test]
async fn earlier_turns_and_the_context_go_to_the_provider() {
    let mut provider = Provider::new([]).await;
    let mut server = start(&["stdio"], &provider.settings());
    let client = server.client().await;
    let turns = json!([{"role": "user", "content": "1"}, {"role": "assistant", "content": "2"}]);
    let arguments =
        json!({"message": "3", "context": "count", "history": turns, "model": "gpt-4o", "temperature": 0});
    let result = client.result("process_message", arguments).await;
    assert_eq!((&result["aiResponse"], &result["model"]), (&json!("a language"), &json!("gpt-4o")));
    assert_eq!(result["usage"]["estimatedCost"], 0.00051); // 12 × 5/M + 30 × 15/M
    let asked = provider.next().await.body;
    let said: Vec<_> = asked["messages"].as_array().unwrap().iter().map(|turn| &turn["content"]).collect();
    assert_eq!(said, ["count", "1", "2", "3"]);
}

#[tokio::test]
async fn arguments_that_break_rules_are_all_named_and_no_provider_is_asked() {
    let (_server, client) = mock().await;
    let wrong = json!({"message": "", "temperature": "hot", "max_tokens": 32_001, "tone": "kind"});
    let failure = client.failure("process_message", wrong).await;
    assert_eq!(failure["code"], "invalid_request");
    let errors = failure["errors"].as_array().unwrap();
    let mut fields: Vec<_> = errors.iter().map(|error| error["field"].as_str().unwrap()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["max_tokens", "message", "temperature", "tone"]);
    client.failure("get_received_messages", json!({"limit": 501})).await;
    client.failure("health_check", json!({"deep": true})).await;
    assert_eq!(client.result("get_openai_stats", json!({})).await["totalRequests"], 0);
}

#[tokio::test]
async fn arguments_that_are_no_object_are_a_failure_too() {
    let (_server, client) = mock().await;
    let params = json!({"name": "process_message", "arguments": ["a"]});
    let custom = ClientRequest::CustomRequest(CustomRequest::new("tools/call", Some(params)));
    let ServerResult::CallToolResult(result) = client.service.send_request(custom).await.unwrap() else {
        panic!("not the result of a tool")
    };
    assert_eq!(result.is_error, Some(true));
    assert_eq!(result.structured_content.unwrap()["errors"][0]["field"], "arguments");
}

#[tokio::test]
async fn an_unknown_tool_and_an_unknown_cursor_are_errors_of_the_protocol() {
    let (_server, client) = mock().await;
    let unknown = client.service.call_tool(request("send_message", json!({}))).await.unwrap_err();
    let cursor = PaginatedRequestParams::default().with_cursor(Some("p7".to_owned()));
    let cursor = client.service.list_tools(Some(cursor)).await.unwrap_err();
    for error in [unknown, cursor] {
        let ServiceError::McpError(error) = error else { panic!("{error}") };
        assert_eq!(error.code, ErrorCode::INVALID_PARAMS);
    }
}
