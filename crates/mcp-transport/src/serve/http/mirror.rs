//! Headers of the newer era that repeat what the message says, for those on the way who read no messages.

use std::borrow::Cow;

use axum::http::HeaderMap;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use json_rpc::{Id, Members, MembersError, Raw};
use serde_json::value::RawValue;

use super::{
    eras::{Params, text},
    refusal::{HEADER_MISMATCH, Refusal},
};
use crate::Mirrored;

const METHOD: &str = "mcp-method";
const NAME: &str = "mcp-name";
const PARAM: &str = "mcp-param-";

/// Checks `Mcp-Method` and `Mcp-Name` of a message.
pub(super) fn check(
    headers: &HeaderMap,
    id: Option<&Id>,
    method: &str,
    params: &Params<'_>,
) -> Result<(), Refusal> {
    match sole(headers, METHOD, id)? {
        None => return refuse(id, "the Mcp-Method header is missing"),
        Some(value) if value != method => {
            return refuse(id, "the Mcp-Method header does not match the message's method");
        }
        Some(_) => {}
    }
    let Some(name) = name(method, params) else { return Ok(()) };
    match sole(headers, NAME, id)? {
        None => refuse(id, "the Mcp-Name header is missing"),
        Some(value) if decode(value).is_none_or(|value| value != name) => {
            refuse(id, "the Mcp-Name header does not match what the message names")
        }
        Some(_) => Ok(()),
    }
}

/// A handshake need not have an `Mcp-Method`, but if it has one, it must be the right one.
pub(super) fn check_handshake(headers: &HeaderMap, id: &Id) -> Result<(), Refusal> {
    match sole(headers, METHOD, Some(id))? {
        Some(value) if value != "initialize" => {
            refuse(Some(id), "the Mcp-Method header does not match the message's method")
        }
        _ => Ok(()),
    }
}

/// Checks the headers that repeat arguments.
pub(super) fn check_arguments(
    headers: &HeaderMap,
    id: &Id,
    mirrored: &[Mirrored],
    arguments: Option<&RawValue>,
) -> Result<(), Refusal> {
    for Mirrored { header, path } in mirrored {
        let name = format!("{PARAM}{header}");
        let argument = arguments.map_or(Ok(None), |arguments| primitive(arguments, path));
        let matches = match (sole(headers, &name, Some(id))?, argument) {
            (None, Ok(None)) => true,
            (Some(value), Ok(Some(argument))) => {
                decode(value).is_some_and(|value| argument.is_said_by(&value))
            }
            _ => false,
        };
        if !matches {
            return refuse(
                Some(id),
                format!("the {name} header does not match the argument that it repeats"),
            );
        }
    }
    Ok(())
}

/// What `Mcp-Name` repeats.
fn name<'a>(method: &str, params: &Params<'a>) -> Option<Cow<'a, str>> {
    let named = match method {
        "tools/call" | "prompts/get" => params.name,
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => params.uri,
        "tasks/get" | "tasks/update" | "tasks/cancel" => params.task_id,
        _ => None,
    };
    named.and_then(text)
}

/// The text of an argument that is no object and no list, and is there. An error where readers would not agree on which it is.
fn primitive(arguments: &RawValue, path: &[String]) -> Result<Option<Argument>, MembersError> {
    let Ok(mut value) = Raw::read(arguments.get().to_owned()) else { return Ok(None) };
    for step in path {
        let members = match Members::of(&value) {
            Ok(members) => members,
            Err(MembersError::NotAnObject) => return Ok(None),
            Err(ambiguous) => return Err(ambiguous),
        };
        let Some(member) = members.get(step) else { return Ok(None) };
        value = member.clone();
    }
    Ok(match value.as_bytes().first() {
        None | Some(b'{' | b'[' | b'n') => None,
        Some(b'"') => value.parse().ok().map(Argument::Text),
        Some(b't' | b'f') => Some(Argument::Text(value.as_str().to_owned())),
        Some(_) => Some(Argument::Number(value.as_str().to_owned())),
    })
}

/// An argument as a header can repeat it.
enum Argument {
    Text(String),
    /// As it was written.
    Number(String),
}

impl Argument {
    /// Whether a header says this. Numbers, and nothing else, may be written in several ways.
    fn is_said_by(&self, header: &str) -> bool {
        let argument = match self {
            Self::Text(text) => return header == text,
            Self::Number(number) => number,
        };
        let parsed = || argument.parse::<f64>().ok().filter(|number| number.is_finite());
        header == argument
            || argument.parse::<i128>().is_err()
                && parsed().is_some_and(|number| header.parse() == Ok(number))
    }
}

/// A value as it was before it was made fit for a header.
fn decode(value: &str) -> Option<Cow<'_, str>> {
    match value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        None => Some(value.into()),
        Some(encoded) => String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok().map(Cow::Owned),
    }
}

/// The value of a header that must not come twice: those on the way could take the other one.
pub(super) fn sole<'h>(
    headers: &'h HeaderMap,
    name: &str,
    id: Option<&Id>,
) -> Result<Option<&'h str>, Refusal> {
    let mut values = headers.get_all(name).into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    match value.to_str() {
        Ok(value) if values.next().is_none() => Ok(Some(value)),
        _ => {
            refuse(id, format!("the {name} header comes twice, or has characters that a header cannot have"))
        }
    }
}

fn refuse<T>(id: Option<&Id>, why: impl Into<Cow<'static, str>>) -> Result<T, Refusal> {
    Err(Refusal::bad(id, HEADER_MISMATCH, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_same(header: &str, argument: &str) -> bool {
        let arguments = RawValue::from_string(format!(r#"{{"a": {argument}}}"#)).unwrap();
        primitive(&arguments, &["a".to_owned()]).unwrap().unwrap().is_said_by(header)
    }

    #[test]
    fn numbers_are_the_same_however_they_are_written() {
        for (header, argument) in
            [("7", "7"), ("7", "7.0"), ("1000", "1e3"), ("true", "true"), ("é", r#""é""#)]
        {
            assert!(is_same(header, argument), "{header} {argument}");
        }
        for (header, argument) in
            [("8", "7"), ("7.5", "7"), ("inf", "1e999"), ("9007199254740993", "9007199254740992")]
        {
            assert!(!is_same(header, argument), "{header} {argument}");
        }
    }

    #[test]
    fn a_text_that_looks_like_a_number_is_a_text() {
        for text in ["1e2", "1.10", "inf", "7.0"] {
            let argument = format!("\"{text}\"");
            assert!(is_same(text, &argument), "{text}");
        }
        for (header, argument) in [
            ("100", r#""1e2""#),
            ("1.1", r#""1.10""#),
            ("infinity", r#""inf""#),
            ("7", r#""7.0""#),
            ("1", "true"),
        ] {
            assert!(!is_same(header, argument), "{header} {argument}");
        }
    }
}
