//! The real providers against servers that speak the real wire formats, well and badly.

#[path = "providers/bedrock.rs"]
mod bedrock;
#[path = "providers/bedrock_environment.rs"]
mod bedrock_environment;
#[path = "providers/interruptions.rs"]
mod interruptions;
#[path = "providers/openai.rs"]
mod openai;

use cost_calculator::Usage;
use futures_util::StreamExt as _;
use models::{FinishReason, Role, Turn};
use providers::{CompletionStream, End, Prompt, ProviderError, StreamItem};

/// A short prompt for `model`.
fn prompt(model: &str) -> Prompt {
    Prompt {
        model: model.to_owned(),
        system: "You are terse.".to_owned(),
        history: Vec::new(),
        message: "What is Python?".to_owned(),
        temperature: 0.7,
        max_tokens: 100,
        trace_parent: None,
    }
}

fn turn(role: Role, content: &str) -> Turn {
    Turn { role, content: content.to_owned() }
}

/// The end of a stub's usual answer.
fn usual_end(usage: Option<Usage>) -> End {
    End { model: None, usage, finish_reason: FinishReason::Stop }
}

fn tokens(prompt_tokens: u64, completion_tokens: u64) -> Usage {
    Usage { prompt_tokens, completion_tokens, ..Usage::default() }
}

fn strings(pieces: &[&str]) -> Vec<String> {
    pieces.iter().map(|piece| (*piece).to_owned()).collect()
}

/// Everything that a stream yields: its text, and how it ends. Fails if anything follows the end.
async fn collect(mut stream: CompletionStream) -> (String, Result<End, ProviderError>) {
    let mut text = String::new();
    let end = loop {
        match stream.next().await.expect("a stream ends with its end or an error") {
            Ok(StreamItem::Text(piece)) => {
                assert!(!piece.is_empty());
                text.push_str(&piece);
            }
            Ok(StreamItem::End(end)) => break Ok(end),
            Err(error) => break Err(error),
        }
    };
    assert!(stream.next().await.is_none(), "something follows the end");
    (text, end)
}

/// The error of something that must fail.
fn error<T>(result: Result<T, ProviderError>) -> ProviderError {
    result.err().expect("this must fail")
}

/// Fails if `error` shows `secret` in any way.
fn assert_hidden(error: &ProviderError, secret: &str) {
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(secret), "{shown}");
    assert!(shown.contains("[redacted]"), "{shown}");
}
