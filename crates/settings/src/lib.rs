#![doc = include_str!("../README.md")]

mod time;
mod values;

use std::{error::Error as _, ffi::OsStr, process};

use clap::{
    Arg, Command, Parser,
    error::{ContextKind, ContextValue, ErrorKind},
};

pub use time::time;
pub use values::{header_secret, http_url, ip_address, seconds};

/// Exit status of a program whose settings do not fit, as clap uses it.
const USAGE: i32 = 2;

/// Reads the settings of this program, or ends it with one line that says what does not fit.
///
/// `--help` and `--version` are answered here too.
#[must_use]
pub fn parse<C: Parser>() -> C {
    match dotenvy::dotenv() {
        Ok(_) => {}
        Err(error) if error.not_found() => {}
        Err(error) => fail(&explain_dotenv(&error)),
    }
    let mut command = without_empty_variables(C::command());
    let matched = command.try_get_matches_from_mut(std::env::args_os());
    let parsed = matched.and_then(|mut matches| C::from_arg_matches_mut(&mut matches));
    parsed.unwrap_or_else(|error| match explain(&command, &error) {
        Some(line) => fail(&line),
        None => error.exit(),
    })
}

fn fail(line: &str) -> ! {
    eprintln!("error: {line}");
    process::exit(USAGE);
}

/// A line of `.env` may hold a secret: only its place is shown.
fn explain_dotenv(error: &dotenvy::Error) -> String {
    match error {
        dotenvy::Error::LineParse(_, position) => format!(
            ".env has a line that cannot be read, near its character {position}: write NAME=value, and put quotes around a value with spaces"
        ),
        dotenvy::Error::Io(error) => format!(".env cannot be read: {error}"),
        _ => ".env cannot be read".to_owned(),
    }
}

/// Templates leave variables empty (`OPENAI_API_KEY=`): such a one is not set.
fn without_empty_variables(command: Command) -> Command {
    command.mut_args(|arg| {
        let empty = arg.get_env().is_some_and(|name| variable(name).is_some_and(|value| value.is_empty()));
        if empty { arg.env(None::<&'static str>) } else { arg }
    })
}

#[expect(clippy::disallowed_methods, reason = "this crate is where the environment is read")]
fn variable(name: &OsStr) -> Option<std::ffi::OsString> {
    std::env::var_os(name)
}

/// One line for a value that does not fit; `None` for what clap says best itself (unknown flags, `--help`).
fn explain(command: &Command, error: &clap::Error) -> Option<String> {
    if !matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue | ErrorKind::InvalidUtf8)
    {
        return None;
    }
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let flag = text(ContextKind::InvalidArg)?;
    let arg = command.get_arguments().find(|arg| arg.to_string() == flag)?;
    let value = match text(ContextKind::InvalidValue) {
        Some(value) if !arg.is_hide_env_values_set() => {
            format!("`{}`", without_credentials(&value))
        }
        _ => "a value that cannot be used (not shown, it may hold a secret)".to_owned(),
    };
    let why = match (error.source(), error.get(ContextKind::ValidValue)) {
        // Our own parsers' words, which never repeat a secret.
        (Some(source), _) => source.to_string(),
        (_, Some(ContextValue::Strings(allowed))) if !allowed.is_empty() => {
            format!("allowed are {}", allowed.join(", "))
        }
        _ => "see --help for what is allowed".to_owned(),
    };
    Some(format!("{} is {value}: {why}", name_of(arg)))
}

/// An address may hold a password, and one that cannot be read may hold it anywhere before its last `@`.
fn without_credentials(value: &str) -> String {
    match value.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?))) {
        Some((scheme, (_, host))) => format!("{scheme}://[redacted]@{host}"),
        None => value.to_owned(),
    }
}

fn name_of(arg: &Arg) -> String {
    match (arg.get_env(), arg.get_long()) {
        (Some(variable), Some(flag)) => format!("{} (or --{flag})", variable.to_string_lossy()),
        (Some(variable), None) => variable.to_string_lossy().into_owned(),
        (None, _) => arg.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shown_without_the_password_in_it() {
        for address in ["ftp://me:secret@host/x", "ftp://secret@host/x", "ftp://me:sec/ret@@host/x"] {
            assert_eq!(without_credentials(address), "ftp://[redacted]@host/x");
        }
        for plain in ["warm", "localhost:8000", "mysql://host/x", "someone@host"] {
            assert_eq!(without_credentials(plain), plain);
        }
    }
}
