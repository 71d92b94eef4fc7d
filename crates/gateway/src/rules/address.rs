//! URIs as servers may read them: one resource can be spelled in many ways.

use std::borrow::Cow;

use url::Url;

/// Longest URI that is judged, in bytes: templates are compared with no longer ones.
const MAX_URI: usize = 8 << 10;

/// Schemes whose URIs programs read as browsers do.
const SPECIAL: [&str; 6] = ["file", "http", "https", "ws", "wss", "ftp"];

/// A URI as servers may read it.
pub(crate) struct Address<'u> {
    text: &'u str,
    /// In plain spelling: as the text says, as browsers read it, and both without dots in the query for readers that know no query.
    readings: Vec<String>,
    /// As it was written, and what some servers give the same for: they look at neither query nor fragment, user nor last slash.
    aliases: Vec<String>,
    is_ambiguous: bool,
}

impl<'u> Address<'u> {
    pub(crate) fn of(text: &'u str) -> Self {
        if text.len() > MAX_URI {
            return Self { text, readings: Vec::new(), aliases: vec![text.to_owned()], is_ambiguous: true };
        }
        let is_blank = |character: char| character.is_control() || character.is_whitespace();
        let decoded = decoded(text);
        let parsed = Url::parse(text).ok();
        let is_ambiguous = text.contains(is_blank)
            || decoded.contains(char::is_control)
            || self::decoded(&decoded) != decoded
            // What is a query only when it is decoded is part of the path.
            || self::decoded(bare(text)).split(['/', '\\']).any(is_dots)
            || (is_special(text) && parsed.as_ref().is_none_or(|url| is_unclear(text, url)));

        let mut readings = spellings(text);
        for reading in readings.clone() {
            add(&mut readings, without_dots(&reading));
        }
        let mut aliases = vec![text.to_owned()];
        // A server may decode before it reads; and few ask who is meant by a user.
        let encoded = Url::parse(&decoded).ok();
        for mut url in [parsed, encoded].into_iter().flatten() {
            let _ = (url.set_username(""), url.set_password(None));
            add(&mut aliases, plain(&self::decoded(url.as_str())));
        }
        for reading in readings.iter().cloned().chain(aliases.clone()).collect::<Vec<_>>() {
            let bare = bare(&reading);
            for alias in [bare, bare.strip_suffix('/').unwrap_or(bare)] {
                add(&mut aliases, alias.to_owned());
            }
        }
        aliases.retain(|alias| !readings.contains(alias));
        Self { text, readings, aliases, is_ambiguous }
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &'u str {
        self.text
    }

    /// Whether servers may read it in ways that cannot be told, or it is too long to say.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.is_ambiguous
    }

    /// All that it means to some server, in plain spelling.
    pub(crate) fn readings(&self) -> &[String] {
        &self.readings
    }

    /// Whether one of its spellings is like this: those that not all servers take for it too.
    pub(crate) fn may_be(&self, is_so: impl Fn(&str) -> bool) -> bool {
        self.readings.iter().chain(&self.aliases).any(|spelling| is_so(spelling))
    }
}

/// The plain spellings of a URI, or of a pattern for URIs: as it is written, and as browsers read it.
pub(crate) fn spellings(text: &str) -> Vec<String> {
    let mut spellings = vec![plain(&decoded(text))];
    if let Ok(url) = Url::parse(text) {
        add(&mut spellings, plain(&decoded(url.as_str())));
    }
    spellings
}

fn add(all: &mut Vec<String>, spelling: String) {
    if !all.contains(&spelling) {
        all.push(spelling);
    }
}

fn is_special(text: &str) -> bool {
    text.split_once(':')
        .is_some_and(|(scheme, _)| SPECIAL.iter().any(|name| scheme.eq_ignore_ascii_case(name)))
}

/// Whether a URI of a special scheme, read as browsers do, is for somebody at a host, or has a host where only this machine is
/// meant.
fn is_unclear(text: &str, url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    // Others than browsers see a user before the `@` of `https://host\@other/`.
    let authority = text.split_once("//").and_then(|(_, after)| after.split(['/', '?', '#']).next());
    let has_user = !url.username().is_empty()
        || url.password().is_some()
        || authority.is_some_and(|authority| authority.contains('@'));
    has_user || host.ends_with('.') || (url.scheme() == "file" && !matches!(host, "" | "localhost"))
}

/// Whether a part of a path leads elsewhere than down.
fn is_dots(part: &str) -> bool {
    matches!(part.split(';').next().unwrap_or(part).trim(), "." | "..")
}

/// Without query and fragment.
fn bare(text: &str) -> &str {
    text.split(['?', '#']).next().unwrap_or(text)
}

/// A plain spelling as those read it who take query and fragment for a part of the path, and follow its dots.
fn without_dots(plain: &str) -> String {
    if !plain.split('/').any(is_dots) {
        return plain.to_owned();
    }
    let start = plain.find(':').map_or(0, |colon| colon + 1);
    let path = plain[start..].trim_start_matches('/');
    let root = &plain[..plain.len() - path.len()];
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part.split(';').next().unwrap_or(part).trim() {
            "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    format!("{root}{}", parts.join("/"))
}

/// With everything decoded that is encoded in percents, once.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut rest = text.as_bytes();
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some((first, after)) = rest.split_first() {
        let digit = |place: usize| char::from(*after.get(place)?).to_digit(16);
        let encoded = (*first == b'%').then(|| Some(digit(0)? * 16 + digit(1)?)).flatten();
        match encoded.and_then(|byte| u8::try_from(byte).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// As lenient readers of URIs take it: no white space that they skip, slashes for backslashes and no two of them in a row, scheme
/// and host in small letters, and this machine's own name left out.
fn plain(decoded: &str) -> String {
    let text: String = decoded
        .trim_matches(|character: char| character <= ' ')
        .chars()
        .filter(|character| !matches!(character, '\t' | '\r' | '\n'))
        .map(|character| if character == '\\' { '/' } else { character })
        .collect();
    let Some((scheme, rest)) = text.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
        return text;
    };
    let scheme = scheme.to_ascii_lowercase();
    let (host, path) = match rest.strip_prefix("//") {
        Some(after) => {
            let end = after.find(['/', '?', '#']).unwrap_or(after.len());
            let (host, path) = after.split_at(end);
            (Some(host.to_ascii_lowercase()), path)
        }
        None if scheme == "file" && rest.starts_with('/') => (Some(String::new()), rest),
        None => (None, rest),
    };
    let path = without_empty_parts(path);
    match host {
        Some(host) if scheme == "file" && host == "localhost" => format!("{scheme}://{path}"),
        Some(host) => format!("{scheme}://{host}{path}"),
        None => format!("{scheme}:{path}"),
    }
}

fn without_empty_parts(path: &str) -> String {
    let mut whole = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !whole.ends_with('/') {
            whole.push(character);
        }
    }
    whole
}

/// A pattern's scheme may have stars.
fn is_scheme(text: &str) -> bool {
    let is_part =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '+' | '-' | '.' | '*');
    !text.is_empty() && text.chars().all(is_part)
}
