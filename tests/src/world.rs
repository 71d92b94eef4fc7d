//! A real server-b on a free port, with a ledger of its own.

use std::{collections::HashMap, net::SocketAddr, path::PathBuf, process::ExitStatus, sync::Arc};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::programs::Program;

/// Settings of a test's server-b: the mock without delays, logs of our crates at their fullest.
const DEFAULTS: [(&str, &str); 6] = [
    ("AI_PROVIDER", "mock"),
    ("HTTP_PORT", "0"),
    ("MOCK_DELAY_MS", "0"),
    ("MOCK_CHUNK_DELAY_MS", "0"),
    ("DATABASE_URL", "sqlite://server-b.db"),
    ("RUST_LOG", "trace"),
];

/// How to start a server-b; each start on the same folder finds the same ledger.
#[derive(Clone)]
pub struct ServerBSettings {
    folder: Arc<TempDir>,
    variables: HashMap<String, String>,
}

/// A server-b that answers.
pub struct ServerB {
    /// Its process.
    pub program: Program,
    address: SocketAddr,
}

impl ServerBSettings {
    /// Defaults for a test, in a folder of its own.
    ///
    /// # Errors
    /// When no folder can be made.
    pub fn new() -> anyhow::Result<Self> {
        let folder = Arc::new(tempfile::tempdir().context("no folder for the test")?);
        let variables = DEFAULTS.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Ok(Self { folder, variables })
    }

    /// The same with one more variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.variables.insert(name.to_owned(), value.to_string());
        self
    }

    /// The same without one of the variables.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    /// The same with OpenAI as its provider: a stub at `base_url`, and a model with a price.
    #[must_use]
    pub fn with_openai(self, base_url: &str) -> Self {
        self.with("AI_PROVIDER", "openai")
            .with("OPENAI_DEFAULT_MODEL", "gpt-4o-mini")
            .with("OPENAI_BASE_URL", base_url)
            .with("OPENAI_API_KEY", "sk-test")
    }

    /// The same with Bedrock as its provider: a stub at `endpoint_url`, a model with a price, and credentials from nowhere
    /// else than here.
    #[must_use]
    pub fn with_bedrock(self, endpoint_url: &str) -> Self {
        self.with("AI_PROVIDER", "bedrock")
            .with("BEDROCK_DEFAULT_MODEL", "claude-3.5-haiku")
            .with("AWS_REGION", "eu-central-1")
            .with("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", endpoint_url)
            .with("AWS_EC2_METADATA_DISABLED", "true")
            .with("AWS_ACCESS_KEY_ID", "AKIDTEST")
            .with("AWS_SECRET_ACCESS_KEY", "secret-of-a-test")
    }

    /// The ledger's file.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.folder.path().join("server-b.db")
    }

    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// When it does not come to that.
    pub fn start(&self) -> anyhow::Result<ServerB> {
        let program = self.launch()?;
        let line = program.wait_for_log("listening")?;
        // `address=127.0.0.1:1` or `"address":"127.0.0.1:1"`
        let (_, rest) = line.split_once("address").context("the log names no address")?;
        let rest = rest.trim_start_matches(['=', ':', '"']);
        let address = rest.split(['"', ' ']).next().unwrap_or_default().parse()?;
        Ok(ServerB { program, address })
    }

    /// Starts it without waiting, for starts that are meant to fail.
    ///
    /// # Errors
    /// When the program is not there.
    pub fn launch(&self) -> anyhow::Result<Program> {
        Program::start("server-b", self.folder.path(), &[], &self.variables)
    }
}

impl ServerB {
    /// The URL of `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks it to stop, waits until it has, and gives its exit status and its log.
    ///
    /// # Errors
    /// When it does not stop.
    pub fn stop(mut self) -> anyhow::Result<(ExitStatus, String)> {
        self.program.signal("TERM")?;
        let status = self.program.wait()?;
        Ok((status, self.program.log()))
    }
}
