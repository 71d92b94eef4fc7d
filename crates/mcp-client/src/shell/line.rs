//! A line of commands: what is a comment, where it ends, and whether it goes on.

use crate::arguments::{Nesting, words};

/// The line without the prompt that was copied with it, and without its comment: a `#` at the start or after a blank, outside
/// of quotes and brackets.
pub(super) fn command(line: &str) -> &str {
    let line = line.trim();
    let line = line.strip_prefix("> ").unwrap_or(line).trim();
    let comment = words(line).into_iter().find(|word| word.raw.starts_with('#'));
    comment.map_or(line, |comment| line[..comment.start].trim_end())
}

/// Several commands that were pasted at once: a line feed within brackets or quotes of JSON ends none.
pub(super) fn split(text: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut current = String::new();
    for line in text.lines() {
        if !current.is_empty() {
            current.push('\n');
        }
        current.push_str(line);
        if !goes_on(&current) {
            commands.push(std::mem::take(&mut current));
        }
    }
    commands.extend(Some(current).filter(|rest| !rest.is_empty()));
    commands
}

/// Whether brackets are open at the end, so that more lines belong to the command.
pub(super) fn goes_on(line: &str) -> bool {
    let Some(last) = words(line).into_iter().last().filter(|word| word.open) else { return false };
    let mut nesting = Nesting::default();
    last.raw.chars().for_each(|c| nesting.feed(c));
    nesting.has_open_bracket()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_ends_a_line_but_not_within_quotes_brackets_or_words() {
        assert_eq!(
            command(r#"call calc list_files {"path": "."} # This should fail"#),
            r#"call calc list_files {"path": "."}"#
        );
        assert_eq!(command("tools math    # Should only show math_calc"), "tools math");
        assert_eq!(command("# nothing"), "");
        assert_eq!(command(r#"call a echo {"message": "a # b"}"#), r#"call a echo {"message": "a # b"}"#);
        assert_eq!(command("read a file:///x#part"), "read a file:///x#part");
        assert_eq!(command("call a echo 'a # b'"), "call a echo 'a # b'");
    }

    #[test]
    fn a_prompt_that_was_copied_too_is_left_out() {
        assert_eq!(command("> servers"), "servers");
    }

    #[test]
    fn json_goes_on_until_its_brackets_are_closed() {
        assert!(goes_on("call a echo {"));
        assert!(goes_on("call a echo {\"message\": \"}"));
        assert!(goes_on("call a b list=[1,"));
        assert!(!goes_on("call a echo {\"message\": \"{\"}"));
        assert!(!goes_on("call a echo a smile :-["));
        assert!(!goes_on("call a echo \"open"));
    }

    #[test]
    fn pasted_lines_are_commands_of_their_own_except_within_json() {
        assert_eq!(
            split("tools\ncall a echo {\n\"message\": \"x\"}\nquit"),
            ["tools", "call a echo {\n\"message\": \"x\"}", "quit"]
        );
        assert_eq!(split(""), Vec::<String>::new());
    }
}
