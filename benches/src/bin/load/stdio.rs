//! Load over MCP on stdio: the server is a child of this process, and its pipes carry all calls at once.

use std::collections::HashMap;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, timeout, timeout_at};

use crate::measurement::{Budget, Load, Outcome};
use crate::tool_call::{Answer, Era, INITIALIZED, ToolCall, is_greeted};

/// How long the server may take to start, and to end once its input is closed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Requests that may be on their way at once: below the size of a pipe (64 KiB), so that a write never waits for a
/// server that itself waits for its answers to be read.
const IN_FLIGHT_MAX_BYTES: usize = 48 * 1024;

/// A server, started and greeted.
pub(crate) struct Session {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    line: Vec<u8>,
    call: ToolCall,
    callers: usize,
    next_id: u64,
}

impl Session {
    /// Starts the server and gives the time until it answered its first request.
    pub(crate) async fn start(
        command: &[String],
        call: ToolCall,
        callers: usize,
    ) -> anyhow::Result<(Self, Duration)> {
        let in_flight = call.request(u64::MAX).len() * callers;
        ensure!(in_flight <= IN_FLIGHT_MAX_BYTES, "{callers} calls of this size do not fit into a pipe");
        let started = Instant::now();
        let mut session = Self::spawn(command, call, callers)?;
        timeout(PATIENCE, session.greet()).await.context("the first request was not answered")??;
        let ready = started.elapsed();
        if session.call.era == Era::Legacy {
            session.send(INITIALIZED).await?;
        }
        Ok((session, ready))
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

    fn spawn(command: &[String], call: ToolCall, callers: usize) -> anyhow::Result<Self> {
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
        Ok(Self { child, input, output, line: Vec::new(), call, callers, next_id: 1 })
    }

    async fn greet(&mut self) -> anyhow::Result<()> {
        self.send(&self.call.era.greeting()).await?;
        loop {
            self.read_line().await?;
            if is_greeted(&self.line)? {
                return Ok(());
            }
        }
    }

    async fn send(&mut self, message: &str) -> anyhow::Result<()> {
        let line = format!("{message}\n");
        self.input.write_all(line.as_bytes()).await.context("the server closed its input")
    }

    async fn read_line(&mut self) -> anyhow::Result<()> {
        self.line.clear();
        let length = self.output.read_until(b'\n', &mut self.line).await?;
        ensure!(length > 0, "the server closed its output");
        Ok(())
    }

    async fn answer(&mut self) -> anyhow::Result<Answer> {
        loop {
            self.read_line().await?;
            if let Some(answer) = self.call.answer(&self.line)? {
                return Ok(answer);
            }
        }
    }

    async fn send_call(&mut self, open: &mut HashMap<u64, Instant>) -> anyhow::Result<()> {
        let id = self.next_id;
        self.next_id += 1;
        open.insert(id, Instant::now());
        self.send(&self.call.request(id)).await
    }

    async fn call_until_the_end_of(&mut self, budget: &Budget, outcome: &mut Outcome) -> anyhow::Result<()> {
        let mut open = HashMap::with_capacity(self.callers);
        while open.len() < self.callers && budget.take() {
            self.send_call(&mut open).await?;
        }
        while !open.is_empty() {
            let Answer { id, result } = self.answer().await?;
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
