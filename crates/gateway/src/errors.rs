//! Errors that the gateway makes by itself. Each says in `error.data` which upstream it is about and what kind it is; an
//! upstream's own errors go through untouched.

use std::borrow::Cow;

use json_rpc::{Error, Raw};
use serde::Serialize;

use crate::{bridge::revision, fleet::CallError};

/// A resource that is not there, before 2026-07-28.
pub(crate) const RESOURCE_NOT_FOUND: i64 = -32_002;
const TIMEOUT: i64 = -32_005;
const OVERLOADED: i64 = -32_006;
const AUTHENTICATION_FAILED: i64 = -32_007;
const MISSING_CAPABILITY: i64 = -32_021;
const UNSUPPORTED_VERSION: i64 = -32_022;

/// More about an error, for programs.
#[derive(Default, Serialize)]
struct Data<'a> {
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
}

fn error(number: i64, message: impl Into<Cow<'static, str>>, data: &Data<'_>) -> Raw {
    let data = Raw::of(data).expect("texts and numbers are always JSON");
    Error::new(number, message).with_data(data).to_raw()
}

/// An error of the gateway: its number, its name in `data.code`, the upstream that it is about, and what to do.
pub(crate) fn own(
    number: i64,
    code: &'static str,
    upstream: Option<&str>,
    message: impl Into<Cow<'static, str>>,
) -> Raw {
    error(number, message, &Data { code, upstream, ..Data::default() })
}

/// Parameters that are not as they must be.
pub(crate) fn invalid_params(what: impl Into<Cow<'static, str>>) -> Raw {
    own(Error::INVALID_PARAMS, "INVALID_PARAMS", None, what)
}

/// A request that comes at the wrong time.
pub(crate) fn invalid_request(what: &'static str) -> Raw {
    own(Error::INVALID_REQUEST, "INVALID_REQUEST", None, what)
}

/// A method that nobody knows, or not in this era.
pub(crate) fn method_not_found(what: &'static str) -> Raw {
    own(Error::METHOD_NOT_FOUND, "METHOD_NOT_FOUND", None, what)
}

/// A revision of MCP that is not spoken here.
pub(crate) fn unsupported_version(requested: &str) -> Raw {
    #[derive(Serialize)]
    struct Versions<'a> {
        code: &'static str,
        requested: &'a str,
        supported: Vec<&'static str>,
    }
    let supported = revision::all().collect();
    let data = Versions { code: "UNSUPPORTED_PROTOCOL_VERSION", requested, supported };
    let data = Raw::of(&data).expect("texts are always JSON");
    Error::new(UNSUPPORTED_VERSION, "unsupported protocol version: use one of `data.supported`")
        .with_data(data)
        .to_raw()
}

/// The client speaks of tasks, but did not declare them.
pub(crate) fn missing_tasks_capability() -> Raw {
    let data = r#"{"code":"MISSING_CLIENT_CAPABILITY","requiredCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}"#;
    let data = Raw::read(data).expect("the text above is JSON");
    let message = "the client must declare the extension io.modelcontextprotocol/tasks";
    Error::new(MISSING_CAPABILITY, message).with_data(data).to_raw()
}

/// No tool or prompt of this name.
pub(crate) fn unknown_name(is_tool: bool) -> Raw {
    let (code, message) = if is_tool {
        ("TOOL_NOT_FOUND", "there is no tool of this name: list the tools again")
    } else {
        ("PROMPT_NOT_FOUND", "there is no prompt of this name: list the prompts again")
    };
    own(Error::INVALID_PARAMS, code, None, message)
}

/// No resource at this URI.
pub(crate) fn resource_not_found(uri: &str, is_modern: bool) -> Raw {
    let number = if is_modern { Error::INVALID_PARAMS } else { RESOURCE_NOT_FOUND };
    let data = Data { code: "RESOURCE_NOT_FOUND", uri: Some(uri), ..Data::default() };
    error(number, "resource not found: no upstream has one at this URI", &data)
}

/// The client cannot be asked what a server wants to know.
pub(crate) fn not_answered(why: &'static str) -> Raw {
    own(Error::INTERNAL_ERROR, "NOT_ANSWERED", None, why)
}

/// A call that waited for its client, and cannot any more.
pub(crate) fn not_kept(why: &str) -> Raw {
    own(
        Error::INTERNAL_ERROR,
        "DELIVERY_UNKNOWN",
        None,
        format!("{why}: the call was told to stop, but may have done something: look before you repeat it"),
    )
}

/// Nobody is there any more.
pub(crate) fn stopped() -> Raw {
    own(
        Error::INTERNAL_ERROR,
        "GATEWAY_STOPPED",
        None,
        "the gateway has stopped: look before you repeat the call",
    )
}

impl From<CallError> for Raw {
    fn from(failure: CallError) -> Self {
        let (number, code, advice) = match &failure {
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
        let data = Data { code, upstream: Some(failure.upstream()), retry_after_seconds, ..Data::default() };
        error(number, format!("{failure}; {advice}"), &data)
    }
}

impl CallError {
    /// The upstream that it is about.
    fn upstream(&self) -> &str {
        match self {
            Self::Unreachable { upstream, .. }
            | Self::Dismissed { upstream }
            | Self::BreakerOpen { upstream, .. }
            | Self::Overloaded { upstream }
            | Self::TimedOut { upstream, .. }
            | Self::DeliveryUnknown { upstream, .. }
            | Self::Refused { upstream, .. } => upstream,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(error: impl Into<Raw>) -> Value {
        error.into().parse().unwrap()
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
