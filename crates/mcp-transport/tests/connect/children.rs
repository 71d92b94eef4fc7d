use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use mcp_transport::{Address, ConnectError, ConnectOptions, Era, ServerCommand, connect};
use rmcp::{model::ProtocolVersion, service::ServiceError};
use tempfile::{TempDir, tempdir};

use crate::support::{call, era, soon};

/// A server of the older era in shell, up to the end of its input.
const SERVER: &str = r#"
answer() { printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$id" "$1"; }
serve() {
    while read -r line; do
        id=${line#*\"id\":}; id=${id%%[,\}]*}
        case $line in
            *'"server/discover"'*) discover;;
            *'"initialize"'*) initialize;;
            *'"tools/call"'*) called;;
        esac
    done
}
discover() { answer '"error":{"code":-32601,"message":"Method not found"}'; }
initialize() {
    answer '"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"shell","version":"1"}}'
}
called() { answer '"result":{"content":[{"type":"text","text":"called"}]}'; }
"#;

pub fn shell(script: &str) -> ServerCommand {
    ServerCommand::new("sh").argument("-c").argument(format!("{SERVER}\n{script}"))
}

/// A pipe whose reader learns when the last process that has it open is gone.
pub struct Lifeline(TempDir);

impl Lifeline {
    pub fn new() -> Self {
        let folder = tempdir().unwrap();
        assert!(Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap().success());
        Self(folder)
    }

    /// The child holds it as number 9, and so does whatever it starts.
    pub fn hold(&self, script: &str) -> ServerCommand {
        shell(&format!("exec 9>\"$LIFELINE\"\n{script}")).variable("LIFELINE", self.pipe().to_str().unwrap())
    }

    pub fn pipe(&self) -> std::path::PathBuf {
        self.0.path().join("pipe")
    }

    /// Starts to watch. It is read to the end when everybody is gone.
    pub fn watch(&self) -> tokio::task::JoinHandle<Vec<u8>> {
        let pipe = self.pipe();
        tokio::task::spawn_blocking(move || fs::read(pipe).unwrap())
    }
}

pub fn options(grace: Duration) -> ConnectOptions {
    ConnectOptions { grace, ..era(Era::Auto) }
}

const SHORT: Duration = Duration::from_millis(20);

#[tokio::test]
async fn a_child_is_started_called_and_ended_by_closing_its_input() {
    let lifeline = Lifeline::new();
    let gone = lifeline.watch();
    let command = lifeline.hold("echo started >&2; serve; echo goodbye >&9; echo ending >&2");
    let client = connect(&command.into(), (), &era(Era::Auto)).await.unwrap();
    assert_eq!(client.protocol_version(), ProtocolVersion::V_2025_11_25);
    assert_eq!(call(&client, "count").await.unwrap(), "called");
    soon(client.close()).await;
    assert_eq!(soon(gone).await.unwrap(), b"goodbye\n");
    assert_eq!(client.last_lines(), ["started", "ending"]);
}

#[tokio::test]
async fn a_child_that_ignores_everything_is_killed_with_what_it_started() {
    let lifeline = Lifeline::new();
    let gone = lifeline.watch();
    let script = "trap '' TERM; sleep 1000 & (sleep 1000 & sleep 1000) & serve; while :; do sleep 1000; done";
    let client = connect(&lifeline.hold(script).into(), (), &options(SHORT)).await.unwrap();
    soon(client.close()).await;
    soon(gone).await.unwrap();
}

#[tokio::test]
async fn a_child_that_only_listens_to_a_signal_gets_one_and_can_clean_up() {
    let lifeline = Lifeline::new();
    let gone = lifeline.watch();
    let script = "trap 'echo terminated >&9; exit' TERM; serve; while :; do sleep 1000 & wait; done";
    let patient = options(Duration::from_secs(2)); // it is waited for twice, the second time for the trap to run
    let client = connect(&lifeline.hold(script).into(), (), &patient).await.unwrap();
    soon(client.close()).await;
    assert_eq!(soon(gone).await.unwrap(), b"terminated\n");
}

#[tokio::test]
async fn what_a_child_leaves_behind_is_killed_when_it_ends() {
    let lifeline = Lifeline::new();
    let gone = lifeline.watch();
    let command = lifeline.hold("called() { exit 7; }; sleep 1000 & serve");
    let client = connect(&command.into(), (), &era(Era::Auto)).await.unwrap();
    assert!(matches!(call(&client, "count").await, Err(ServiceError::TransportClosed)));
    soon(gone).await.unwrap();
    soon(client.ended()).await;
}

