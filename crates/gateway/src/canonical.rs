//! One text for JSON values that say the same: members are sorted, strings are written in one way, numbers stay as they are.
//!
//! Characters that a reader would not see (control characters, directions of writing, spaces without width, tags) are written as
//! escapes, so that the text can be shown, and hides nothing.

use std::fmt::Write as _;

use json_rpc::Raw;

/// Deepest nesting.
const DEEPEST: usize = 64;

/// The value has no canonical text: it is nested too deeply, or the text would be too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unwieldy;

/// The canonical text of at most about this many bytes, without any space.
pub(crate) fn compact(value: &Raw, most: usize) -> Result<String, Unwieldy> {
    write(value, None, most)
}

/// The canonical text of at most about this many bytes, one member or item a line.
pub(crate) fn pretty(value: &Raw, most: usize) -> Result<String, Unwieldy> {
    write(value, Some(0), most)
}

/// A text as a JSON string.
pub(crate) fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other => visible(&mut out, other),
        }
    }
    out.push('"');
    out
}

fn write(value: &Raw, indent: Option<usize>, most: usize) -> Result<String, Unwieldy> {
    if value.as_bytes().len() > most {
        return Err(Unwieldy);
    }
    let node = Reader { rest: value.as_str() }.value(0)?;
    let mut out = Writer { out: String::with_capacity(value.as_bytes().len()), most };
    out.value(&node, indent)?;
    Ok(out.out)
}

fn visible(out: &mut String, character: char) {
    if !is_hidden(character) {
        out.push(character);
        return;
    }
    for unit in character.encode_utf16(&mut [0; 2]) {
        let _ = write!(out, "\\u{unit:04x}"); // memory takes all
    }
}

