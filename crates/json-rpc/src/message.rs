//! Messages: requests, notifications and responses.

use std::{borrow::Cow, fmt};

use bytes::{BufMut as _, Bytes, BytesMut};
use serde::{
    Deserializer as _,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    Error, Id, Raw, ReadError,
    members::{Failure, Name, write_text},
};

/// What a request came to: the `result` of its response, or the `error`.
pub type Outcome = Result<Raw, Raw>;

/// One message.
#[derive(Debug, Clone)]
pub enum Message {
    /// Asks for a response.
    Request(Request),
    /// Asks for nothing.
    Notification(Notification),
    /// Answers a request.
    Response(Response),
}

/// Asks for a response.
#[derive(Debug, Clone)]
pub struct Request {
    /// What the response will repeat.
    pub id: Id,
    /// What is asked for.
    pub method: Cow<'static, str>,
    /// An object, or nothing.
    pub params: Option<Raw>,
}

/// Asks for nothing.
#[derive(Debug, Clone)]
pub struct Notification {
    /// What is told.
    pub method: Cow<'static, str>,
    /// An object, or nothing.
    pub params: Option<Raw>,
}

/// Answers a request.
#[derive(Debug, Clone)]
pub struct Response {
    /// The request's; `None` when it could not be read.
    pub id: Option<Id>,
    /// What the request came to.
    pub outcome: Outcome,
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// What to answer when the text is none.
    pub fn read(text: &Bytes) -> Result<Self, ReadError> {
        let Envelope { version, id, method, params, result, error } =
            Envelope::read(text).map_err(|failure| refusal(text, &failure))?;
        // Some write what is absent as null.
        let params = params.filter(|params| !params.is_null());
        let (result, error) = match (result, error) {
            (Some(result), Some(error)) if error.is_null() => (Some(result), None),
            (Some(result), Some(error)) if result.is_null() => (None, Some(error)),
            both => both,
        };
        let has_id = id.as_ref().is_some_and(|id| !id.is_null());
        let id = id.and_then(Id::new);
        let refuse = |why| Err(ReadError { id: id.clone(), error: Error::new(Error::INVALID_REQUEST, why) });
        if version.is_none_or(|version| version.as_bytes() != br#""2.0""#) {
            return refuse("the message has no \"jsonrpc\": \"2.0\"");
        }
        let method = match method.as_ref().map(Raw::parse::<Cow<'_, str>>) {
            None => None,
            Some(Ok(method)) => Some(common(&method)),
            Some(Err(_)) => return refuse("the method must be a text"),
        };
        match (method, result, error) {
            (Some(method), None, None) => {
                if params.as_ref().is_some_and(|params| !params.is_object()) {
                    let error = Error::new(Error::INVALID_PARAMS, "params must be an object");
                    return Err(ReadError { id, error });
                }
                match id {
                    Some(id) => Ok(Self::Request(Request { id, method, params })),
                    None if has_id => refuse("the id must be a number or a text"),
                    None => Ok(Self::Notification(Notification { method, params })),
                }
            }
            (None, Some(result), None) if id.is_some() => {
                Ok(Self::Response(Response { id, outcome: Ok(result) }))
            }
            (None, None, Some(error)) if error.is_object() => {
                Ok(Self::Response(Response { id, outcome: Err(error) }))
            }
            _ => refuse("the message is no JSON-RPC request, notification or response"),
        }
    }

    /// The message as text, on one line if its parts are.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::new();
        self.write(&mut out);
        out.freeze()
    }

    /// The message as one line, whatever its parts are: between their tokens a line break is as good as a space, and within
    /// texts JSON has none. There is room for the line's end.
    #[must_use]
    pub fn to_line(&self) -> BytesMut {
        let mut out = BytesMut::new();
        self.write(&mut out);
        for byte in out.iter_mut() {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
        out
    }

    /// Writes the message.
    pub fn write(&self, out: &mut BytesMut) {
        match self {
            Self::Request(Request { id, method, params }) => {
                write_call(out, Some(id), method, params.as_ref());
            }
            Self::Notification(Notification { method, params }) => {
                write_call(out, None, method, params.as_ref());
            }
            Self::Response(Response { id, outcome }) => {
                let (name, value) = match outcome {
                    Ok(result) => (&b",\"result\":"[..], result),
                    Err(error) => (&b",\"error\":"[..], error),
                };
                let id = id.as_ref().map_or(&b""[..], |id| id.as_raw().as_bytes());
                out.reserve(ROOM + id.len() + value.as_bytes().len());
                out.put_slice(b"{\"jsonrpc\":\"2.0\"");
                // MCP leaves out what JSON-RPC would have as `null`; its clients take no `null` for an id.
                if !id.is_empty() {
                    out.put_slice(b",\"id\":");
                    out.put_slice(id);
                }
                out.put_slice(name);
                out.put_slice(value.as_bytes());
                out.put_u8(b'}');
            }
        }
    }
}

