//! What went wrong, from the status, the headers and the words of the server.

use std::time::Duration;

use async_openai::error::OpenAIError;
use jiff::Timestamp;
use reqwest::{StatusCode, header::HeaderMap};
use serde_json::Value;

use super::parameters::Parameter;
use crate::{ProviderError, error::root_cause, redact::Redactor};

/// A failed call. It travels through async-openai as the error of our own HTTP service.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub(super) struct Failure {
    pub(super) error: ProviderError,
    /// The parameter that the model does not take, if that is why.
    pub(super) refused: Option<Parameter>,
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        Self { error, refused: None }
    }
}

impl Failure {
    /// What async-openai reports: our own failure, or what it met while it read an answer.
    pub(super) fn from_client(error: OpenAIError, redactor: &Redactor) -> Self {
        let error = match error {
            OpenAIError::Boxed(error) => match error.downcast::<Self>() {
                Ok(failure) => return *failure,
                Err(other) => ProviderError::Failed { message: redactor.clean(&other.to_string()) },
            },
            OpenAIError::Reqwest(error) => transport(error, redactor),
            OpenAIError::StreamError(_) => {
                ProviderError::BrokenStream { message: "the connection was lost".to_owned() }
            }
            OpenAIError::JSONDeserialize(..) => not_an_answer(),
            other => ProviderError::Failed { message: redactor.clean(&other.to_string()) },
        };
        error.into()
    }

    /// An answer with another status than 2xx. `took` is the time since the request was sent.
    pub(super) fn from_status(
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        took: Duration,
        redactor: &Redactor,
    ) -> Self {
        let words = Words::from_body(body);
        let message = match &words.message {
            Some(message) => redactor.clean(message),
            None if status.is_redirection() => {
                format!("it redirects (HTTP {status}): is OPENAI_BASE_URL the right address?")
            }
            None => format!("HTTP {status}"),
        };
        let refused = (status == StatusCode::BAD_REQUEST).then(|| words.refused_parameter()).flatten();
        Self { error: words.error(status.as_u16(), message, wait(headers), took), refused }
    }

    /// An error object in an answer whose status was 200.
    pub(super) fn from_object(object: &Value, took: Duration, redactor: &Redactor) -> ProviderError {
        let words = Words::from_json(object);
        let message = words.message.as_deref().unwrap_or("it reports an error without a message");
        let message = redactor.clean(message);
        words.error(words.likely_status(), message, None, took)
    }
}

/// An answer that is no chat completion. Its text stays out of the message.
pub(super) fn not_an_answer() -> ProviderError {
    ProviderError::AnswerLost { message: "it is not a chat completion".to_owned() }
}

/// A request that got no answer. A connection that was never made cannot have cost anything, however it failed.
pub(super) fn transport(error: reqwest::Error, redactor: &Redactor) -> ProviderError {
    // The address may hold a password; of it, scheme, host and port are shown and nothing else.
    let origin = error.url().map(|url| url.origin().ascii_serialization());
    let error = error.without_url();
    let cause = redactor.clean(&root_cause(&error).to_string());
    if error.is_builder() {
        ProviderError::NotConfigured { hint: format!("OPENAI_BASE_URL is not an address: {cause}") }
    } else if error.is_connect() {
        ProviderError::Unreachable {
            message: origin.map_or(cause.clone(), |origin| format!("{origin}: {cause}")),
        }
    } else {
        ProviderError::AnswerLost { message: cause }
    }
}

/// What the server says about an error.
#[derive(Default)]
struct Words {
    message: Option<String>,
    code: String,
    kind: String,
    parameter: Option<String>,
    status: Option<u16>,
}

impl Words {
    fn from_body(body: &[u8]) -> Self {
        if let Ok(json) = serde_json::from_slice::<Value>(body) {
            return Self::from_json(json.get("error").unwrap_or(&json));
        }
        let text = String::from_utf8_lossy(body);
        let text = text.trim();
        // A page of HTML says nothing that its status does not say.
        let message = (!text.is_empty() && !text.starts_with('<')).then(|| text.to_owned());
        Self { message, ..Self::default() }
    }

