//! What the headers of requests say of the messages in them.

use std::borrow::Cow;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ACCEPT, CONTENT_TYPE},
};
use json_rpc::Raw;
use serde::Deserialize;

use crate::{connect::events::EVENT_STREAM, dial::Outgoing};

pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
pub(super) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(super) const METHOD: HeaderName = HeaderName::from_static("mcp-method");
pub(super) const NAME: HeaderName = HeaderName::from_static("mcp-name");

const PARAM: &str = "mcp-param-";
const BASE64: (&str, &str) = ("=?base64?", "?=");

/// What all requests of a line say, from the handshake on or during it.
pub(super) struct Manner {
    stage: Stage,
    headers: HeaderMap,
}

/// How far the handshake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The version is not agreed on yet.
    Before,
    Legacy,
    /// Each message says by itself which version it is of.
    Modern,
}

impl Manner {
    /// Nothing is agreed on: so `initialize` is sent.
    pub(super) fn before(common: &HeaderMap) -> Self {
        let mut headers = common.clone();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Self { stage: Stage::Before, headers }
    }

    /// In the newer era: `version` is what the messages say.
    pub(super) fn modern(common: &HeaderMap, version: &str) -> Self {
        Self { stage: Stage::Modern, ..Self::before(common) }.with(PROTOCOL_VERSION, plain(version))
    }

    /// In the older era, with the session if there is one.
    pub(super) fn legacy(common: &HeaderMap, version: &str, session: Option<HeaderValue>) -> Self {
        let manner = Self { stage: Stage::Legacy, ..Self::before(common) };
        manner.with(PROTOCOL_VERSION, plain(version)).with(SESSION_ID, session)
    }

    fn with(mut self, name: HeaderName, value: Option<HeaderValue>) -> Self {
        set(&mut self.headers, name, value);
        self
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    pub(super) fn has_session(&self) -> bool {
        self.headers.contains_key(SESSION_ID)
    }

    /// With a message of this method, or with a response.
    pub(super) fn of_message(&self, method: Option<&str>) -> HeaderMap {
        let mut headers = self.headers.clone();
        if let (Stage::Modern, Some(method)) = (self.stage, method) {
            set(&mut headers, METHOD, plain(method));
        }
        headers
    }

    /// With this request.
    pub(super) fn of_request(&self, request: &Outgoing) -> HeaderMap {
        let mut headers = self.of_message(Some(&request.method));
        if self.stage == Stage::Modern {
            let name = name(&request.method, request.params.as_ref());
            set(&mut headers, NAME, name.and_then(|name| plain(&encoded(&name))));
            for (name, value) in &request.mirrored {
                if let Ok(name) = HeaderName::try_from(format!("{PARAM}{name}")) {
                    set(&mut headers, name, plain(&encoded(value)));
                }
            }
        }
        headers
    }

    /// When a stream is opened, or gone on with after this event.
    pub(super) fn of_stream(&self, last_event: Option<HeaderValue>) -> HeaderMap {
        let mut headers = self.headers.clone();
        headers.remove(CONTENT_TYPE);
        headers.insert(ACCEPT, HeaderValue::from_static(EVENT_STREAM));
        set(&mut headers, LAST_EVENT_ID, last_event);
        headers
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    if let Some(value) = value {
        headers.insert(name, value);
    }
}

fn plain(value: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(value).ok()
}

/// What `Mcp-Name` says of a request of this method.
fn name(method: &str, params: Option<&Raw>) -> Option<String> {
    #[derive(Deserialize)]
    struct Tool {
        name: String,
    }
    #[derive(Deserialize)]
    struct Resource {
        uri: String,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Task {
        task_id: String,
    }
    match method {
        "tools/call" | "prompts/get" => params?.parse::<Tool>().ok().map(|tool| tool.name),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
            params?.parse::<Resource>().ok().map(|resource| resource.uri)
        }
        "tasks/get" | "tasks/update" | "tasks/cancel" => {
            params?.parse::<Task>().ok().map(|task| task.task_id)
        }
        _ => None,
    }
}

/// A text as the value of a header: as it is where that survives the way.
fn encoded(value: &str) -> Cow<'_, str> {
    let (start, end) = BASE64;
    let is_visible = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let is_trimmed = !value.starts_with(' ') && !value.ends_with(' ');
    let looks_encoded = value.starts_with(start) && value.ends_with(end);
    if is_visible && is_trimmed && !looks_encoded {
        return value.into();
    }
    format!("{start}{}{end}", BASE64_STANDARD.encode(value)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &'static str, params: &'static str) -> Outgoing {
        Outgoing { method: method.into(), params: Raw::read(params).ok(), mirrored: Vec::new() }
    }

    fn shown(headers: &HeaderMap) -> Vec<String> {
        let mut shown: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        shown.sort();
        shown
    }

    #[test]
    fn a_request_of_the_newer_era_says_in_its_headers_what_it_is() {
        let manner = Manner::modern(&HeaderMap::new(), "2026-07-28");
        let mut call = request("tools/call", r#"{"arguments": {"a": 1}, "name": "gr\u00fcßen"}"#);
        call.mirrored = vec![("Region".into(), "eu".into()), ("no name".into(), "x".into())];
        assert_eq!(
            shown(&manner.of_request(&call)),
            [
                "accept: application/json, text/event-stream",
                "content-type: application/json",
                "mcp-method: tools/call",
                "mcp-name: =?base64?Z3LDvMOfZW4=?=",
                "mcp-param-region: eu",
                "mcp-protocol-version: 2026-07-28",
            ]
        );
        for (method, params, name) in [
            ("prompts/get", r#"{"name": "p"}"#, Some("p")),
            ("resources/read", r#"{"name": "n", "uri": "a://b"}"#, Some("a://b")),
            ("tasks/get", r#"{"taskId": "7"}"#, Some("7")),
            ("tools/list", r#"{"name": "p"}"#, None),
            ("tools/call", r#"{"name": 7}"#, None),
        ] {
            let headers = manner.of_request(&request(method, params));
            assert_eq!(headers.get(NAME).map(|name| name.to_str().unwrap()), name, "{method}");
        }
    }

    #[test]
    fn a_request_of_the_older_era_says_its_session_and_nothing_of_the_message() {
        let session = HeaderValue::from_static("s");
        let manner = Manner::legacy(&HeaderMap::new(), "2025-06-18", Some(session));
        let call = request("tools/call", r#"{"name": "n"}"#);
        let headers = shown(&manner.of_request(&call));
        assert_eq!(headers[2..], ["mcp-protocol-version: 2025-06-18", "mcp-session-id: s"]);
        let stream = shown(&manner.of_stream(Some(HeaderValue::from_static("7"))));
        assert_eq!(stream[..2], ["accept: text/event-stream", "last-event-id: 7"]);
    }

    #[test]
    fn a_value_that_would_not_survive_as_a_header_is_encoded() {
        for (value, header) in [
            ("", ""),
            ("two words", "two words"),
            (" a", "=?base64?IGE=?="),
            ("a\t", "=?base64?YQk=?="),
            ("a\r\nb: c", "=?base64?YQ0KYjogYw==?="),
            ("=?base64?YQ==?=", "=?base64?PT9iYXNlNjQ/WVE9PT89?="),
        ] {
            assert_eq!(encoded(value), header);
        }
    }
}
