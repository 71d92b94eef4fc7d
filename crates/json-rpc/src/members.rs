//! The members of an object.

use std::{borrow::Cow, collections::HashSet, fmt};

use bytes::{BufMut as _, Bytes, BytesMut};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::Raw;

/// More members than this are looked up in a set when they are checked for duplicates.
const FEW: usize = 16;

/// Why a value has no members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MembersError {
    /// It is something else than an object.
    #[error("it must be an object")]
    NotAnObject,
    /// Readers would not agree on what it says.
    #[error("it names a member twice")]
    Duplicate,
}

/// The members of an object in their order. What is not changed keeps its text.
#[derive(Clone, Default)]
pub struct Members(Vec<(Cow<'static, str>, Raw)>);

impl Members {
    /// The members of this object, one level deep.
    ///
    /// # Errors
    /// When it is no object, or names a member twice.
    pub fn of(object: &Raw) -> Result<Self, MembersError> {
        Self::read(&object.clone().into_bytes()).map_err(|error| match error {
            Failure::Duplicate => MembersError::Duplicate,
            Failure::Json => MembersError::NotAnObject,
        })
    }

    /// The member of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Raw> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Gives a member this value, in its place or at the end.
    pub fn set(&mut self, name: &str, value: impl Into<Raw>) {
        let value = value.into();
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((shared(name), value)),
        }
    }

    /// Takes a member out.
    pub fn remove(&mut self, name: &str) -> Option<Raw> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(place).1)
    }

    /// All members in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Raw)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The object.
    #[must_use]
    pub fn to_raw(&self) -> Raw {
        let size = self.0.iter().map(|(name, value)| name.len() + value.as_bytes().len() + 4).sum::<usize>();
        let mut text = BytesMut::with_capacity(size + 2);
        text.put_u8(b'{');
        for (place, (name, value)) in self.0.iter().enumerate() {
            if place > 0 {
                text.put_u8(b',');
            }
            write_text(&mut text, name);
            text.put_u8(b':');
            text.put_slice(value.as_bytes());
        }
        text.put_u8(b'}');
        Raw::trusted(text)
    }

    fn read(text: &Bytes) -> Result<Self, Failure> {
        let mut json = serde_json::Deserializer::from_slice(text);
        let members = json.deserialize_map(Reader(text)).map_err(|_| Failure::Json)?;
        json.end().map_err(|_| Failure::Json)?;
        if members.has_duplicates() { Err(Failure::Duplicate) } else { Ok(members) }
    }

    fn has_duplicates(&self) -> bool {
        if self.0.len() > FEW {
            let mut seen = HashSet::with_capacity(self.0.len());
            return !self.0.iter().all(|(name, _)| seen.insert(name));
        }
        let names = || self.0.iter().map(|(name, _)| name);
        names().enumerate().any(|(place, name)| names().take(place).any(|other| other == name))
    }
}

impl From<Members> for Raw {
    fn from(members: Members) -> Self {
        members.to_raw()
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl<N: Into<Cow<'static, str>>> FromIterator<(N, Raw)> for Members {
    fn from_iter<I: IntoIterator<Item = (N, Raw)>>(members: I) -> Self {
        Self(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

pub(crate) enum Failure {
    Json,
    Duplicate,
}

/// Writes a text as JSON.
pub(crate) fn write_text(out: &mut BytesMut, text: &str) {
    let writer = out.writer();
    serde_json::to_writer(writer, text).expect("memory takes what is written to it");
}

struct Reader<'t>(&'t Bytes);

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            let value: &'de RawValue = map.next_value()?;
            members.push((name, Raw::part(self.0, value)));
        }
        Ok(Members(members))
    }
}

/// The name of a member.
pub(crate) struct Name(pub(crate) Cow<'static, str>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameReader)
    }
}

struct NameReader;

impl Visitor<'_> for NameReader {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Name, E> {
        Ok(Name(shared(name)))
    }
}

/// Names that nearly every message has.
const COMMON: [&str; 14] = [
    "jsonrpc",
    "id",
    "method",
    "params",
    "result",
    "error",
    "_meta",
    "name",
    "arguments",
    "content",
    "progressToken",
    "io.modelcontextprotocol/protocolVersion",
    "io.modelcontextprotocol/clientInfo",
    "io.modelcontextprotocol/clientCapabilities",
];

/// The name, without memory of its own if it is a common one.
fn shared(name: &str) -> Cow<'static, str> {
    let common = COMMON.into_iter().find(|common| *common == name);
    common.map_or_else(|| Cow::Owned(name.to_owned()), Cow::Borrowed)
}
