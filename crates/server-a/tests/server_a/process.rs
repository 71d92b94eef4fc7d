//! The program itself: standard streams, signals, exit codes.

use std::process::Stdio;

use serde_json::json;
use tokio::{
    io::AsyncReadExt as _,
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::support::{Client, StandIn};

struct Program {
    child: Child,
    client: Client<ChildStdout, ChildStdin>,
    _folder: tempfile::TempDir,
}

/// Starts the program in an empty folder, with nothing in its environment but what is given.
fn start(variables: &[(&str, &str)]) -> Program {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_server-a"))
        .env_clear()
        .env("DATABASE_URL", format!("sqlite://{}/ledger.db", folder.path().display()))
        .envs(variables.iter().copied())
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let client = Client::new(child.stdout.take().unwrap(), child.stdin.take().unwrap());
    Program { child, client, _folder: folder }
}

impl Program {
    /// Closes the input and waits for the end: whether it went well and nothing more was written, and the log.
    async fn end(mut self) -> (bool, String) {
        drop(self.client.output);
        let more = self.client.lines.next_line().await.unwrap();
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).await.unwrap();
        (more.is_none() && self.child.wait().await.unwrap().success(), log)
    }
}

#[tokio::test]
async fn an_input_that_ends_at_once_is_a_success_and_writes_nothing() {
    let program = start(&[]);
    let (success, log) = program.end().await;
    assert!(success, "{log}");
}

#[tokio::test]
async fn it_starts_without_server_b_and_whatever_other_programs_are_set_to() {
    let odd = [
        ("AI_PROVIDER", "nonsense"),
        ("OPENAI_API_KEY", ""),
        ("HTTP_PORT", "x"),
        ("SERVER_B_URL", "http://127.0.0.1:1"),
    ];
    let mut program = start(&odd);
    let answer = program.client.initialize("2025-11-25").await;
    assert_eq!(answer["result"]["serverInfo"]["name"], "messenger-server");
    let result = program.client.call("check_server_b_health", json!({})).await;
    assert_eq!(result["structuredContent"]["error"], "Connection refused: is Server B running?");
    assert!(program.end().await.0);
}

#[tokio::test]
async fn no_log_line_holds_a_message_or_an_answer() {
    let stand_in = StandIn::new([]).await;
    let mut program = start(&[("SERVER_B_URL", &stand_in.url), ("RUST_LOG", "trace")]);
    program.client.initialize("2025-11-25").await;
    let arguments = json!({"message": "private words"});
    let result = program.client.call("send_message_to_ai", arguments).await;
    assert_eq!(result["structuredContent"]["aiResponse"], "a language");
    program.client.call("send_message_to_ai", json!("private words")).await;
    program.client.call("private tool", json!({})).await;
    let (_, log) = program.end().await;
    assert!(log.contains("call answered") && log.contains("trace.id"), "{log}");
    assert!(!log.contains("private words") && !log.contains("a language"), "{log}");
}

#[tokio::test]
async fn what_a_client_asks_for_in_vain_is_not_in_the_log() {
    let mut program = start(&[]);
    program.client.initialize("2025-11-25").await;
    let unknown = [
        ("private words", json!({})),
        ("private words", json!({"name": "private words"})),
        ("tools/call", json!({"name": "private words", "arguments": {}})),
        ("tools/call", json!({"name": "private words", "arguments": "private words"})),
        ("tools/call", json!({"name": {"private words": 1}})),
        ("tools/list", json!({"cursor": "private words"})),
        ("resources/read", json!({"uri": "private words"})),
        ("prompts/get", json!({"name": "private words"})),
    ];
    for (method, params) in unknown {
        let answer = program.client.ask(method, params).await;
        assert!(answer["error"].is_object(), "{answer}");
    }
    let (_, log) = program.end().await;
    assert!(log.contains("response error") && !log.contains("private words"), "{log}");
}

#[tokio::test]
async fn the_help_shows_no_password() {
    let help = Command::new(env!("CARGO_BIN_EXE_server-a"))
        .arg("--help")
        .env("SERVER_B_URL", "http://me:private@b.test")
        .env("SERVER_B_API_KEY", "private")
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    assert!(text.contains("SERVER_B_URL") && !text.contains("private"), "{text}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_ends_it_in_good_order_although_the_input_stays_open() {
    for signal in ["-TERM", "-INT"] {
        let mut program = start(&[]);
        program.client.initialize("2025-11-25").await;
        let id = program.child.id().unwrap().to_string();
        let killed = Command::new("/bin/kill").args([signal, &id]).status().await.unwrap();
        assert!(killed.success());
        assert!(program.child.wait().await.unwrap().success());
    }
}

#[tokio::test]
async fn what_was_recorded_is_there_after_a_restart() {
    let stand_in = StandIn::new([]).await;
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}/kept.db", folder.path().display());
    let variables = [("SERVER_B_URL", stand_in.url.as_str()), ("DATABASE_URL", &database)];
    let mut first = start(&variables);
    first.client.initialize("2025-11-25").await;
    first.client.call("send_message_to_ai", json!({"message": "a"})).await;
    assert!(first.end().await.0);

    let mut second = start(&variables);
    second.client.initialize("2025-11-25").await;
    let history = second.client.call("get_conversation_history", json!({})).await;
    assert_eq!(history["structuredContent"]["totalMessages"], 2, "{history}");
    assert!(second.end().await.0);
}
