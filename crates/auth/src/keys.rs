//! Bearer keys.

use http::{HeaderMap, header};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

/// Digests of the keys that are accepted; without any, everybody may call.
pub struct Keys(Vec<[u8; 32]>);

/// A caller, as far as keys tell who it is: callers that show the same key are the same, and so are all where none is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    number: u32,
    fingerprint: u64,
}

impl Caller {
    /// A number of this caller's own, for as long as the accepted keys stay the same.
    #[must_use]
    pub fn number(self) -> u32 {
        self.number
    }

    /// What is the same for the same key, whatever other keys are accepted: 0 where no key is needed. It says nothing of the key.
    #[must_use]
    pub fn fingerprint(self) -> u64 {
        self.fingerprint
    }
}

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
        self.caller(headers).is_some()
    }

    /// Who calls, when these headers show an accepted key. The time this takes tells nothing about the keys.
    #[must_use]
    pub fn caller(&self, headers: &HeaderMap) -> Option<Caller> {
        if !self.needed() {
            return Some(Caller { number: 0, fingerprint: 0 });
        }
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes()))?;
        // Digests have one length, and every key is compared, so neither length nor place of a match shows.
        let shown = digest(shown);
        let number = (1..)
            .zip(&self.0)
            .fold(0, |found, (number, key)| u32::conditional_select(&found, &number, key.ct_eq(&shown)));
        let [a, b, c, d, e, f, g, h, ..] = digest(&shown);
        (number != 0).then_some(Caller { number, fingerprint: u64::from_be_bytes([a, b, c, d, e, f, g, h]) })
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
    fn callers_with_one_key_are_one_caller_and_others_are_others() {
        let caller = |keys: &[&str], shown: &'static str| {
            let keys: Vec<_> = keys.iter().map(|key| SecretString::from(*key)).collect();
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, shown.parse().unwrap())]);
            Keys::new(&keys).caller(&headers)
        };
        assert_eq!(caller(&["a", "b"], "Bearer a"), caller(&["a", "b"], "bearer  a"));
        assert_ne!(caller(&["a", "b"], "Bearer a"), caller(&["a", "b"], "Bearer b"));
        assert_eq!(
            caller(&[], "Bearer a"),
            caller(&[], "Basic b"),
            "where no key is needed, none tells callers apart"
        );
    }

    #[test]
    fn a_key_keeps_its_fingerprint_when_others_come_and_go() {
        let fingerprint = |keys: &[&str], shown: &'static str| {
            let keys: Vec<_> = keys.iter().map(|key| SecretString::from(*key)).collect();
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, shown.parse().unwrap())]);
            Keys::new(&keys).caller(&headers).unwrap().fingerprint()
        };
        assert_eq!(fingerprint(&["old", "new"], "Bearer new"), fingerprint(&["new"], "Bearer new"));
        assert_ne!(fingerprint(&["old", "new"], "Bearer old"), fingerprint(&["new"], "Bearer new"));
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
