//! Canned answers without any network, for trying things out and for tests.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use cost_calculator::{Usage, estimated_tokens};
use futures_util::{StreamExt as _, stream};
use models::FinishReason;

use crate::{
    Check, CheckStatus, Completion, CompletionStream, End, Prompt, Provider, ProviderError, StreamItem,
};

const MODEL: &str = "mock-model";

/// A provider that repeats the message. Both kinds of answers share one count, which starts at 1.
#[derive(Debug)]
pub struct Mock {
    answered: AtomicU64,
    delay: Duration,
    piece_delay: Duration,
}

impl Mock {
    /// A mock that takes `delay` to answer and, when it streams, `piece_delay` between words.
    #[must_use]
    pub fn new(delay: Duration, piece_delay: Duration) -> Self {
        Self { answered: AtomicU64::new(0), delay, piece_delay }
    }

    fn next(&self) -> u64 {
        self.answered.fetch_add(1, Ordering::Relaxed) + 1
    }
}

#[async_trait]
impl Provider for Mock {
    async fn complete(&self, prompt: &Prompt) -> Result<Completion, ProviderError> {
        pause(self.delay).await;
        let text = format!(
            "[MOCK RESPONSE #{}] You said: '{}'. This is a test response without calling any external API.",
            self.next(),
            prompt.message
        );
        let end = end(prompt, &text);
        Ok(Completion { text, end })
    }

    async fn stream(&self, prompt: &Prompt) -> Result<CompletionStream, ProviderError> {
        let text = format!(
            "[MOCK STREAM #{}] You said: '{}'. This is a streaming test response.",
            self.next(),
            prompt.message
        );
        let end = StreamItem::End(end(prompt, &text));
        let words: Vec<_> = text.split_inclusive(' ').map(|word| StreamItem::Text(word.to_owned())).collect();
        if self.piece_delay.is_zero() {
            return Ok(stream::iter(words).chain(stream::iter([end])).map(Ok).boxed());
        }
        let delay = self.piece_delay;
        let paced = stream::iter(words.into_iter().enumerate()).then(move |(index, word)| async move {
            if index > 0 {
                pause(delay).await;
            }
            word
        });
        Ok(paced.chain(stream::iter([end])).map(Ok).boxed())
    }

    async fn models(&self) -> Result<Vec<String>, ProviderError> {
        Ok(vec![MODEL.to_owned()])
    }

    async fn check(&self) -> Check {
        let note = Some("mock provider: answers are canned, nothing is billed".to_owned());
        Check { configured: true, status: CheckStatus::Healthy, note }
    }
}

async fn pause(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

/// A quarter of the characters, rounded up for the message and down for the answer.
fn end(prompt: &Prompt, text: &str) -> End {
    let usage = Usage {
        prompt_tokens: estimated_tokens(&prompt.message),
        completion_tokens: text.chars().count() as u64 / 4,
        ..Usage::default()
    };
    End { model: None, usage: Some(usage), finish_reason: FinishReason::Stop }
}
