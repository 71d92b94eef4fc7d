//! Texts with `{{ … }}` in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use minijinja::{Environment, Error, ErrorKind, value::Value as Shown};
use serde_json::Value;

use crate::{
    environment::{LENIENT, STRICT},
    values::{self, Budget, Unfit},
};

/// What templates know, by name.
pub(crate) type Context = BTreeMap<String, Shown>;

/// Names that templates have of themselves.
const GLOBALS: [&str; 3] = ["dict", "namespace", "range"];

/// Characters of a template that an error shows.
const SHOWN_CHARS: usize = 120;

/// A template.
#[derive(Debug)]
pub(crate) struct Template {
    source: String,
    /// What is between the braces, when there is nothing else: it gives a value rather than a text.
    expression: Option<String>,
}

impl Template {
    /// Whether a text has anything to fill in.
    pub(crate) fn is_one(text: &str) -> bool {
        ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark))
    }

    /// Reads a template.
    pub(crate) fn read(source: &str) -> Result<Self, String> {
        let expression = alone(source).filter(|inner| STRICT.compile_expression(inner).is_ok());
        let template = Self { source: source.to_owned(), expression: expression.map(str::to_owned) };
        if template.expression.is_none() {
            STRICT.template_from_str(source).map_err(|error| template.reason(&error))?;
        }
        match template.run(&LENIENT, Shown::default(), &mut Budget::of(1 << 20)) {
            Err(Unfit::Template(error)) if is_unknown(&error) => Err(template.reason(&error)),
            _ => Ok(template),
        }
    }

    /// Whether it gives a value rather than a text.
    pub(crate) fn gives_value(&self) -> bool {
        self.expression.is_some()
    }

    /// The names that it needs, with the members that it asks of them: `["hits", "structured", "items"]`.
    pub(crate) fn references(&self) -> BTreeSet<Vec<String>> {
        let names = match &self.expression {
            Some(expression) => {
                STRICT.compile_expression(expression).map(|compiled| compiled.undeclared_variables(true))
            }
            None => {
                STRICT.template_from_str(&self.source).map(|compiled| compiled.undeclared_variables(true))
            }
        };
        names
            .unwrap_or_default() // it was read before
            .iter()
            .map(|name| name.split('.').map(str::to_owned).collect::<Vec<_>>())
            .filter(|path| !GLOBALS.contains(&path[0].as_str()))
            .collect()
    }

    /// What it comes to, if that is no larger than what is left.
    pub(crate) fn render(&self, context: &Context, budget: &mut Budget) -> Result<Value, String> {
        let known = Shown::from_pairs(context.iter().map(|(name, value)| (name.as_str(), value.clone())));
        self.run(&STRICT, known, budget).map_err(|unfit| self.why(&unfit, context))
    }

    fn run(
        &self,
        environment: &Environment<'static>,
        known: Shown,
        budget: &mut Budget,
    ) -> Result<Value, Unfit> {
        if let Some(expression) = &self.expression {
            return values::json(&environment.compile_expression(expression)?.eval(known)?, budget);
        }
        let mut out = Bounded { text: Vec::new(), left: budget.left(), is_full: false };
        let written =
            environment.template_from_str(&self.source)?.render_captured_to(known, &mut out).map(drop);
        if out.is_full {
            return Err(budget.too_large());
        }
        written?;
        budget.spend(out.text.len())?;
        Ok(Value::String(String::from_utf8_lossy(&out.text).into_owned()))
    }

    fn why(&self, unfit: &Unfit, context: &Context) -> String {
        let undefined = match unfit {
            Unfit::Undefined => true,
            Unfit::Template(error) => error.kind() == ErrorKind::UndefinedError,
            _ => false,
        };
        match (undefined.then(|| self.missing(context)).flatten(), unfit) {
            (Some(missing), _) => format!("in `{}`: {missing}", self.excerpt()),
            (None, Unfit::Template(error)) => self.reason(error),
            (None, unfit) => format!("in `{}`: {unfit}", self.excerpt()),
        }
    }

    /// What it names that is not there.
    fn missing(&self, context: &Context) -> Option<String> {
        self.references().iter().find_map(|path| {
            let mut value = context.get(&path[0])?.clone();
            for (at, member) in path.iter().enumerate().skip(1) {
                let of = path[..at].join(".");
                if value.is_none() {
                    return Some(format!("`{of}` is null, so that it has no `{member}`"));
                }
                value = value.get_attr(member).unwrap_or_default();
                if value.is_undefined() {
                    return Some(format!("`{of}` has no `{member}`"));
                }
            }
            None
        })
    }

    fn reason(&self, error: &Error) -> String {
        let detail = match error.detail() {
            Some(detail) => format!("{}: {detail}", error.kind()),
            None => error.kind().to_string(),
        };
        match error.line() {
            Some(line) if self.source.contains('\n') => {
                format!("in `{}`, line {line}: {detail}", self.excerpt())
            }
            _ => format!("in `{}`: {detail}", self.excerpt()),
        }
    }

    /// The template, or its beginning.
    pub(crate) fn excerpt(&self) -> String {
        match self.source.char_indices().nth(SHOWN_CHARS) {
            Some((end, _)) => format!("{}…", &self.source[..end]),
            None => self.source.clone(),
        }
    }
}