/// Whether a character would not be seen, or changes how others are.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// A value, with its strings as they are written here.
enum Node<'t> {
    Number(&'t str),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

/// Reads text that is known to be JSON.
struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn value(&mut self, depth: usize) -> Result<Node<'t>, Unwieldy> {
        if depth > DEEPEST {
            return Err(Unwieldy);
        }
        match self.peek() {
            b'"' => Ok(Node::Text(self.string())),
            b'[' => {
                let mut items = Vec::new();
                while self.goes_on(b']') {
                    items.push(self.value(depth + 1)?);
                }
                Ok(Node::List(items))
            }
            b'{' => {
                let mut members = Vec::new();
                while self.goes_on(b'}') {
                    self.peek();
                    let name = self.string();
                    self.peek();
                    self.skip(1); // the colon
                    members.push((name, self.value(depth + 1)?));
                }
                // Those of one name stay in their order, in which readers may see them.
                members.sort_by(|(one, _), (other, _)| one.cmp(other));
                Ok(Node::Object(members))
            }
            _ => {
                let end = self.rest.find([',', ']', '}', ' ', '\t', '\n', '\r']).unwrap_or(self.rest.len());
                Ok(Node::Number(self.skip(end)))
            }
        }
    }

    /// Steps over what opens a list or object, or parts its values: whether another value follows.
    fn goes_on(&mut self, end: u8) -> bool {
        self.skip_space();
        let is_over = self.rest.as_bytes().first().is_none_or(|byte| *byte == end);
        self.skip(1);
        if is_over {
            return false;
        }
        // It was the bracket or a comma; an empty list ends now.
        let is_empty = self.peek() == end;
        if is_empty {
            self.skip(1);
        }
        !is_empty
    }

    fn string(&mut self) -> String {
        let bytes = self.rest.as_bytes();
        let mut end = 1;
        while let Some(byte) = bytes.get(end) {
            match byte {
                b'"' => break,
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
        let token = self.skip((end + 1).min(bytes.len()));
        match serde_json::from_str::<String>(token) {
            Ok(text) => string(&text),
            // Half of a pair of surrogates is no text, but a string all the same.
            Err(_) => token.chars().fold(String::new(), |mut out, character| {
                visible(&mut out, character);
                out
            }),
        }
    }

    /// The byte that comes after space.
    fn peek(&mut self) -> u8 {
        self.skip_space();
        self.rest.as_bytes().first().copied().unwrap_or_default()
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn skip(&mut self, bytes: usize) -> &'t str {
        let (skipped, rest) = self.rest.split_at(bytes.min(self.rest.len()));
        self.rest = rest;
        skipped
    }
}

struct Writer {
    out: String,
    most: usize,
}

impl Writer {
    fn value(&mut self, node: &Node<'_>, indent: Option<usize>) -> Result<(), Unwieldy> {
        let inner = indent.map(|indent| indent + 2);
        match node {
            Node::Number(text) => self.out.push_str(text),
            Node::Text(text) => self.out.push_str(text),
            Node::List(items) if items.is_empty() => self.out.push_str("[]"),
            Node::Object(members) if members.is_empty() => self.out.push_str("{}"),
            Node::List(items) => {
                for (place, item) in items.iter().enumerate() {
                    self.out.push(if place == 0 { '[' } else { ',' });
                    self.line(inner);
                    self.value(item, inner)?;
                }
                self.line(indent);
                self.out.push(']');
            }
            Node::Object(members) => {
                for (place, (name, value)) in members.iter().enumerate() {
                    self.out.push(if place == 0 { '{' } else { ',' });
                    self.line(inner);
                    self.out.push_str(name);
                    self.out.push_str(if inner.is_some() { ": " } else { ":" });
                    self.value(value, inner)?;
                }
                self.line(indent);
                self.out.push('}');
            }
        }
        if self.out.len() > self.most { Err(Unwieldy) } else { Ok(()) }
    }

    fn line(&mut self, indent: Option<usize>) {
        if let Some(indent) = indent {
            let _ = write!(self.out, "\n{:indent$}", ""); // memory takes all
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const MOST: usize = 1 << 20;

    fn raw(text: &str) -> Raw {
        Raw::read(text.to_owned()).unwrap()
    }

    fn short(text: &str) -> String {
        compact(&raw(text), MOST).unwrap()
    }

    #[test]
    fn the_order_of_members_and_the_way_of_writing_do_not_matter_and_all_else_does() {
        let one = r#"{"b":[1, {"y":null,"x":true}],"a":"A\/ü","n":1.50}"#;
        assert_eq!(short(one), r#"{"a":"A/ü","b":[1,{"x":true,"y":null}],"n":1.50}"#);
        let other = "{ \"n\" : 1.50 ,\n\t\"a\" :\"\\u0041/\\u00fc\", \"b\":[1,{\"x\":true,\"y\":null} ] }";
        assert_eq!(short(one), short(other));
        for different in ["1.5", "1.50e0", "\"1.50\""] {
            assert_ne!(short(one), short(&one.replace("1.50", different)), "{different}");
        }
        assert_ne!(short("[1,2]"), short("[2,1]"));
        assert_ne!(short(r#"{"a":1,"a":2}"#), short(r#"{"a":2,"a":1}"#));
    }

    #[test]
    fn the_pretty_text_has_one_member_a_line() {
        let text = pretty(&raw(r#"{"b":[],"a":{"y":[1,"two"],"x":{}}}"#), MOST).unwrap();
        let lines = [
            "{",
            "  \"a\": {",
            "    \"x\": {},",
            "    \"y\": [",
            "      1,",
            "      \"two\"",
            "    ]",
            "  },",
            "  \"b\": []",
            "}",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn what_a_reader_would_not_see_is_written_out() {
        let hidden = "\u{1b}[2J\u{9b}\u{7f}\u{202e}\u{200b}\u{feff}\u{e0041}\u{2028}";
        let written = string(hidden);
        assert_eq!(
            written, "\"\\u001b[2J\\u009b\\u007f\\u202e\\u200b\\ufeff\\udb40\\udc41\\u2028\"",
            "each is an escape"
        );
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), hidden);
        assert_eq!(short("\"\\ud800\u{202e}\""), "\"\\ud800\\u202e\"");
    }

    #[test]
    fn what_is_too_deep_or_too_long_has_no_canonical_text() {
        let deep = |levels: usize| raw(&format!("{}{}", "[".repeat(levels), "]".repeat(levels)));
        assert!(compact(&deep(DEEPEST), MOST).is_ok());
        assert_eq!(compact(&deep(100_000), MOST), Err(Unwieldy));
        assert_eq!(compact(&raw("\"0123456789\""), 10), Err(Unwieldy));
        // Each item is short, and what stands before it is not.
        let long = format!("{}{}0{}", "[".repeat(40), "0,".repeat(10_000), "]".repeat(40));
        assert_eq!(pretty(&raw(&long), 100_000), Err(Unwieldy));
    }

    proptest::proptest! {
        #[test]
        fn the_canonical_text_says_the_same_as_the_value(names in proptest::collection::vec(".*", 0..6), number: i64) {
            let value: Value = names.iter().map(|name| (name.clone(), serde_json::json!([name, number, {name: null}]))).collect::<serde_json::Map<_, _>>().into();
            for text in [compact(&Raw::of(&value).unwrap(), MOST), pretty(&Raw::of(&value).unwrap(), MOST)] {
                proptest::prop_assert_eq!(&serde_json::from_str::<Value>(&text.unwrap()).unwrap(), &value);
            }
        }
    }
}
