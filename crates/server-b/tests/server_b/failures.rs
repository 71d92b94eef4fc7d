//! What the model is told when a call fails.

use serde_json::json;

use crate::{
    provider::{Provider, Script},
    support::{request, start},
};

#[tokio::test]
async fn every_error_of_the_provider_is_a_failure_with_the_code_of_the_rest_api() {
    let cases = [
        (Script::Error(401, &[], "wrong key sk-private"), "provider_unauthorized", "Replace"),
        (Script::Error(400, &[], "too long"), "provider_rejected_request", "Change"),
        (Script::Error(429, &[("retry-after", "3")], "slow down"), "rate_limited", "Wait 3 s"),
        (Script::Error(503, &[], "later"), "provider_overloaded", "Wait"),
        (Script::Error(500, &[], "oops"), "provider_failed", "Call again"),
    ];
    let (scripts, expected): (Vec<_>, Vec<_>) =
        cases.into_iter().map(|(script, code, hint)| (script, (code, hint))).unzip();
    let provider = Provider::new(scripts).await;
    let mut server = start(&["stdio"], &provider.settings());
    let client = server.client().await;
    for (code, hint) in expected {
        let failure = client.failure("process_message", json!({"message": "a"})).await;
        assert_eq!(failure["code"], code, "{failure}");
        assert!(failure["hint"].as_str().unwrap().contains(hint), "{failure}");
        assert!(!failure.to_string().contains("sk-private"), "{failure}");
    }
    let page = client.result("get_received_messages", json!({})).await;
    assert_eq!((&page["totalReceived"], &page["totalAnswered"]), (&json!(5), &json!(0)));
    let last = &page["messages"][4];
    assert_eq!((&last["status"], &last["error"]), (&json!("failed"), &json!("provider_failed")));
}

#[tokio::test]
async fn a_provider_that_takes_too_long_is_a_failure() {
    let provider = Provider::new([Script::Silence, Script::Stall(&["a "])]).await;
    let mut settings = provider.settings();
    settings.push(("PROVIDER_TIMEOUT_SECONDS", "0.05"));
    let mut server = start(&["stdio"], &settings);
    let client = server.client().await;
    for tool in ["process_message", "process_message_stream"] {
        let failure = client.failure(tool, json!({"message": "a"})).await;
        assert_eq!(failure["code"], "provider_timed_out", "{failure}");
        assert!(failure["hint"].as_str().unwrap().contains("PROVIDER_TIMEOUT_SECONDS"), "{failure}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_a_failure_and_what_came_is_recorded() {
    let provider = Provider::new([Script::Break(&["a ", "lang"])]).await;
    let mut server = start(&["stdio"], &provider.settings());
    let client = server.client().await;
    let failure = client.failure("process_message_stream", json!({"message": "a"})).await;
    assert_eq!(failure["code"], "broken_stream");
    let page = client.result("get_received_messages", json!({})).await;
    assert_eq!(page["messages"][0]["aiResponse"], "a lang");
    assert_eq!(page["messages"][0]["costProvenance"], "estimated");
}

#[tokio::test]
async fn a_provider_that_is_not_there_and_one_without_a_key_are_told_apart() {
    let unreachable = [("OPENAI_API_KEY", "sk-private"), ("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")];
    let cases = [
        (&unreachable[..], "provider_unreachable"),
        (&[("AI_PROVIDER", "openai")][..], "provider_not_configured"),
    ];
    for (settings, code) in cases {
        let mut server = start(&["stdio"], settings);
        let client = server.client().await;
        for tool in ["process_message", "process_message_stream"] {
            let failure = client.failure(tool, json!({"message": "a"})).await;
            assert_eq!(failure["code"], code, "{failure}");
        }
    }
}

#[tokio::test]
async fn both_faces_share_the_places_for_messages() {
    let mut provider = Provider::new([Script::Silence]).await;
    let mut settings = provider.settings();
    settings.push(("MAX_CONCURRENT_REQUESTS", "1"));
    let mut server = start(&["stdio"], &settings);
    let (rest, client) = (server.rest().await, server.client().await);
    let peer = client.service.peer().clone();
    let waiting =
        tokio::spawn(
            async move { peer.call_tool(request("process_message", json!({"message": "a"}))).await },
        );
    let seen = provider.seen.recv().await.unwrap();

    let failure = client.failure("process_message", json!({"message": "b"})).await;
    assert_eq!(failure["code"], "server_busy");
    assert_eq!(rest.process(json!({"message": "c"})).await["code"], "server_busy");

    waiting.abort(); // which cancels the call
    seen.over.await.unwrap();
    client.received(1).await;
    client.result("process_message", json!({"message": "d"})).await;
}

#[tokio::test]
async fn a_ledger_that_cannot_be_used_is_a_failure() {
    let mut provider = Provider::new([]).await;
    let paid = provider.settings();
    for (settings, code) in [(&paid[..], "ledger_unavailable"), (&[], "answer_not_recorded")] {
        let mut server = start(&["stdio"], settings);
        let client = server.client().await;
        rusqlite::Connection::open(server.ledger()).unwrap().execute_batch("DROP TABLE exchanges").unwrap();
        for tool in ["process_message", "process_message_stream"] {
            let failure = client.failure(tool, json!({"message": "a"})).await;
            assert_eq!(failure["code"], code, "{failure}");
        }
        let failure = client.failure("get_received_messages", json!({})).await;
        assert_eq!(failure["code"], "ledger_unavailable");
        assert_eq!(client.result("health_check", json!({})).await["ledger"], "unhealthy");
    }
    assert!(provider.seen.try_recv().is_err(), "nothing is asked that cannot be recorded");
}