/// The members of a message that mean something. Others are passed over.
#[derive(Default)]
struct Envelope {
    version: Option<Raw>,
    id: Option<Raw>,
    method: Option<Raw>,
    params: Option<Raw>,
    result: Option<Raw>,
    error: Option<Raw>,
}

impl Envelope {
    fn read(text: &Bytes) -> Result<Self, Failure> {
        let mut json = serde_json::Deserializer::from_slice(text);
        let (envelope, is_twofold) = json.deserialize_map(EnvelopeReader(text)).map_err(|_| Failure::Json)?;
        json.end().map_err(|_| Failure::Json)?;
        if is_twofold { Err(Failure::Duplicate) } else { Ok(envelope) }
    }

    fn place(&mut self, name: &str) -> Option<&mut Option<Raw>> {
        Some(match name {
            "jsonrpc" => &mut self.version,
            "id" => &mut self.id,
            "method" => &mut self.method,
            "params" => &mut self.params,
            "result" => &mut self.result,
            "error" => &mut self.error,
            _ => return None,
        })
    }
}

struct EnvelopeReader<'t>(&'t Bytes);

impl<'de> Visitor<'de> for EnvelopeReader<'_> {
    /// The members, and whether one of them was there twice.
    type Value = (Envelope, bool);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut envelope, mut is_twofold) = (Envelope::default(), false);
        while let Some(Name(name)) = map.next_key()? {
            let value: &'de RawValue = map.next_value()?;
            if let Some(place) = envelope.place(&name) {
                is_twofold |= place.replace(Raw::part(self.0, value)).is_some();
            }
        }
        Ok((envelope, is_twofold))
    }
}

/// Methods that nearly every conversation has.
const COMMON: [&str; 8] = [
    "tools/call",
    "tools/list",
    "ping",
    "initialize",
    "notifications/initialized",
    "notifications/progress",
    "notifications/cancelled",
    "notifications/message",
];

/// The method, without memory of its own if it is a common one.
fn common(method: &str) -> Cow<'static, str> {
    let common = COMMON.into_iter().find(|common| *common == method);
    common.map_or_else(|| Cow::Owned(method.to_owned()), Cow::Borrowed)
}

/// What an envelope takes, beside its parts.
const ROOM: usize = 48;

fn write_call(out: &mut BytesMut, id: Option<&Id>, method: &str, params: Option<&Raw>) {
    out.reserve(ROOM + method.len() + params.map_or(0, |params| params.as_bytes().len()));
    out.put_slice(b"{\"jsonrpc\":\"2.0\"");
    if let Some(id) = id {
        out.put_slice(b",\"id\":");
        out.put_slice(id.as_raw().as_bytes());
    }
    out.put_slice(b",\"method\":");
    write_text(out, method);
    if let Some(params) = params {
        out.put_slice(b",\"params\":");
        out.put_slice(params.as_bytes());
    }
    out.put_u8(b'}');
}

impl Notification {
    /// A notification.
    #[must_use]
    pub fn new(method: impl Into<Cow<'static, str>>, params: Option<Raw>) -> Self {
        Self { method: method.into(), params }
    }
}

impl Response {
    /// The response to the request of this id.
    #[must_use]
    pub fn new(id: Id, outcome: Outcome) -> Self {
        Self { id: Some(id), outcome }
    }
}

impl From<Request> for Message {
    fn from(request: Request) -> Self {
        Self::Request(request)
    }
}

impl From<Notification> for Message {
    fn from(notification: Notification) -> Self {
        Self::Notification(notification)
    }
}

impl From<Response> for Message {
    fn from(response: Response) -> Self {
        Self::Response(response)
    }
}

impl From<ReadError> for Message {
    /// The response that says so.
    fn from(error: ReadError) -> Self {
        Self::Response(Response { id: error.id, outcome: Err(error.error.into()) })
    }
}

/// Why `text` has no members.
fn refusal(text: &Bytes, failure: &Failure) -> ReadError {
    let refuse = |code, why: &'static str| ReadError { id: None, error: Error::new(code, why) };
    if let Failure::Duplicate = failure {
        return refuse(Error::INVALID_REQUEST, "the message names a member twice");
    }
    match serde_json::from_slice::<serde::de::IgnoredAny>(text) {
        Err(error) => {
            let place = format!("line {}, column {}", error.line(), error.column());
            let message = format!("the message is not JSON: it stops making sense at {place}");
            ReadError { id: None, error: Error::new(Error::PARSE_ERROR, message) }
        }
        Ok(_) if text.trim_ascii_start().starts_with(b"[") => refuse(
            Error::INVALID_REQUEST,
            "batches are not part of the protocol any more: send each message by itself",
        ),
        Ok(_) => refuse(Error::INVALID_REQUEST, "the message is not a JSON object"),
    }
}
