//! How the end of an answer is judged, the same for every provider.

use cost_calculator::Usage;
use models::FinishReason;

use crate::{End, ProviderError};

/// What is known about an answer when nothing more comes.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    /// Whether there was any text.
    pub(crate) has_text: bool,
    /// Why the model stopped, if it said so.
    pub(crate) finish_reason: Option<FinishReason>,
    /// Tokens, if they were reported.
    pub(crate) usage: Option<Usage>,
    /// The model's name, if it differs from the one that was asked.
    pub(crate) model: Option<String>,
}

impl Ending {
    /// The end of a stream. An answer that the filter left nothing of is an error, and so is one whose end never came.
    pub(crate) fn of_stream(self) -> Result<End, ProviderError> {
        if self.finish_reason.is_none() {
            let message = "the answer stopped before its end".to_owned();
            return Err(ProviderError::BrokenStream { message });
        }
        self.of_answer()
    }

    /// The end of an answer in one piece. Without a reason it is [`FinishReason::Other`].
    pub(crate) fn of_answer(self) -> Result<End, ProviderError> {
        let finish_reason = self.finish_reason.unwrap_or(FinishReason::Other);
        if finish_reason == FinishReason::ContentFilter && !self.has_text {
            let message = "the whole answer was withheld".to_owned();
            return Err(ProviderError::ContentFiltered { message, usage: self.usage });
        }
        Ok(End { model: self.model, usage: self.usage, finish_reason })
    }
}
