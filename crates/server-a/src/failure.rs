//! Failures as the model that called a tool reads them.

use ledger::LedgerError;
use models::{FieldError, Problem};
use responder_client::{ResponderClient, ResponderError};
use rmcp::ErrorData;
use schemars::JsonSchema;
use serde::Serialize;

/// Why a tool call gave no result, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Failure {
    /// Always `false`: results have `true` there.
    success: bool,
    /// What happened, in one line.
    pub error: String,
    /// More about it.
    pub detail: String,
    /// What to do about it.
    pub hint: Box<str>,
    /// Stable name of the error, for programs.
    pub code: Box<str>,
    /// Every argument that broke a rule.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub errors: Vec<FieldError>,
}

impl Failure {
    fn new(code: &str, error: impl Into<String>, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        let (error, detail, hint) = (error.into(), detail.into(), hint.into().into_boxed_str());
        Self { success: false, error, detail, hint, code: code.into(), errors: Vec::new() }
    }

    /// Arguments that break rules: all of them.
    pub(crate) fn arguments(errors: Vec<FieldError>) -> Self {
        let detail: Vec<_> = errors.iter().map(|error| format!("{} {}", error.field, error.detail)).collect();
        let hint = "Correct the arguments and call the tool again";
        Self { errors, ..Self::new("invalid_arguments", "Invalid arguments", detail.join("; "), hint) }
    }

    /// Arguments that cannot be read at all.
    pub(crate) fn shape(field: &str, rule: &str) -> Self {
        Self::arguments(vec![FieldError { field: field.to_owned(), detail: rule.to_owned() }])
    }

    pub(crate) fn busy(limit: usize) -> Self {
        let detail = format!("{limit} calls are being answered already");
        Self::new("busy", "Server A is busy", detail, "Wait for an answer, then call again")
    }

    pub(crate) fn cancelled() -> Self {
        Self::new(
            "cancelled",
            "Cancelled",
            "the call was cancelled before its answer was complete",
            "Call again",
        )
    }

    pub(crate) fn internal() -> Self {
        let detail = "the tool failed in a way that nobody foresaw; the log of Server A says more";
        Self::new("internal_error", "Internal error", detail, "Report it; another call may succeed")
    }

    pub(crate) fn ledger(error: &LedgerError) -> Self {
        let hint =
            "Check the disk and DATABASE_URL of Server A; without conversation_id a message needs no history";
        Self::new("ledger_failed", "The history cannot be read", error.to_string(), hint)
    }

    /// The user was asked something before the message was sent, and did not agree.
    pub(crate) fn declined(what: &str, hint: &str) -> Self {
        Self::new("declined", "Declined", format!("{what}; nothing was sent"), hint)
    }

    /// The user was asked something before the message was sent, and there is no answer.
    pub(crate) fn unanswered(why: &str) -> Self {
        let hint = "Call the tool again to be asked again, or avoid the question: name a model of list_available_models, \
                    or ask for less (max_tokens)";
        Self::new("unanswered_question", "No answer to a question", format!("{why}; nothing was sent"), hint)
    }

    /// The same for a request that is no tool call.
    pub(crate) fn into_error(self) -> ErrorData {
        ErrorData::internal_error(format!("{}: {}", self.error, self.detail), None)
    }

    /// A failure of the way to server-b, or of server-b itself.
    pub(crate) fn responder(error: &ResponderError, responder: &ResponderClient) -> Self {
        let url = responder.address();
        let code = error.code();
        match error {
            ResponderError::ConnectionRefused => Self::new(
                code,
                "Connection refused: is Server B running?",
                format!("nothing listens on {url}"),
                format!("Start Server B on {url}, or set SERVER_B_URL to where it runs"),
            ),
            ResponderError::Unreachable(source) => Self::new(
                code,
                "Server B cannot be reached",
                format!("no connection to {url}: {}", innermost(source)),
                "Check SERVER_B_URL, the network, and the proxy settings",
            ),
            ResponderError::ConnectionLost(source) => Self::new(
                code,
                "The connection to Server B was lost",
                format!("{url} closed it before the answer was complete: {}", innermost(source)),
                "Send the message again; if it happens again, look at the log of Server B",
            ),
            ResponderError::TimedOut { after } => Self::new(
                code,
                "Server B did not answer in time",
                format!("{url} did not answer within {} s", after.as_secs()),
                "Try again, ask for less (max_tokens), or raise TIMEOUT_SECONDS",
            ),
            ResponderError::Problem { problem, .. } => Self {
                errors: problem.errors.clone(),
                ..Self::new(
                    code,
                    format!("Server B answered {} {}", problem.status, problem.title),
                    problem.detail.clone(),
                    if error.key_is_in_use() { STILL_ANSWERED } else { advice(problem) },
                )
            },
            ResponderError::StreamFailed(failure) => Self::new(
                code,
                "Server B broke the answer off",
                failure.error.clone(),
                "Send the message again; what had arrived is not an answer",
            ),
            ResponderError::BrokenStream => Self::new(
                code,
                "The stream from Server B broke off",
                format!("{url} ended it before the answer was complete"),
                "Send the message again; if it happens again, look at the log of Server B",
            ),
            ResponderError::InvalidAnswer(what) => Self::new(
                code,
                "The answer of Server B cannot be read",
                what.clone(),
                format!("Check that {url} is Server B, of the same version as Server A"),
            ),
        }
    }
}

/// Another call would have a key, and a price, of its own.
const STILL_ANSWERED: &str = "Do not call again yet, it would be paid a second time: Server B is still answering this \
    message. Wait a while, then look for the answer in the history of Server B";

fn advice(problem: &Problem) -> &'static str {
    match problem.status {
        401 | 403 => "Set SERVER_B_API_KEY of Server A to a key that Server B accepts",
        400 | 413 | 422 => "Correct the arguments and call the tool again",
        404 => "Check that SERVER_B_URL points to Server B, or list the models that it knows",
        429 => "Wait a while and send the message again",
        503 => "Check the provider's key and quota on Server B (see check_server_b_health), then try again",
        502 | 504 => "Try again; if it happens again, the model provider has a problem",
        _ => "Look at the log of Server B",
    }
}

/// The last cause: the outer ones only repeat that there was no connection.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
