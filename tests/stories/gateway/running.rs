//! The real gateway, with a configuration of the test's.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, bail, ensure};
use e2e::{
    fault::Strings,
    programs::{self, PATIENCE, Program},
};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::Client;

/// Short waits, for tests that let them pass, and limits that no server reaches that is well, on a busy machine either.
pub const SHORT: &str = r#"
era = "legacy"
connect_timeout = "60s"
call_timeout = "60s"
health_interval = "250ms"
breaker = { failures = 3, open = "250ms" }
retry = { attempts = 2, base = "10ms", max = "50ms" }
"#;

/// A gateway that runs. Dropping it kills it.
pub struct Running {
    pub program: Program,
    pub client: Client,
    pub address: SocketAddr,
    config: Config,
}

/// A configuration file, in a folder of its own.
pub struct Config {
    folder: TempDir,
}

impl Config {
    pub fn new(text: &str) -> anyhow::Result<Self> {
        let config = Self { folder: tempfile::tempdir()? };
        config.write(text)?;
        Ok(config)
    }

    /// Replaces the file in one go, as careful editors do.
    pub fn write(&self, text: &str) -> anyhow::Result<()> {
        let new = self.path().with_extension("new");
        std::fs::write(&new, text)?;
        std::fs::rename(new, self.path()).context("the configuration cannot be written")
    }

    pub fn path(&self) -> PathBuf {
        self.folder().join("gateway.toml")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Running {
    /// Starts it with this configuration, and waits until it listens.
    pub fn start(text: &str) -> anyhow::Result<Self> {
        let config = Config::new(text)?;
        let mut command = programs::clean_at(programs::mcp_gateway()?, config.folder());
        command.args(["--listen", "127.0.0.1:0"]).stdin(Stdio::null());
        Self::run(config, command)
    }

    /// Runs what becomes a gateway with this configuration.
    pub fn run(config: Config, mut command: Command) -> anyhow::Result<Self> {
        command.env("RUST_LOG", "info").env("NO_COLOR", "1");
        let program = Program::run("mcp-gateway", command)?;
        let line = program.wait_for_log("listening")?;
        let address = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
        let address = address.with_context(|| format!("no address: {line}"))?.parse()?;
        Ok(Self { program, client: Client::new(address)?, address, config })
    }

    /// Saves another configuration.
    pub fn save(&self, text: &str) -> anyhow::Result<()> {
        self.config.write(text)
    }

    /// Saves another configuration, and tells the gateway.
    pub fn replace(&self, text: &str) -> anyhow::Result<()> {
        self.save(text)?;
        self.program.signal("HUP")
    }

    /// Removes the configuration's file.
    pub fn remove(&self) -> anyhow::Result<()> {
        Ok(std::fs::remove_file(self.config.path())?)
    }

    /// Asks again and again how an upstream is until it is so.
    pub async fn until(&self, upstream: &str, is_so: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let mut last = Value::Null;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            last = self.client.health(upstream).await?;
            if is_so(&last) {
                return Ok(last);
            }
        }
        bail!("it does not come to that: {last}\n{}", self.program.log())
    }

    /// Asks again and again how an upstream is until it is in this state.
    pub async fn until_is(&self, upstream: &str, state: &str) -> anyhow::Result<Value> {
        self.until(upstream, |health| health["state"] == state).await
    }

    /// Calls a tool again and again until it answers.
    pub async fn until_answers(&self, tool: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.client.call(tool, "again").await?.is_ok() {
                return Ok(());
            }
        }
        bail!("{tool} does not answer any more\n{}", self.program.log())
    }

    /// How many files, sockets and pipes it has open.
    pub fn descriptors(&self) -> anyhow::Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.program.id()))?.count())
    }

    /// Ends it as a service manager does, and waits until it is gone.
    pub fn stop(self) -> anyhow::Result<()> {
        self.program.signal("TERM")?;
        self.ended()
    }

    /// Waits until it has ended as it should.
    pub fn ended(mut self) -> anyhow::Result<()> {
        let status = self.program.wait()?;
        ensure!(status.success(), "{status}: {}", self.program.log());
        Ok(())
    }
}

/// The command of a failing server, as the configuration has it.
pub fn failing(fault: &str, strings: &Strings) -> anyhow::Result<String> {
    let program = programs::folder()?.join("fault-server");
    Ok(format!(
        "command = [{:?}, {fault:?}, \"--strings\", \"{}\"]\n",
        program.display().to_string(),
        strings.address()
    ))
}
