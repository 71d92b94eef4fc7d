//! Splitting a line at its blanks, but not within quotes and brackets.

/// One word of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// As it was written.
    pub(crate) raw: String,
    /// Where it starts, in bytes.
    pub(crate) start: usize,
    /// A quote or a bracket in it is not closed.
    pub(crate) open: bool,
}

impl Word {
    /// Without its quotes.
    pub(crate) fn text(&self) -> String {
        unquoted(&self.raw)
    }
}

/// What is open at some place of a line.
#[derive(Debug, Default)]
pub(crate) struct Nesting {
    brackets: Vec<char>,
    quote: Option<char>,
    escaped: bool,
    in_word: bool,
}

impl Nesting {
    /// Goes over the next character.
    pub(crate) fn feed(&mut self, c: char) {
        if self.escaped {
            self.escaped = false;
            return;
        }
        match (self.quote, c) {
            (Some('"'), '\\') => self.escaped = true,
            (Some(quote), c) if quote == c => self.quote = None,
            (Some(_), _) => {}
            (None, '"') => self.quote = Some('"'),
            // In the middle of a word it is an apostrophe.
            (None, '\'') if !self.in_word && self.brackets.is_empty() => self.quote = Some('\''),
            // In the middle of plain words brackets mean nothing: `a smile :-(`.
            (None, '{' | '[') if !self.in_word || !self.brackets.is_empty() => self.brackets.push(c),
            (None, '}' | ']') => drop(self.brackets.pop()),
            _ => {}
        }
        self.in_word = !c.is_whitespace() && c != '=';
    }

    /// Whether a blank here would separate words.
    pub(crate) fn is_closed(&self) -> bool {
        self.brackets.is_empty() && self.quote.is_none()
    }

    /// Whether brackets are open, and quotes only within them.
    pub(crate) fn has_open_bracket(&self) -> bool {
        !self.brackets.is_empty()
    }
}

/// The words of `text`.
pub(crate) fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut nesting = Nesting::default();
    let mut current: Option<Word> = None;
    for (start, c) in text.char_indices() {
        if c.is_whitespace() && nesting.is_closed() {
            words.extend(current.take());
            nesting = Nesting::default();
            continue;
        }
        nesting.feed(c);
        current.get_or_insert_with(|| Word { raw: String::new(), start, open: false }).raw.push(c);
    }
    if let Some(word) = &mut current {
        word.open = !nesting.is_closed();
    }
    words.extend(current);
    words
}

/// The first word of `text`, and what follows it.
pub(crate) fn split_first(text: &str) -> Option<(String, &str)> {
    let first = words(text).into_iter().next()?;
    let rest = text[first.start + first.raw.len()..].trim();
    Some((first.text(), rest))
}

/// Whether the whole of `text` stands in one pair of quotes.
pub(crate) fn is_quoted(text: &str) -> bool {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) else { return false };
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' && quote == '"' {
            escaped = true;
        } else if c == quote {
            return at + 1 == text.len();
        }
    }
    false
}

/// `text` without the quotes around it. In double quotes a backslash takes away the meaning of what follows.
pub(crate) fn unquoted(text: &str) -> String {
    if !is_quoted(text) {
        return text.to_owned();
    }
    let inner = &text[1..text.len() - 1];
    if text.starts_with('\'') {
        return inner.to_owned();
    }
    // As in JSON where it is JSON, so that `\n` and `\u00e9` work; else only quotes and backslashes are meant.
    serde_json::from_str(text).unwrap_or_else(|_| inner.replace("\\\"", "\"").replace("\\\\", "\\"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(line: &str) -> Vec<String> {
        words(line).iter().map(Word::text).collect()
    }

    #[test]
    fn blanks_in_quotes_and_brackets_do_not_separate_words() {
        assert_eq!(texts(r#"call  "my server" 'a tool'"#), ["call", "my server", "a tool"]);
        assert_eq!(texts(r#"a={"b": [1, 2]} c="x y""#), [r#"a={"b": [1, 2]}"#, r#"c="x y""#]);
        assert_eq!(texts(r#"{"a": "}"} b"#), [r#"{"a": "}"}"#, "b"]);
    }

    #[test]
    fn an_apostrophe_or_a_bracket_within_plain_words_means_nothing() {
        assert_eq!(texts("don't stop"), ["don't", "stop"]);
        assert_eq!(texts("f(x[0] y"), ["f(x[0]", "y"]);
    }

    #[test]
    fn double_quotes_know_escapes_and_single_quotes_do_not() {
        assert_eq!(unquoted(r#""a \"b\" \n""#), "a \"b\" \n");
        assert_eq!(unquoted(r#""C:\dir""#), r"C:\dir");
        assert_eq!(unquoted(r"'a\n'"), r"a\n");
        assert_eq!(unquoted("\"open"), "\"open");
    }

    #[test]
    fn what_is_not_closed_says_so() {
        assert!(words("call {\"a\": ")[1].open);
        assert!(!words("call {\"a\": 1}")[1].open);
    }

    proptest! {
        #[test]
        fn words_lie_where_they_say_and_nothing_but_blanks_is_between(line in "[ a-z\"'{}\\[\\]\\\\=é]{0,40}") {
            let mut end = 0;
            for word in words(&line) {
                prop_assert_eq!(&line[word.start..word.start + word.raw.len()], word.raw.as_str());
                prop_assert!(line[end..word.start].trim().is_empty());
                end = word.start + word.raw.len();
            }
            prop_assert!(line[end..].trim().is_empty());
        }
    }
}
