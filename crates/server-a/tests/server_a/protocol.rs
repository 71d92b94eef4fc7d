//! The MCP side over a pair of in-memory streams: both eras, all tools, progress, cancellation, and the end.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, sync::Notify};

use crate::{
    session::{LEGACY, MODERN, connect, legacy, modern},
    support::{After, Script, StandIn},
};

fn text(result: &Value) -> Value {
    serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn every_legacy_revision_is_initialized() {
    let stand_in = StandIn::new([]).await;
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let answer = connect(&stand_in).client.initialize(version).await;
        assert_eq!(answer["result"]["protocolVersion"], version);
        assert_eq!(answer["result"]["serverInfo"]["name"], "messenger-server");
        assert!(answer["result"]["instructions"].as_str().unwrap().contains("conversation_id"));
    }
}

#[tokio::test]
async fn the_modern_revision_is_discovered_and_every_result_says_who_answered() {
    let stand_in = StandIn::new([]).await;
    let mut client = connect(&stand_in).client;
    let discovered = client.ask("server/discover", modern(json!({}))).await;
    let listed = client.ask("tools/list", modern(json!({}))).await;
    let arguments = json!({"name": "send_message_to_ai", "arguments": {"message": "a"}});
    let called = client.ask("tools/call", modern(arguments)).await;

    assert!(discovered["result"]["supportedVersions"].as_array().unwrap().contains(&json!(MODERN)));
    for answer in [&discovered, &listed, &called] {
        let name = &answer["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"];
        assert_eq!(name, "messenger-server", "{answer}");
        assert_eq!(answer["result"]["resultType"], "complete");
    }
    for answer in [&discovered, &listed] {
        assert_eq!(
            (&answer["result"]["ttlMs"], &answer["result"]["cacheScope"]),
            (&json!(300_000), &json!("public"))
        );
    }
}

#[tokio::test]
async fn what_comes_before_the_handshake_does_not_end_the_session() {
    let stand_in = StandIn::new([]).await;
    let mut client = connect(&stand_in).client;
    client
        .write(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}))
        .await;
    client.ask("ping", json!({})).await;
    assert_eq!(client.initialize(LEGACY).await["result"]["protocolVersion"], LEGACY);
}

#[tokio::test]
async fn every_tool_answers_as_its_output_schema_says() {
    let stand_in = StandIn::new([]).await;
    let mut client = legacy(&stand_in).await.client;
    let listed = client.ask("tools/list", json!({})).await;
    let tools = listed["result"]["tools"].as_array().unwrap();
    assert_eq!(tools.len(), 7);
    for tool in tools {
        let name = tool["name"].as_str().unwrap();
        let arguments = if name.starts_with("send_") { json!({"message": "a"}) } else { json!({}) };
        let result = client.call(name, arguments).await;
        assert_eq!(result["isError"], false, "{name}: {result}");
        assert_eq!(text(&result), result["structuredContent"], "{name}");
        let output = &tool["outputSchema"];
        assert_eq!(output["anyOf"].as_array().map(Vec::len), Some(2), "{name}: the result or the failure");
        let place = output["anyOf"][0]["$ref"].as_str().unwrap();
        let schema = output.pointer(place.trim_start_matches('#')).unwrap();
        for field in schema["required"].as_array().unwrap() {
            assert!(result["structuredContent"].get(field.as_str().unwrap()).is_some(), "{name}: {field}");
        }
        for field in result["structuredContent"].as_object().unwrap().keys() {
            assert!(schema["properties"].get(field).is_some(), "{name}: {field}");
        }
    }
}

#[tokio::test]
async fn a_message_has_the_names_that_other_programs_rely_on() {
    let stand_in = StandIn::new([]).await;
    let mut client = legacy(&stand_in).await.client;
    let arguments = json!({"message": "What is Python?", "conversation_id": "c-1"});
    let result = client.call("send_message", arguments).await;
    let expected = json!({
        "success": true, "sentMessage": "What is Python?", "aiResponse": "a language", "model": "mock-model",
        "usage": {"promptTokens": 12, "completionTokens": 30, "totalTokens": 42, "estimatedCost": 0.0000198,
            "costProvenance": "exact"},
        "timestamp": "2026-01-31T12:00:00.000Z", "processingTime": 0.25, "finishReason": "stop",
        "conversationId": "c-1",
    });
    assert_eq!(result["structuredContent"], expected);
}