#[tokio::test]
async fn a_dropped_client_leaves_no_child() {
    let lifeline = Lifeline::new();
    let gone = lifeline.watch();
    let script = "trap '' TERM; serve; while :; do sleep 1000; done";
    drop(connect(&lifeline.hold(script).into(), (), &options(SHORT)).await.unwrap());
    soon(gone).await.unwrap();
}

#[test]
fn a_runtime_that_ends_leaves_no_child() {
    let lifeline = Lifeline::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = runtime.block_on(async {
        let gone = lifeline.watch();
        let script = "trap '' TERM; sleep 1000 & serve; while :; do sleep 1000; done";
        let client = connect(&lifeline.hold(script).into(), (), &era(Era::Auto)).await.unwrap();
        (client, gone)
    });
    runtime.shutdown_background();
    let (client, gone) = client;
    let other = tokio::runtime::Runtime::new().unwrap();
    other.block_on(async { soon(gone).await.unwrap() });
    drop(client);
}

#[tokio::test]
async fn a_child_that_says_nothing_is_killed_when_the_time_is_over_and_its_complaints_are_shown() {
    let lifeline = Lifeline::new();
    let gone = lifeline.watch();
    let command =
        lifeline.hold("trap '' TERM; echo 'no database' >&2; echo >&9; while :; do sleep 1000; done");
    let options = ConnectOptions { timeout: Duration::from_secs(2), ..era(Era::Auto) };
    let error = soon(connect(&command.into(), (), &options)).await.err().unwrap();
    assert!(error.to_string().ends_with("was not ready within 2s; it said:\nno database"), "{error}");
    soon(gone).await.unwrap();
}

#[tokio::test]
async fn a_child_that_ends_at_once_tells_why() {
    let command = shell("echo 'bad flag' >&2; exit 3");
    for asked in [Era::Auto, Era::Modern, Era::Legacy] {
        let error = connect(&command.clone().into(), (), &era(asked)).await.err().unwrap();
        let ConnectError::Ended { status, stderr, .. } = &error else { panic!("{error:?}") };
        assert_eq!((status.unwrap().code(), &stderr[..]), (Some(3), &["bad flag".to_owned()][..]));
        assert!(error.to_string().ends_with("(exit status: 3); it said:\nbad flag"), "{error}");
    }
}

