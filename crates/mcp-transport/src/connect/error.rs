//! Why a server cannot be called, by what can be done about it.

use std::{error::Error, io, process::ExitStatus, time::Duration};

use http::StatusCode;
use rmcp::{
    service::ClientInitializeError,
    transport::{DynamicTransportError, streamable_http_client::StreamableHttpError},
};
use tokio_tungstenite::tungstenite;

use super::{
    authorizer::{AuthorizeError, NotAuthorized},
    http_client::{challenge, is_wrong_place},
    link::LinkError,
};

/// Most characters of a server's own words in an error.
const MAX_WORDS: usize = 200;

type Cause = Box<dyn Error + Send + Sync>;

/// Why a connection could not be made. Addresses and causes in it hold no credentials.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing answers there, or nothing that works (HTTP 429 and 5xx). Trying again later may help.
    #[error("no server works at {address}, or it cannot be reached")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// What went wrong.
        #[source]
        cause: Cause,
    },
    /// HTTP 401 or 403.
    #[error("{address} needs other credentials (HTTP {status}): {}", advice(.reason))]
    NeedsCredentials {
        /// Who asks.
        address: String,
        /// 401 or 403.
        status: u16,
        /// What it asks for: its `WWW-Authenticate` header.
        challenge: Option<String>,
        /// Why the authorizer, if there is one, has no token, and what to do about it. The text above has it.
        reason: Option<Cause>,
    },
    /// Something else is there, or the path is wrong.
    #[error("{address} is not an MCP server of this kind: {found}; check the path and the transport")]
    NotMcp {
        /// What was asked.
        address: String,
        /// What it answered, in a few words.
        found: String,
    },
    /// It was not ready to be called in time.
    #[error("{address} was not ready within {after:?}{}", shown(.stderr))]
    TimedOut {
        /// Who was waited for.
        address: String,
        /// For how long.
        after: Duration,
        /// The last lines of a child's standard error.
        stderr: Vec<String>,
    },
    /// The command, or the directory to run it in, does not exist or cannot be used.
    #[error("{command} cannot be started: {reason}")]
    CommandNotFound {
        /// The program.
        command: String,
        /// What is missing.
        reason: &'static str,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// The server ended, or hung up, before it could be called.
    #[error("{address} ended before it was ready{}{}", exit(.status), shown(.stderr))]
    Ended {
        /// Who ended.
        address: String,
        /// How a child process ended.
        status: Option<ExitStatus>,
        /// The last lines of a child's standard error.
        stderr: Vec<String>,
    },
    /// A connection that was up has ended.
    #[error("{address} ended{}{}{}", exit(.status), why(.reason), shown(.stderr))]
    Lost {
        /// Who ended.
        address: String,
        /// What it did, if it is known.
        reason: Option<String>,
        /// How a child process ended by itself.
        status: Option<ExitStatus>,
        /// The last lines of a child's standard error.
        stderr: Vec<String>,
    },
    /// It answers, but not as MCP wants it, or in no version that both know.
    #[error("{address} cannot be understood: {reason}")]
    Protocol {
        /// Who answered.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The options cannot be used.
    #[error("{0}")]
    Setup(&'static str),
}

impl ConnectError {
    /// Whether the same attempt may succeed later, with nothing changed here.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Ended { .. } | Self::Lost { .. }
        )
    }

    /// The last lines of a child's standard error, if it is one that failed. They may hold what only its operator should see.
    #[must_use]
    pub fn stderr(&self) -> &[String] {
        match self {
            Self::TimedOut { stderr, .. } | Self::Ended { stderr, .. } | Self::Lost { stderr, .. } => stderr,
            _ => &[],
        }
    }

    pub(crate) fn start(command: &str, lacks_directory: bool, cause: io::Error) -> Self {
        let reason = match cause.kind() {
            _ if lacks_directory => "its working directory does not exist",
            io::ErrorKind::NotFound => {
                "there is no such command; give its path, or add its directory to PATH"
            }
            io::ErrorKind::PermissionDenied => "it is not executable",
            _ => "the system refuses",
        };
        Self::CommandNotFound { command: command.to_owned(), reason, cause }
    }

    pub(crate) fn link(address: String, error: LinkError) -> Self {
        match error {
            LinkError::Status { status, challenge, .. } => {
                Self::status(address, status, challenge, error_words)
            }
            LinkError::NotMcp(found) => Self::NotMcp { address, found },
            LinkError::Protocol(reason) | LinkError::TooLarge(reason) => Self::Protocol { address, reason },
            LinkError::Closed | LinkError::Unanswered | LinkError::Io(_) => {
                Self::Ended { address, status: None, stderr: Vec::new() }
            }
            LinkError::WebSocket(error) => Self::web_socket(address, *error),
            LinkError::NotAuthorized(error) => Self::not_authorized(address, error),
            error @ (LinkError::Http(_) | LinkError::Stalled | LinkError::Crowded | LinkError::Json(_)) => {
                Self::Unreachable { address, cause: innermost(error) }
            }
        }
    }

    fn status(
        address: String,
        status: StatusCode,
        challenge: Option<String>,
        words: impl Fn(StatusCode) -> String,
    ) -> Self {
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Self::NeedsCredentials { address, status: status.as_u16(), challenge, reason: None }
            }
            StatusCode::TOO_MANY_REQUESTS => Self::Unreachable { address, cause: words(status).into() },
            _ if is_wrong_place(status) => Self::NotMcp { address, found: words(status) },
            _ => Self::Unreachable { address, cause: words(status).into() },
        }
    }

    fn not_authorized(address: String, error: NotAuthorized) -> Self {
        let NotAuthorized { status, challenge, reason } = error;
        match reason {
            AuthorizeError::Denied(reason) => {
                Self::NeedsCredentials { address, status: status.as_u16(), challenge, reason: Some(reason) }
            }
            AuthorizeError::Unavailable(cause) => Self::Unreachable { address, cause },
        }
    }

    fn web_socket(address: String, error: tungstenite::Error) -> Self {
        use tungstenite::Error as Fault;
        match error {
            Fault::Http(response) => {
                let challenge = challenge(response.headers()).map(str::to_owned);
                match response.status() {
                    // The page is there, but it is an ordinary one.
                    status if status.is_success() => Self::NotMcp { address, found: error_words(status) },
                    status => Self::status(address, status, challenge, error_words),
                }
            }
            Fault::Io(cause) => Self::Unreachable { address, cause: cause.into() },
            Fault::ConnectionClosed | Fault::AlreadyClosed => {
                Self::Ended { address, status: None, stderr: Vec::new() }
            }
            Fault::Tls(_) | Fault::Url(_) => Self::Unreachable { address, cause: error.into() },
            _ => Self::NotMcp { address, found: "it does not speak WebSocket".to_owned() },
        }
    }

    pub(crate) fn handshake(address: String, error: ClientInitializeError) -> Self {
        use ClientInitializeError as Fault;
        match error {
            Fault::TransportError { error, .. } => Self::transport(address, error),
            Fault::LegacyFallbackFailed { fallback, .. } => Self::handshake(address, *fallback),
            Fault::ConnectionClosed(_) | Fault::Cancelled => {
                Self::Ended { address, status: None, stderr: Vec::new() }
            }
            // rmcp makes such an error of a refusal by status.
            Fault::JsonRpcError(error) => match refused(&error.message) {
                Some(status) => Self::status(address, status, None, error_words),
                None => Self::Protocol {
                    address,
                    reason: format!("it refused with error {}, {}", error.code.0, words(&error.message)),
                },
            },
            Fault::NoCompatibleProtocolVersion { server_supported, .. } => {
                let known: Vec<_> =
                    server_supported.iter().take(8).map(|version| words(version.as_str())).collect();
                let reason = format!("it speaks none of our versions of MCP, only {}", known.join(" "));
                Self::Protocol { address, reason }
            }
            _ => Self::Protocol { address, reason: "it does not keep to the handshake".to_owned() },
        }
    }

    pub(crate) fn transport(address: String, error: DynamicTransportError) -> Self {
        let error = match error.error.downcast::<LinkError>() {
            Ok(error) => return Self::link(address, *error),
            Err(error) => error,
        };
        match error.downcast::<StreamableHttpError<reqwest::Error>>() {
            Ok(error) => Self::streamable(address, *error),
            Err(cause) => Self::Unreachable { address, cause },
        }
    }

    fn streamable(address: String, error: StreamableHttpError<reqwest::Error>) -> Self {
        use StreamableHttpError as Fault;
        match error {
            Fault::Client(error) => Self::Unreachable { address, cause: innermost(error.without_url()) },
            Fault::AuthRequired(error) => {
                let challenge = Some(error.www_authenticate_header);
                Self::NeedsCredentials { address, status: 401, challenge, reason: None }
            }
            Fault::InsufficientScope(error) => {
                let challenge = Some(error.www_authenticate_header);
                Self::NeedsCredentials { address, status: 403, challenge, reason: None }
            }
            Fault::Io(error) => match error.downcast::<NotAuthorized>() {
                Ok(error) => Self::not_authorized(address, error),
                Err(error) => Self::Unreachable { address, cause: error.into() },
            },
            Fault::HttpStatus(error) => {
                Self::Unreachable { address, cause: format!("it answered with HTTP {}", error.status).into() }
            }
            Fault::UnexpectedServerResponse(text) => match refused(&text) {
                Some(status) => Self::status(address, status, None, error_words),
                None => {
                    Self::NotMcp { address, found: "it answered with something else than MCP".to_owned() }
                }
            },
            Fault::UnexpectedContentType(kind) => {
                let kind = kind.unwrap_or_else(|| "no content type".to_owned());
                Self::NotMcp { address, found: format!("it answered with {}", words(&kind)) }
            }
            Fault::Deserialize(_) | Fault::ServerDoesNotSupportSse | Fault::SessionExpired => {
                Self::NotMcp { address, found: "it answered with something else than MCP".to_owned() }
            }
            Fault::ResponseBodyTooLarge { max_size } => {
                Self::Protocol { address, reason: format!("its answer has more than {max_size} bytes") }
            }
            Fault::ReservedHeaderConflict(_) => Self::Setup("a header is MCP's own and cannot be set"),
            error => Self::Unreachable { address, cause: error.into() },
        }
    }

    /// The same, of a child that has ended with this status by itself, or was found ended.
    pub(crate) fn of_child(self, ended: Option<ExitStatus>, last_lines: Vec<String>) -> Self {
        match self {
            Self::TimedOut { address, after, .. } => Self::TimedOut { address, after, stderr: last_lines },
            Self::Ended { address, .. } => Self::Ended { address, status: ended, stderr: last_lines },
            other => other,
        }
    }
}

