//! Errors: those of upstreams, which go through untouched, and those that the gateway makes by itself. Each of its own says in
//! `error.data` what kind it is (`code`), and which upstream, operation, request, attempt and time it is about.

use std::{borrow::Cow, sync::Arc};

use json_rpc::{Error, Members, Raw};

use crate::{bridge::revision, fleet::CallError};

/// A resource that is not there, before 2026-07-28.
pub(crate) const RESOURCE_NOT_FOUND: i64 = -32_002;
const ACCESS_DENIED: i64 = -32_004;
const TIMEOUT: i64 = -32_005;
const OVERLOADED: i64 = -32_006;
const AUTHENTICATION_FAILED: i64 = -32_007;
const MISSING_CAPABILITY: i64 = -32_021;
const UNSUPPORTED_VERSION: i64 = -32_022;

/// What a request comes to.
pub(crate) type Answer = Result<Raw, Fault>;

/// Why a request has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The upstream's own error, as it came.
    Theirs(Raw),
    /// The gateway's.
    Ours(Box<Refusal>),
}

/// An error of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    number: i64,
    /// Its name in `data.code`.
    code: &'static str,
    message: Cow<'static, str>,
    upstream: Option<Arc<str>>,
    /// What else is in `data`.
    more: Vec<(&'static str, Raw)>,
}

impl Refusal {
    /// Its number, its name in `data.code`, and what to do.
    pub(crate) fn new(number: i64, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { number, code, message: message.into(), upstream: None, more: Vec::new() }
    }

    /// The same, about this upstream.
    pub(crate) fn about(self, upstream: impl Into<Arc<str>>) -> Self {
        Self { upstream: Some(upstream.into()), ..self }
    }