#[tokio::test]
async fn history_and_statistics_add_up_and_can_be_paged() {
    let stand_in =
        StandIn::new([Script::Answer("one"), Script::Problem(422, None), Script::Answer("three")]).await;
    let mut client = legacy(&stand_in).await.client;
    for message in ["1", "2", "3"] {
        client.call("send_message_to_ai", json!({"message": message, "conversation_id": "c"})).await;
    }

    let newest =
        client.call("get_conversation_history", json!({"limit": 2})).await["structuredContent"].take();
    assert_eq!((&newest["totalMessages"], &newest["totalAIResponses"]), (&json!(5), &json!(2)));
    assert_eq!((&newest["totalTokensUsed"], &newest["totalEstimatedCost"]), (&json!(84), &json!(0.0000396)));
    let said = |page: &Value| -> Vec<_> {
        let entries = page["history"].as_array().unwrap();
        entries.iter().map(|entry| (entry["from"].clone(), entry["message"].clone())).collect()
    };
    let (a, b) = (json!("Server A"), json!("Server B"));
    let expected = [(a.clone(), json!("2")), (a.clone(), json!("3")), (b.clone(), json!("three"))];
    assert_eq!(said(&newest), expected);
    assert_eq!(newest["history"][0]["error"], "scripted_422");

    let older = json!({"limit": 2, "before": newest["nextBefore"]});
    let older = client.call("get_conversation_history", older).await["structuredContent"].take();
    assert_eq!(said(&older), [(a, json!("1")), (b, json!("one"))]);
    assert!(older.get("nextBefore").is_none());

    let statistics = client.call("get_ai_usage_stats", json!({})).await["structuredContent"].take();
    assert_eq!((&statistics["totalRequests"], &statistics["totalTokens"]), (&json!(3), &json!(84)));
    let model = &statistics["modelUsage"]["mock-model"];
    assert_eq!(*model, json!({"requests": 2, "tokens": 84, "cost": 0.0000396}));
}

#[tokio::test]
async fn a_failure_is_a_result_that_says_what_to_do() {
    let stand_in = StandIn::new([]).await;
    let mut client = legacy(&stand_in).await.client;
    for arguments in [json!({"message": 7, "tone": "kind"}), json!("a"), json!([])] {
        let result = client.call("send_message_to_ai", arguments).await;
        assert_eq!(result["isError"], true, "{result}");
        assert_eq!(result["structuredContent"]["success"], false);
        assert_eq!(text(&result), result["structuredContent"]);
        assert!(result.get("resultType").is_none());
        for field in ["error", "detail", "hint"] {
            assert!(!result["structuredContent"][field].as_str().unwrap().is_empty());
        }
    }
    let cursor = client.ask("tools/list", json!({"cursor": "x"})).await;
    let unknown = client.ask("tools/call", json!({"name": "nope", "arguments": {}})).await;
    for answer in [cursor, unknown] {
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }
}

#[tokio::test]
async fn the_pieces_of_a_stream_are_progress_notifications() {
    let stand_in = StandIn::new([]).await;
    let mut client = legacy(&stand_in).await.client;
    let params = json!({"name": "send_message_stream", "arguments": {"message": "a"}, "_meta": {"progressToken": "t"}});
    let id = client.request("tools/call", params).await;

    for (count, piece) in [(1.0, "a "), (2.0, "language")] {
        let notification = client.next_but_news().await;
        let expected = json!({"progressToken": "t", "progress": count, "message": piece});
        assert_eq!(notification["params"], expected);
    }
    let answer = client.next_but_news().await;
    assert_eq!(answer["id"], id);
    assert_eq!(answer["result"]["structuredContent"]["aiResponse"], "a language");

    client.request("tools/call", json!({"name": "send_message_stream", "arguments": {"message": "a"}})).await;
    assert!(client.next_but_news().await.get("result").is_some(), "nobody asked for progress");
}

#[tokio::test]
async fn the_trace_of_the_caller_goes_on_to_server_b() {
    let mut stand_in = StandIn::new([]).await;
    let mut client = legacy(&stand_in).await.client;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let params =
        json!({"name": "send_message_to_ai", "arguments": {"message": "a"}, "_meta": {"traceparent": trace}});
    client.ask("tools/call", params).await;
    let seen = stand_in.next().await;
    assert!(seen.headers["traceparent"].to_str().unwrap().starts_with(&trace[..36]));
    assert_eq!(seen.path, "/process");
}