    fn from_json(object: &Value) -> Self {
        let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
        let message = match object {
            Value::String(message) => Some(message.clone()),
            Value::Null => None,
            object => ["message", "detail", "msg"]
                .into_iter()
                .find_map(text)
                .or_else(|| object.get("detail").map(Value::to_string)),
        };
        let inner = object.pointer("/innererror/code").and_then(Value::as_str).map(str::to_owned);
        let status = object.get("code").or_else(|| object.get("status")).and_then(Value::as_u64);
        Self {
            message: message.filter(|message| !message.trim().is_empty()),
            code: text("code").or(inner).unwrap_or_default(),
            kind: text("type").unwrap_or_default(),
            parameter: text("param"),
            status: status.and_then(|status| u16::try_from(status).ok()),
        }
    }

    fn is_content_filter(&self) -> bool {
        ["content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation"]
            .contains(&self.code.as_str())
    }

    /// The parameter that a model does not take: the named one or, where none is named, the one quoted in the message.
    fn refused_parameter(&self) -> Option<Parameter> {
        if !["unsupported_parameter", "unsupported_value", "unknown_parameter"].contains(&self.code.as_str())
        {
            return None;
        }
        match &self.parameter {
            Some(name) => Parameter::from_name(name),
            None => self.message.as_deref()?.split(['\'', '"', '`']).find_map(Parameter::from_name),
        }
    }

    /// The status that this error would have had if it had come before the answer began.
    fn likely_status(&self) -> u16 {
        if let Some(status) = self.status.filter(|status| (400..600).contains(status)) {
            return status;
        }
        let says = |word: &str| self.code.contains(word) || self.kind.contains(word);
        if says("rate_limit") || says("insufficient_quota") {
            429
        } else if says("overloaded") || says("unavailable") {
            503
        } else if says("invalid_api_key") || says("authentication") || says("permission") {
            401
        } else if says("invalid_request") || says("context_length") {
            400
        } else if says("timeout") {
            504
        } else {
            500
        }
    }

    fn error(
        &self,
        status: u16,
        message: String,
        retry_after: Option<Duration>,
        took: Duration,
    ) -> ProviderError {
        if self.is_content_filter() {
            return ProviderError::ContentFiltered { message, usage: None };
        }
        match status {
            401 | 403 => ProviderError::Unauthorized { message },
            // An account without money or quota: that it may try again is true, but no wait that it names helps.
            402 => ProviderError::RateLimited { message, retry_after: None },
            429 if self.code == "insufficient_quota" || self.kind == "insufficient_quota" => {
                ProviderError::RateLimited { message, retry_after: None }
            }
            429 => ProviderError::RateLimited { message, retry_after },
            // Somebody between us and the model gave up, after as long as we have waited.
            408 | 504 | 524 => ProviderError::TimedOut { after: took },
            503 | 529 => ProviderError::Overloaded { message, retry_after },
            400..500 => ProviderError::InvalidRequest { message },
            _ => ProviderError::Failed { message },
        }
    }
}

/// How long the server asks to wait. A wait of more than a day is a mistake, and ignored.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let seconds = |text: &str| Duration::try_from_secs_f64(text.parse().ok()?).ok();
    text("retry-after-ms")
        .and_then(|text| Duration::try_from_secs_f64(text.parse::<f64>().ok()? / 1_000.0).ok())
        .or_else(|| text("retry-after").and_then(|text| seconds(text).or_else(|| until(text))))
        .or_else(|| {
            // The limit that is used up tells; which one it was, an older server may leave out.
            let resets = ["requests", "tokens"].map(|of| {
                let used_up = text(&format!("x-ratelimit-remaining-{of}")).is_none_or(|left| left == "0");
                used_up.then(|| text(&format!("x-ratelimit-reset-{of}")).and_then(span)).flatten()
            });
            resets.into_iter().flatten().max()
        })
        .filter(|wait| *wait <= DAY)
}

/// The time until an HTTP date.
fn until(date: &str) -> Option<Duration> {
    let date = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(Timestamp::now())).unwrap_or(Duration::ZERO))
}

