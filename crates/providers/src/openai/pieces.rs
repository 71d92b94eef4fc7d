//! A streamed answer: chunks to pieces of text and an end.

use std::{sync::Arc, time::Instant};

use async_openai::{error::OpenAIError, types::stream::StreamResponse};
use futures_util::{StreamExt as _, stream};

use super::{
    errors::{Failure, not_an_answer},
    wire::{Answer, Lenient},
};
use crate::{CompletionStream, ProviderError, StreamItem, ending::Ending, redact::Redactor};

/// Reads the chunks of one answer.
pub(super) struct Pieces {
    chunks: StreamResponse<Lenient<Answer>>,
    asked_model: String,
    redactor: Arc<Redactor>,
    started: Instant,
    ending: Ending,
}

impl Pieces {
    pub(super) fn new(
        chunks: StreamResponse<Lenient<Answer>>,
        asked_model: String,
        redactor: Arc<Redactor>,
    ) -> Self {
        Self { chunks, asked_model, redactor, started: Instant::now(), ending: Ending::default() }
    }

    /// The pieces. async-openai reads the connection in a task of its own, which ends with this stream.
    pub(super) fn into_stream(self) -> CompletionStream {
        stream::unfold(Some(self), |pieces| async move {
            let mut pieces = pieces?;
            match pieces.next().await {
                Ok(Some(text)) => Some((Ok(StreamItem::Text(text)), Some(pieces))),
                Ok(None) => Some((pieces.ending.of_stream().map(StreamItem::End), None)),
                Err(error) => Some((Err(error), None)),
            }
        })
        .boxed()
    }

    /// The next text that is not empty; `None` at the end of the stream.
    async fn next(&mut self) -> Result<Option<String>, ProviderError> {
        while let Some(chunk) = self.chunks.next().await {
            let mut chunk = match self.read(chunk) {
                // The answer is complete: what is lost is its usage at most.
                Err(ProviderError::BrokenStream { .. }) if self.ending.finish_reason.is_some() => break,
                chunk => chunk?,
            };
            self.ending.finish_reason = chunk.finish_reason().or(self.ending.finish_reason);
            // Usage comes in a chunk of its own, with the last piece, or growing with every piece.
            self.ending.usage = chunk.usage().or(self.ending.usage);
            if let Some(model) =
                chunk.model.take().filter(|model| !model.is_empty() && *model != self.asked_model)
            {
                self.ending.model = Some(model);
            }
            let text = chunk.text();
            if !text.is_empty() {
                self.ending.has_text = true;
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    fn read(&self, chunk: Result<Lenient<Answer>, OpenAIError>) -> Result<Answer, ProviderError> {
        let chunk = chunk.map_err(|error| Failure::from_client(error, &self.redactor).error)?;
        let chunk = chunk.0.ok_or_else(not_an_answer)?;
        match &chunk.error {
            Some(error) => Err(Failure::from_object(error, self.started.elapsed(), &self.redactor)),
            None => Ok(chunk),
        }
    }
}
