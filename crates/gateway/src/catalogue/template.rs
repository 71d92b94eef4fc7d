//! URI templates (RFC 6570) read backwards: whether a URI can have come from one.
//!
//! Which values it was made of is the upstream's business, so matching is generous: a variable may hold what is not
//! encoded as the RFC wants it, as common servers allow.

/// Longest URI that is compared with templates, in bytes. Comparing takes time in proportion to it.
const MAX_URI: usize = 8 << 10;

/// A template, made ready for comparing.
#[derive(Debug, Clone)]
pub(super) struct Template {
    pub(super) steps: Vec<Step>,
    /// Bytes that do not come from a variable: more make a template more particular.
    literal: usize,
}

/// One step through a URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Exactly this byte.
    Byte(u8),
    /// One byte of a variable.
    One(Class),
    /// Any number of bytes of a variable.
    Many(Class),
    /// This byte and the next step, or neither.
    Led(u8),
}

/// Which bytes a variable may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// All.
    Any,
    /// All but `/`.
    Segment,
    /// All but `?` and `#`.
    Path,
    /// All but `#`.
    Query,
}

impl Class {
    pub(super) fn has(self, byte: u8) -> bool {
        match self {
            Self::Any => true,
            Self::Segment => byte != b'/',
            Self::Path => !matches!(byte, b'?' | b'#'),
            Self::Query => byte != b'#',
        }
    }
}

impl Template {
    /// The template in this text. A brace that is not closed is a brace.
    pub(super) fn new(text: &str) -> Self {
        let mut steps = Vec::new();
        let mut literal = 0;
        for part in parts(text) {
            match part {
                Part::Literal(text) => {
                    literal += text.len();
                    steps.extend(text.bytes().map(Step::Byte));
                }
                Part::Expression(inside) => steps.extend(expression(inside)),
            }
        }
        Self { steps, literal }
    }

    /// How particular it is: where several fit, the one with the most counts.
    pub(super) fn weight(&self) -> usize {
        self.literal
    }

    /// Whether `uri` can have come from it.
    pub(super) fn fits(&self, uri: &str) -> bool {
        if uri.len() > MAX_URI {
            return false;
        }
        // Most templates are ruled out by what they begin with.
        let start = self.steps.iter().zip(uri.bytes());
        for (step, byte) in start {
            match step {
                Step::Byte(known) if *known == byte => {}
                Step::Byte(_) => return false,
                _ => break,
            }
        }
        self.walk(uri.as_bytes())
    }

    /// Follows all ways through the template at once: no URI makes this slow, as going back could.
    fn walk(&self, uri: &[u8]) -> bool {
        let end = self.steps.len();
        let mut here = vec![false; end + 1];
        let mut next = vec![false; end + 1];
        here[0] = true;
        for byte in uri {
            self.skip(&mut here);
            next.fill(false);
            for (place, step) in self.steps.iter().enumerate().filter(|(place, _)| here[*place]) {
                match *step {
                    Step::Byte(known) | Step::Led(known) => next[place + 1] |= known == *byte,
                    Step::One(class) => next[place + 1] |= class.has(*byte),
                    Step::Many(class) => next[place] |= class.has(*byte),
                }
            }
            if !next.contains(&true) {
                return false;
            }
            std::mem::swap(&mut here, &mut next);
        }
        self.skip(&mut here);
        here[end]
    }

    /// Marks the places that are reached without reading anything.
    fn skip(&self, reached: &mut [bool]) {
        for (place, step) in self.steps.iter().enumerate() {
            match step {
                _ if !reached[place] => {}
                Step::Many(_) => reached[place + 1] = true,
                Step::Led(_) => reached[place + 2] = true,
                Step::Byte(_) | Step::One(_) => {}
            }
        }
    }
}

/// The same text for templates that the same URIs fit: without the names of variables, unless they are part of the URI.
pub(super) fn shape(text: &str) -> String {
    let mut shape = String::with_capacity(text.len());
    for part in parts(text) {
        match part {
            Part::Literal(text) => shape.push_str(text),
            Part::Expression(inside) => {
                shape.push('{');
                if inside.starts_with([';', '?', '&']) {
                    shape.push_str(inside);
                } else {
                    shape.extend(inside.chars().filter(|c| matches!(c, '+' | '#' | '.' | '/' | ',' | '*')));
                }
                shape.push('}');
            }
        }
    }
    shape
}

