//! Masking in the plain way, all alternatives in one pattern: takes far too long for some texts, and says what is to come of all.

use std::{borrow::Cow, ops::Range, sync::LazyLock};

use regex::{Captures, Regex};

use super::{Mask, is_address, is_alone, is_credential};
use crate::access_log::digits;

/// What may be something to mask. Each alternative is looked at once more by [`judge`]; the first that fits at a place counts.
static CANDIDATES: LazyLock<Regex> = LazyLock::new(|| {
    let alternatives = [
        r"(?P<block>-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z0-9 ]*-----)?)",
        r"(?P<uuid>\b[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}\b)",
        r"(?P<scheme>\b(?i:bearer|basic)\s+)(?P<credential>[\w.~+/-]{8,}=*)",
        r"(?P<user>://[^/\s:@]*:)(?P<password>[^/\s@]+)@",
        r#"(?P<header>\b(?i:(?:proxy-)?authorization|(?:set-)?cookie)\\?["']?\s*[:=]\s*\\?["']?)(?P<rest>[^\r\n"'\\]{4,})"#,
        r#"(?P<name>\b[\w-]*(?i:password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)\\?["']?\s*[:=]\s*\\?["']?)(?P<value>[^\s"',;&\\]{4,})"#,
        r"(?P<email>[\p{L}\p{N}._%+'-]+@[\p{L}\p{N}](?:[\p{L}\p{N}-]*[\p{L}\p{N}])?(?:\.[\p{L}\p{N}-]*[\p{L}\p{N}])*\.[\p{L}-]*\p{L})",
        r"(?P<iban>\b[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]{1,4}){3,8})",
        r"(?P<four>\b\d{1,3}(?:\.\d{1,3}){3}\b)",
        r"(?P<six>(?:[0-9A-Fa-f]{1,4}:|::)(?:[0-9A-Fa-f]{0,4}:){0,7}(?:[0-9A-Fa-f]{1,4}|\d{1,3}(?:\.\d{1,3}){3}|:)?)",
        r"(?P<digits>(?:\+ ?|\(\+?|\b)\d(?:[ ().\-/]{0,2}\d){6,39})",
        r"(?P<word>[A-Za-z0-9][\w.+/=-]{15,})",
    ];
    Regex::new(&alternatives.join("|")).expect("the alternatives are regular expressions")
});

/// The text without what is known to be personal or secret.
pub(super) fn known(text: &str) -> Cow<'_, str> {
    let mut masked = String::new();
    let (mut at, mut copied) = (0, 0);
    while let Some(found) = CANDIDATES.captures_at(text, at) {
        let whole = found.get(0).map_or(at..at + 1, |found| found.range());
        at = whole.end;
        let masks = judge(text, &found);
        // What is none as a whole may have one within: a word in front of it was taken for its beginning.
        if masks.is_empty() && !is_kept_whole(&found) {
            at = next_part(text, &whole);
        }
        for (range, name) in masks {
            masked.push_str(&text[copied..range.start]);
            masked.push_str(name);
            copied = range.end;
            at = at.max(copied);
        }
    }
    if copied == 0 && masked.is_empty() {
        return Cow::Borrowed(text);
    }
    masked.push_str(&text[copied..]);
    Cow::Owned(masked)
}

/// Whether nothing is looked for within this.
fn is_kept_whole(found: &Captures<'_>) -> bool {
    ["uuid", "digits"].iter().any(|name| found.name(name).is_some())
}

/// Where the next part of what was found begins: after its first run of letters and digits.
fn next_part(text: &str, whole: &Range<usize>) -> usize {
    let found = &text[whole.clone()];
    let rest =
        found.trim_start_matches(|c: char| !c.is_alphanumeric()).trim_start_matches(char::is_alphanumeric);
    let end = whole.end - rest.len();
    end.max(whole.start + found.chars().next().map_or(1, char::len_utf8))
}

/// What of a candidate is masked.
fn judge(text: &str, found: &Captures<'_>) -> Vec<Mask> {
    let range = |name: &str| found.name(name).map(|part| part.range());
    let one = |range: Range<usize>, name| vec![(range, name)];
    if let Some(range) = range("block") {
        return one(range, "[key]");
    }
    if let Some(range) = range("credential").filter(|range| is_credential(&text[range.clone()])) {
        return one(range, "[key]");
    }
    if let Some(range) = ["password", "rest", "value"].into_iter().find_map(range) {
        return one(range, "[hidden]");
    }
    if let Some(range) = range("email") {
        return one(range, "[email]");
    }
    if let Some(range) = range("iban") {
        let length = digits::iban(&text[range.clone()]);
        return length.map_or_else(Vec::new, |length| one(range.start..range.start + length, "[iban]"));
    }
    if let Some(range) = range("four").or_else(|| range("six")) {
        let is_one = is_alone(text, &range) && is_address(&text[range.clone()]);
        return if is_one { one(range, "[ip]") } else { Vec::new() };
    }
    if let Some(range) = range("digits") {
        let is_alone = is_alone(text, &range);
        let found = if is_alone { digits::personal(&text[range.clone()]) } else { Vec::new() };
        let shifted = |(part, name): Mask| (range.start + part.start..range.start + part.end, name);
        return found.into_iter().map(shifted).collect();
    }
    if let Some(range) = range("word").filter(|range| server_files::is_key(&text[range.clone()])) {
        return one(range, "[key]");
    }
    Vec::new()
}
