//! A time limit for any provider.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use tokio::time::timeout;

use crate::{Check, Completion, CompletionStream, Prompt, Provider, ProviderError, StreamItem};

/// A provider whose every wait is bounded: for a whole answer, and for each piece of a streamed one.
pub struct Deadline {
    inner: Arc<dyn Provider>,
    limit: Duration,
}

impl Deadline {
    /// Gives `inner` up after `limit` without an answer or, when it streams, without the next piece.
    #[must_use]
    pub fn new(inner: Arc<dyn Provider>, limit: Duration) -> Self {
        Self { inner, limit }
    }

    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, ProviderError>> + Send,
    ) -> Result<T, ProviderError> {
        timeout(self.limit, work).await.unwrap_or(Err(ProviderError::TimedOut { after: self.limit }))
    }
}

#[async_trait]
impl Provider for Deadline {
    async fn complete(&self, prompt: &Prompt) -> Result<Completion, ProviderError> {
        self.within(self.inner.complete(prompt)).await
    }

    async fn stream(&self, prompt: &Prompt) -> Result<CompletionStream, ProviderError> {
        let pieces = self.within(self.inner.stream(prompt)).await?;
        Ok(with_deadlines(pieces, self.limit))
    }

    async fn models(&self) -> Result<Vec<String>, ProviderError> {
        self.within(self.inner.models()).await
    }

    async fn check(&self) -> Check {
        self.inner.check().await
    }
}

fn with_deadlines(pieces: CompletionStream, limit: Duration) -> CompletionStream {
    stream::unfold(Some(pieces), move |pieces| async move {
        let mut pieces = pieces?;
        match timeout(limit, pieces.next()).await {
            Ok(Some(Ok(StreamItem::Text(text)))) => Some((Ok(StreamItem::Text(text)), Some(pieces))),
            Ok(Some(last)) => Some((last, None)),
            Ok(None) => None,
            Err(_) => Some((Err(ProviderError::TimedOut { after: limit }), None)),
        }
    })
    .boxed()
}