    /// The same, which says more in `data`.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Raw>) -> Self {
        self.more.push((name, value.into()));
        self
    }

    /// The same, which says this too in `data`, where it does not say it already.
    pub(crate) fn within(mut self, context: impl IntoIterator<Item = (&'static str, Raw)>) -> Self {
        for (name, value) in context {
            let is_known = match name {
                "code" => true,
                "upstream" => self.upstream.is_some(),
                _ => self.more.iter().any(|(known, _)| *known == name),
            };
            if !is_known {
                self.more.push((name, value));
            }
        }
        self
    }

    pub(crate) fn number(&self) -> i64 {
        self.number
    }

    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    /// The upstream that it is about.
    pub(crate) fn upstream(&self) -> Option<&Arc<str>> {
        self.upstream.as_ref()
    }

    /// Whether a rule keeps it from the client.
    pub(crate) fn is_denial(&self) -> bool {
        self.number == ACCESS_DENIED
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// As it is sent: with what is known of the request, members of `data`.
    pub(crate) fn told(mut self, context: impl IntoIterator<Item = (&'static str, Raw)>) -> Raw {
        self = self.within(context);
        let mut data = Members::default();
        data.set("code", Raw::text(self.code));
        if let Some(upstream) = &self.upstream {
            data.set("upstream", Raw::text(upstream));
        }
        for (name, value) in self.more {
            data.set(name, value);
        }
        Error::new(self.number, self.message).with_data(data.to_raw()).to_raw()
    }
}

impl Fault {
    /// The same, of a call whose upstream has asked for something and could not be given it: that much of the call was delivered.
    pub(crate) fn half_way(self) -> Self {
        match self {
            Self::Ours(refusal)
                if [
                    "UPSTREAM_UNAVAILABLE",
                    "SERVER_OVERLOADED",
                    "AUTHENTICATION_FAILED",
                    "TOOL_NOT_FOUND",
                ]
                .contains(&refusal.code) =>
            {
                let message = "the upstream asked for something, and could not be given it any more: it may have done something already, so look \
                               before you repeat the call";
                let half_way = Refusal::new(Error::INTERNAL_ERROR, "DELIVERY_UNKNOWN", message);
                Refusal { upstream: refusal.upstream, ..half_way }.into()
            }
            other => other,
        }
    }

    /// As it is sent.
    pub(crate) fn told(self) -> Raw {
        match self {
            Self::Theirs(error) => error,
            Self::Ours(refusal) => refusal.told([]),
        }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Ours(Box::new(refusal))
    }
}

impl From<CallError> for Fault {
    fn from(failure: CallError) -> Self {
        Refusal::from(failure).into()
    }
}

/// Parameters that are not as they must be.
pub(crate) fn invalid_params(what: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(Error::INVALID_PARAMS, "INVALID_PARAMS", what)
}

/// A request that comes at the wrong time.
pub(crate) fn invalid_request(what: &'static str) -> Refusal {
    Refusal::new(Error::INVALID_REQUEST, "INVALID_REQUEST", what)
}

/// A method that nobody knows, or not in this era.
pub(crate) fn method_not_found(what: &'static str) -> Refusal {
    Refusal::new(Error::METHOD_NOT_FOUND, "METHOD_NOT_FOUND", what)
}

/// A revision of MCP that is not spoken here.
pub(crate) fn unsupported_version(requested: &str) -> Refusal {
    let supported: Vec<_> = revision::all().collect();
    let message = "unsupported protocol version: use one of `data.supported`";
    Refusal::new(UNSUPPORTED_VERSION, "UNSUPPORTED_PROTOCOL_VERSION", message)
        .with("requested", Raw::text(requested))
        .with("supported", Raw::of(&supported).expect("texts are always JSON"))
}

/// The client speaks of tasks, but did not declare them.
pub(crate) fn missing_tasks_capability() -> Refusal {
    let required = Raw::read(r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#);
    let message = "the client must declare the extension io.modelcontextprotocol/tasks";
    Refusal::new(MISSING_CAPABILITY, "MISSING_CLIENT_CAPABILITY", message)
        .with("requiredCapabilities", required.expect("the text above is JSON"))
}

/// No tool or prompt of this name.
pub(crate) fn unknown_name(is_tool: bool) -> Refusal {
    let (code, message) = if is_tool {
        ("TOOL_NOT_FOUND", "there is no tool of this name: list the tools again")
    } else {
        ("PROMPT_NOT_FOUND", "there is no prompt of this name: list the prompts again")
    };
    Refusal::new(Error::INVALID_PARAMS, code, message)
}

/// No resource at this URI.
pub(crate) fn resource_not_found(uri: &str, is_modern: bool) -> Refusal {
    let number = if is_modern { Error::INVALID_PARAMS } else { RESOURCE_NOT_FOUND };
    let message = "resource not found: no upstream has one at this URI";
    Refusal::new(number, "RESOURCE_NOT_FOUND", message).with("uri", Raw::text(uri))
}

/// Something that is there, and that a rule of the gateway keeps from clients: `why` says which.
pub(crate) fn access_denied(why: &str) -> Refusal {
    Refusal::new(ACCESS_DENIED, "ACCESS_DENIED", format!("access denied: {why}"))
}

/// The client cannot be asked what a server wants to know: that server is told.
pub(crate) fn not_answered(why: &'static str) -> Raw {
    Refusal::new(Error::INTERNAL_ERROR, "NOT_ANSWERED", why).told([])
}

/// A call that waited for its client, and cannot any more.
pub(crate) fn not_kept(why: &str) -> Refusal {
    Refusal::new(
        Error::INTERNAL_ERROR,
        "DELIVERY_UNKNOWN",
        format!("{why}: the call was told to stop, but may have done something: look before you repeat it"),
    )
}

/// One of the gateway's own tools that is called by itself, however far in between.
pub(crate) fn within_itself(tool: &str) -> Refusal {
    let message = format!("\"{tool}\" is at work already and cannot be a part of itself: call it by its own");
    Refusal::new(Error::INVALID_PARAMS, "WITHIN_ITSELF", message)
}

/// The time of the whole was over while a part of it was under way.
pub(crate) fn part_stopped() -> Refusal {
    let message = "the time for all calls together is over: it was told to stop, but may have done something: look before you repeat it";
    Refusal::new(TIMEOUT, "TIMEOUT", message)
}

/// The time of the whole was over before a part of it had begun.
pub(crate) fn part_not_begun() -> Refusal {
    let message = "the time for all calls together was over before this one was made: nothing was delivered";
    Refusal::new(TIMEOUT, "TIMEOUT", message)
}

/// A part of a call has an answer for which the whole has no room.
pub(crate) fn part_too_large(bytes: usize) -> Refusal {
    let message = "it was carried out, but its answer is too large beside the others: call it by its own, or ask for less";
    Refusal::new(Error::INTERNAL_ERROR, "OUTPUT_TOO_LARGE", message).with("bytes", bytes as u64)
}

/// A call of one of the gateway's own tools has panicked. The log has where.
pub(crate) fn broken() -> Refusal {
    let message = "the gateway failed on this call, and its log says why: parts of it may have been carried out, so look before you repeat it";
    Refusal::new(Error::INTERNAL_ERROR, "INTERNAL_ERROR", message)
}

/// Nobody is there any more.
pub(crate) fn stopped() -> Refusal {
    Refusal::new(
        Error::INTERNAL_ERROR,
        "GATEWAY_STOPPED",
        "the gateway has stopped: look before you repeat the call",
    )
}

impl From<CallError> for Refusal {
    fn from(failure: CallError) -> Self {
        let (number, code, advice) = match &failure {
            CallError::Withdrawn { refusal, .. } => return Self::clone(refusal),
            CallError::Unreachable { .. } | CallError::Dismissed { .. } | CallError::BreakerOpen { .. } => {
                (Error::INTERNAL_ERROR, "UPSTREAM_UNAVAILABLE", "nothing was delivered: try again later")
            }
            CallError::Overloaded { .. } => (OVERLOADED, "SERVER_OVERLOADED", "nothing was delivered"),
            CallError::TimedOut { .. } => (
                TIMEOUT,
                "TIMEOUT",
                "it was told to stop, but may have done something: look before you repeat it",
            ),
            CallError::DeliveryUnknown { .. } => (
                Error::INTERNAL_ERROR,
                "DELIVERY_UNKNOWN",
                "it is not known whether the call was carried out: look before you repeat it",
            ),
            CallError::Unacceptable { .. } => (
                Error::INVALID_REQUEST,
                "INVALID_REQUEST",
                "nothing was carried out, and the same would not be accepted again: change the request, or make it smaller",
            ),
            CallError::TooLarge { .. } => (
                Error::INTERNAL_ERROR,
                "OUTPUT_TOO_LARGE",
                "the call was delivered, and is not repeated as the same would come again: ask for less, or who runs the gateway can raise the upstream's `max_message_bytes`",
            ),
            CallError::Refused { .. } => (
                AUTHENTICATION_FAILED,
                "AUTHENTICATION_FAILED",
                "nothing was delivered: who runs the gateway must set the upstream's key",
            ),
        };
        let retry_after_seconds = match &failure {
            CallError::BreakerOpen { retry_after_seconds, .. } => Some(*retry_after_seconds),
            _ => None,
        };
        let refusal =
            Self::new(number, code, format!("{failure}; {advice}")).about(failure.upstream().clone());
        match retry_after_seconds {
            Some(seconds) => refusal.with("retry_after_seconds", seconds),
            None => refusal,
        }
    }
}

impl CallError {
    /// The upstream that it is about.
    fn upstream(&self) -> &Arc<str> {
        match self {
            Self::Unreachable { upstream, .. }
            | Self::Dismissed { upstream }
            | Self::BreakerOpen { upstream, .. }
            | Self::Overloaded { upstream }
            | Self::TimedOut { upstream, .. }
            | Self::DeliveryUnknown { upstream, .. }
            | Self::Unacceptable { upstream, .. }
            | Self::TooLarge { upstream, .. }
            | Self::Refused { upstream, .. }
            | Self::Withdrawn { upstream, .. } => upstream,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(error: impl Into<Refusal>) -> Value {
        error.into().told([]).parse().unwrap()
    }

    #[test]
    fn a_failed_call_says_which_upstream_it_was_what_kind_of_failure_and_what_to_do() {
        let upstream = || "far".into();
        let reason = || "it hung up".to_owned();
        for (failure, number, code) in [
            (
                CallError::Unreachable { upstream: upstream(), reason: reason() },
                -32603,
                "UPSTREAM_UNAVAILABLE",
            ),
            (
                CallError::BreakerOpen { upstream: upstream(), reason: reason(), retry_after_seconds: 7 },
                -32603,
                "UPSTREAM_UNAVAILABLE",
            ),
            (CallError::Dismissed { upstream: upstream() }, -32603, "UPSTREAM_UNAVAILABLE"),
            (CallError::Overloaded { upstream: upstream() }, -32006, "SERVER_OVERLOADED"),
            (CallError::TimedOut { upstream: upstream(), seconds: 60 }, -32005, "TIMEOUT"),
            (
                CallError::DeliveryUnknown { upstream: upstream(), reason: reason() },
                -32603,
                "DELIVERY_UNKNOWN",
            ),
            (CallError::Unacceptable { upstream: upstream(), reason: reason() }, -32600, "INVALID_REQUEST"),
            (CallError::TooLarge { upstream: upstream(), reason: reason() }, -32603, "OUTPUT_TOO_LARGE"),
            (CallError::Refused { upstream: upstream(), reason: reason() }, -32007, "AUTHENTICATION_FAILED"),
        ] {
            let error = told(failure.clone());
            assert_eq!((&error["code"], &error["data"]["code"]), (&json!(number), &json!(code)));
            assert_eq!(error["data"]["upstream"], "far");
            let message = error["message"].as_str().unwrap();
            assert!(message.contains("upstream \"far\""), "{message}");
            assert!(message.contains("; ") && !message.ends_with('.'), "{message}");
            let wait = matches!(failure, CallError::BreakerOpen { .. }).then_some(7);
            assert_eq!(error["data"]["retry_after_seconds"].as_u64(), wait);
        }
    }

    #[test]
    fn a_missing_resource_has_the_number_of_each_era_and_names_the_uri() {
        for (is_modern, number) in [(false, -32002), (true, -32602)] {
            let error = told(resource_not_found("a:\"b", is_modern));
            assert_eq!(error["code"], number);
            assert_eq!(error["data"], json!({"code": "RESOURCE_NOT_FOUND", "uri": "a:\"b"}));
        }
    }

    #[test]
    fn a_client_of_an_unknown_revision_is_told_which_ones_are_known() {
        let error = told(unsupported_version("2030-01-01"));
        assert_eq!(error["code"], -32022);
        assert_eq!(error["data"]["requested"], "2030-01-01");
        assert_eq!(error["data"]["supported"].as_array().unwrap().len(), 5);
    }
}