/// OpenAI's way to write a time: `20ms`, `1s`, `6m0s`, `1h2m3.5s`.
fn span(text: &str) -> Option<Duration> {
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let value: f64 = rest[..digits].parse().ok()?;
        let unit = &rest[digits..];
        let unit = &unit[..unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len())];
        total += value
            * match unit {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3_600.0,
                "d" => 86_400.0,
                _ => return None,
            };
        rest = &rest[digits + unit.len()..];
    }
    Duration::try_from_secs_f64(total).ok().filter(|_| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_of(headers: &[(&'static str, &str)]) -> Option<Duration> {
        wait(&headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect())
    }

    #[test]
    fn the_wait_is_read_in_every_form_that_servers_use() {
        assert_eq!(wait_of(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(
            wait_of(&[("retry-after", "7"), ("retry-after-ms", "250")]),
            Some(Duration::from_millis(250))
        );
        assert_eq!(wait_of(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]), Some(Duration::ZERO));
        assert_eq!(wait_of(&[("x-ratelimit-reset-tokens", "6m0s")]), Some(Duration::from_secs(360)));
        let used_up = [
            ("x-ratelimit-remaining-requests", "12"),
            ("x-ratelimit-reset-requests", "1h2m3.5s"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "20ms"),
        ];
        assert_eq!(wait_of(&used_up), Some(Duration::from_millis(20)));
    }

    #[test]
    fn a_wait_that_makes_no_sense_is_ignored() {
        for value in ["", "-1", "soon", "1e300", "NaN", "999999999"] {
            assert_eq!(wait_of(&[("retry-after", value)]), None, "{value}");
        }
        assert_eq!(wait_of(&[("x-ratelimit-reset-requests", "1x")]), None);
    }

    fn error(status: u16, body: &str) -> ProviderError {
        let status = StatusCode::from_u16(status).unwrap();
        let headers = HeaderMap::from_iter([(reqwest::header::RETRY_AFTER, "5".parse().unwrap())]);
        Failure::from_status(status, &headers, body.as_bytes(), Duration::from_secs(9), &Redactor::default())
            .error
    }

    #[test]
    fn each_status_has_its_kind() {
        for (status, code) in [
            (301, "provider_failed"),
            (400, "provider_rejected_request"),
            (401, "provider_unauthorized"),
            (402, "rate_limited"),
            (403, "provider_unauthorized"),
            (404, "provider_rejected_request"),
            (408, "provider_timed_out"),
            (413, "provider_rejected_request"),
            (422, "provider_rejected_request"),
            (429, "rate_limited"),
            (500, "provider_failed"),
            (502, "provider_failed"),
            (503, "provider_overloaded"),
            (504, "provider_timed_out"),
            (529, "provider_overloaded"),
        ] {
            assert_eq!(error(status, "").code(), code, "{status}");
        }
    }

    #[test]
    fn a_used_up_quota_names_no_wait_because_waiting_does_not_help() {
        let body = r#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#;
        assert!(matches!(error(429, body), ProviderError::RateLimited { retry_after: None, .. }));
        assert!(matches!(error(429, "{}"), ProviderError::RateLimited { retry_after: Some(_), .. }));
    }

    #[test]
    fn the_message_is_found_wherever_a_server_puts_it() {
        for body in [
            r#"{"error":{"message":"out of cheese"}}"#,
            r#"{"error":"out of cheese"}"#,
            r#"{"object":"error","message":"out of cheese","code":400}"#,
            r#"{"detail":"out of cheese"}"#,
            "out of cheese\n",
        ] {
            assert_eq!(
                error(400, body).to_string(),
                "the provider rejected the request: out of cheese",
                "{body}"
            );
        }
        assert_eq!(error(500, "<html>").to_string(), "the provider failed: HTTP 500 Internal Server Error");
    }

    #[test]
    fn an_azure_content_filter_is_told_from_other_bad_requests() {
        let body = r#"{"error":{"message":"filtered","code":"content_filter","innererror":{"code":"x"}}}"#;
        assert_eq!(error(400, body).code(), "content_filtered");
    }

    #[test]
    fn an_error_object_in_a_stream_has_the_kind_that_its_words_say() {
        for (object, code) in [
            (r#"{"message":"x","type":"server_error"}"#, "provider_failed"),
            (r#"{"message":"x","type":"rate_limit_exceeded"}"#, "rate_limited"),
            (r#"{"message":"x","code":503}"#, "provider_overloaded"),
            (r#"{"message":"x","type":"overloaded_error"}"#, "provider_overloaded"),
            (r#"{"message":"x","type":"invalid_request_error"}"#, "provider_rejected_request"),
            (r#"{"message":"x","code":"content_filter"}"#, "content_filtered"),
            (r#""just words""#, "provider_failed"),
        ] {
            let object = serde_json::from_str(object).unwrap();
            assert_eq!(Failure::from_object(&object, Duration::ZERO, &Redactor::default()).code(), code);
        }
    }
}
