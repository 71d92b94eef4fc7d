//! Every pattern runs, shows what it says, and ends by itself.

use std::{process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

/// Longest time for one program. None takes nearly as long.
const PATIENCE: Duration = Duration::from_secs(60);

async fn shows(program: &str, text: &str) {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let ended = timeout(PATIENCE, command.output()).await.expect("it should have ended by itself");
    let output = ended.expect("it should have started");
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{said}\n{complained}", output.status);
    assert!(said.contains(text), "{text:?} is not in\n{said}");
}

#[tokio::test]
async fn a_composite_uses_another_server() {
    shows(env!("CARGO_BIN_EXE_composite"), "enhanced_echo, which uses it: [Enhanced] Echo: Hello MCP!").await;
}

#[tokio::test]
async fn an_aggregation_is_one_list() {
    shows(env!("CARGO_BIN_EXE_aggregation"), "tools: news__headlines, stocks__quote, weather__forecast")
        .await;
}

#[tokio::test]
async fn replicas_share_the_load() {
    shows(env!("CARGO_BIN_EXE_load-balancing"), " has worked").await;
}

#[tokio::test]
async fn a_session_goes_on_after_the_network_broke() {
    shows(env!("CARGO_BIN_EXE_session-resumption"), "the same session: 3").await;
}

#[tokio::test]
async fn a_call_waits_for_a_server_that_comes_back() {
    shows(env!("CARGO_BIN_EXE_reconnection"), "Echo: two").await;
}

#[tokio::test]
async fn a_call_whose_answer_was_lost_is_repeated_only_if_that_does_no_harm() {
    shows(env!("CARGO_BIN_EXE_lost-answer"), "price, which is read-only: done").await;
}

#[tokio::test]
async fn a_gateway_offers_all_that_its_services_have() {
    shows(env!("CARGO_BIN_EXE_gateway-server"), "health: ok").await;
}

#[tokio::test]
async fn a_chain_is_one_tool() {
    shows(env!("CARGO_BIN_EXE_chain"), "Echo: Lisbon: sunny, 21 °C (4 words)").await;
}

#[tokio::test]
async fn a_pipeline_tells_what_each_call_did() {
    shows(env!("CARGO_BIN_EXE_stages"), "5 calls, of which 1 failed").await;
}

#[tokio::test]
async fn equal_calls_at_once_are_one_call() {
    shows(env!("CARGO_BIN_EXE_cache"), "200 askers at once: 1 call").await;
}

#[tokio::test]
async fn a_batch_gives_each_call_its_place() {
    shows(env!("CARGO_BIN_EXE_batch"), "\"news__headlines\": Gateway opens").await;
}

#[tokio::test]
async fn what_a_policy_refuses_is_refused_in_a_batch_too() {
    shows(env!("CARGO_BIN_EXE_policy"), "run_command in a batch: \"ACCESS_DENIED\"").await;
}

#[tokio::test]
async fn two_tools_stand_for_all() {
    shows(env!("CARGO_BIN_EXE_search"), "tools: call_tool, find_tool").await;
}
