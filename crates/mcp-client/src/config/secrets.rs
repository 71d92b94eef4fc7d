//! What must not be shown.

use std::fmt;

/// Shorter ones are no secrets, and stand in too many words.
const MIN_CHARS: usize = 6;
const HIDDEN: &str = "[hidden]";

/// Values that are hidden wherever they stand in a text.
#[derive(Clone, Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// One more. A short one, and one that is plainly a path, is none.
    pub fn add(&mut self, secret: &str) {
        // A header's value begins with its scheme, as in `Bearer …`: what follows is the secret too.
        let last = secret.trim().rsplit(' ').next();
        for secret in [Some(secret.trim()), last].into_iter().flatten() {
            let hides = secret.chars().count() >= MIN_CHARS && !secret.starts_with(['/', '~']);
            if hides && !self.0.iter().any(|known| known == secret) {
                self.0.push(secret.to_owned());
            }
        }
        // Longest first: one may be a part of another.
        self.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    /// These too.
    pub fn extend(&mut self, others: &Self) {
        others.0.iter().for_each(|secret| self.add(secret));
    }

    /// The text with `[hidden]` in place of every secret.
    #[must_use]
    pub fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), HIDDEN);
            }
        }
        text
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}
