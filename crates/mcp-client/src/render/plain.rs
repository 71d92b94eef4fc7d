//! Text of servers, made fit for a terminal: what could move the cursor, colour the screen or turn the direction of writing is
//! shown escaped. Widths count as terminals do.

use std::{borrow::Cow, fmt::Write as _};

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// The text with everything escaped that is not plain text; line feeds and tabs stay.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, |char| char != '\n' && char != '\t' && is_control(char))
}

/// The same for something that is one line, such as a name.
pub(crate) fn visible_line(text: &str) -> Cow<'_, str> {
    escaped(text, is_control)
}

fn escaped(text: &str, escape: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&escape) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            // A line feed of other systems.
            '\r' if chars.peek() == Some(&'\n') && !escape('\n') => {}
            '\r' => out.push_str("\\r"),
            '\n' if escape('\n') => out.push_str("\\n"),
            '\t' if escape('\t') => out.push_str("\\t"),
            // Writing to a String does not fail.
            char if escape(char) && u32::from(char) < 0x80 => {
                let _ = write!(out, "\\x{:02x}", u32::from(char));
            }
            char if escape(char) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(char));
            }
            char => out.push(char),
        }
    }
    Cow::Owned(out)
}

/// Control characters, separators of lines, and what turns the direction of writing or is not seen at all.
fn is_control(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
        || matches!(char, '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Columns that a line takes.
pub(crate) fn width(line: &str) -> usize {
    line.width()
}

/// The lines of a text, broken between words so that none is wider than `width` (at least 1).
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        if self::width(line) <= width {
            lines.push(line.trim_end().to_owned());
            continue;
        }
        let mut current = String::new();
        let mut used = 0;
        for word in line.split(' ') {
            let wide = self::width(word);
            if used > 0 && used + 1 + wide <= width {
                current.push(' ');
                used += 1;
            } else if used > 0 {
                lines.push(std::mem::take(&mut current));
                used = 0;
            }
            used = break_word(word, wide, width, used, &mut current, &mut lines);
        }
        lines.push(current);
    }
    lines
}

/// Appends a word, in pieces when it is wider than a line, and gives the columns that are used then.
fn break_word(
    word: &str,
    wide: usize,
    width: usize,
    used: usize,
    current: &mut String,
    lines: &mut Vec<String>,
) -> usize {
    if used + wide <= width {
        current.push_str(word);
        return used + wide;
    }
    let mut used = used;
    for char in word.chars() {
        let wide = char.width().unwrap_or(0);
        if used + wide > width && used > 0 {
            lines.push(std::mem::take(current));
            used = 0;
        }
        current.push(char);
        used += wide;
    }
    used
}

/// The line, cut to this many columns with an ellipsis.
pub(crate) fn shorten(line: &str, width: usize) -> String {
    if self::width(line) <= width {
        return line.to_owned();
    }
    let mut used = 1; // the ellipsis
    let fits = |char: &char| {
        used += char.width().unwrap_or(0);
        used <= width
    };
    let kept: String = line.chars().take_while(fits).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_reach_the_terminal_is_shown_escaped() {
        for (text, shown) in [
            ("plain\n\ttext ✓", "plain\n\ttext ✓"),
            ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
            ("one\r\ntwo\rthree", "one\ntwo\\rthree"),
            ("c1 \u{9b}31m", "c1 \\u{9b}31m"),
            ("abc\u{202e}txt.exe", "abc\\u{202e}txt.exe"),
            ("\u{8}\u{7f}", "\\x08\\x7f"),
        ] {
            assert_eq!(visible(text), shown);
        }
        assert_eq!(visible_line("two\nlines\t"), "two\\nlines\\t");
    }

    #[test]
    fn lines_are_broken_between_words_and_long_words_anywhere() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("日本語日本語", 5), ["日本", "語日", "本語"]);
        assert_eq!(wrap("a\n\nb", 9), ["a", "", "b"]);
    }

    #[test]
    fn a_line_that_is_too_wide_is_cut_by_columns_not_characters() {
        assert_eq!(shorten("日本語", 5), "日本…");
        assert_eq!(shorten("abc", 3), "abc");
    }
}
