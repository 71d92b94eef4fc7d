//! Answers in one piece: JSON of a bounded size, or a problem document.

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822};
use models::{FieldError, Problem};
use reqwest::{
    Response, StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{ResponderError, error::is_passing};

/// Largest problem document in bytes: it is text for a person.
const PROBLEM_MAX_BYTES: usize = 64 << 10;

/// Reads the whole answer.
pub(crate) async fn read<T: DeserializeOwned>(
    response: Response,
    max_bytes: usize,
) -> Result<T, ResponderError> {
    let bytes = bounded(response, max_bytes).await?;
    serde_json::from_slice(&bytes).map_err(|error| unexpected(&error))
}

/// Where an answer is not what it should be. The text of a serde error would quote the answer.
pub(crate) fn unexpected(error: &serde_json::Error) -> ResponderError {
    let what = if error.is_data() { "unexpected JSON" } else { "not JSON" };
    ResponderError::InvalidAnswer(format!("{what} at line {} column {}", error.line(), error.column()))
}

/// An answer larger than the limit.
pub(crate) fn too_large(max_bytes: usize) -> ResponderError {
    ResponderError::InvalidAnswer(format!("it has more than {max_bytes} bytes"))
}

/// The error that an answer without success stands for.
pub(crate) async fn problem(response: Response) -> ResponderError {
    let status = response.status();
    let retry_after = retry_after(response.headers(), Timestamp::now());
    // A body that cannot be read changes nothing about the status.
    let body = bounded(response, PROBLEM_MAX_BYTES).await.unwrap_or_default();
    let said = serde_json::from_slice(&body).unwrap_or_default();
    ResponderError::Problem { problem: Box::new(complete(said, status)), retry_after }
}

async fn bounded(mut response: Response, max_bytes: usize) -> Result<Vec<u8>, ResponderError> {
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    if announced > max_bytes {
        return Err(too_large(max_bytes));
    }
    let mut bytes = Vec::with_capacity(announced);
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() + chunk.len() > max_bytes {
            return Err(too_large(max_bytes));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The members of a problem document that matter. A proxy's page has none of them, another program's only some.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    title: Option<String>,
    detail: Option<String>,
    code: Option<String>,
    retryable: Option<bool>,
    request_id: Option<String>,
    errors: Vec<FieldError>,
}

fn complete(said: Said, status: StatusCode) -> Problem {
    let title = || status.canonical_reason().unwrap_or("Unknown status").to_owned();
    let detail = || {
        if status.is_redirection() {
            "it redirects to another address, which is not followed: set that address as the URL of server-b"
        } else {
            "it gave no reason; is this really server-b, or a proxy in front of it?"
        }
    };
    Problem {
        kind: "about:blank".to_owned(),
        title: said.title.unwrap_or_else(title),
        status: status.as_u16(),
        detail: said.detail.unwrap_or_else(|| detail().to_owned()),
        code: said.code.unwrap_or_else(|| format!("http_{}", status.as_u16())),
        retryable: said.retryable.unwrap_or(is_passing(status.as_u16())),
        request_id: said.request_id,
        errors: said.errors,
    }
}

/// `Retry-After`: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = rfc2822::parse(value).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default()) // a date gone by is a wait of zero
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn waits(value: &'static str) -> Option<Duration> {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
        retry_after(&headers, "1994-11-06T08:49:30Z".parse().unwrap())
    }

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        assert_eq!(waits("3"), Some(Duration::from_secs(3)));
        assert_eq!(waits("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(7)));
        assert_eq!(waits("Sun, 06 Nov 1994 08:49:00 GMT"), Some(Duration::ZERO));
        assert_eq!(waits("soon"), None);
    }

    #[test]
    fn an_unreadable_answer_is_not_quoted() {
        let error = serde_json::from_str::<u32>("\"private words\"").unwrap_err();
        assert!(!unexpected(&error).to_string().contains("private"));
    }
}
