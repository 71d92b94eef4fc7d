//! conformance-client: what the client side of the official MCP conformance suite tests, on the engine of the products.
//!
//! The suite starts it once for each scenario, with the URL of a server that watches what it does. It uses whatever that
//! server offers. Standard output belongs to nobody; the log goes to standard error.
#![expect(
    deprecated,
    reason = "servers of both eras are used, and the newer one deprecates parts of the older"
)]

mod host;
mod login;
mod scenario;
mod visit;

use std::process::ExitCode;

use clap::Parser;
use mcp_transport::Era;
use telemetry::LogSettings;

use crate::scenario::{Context, Scenario};

/// Uses an MCP server as a scenario of the conformance suite wants it.
// No `Debug`: the context holds keys.
#[derive(Parser)]
#[command(name = "conformance-client", version)]
struct Config {
    /// The server's URL.
    server: String,
    /// The scenario.
    #[arg(long, env = "MCP_CONFORMANCE_SCENARIO")]
    scenario: String,
    /// What the scenario tells its client beforehand, as JSON.
    #[arg(long, env = "MCP_CONFORMANCE_CONTEXT", hide_env_values = true, default_value = "{}")]
    context: Context,
    /// The version of the protocol that is tested.
    #[arg(long, env = "MCP_CONFORMANCE_PROTOCOL_VERSION")]
    protocol_version: Option<String>,
    /// How to log.
    #[command(flatten)]
    log: LogSettings,
}

impl Config {
    /// Versions are dates, so they can be compared as text.
    fn era(&self) -> Era {
        match &self.protocol_version {
            Some(version) if version.as_str() < "2026-07-28" => Era::Legacy,
            Some(_) => Era::Modern, // as the suite wants it
            None => Era::Auto,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let config = Config::parse();
    let outcome = async {
        let _log = telemetry::init(&config.log)?;
        let era = config.era();
        Scenario { name: config.scenario, server: config.server, context: config.context, era }.play().await
    };
    match outcome.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
