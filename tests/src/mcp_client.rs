//! The real mcp-client, in a home of its own.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context as _;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    fault::Strings,
    programs::{self, Program},
};

/// How mcp-client is run: with nothing in its environment but what a test puts there.
pub struct McpClient {
    home: TempDir,
    variables: HashMap<String, String>,
}

/// A run that has ended.
#[derive(Debug)]
pub struct Run {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub out: String,
    /// What it wrote to standard error.
    pub err: String,
}

impl McpClient {
    /// One in an empty home.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn new() -> anyhow::Result<Self> {
        let home = tempfile::tempdir().context("no home for the client")?;
        Ok(Self { home, variables: HashMap::new() })
    }

    /// The same with one more variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.variables.insert(name.to_owned(), value.to_string());
        self
    }

    /// Its home, which is its working directory too.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Writes a file into its home.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn file(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.home().join(name);
        std::fs::write(&path, text).with_context(|| format!("{name} cannot be written"))?;
        Ok(path)
    }

    /// The command that runs it.
    ///
    /// # Errors
    /// When the program is not there.
    pub fn command<S: AsRef<str>>(&self, arguments: &[S]) -> anyhow::Result<Command> {
        let mut command = Command::new(programs::mcp_client()?);
        command.args(arguments.iter().map(AsRef::as_ref)).current_dir(self.home());
        command.env_clear().env("HOME", self.home()).envs(&self.variables);
        Ok(command)
    }

    /// Runs it to its end, without an input.
    ///
    /// # Errors
    /// When it does not come to an end.
    pub fn run<S: AsRef<str>>(&self, arguments: &[S]) -> anyhow::Result<Run> {
        let mut program = self.start(arguments)?;
        Run::of(&mut program)
    }

    /// Starts it without an input.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start<S: AsRef<str>>(&self, arguments: &[S]) -> anyhow::Result<Program> {
        let mut command = self.command(arguments)?;
        command.stdin(Stdio::null());
        Program::run("mcp-client", command)
    }

    /// Starts it with a pipe as its input.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_with_input<S: AsRef<str>>(&self, arguments: &[S]) -> anyhow::Result<Program> {
        let mut command = self.command(arguments)?;
        command.stdin(Stdio::piped());
        Program::run("mcp-client", command)
    }
}

impl Run {
    /// Waits until a program has ended.
    ///
    /// # Errors
    /// When it does not.
    pub fn of(program: &mut Program) -> anyhow::Result<Self> {
        let code = program.wait()?.code();
        Ok(Self { code, out: program.out(), err: program.log() })
    }

    /// What it wrote to standard output, as JSON.
    ///
    /// # Errors
    /// When it is something else.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.out).with_context(|| format!("no JSON: {self:?}"))
    }

    /// What it wrote to standard output, as one JSON value a line.
    ///
    /// # Errors
    /// When it is something else.
    pub fn lines(&self) -> anyhow::Result<Vec<Value>> {
        let lines = self.out.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().with_context(|| format!("no lines of JSON: {self:?}"))
    }
}

/// The address of a failing server that mcp-client starts itself. `fault` is what the command line of `fault-server` begins
/// with.
///
/// # Errors
/// When the program is not there.
pub fn failing(name: &str, fault: &str, strings: &Strings) -> anyhow::Result<String> {
    let program = programs::folder()?.join("fault-server");
    Ok(format!("{name}=stdio:{} {fault} --strings {}", program.display(), strings.address()))
}

/// A failing server over HTTP, and its address for mcp-client.
///
/// # Errors
/// When it cannot be started.
pub fn failing_over_http(name: &str, fault: &str, strings: &Strings) -> anyhow::Result<(Program, String)> {
    let home = std::env::temp_dir();
    let address = strings.address().to_string();
    let arguments: Vec<_> = fault.split(' ').chain(["--http", "--strings", &address]).collect();
    let server = Program::start("fault-server", &home, &arguments, &HashMap::new())?;
    let address = strings.wait_for("listening ")?;
    Ok((server, format!("{name}=http://{address}/mcp")))
}
