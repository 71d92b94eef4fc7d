//! The lock file: JSON of which version control can show what changed.

use std::{collections::BTreeMap, fmt::Write as _};

use json_rpc::{Members, Raw};

use super::{Pins, definition};
use crate::canonical::string;

/// The format that is written here.
const VERSION: u32 = 1;

/// Definitions of one upstream's tools.
type Tools = BTreeMap<String, String>;

/// What the text of a lock file says, or what is wrong with it, and where.
pub(super) fn read(text: &str) -> Result<BTreeMap<String, Tools>, String> {
    if text.len() as u64 > Pins::MAX_BYTES {
        return Err(format!("it has more than {} MiB", Pins::MAX_BYTES >> 20));
    }
    let whole = Raw::read(text.to_owned()).map_err(|wrong| not_json(text, &wrong))?;
    let page = Page { text, whole: &whole };
    let members = page.object(&whole)?;
    match members.get("version").map(Raw::parse::<u32>) {
        Some(Ok(VERSION)) => {}
        Some(Ok(other)) => {
            return Err(format!("it has version {other}, and this mcp-gateway reads version {VERSION}"));
        }
        _ => return Err(page.wrong(&whole, "\"version\" is missing, or no number")),
    }
    let upstreams = members.get("tools").ok_or_else(|| page.wrong(&whole, "\"tools\" is missing"))?;
    let mut approved = BTreeMap::new();
    for (upstream, tools) in page.object(upstreams)?.iter() {
        let tools = page.object(tools)?;
        let tools = tools.iter().map(|(tool, raw)| Ok((tool.to_owned(), page.tool(raw)?)));
        approved.insert(upstream.to_owned(), tools.collect::<Result<Tools, String>>()?);
    }
    Ok(approved)
}

/// The text of the lock file, which ends with a line break.
pub(super) fn write(approved: &BTreeMap<String, Tools>) -> String {
    let mut upstreams = approved.iter().map(|(upstream, tools)| {
        let tools = tools.iter().map(|(tool, definition)| (string(tool), definition.clone()));
        (string(upstream), object(tools))
    });
    let tools = (string("tools"), object(&mut upstreams));
    object([tools, (string("version"), VERSION.to_string())]) + "\n"
}

/// A pretty object of members whose values are pretty.
fn object(members: impl IntoIterator<Item = (String, String)>) -> String {
    let mut out = String::from("{");
    for (name, value) in members {
        let comma = if out.len() > 1 { "," } else { "" };
        let _ = write!(out, "{comma}\n  {name}: {}", value.replace('\n', "\n  ")); // memory takes all
    }
    out.push_str(if out.len() > 1 { "\n}" } else { "}" });
    out
}

fn not_json(text: &str, wrong: &serde_json::Error) -> String {
    let line = text.lines().nth(wrong.line().saturating_sub(1)).unwrap_or_default();
    let is_conflict = ["<<<<<<<", "=======", ">>>>>>>"].iter().any(|mark| line.starts_with(mark));
    let what = if is_conflict { "a merge is not finished here" } else { "this is not JSON" };
    format!("line {}, column {}: {what}", wrong.line(), wrong.column())
}

/// A text, and the value that was read from it, whose parts are parts of one piece of memory.
struct Page<'t> {
    text: &'t str,
    whole: &'t Raw,
}

impl Page<'_> {
    fn object(&self, raw: &Raw) -> Result<Members, String> {
        Members::of(raw).map_err(|wrong| self.wrong(raw, &format!("this is wrong: {wrong}")))
    }

    fn tool(&self, raw: &Raw) -> Result<String, String> {
        if !raw.is_object() {
            return Err(self.wrong(raw, "a tool must be an object"));
        }
        definition(raw).ok_or_else(|| self.wrong(raw, "this tool is too long or too deeply nested"))
    }

    fn wrong(&self, raw: &Raw, what: &str) -> String {
        let space = self.text.len() - self.text.trim_start().len();
        let start = |raw: &Raw| raw.as_bytes().as_ptr() as usize;
        let place = space + start(raw).saturating_sub(start(self.whole));
        let before = self.text.as_bytes().get(..place).unwrap_or_default();
        format!("line {}: {what}", before.iter().filter(|byte| **byte == b'\n').count() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{
  "tools": {
    "files": {
      "read": {
        "description": "Reads",
        "name": "read"
      },
      "write": {
        "name": "write"
      }
    },
    "web": {
      "get": {
        "inputSchema": {},
        "name": "get"
      }
    }
  },
  "version": 1
}
"#;

    #[test]
    fn the_text_is_stable_and_has_one_member_a_line() {
        let pins = Pins::read(TEXT).unwrap();
        assert_eq!((pins.to_text().as_str(), pins.tools()), (TEXT, 3));
        assert_eq!(Pins::default().to_text(), "{\n  \"tools\": {},\n  \"version\": 1\n}\n");
        assert_eq!(Pins::read(&Pins::default().to_text()), Ok(Pins::default()));
        // Somebody's editor may write it otherwise.
        let value: serde_json::Value = serde_json::from_str(TEXT).unwrap();
        assert_eq!(Pins::read(&format!("\n\t{value}")), Ok(pins));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (old, new, line, what) in [
            ("\"Reads\",", "\"Reads\"", "line 6", "not JSON"),
            ("    \"web\"", "<<<<<<< ours\n    \"web\"", "line 12", "merge"),
            (r#""write": {"#, r#""read": {"#, "line 3", "twice"),
            (
                r#"{
        "name": "write"
      }"#,
                "[]",
                "line 8",
                "object",
            ),
            ("\"version\": 1", "\"version\": \"1\"", "line 1", "version"),
            ("\"version\": 1", "\"version\": 2", "version 2", "version 1"),
            ("\"tools\"", "\"tolls\"", "line 1", "tools"),
        ] {
            let broken = TEXT.replacen(old, new, 1);
            assert_ne!(broken, TEXT, "{new}");
            let wrong = Pins::read(&broken).unwrap_err();
            assert!(wrong.contains(line) && wrong.contains(what), "{new}: {wrong}");
        }
        for broken in ["", "[]", "null"] {
            assert!(Pins::read(broken).unwrap_err().contains("line 1"), "{broken}");
        }
    }

    #[test]
    fn a_text_that_is_too_large_is_not_read() {
        let large = " ".repeat(usize::try_from(Pins::MAX_BYTES).unwrap() + 1);
        assert!(Pins::read(&large).unwrap_err().contains("32 MiB"));
    }
}
