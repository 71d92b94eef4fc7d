//! Personal data and secrets in texts, replaced by what they are.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use regex::{Regex, RegexBuilder};

use super::{
    candidates::{Candidate, Candidates, What},
    coded::decoded,
    digits, members,
};
use crate::trail::cut;

#[cfg(test)]
mod reference;

/// Most memory that a pattern may take, in bytes.
const PATTERN_BYTES: usize = 1 << 20;

/// How often percent codes are read: a URI within a URI has codes of codes.
const MOST_CODED: usize = 3;

/// How much of a word is looked at to see whether it is a key. Longer than how any of them begins.
const KEY_BYTES: usize = 64;

/// What is masked.
#[derive(Debug, Default)]
pub(super) struct Masks {
    more: Vec<Regex>,
}

/// What stands in place of something, and of which part of the candidate.
type Mask = (Range<usize>, &'static str);

impl Masks {
    /// Personal data, secrets, and what these patterns fit.
    pub(super) fn new(patterns: &[String]) -> Result<Self, String> {
        let more = patterns.iter().map(|text| {
            pattern(text).map_err(|why| format!("the mask {text:?} of the access log cannot be used: {why}"))
        });
        Ok(Self { more: more.collect::<Result<_, _>>()? })
    }

    /// The text without what is masked. Where there is something behind percent codes, it is shown without them.
    pub(super) fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut shown = self.as_it_is(text);
        let mut plain = decoded(&shown);
        for _ in 0..MOST_CODED {
            let Some(read) = plain else { break };
            let masked = self.as_it_is(&read);
            plain = decoded(&masked);
            if masked != read {
                shown = Cow::Owned(masked.into_owned());
            }
        }
        shown
    }

    fn as_it_is<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = match members::hidden(text) {
            Cow::Borrowed(text) => known(text),
            Cow::Owned(hidden) => Cow::Owned(known(&hidden).into_owned()),
        };
        if let Cow::Owned(masked) = self.fitted(&text) {
            text = Cow::Owned(masked);
        }
        text
    }

    /// The text without what the patterns of somebody's own fit.
    pub(super) fn fitted<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for pattern in &self.more {
            if let Cow::Owned(masked) = pattern.replace_all(&text, "[masked]") {
                text = Cow::Owned(masked);
            }
        }
        text
    }
}

/// A pattern of somebody's own.
pub(super) fn pattern(text: &str) -> Result<Regex, String> {
    let pattern = RegexBuilder::new(text).size_limit(PATTERN_BYTES).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "it takes too much memory: make it shorter".to_owned(),
        error => {
            let error = error.to_string(); // of several lines, which show the pattern too
            let reason = error.lines().next_back().unwrap_or_default();
            format!("it must be a regular expression: {}", reason.trim_start_matches("error: "))
        }
    })?;
    if pattern.is_match("") {
        return Err("it fits the empty text, and so everywhere: make it fit what is to be masked".to_owned());
    }
    Ok(pattern)
}

