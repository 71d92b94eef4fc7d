//! Tokens.

use std::ops::AddAssign;

/// Tokens of one completion. Parts that a provider does not report are `None`, not 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Everything sent to the model, cached tokens included.
    pub prompt_tokens: u64,
    /// Everything the model produced, reasoning included.
    pub completion_tokens: u64,
    /// The part of `prompt_tokens` read from the provider's cache.
    pub cached_prompt_tokens: Option<u64>,
    /// The part of `prompt_tokens` written to the provider's cache.
    pub cache_write_tokens: Option<u64>,
    /// The part of `completion_tokens` that was hidden reasoning.
    pub reasoning_tokens: Option<u64>,
}

impl Usage {
    /// Prompt and completion tokens together.
    #[must_use]
    pub fn total_tokens(&self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        let add = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or(0).saturating_add(b.unwrap_or(0))),
        };
        self.prompt_tokens = self.prompt_tokens.saturating_add(other.prompt_tokens);
        self.completion_tokens = self.completion_tokens.saturating_add(other.completion_tokens);
        self.cached_prompt_tokens = add(self.cached_prompt_tokens, other.cached_prompt_tokens);
        self.cache_write_tokens = add(self.cache_write_tokens, other.cache_write_tokens);
        self.reasoning_tokens = add(self.reasoning_tokens, other.reasoning_tokens);
    }
}

/// Tokens of `text` where no provider counted them: a quarter of its characters, rounded up. OpenAI's rule of thumb for
/// English (help.openai.com, "What are tokens and how to count them?"); other languages take more.
#[must_use]
pub fn estimated_tokens(text: &str) -> u64 {
    (text.chars().count() as u64).div_ceil(4)
}
