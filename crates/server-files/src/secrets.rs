//! What must not be shown.

use std::fmt;

use serde_json::{Map, Value};

/// Shorter ones are no secrets, and stand in too many words.
const MIN_CHARS: usize = 6;
const HIDDEN: &str = "[hidden]";
/// How the names of settings end that hold a secret.
const NAMES: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "pass",
    "pwd",
    "secret",
    "token",
    "key",
    "credential",
    "credentials",
    "authorization",
    "auth",
];
/// How keys of well-known services start.
const STARTS: [&str; 13] = [
    "sk-",
    "sk_",
    "pk_live",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "akia",
    "aiza",
    "eyj",
];
/// Keys of services have at least so many characters.
const MIN_KEY: usize = 16;

/// Values that are hidden wherever they stand in a text.
#[derive(Clone, Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// One more. A short one is none.
    pub fn add(&mut self, secret: &str) {
        // A header's value begins with its scheme, as in `Bearer …`: what follows is the secret too.
        let last = secret.trim().rsplit(' ').next();
        for secret in [Some(secret.trim()), last].into_iter().flatten() {
            if secret.chars().count() >= MIN_CHARS && !self.0.iter().any(|known| known == secret) {
                self.0.push(secret.to_owned());
            }
        }
        // Longest first: one may be a part of another.
        self.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    /// What looks like a secret in a program's arguments: what follows `--token`, `API_KEY=` and `Authorization:`, the
    /// password of a URL, and keys of well-known services.
    pub fn add_arguments(&mut self, words: &[String]) {
        for (index, word) in words.iter().enumerate() {
            let before = index.checked_sub(1).and_then(|before| words.get(before));
            let follows = before.is_some_and(|flag| flag.starts_with('-') && names_secret(flag));
            if follows && !word.starts_with("--") {
                self.add(word);
            }
            let named = word.match_indices(['=', ':']).find(|(at, _)| names_secret(&word[..*at]));
            if let Some((at, _)) = named {
                self.add(word[at + 1..].trim_matches([' ', '"', '\'', '}']));
            }
            if let Some(password) = password(word) {
                self.add(password);
            }
            word.split([' ', '=', ':', ',', '"', '\''])
                .filter(|part| is_key(part))
                .for_each(|key| self.add(key));
        }
    }

    /// These too.
    pub fn extend(&mut self, others: &Self) {
        others.0.iter().for_each(|secret| self.add(secret));
    }

    /// The text with `[hidden]` in place of every secret.
    #[must_use]
    pub fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), HIDDEN);
            }
        }
        text
    }

    /// The same in every text of a document, and in its names.
    #[must_use]
    pub fn hide_in(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.hide(&text)),
            Value::Array(values) => values.into_iter().map(|value| self.hide_in(value)).collect(),
            Value::Object(members) => Value::Object(Map::from_iter(
                members.into_iter().map(|(name, value)| (self.hide(&name), self.hide_in(value))),
            )),
            other => other,
        }
    }
}

/// `--api-key`, `GITHUB_TOKEN`, `{"clientSecret"`
fn names_secret(name: &str) -> bool {
    let name = name.trim_end_matches([' ', '"', '\'']).to_lowercase();
    NAMES.iter().any(|end| name.ends_with(end))
}

/// `PASSWORD` of `scheme://user:PASSWORD@host`.
fn password(word: &str) -> Option<&str> {
    let (_, rest) = word.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    Some(user.split_once(':').map_or(user, |(_, password)| password))
}

/// Whether a word begins and is as long as a key of a well-known service.
#[must_use]
pub fn is_key(word: &str) -> bool {
    let small = word.to_lowercase();
    small.len() >= MIN_KEY && STARTS.iter().any(|start| small.starts_with(start))
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_looks_like_a_secret_in_a_programs_arguments_is_hidden() {
        for (line, shown) in [
            ("srv --token hunter2000 --port 8080", "srv --token [hidden] --port 8080"),
            ("srv --api-key=/abc+def==", "srv --api-key=[hidden]"),
            ("docker run -e GITHUB_TOKEN=hunter2000 image", "docker run -e GITHUB_TOKEN=[hidden] image"),
            ("srv --header 'Authorization: Bearer hunter2000'", "srv --header 'Authorization: [hidden]'"),
            ("srv postgres://ada:hunter2000@host/db", "srv postgres://ada:[hidden]@host/db"),
            ("srv https://host/mcp?api_key=hunter2000", "srv https://host/mcp?api_key=[hidden]"),
            ("srv sk-abcdefghijklmnop1234", "srv [hidden]"),
            ("srv '{\"apiKey\": \"hunter2000\"}'", "srv '{\"apiKey\": \"[hidden]\"}'"),
            ("srv --max-tokens=100000 --token --verbose", "srv --max-tokens=100000 --token --verbose"),
            ("srv https://host/path?page=200000 /srv/data", "srv https://host/path?page=200000 /srv/data"),
        ] {
            let mut secrets = Secrets::default();
            secrets.add_arguments(&shlex::split(line).unwrap());
            assert_eq!(secrets.hide(line), shown);
        }
    }

    #[test]
    fn a_key_may_begin_as_a_path_does_and_is_hidden_in_documents_too() {
        let mut secrets = Secrets::default();
        secrets.add("Bearer /abc+def==");
        secrets.add("~tilde-key");
        let document = json!({"/abc+def==": ["x ~tilde-key", 1, {"deep": "Bearer /abc+def=="}]});
        let hidden = json!({"[hidden]": ["x [hidden]", 1, {"deep": "[hidden]"}]});
        assert_eq!(secrets.hide_in(document), hidden);
    }
}
