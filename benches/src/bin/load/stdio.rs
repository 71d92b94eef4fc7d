//! Load over MCP on stdio: the server is a child of this process, and its pipes carry all calls at once.

use std::collections::HashMap;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, timeout, timeout_at};

use crate::measurement::{Budget, Load, Outcome};

const PROTOCOL_VERSION: &str = "2025-11-25";
/// How long the server may take to start, and to end once its input is closed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Requests that may be on their way at once: below the size of a pipe (64 KiB), so that a write never waits for a
/// server that itself waits for its answers to be read.
const IN_FLIGHT_MAX_BYTES: usize = 48 * 1024;

/// A server, started and initialized.
pub(crate) struct Session {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    line: Vec<u8>,
    callers: usize,
    next_id: u64,
    /// A call from its tool's name to its end; a new id stands before it each time.
    call_after_id: String,
}

impl Session {
    /// Starts the server and gives the time until it answered `initialize`.
    pub(crate) async fn start(command: &[String], callers: usize) -> anyhow::Result<(Self, Duration)> {
        let started = Instant::now();
        let mut session = Self::spawn(command, callers)?;
        timeout(PATIENCE, session.initialize()).await.context("initialize was not answered")??;
        let ready = started.elapsed();
        session.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string()).await?;
        Ok((session, ready))
    }

    /// Sets what the load calls.
    pub(crate) fn call(&mut self, tool: &str, arguments: &Map<String, Value>) -> anyhow::Result<()> {
        let params = json!({"name": tool, "arguments": arguments});
        self.call_after_id = format!(r#","method":"tools/call","params":{params}}}"#);
        let bytes = (self.call_after_id.len() + 64) * self.callers;
        ensure!(bytes <= IN_FLIGHT_MAX_BYTES, "{} calls of this size do not fit into a pipe", self.callers);
        Ok(())
    }

    pub(crate) fn process_id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Closes the server's input, which ends it, and gives its exit code; `None` when a signal ended it.
    pub(crate) async fn stop(mut self) -> anyhow::Result<Option<i32>> {
        drop(self.input);
        match timeout(PATIENCE, self.child.wait()).await {
            Ok(status) => Ok(status?.code()),
            Err(_) => {
                self.child.kill().await?;
                bail!("the server did not end when its input was closed");
            }
        }
    }

    fn spawn(command: &[String], callers: usize) -> anyhow::Result<Self> {
        let (program, arguments) = command.split_first().context("no command")?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{program} does not start"))?;
        let input = child.stdin.take().context("no pipe to the server")?;
        let output =
            BufReader::with_capacity(64 * 1024, child.stdout.take().context("no pipe from the server")?);
        let (line, call_after_id) = (Vec::new(), String::new());
        Ok(Self { child, input, output, line, callers, next_id: 1, call_after_id })
    }

    async fn initialize(&mut self) -> anyhow::Result<()> {
        let params = json!({"protocolVersion": PROTOCOL_VERSION, "capabilities": {},
            "clientInfo": {"name": "load", "version": env!("CARGO_PKG_VERSION")}});
        let request = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        self.send(&request.to_string()).await?;
        let (_, result) = self.answer().await?;
        result.context("initialize was refused")
    }

    async fn send(&mut self, message: &str) -> anyhow::Result<()> {
        let line = format!("{message}\n");
        self.input.write_all(line.as_bytes()).await.context("the server closed its input")
    }

    /// The next answer to a request of ours: its id, and whether the call succeeded.
    async fn answer(&mut self) -> anyhow::Result<(u64, anyhow::Result<()>)> {
        loop {
            self.line.clear();
            let length = self.output.read_until(b'\n', &mut self.line).await?;
            ensure!(length > 0, "the server closed its output");
            let message: Message = serde_json::from_slice(&self.line).context("a line that is no message")?;
            if message.method.is_some() {
                continue; // a notification or a question of the server's
            }
            let id = message.id.as_ref().and_then(Value::as_u64).context("an answer without our id")?;
            let succeeded = message.result.is_some_and(|result| !result.is_error);
            return Ok((id, if succeeded { Ok(()) } else { Err(self.failure()) }));
        }
    }

    fn failure(&self) -> anyhow::Error {
        anyhow::Error::msg(String::from_utf8_lossy(&self.line).trim().to_owned())
    }

    async fn send_call(&mut self, open: &mut HashMap<u64, Instant>) -> anyhow::Result<()> {
        let id = self.next_id;
        self.next_id += 1;
        open.insert(id, Instant::now());
        let message = format!(r#"{{"jsonrpc":"2.0","id":{id}{}"#, self.call_after_id);
        self.send(&message).await
    }

    async fn call_until_the_end_of(&mut self, budget: &Budget, outcome: &mut Outcome) -> anyhow::Result<()> {
        let mut open = HashMap::with_capacity(self.callers);
        while open.len() < self.callers && budget.take() {
            self.send_call(&mut open).await?;
        }
        while !open.is_empty() {
            let (id, result) = self.answer().await?;
            let started = open.remove(&id).context("an answer to no open call")?;
            match result {
                Ok(()) => outcome.answered(started.elapsed()),
                Err(error) => outcome.failed(&error),
            }
            if budget.take() {
                self.send_call(&mut open).await?;
            }
        }
        Ok(())
    }
}

impl Load for Session {
    async fn run(&mut self, budget: &Budget) -> Outcome {
        let mut outcome = Outcome::default();
        let calls = self.call_until_the_end_of(budget, &mut outcome);
        match timeout_at(budget.cut_off(), calls).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => outcome.failed(&format!("{error:#}")),
            Err(_) => outcome.failed(&"no answer"),
        }
        outcome
    }
}

/// As much of a JSON-RPC message as a driver needs.
#[derive(Deserialize)]
struct Message {
    id: Option<Value>,
    method: Option<IgnoredAny>,
    result: Option<CallResult>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallResult {
    #[serde(default)]
    is_error: bool,
}
