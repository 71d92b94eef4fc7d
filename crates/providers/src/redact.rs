//! Keeps secrets out of everything that comes from a provider.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use secrecy::{ExposeSecret as _, SecretString};

/// Longest message that is passed on, in characters.
const MAX_CHARS: usize = 500;
/// AWS credentials come in threes and are renewed now and then: the last few generations are enough.
const MAX_SECRETS: usize = 12;
/// A shorter "secret" is a word of the language rather than a credential.
const MIN_SECRET_BYTES: usize = 4;
const REDACTED: &str = "[redacted]";

/// Removes secrets from text: those it knows, and whatever looks like one.
#[derive(Default)]
pub(crate) struct Redactor {
    secrets: Mutex<VecDeque<SecretString>>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Redactor")
    }
}

impl Redactor {
    /// Adds `secret` to those that are known.
    pub(crate) fn remember(&self, secret: &str) {
        if secret.len() < MIN_SECRET_BYTES {
            return;
        }
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        if secrets.iter().any(|known| known.expose_secret() == secret) {
            return;
        }
        if secrets.len() == MAX_SECRETS {
            secrets.pop_front();
        }
        secrets.push_back(SecretString::from(secret));
    }

    /// `text` on one line, without secrets and control characters, at most 500 characters.
    pub(crate) fn clean(&self, text: &str) -> String {
        let mut text = one_line(text);
        {
            let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
            // The longest first: one secret may be a part of another.
            let mut known: Vec<_> = secrets.iter().map(|secret| secret.expose_secret()).collect();
            known.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
            for secret in known {
                if text.contains(secret) {
                    text = text.replace(secret, REDACTED);
                }
            }
        }
        shortened(without_lookalikes(&text))
    }
}

/// White space becomes single blanks. Other control characters vanish before anything is compared, so that none can
/// hide a secret by splitting it.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_whitespace() {
            if !line.is_empty() && !line.ends_with(' ') {
                line.push(' ');
            }
        } else if !character.is_control() {
            line.push(character);
        }
    }
    line.truncate(line.trim_end().len());
    line
}

fn without_lookalikes(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    let mut at_word_start = true;
    while let Some(character) = rest.chars().next() {
        if let Some((kept, secret)) = at_word_start.then(|| secret_at_start(rest)).flatten() {
            clean.push_str(&rest[..kept]);
            clean.push_str(REDACTED);
            rest = &rest[kept + secret..];
            at_word_start = false;
        } else {
            clean.push(character);
            rest = &rest[character.len_utf8()..];
            at_word_start = !character.is_alphanumeric();
        }
    }
    clean
}

/// Where `text` starts with something that looks like a secret: the bytes to keep, and the bytes of the secret.
fn secret_at_start(text: &str) -> Option<(usize, usize)> {
    let run = |from: usize, of: fn(char) -> bool| {
        text[from..].find(|character: char| !of(character)).unwrap_or(text.len() - from)
    };
    const BEARER: &str = "bearer ";
    if text.get(..BEARER.len()).is_some_and(|start| start.eq_ignore_ascii_case(BEARER)) {
        let length =
            run(BEARER.len(), |c| !c.is_whitespace() && !matches!(c, '"' | '\'' | ',' | ';' | ')' | '}'));
        return (length >= 6).then_some((BEARER.len(), length));
    }
    if text.starts_with("sk-") {
        // Providers mask keys with asterisks or dots, and leave both ends of them.
        let length = run(0, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '*' | '.'));
        return (length >= 7).then_some((0, length));
    }
    if text.starts_with("AKIA") || text.starts_with("ASIA") {
        let length = run(0, |c| c.is_ascii_uppercase() || c.is_ascii_digit());
        return (length >= 16).then_some((0, length));
    }
    None
}

fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_CHARS) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_occurrence_of_a_known_secret_is_replaced() {
        let redactor = Redactor::default();
        redactor.remember("hunter2-the-second");
        redactor.remember("hunter2");
        assert_eq!(
            redactor.clean("hunter2 and hunter2-the-second, hunter2"),
            "[redacted] and [redacted], [redacted]"
        );
    }

    #[test]
    fn what_looks_like_a_secret_is_replaced_too() {
        let clean = |text| Redactor::default().clean(text);
        assert_eq!(clean("key provided: sk-abcd*****wxyz"), "key provided: [redacted]");
        assert_eq!(clean("(Authorization: BEARER abc.def/ghi=)"), "(Authorization: BEARER [redacted])");
        assert_eq!(clean("Credential=AKIAIOSFODNN7EXAMPLE/20260101"), "Credential=[redacted]/20260101");
        assert_eq!(clean("ASIA is a continent, a task-based one"), "ASIA is a continent, a task-based one");
    }

    #[test]
    fn a_control_character_does_not_hide_a_secret() {
        let redactor = Redactor::default();
        redactor.remember("topsecret");
        assert_eq!(redactor.clean("a\u{1b}[31m top\u{0}secret\r\n b\t"), "a[31m [redacted] b");
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        assert_eq!(Redactor::default().clean(&"é".repeat(2_000)).chars().count(), MAX_CHARS + 1);
    }
}
