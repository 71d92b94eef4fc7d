//! Settings of server-b. `--help` lists them; every one is a flag and a variable.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, ensure};
use cost_calculator::PriceList;
use http_server::Limits;
use ledger::{Location, Owner};
use mcp_transport::{NetworkSettings, TransportKind};
use providers::ProviderKind;
use secrecy::{ExposeSecret as _, SecretString};
use settings::{header_secret, http_url, ip_address, seconds};
use telemetry::LogSettings;
use url::Url;

/// The AI responder: answers messages over HTTP, and over MCP if asked to, through a model provider.
#[derive(Clone, clap::Parser)]
#[command(name = "server-b", version, about)]
pub struct Config {
    /// Offer the MCP tools too: over standard input and output, or over the network. Default: the REST API alone.
    ///
    /// MCP_TRANSPORT is not read here: it is server-a's, and the two may share one .env file.
    #[arg(value_enum, value_name = "MCP")]
    pub mcp: Option<TransportKind>,
    /// Which provider answers: mock, openai or bedrock. Default: openai when OPENAI_API_KEY is set, otherwise mock.
    #[arg(long, env = "AI_PROVIDER")]
    pub ai_provider: Option<ProviderKind>,
    /// Key of the OpenAI API.
    #[arg(long, env = "OPENAI_API_KEY", hide_env_values = true, value_parser = header_secret)]
    pub openai_api_key: Option<SecretString>,
    /// Base URL of an OpenAI-compatible server, for instance http://localhost:11434/v1. Default: OpenAI's own.
    #[arg(long, env = "OPENAI_BASE_URL", hide_env_values = true, value_parser = http_url)]
    pub openai_base_url: Option<Url>,
    /// Model of a request that names none, with provider openai.
    #[arg(long, env = "OPENAI_DEFAULT_MODEL", default_value = "gpt-4", value_parser = model_name)]
    pub openai_default_model: String,
    /// AWS region of Bedrock. Credentials come from the AWS SDK's own chain.
    #[arg(long, env = "AWS_REGION", default_value = "us-east-1", value_parser = region)]
    pub aws_region: String,
    /// Model of a request that names none, with provider bedrock.
    #[arg(long, env = "BEDROCK_DEFAULT_MODEL", default_value = "anthropic.claude-3-5-sonnet-20241022-v2:0", value_parser = model_name)]
    pub bedrock_default_model: String,
    /// Sampling temperature of a request that names none, 0.0 to 2.0.
    #[arg(long, env = "AI_TEMPERATURE", default_value_t = 0.7, value_parser = temperature)]
    pub ai_temperature: f64,
    /// Completion limit of a request that names none, in tokens.
    #[arg(long, env = "AI_MAX_TOKENS", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub ai_max_tokens: u32,
    /// Largest completion limit that a request may name, in tokens.
    #[arg(long, env = "AI_MAX_TOKENS_LIMIT", default_value_t = 32_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub ai_max_tokens_limit: u32,
    /// Address to listen on. 0.0.0.0 means all interfaces: set SERVER_B_API_KEY then.
    #[arg(long, env = "HTTP_HOST", default_value = "127.0.0.1", value_parser = ip_address)]
    pub host: IpAddr,
    /// Port to listen on; 0 picks a free one, which the log tells.
    #[arg(long, env = "HTTP_PORT", default_value_t = 8_000)]
    pub port: u16,
    /// Address to listen on for MCP, with `http`. 0.0.0.0 means all interfaces: set MCP_API_KEY then.
    #[arg(long, env = "MCP_HOST", default_value = "127.0.0.1", value_parser = ip_address)]
    pub mcp_host: IpAddr,
    /// Port to listen on for MCP, with `http`; 0 picks a free one, which the log tells.
    #[arg(long, env = "MCP_PORT_B", default_value_t = 8_002)]
    pub mcp_port: u16,
    /// MCP over the network.
    #[command(flatten)]
    pub mcp_network: NetworkSettings,
    /// Keys that callers must show as `Authorization: Bearer KEY`, separated by commas. Default: none needed.
    #[arg(long, env = "SERVER_B_API_KEY", hide_env_values = true, value_parser = header_secret)]
    pub api_key: Option<SecretString>,
    /// Where history and usage are kept: sqlite://PATH or sqlite::memory:. Default: a file in the user's data folder.
    #[arg(long, env = "DATABASE_URL")]
    pub database_url: Option<Location>,
    /// Messages that the history keeps; older ones are deleted, their sums stay. 0 keeps all.
    #[arg(long, env = "HISTORY_MAX_MESSAGES", default_value_t = 1_000_000)]
    pub history_max_messages: u64,
    /// TOML file with prices that replace or extend the built-in ones.
    #[arg(long, env = "PRICES_FILE")]
    pub prices_file: Option<PathBuf>,
    /// Longest wait for the provider's answer, or for the next piece of a stream, in seconds.
    #[arg(long, env = "PROVIDER_TIMEOUT_SECONDS", default_value_t = 110.0, value_parser = seconds)]
    pub provider_timeout_seconds: f64,
    /// Messages that are answered at the same time; more get 503 with Retry-After.
    #[arg(long, env = "MAX_CONCURRENT_REQUESTS", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_concurrent_requests: u32,
    /// Connections that are open at the same time; more wait to be accepted.
    #[arg(long, env = "MAX_CONNECTIONS", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_connections: u32,
    /// Longest time for the head of a request to arrive, or between two requests of a connection, in seconds.
    #[arg(long, env = "CONNECTION_IDLE_SECONDS", default_value_t = 75.0, value_parser = seconds)]
    pub connection_idle_seconds: f64,
    /// Longest wait for a caller to take what it is sent, in seconds; then its connection is closed and a stream cancelled.
    #[arg(long, env = "STREAM_STALL_SECONDS", default_value_t = 60.0, value_parser = seconds)]
    pub stream_stall_seconds: f64,
    /// Time for calls in flight to finish after SIGTERM, in seconds.
    #[arg(long, env = "SHUTDOWN_GRACE_SECONDS", default_value_t = 30.0, value_parser = seconds)]
    pub shutdown_grace_seconds: f64,
    /// The mock provider's time to answer, in milliseconds.
    #[arg(long, env = "MOCK_DELAY_MS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(..=3_600_000))]
    pub mock_delay_ms: u64,
    /// The mock provider's time between two streamed words, in milliseconds.
    #[arg(long, env = "MOCK_CHUNK_DELAY_MS", default_value_t = 50, value_parser = clap::value_parser!(u64).range(..=3_600_000))]
    pub mock_chunk_delay_ms: u64,
    /// How to log.
    #[command(flatten)]
    pub log: LogSettings,
}

