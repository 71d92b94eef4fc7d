//! JSON as people write it: with comments and trailing commas. Objects keep their order, and no name is there twice.

use std::{collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};

use crate::{ConfigError, error::Place};

/// A value. It has no `Debug` of its values, which may be secrets.
#[derive(Clone)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// As it is written in other programs' environments: `1`, `1.5`.
    Number(String),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Where a text stops being JSON.
pub(crate) struct SyntaxError {
    line: usize,
    column: usize,
    reason: String,
}

impl SyntaxError {
    pub(crate) fn in_file(self, file: &str) -> ConfigError {
        let Self { line, column, reason } = self;
        ConfigError::Syntax { file: file.to_owned(), line, column, reason }
    }
}

/// Reads a whole text.
pub(crate) fn parse(text: &str) -> Result<Json, SyntaxError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    serde_json::from_str(&plain(text)).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let whole = error.to_string();
        let reason = whole.rsplit_once(" at line ").map_or(&*whole, |(reason, _)| reason).to_owned();
        SyntaxError { line, column, reason }
    })
}

/// The same text with spaces in place of comments and of commas that nothing follows, so that places stay what they are.
fn plain(text: &str) -> String {
    let mut out = text.as_bytes().to_vec();
    let mut comma = None;
    let mut at = 0;
    while let Some(&byte) = out.get(at) {
        let from = at;
        match (byte, out.get(at + 1)) {
            (b'"', _) => at = end_of_string(&out, at),
            (b'/', Some(b'/')) => {
                at = find(&out, at, b"\n");
                blank(&mut out[from..at]);
                continue;
            }
            (b'/', Some(b'*')) => {
                at = (find(&out, at + 2, b"*/") + 2).min(out.len());
                blank(&mut out[from..at]);
                continue;
            }
            _ => at += 1,
        }
        match byte {
            b',' => comma = Some(from),
            b'}' | b']' => {
                if let Some(comma) = comma.take() {
                    out[comma] = b' ';
                }
            }
            byte if byte.is_ascii_whitespace() => {}
            _ => comma = None,
        }
    }
    // Only whole characters were replaced, by ASCII.
    String::from_utf8(out).unwrap_or_default()
}

fn end_of_string(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

fn find(text: &[u8], from: usize, what: &[u8]) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    rest.windows(what.len()).position(|part| part == what).map_or(text.len(), |at| from + at)
}

fn blank(comment: &mut [u8]) {
    comment.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

impl Json {
    pub(crate) fn object(&self, place: &Place) -> Result<&[(String, Json)], ConfigError> {
        match self {
            Self::Object(members) => Ok(members),
            other => Err(place.error(format!("an object is expected here, not {}", other.kind()))),
        }
    }

    pub(crate) fn array(&self, place: &Place) -> Result<&[Json], ConfigError> {
        match self {
            Self::Array(values) => Ok(values),
            other => Err(place.error(format!("a list is expected here, not {}", other.kind()))),
        }
    }

    pub(crate) fn string(&self, place: &Place) -> Result<&str, ConfigError> {
        match self {
            Self::String(text) => Ok(text),
            other => Err(place.error(format!("a text is expected here, not {}", other.kind()))),
        }
    }

    /// A text, or a number's.
    pub(crate) fn text(&self, place: &Place) -> Result<&str, ConfigError> {
        match self {
            Self::Number(text) => Ok(text),
            other => other.string(place),
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::String(_) => "a text",
            Self::Array(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Number(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Number(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Number(number.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Json, A::Error> {
        let mut all = Vec::new();
        while let Some(value) = values.next_element()? {
            all.push(value);
        }
        Ok(Json::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let (mut all, mut names) = (Vec::new(), HashSet::new());
        while let Some(name) = members.next_key::<String>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom(format_args!("{name:?} is there twice")));
            }
            all.push((name, members.next_value()?));
        }
        Ok(Json::Object(all))
    }
}
