//! A streamed answer: events to pieces of text and an end.

use std::{sync::Arc, time::Instant};

use aws_sdk_bedrockruntime::{
    operation::converse_stream::ConverseStreamOutput as Answer,
    types::{ContentBlockDelta, ConverseStreamOutput as Event},
};
use futures_util::{StreamExt as _, stream};

use super::{errors, wire};
use crate::{CompletionStream, ProviderError, StreamItem, ending::Ending, redact::Redactor};

/// Reads the events of one answer.
pub(super) struct Pieces {
    answer: Answer,
    redactor: Arc<Redactor>,
    started: Instant,
    ending: Ending,
}

impl Pieces {
    pub(super) fn new(answer: Answer, redactor: Arc<Redactor>) -> Self {
        Self { answer, redactor, started: Instant::now(), ending: Ending::default() }
    }

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
        loop {
            match self.receive().await? {
                Some(Event::ContentBlockDelta(event)) => {
                    if let Some(ContentBlockDelta::Text(text)) = event.delta
                        && !text.is_empty()
                    {
                        self.ending.has_text = true;
                        return Ok(Some(text));
                    }
                }
                Some(Event::MessageStop(event)) => {
                    self.ending.finish_reason = Some(wire::finish_reason(&event.stop_reason));
                }
                // The last event, after the message has stopped.
                Some(Event::Metadata(event)) => {
                    self.ending.usage = event.usage.as_ref().and_then(wire::usage)
                }
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    async fn receive(&mut self) -> Result<Option<Event>, ProviderError> {
        match self.answer.stream.recv().await {
            Ok(event) => Ok(event),
            Err(error) => match errors::of_stream(error, self.started.elapsed(), &self.redactor) {
                // The answer is complete: what is lost is its usage at most.
                ProviderError::BrokenStream { .. } if self.ending.finish_reason.is_some() => Ok(None),
                error => Err(error),
            },
        }
    }
}