/// A template with its text spelled otherwise, and its expressions as they are.
pub(super) fn respelled(text: &str, spell: impl Fn(&str) -> Vec<String>) -> Vec<String> {
    // A character that nothing changes and no URI has, in place of each expression.
    const HOLE: char = '\u{f8ff}';
    if text.contains(HOLE) {
        return vec![text.to_owned()];
    }
    let mut literals = String::with_capacity(text.len());
    for part in parts(text) {
        match part {
            Part::Literal(text) => literals.push_str(text),
            Part::Expression(_) => literals.push(HOLE),
        }
    }
    let filled = |spelled: String| {
        let mut inside = expressions(text);
        let mut whole = String::with_capacity(spelled.len());
        for character in spelled.chars() {
            match (character == HOLE).then(|| inside.next()).flatten() {
                Some(inside) => whole.extend(["{", inside, "}"]),
                None => whole.push(character),
            }
        }
        whole
    };
    spell(&literals).into_iter().map(filled).collect()
}

/// What a template gives with these values; `None` when one is missing. Values are not encoded: servers decode them anyway.
pub(crate) fn expanded(text: &str, value: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut uri = String::with_capacity(text.len());
    for part in parts(text) {
        let inside = match part {
            Part::Literal(text) => {
                uri.push_str(text);
                continue;
            }
            Part::Expression(inside) => inside,
        };
        let operator = inside.chars().next().filter(|first| "+#./;?&".contains(*first));
        let (first, between, is_named) = match operator {
            None | Some('+') => ("", ",", false),
            Some('#') => ("#", ",", false),
            Some('.') => (".", ".", false),
            Some('/') => ("/", "/", false),
            Some(';') => (";", ";", true),
            Some('?') => ("?", "&", true),
            Some(_) => ("&", "&", true),
        };
        let names = inside.trim_start_matches(|first| Some(first) == operator).split(',');
        for (place, name) in names.enumerate() {
            let name = name.split([':', '*']).next().unwrap_or(name);
            uri.push_str(if place == 0 { first } else { between });
            if is_named {
                uri.push_str(name);
                uri.push('=');
            }
            uri.push_str(&value(name)?);
        }
    }
    Some(uri)
}

/// Whether both have the same expressions in the same order: then what fits one can be told in the words of the other.
pub(crate) fn same_expressions(one: &str, other: &str) -> bool {
    expressions(one).eq(expressions(other))
}

fn expressions(text: &str) -> impl Iterator<Item = &str> {
    parts(text).filter_map(|part| match part {
        Part::Expression(inside) => Some(inside),
        Part::Literal(_) => None,
    })
}

/// What one expression can be expanded to.
pub(super) fn expression(inside: &str) -> [Step; 2] {
    match inside.as_bytes().first() {
        Some(b'+') => [Step::One(Class::Any), Step::Many(Class::Any)],
        Some(b'#') => [Step::Led(b'#'), Step::Many(Class::Any)],
        Some(b'.') => [Step::Led(b'.'), Step::Many(Class::Segment)],
        Some(b'/') => [Step::Led(b'/'), Step::Many(Class::Path)],
        Some(b';') => [Step::Led(b';'), Step::Many(Class::Segment)],
        Some(b'?') => [Step::Led(b'?'), Step::Many(Class::Query)],
        Some(b'&') => [Step::Led(b'&'), Step::Many(Class::Query)],
        _ => [Step::One(Class::Segment), Step::Many(Class::Segment)],
    }
}

