//! Settings of server-a. `--help` lists them; every one is a flag and a variable.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use cost_calculator::Usd;
use ledger::{LedgerError, Location, Owner};
use mcp_transport::{NetworkSettings, TransportKind};
use resilience::Backoff;
use responder_client::{Limits, ResponderClient, SetupError};
use secrecy::SecretString;
use settings::{header_secret, http_url};
use telemetry::LogSettings;
use url::Url;

/// Longest wait between two attempts, also of one that server-b asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The messenger: an MCP server that forwards messages to server-b.
// No `Debug`: the URL may hold a password.
#[derive(Clone, clap::Parser)]
#[command(name = "server-a", version, about)]
pub struct Config {
    /// How MCP clients reach it: started by a client, or over the network (`sse` is an older word for http).
    #[arg(env = "MCP_TRANSPORT", value_enum, default_value = "stdio")]
    pub transport: TransportKind,
    /// Address that MCP over the network is bound to; 0.0.0.0 is all of them.
    #[arg(long, env = "MCP_HOST", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub mcp_host: IpAddr,
    /// Port of MCP over the network; 0 picks a free one.
    #[arg(long, env = "MCP_PORT_A", default_value_t = 8_001)]
    pub mcp_port: u16,
    /// MCP over the network.
    #[command(flatten)]
    pub network: NetworkSettings,
    /// Where server-b is. A user name and password in it are sent when there is no key.
    #[arg(long, env = "SERVER_B_URL", hide_env_values = true, default_value = "http://localhost:8000", value_parser = http_url)]
    pub server_b_url: Url,
    /// Key that server-b asks for; of a comma separated list the first is sent. Default: none.
    #[arg(long, env = "SERVER_B_API_KEY", hide_env_values = true, value_parser = header_secret)]
    pub server_b_api_key: Option<SecretString>,
    /// Longest wait before another attempt is made while the first stays open, or for the next piece of a stream, in seconds.
    /// A stream that takes longer is not tried again.
    #[arg(long, env = "TIMEOUT_SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub timeout_seconds: u64,
    /// Attempts in all, the first one included.
    #[arg(long, env = "RETRY_ATTEMPTS", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10))]
    pub retry_attempts: u32,
    /// Wait before the second attempt in milliseconds; it doubles with every further one, up to a minute.
    #[arg(long, env = "RETRY_BASE_MS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(..=60_000))]
    pub retry_base_ms: u64,
    /// Where history and usage are kept: sqlite://PATH or sqlite::memory:. Default: a file in the user's data folder.
    #[arg(long, env = "DATABASE_URL")]
    pub database_url: Option<Location>,
    /// Messages that the history keeps; older ones are deleted, their sums stay. 0 keeps all.
    #[arg(long, env = "HISTORY_MAX_MESSAGES", default_value_t = 1_000_000)]
    pub history_max_messages: u64,
    /// Have the user asked before a message that may cost more US dollars than this, where the MCP client can ask.
    /// Default: never.
    #[arg(long, env = "CONFIRM_COST_USD", value_parser = dollars)]
    pub confirm_cost_usd: Option<Usd>,
    /// How to log.
    #[command(flatten)]
    pub log: LogSettings,
}

impl Config {
    pub(crate) fn location(&self) -> Result<Location, LedgerError> {
        self.database_url.clone().map_or_else(|| Location::in_data_folder(Owner::ServerA), Ok)
    }

    pub(crate) fn responder(&self) -> Result<ResponderClient, SetupError> {
        let limits = Limits { timeout: Duration::from_secs(self.timeout_seconds), ..Limits::default() };
        ResponderClient::new(self.server_b_url.clone(), self.server_b_api_key.clone(), limits)
    }

    pub(crate) fn backoff(&self) -> Backoff {
        let base = Duration::from_millis(self.retry_base_ms);
        Backoff { attempts: self.retry_attempts, base, max: LONGEST_WAIT }
    }
}

fn dollars(text: &str) -> Result<Usd, String> {
    let parsed = text.parse().ok().and_then(Usd::from_f64);
    parsed.ok_or_else(|| "allowed is an amount of US dollars, for instance 0.05".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn numbers_out_of_range_are_refused() {
        for wrong in [
            ["server-a", "--timeout-seconds=0"],
            ["server-a", "--timeout-seconds=3601"],
            ["server-a", "--retry-attempts=0"],
            ["server-a", "--retry-attempts=11"],
            ["server-a", "--retry-base-ms=60001"],
            ["server-a", "--confirm-cost-usd=-1"],
            ["server-a", "--confirm-cost-usd=inf"],
            ["server-a", "--mcp-port=65536"],
            ["server-a", "--mcp-host=localhost:1"],
            ["server-a", "carrier-pigeon"],
        ] {
            assert!(Config::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_transport_is_the_first_word_and_has_an_older_name() {
        for (words, expected) in [
            (&["server-a"][..], TransportKind::Stdio),
            (&["server-a", "stdio"], TransportKind::Stdio),
            (&["server-a", "http"], TransportKind::Http),
            (&["server-a", "sse", "--confirm-cost-usd", "0.05"], TransportKind::Http),
        ] {
            assert_eq!(Config::try_parse_from(words).unwrap().transport, expected, "{words:?}");
        }
    }
}
