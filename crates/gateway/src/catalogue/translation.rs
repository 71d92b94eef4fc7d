//! From a URI of one template to that of another: they have the same expressions, and other text between them.

use super::template::{Part, Step, Template, parts, same_expressions};

/// Longest URI that is translated, in bytes: it takes memory in proportion to it and to the template.
const MAX_URI: usize = 2 << 10;

/// Makes URIs of one template those of another.
#[derive(Debug)]
pub(super) struct Translation {
    from: Template,
    /// Of each expression the place of its first step in `from`.
    expressions: Vec<usize>,
    /// The text before each expression of the other template, and after the last.
    literals: Vec<String>,
}

impl Translation {
    /// `None` when what fits one cannot be told in the words of the other.
    pub(super) fn new(from: &str, to: &str) -> Option<Self> {
        if !same_expressions(from, to) {
            return None;
        }
        let (mut expressions, mut place) = (Vec::new(), 0);
        for part in parts(from) {
            match part {
                Part::Literal(text) => place += text.len(),
                Part::Expression(inside) => {
                    expressions.push(place);
                    place += super::template::expression(inside).len();
                }
            }
        }
        let mut literals = vec![String::new()];
        for part in parts(to) {
            match part {
                Part::Literal(text) => literals.last_mut()?.push_str(text),
                Part::Expression(_) => literals.push(String::new()),
            }
        }
        Some(Self { from: Template::new(from), expressions, literals })
    }

    /// The same resource by the other template; `None` when the URI does not fit the first.
    pub(super) fn translate(&self, uri: &str) -> Option<String> {
        if uri.len() > MAX_URI || !self.from.fits(uri) {
            return None;
        }
        let values = self.values(uri.as_bytes());
        let (first, rest) = self.literals.split_first()?;
        let mut told = first.clone().into_bytes();
        for (value, literal) in values.into_iter().zip(rest) {
            told.extend(value);
            told.extend(literal.as_bytes());
        }
        String::from_utf8(told).ok()
    }

    /// What each expression stands for in a URI that fits: as little as possible, the first ones first.
    fn values<'u>(&self, uri: &'u [u8]) -> Vec<&'u [u8]> {
        let leads_on = self.leads_on(uri);
        let (mut values, mut step, mut at) = (Vec::with_capacity(self.expressions.len()), 0, 0);
        for first in self.expressions.iter().copied() {
            // Text between expressions has a step for each byte.
            at += first - step;
            let began = at;
            let is_empty = match self.from.steps[first] {
                Step::Led(lead) => uri.get(at) != Some(&lead) || !leads_on[first + 1][at + 1],
                _ => false,
            };
            if !is_empty {
                at += 1;
                while !leads_on[first + 2][at] {
                    at += 1;
                }
            }
            values.push(&uri[began..at]);
            step = first + 2;
        }
        values
    }

    /// Whether from this step and this byte there is a way to the end.
    fn leads_on(&self, uri: &[u8]) -> Vec<Vec<bool>> {
        let (steps, end) = (&self.from.steps, uri.len());
        let mut leads_on = vec![vec![false; end + 1]; steps.len() + 1];
        leads_on[steps.len()][end] = true;
        for (step, what) in steps.iter().enumerate().rev() {
            for at in (0..=end).rev() {
                let byte = uri.get(at);
                leads_on[step][at] = match what {
                    Step::Byte(known) => byte == Some(known) && leads_on[step + 1][at + 1],
                    Step::One(class) => {
                        byte.is_some_and(|byte| class.has(*byte)) && leads_on[step + 1][at + 1]
                    }
                    Step::Many(class) => {
                        leads_on[step + 1][at]
                            || byte.is_some_and(|byte| class.has(*byte)) && leads_on[step][at + 1]
                    }
                    Step::Led(known) => {
                        leads_on[step + 2][at] || byte == Some(known) && leads_on[step + 1][at + 1]
                    }
                };
            }
        }
        leads_on
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_uri_is_told_in_the_words_of_the_other_template() {
        for (from, to, uri, told) in [
            ("docs:{+path}", "file:///{+path}", "docs:a/b.txt", Some("file:///a/b.txt")),
            ("x://{a}/{b}", "y:{a}-{b}!", "x://1/2", Some("y:1-2!")),
            ("x://{a}{b}", "y:{a}/{b}", "x://12", Some("y:1/2")),
            ("x://list{?page}", "all{?page}", "x://list?page=2", Some("all?page=2")),
            ("x://list{?page}", "all{?page}", "x://list", Some("all")),
            ("x://root{/path*}/end", "y:{/path*}", "x://root/a/b/end", Some("y:/a/b")),
            ("x://{a}", "y:{a}", "z://1", None),
            ("x://one", "y:other", "x://one", Some("y:other")),
        ] {
            assert_eq!(Translation::new(from, to).unwrap().translate(uri).as_deref(), told, "{from} {uri}");
        }
        assert!(Translation::new("x://{a}", "y:{b}").is_none());
        let long = format!("x://{}", "a".repeat(MAX_URI));
        assert_eq!(Translation::new("x://{a}", "y:{a}").unwrap().translate(&long), None, "over the bound");
    }

    proptest! {
        #[test]
        fn there_and_back_again(values in prop::collection::vec("[a-zé0-9]{1,5}", 1..4)) {
            let (mut from, mut to, mut uri) = ("a:".to_owned(), "b:".to_owned(), "a:".to_owned());
            for (place, value) in values.iter().enumerate() {
                from.push_str(&format!("{{v{place}}}/"));
                to.push_str(&format!("{{v{place}}}-x-"));
                uri.push_str(&format!("{value}/"));
            }
            let told = Translation::new(&from, &to).unwrap().translate(&uri).unwrap();
            let expected: String = values.iter().map(|value| format!("{value}-x-")).collect();
            prop_assert_eq!(&told, &format!("b:{expected}"));
            prop_assert_eq!(Translation::new(&to, &from).unwrap().translate(&told), Some(uri));
        }
    }
}
