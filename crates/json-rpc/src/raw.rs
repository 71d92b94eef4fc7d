//! One JSON value as text.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

/// One JSON value, as the text that it came as. It is valid JSON, without space around it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Raw(Bytes);

impl Raw {
    /// The value in this text.
    ///
    /// # Errors
    /// When the text is not one JSON value.
    pub fn read(text: impl Into<Bytes>) -> serde_json::Result<Self> {
        let text = text.into();
        let value: &RawValue = serde_json::from_slice(&text)?;
        Ok(Self::part(&text, value))
    }

    /// What `value` is as JSON.
    ///
    /// # Errors
    /// When it cannot be JSON: a map whose keys are no text, for instance.
    pub fn of(value: &(impl Serialize + ?Sized)) -> serde_json::Result<Self> {
        Ok(Self(serde_json::to_vec(value)?.into()))
    }

    /// A text as a JSON value.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::of(text).expect("text is always JSON")
    }

    /// The empty object.
    #[must_use]
    pub fn empty_object() -> Self {
        Self(Bytes::from_static(b"{}"))
    }

    /// The value as its text says it, in a type.
    ///
    /// # Errors
    /// When the value is no `T`.
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.0)
    }

    /// The text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("JSON is read from UTF-8 only")
    }

    /// Whether this is in the text. It takes far less time than reading it.
    #[must_use]
    pub fn contains(&self, what: &str) -> bool {
        memchr::memmem::find(&self.0, what.as_bytes()).is_some()
    }

    /// The same value in memory of its own, which does not keep the message that it was a part of.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// The text.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// Whether it is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.0.first() == Some(&b'{')
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.0.as_ref() == b"null"
    }

    /// The part of `text` that `value` was borrowed from.
    pub(crate) fn part(text: &Bytes, value: &RawValue) -> Self {
        Self(text.slice_ref(value.get().as_bytes()))
    }

    /// Text that is known to be one JSON value.
    pub(crate) fn trusted(text: impl Into<Bytes>) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What messages say is not for logs.
        write!(f, "Raw({} bytes)", self.0.len())
    }
}

impl From<u64> for Raw {
    fn from(number: u64) -> Self {
        Self(number.to_string().into())
    }
}

impl From<bool> for Raw {
    fn from(value: bool) -> Self {
        Self(Bytes::from_static(if value { b"true" } else { b"false" }))
    }
}

impl Default for Raw {
    /// `null`.
    fn default() -> Self {
        Self(Bytes::from_static(b"null"))
    }
}

/// As the value that it is, not as a text.
impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value: &RawValue = serde_json::from_slice(&self.0).map_err(serde::ser::Error::custom)?;
        value.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(String::from(Box::<str>::from(value)).into()))
    }
}
