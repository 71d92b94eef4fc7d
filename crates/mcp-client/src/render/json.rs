//! JSON, indented and coloured. Numbers and texts stay as they were written.

use serde::de::IgnoredAny;
use serde_json::Value;

use super::{paint::Ink, plain};

/// Longest text that is looked at whether it is JSON, in bytes.
const MAX_TEXT: usize = 4 << 20;

/// An object or a list that a text holds, indented; `None` when it is something else.
pub(super) fn of_text(text: &str, color: bool) -> Option<String> {
    let text = text.trim();
    if !text.starts_with(['{', '[']) || text.len() > MAX_TEXT {
        return None;
    }
    serde_json::from_str::<IgnoredAny>(text).ok().map(|_| indented(text, color))
}

/// A value, indented.
pub(crate) fn of_value(value: &Value, color: bool) -> String {
    indented(&value.to_string(), color)
}

/// `json` must be JSON.
fn indented(json: &str, color: bool) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0;
    let mut rest = json.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = token_length(rest, first);
        let (token, after) = rest.split_at(length);
        let after = after.trim_start();
        match first {
            '{' | '[' if after.starts_with(['}', ']']) => out.push(first),
            '{' | '[' => {
                depth += 1;
                out.push(first);
                new_line(&mut out, depth);
            }
            '}' | ']' => {
                if !out.ends_with(['{', '[']) {
                    depth = depth.saturating_sub(1);
                    new_line(&mut out, depth);
                }
                out.push(first);
            }
            ',' => {
                out.push(',');
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => out.push_str(&ink(first, after).paint(&shown(token), color)),
        }
        rest = after;
    }
    out
}

fn token_length(rest: &str, first: char) -> usize {
    match first {
        '"' => {
            let mut escaped = false;
            let end = rest.char_indices().skip(1).find(|(_, char)| {
                let ends = *char == '"' && !escaped;
                escaped = *char == '\\' && !escaped;
                ends
            });
            end.map_or(rest.len(), |(at, _)| at + 1)
        }
        '{' | '}' | '[' | ']' | ',' | ':' => 1,
        _ => rest
            .find(|char: char| matches!(char, ',' | ':' | '}' | ']') || char.is_whitespace())
            .unwrap_or(rest.len()),
    }
}

fn ink(first: char, after: &str) -> Ink {
    match first {
        '"' if after.starts_with(':') => Ink::Cyan,
        '"' => Ink::Green,
        't' | 'f' | 'n' => Ink::Magenta,
        _ => Ink::Yellow,
    }
}

/// JSON escapes most of what must not reach a terminal, but not all.
fn shown(token: &str) -> String {
    plain::visible_line(token).into_owned()
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_indented_and_nothing_in_it_is_changed() {
        let text = r#" {"a":[1.0,2e400,"x\"}"],"e":{},"n":[ ],"b":null}"#;
        let expected = "{\n  \"a\": [\n    1.0,\n    2e400,\n    \"x\\\"}\"\n  ],\n  \"e\": {},\n  \"n\": [],\n  \"b\": null\n}";
        assert_eq!(of_text(text, false).as_deref(), Some(expected));
        for other in ["plain", "{not json}", "12", "[1,2"] {
            assert_eq!(of_text(other, false), None, "{other}");
        }
    }

    #[test]
    fn names_and_kinds_of_values_have_their_colours() {
        let shown = of_value(&json!({"a": "t", "b": 1, "c": true}), true);
        let expected = "{\n  \x1b[36m\"a\"\x1b[0m: \x1b[32m\"t\"\x1b[0m,\n  \x1b[36m\"b\"\x1b[0m: \x1b[33m1\x1b[0m,\n  \x1b[36m\"c\"\x1b[0m: \x1b[35mtrue\x1b[0m\n}";
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_json_leaves_unescaped_is_escaped() {
        assert_eq!(of_value(&json!("\u{9b}2J\x1b\x7f"), false), "\"\\u{9b}2J\\u001b\\x7f\"");
    }
}
