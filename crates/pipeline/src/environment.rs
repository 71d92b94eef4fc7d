//! What templates can do: expressions, filters and tests that have bounds, and nothing that leads out.

use std::sync::LazyLock;

use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior,
    syntax::SyntaxConfig,
    value::{Value, ValueKind},
};

use crate::values::{self, Budget};

/// Instructions that one template may take: a loop over 1 000 items takes some 20 000.
const FUEL: u64 = 1_000_000;

/// Longest text that a filter may make, in bytes.
const MOST_BYTES: usize = 16 << 20;

/// Filters of which a number decides how much they make, whatever they are given.
const UNBOUNDED: [&str; 6] = ["batch", "center", "format", "indent", "pprint", "slice"];

/// What templates run in. It never changes: what a template is given comes with each rendering.
pub(crate) static STRICT: LazyLock<Environment<'static>> =
    LazyLock::new(|| environment(UndefinedBehavior::Strict));

/// The same where all that is not there is empty: to look for mistakes before there is any data.
pub(crate) static LENIENT: LazyLock<Environment<'static>> =
    LazyLock::new(|| environment(UndefinedBehavior::Chainable));

fn environment(undefined: UndefinedBehavior) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(undefined);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_formatter(write);
    let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
    environment.set_syntax(syntax.expect("the usual delimiters are valid"));
    environment.remove_global("debug");
    for name in UNBOUNDED {
        environment.remove_filter(name);
    }
    environment.add_filter("join", join);
    environment.add_filter("replace", replace);
    environment.add_filter("tojson", json);
    environment
}

/// Writes a text as it is, and all else as JSON.
fn write(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if value.is_undefined() {
        return Ok(());
    }
    out.write_str(&text(value)?).map_err(Error::from)
}

fn text(value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => json(value),
    }
}

/// JSON as it is: the filter that templates have by themselves escapes it for HTML.
fn json(value: &Value) -> Result<String, Error> {
    let value = values::json(value, &mut Budget::of(MOST_BYTES)).map_err(|unfit| match unfit {
        values::Unfit::Template(error) => error,
        values::Unfit::Undefined => ErrorKind::UndefinedError.into(),
        unfit => Error::new(ErrorKind::InvalidOperation, unfit.to_string()),
    })?;
    Ok(value.to_string())
}

fn join(list: &Value, joiner: Option<&str>) -> Result<String, Error> {
    if list.kind() == ValueKind::Undefined {
        return Err(ErrorKind::UndefinedError.into());
    }
    let mut joined = String::new();
    for (at, item) in list.try_iter()?.checked().enumerate() {
        if at > 0 {
            joined.push_str(joiner.unwrap_or_default());
        }
        joined.push_str(&text(&item?)?);
        bounded(joined.len())?;
    }
    Ok(joined)
}

fn replace(value: &str, from: &str, to: &str) -> Result<String, Error> {
    bounded(value.len().saturating_add(value.matches(from).count().saturating_mul(to.len())))?;
    Ok(value.replace(from, to))
}

fn bounded(bytes: usize) -> Result<(), Error> {
    if bytes > MOST_BYTES {
        let reason = format!("a text would be longer than {MOST_BYTES} bytes");
        return Err(Error::new(ErrorKind::InvalidOperation, reason));
    }
    Ok(())
}
