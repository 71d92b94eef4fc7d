//! The chat completions API, as much of it as is needed. Servers that imitate OpenAI leave fields out or send `null`, so
//! that every field of an answer is optional here.

use cost_calculator::Usage;
use models::{FinishReason, Role};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::parameters::Parameters;
use crate::Prompt;

/// Body of `POST /chat/completions`.
#[derive(Serialize)]
pub(super) struct ChatRequest<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl<'a> ChatRequest<'a> {
    /// Asks for the answer in one piece.
    pub(super) fn whole(prompt: &'a Prompt, parameters: Parameters) -> Self {
        let system = Some(Message { role: "system", content: &prompt.system });
        let history = prompt.history.iter().map(|turn| Message {
            role: match turn.role {
                Role::User => "user",
                Role::Assistant => "assistant",
            },
            content: &turn.content,
        });
        let message = Message { role: "user", content: &prompt.message };
        Self {
            model: &prompt.model,
            messages: system
                .filter(|system| !system.content.is_empty())
                .into_iter()
                .chain(history)
                .chain([message])
                .collect(),
            max_tokens: (!parameters.completion_limit).then_some(prompt.max_tokens),
            max_completion_tokens: parameters.completion_limit.then_some(prompt.max_tokens),
            temperature: parameters.temperature.then_some(prompt.temperature),
            stream: None,
            stream_options: None,
        }
    }

    /// Asks for the answer piece by piece, with its usage at the end.
    pub(super) fn streamed(prompt: &'a Prompt, parameters: Parameters) -> Self {
        Self {
            stream: Some(true),
            stream_options: Some(StreamOptions { include_usage: true }),
            ..Self::whole(prompt, parameters)
        }
    }
}

/// JSON that may or may not be a `T`.
///
/// Reading it hardly ever fails, because async-openai writes whatever it cannot read to the log, and answers do not
/// belong there. What is wrong is found out afterwards.
pub(super) struct Lenient<T>(pub(super) Option<T>);

impl<'de, T: serde::de::DeserializeOwned> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The cause is dropped: serde quotes the text that it stumbles over.
        Ok(Self(Value::deserialize(deserializer).ok().and_then(|value| serde_json::from_value(value).ok())))
    }
}

/// A whole answer, or one chunk of a streamed one.
#[derive(Deserialize)]
pub(super) struct Answer {
    pub(super) model: Option<String>,
    choices: Option<Vec<Choice>>,
    usage: Option<UsageReport>,
    /// An error although the status was 200: in the middle of a stream there is no other way to say it.
    pub(super) error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    /// Of a whole answer.
    message: Option<Said>,
    /// Of a chunk.
    delta: Option<Said>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    content: Option<Content>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
}

#[derive(Deserialize)]
struct UsageReport {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

impl Answer {
    /// Whether this is an answer at all rather than some other JSON.
    pub(super) fn has_choices(&self) -> bool {
        self.choices.as_ref().is_some_and(|choices| !choices.is_empty())
    }

    /// The text, or the words of the model's refusal. Hidden reasoning is neither.
    pub(super) fn text(&mut self) -> String {
        let choice = self.choices.as_mut().and_then(|choices| choices.first_mut());
        let Some(said) = choice.and_then(|choice| choice.message.take().or(choice.delta.take())) else {
            return String::new();
        };
        let content = match said.content {
            Some(Content::Text(text)) => text,
            Some(Content::Parts(parts)) => parts.into_iter().filter_map(|part| part.text).collect(),
            None => String::new(),
        };
        if content.is_empty() { said.refusal.unwrap_or_default() } else { content }
    }

    pub(super) fn finish_reason(&self) -> Option<FinishReason> {
        let reason = self.choices.as_ref()?.first()?.finish_reason.as_deref()?;
        // An empty reason is how some servers write "not yet".
        (!reason.is_empty()).then(|| FinishReason::from_name(reason))
    }

    /// Tokens; `None` unless both counts are known.
    pub(super) fn usage(&self) -> Option<Usage> {
        let report = self.usage.as_ref()?;
        let rest_of = |part: Option<u64>| report.total_tokens?.checked_sub(part?);
        let prompt = report.prompt_tokens.or_else(|| rest_of(report.completion_tokens))?;
        let completion = report.completion_tokens.or_else(|| rest_of(report.prompt_tokens))?;
        Some(Usage {
            prompt_tokens: prompt,
            completion_tokens: completion,
            cached_prompt_tokens: report.prompt_tokens_details.as_ref().and_then(|d| d.cached_tokens),
            cache_write_tokens: None,
            reasoning_tokens: report.completion_tokens_details.as_ref().and_then(|d| d.reasoning_tokens),
        })
    }
}

/// Answer of `GET /models`: OpenAI's object, or the bare list that some servers send.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum ModelList {
    /// `{"data": [...]}`.
    Object {
        /// The models; `null` when an Ollama server has none.
        data: Option<Vec<Model>>,
    },
    /// `[...]`.
    Bare(Vec<Model>),
}

/// One model of the list.
#[derive(Deserialize)]
pub(super) struct Model {
    pub(super) id: String,
}

impl ModelList {
    pub(super) fn into_names(self) -> Vec<String> {
        let models = match self {
            Self::Object { data } => data.unwrap_or_default(),
            Self::Bare(models) => models,
        };
        models.into_iter().map(|model| model.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(json: &str) -> Answer {
        serde_json::from_str::<Lenient<Answer>>(json).unwrap().0.unwrap()
    }

    #[test]
    fn missing_fields_and_nulls_are_fine() {
        let mut sparse = answer(r#"{"choices":[{"message":{"content":"hi"}}],"usage":null}"#);
        assert_eq!(sparse.text(), "hi");
        assert_eq!(sparse.finish_reason(), None);
        assert_eq!(sparse.usage(), None);
        assert!(!answer(r#"{"choices":null}"#).has_choices());
    }

    #[test]
    fn content_in_parts_is_joined_and_a_refusal_counts_as_text() {
        assert_eq!(
            answer(
                r#"{"choices":[{"message":{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}}]}"#
            )
            .text(),
            "ab"
        );
        assert_eq!(answer(r#"{"choices":[{"delta":{"content":null,"refusal":"no"}}]}"#).text(), "no");
    }

    #[test]
    fn a_missing_count_follows_from_the_total_or_leaves_the_usage_unknown() {
        let usage = |json: &str| answer(&format!(r#"{{"usage":{json}}}"#)).usage();
        assert_eq!(usage(r#"{"prompt_tokens":3,"total_tokens":10}"#).unwrap().completion_tokens, 7);
        assert_eq!(usage(r#"{"prompt_tokens":3}"#), None);
        assert_eq!(usage(r#"{"total_tokens":3}"#), None);
    }

    #[test]
    fn what_is_not_an_answer_is_none_instead_of_an_error() {
        for text in [r#"{"choices":"#, r#"{"choices":7}"#, "[]"] {
            assert!(serde_json::from_str::<Lenient<Answer>>(text).unwrap().0.is_none(), "{text}");
        }
    }
}
