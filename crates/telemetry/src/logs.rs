//! Log lines on standard error.

use std::io::{self, IsTerminal as _, stderr};

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use crate::line_buffer::LineBuffer;

/// The crates of this workspace. Others log requests, headers and bodies at their lower levels.
const OURS: [&str; 19] = [
    "conformance_bridge",
    "conformance_client",
    "conformance_server",
    "e2e",
    "gateway",
    "http_server",
    "ledger",
    "mcp_client",
    "mcp_gateway",
    "mcp_transport",
    "oauth",
    "providers",
    "responder_client",
    "server_a",
    "server_b",
    "telemetry",
    "test_communication",
    "tool_server",
    "upstream",
];
/// Libraries that log what clients and models say, word for word, also as warnings and errors: async-openai the data of an
/// event that is not JSON, rmcp the errors that it answers with. The failures themselves are in our own log.
const SILENT: [&str; 2] = ["async_openai=off", "rmcp=off"];

/// How to log; flatten it into a program's settings.
#[derive(Debug, Clone, clap::Args)]
pub struct LogSettings {
    /// What to log: a level (error, warn, info, debug, trace) or tracing directives such as `server_b=debug`.
    ///
    /// A bare level is for this project's own crates; libraries stay at `warn`, because some log whole requests. Name a
    /// library to see more of it; async_openai and rmcp stay silent until they are named, because they log parts of answers
    /// and of requests.
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
pub struct LogGuard(LineBuffer);

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.0.flush();
    }
}

/// Starts logging to standard error. Call it once, first thing in `main`.
///
/// # Errors
/// When the thread that writes cannot be started.
pub fn init(settings: &LogSettings) -> io::Result<LogGuard> {
    let writer = LineBuffer::write_to(stderr())?;
    let guard = LogGuard(writer.clone());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(directives(&settings.filter)))
        .with_writer(writer)
        .with_ansi(stderr().is_terminal());
    match settings.log_format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(guard)
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

/// Expands a bare level to our own crates and keeps libraries at `warn`, or silent.
fn directives(filter: &str) -> String {
    // First, so that a directive of the user's for the same library takes its place.
    let mut expanded = SILENT.map(str::to_owned).to_vec();
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
        assert!(expanded.contains(",warn,"), "{expanded}");
        assert!(expanded.contains("server_b=trace"), "{expanded}");
        assert!(directives("off").contains(",off,"));
        assert!(directives("hyper=debug").ends_with(",hyper=debug"));
    }

    /// Whether an error in async-openai would be logged.
    fn hears_async_openai(filter: &str) -> bool {
        let subscriber = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(directives(filter)));
        tracing::subscriber::with_default(
            subscriber.finish(),
            || tracing::enabled!(target: "async_openai::error", tracing::Level::ERROR),
        )
    }

    #[test]
    fn the_library_that_logs_answers_is_silent_until_it_is_named() {
        for filter in ["info", "trace", "hyper=debug", "warn,server_b=trace"] {
            assert!(!hears_async_openai(filter), "{filter}");
        }
        for filter in ["async_openai=debug", "async_openai=error,info", "info,async_openai::error=warn"] {
            assert!(hears_async_openai(filter), "{filter}");
        }
    }

    #[test]
    fn a_filter_that_makes_no_sense_is_refused() {
        assert!(valid_filter("info,hyper=debug").is_ok());
        assert!(valid_filter("server_b=loud").is_err());
    }
}
