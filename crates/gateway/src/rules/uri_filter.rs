//! Patterns for URIs: what is denied cannot be had by spelling it otherwise.

use super::{
    Filter, Verdict,
    address::{Address, spellings},
};
use crate::settings::matches;

/// A filter of URIs, made ready for judging many.
pub(super) struct UriFilter {
    allow: Vec<Pattern>,
    deny: Vec<Pattern>,
}

struct Pattern {
    text: String,
    /// As it is, and in plain spelling.
    forms: Vec<String>,
}

impl Pattern {
    fn new(text: &String) -> Self {
        let mut forms = spellings(text);
        if !forms.contains(text) {
            forms.push(text.clone());
        }
        Self { text: text.clone(), forms }
    }

    /// Whether it speaks of this plain spelling.
    fn means(&self, spelling: &str) -> bool {
        self.forms.iter().any(|form| matches(form, spelling))
    }
}

impl UriFilter {
    pub(super) fn new(filter: &Filter) -> Self {
        let patterns = |texts: &[String]| texts.iter().map(Pattern::new).collect();
        Self { allow: patterns(&filter.allow), deny: patterns(&filter.deny) }
    }

    /// Whether anything is ever refused.
    pub(super) fn is_ruled(&self) -> bool {
        !self.allow.is_empty() || !self.deny.is_empty()
    }

    /// Whether something that is allowed lies under this URI.
    pub(super) fn leads_on(&self, uri: &str) -> bool {
        let folder = uri.strip_suffix('/').unwrap_or(uri);
        let is_above = |pattern: &Pattern| {
            let start = pattern.text.split('*').next().unwrap_or_default();
            start.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
        };
        self.allow.iter().any(is_above)
    }

    /// What it says of a URI: denied is what is denied in one reading, allowed only what is allowed in all.
    pub(super) fn judge(&self, address: &Address<'_>) -> Verdict<'_> {
        if !self.is_ruled() {
            return Verdict::Unruled;
        }
        let denies = |pattern: &&Pattern| address.may_be(|spelling| pattern.means(spelling));
        if let Some(pattern) = self.deny.iter().find(denies) {
            return Verdict::Denied(&pattern.text);
        }
        let allowed = self.allow.iter().find(|pattern| matches(&pattern.text, address.text()));
        let is_allowed = |reading: &String| self.allow.iter().any(|pattern| pattern.means(reading));
        match allowed {
            _ if address.is_ambiguous() => Verdict::Ambiguous,
            Some(pattern) if address.readings().iter().all(is_allowed) => Verdict::Allowed(&pattern.text),
            None if self.allow.is_empty() => Verdict::Unruled,
            _ => Verdict::NotAllowed,
        }
    }
}

#[cfg(test)]
mod tests;
