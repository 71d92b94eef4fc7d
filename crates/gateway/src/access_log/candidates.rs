//! Where a text may have something to mask. Takes time as long as the text is: who sends it chooses what is in it.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;

/// What a candidate may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Block,
    Uuid,
    Credential,
    Password,
    Value,
    Email,
    Iban,
    Address,
    Digits,
    Word,
}

/// A part of the text that may be something to mask.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) what: What,
    pub(super) whole: Range<usize>,
    /// What is masked of it, if it is what it may be.
    pub(super) part: Range<usize>,
}

/// One thing that a candidate may be.
struct Alternative {
    what: What,
    /// Its group is what is masked; without one it is the whole.
    pattern: Regex,
    /// What its value goes on to, which the pattern has only the beginning of: a pattern that fits up to the end of a line, from many
    /// places in it, would look at all of it from each.
    ends_at: Option<fn(char) -> bool>,
}

/// The first that fits at a place counts.
static ALTERNATIVES: LazyLock<[Alternative; 12]> = LazyLock::new(|| {
    let goes_on = |what, pattern: &str, ends_at| Alternative {
        what,
        pattern: Regex::new(pattern).expect("the alternatives are regular expressions"),
        ends_at,
    };
    let one = |what, pattern| goes_on(what, pattern, None);
    [
        one(What::Block, r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z0-9 ]*-----)?"),
        one(What::Uuid, r"\b[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}\b"),
        one(What::Credential, r"\b(?i:bearer|basic)\s+([\w.~+/-]{8,}=*)"),
        one(What::Password, r"://[^/\s:@]*:([^/\s@]+)@"),
        goes_on(
            What::Value,
            r#"\b(?i:(?:proxy-)?authorization|(?:set-)?cookie)\\?["']?\s*[:=]\s*\\?["']?([^\r\n"'\\]{4})"#,
            Some(|sign| matches!(sign, '\r' | '\n' | '"' | '\'' | '\\')),
        ),
        goes_on(
            What::Value,
            r#"\b[\w-]*(?i:password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)\\?["']?\s*[:=]\s*\\?["']?([^\s"',;&\\]{4})"#,
            Some(|sign| sign.is_whitespace() || matches!(sign, '"' | '\'' | ',' | ';' | '&' | '\\')),
        ),
        one(
            What::Email,
            r"[\p{L}\p{N}._%+'-]+@[\p{L}\p{N}](?:[\p{L}\p{N}-]*[\p{L}\p{N}])?(?:\.[\p{L}\p{N}-]*[\p{L}\p{N}])*\.[\p{L}-]*\p{L}",
        ),
        one(What::Iban, r"\b[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]{1,4}){3,8}"),
        one(What::Address, r"\b\d{1,3}(?:\.\d{1,3}){3}\b"),
        one(
            What::Address,
            r"(?:[0-9A-Fa-f]{1,4}:|::)(?:[0-9A-Fa-f]{0,4}:){0,7}(?:[0-9A-Fa-f]{1,4}|\d{1,3}(?:\.\d{1,3}){3}|:)?",
        ),
        one(What::Digits, r"(?:\+ ?|\(\+?|\b)\d(?:[ ().\-/]{0,2}\d){6,39}"),
        one(What::Word, r"[A-Za-z0-9][\w.+/=-]{15,}"),
    ]
});

/// The characters of a word, at least, as its pattern has it.
const LEAST_WORD: usize = 16;

/// The candidates of a text, from its beginning to its end.
pub(super) struct Candidates<'t> {
    text: &'t str,
    /// Where each alternative fits next: it is looked for again only when that is passed.
    next: [Option<Range<usize>>; 12],
}

impl<'t> Candidates<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let next = ALTERNATIVES.each_ref().map(|alternative| alternative.find(text, 0));
        Self { text, next }
    }

    /// The first that begins there or later. Never asked for one that is earlier than before.
    pub(super) fn next(&mut self, at: usize) -> Option<Candidate> {
        for (next, alternative) in self.next.iter_mut().zip(ALTERNATIVES.iter()) {
            if let Some(passed) = next.take_if(|next| next.start < at) {
                *next = match alternative.what {
                    What::Word => word(self.text, at, passed.end),
                    _ => None,
                }
                .or_else(|| alternative.find(self.text, at.max(alternative.looked_at(&passed))));
            }
        }
        let found = self.next.iter().zip(ALTERNATIVES.iter());
        let found = found.filter_map(|(next, alternative)| Some((next.clone()?, alternative)));
        let (range, alternative) = found.min_by_key(|(range, _)| range.start)?;
        Some(alternative.candidate(self.text, range))
    }
}

impl Alternative {
    fn find(&self, text: &str, at: usize) -> Option<Range<usize>> {
        self.pattern.find_at(text, at).map(|found| found.range())
    }

    /// Up to where there is nothing more of it, once [`word`] has found none.
    fn looked_at(&self, passed: &Range<usize>) -> usize {
        if self.what == What::Word { passed.end } else { 0 }
    }

    fn candidate(&self, text: &str, mut whole: Range<usize>) -> Candidate {
        let has_group = self.pattern.captures_len() > 1;
        let groups = has_group.then(|| self.pattern.captures_at(text, whole.start)).flatten();
        let group = groups.and_then(|groups| groups.get(1)).map(|group| group.range());
        let mut part = group.unwrap_or_else(|| whole.clone());
        if let Some(ends_at) = self.ends_at {
            let end = text[part.end..].find(ends_at).map_or(text.len(), |more| part.end + more);
            (whole.end, part.end) = (end, end);
        }
        Candidate { what: self.what, whole, part }
    }
}

/// The next word within a run of its characters: wherever one begins, it goes on to the end of the run.
fn word(text: &str, at: usize, end: usize) -> Option<Range<usize>> {
    let run = text.get(at..end)?;
    let start = at + run.find(|sign: char| sign.is_ascii_alphanumeric())?;
    let is_long = text[start..end].chars().take(LEAST_WORD).count() == LEAST_WORD;
    is_long.then_some(start..end)
}