/// The status in rmcp's words for a refused request: `HTTP 404 Not Found: …`, at the start or after its reason. What
/// follows is the server's own text and is left out.
pub(crate) fn refused(text: &str) -> Option<StatusCode> {
    let text = text.strip_prefix("server/discover rejected with ").unwrap_or(text);
    text.strip_prefix("HTTP ")?.get(..3)?.parse().ok()
}

fn error_words(status: StatusCode) -> String {
    let hint = if status.is_redirection() { ", which leads elsewhere" } else { "" };
    format!("it answered with HTTP {status}{hint}")
}

/// The start of a server's own words, on one line.
pub(crate) fn words(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(MAX_WORDS).collect()
}

/// What really happened, without the layers around it.
fn innermost(error: impl Error + Send + Sync + 'static) -> Cause {
    let mut cause: &dyn Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string().into()
}

fn advice(reason: &Option<Cause>) -> String {
    reason.as_ref().map_or_else(|| "give it a key that it accepts".to_owned(), ToString::to_string)
}

fn exit(status: &Option<ExitStatus>) -> String {
    status.map(|status| format!(" ({status})")).unwrap_or_default()
}

fn why(reason: &Option<String>) -> String {
    reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
}

fn shown(stderr: &[String]) -> String {
    if stderr.is_empty() { String::new() } else { format!("; it said:\n{}", stderr.join("\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_refusal_is_found_and_nothing_else_of_it() {
        for (text, status) in [
            ("HTTP 404 Not Found: <html>", Some(StatusCode::NOT_FOUND)),
            (
                "server/discover rejected with HTTP 405 Method Not Allowed: ",
                Some(StatusCode::METHOD_NOT_ALLOWED),
            ),
            ("could not parse JSON response: HTTP 404", None),
            ("HTTP", None),
        ] {
            assert_eq!(refused(text), status, "{text}");
        }
    }
}