impl Config {
    /// The provider to use. Without a choice it is `openai` when there is a key for it, otherwise `mock`.
    #[must_use]
    pub fn provider(&self) -> ProviderKind {
        match (self.ai_provider, &self.openai_api_key) {
            (Some(kind), _) => kind,
            (None, Some(_)) => ProviderKind::OpenAi,
            (None, None) => ProviderKind::Mock,
        }
    }

    /// Keys that callers may show; none when no key is needed.
    pub(crate) fn api_keys(&self) -> Vec<SecretString> {
        let keys = self.api_key.as_ref().map_or("", |keys| keys.expose_secret());
        keys.split(',').map(str::trim).filter(|key| !key.is_empty()).map(SecretString::from).collect()
    }

    pub(crate) fn location(&self) -> Result<Location, ledger::LedgerError> {
        self.database_url.clone().map_or_else(|| Location::in_data_folder(Owner::ServerB), Ok)
    }

    /// The built-in prices with the user's on top.
    pub(crate) fn prices(&self) -> anyhow::Result<PriceList> {
        let mut prices = PriceList::built_in();
        if let Some(path) = &self.prices_file {
            let named = || format!("PRICES_FILE is `{}`", path.display());
            let toml = std::fs::read_to_string(path).with_context(named)?;
            prices.merge(&toml).with_context(named)?;
        }
        Ok(prices)
    }

    pub(crate) fn provider_timeout(&self) -> Duration {
        Duration::from_secs_f64(self.provider_timeout_seconds)
    }

    pub(crate) fn stream_stall(&self) -> Duration {
        Duration::from_secs_f64(self.stream_stall_seconds)
    }

    pub(crate) fn connection_limits(&self) -> Limits {
        Limits {
            connections: self.max_connections as usize,
            idle: Duration::from_secs_f64(self.connection_idle_seconds),
            stall: self.stream_stall(),
            grace: Duration::from_secs_f64(self.shutdown_grace_seconds),
        }
    }

    /// Rules that join several settings.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.ai_max_tokens <= self.ai_max_tokens_limit,
            "AI_MAX_TOKENS is {}, which is more than AI_MAX_TOKENS_LIMIT ({}): lower the first or raise the second",
            self.ai_max_tokens,
            self.ai_max_tokens_limit
        );
        ensure!(
            self.api_key.is_none() || !self.api_keys().is_empty(),
            "SERVER_B_API_KEY has no key in it: write KEY or KEY1,KEY2, or leave it empty"
        );
        Ok(())
    }
}

fn temperature(text: &str) -> Result<f64, String> {
    let parsed = text.parse().ok().filter(|value| (0.0..=2.0).contains(value));
    parsed.ok_or_else(|| "allowed is 0.0 to 2.0".to_owned())
}

pub(crate) fn model_name(text: &str) -> Result<String, String> {
    let fits = (1..=2_048).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
        .ok_or_else(|| "allowed is a model's name of 1 to 2048 characters".to_owned())
}

fn region(text: &str) -> Result<String, String> {
    let fits = !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    fits.then(|| text.to_owned()).ok_or_else(|| "allowed is an AWS region, for instance us-east-1".to_owned())
}
