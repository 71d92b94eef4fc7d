//! `run_command`: limits, and that nothing survives a call.

use std::{fs, path::Path, time::Duration};

use serde_json::json;
use tempfile::TempDir;
use tool_server::{CommandLimits, ToolServer};

use crate::support::{Client, PATIENCE, connect, eventually, options, text_of};

/// Long enough for a loaded machine to start a few processes.
const SHORT: CommandLimits = CommandLimits { time: Duration::from_secs(2), output_bytes: 1_000, at_once: 1 };
/// A process that waits, a child of it that waits too, and the child's number in the file `child`.
const TWO_THAT_WAIT: &str = "sleep 1000 & echo $! > unfinished && mv unfinished child; wait";

async fn with_limits(limits: CommandLimits) -> (Client, ToolServer, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (mut client, server) = connect(options(folder.path(), Some(limits)));
    client.initialize().await;
    (client, server, folder)
}

/// The number that a command wrote into the file `child`.
async fn child(folder: &Path) -> u32 {
    let read = || fs::read_to_string(folder.join("child")).ok()?.trim().parse().ok();
    eventually("the child's start", read).await
}

/// Whether a process runs: one that has ended may wait for its parent to notice.
fn runs(id: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{id}/stat")) else { return false };
    let state = stat.rsplit_once(") ").unwrap().1;
    !state.starts_with(['Z', 'X'])
}

async fn ends(id: u32) {
    eventually("the child's end", || (!runs(id)).then_some(())).await;
}

#[tokio::test]
async fn a_command_gives_its_return_code_and_both_outputs() {
    let (mut client, _, _folder) = with_limits(CommandLimits::default()).await;
    let (text, failed) =
        client.call("run_command", json!({"command": "echo out; echo err >&2; exit 3"})).await;
    assert_eq!((text.as_str(), failed), ("Return code: 3\nStdout:\nout\n\nStderr:\nerr\n", false));
    let (text, failed) = client.call("run_command", json!({"command": "kill -9 $$"})).await;
    assert_eq!(
        (text.as_str(), failed),
        ("Return code: none (signal: 9 (SIGKILL))\nStdout:\n\nStderr:\n", false)
    );
}

#[tokio::test]
async fn a_command_runs_in_the_root_without_input_and_without_the_servers_environment() {
    let (mut client, _, folder) = with_limits(CommandLimits::default()).await;
    fs::write(folder.path().join("here"), "").unwrap();
    let (text, _) = client.call("run_command", json!({"command": "ls; cat; env | grep -c CARGO"})).await;
    assert_eq!(text, "Return code: 1\nStdout:\nhere\n0\n\nStderr:\n");
}

#[tokio::test]
async fn output_beyond_the_limit_is_read_and_cut() {
    let (mut client, _, _folder) =
        with_limits(CommandLimits { output_bytes: 10, ..Default::default() }).await;
    let command = "head -c 1000000 /dev/zero | tr '\\0' x; echo failed >&2";
    let (text, failed) = client.call("run_command", json!({"command": command})).await;
    let expected =
        "Return code: 0\nStdout:\nxxxxxxxxxx\n(cut: the first 10 of 1000000 bytes)\nStderr:\nfailed\n";
    assert_eq!((text.as_str(), failed), (expected, false));
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_killed_with_all_its_children() {
    let (mut client, _, folder) = with_limits(SHORT).await;
    let command = format!("echo begun; {TWO_THAT_WAIT}");
    let id =
        client.request("tools/call", json!({"name": "run_command", "arguments": {"command": command}})).await;
    let child = child(folder.path()).await;
    assert!(runs(child));
    let (text, failed) = text_of(&client.answer(id).await);
    let expected = "the command took longer than 2 s and was killed, with everything that it started\n\
        Stdout:\nbegun\n\nStderr:\n";
    assert_eq!((text.as_str(), failed), (expected, true));
    ends(child).await;
}

#[tokio::test]
async fn a_cancelled_call_kills_the_command_with_all_its_children() {
    let (mut client, _, folder) = with_limits(CommandLimits { time: PATIENCE * 10, ..SHORT }).await;
    let arguments = json!({"name": "run_command", "arguments": {"command": TWO_THAT_WAIT}});
    let id = client.request("tools/call", arguments).await;
    let child = child(folder.path()).await;
    assert!(runs(child));
    let cancelled =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
    client.write(cancelled).await;
    ends(child).await;
    assert_eq!(client.call("echo", json!({"message": "a"})).await.0, "Echo: a");
}

#[tokio::test]
async fn a_server_that_stops_kills_its_commands() {
    let (mut client, server, folder) = with_limits(CommandLimits { time: PATIENCE * 10, ..SHORT }).await;
    let arguments = json!({"name": "run_command", "arguments": {"command": TWO_THAT_WAIT}});
    client.request("tools/call", arguments).await;
    let child = child(folder.path()).await;
    server.stop().await;
    ends(child).await;
}

#[tokio::test]
async fn what_a_command_leaves_behind_is_killed_and_does_not_hold_the_call() {
    let (mut client, _, folder) = with_limits(CommandLimits { time: PATIENCE * 10, ..SHORT }).await;
    let command = "sleep 1000 & echo $! > child; echo done";
    let (text, failed) = client.call("run_command", json!({"command": command})).await;
    assert_eq!((text.as_str(), failed), ("Return code: 0\nStdout:\ndone\n\nStderr:\n", false));
    ends(child(folder.path()).await).await;
}

#[tokio::test]
async fn a_process_that_left_the_group_does_not_hold_the_call() {
    let (mut client, _, folder) = with_limits(CommandLimits { time: PATIENCE * 10, ..SHORT }).await;
    // It waits for the file `end`, with the pipes of the call open.
    let away = "echo $$ > unfinished && mv unfinished child; while [ ! -e end ]; do sleep 0.1; done";
    let command = format!("setsid sh -c '{away}' & while [ ! -e child ]; do sleep 0.1; done; echo done");
    let (text, failed) = client.call("run_command", json!({"command": command})).await;
    assert_eq!((text.as_str(), failed), ("Return code: 0\nStdout:\ndone\n\nStderr:\n", false));
    let child = child(folder.path()).await;
    assert!(runs(child), "else this test shows nothing");
    fs::write(folder.path().join("end"), "").unwrap();
    ends(child).await;
}

#[tokio::test]
async fn no_more_commands_run_at_once_than_may() {
    let (mut client, _, folder) = with_limits(CommandLimits { time: PATIENCE * 10, ..SHORT }).await;
    let command =
        "echo $$ > unfinished && mv unfinished child; while [ ! -e end ]; do sleep 0.01; done; echo over";
    let first =
        client.request("tools/call", json!({"name": "run_command", "arguments": {"command": command}})).await;
    child(folder.path()).await;
    let (text, failed) = client.call("run_command", json!({"command": "true"})).await;
    assert_eq!(
        (text.as_str(), failed),
        ("1 commands are running already: try again when one has ended", true)
    );
    fs::write(folder.path().join("end"), "").unwrap();
    assert!(text_of(&client.answer(first).await).0.contains("over"));
    assert!(!client.call("run_command", json!({"command": "true"})).await.1);
}

#[tokio::test]
async fn a_command_that_cannot_be_started_is_a_failure() {
    let (mut client, _, _folder) = with_limits(SHORT).await;
    for command in ["a\0b".to_owned(), "x".repeat(3 << 20)] {
        let (text, failed) = client.call("run_command", json!({"command": command})).await;
        assert!(failed && text.starts_with("the command could not be started: "), "{text}");
    }
}