/// What is between the braces of a text that seems to be nothing but one `{{ … }}`.
fn alone(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
    Some(inner.strip_suffix(['-', '+']).unwrap_or(inner))
}

fn is_unknown(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction)
}

/// A text of which no more is kept than there is room for.
struct Bounded {
    text: Vec<u8>,
    left: usize,
    is_full: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.is_full |= bytes.len() > self.left;
        if self.is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.left -= bytes.len();
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(source: &str) -> Result<Value, String> {
        let context = [
            ("input", json!({"n": 3, "topic": "tea", "wide": u64::MAX, "long": "x".repeat(1_000)})),
            ("hits", json!({"structured": {"items": [{"id": 1}, {"id": 2}]}, "text": "two <b>hits</b>"})),
            ("lost", Value::Null),
        ];
        let context =
            context.iter().map(|(name, value)| ((*name).to_owned(), values::shown(value))).collect();
        Template::read(source)?.render(&context, &mut Budget::of(2_000))
    }

    #[test]
    fn one_expression_alone_gives_the_value_and_its_type() {
        for (source, value) in [
            ("{{ input.n }}", json!(3)),
            ("{{input.n + 0.5}}", json!(3.5)),
            ("{{- input.wide -}}", json!(u64::MAX)),
            ("{{ hits.structured['items'] }}", json!([{"id": 1}, {"id": 2}])),
            ("{{ hits.structured['items'] | map(attribute='id') }}", json!([1, 2])),
            ("{{ lost }}", json!(null)),
            ("{{ hits.text | tojson }}", json!("\"two <b>hits</b>\"")),
            ("{{ hits.structured.items[1].id }}", json!(2)),
            ("{{ input.n > 2 }}", json!(true)),
            ("{{ {'a': {'b': 1}} }}", json!({"a": {"b": 1}})),
            ("{{ '}} {{' }}", json!("}} {{")),
            ("{{ lost.there | default('none') if lost else 'none' }}", json!("none")),
        ] {
            assert_eq!(render(source), Ok(value), "{source}");
        }
    }

    #[test]
    fn anything_else_gives_a_text() {
        for (source, text) in [
            (" {{ input.n }}", " 3"),
            ("{{ input.n }}{{ input.n }}", "33"),
            ("{{ 'a' }} }} {{ 'b' }}", "a }} b"),
            ("{{ hits.text }}\n", "two <b>hits</b>\n"),
            (
                "all: {{ hits.structured['items'] }}, {{ lost }}, {{ true }}",
                "all: [{\"id\":1},{\"id\":2}], null, true",
            ),
            (
                "{% for hit in hits.structured['items'] %}{{ loop.index }}={{ hit.id }};{% endfor %}",
                "1=1;2=2;",
            ),
            ("{# note #}x", "x"),
            ("{{ ['a', 1, lost] | join('-') }}!", "a-1-null!"),
        ] {
            assert_eq!(render(source), Ok(json!(text)), "{source}");
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        for (source, reason) in [
            ("{{ input.tpic }}", "`input` has no `tpic`"),
            ("about {{ input.tpic.x }}", "`input` has no `tpic`"),
            ("{{ lost.structured.items }}", "`lost` is null, so that it has no `structured`"),
            ("{{ [1, hits.structured.none] }}", "`hits.structured` has no `none`"),
            ("{% for x in hits.none %}{% endfor %}", "`hits` has no `none`"),
        ] {
            assert_eq!(render(source), Err(format!("in `{source}`: {reason}")));
        }
    }

    #[test]
    fn mistakes_are_found_when_it_is_read() {
        for (source, part) in [
            ("{{ input.n", "syntax error"),
            ("{{ input.n | shout }}", "unknown filter"),
            ("{{ input.n is odder }}!", "unknown test"),
            ("{% include 'secrets' %}", "syntax error"),
            ("a\n{{ b c }}", "line 2: syntax error"),
            ("{{ input.n | format('%1000000000d') }}", "unknown filter"),
        ] {
            let reason = Template::read(source).unwrap_err();
            assert!(reason.contains(part), "{source}: {reason}");
        }
    }

    #[test]
    fn a_template_is_bounded_in_what_it_makes_and_how_long_it_takes() {
        for (source, part) in [
            ("{{ input.long * 3 }}", "more than 2000 bytes"),
            ("{{ input.long }}{{ input.long }}!", "more than 2000 bytes"),
            ("{{ input.long | replace('x', input.long * 1000) }}", "longer than"),
            ("{{ range(90000) | join(input.long) }}", "longer than"),
            ("{% for a in range(9000) %}{% for b in range(9000) %}{% endfor %}{% endfor %}", "fuel"),
            ("{{ range(1000000000) }}", "range has too many elements"),
        ] {
            let reason = render(source).unwrap_err();
            assert!(reason.contains(part), "{source}: {reason}");
        }
    }

    #[test]
    fn references_are_what_a_template_needs_from_outside() {
        let source = "{% set x = hits.text %}{{ x.y }}{% for i in range(2) %}{{ i }}{{ input.n }}{% endfor %}{{ lost }}";
        let references = Template::read(source).unwrap().references();
        let names: Vec<_> = references.iter().map(|path| path.join(".")).collect();
        assert_eq!(names, ["hits.text", "input.n", "lost"]);
    }
}
