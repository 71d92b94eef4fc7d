//! The program itself: standard streams, signals, exit codes.

use std::process::Stdio;

use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::support::{Client, StandIn, is_news};

struct Program {
    child: Child,
    client: Client<ChildStdout, ChildStdin>,
    _folder: tempfile::TempDir,
}

/// Starts the program in an empty folder, with nothing in its environment but what is given.
fn start(variables: &[(&str, &str)]) -> Program {
    start_with(&[], variables)
}

/// The same with these words behind its name.
fn start_with(words: &[&str], variables: &[(&str, &str)]) -> Program {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_server-a"))
        .args(words)
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
    /// Closes the input and waits for the end: whether it went well and nothing but news was written, and the log.
    async fn end(mut self) -> (bool, String) {
        let Client { mut lines, output, .. } = self.client;
        drop(output);
        let mut quiet = true;
        while let Some(line) = lines.next_line().await.unwrap() {
            quiet &= is_news(&serde_json::from_str(&line).unwrap());
        }
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).await.unwrap();
        (quiet && self.child.wait().await.unwrap().success(), log)
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
    let listed = program.client.ask("resources/list", json!({})).await;
    assert_eq!(listed["result"]["resources"][0]["title"], "private words");
    let uri = &listed["result"]["resources"][0]["uri"];
    let read = program.client.ask("resources/read", json!({"uri": uri})).await;
    assert!(read["result"]["contents"][0]["text"].as_str().unwrap().contains("private words"));
    let arguments = json!({"question": "private words", "field": "private words"});
    program.client.ask("prompts/get", json!({"name": "ask_expert", "arguments": arguments})).await;
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
        ("prompts/get", json!({"name": "ask_expert", "arguments": {"private words": "private words"}})),
        ("resources/list", json!({"cursor": "private words"})),
        ("resources/subscribe", json!({"uri": "private words"})),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "private words"},
            "argument": {"name": "private words", "value": "private words"}}),
        ),
        ("logging/setLevel", json!({"level": "private words"})),
        ("tasks/get", json!({"taskId": "private words"})),
    ];
    for (method, params) in unknown {
        let answer = program.client.ask(method, params).await;
        assert!(answer["error"].is_object(), "{answer}");
    }
    let (_, log) = program.end().await;
    assert!(log.contains("ready") && !log.contains("private words"), "{log}");
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
async fn signal(program: &Program, signal: &str) {
    let id = program.child.id().unwrap().to_string();
    assert!(Command::new("/bin/kill").args([signal, &id]).status().await.unwrap().success());
}

#[cfg(unix)]
#[tokio::test]
async fn over_the_network_it_says_where_it_listens_and_ends_on_a_signal() {
    let stand_in = StandIn::new([]).await;
    for (words, transport) in [(&["http"][..], "stdio"), (&["sse"], "stdio"), (&[], "http"), (&[], "sse")] {
        let variables = [
            ("MCP_PORT_A", "0"),
            ("MCP_TRANSPORT", transport),
            ("SERVER_B_URL", &stand_in.url),
            ("MCP_API_KEY", "k"),
        ];
        let mut program = start_with(words, &variables);
        let mut log = BufReader::new(program.child.stderr.take().unwrap()).lines();
        let address = loop {
            let line = log.next_line().await.unwrap().expect("it listens");
            if let Some((_, rest)) = line.split_once("listening address=") {
                break rest.trim().to_owned();
            }
        };
        assert!(address.starts_with("127.0.0.1:"), "{address}");
        let url = format!("http://{address}/mcp");
        let client = json!({"name": "test", "version": "1"});
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}).to_string();
        let post = |key: &str| {
            let request = reqwest::Client::new().post(&url).header("authorization", format!("Bearer {key}"));
            let request = request.header("accept", "application/json, text/event-stream");
            request.header("content-type", "application/json").body(body.clone()).send()
        };
        assert_eq!(post("wrong").await.unwrap().status(), 401);
        let answer = post("k").await.unwrap().text().await.unwrap();
        assert!(answer.contains("messenger-server"), "{answer}");
        signal(&program, "-TERM").await;
        assert!(program.child.wait().await.unwrap().success());
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error_that_names_it() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let program = start_with(&["http"], &[("MCP_PORT_A", &port)]);
    let output = program.child.wait_with_output().await.unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && log.contains(&format!("127.0.0.1:{port} cannot be bound")), "{log}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_ends_it_in_good_order_although_the_input_stays_open() {
    for signal in ["-TERM", "-INT"] {
        let mut program = start(&[]);
        program.client.initialize("2025-11-25").await;
        self::signal(&program, signal).await;
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
