//! Log lines on standard error.

use std::io::{BufWriter, IsTerminal as _, stderr};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// Lines that wait for a slow reader of standard error; more are dropped.
const MAX_WAITING_LINES: usize = 8_192;
/// The crates of this workspace. Others log requests, headers and bodies at their lower levels.
const OURS: [&str; 7] =
    ["server_a", "server_b", "providers", "ledger", "responder_client", "telemetry", "test_communication"];

/// How to log; flatten it into a program's settings.
#[derive(Debug, Clone, clap::Args)]
pub struct LogSettings {
    /// What to log: a level (error, warn, info, debug, trace) or tracing directives such as `server_b=debug`.
    ///
    /// A bare level is for this project's own crates; libraries stay at `warn`, because some log whole requests. Name a
    /// library to see more of it.
    #[arg(long = "log", env = "RUST_LOG", default_value = "info", value_name = "FILTER", value_parser = valid_filter)]
    pub filter: String,
    /// How a log line looks.
    #[arg(long, env = "LOG_FORMAT", default_value = "text", value_enum)]
    pub log_format: LogFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for programs.
    Json,
}

/// Keeps the log alive; dropping it writes what is still waiting.
#[must_use = "dropping the guard ends the log"]
pub struct LogGuard(#[expect(dead_code, reason = "held for its drop")] WorkerGuard);

/// Starts logging to standard error. Call it once, first thing in `main`.
pub fn init(settings: &LogSettings) -> LogGuard {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(MAX_WAITING_LINES)
        .lossy(true)
        .thread_name("log")
        .finish(BufWriter::new(stderr()));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(directives(&settings.filter)))
        .with_writer(writer)
        .with_ansi(stderr().is_terminal());
    match settings.log_format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    LogGuard(guard)
}

fn valid_filter(text: &str) -> Result<String, String> {
    match EnvFilter::builder().parse(directives(text)) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => {
            Err("allowed are error, warn, info, debug, trace, off and directives such as server_b=debug"
                .to_owned())
        }
    }
}

/// Expands a bare level to our own crates and keeps libraries at `warn`.
fn directives(filter: &str) -> String {
    let mut expanded = Vec::new();
    for directive in filter.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
        match directive.parse::<LevelFilter>() {
            Ok(level) => {
                expanded.push(level.min(LevelFilter::WARN).to_string());
                expanded.extend(OURS.iter().map(|name| format!("{name}={level}")));
            }
            Err(_) => expanded.push(directive.to_owned()),
        }
    }
    expanded.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_level_is_for_our_own_crates() {
        let expanded = directives("trace");
        assert!(expanded.starts_with("warn,"), "{expanded}");
        assert!(expanded.contains("server_b=trace"), "{expanded}");
        assert!(directives("off").starts_with("off,"));
        assert_eq!(directives("hyper=debug"), "hyper=debug");
    }

    #[test]
    fn a_filter_that_makes_no_sense_is_refused() {
        assert!(valid_filter("info,hyper=debug").is_ok());
        assert!(valid_filter("server_b=loud").is_err());
    }
}