#[tokio::test]
async fn what_cannot_be_started_is_named_with_its_reason() {
    let folder = tempdir().unwrap();
    let text = folder.path().join("text");
    fs::write(&text, "just text").unwrap();
    let missing = folder.path().join("missing");
    for (command, reason) in [
        (ServerCommand::new(missing.to_str().unwrap()), "there is no such command"),
        (ServerCommand::new("no-such-program-anywhere"), "there is no such command"),
        (ServerCommand::new("sh").directory(&missing), "its working directory does not exist"),
        (ServerCommand::new(text.to_str().unwrap()), "it is not executable"),
    ] {
        let error = connect(&command.into(), (), &era(Era::Auto)).await.err().unwrap();
        assert!(matches!(error, ConnectError::CommandNotFound { .. }) && !error.is_transient(), "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_ignores_the_question_for_its_era_is_one_of_the_older_era() {
    // It answers the question when it is too late, which must not confuse anybody.
    let script = r#"discover() { asked=$id; }
        initialize() {
            asking=$id; id=$asked; answer '"error":{"code":-32601,"message":"late"}'; id=$asking
            answer '"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"shell","version":"1"}}'
        }
        serve"#;
    let options = ConnectOptions { timeout: Duration::from_secs(2), ..era(Era::Auto) };
    let client = connect(&shell(script).into(), (), &options).await.unwrap();
    assert_eq!(client.protocol_version(), ProtocolVersion::V_2025_11_25);
    assert_eq!(call(&client, "count").await.unwrap(), "called");
}

#[tokio::test]
async fn a_child_sees_a_clean_environment_its_own_variables_and_its_directory() {
    let folder = tempdir().unwrap();
    let command = shell("env >&2; pwd >&2; serve").variable("TOKEN", "value").directory(folder.path());
    let client = connect(&command.into(), (), &era(Era::Auto)).await.unwrap();
    soon(client.close()).await;
    let mut lines = client.last_lines();
    assert_eq!(lines.pop().unwrap(), folder.path().canonicalize().unwrap().to_str().unwrap());
    assert!(lines.contains(&"TOKEN=value".to_owned()));
    // A shell adds some of its own.
    let allowed =
        ["PATH", "HOME", "LANG", "TERM", "USER", "SHELL", "TMPDIR", "TOKEN", "PWD", "OLDPWD", "SHLVL", "_"];
    for line in lines {
        let name = line.split('=').next().unwrap();
        assert!(allowed.contains(&name), "{line}");
    }
}

#[tokio::test]
async fn neither_a_banner_on_standard_output_nor_a_line_that_is_too_long_does_harm() {
    let script = "called() { printf '%3000s\\n' x; answer '\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"called\"}]}'; }
        discover() { answer \"$(printf '\"result\":\"%3000s\"' x)\"; }
        echo 'Server started.'; printf '\\377\\n'; serve";
    let options = ConnectOptions { message_bytes: 2_000, ..options(SHORT) };
    let client = connect(&shell(script).into(), (), &options).await.unwrap();
    assert!(call(&client, "count").await.is_ok());
    assert!(!client.is_ended());
}

#[tokio::test]
async fn a_child_that_does_not_read_can_be_closed_while_messages_wait() {
    let lifeline = Lifeline::new();
    let gone = lifeline.watch();
    let script = "called() { trap '' TERM; echo >&9; while :; do sleep 1000; done; }; serve";
    let client = connect(&lifeline.hold(script).into(), (), &options(SHORT)).await.unwrap();
    // More than any pipe holds.
    let long = "x".repeat(4 << 20);
    let request = || {
        rmcp::model::CallToolRequestParams::new("count")
            .with_arguments(serde_json::json!({"text": long}).as_object().unwrap().clone())
    };
    let calls = futures_util::future::join(
        client.peer().call_tool_once(request()),
        client.peer().call_tool_once(request()),
    );
    let ((one, two), ()) = futures_util::future::join(calls, async {
        tokio::task::yield_now().await;
        client.close().await;
    })
    .await;
    assert!(one.is_err() && two.is_err());
    soon(gone).await.unwrap();
}

#[tokio::test]
async fn the_words_of_an_address_are_the_arguments_of_the_command() {
    let folder = tempdir().unwrap();
    let script = folder.path().join("a server.sh");
    fs::write(&script, format!("{SERVER}\necho \"$1|$2|$3\" >&2\nserve")).unwrap();
    let line = format!("stdio:sh {} one 'two words' $HOME", quoted(&script));
    let address: Address = line.parse().unwrap();
    let client = connect(&address, (), &era(Era::Auto)).await.unwrap();
    soon(client.close()).await;
    assert_eq!(client.last_lines(), ["one|two words|$HOME"]);
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_str().unwrap())
}

/// What the next test kills: it connects to the child that it is told of on its input.
#[tokio::test]
#[ignore = "it is started by the next test"]
async fn a_program_that_uses_a_child() {
    let mut pipe = String::new();
    std::io::stdin().read_line(&mut pipe).unwrap();
    let script = "trap '' TERM HUP; exec 9>\"$LIFELINE\"; sleep 1000 & serve; while :; do sleep 1000; done";
    let command = shell(script).variable("LIFELINE", pipe.trim());
    let _client = connect(&command.into(), (), &era(Era::Auto)).await.unwrap();
    eprintln!("connected");
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_program_that_is_killed_leaves_no_child() {
    let lifeline = Lifeline::new();
    let gone = lifeline.watch();
    let test = ["--exact", "children::a_program_that_uses_a_child", "--ignored", "--nocapture"];
    let mut program = Command::new(std::env::current_exe().unwrap())
        .args(test)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(program.stdin.take().unwrap(), "{}", lifeline.pipe().display()).unwrap();
    let said = BufReader::new(program.stderr.take().unwrap());
    let connected =
        tokio::task::spawn_blocking(move || said.lines().any(|line| line.unwrap() == "connected"));
    assert!(soon(connected).await.unwrap());
    program.kill().unwrap();
    program.wait().unwrap();
    soon(gone).await.unwrap();
}