/// The text without what is known to be personal or secret.
fn known(text: &str) -> Cow<'_, str> {
    let mut masked = String::new();
    let (mut at, mut copied) = (0, 0);
    let mut candidates = Candidates::of(text);
    while let Some(found) = candidates.next(at) {
        at = found.whole.end;
        let masks = judge(text, &found);
        // What is none as a whole may have one within: a word in front of it was taken for its beginning.
        if masks.is_empty() && !is_kept_whole(&found) {
            at = next_part(text, &found.whole);
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
fn is_kept_whole(found: &Candidate) -> bool {
    matches!(found.what, What::Uuid | What::Digits)
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
fn judge(text: &str, found: &Candidate) -> Vec<Mask> {
    let range = found.part.clone();
    let part = &text[range.clone()];
    let name = match found.what {
        What::Block => Some("[key]"),
        What::Credential => is_credential(part).then_some("[key]"),
        What::Password | What::Value => Some("[hidden]"),
        What::Email => Some("[email]"),
        What::Address => (is_alone(text, &range) && is_address(part)).then_some("[ip]"),
        // How a key begins is all there is to tell it by.
        What::Word => server_files::is_key(cut(part, KEY_BYTES)).then_some("[key]"),
        What::Iban => {
            let length = digits::iban(part);
            return length
                .map_or_else(Vec::new, |length| vec![(range.start..range.start + length, "[iban]")]);
        }
        What::Digits if is_alone(text, &range) => {
            let shifted = |(part, name): Mask| (range.start + part.start..range.start + part.end, name);
            return digits::personal(part).into_iter().map(shifted).collect();
        }
        What::Digits | What::Uuid => None,
    };
    name.map_or_else(Vec::new, |name| vec![(range, name)])
}

/// Whether it is no part of a longer word or number.
fn is_alone(text: &str, range: &Range<usize>) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ':');
    let before = text[..range.start].chars().next_back();
    let mut after = text[range.end..].chars();
    let next = after.next();
    let goes_on = next == Some('.') && after.next().is_some_and(|c| c.is_ascii_digit());
    !(before.is_some_and(|c| c == '.' || is_part(c) && c != ':')
        || next.is_some_and(|c| is_part(c) && !matches!(c, ':' | '-'))
        || goes_on)
}

/// `Bearer` and `basic` are words too: what follows them is a credential when it does not look like one.
fn is_credential(word: &str) -> bool {
    word.len() >= 24 || word.bytes().any(|byte| byte.is_ascii_digit() || byte == b'=')
}

/// Whether it is the address of a machine: not the one on which everything runs.
fn is_address(text: &str) -> bool {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address != Ipv4Addr::UNSPECIFIED && !address.is_loopback(),
        // `add::fee` is a path in a program too.
        Ok(IpAddr::V6(address)) => {
            address != Ipv6Addr::UNSPECIFIED
                && !address.is_loopback()
                && text.bytes().any(|byte| byte.is_ascii_digit())
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masked(text: &str) -> String {
        Masks::default().text(text).into_owned()
    }

    #[test]
    fn personal_data_is_masked() {
        for (text, shown) in [
            ("write to ada.lovelace+x@mail.example.com.", "write to [email]."),
            ("Ärger: jürgen@müller.de, o'neil@x.io", "Ärger: [email], [email]"),
            ("call +49 (0)30 901820 today", "call [phone] today"),
            ("call +1-555-867-5309, or (555) 867-5309", "call [phone], or [phone]"),
            ("555.867.5309 / 0171 1234567", "[phone] / [phone]"),
            ("tel:+442079460958", "tel:[phone]"),
            ("card 4111 1111 1111 1111 12/27", "card [card] 12/27"),
            ("4111111111111111, 3782-822463-10005", "[card], [card]"),
            ("order 12 5555 5555 5555 4444", "order 12 [card]"),
            ("DE89 3704 0044 0532 0130 00 und mehr", "[iban] und mehr"),
            ("to GB29NWBK60161331926819.", "to [iban]."),
            ("gb29 nwbk 6016 1331 9268 19", "[iban]"),
            ("ssn 078-05-1120", "ssn [ssn]"),
            ("from 203.0.113.7:443 and 2001:db8::1", "from [ip]:443 and [ip]"),
            ("[2001:db8:0:1:1:1:1:1]:80", "[[ip]]:80"),
            ("http://10.1.2.3/x", "http://[ip]/x"),
        ] {
            assert_eq!(masked(text), shown, "{text}");
        }
    }

    #[test]
    fn secrets_are_masked() {
        for (text, shown) in [
            ("Authorization: Bearer abc.DEF-123", "Authorization: [hidden]"),
            (r#"-H 'Authorization: ApiKey a b' x"#, "-H 'Authorization: [hidden]' x"),
            ("Basic YWRhOmxvdmVsYWNl=", "Basic [key]"),
            ("use sk-abcdefghijklmnop1234 now", "use [key] now"),
            ("ghp_0123456789abcdefghij", "[key]"),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "[key]"),
            ("postgres://ada:hunter2@db/x", "postgres://ada:[hidden]@db/x"),
            ("password=hunter2; user=ada", "password=[hidden]; user=ada"),
            (r#"{"api_key": "abcd1234"}"#, r#"{"api_key": "[hidden]"}"#),
            (
                "https://x.example/?access_token=abcd1234&page=2",
                "https://x.example/?access_token=[hidden]&page=2",
            ),
            ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "[key]"),
        ] {
            assert_eq!(masked(text), shown, "{text}");
        }
    }

    #[test]
    fn what_is_behind_percent_codes_is_masked_too() {
        for (text, shown) in [
            ("crm://people/ada%40example.com", "crm://people/[email]"),
            ("crm://people/ada%2540example.com", "crm://people/[email]"),
            ("call://%2B49%2030%20901820/x", "call://[phone]/x"),
            ("x://y?n=%2B49+30+901820&m=1", "x://y?n=[phone]&m=1"),
            ("pay://DE89%203704%200044%200532%200130%2000", "pay://[iban]"),
            ("card/4111%201111%201111%201111", "card/[card]"),
            ("x://y?q=token%3Dhunter22%26z", "x://y?q=token=[hidden]&z"),
            ("x://y?password=ab%20cd&mail=a%40b.io", "x://y?password=[hidden]&mail=[hidden]"),
            ("x://y?f=%7B%22surname%22%3A%22Lovelace%22%7D", "x://y?f={\"surname\":\"[hidden]\"}"),
            ("see x://a/ada%40b.io, and 5%", "see x://a/[email], and 5%"),
        ] {
            assert_eq!(masked(text), shown, "{text}");
        }
        let masks = Masks::new(&["EMP-[0-9]+".to_owned()]).unwrap();
        assert_eq!(masks.text("x://EMP%2D12"), "x://[masked]");
    }

    #[test]
    fn what_is_not_personal_stays() {
        for text in [
            "4111 1111 1111 1112",
            "order 1234567890123",
            "at 1700000000, 2026-11-21T20:58:17.123Z",
            "2026-11-21 20:58:17",
            "id 550e8400-e29b-41d4-a716-446655440000",
            "12345678-1234-4123-8123-411111111111",
            "version 1.2.3, 1.2.3.4.5, 999.1.1.1",
            "127.0.0.1 and ::1",
            "std::io, add::fee, 12:30:45",
            "a basic understanding of bearer authentication",
            "count 1000000 of 20000000",
            "DE89 3704 0044 0532 0130 01",
            "ssn 000-12-3456, 666-12-3456",
            "max_tokens: 100000",
            "a@b and @home",
            "file:///my%20docs/100%25/a.txt?q=x+y",
            "1,234,567.89 EUR",
            "/usr/share/some-long/path-to-a/file.txt",
            "",
        ] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn whatever_fits_a_pattern_of_somebodys_own_is_masked() {
        let masks = Masks::new(&["EMP-[0-9]+".to_owned()]).unwrap();
        assert_eq!(masks.text("EMP-12 of EMP-x, ada@example.com"), "[masked] of EMP-x, [email]");
        for (wrong, why) in
            [("(", "regular expression"), ("x*", "empty text"), ("\\w{9999}", "too much memory")]
        {
            let error = Masks::new(&[wrong.to_owned()]).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    /// What the alternatives are made of, so that they meet, overlap and just fail.
    fn pieces() -> impl Strategy<Value = String> {
        let pieces = [
            "a",
            "a.",
            "aaaaaaaaaaaaaaaa",
            "sk-",
            "eyJ",
            "AKIA",
            "abc:",
            "::1",
            "1.",
            "203.0.113.7",
            "1",
            "12 ",
            "4111",
            " 1111 ",
            "+49 ",
            "(0)30",
            "901820",
            "DE89 3704 0044 0532 0130 00",
            "DE89370400440532013000",
            "AB12",
            "CD34-",
            "@",
            "b.io",
            "x@y.de",
            "Bearer ",
            "basic abcdefgh",
            "cookie",
            "Authorization: ",
            "my-password",
            "token",
            "=",
            ": ",
            "\"",
            "'",
            "\\",
            "://",
            "u:p@",
            "/",
            "_",
            "-",
            " ",
            "\n",
            ",",
            ";",
            "&",
            "%",
            "+",
            "ä",
            "²",
            "K",
            "550e8400-e29b-41d4-a716-446655440000",
            "-----BEGIN PRIVATE KEY-----",
            "-----END A-----",
        ];
        prop::collection::vec(prop::sample::select(pieces.as_slice().to_vec()), 0..24)
            .prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn what_is_masked_is_what_the_plain_way_masks(
            text in prop_oneof![pieces(), "[a1.@:=_ äK-]{0,60}", "[AB12 .:-]{0,60}"],
        ) {
            prop_assert_eq!(known(&text), reference::known(&text));
        }
    }

    /// Each would take hours if the rest of it were looked at again from each of its parts.
    #[test]
    fn no_text_takes_longer_than_it_is_long() {
        for part in
            ["a.", "1.", "1.1.1.1.1-", "AB12ABCDABCDABCD.", "a@b.password=", "a-", "1:a.", "a@", "bearer a."]
        {
            let text = part.repeat((1 << 18) / part.len());
            assert!(known(&text).len() <= text.len(), "{part}");
        }
        let passed_over = "DE89370400440532013000 cookie: ";
        assert_eq!(known(&passed_over.repeat(1 << 13)), "[iban] cookie: ".repeat(1 << 13));
    }
}
