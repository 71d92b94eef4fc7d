use std::sync::Arc;

use mcp_transport::{Era, ServerCommand};
use rmcp::model::LoggingLevel;
use serde_json::json;
use upstream::{CallError, Notice, Upstream};

use crate::{
    fixture::State,
    host::{ALL, person, tools_changed},
    support::{call, options, soon},
};

/// What the next test starts. The words of the test harness on its output are skipped.
#[tokio::test]
#[ignore = "it is started by the next test"]
async fn a_server_on_standard_input_and_output() {
    let state = Arc::new(State::default());
    mcp_transport::serve_stdio(state.session(), std::future::pending()).await.unwrap();
}

#[tokio::test]
async fn a_child_of_either_era_is_called_asks_and_tells_and_is_started_again() {
    let program = std::env::current_exe().unwrap();
    let test = ["--exact", "stdio::a_server_on_standard_input_and_output", "--ignored", "--nocapture"];
    let command = ServerCommand::new(program.to_str().unwrap()).arguments(test);
    for era in [Era::Modern, Era::Legacy] {
        let (host, mut heard) = person(ALL);
        let upstream = Upstream::new("server", command.clone().into(), options(era), host);
        assert!(soon(upstream.tools()).await.unwrap().is_empty());
        upstream.subscribe("test://one").await.unwrap();
        upstream.set_log_level(Some(LoggingLevel::Info)).await.unwrap();
        assert!(call(&upstream, "ask", json!({"message": "who"})).await.unwrap().contains("server asks who"));
        call(&upstream, "log", json!({})).await.unwrap();
        heard.next(|notice| matches!(notice, Notice::Log(_)).then_some(())).await;
        let change = async || {
            call(&upstream, "change", json!({})).await.unwrap();
        };
        heard.provoked(tools_changed, change).await;
        assert_eq!(soon(upstream.tools()).await.unwrap().len(), 1, "{era:?}");

        let lost = call(&upstream, "exit", json!({})).await;
        assert!(matches!(lost, Err(CallError::Lost { .. })), "{lost:?}");
        assert!(heard.disconnected().await.contains("exit status: 7"));
        heard.connected().await;
        assert!(soon(upstream.tools()).await.unwrap().is_empty());
        soon(upstream.close()).await;
    }
}