#[tokio::test]
async fn a_cancelled_call_closes_its_request_to_server_b() {
    let mut stand_in = StandIn::new([Script::Stream(&["a "], After::Silence)]).await;
    let mut client = legacy(&stand_in).await.client;
    let id = client
        .request("tools/call", json!({"name": "send_message_stream", "arguments": {"message": "a"}}))
        .await;
    let seen = stand_in.next().await;

    client
        .write(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}))
        .await;

    seen.over.await.unwrap();
    let statistics = client.call("get_ai_usage_stats", json!({})).await;
    assert_eq!(statistics["isError"], false, "the session goes on");
}

#[tokio::test]
async fn more_calls_than_there_are_places_are_told_so() {
    let mut stand_in = StandIn::new(vec![Script::Silence; 64]).await;
    let mut client = legacy(&stand_in).await.client;
    for _ in 0..64 {
        client
            .request("tools/call", json!({"name": "send_message_to_ai", "arguments": {"message": "a"}}))
            .await;
        stand_in.next().await;
    }
    let result = client.call("send_message_to_ai", json!({"message": "a"})).await;
    assert_eq!(result["structuredContent"]["code"], "busy", "{result}");
}

#[tokio::test]
async fn an_input_that_ends_before_any_request_is_no_error() {
    let stand_in = StandIn::new([]).await;
    for methods in [&[][..], &["server/discover"], &["ping"]] {
        let mut session = connect(&stand_in);
        for method in methods {
            session.client.ask(method, modern(json!({}))).await;
        }
        session.client.output.shutdown().await.unwrap();
        session.served.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn calls_in_flight_are_answered_when_the_input_ends_and_when_told_to_stop() {
    for by_signal in [false, true] {
        let now = Arc::new(Notify::new());
        let mut stand_in = StandIn::new([Script::AnswerWhen(now.clone(), "late")]).await;
        let mut session = legacy(&stand_in).await;
        let params = json!({"name": "send_message_to_ai", "arguments": {"message": "a"}});
        session.client.request("tools/call", params).await;
        stand_in.next().await;
        if by_signal {
            session.stop.send(()).unwrap();
        } else {
            session.client.output.shutdown().await.unwrap();
        }
        now.notify_one();
        let answer = session.client.next_but_news().await;
        assert_eq!(answer["result"]["structuredContent"]["aiResponse"], "late");
        session.served.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn after_the_grace_period_calls_in_flight_are_cancelled() {
    let mut stand_in = StandIn::new([Script::Silence]).await;
    let mut session = legacy(&stand_in).await;
    session
        .client
        .request("tools/call", json!({"name": "send_message_to_ai", "arguments": {"message": "a"}}))
        .await;
    let seen = stand_in.next().await;

    tokio::time::pause(); // from here on ten seconds pass at once
    session.stop.send(()).unwrap();

    session.served.await.unwrap().unwrap();
    seen.over.await.unwrap();
}

#[tokio::test]
async fn parameters_without_shape_are_told_apart_from_methods_that_are_not_there() {
    let stand_in = StandIn::new([]).await;
    let mut older = legacy(&stand_in).await.client;
    let mut newer = connect(&stand_in).client;
    let (both, invalid, unknown) = (["resources/read", "prompts/get", "completion/complete"], -32602, -32601);
    let only_older = ["resources/subscribe", "resources/unsubscribe", "logging/setLevel"];
    let only_newer = ["subscriptions/listen", "tasks/get", "tasks/update", "tasks/cancel"];
    for (methods, in_older, in_newer) in [
        (&both[..], invalid, invalid),
        (&only_older, invalid, unknown),
        (&only_newer, unknown, invalid),
        (&["resources/write"], unknown, unknown),
    ] {
        for method in methods {
            let params = json!({"uri": 7, "name": 7, "level": 7, "taskId": 7, "notifications": 7});
            let answer = older.ask(method, params.clone()).await;
            assert_eq!(answer["error"]["code"], in_older, "{method}: {answer}");
            let answer = newer.ask(method, modern(params)).await;
            assert_eq!(answer["error"]["code"], in_newer, "{method}: {answer}");
        }
    }
}
