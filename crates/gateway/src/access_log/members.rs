//! Members within a text: `"name": value` of JSON and its like, wherever it begins and however it is wrapped, and `?name=value` of URIs.

use std::{borrow::Cow, sync::LazyLock};

use regex::{Captures, Regex};

use super::names::{HIDDEN, Kind, are_counts, kind};

/// A name and what parts it from its value.
static NAMES: LazyLock<Regex> = LazyLock::new(|| {
    let alternatives = [
        // Of JSON within a text of JSON, which has backslashes before its quotes.
        r#"\\*["'](?P<quoted>[^"'\\\r\n]{1,64})\\*["']\s*(?::|=>)\s*"#,
        r"[?&;](?P<queried>[\w.~\[\]-]{1,64})=",
    ];
    Regex::new(&alternatives.join("|")).expect("the alternatives are regular expressions")
});

/// The text without the values of members that are named like secrets or personal data.
pub(super) fn hidden(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let (mut at, mut copied) = (0, 0);
    while let Some(found) = NAMES.captures_at(text, at) {
        let Some(whole) = found.get(0) else { break };
        at = whole.end();
        let kind = kind_of(&found);
        if matches!(kind, Kind::Plain | Kind::Data) {
            continue;
        }
        let (start, end) = match found.name("queried") {
            Some(_) => (at, at + until(&text[at..], "&;#<>\"'")),
            None => value(text, at),
        };
        let is_shown = matches!(kind, Kind::Counts)
            && serde_json::from_str(&text[at..end]).is_ok_and(|value| are_counts(&value));
        if start < end && text[start..end] != *HIDDEN && !is_shown {
            shown.push_str(&text[copied..start]);
            shown.push_str(HIDDEN);
            copied = end;
        }
        at = end;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    shown.push_str(&text[copied..]);
    Cow::Owned(shown)
}

fn kind_of(found: &Captures<'_>) -> Kind {
    let name = found.name("quoted").or_else(|| found.name("queried"));
    name.map_or(Kind::Plain, |name| kind(name.as_str()))
}

/// What of the value that begins there is not shown. One that is cut off goes on to the end of the text.
fn value(text: &str, at: usize) -> (usize, usize) {
    let rest = &text[at..];
    let slashes = rest.len() - rest.trim_start_matches('\\').len();
    match rest.as_bytes().get(slashes) {
        Some(quote @ (b'"' | b'\'')) => {
            let start = at + slashes + 1;
            (start, start + quoted(&text[start..], *quote, slashes))
        }
        Some(b'{' | b'[') if slashes == 0 => (at, at + bracketed(rest)),
        _ => {
            let end = until(rest, ",;&}])\"'\\");
            let is_told = matches!(&rest[..end], "null" | "true" | "false" | "None" | "True" | "False");
            (at, at + if is_told { 0 } else { end })
        }
    }
}

/// Where a text ends that began with a quote behind so many backslashes: at one behind as many, but for those that are pairs.
fn quoted(text: &str, quote: u8, slashes: usize) -> usize {
    let mut run = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte == quote && run % (2 * (slashes + 1)) == slashes {
            return at - slashes;
        }
        run = if byte == b'\\' { run + 1 } else { 0 };
    }
    text.len()
}

/// Where the object or list ends with which this begins. Brackets in texts within it do not count.
fn bracketed(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at;
                }
            }
            b'"' => {
                let slashes = bytes[..at - 1].iter().rev().take_while(|byte| **byte == b'\\').count();
                at += quoted(&text[at..], b'"', slashes) + slashes + 1;
            }
            _ => {}
        }
    }
    text.len()
}

/// Where the text has white space or one of these signs, or ends.
fn until(text: &str, signs: &str) -> usize {
    text.find(|c: char| c.is_whitespace() || signs.contains(c)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_members_named_like_personal_data_are_hidden_wherever_they_are() {
        for (text, shown) in [
            (
                "```json\n{\"surname\":\"Lovelace\",\"n\":1}\n```",
                "```json\n{\"surname\":\"[hidden]\",\"n\":1}\n```",
            ),
            ("Result: {'surname': 'Love\\'lace', 'n': 1}", "Result: {'surname': '[hidden]', 'n': 1}"),
            (r#"{"a":1} {"last_name" : "x"}"#, r#"{"a":1} {"last_name" : "[hidden]"}"#),
            (r#"x {"pin":1234,"dob":null,"ssn":true}"#, r#"x {"pin":[hidden],"dob":null,"ssn":true}"#),
            (r#"x {"address":{"line":"}","no":[1]},"n":2}"#, r#"x {"address":[hidden],"n":2}"#),
            (
                r#"x "{\"surname\":\"Lo\\\"ve\",\"n\":\"y\"}""#,
                r#"x "{\"surname\":\"[hidden]\",\"n\":\"y\"}""#,
            ),
            (r#"x "{\"address\":{\"a\":\"}\"},\"n\":2}""#, r#"x "{\"address\":[hidden],\"n\":2}""#),
            (r#"x {"surname":"Lov"#, r#"x {"surname":"[hidden]"#),
            (r#"x {"address":{"line":"Main "#, r#"x {"address":[hidden]"#),
            (r#"{"surname":"","n":"\\","street":"x"}"#, r#"{"surname":"","n":"\\","street":"[hidden]"}"#),
            ("crm://people?surname=Lovelace&page=2#a", "crm://people?surname=[hidden]&page=2#a"),
            ("x://y?a=1&amp;phone=123 z", "x://y?a=1&amp;phone=[hidden] z"),
            (r#"x {"cookies":[1],"tokens":["x"]}"#, r#"x {"cookies":[hidden],"tokens":[hidden]}"#),
            (r#"x {"tokens":"12"} ?tokens=ab"#, r#"x {"tokens":"[hidden]"} ?tokens=[hidden]"#),
        ] {
            assert_eq!(hidden(text), shown);
            assert_eq!(hidden(shown), shown, "what is hidden stays as it is");
        }
    }

    #[test]
    fn other_members_and_prose_stay() {
        for text in [
            r#"x {"name":"search","pageToken":"abc","n":{"address_count":2}}"#,
            "o'neil's address: see \"street\" and 'phone'",
            "x://y?page=2&sort=name",
            r#"x {"max_tokens":9,"usage":{"tokens":{"input":12,"output":3}},"cachedTokens":7} ?tokens=12"#,
            "is it?address",
            "",
        ] {
            assert!(matches!(hidden(text), Cow::Borrowed(_)), "{text}");
        }
    }

    #[test]
    fn whatever_the_text_is_something_comes_of_it() {
        let parts = ["\"surname\":", "{", "[", "}", "]", "\"", "\\", "'", "ä", ":", "?ip=", " "];
        let mut state = 7_u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..12 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.push_str(parts[(state >> 33) as usize % parts.len()]);
            }
            let _ = hidden(&text);
        }
    }
}
