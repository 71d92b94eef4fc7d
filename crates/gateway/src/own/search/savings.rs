//! What searching saves.

use std::fmt;

use serde::Serialize;

/// What a token is taken for, in bytes: what models make of English and JSON is about that.
const BYTES_PER_TOKEN: usize = 4;

/// How much shorter the list of tools is because tools are searched. Tokens are estimated: four bytes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Savings {
    /// Tools that can be found.
    pub tools: usize,
    /// What the whole list would have in bytes, as compact JSON.
    pub bytes: usize,
    /// And in tokens.
    pub approximate_tokens: usize,
    /// What the list has in bytes that clients get instead.
    pub shown_bytes: usize,
    /// And in tokens.
    pub shown_approximate_tokens: usize,
    /// Tokens that each conversation has for something else.
    pub saved_approximate_tokens: usize,
}

impl Savings {
    /// Of lists with so many tools and bytes.
    pub(crate) fn of(tools: usize, bytes: usize, shown_bytes: usize) -> Self {
        let [all, shown] = [bytes, shown_bytes].map(|bytes| bytes.div_ceil(BYTES_PER_TOKEN));
        Self {
            tools,
            bytes,
            approximate_tokens: all,
            shown_bytes,
            shown_approximate_tokens: shown,
            saved_approximate_tokens: all.saturating_sub(shown),
        }
    }
}

/// One line for people.
impl fmt::Display for Savings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tools, bytes, shown_bytes, .. } = self;
        let tools = if *tools == 1 { "1 tool".to_owned() } else { format!("{tools} tools") };
        let saved = match self.saved_approximate_tokens {
            0 => "nothing".to_owned(),
            saved => format!("about {saved} tokens"),
        };
        let have = if self.tools == 1 { "has" } else { "have" };
        write!(
            f,
            "searching saves {saved}: {tools} {have} {bytes} bytes (about {} tokens), find_tool and call_tool {shown_bytes} \
             (about {}), at 4 bytes a token",
            self.approximate_tokens, self.shown_approximate_tokens,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_four_bytes_and_never_less_than_none() {
        let savings = Savings::of(500, 100_001, 1_000);
        assert_eq!((savings.approximate_tokens, savings.shown_approximate_tokens), (25_001, 250));
        assert_eq!(savings.saved_approximate_tokens, 24_751);
        let none = Savings::of(1, 400, 1_000);
        assert_eq!(none.saved_approximate_tokens, 0);
        assert!(none.to_string().starts_with("searching saves nothing: 1 tool has 400 bytes"), "{none}");
        let line = savings.to_string();
        assert!(line.contains("500 tools") && line.contains("about 24751 tokens"), "{line}");
    }
}
