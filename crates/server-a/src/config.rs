//! Settings of server-a. `--help` lists them; every one is a flag and a variable.

use std::time::Duration;

use ledger::{LedgerError, Location, Owner};
use resilience::Backoff;
use responder_client::{Limits, ResponderClient, SetupError};
use secrecy::SecretString;
use settings::{header_secret, http_url};
use telemetry::LogSettings;
use url::Url;

/// Longest wait between two attempts, also of one that server-b asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The messenger: an MCP server on standard input and output that forwards messages to server-b.
// No `Debug`: the URL may hold a password.
#[derive(Clone, clap::Parser)]
#[command(name = "server-a", version, about)]
pub struct Config {
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
        ] {
            assert!(Config::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
    }
}
