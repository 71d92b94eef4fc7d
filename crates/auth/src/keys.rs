//! Bearer keys.

use http::{HeaderMap, header};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

/// Digests of the keys that are accepted; without any, everybody may call.
pub struct Keys(Vec<[u8; 32]>);

impl Keys {
    /// Accepts these keys.
    #[must_use]
    pub fn new(keys: &[SecretString]) -> Self {
        Self(keys.iter().map(|key| digest(key.expose_secret().as_bytes())).collect())
    }

    /// Whether a key is needed at all.
    #[must_use]
    pub fn needed(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether these headers show an accepted key. The time this takes tells nothing about the keys.
    #[must_use]
    pub fn accept(&self, headers: &HeaderMap) -> bool {
        if !self.needed() {
            return true;
        }
        let Some(shown) = headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes()))
        else {
            return false;
        };
        // Digests have one length, and every key is compared, so neither length nor place of a match shows.
        let shown = digest(shown);
        self.0.iter().fold(Choice::from(0), |found, key| found | key.ct_eq(&shown)).into()
    }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token.trim_ascii())
}

fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(keys: &[&str], shown: Option<&'static str>) -> bool {
        let keys: Vec<_> = keys.iter().map(|key| SecretString::from(*key)).collect();
        let mut headers = HeaderMap::new();
        if let Some(shown) = shown {
            headers.insert(header::AUTHORIZATION, shown.parse().unwrap());
        }
        Keys::new(&keys).accept(&headers)
    }

    #[test]
    fn any_of_the_keys_opens_and_nothing_else_does() {
        assert!(accepts(&["old", "new"], Some("Bearer old")));
        assert!(accepts(&["old", "new"], Some("bearer  new ")));
        for wrong in
            [None, Some("old"), Some("Bearer ol"), Some("Bearer older"), Some("Bearer "), Some("Basic old")]
        {
            assert!(!accepts(&["old", "new"], wrong), "{wrong:?}");
        }
        assert!(accepts(&[], None));
    }
}
