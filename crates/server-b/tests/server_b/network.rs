//! The tools over the network.

use rmcp::{
    ServiceExt as _,
    model::ProtocolVersion,
    service::{ClientLifecycleMode, ClientServiceExt as _},
    transport::{StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig},
};
use serde_json::json;

use crate::support::{Client, Listener, start};

fn transport(url: &str, key: Option<&str>) -> StreamableHttpClientTransport<reqwest::Client> {
    let config = StreamableHttpClientTransportConfig::with_uri(url);
    StreamableHttpClientTransport::from_config(match key {
        Some(key) => config.auth_header(key),
        None => config,
    })
}

#[tokio::test]
async fn both_words_offer_the_tools_in_both_eras_beside_the_rest_api() {
    for word in ["http", "sse"] {
        let server = start(&[word], &[]);
        let (rest, url) = (server.rest().await, server.mcp_url().await);
        let (listener, progress) = Listener::new();
        let older = Client { service: listener.serve(transport(&url, None)).await.unwrap(), progress };
        let (listener, progress) = Listener::new();
        let modern =
            ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
        let service = listener.serve_with_lifecycle(transport(&url, None), modern).await.unwrap();
        let mut newer = Client { service, progress };

        older.result("configure_ai_model", json!({"max_tokens": 9})).await;
        assert_eq!(rest.get("/config").await["maxTokens"], 9);
        rest.process(json!({"message": "over rest"})).await;
        let result = newer.call("process_message_stream", json!({"message": "over mcp"})).await;
        let identity = &result["_meta"]["io.modelcontextprotocol/serverInfo"];
        assert_eq!(identity["name"], "ai-responder-server", "{result}");
        assert!(newer.progress.recv().await.is_some());
        for client in [older, newer] {
            assert_eq!(client.result("get_openai_stats", json!({})).await["totalRequests"], 2);
            client.service.cancel().await.unwrap();
        }
    }
}

#[tokio::test]
async fn where_a_key_is_set_nothing_answers_without_it() {
    let server = start(&["http"], &[("MCP_API_KEY", "private"), ("SERVER_B_API_KEY", "other")]);
    let url = server.mcp_url().await;
    for key in [None, Some("other")] {
        let (listener, _) = Listener::new();
        assert!(listener.serve(transport(&url, key)).await.is_err(), "{key:?}");
    }
    let (listener, progress) = Listener::new();
    let client =
        Client { service: listener.serve(transport(&url, Some("private"))).await.unwrap(), progress };
    assert_eq!(client.result("health_check", json!({})).await["status"], "healthy");
}
