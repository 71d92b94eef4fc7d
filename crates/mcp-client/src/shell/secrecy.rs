//! Which lines are kept in the history.

use server_files::is_key;

/// Words before a value that is not to be kept.
const NAMES: [&str; 14] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "apikey",
    "api-key",
    "access_key",
    "private_key",
    "credential",
    "authorization",
    "bearer ",
    "basic ",
];

/// Whether a line looks as if it held a secret.
pub(super) fn looks_secret(line: &str) -> bool {
    let small = line.to_lowercase();
    NAMES.iter().any(|name| names_value(&small, name)) || has_key(&small) || has_password(&small)
}

/// `password=x`, `"password": "x"`, `--password x`; the word alone is none.
fn names_value(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let rest = &line[at + name.len()..];
        if name.ends_with(' ') {
            return !rest.trim().is_empty();
        }
        let rest =
            rest.trim_start_matches(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '"' | '\''));
        let flag = line[..at].ends_with("--") && rest.starts_with(' ');
        let value = rest.trim_start().strip_prefix(['=', ':']);
        flag || value.is_some_and(|value| !value.trim().trim_matches(['"', '\'']).is_empty())
    })
}

fn has_key(line: &str) -> bool {
    let mut words = line.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '=' | ',' | ':'));
    words.any(is_key) || line.contains("-----begin")
}

/// `scheme://user:password@host`, and keys in queries.
fn has_password(line: &str) -> bool {
    line.match_indices("://").any(|(at, _)| {
        let rest = &line[at + 3..];
        let authority = rest.split(['/', '?', '#', ' ']).next().unwrap_or_default();
        let query = rest.split(' ').next().unwrap_or_default().split_once('?').map(|(_, query)| query);
        authority.contains('@')
            || query.is_some_and(|query| query.contains("key=") || query.contains("auth="))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_secrets_are_known_by_their_look() {
        for line in [
            "call a login password=hunter2",
            r#"call a login {"user": "ada", "Password": "hunter2"}"#,
            "call a login api_key=abc",
            r#"call a x {"authToken":"abc"}"#,
            "add x https://ada:hunter2@host/mcp",
            "add x https://host/mcp?key=abc",
            "add x stdio:server --token abc",
            "call a x Authorization: Bearer abc",
            "call a echo sk-abcdefghijklmnop1234",
            "call a echo eyJhbGciOiJIUzI1NiJ9.e30.abc",
            "call a echo ghp_0123456789abcdefghij",
        ] {
            assert!(looks_secret(line), "{line}");
        }
    }

    #[test]
    fn other_lines_are_kept() {
        for line in [
            r#"call calc math_calc {"expression": "2 + 2"}"#,
            "call a forgot_password ada",
            "tool a create_token",
            "call a count_tokens text",
            "add x localhost:8080 sse",
            "read a https://host/path?page=2",
            "call a echo sk-1",
        ] {
            assert!(!looks_secret(line), "{line}");
        }
    }
}
