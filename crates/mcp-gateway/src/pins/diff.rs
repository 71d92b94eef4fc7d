//! How definitions of tools differ, for people.

use std::{fmt::Write as _, time::Duration};

use gateway::PinChange;
use similar::TextDiff;

/// After that a longer difference than need be is good enough.
const LIMIT: Duration = Duration::from_secs(1);

/// One tool's change as a unified diff.
pub(super) fn unified(change: &PinChange) -> String {
    let place = visible(&format!("{}/{}", change.upstream, change.tool));
    let side = |text: &Option<String>, what: &str, none: &str| match text {
        Some(text) => (format!("{place} ({what})"), unfolded(text)),
        None => (format!("{place} ({none})"), String::new()),
    };
    let (old_head, old) = side(&change.approved, "approved", "not approved");
    let (new_head, new) = side(&change.present, "now", "not there any more");
    let diff = TextDiff::configure().timeout(LIMIT).diff_lines(&old, &new);
    let mut text = String::new();
    let _ = writeln!(text, "--- {old_head}\n+++ {new_head}"); // memory takes all
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        let _ = write!(text, "{hunk}");
    }
    text
}

/// What a server said, without what a terminal would obey or not show.
pub(super) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\'' | '\\' => out.push(character),
            other => out.extend(other.escape_debug()),
        }
    }
    out
}

/// Pretty JSON with a new line wherever a text in it has one, so that long descriptions are compared line by line.
fn unfolded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 1);
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len() + 2;
        let mut rest = line;
        while let Some((before, after)) = rest.split_once('\\') {
            let escaped = after.chars().next().map_or(0, char::len_utf8);
            let (escaped, after) = after.split_at(escaped);
            out.push_str(before);
            out.push('\\');
            out.push_str(escaped);
            if escaped == "n" && after != "\"" && after != "\"," {
                let _ = write!(out, "\n{:indent$}", ""); // memory takes all
            }
            rest = after;
        }
        out.push_str(rest);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(approved: Option<&str>, present: Option<&str>) -> PinChange {
        PinChange {
            upstream: "files".to_owned(),
            tool: "read\u{1b}[2J".to_owned(),
            name: None,
            approved: approved.map(str::to_owned),
            present: present.map(str::to_owned),
        }
    }

    #[test]
    fn only_the_line_of_a_description_that_changed_is_shown_as_changed() {
        let tool = |second: &str| {
            format!("{{\n  \"description\": \"One\\n{second}\\nThree\\\\n\\n\",\n  \"name\": \"read\"\n}}")
        };
        let text = unified(&change(Some(&tool("Two")), Some(&tool("2"))));
        let lines = [
            "--- files/read\\u{1b}[2J (approved)",
            "+++ files/read\\u{1b}[2J (now)",
            "@@ -1,6 +1,6 @@",
            " {",
            "   \"description\": \"One\\n",
            "-    Two\\n",
            "+    2\\n",
            "     Three\\\\n\\n\",",
            "   \"name\": \"read\"",
            " }",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn a_tool_that_is_new_or_gone_is_shown_whole() {
        let tool = "{\n  \"name\": \"read\"\n}";
        let new = unified(&change(None, Some(tool)));
        assert!(new.contains("(not approved)") && new.contains("+  \"name\""), "{new}");
        let gone = unified(&change(Some(tool), None));
        assert!(gone.contains("(not there any more)") && gone.contains("-  \"name\""), "{gone}");
    }
}
