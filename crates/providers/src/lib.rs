#![doc = include_str!("../README.md")]

#[cfg(feature = "bedrock")]
mod bedrock;
mod deadline;
mod ending;
mod error;
mod mock;
mod openai;
mod provider;
mod redact;

#[cfg(feature = "bedrock")]
pub use bedrock::{Bedrock, BedrockSettings};
pub use deadline::Deadline;
pub use error::ProviderError;
pub use mock::Mock;
pub use openai::{OpenAi, OpenAiSettings};
pub use provider::{
    Check, CheckStatus, Completion, CompletionStream, End, Prompt, Provider, ProviderKind, StreamItem,
};
