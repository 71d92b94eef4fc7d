//! Ids of requests, and progress tokens.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Raw;

/// The id of a request: a number or a text, kept as it was written.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Id(Raw);

impl Id {
    /// This value as an id, if it may be one.
    #[must_use]
    pub fn new(value: Raw) -> Option<Self> {
        matches!(value.as_bytes().first()?, b'"' | b'-' | b'0'..=b'9').then_some(Self(value))
    }

    /// The number, if it is a whole one, however it is written: some write `7.0`, or `"7"`.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        let text = self.0.as_str().trim_matches('"');
        let whole = text
            .split_once('.')
            .map_or(text, |(whole, rest)| if rest.bytes().all(|digit| digit == b'0') { whole } else { text });
        whole.parse().ok()
    }

    /// The id as JSON.
    #[must_use]
    pub fn as_raw(&self) -> &Raw {
        &self.0
    }

    /// The id as JSON.
    #[must_use]
    pub fn into_raw(self) -> Raw {
        self.0
    }
}

impl From<u64> for Id {
    fn from(number: u64) -> Self {
        Self(number.into())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Raw::deserialize(deserializer)?;
        Self::new(value).ok_or_else(|| serde::de::Error::custom("an id is a number or a text"))
    }
}