pub(super) enum Part<'t> {
    Literal(&'t str),
    /// What is between the braces.
    Expression(&'t str),
}

pub(super) fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some((inside, after)) = rest.strip_prefix('{').and_then(|inside| inside.split_once('}')) {
            rest = after;
            return Some(Part::Expression(inside));
        }
        // A brace at the start is one that is never closed: it and all after it are plain text.
        let end = rest.find('{').filter(|end| *end > 0).unwrap_or(rest.len());
        let (literal, after) = rest.split_at(end);
        rest = after;
        Some(Part::Literal(literal))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn uris_fit_the_templates_that_they_can_have_come_from() {
        for (template, uri, fits) in [
            ("test://template/{id}/data", "test://template/123/data", true),
            ("test://template/{id}/data", "test://template/a%20b/data", true),
            ("test://template/{id}/data", "test://template//data", false),
            ("test://template/{id}/data", "test://template/1/2/data", false),
            ("test://template/{id}/data", "test://template/1/data/more", false),
            ("file:///{+path}", "file:///a/b/c.txt", true),
            ("file:///{+path}", "file:///", false),
            ("file:///{path}", "file:///a/b", false),
            ("db://{table}/{id}", "db://users/7", true),
            ("x://{a}-{b}", "x://1-2-3", true),
            ("x://{a,b}", "x://1,2", true),
            ("x://list{?page,size}", "x://list", true),
            ("x://list{?page,size}", "x://list?page=2&size=9", true),
            ("x://list{?page}", "x://lists", false),
            ("x://list?all=1{&page}", "x://list?all=1&page=2", true),
            ("x://file{.ext}", "x://file.txt", true),
            ("x://root{/path*}", "x://root/a/b", true),
            ("x://root{/path*}/end", "x://root/a/end", true),
            ("x://point{;x,y}", "x://point;x=1;y=2", true),
            ("x://page{#part}", "x://page#top", true),
            ("plain://one", "plain://one", true),
            ("plain://one", "plain://on", false),
            ("x://{open", "x://{open", true),
            ("", "", true),
        ] {
            assert_eq!(Template::new(template).fits(uri), fits, "{template} and {uri}");
        }
    }

    #[test]
    fn a_uri_that_is_made_to_be_slow_is_not() {
        let template = Template::new(&"{+a}".repeat(20));

        assert!(template.fits(&"a".repeat(MAX_URI)));
        assert!(!template.fits(&"a".repeat(MAX_URI + 1)), "a URI over the bound fits nothing");
    }

    #[test]
    fn a_template_gives_a_uri_that_fits_it_when_all_values_are_there() {
        let value = |name: &str| (name != "missing").then(|| format!("<{name}>"));
        for (template, uri) in [
            ("db://{table}/{id}", Some("db://<table>/<id>")),
            ("file:///{+path}", Some("file:///<path>")),
            ("x://{a,b}{/c*}{.d}", Some("x://<a>,<b>/<c>.<d>")),
            ("x://l{?page,size}{&more}{#part}", Some("x://l?page=<page>&size=<size>&more=<more>#<part>")),
            ("x://{;v:3}", Some("x://;v=<v>")),
            ("x://{a}/{missing}", None),
            ("plain://one", Some("plain://one")),
        ] {
            let given = expanded(template, value);
            assert_eq!(given.as_deref(), uri, "{template}");
            assert!(given.is_none_or(|uri| Template::new(template).fits(&uri)), "{template}");
        }
    }

    #[test]
    fn templates_that_differ_in_names_of_variables_alone_have_one_shape() {
        assert_eq!(shape("x://{id}/{+rest}"), shape("x://{name}/{+more}"));
        assert_ne!(shape("x://{id}"), shape("x://{+id}"));
        assert_ne!(shape("x://{?a}"), shape("x://{?b}"));
        assert_eq!(shape("x://{open"), "x://{open");
    }

    proptest! {
        #[test]
        fn what_a_template_is_expanded_to_fits_it(
            pieces in prop::collection::vec(("[a-z:/.-]{0,6}", "[A-Za-z0-9%~_-]{1,8}", any::<bool>()), 0..5),
            tail in "[a-z/]{0,5}",
        ) {
            let (mut template, mut uri) = (String::new(), String::new());
            for (literal, value, is_reserved) in pieces {
                template.push_str(&literal);
                template.push_str(if is_reserved { "{+v}" } else { "{v}" });
                uri.push_str(&literal);
                uri.push_str(&value);
                if is_reserved {
                    uri.push_str("/?#");
                }
            }
            template.push_str(&tail);
            uri.push_str(&tail);

            prop_assert!(Template::new(&template).fits(&uri));
        }

        #[test]
        fn any_text_can_be_a_template(text in "\\PC{0,40}", uri in "\\PC{0,40}") {
            let _ = Template::new(&text).fits(&uri);
            let is_plain = !text.contains('{');
            prop_assert!(!is_plain || Template::new(&text).fits(&text));
        }
    }
}
