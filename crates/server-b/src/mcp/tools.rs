//! The tools: their names, and how they are shown to the model.

use mcp_tools::{input, output};
use models::{CONTEXT_MAX_CHARS, HISTORY_MAX_TURNS, HealthResponse, MESSAGE_MAX_CHARS, TURN_MAX_CHARS};
use rmcp::model::{Tool, ToolAnnotations};
use schemars::JsonSchema;
use serde_json::{Value, json};

use super::{
    failure::Failure,
    provider_info::ProviderInfo,
    requests::{PAGE_DEFAULT, PAGE_MAX},
    results::{ConfiguredResult, ProcessedResult, ReceivedResult, StatisticsResult},
};

/// The tools of the responder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ToolName {
    Process,
    ProcessStream,
    Received,
    Statistics,
    Configure,
    Provider,
    Health,
}

impl ToolName {
    const ALL: [Self; 7] = [
        Self::Process,
        Self::ProcessStream,
        Self::Received,
        Self::Statistics,
        Self::Configure,
        Self::Provider,
        Self::Health,
    ];

    /// The tool of this name.
    pub(super) fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.as_str() == name)
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process_message",
            Self::ProcessStream => "process_message_stream",
            Self::Received => "get_received_messages",
            Self::Statistics => "get_openai_stats",
            Self::Configure => "configure_ai_model",
            Self::Provider => "get_provider_info",
            Self::Health => "health_check",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Process => "Ask the AI",
            Self::ProcessStream => "Ask the AI, answer piece by piece",
            Self::Received => "Received messages",
            Self::Statistics => "AI usage statistics",
            Self::Configure => "Configure the AI model",
            Self::Provider => "Model provider",
            Self::Health => "Health of Server B",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Process => {
                "Send a message to an AI model and get its answer in one piece, with the tokens it used and its cost in US \
                 dollars. Each call stands alone: to continue a conversation, pass its earlier turns as history."
            }
            Self::ProcessStream => {
                "Like process_message, but the answer is sent as progress notifications while the model writes it; the \
                 result holds the whole answer. Use it for long answers that somebody watches."
            }
            Self::Received => {
                "Read the messages that Server B has received from all of its callers, oldest first, each with its answer, \
                 tokens and cost, and the totals. The newest page comes first; pass nextBefore as before to get the page \
                 before it."
            }
            Self::Statistics => {
                "Get requests, tokens, cost in US dollars and response time, in total and by model, over everything ever \
                 received, whichever provider answered it."
            }
            Self::Configure => {
                "Change the model, temperature or token limit of messages that name none, for all callers of Server B, until \
                 it is started again. What is not named stays. The result shows the defaults before and after; on any error \
                 nothing changes."
            }
            Self::Provider => {
                "Get the model provider, its models, the defaults of a message that names none, the price of the default \
                 model, and the limits of a message."
            }
            Self::Health => {
                "Check whether Server B, its ledger and its model provider can do their work. The provider is asked at most \
                 every few seconds, and that costs nothing."
            }
        }
    }

    fn annotations(self) -> ToolAnnotations {
        let hints = ToolAnnotations::with_title(self.title());
        match self {
            Self::Process | Self::ProcessStream => {
                hints.read_only(false).destructive(false).idempotent(false).open_world(true)
            }
            // It replaces what was configured, for everybody.
            Self::Configure => hints.read_only(false).destructive(true).idempotent(true).open_world(false),
            Self::Received | Self::Statistics => hints.read_only(true).open_world(false),
            Self::Provider | Self::Health => hints.read_only(true).open_world(true),
        }
    }
}

/// All tools, as `tools/list` shows them to callers of a server with this largest `max_tokens`.
pub(super) fn all(max_tokens_limit: u32) -> Vec<Tool> {
    let tools = ToolName::ALL.into_iter();
    tools
        .map(|tool| match tool {
            ToolName::Process | ToolName::ProcessStream => {
                shown::<ProcessedResult>(tool, message(max_tokens_limit), &["message"])
            }
            ToolName::Received => shown::<ReceivedResult>(tool, page(), &[]),
            ToolName::Statistics => shown::<StatisticsResult>(tool, json!({}), &[]),
            ToolName::Configure => shown::<ConfiguredResult>(tool, changes(max_tokens_limit), &[]),
            ToolName::Provider => shown::<ProviderInfo>(tool, json!({}), &[]),
            ToolName::Health => shown::<HealthResponse>(tool, json!({}), &[]),
        })
        .collect()
}

fn shown<T: JsonSchema>(tool: ToolName, properties: Value, required: &[&str]) -> Tool {
    Tool::new(tool.as_str(), tool.description(), input(properties, required))
        .with_title(tool.title())
        .with_annotations(tool.annotations())
        .with_raw_output_schema(output::<T, Failure>())
}

fn message(max_tokens_limit: u32) -> Value {
    json!({
        "message": {
            "type": "string", "minLength": 1, "maxLength": MESSAGE_MAX_CHARS,
            "description": "What to ask the model."
        },
        "context": {
            "type": "string", "maxLength": CONTEXT_MAX_CHARS,
            "description": "System prompt: who the model should be and how it should answer. Default: a helpful AI assistant."
        },
        "model": model("Model to ask, one of get_provider_info. Default: the configured one."),
        "temperature": temperature("Sampling temperature: 0 is most predictable. Default: the configured one."),
        "max_tokens": max_tokens("Longest answer, in tokens. Default: the configured limit.", max_tokens_limit),
        "history": {
            "type": "array", "maxItems": HISTORY_MAX_TURNS,
            "description": "Earlier turns of the conversation, oldest first.",
            "items": {
                "type": "object",
                "properties": {
                    "role": { "type": "string", "enum": ["user", "assistant"], "description": "Who spoke." },
                    "content": {
                        "type": "string", "minLength": 1, "maxLength": TURN_MAX_CHARS,
                        "description": "What was said."
                    }
                },
                "required": ["role", "content"],
                "additionalProperties": false
            }
        }
    })
}

fn changes(max_tokens_limit: u32) -> Value {
    json!({
        "model": model("Model of a message that names none: short name or full id."),
        "temperature": temperature("Sampling temperature of a message that names none."),
        "max_tokens": max_tokens("Longest answer to a message that names no limit, in tokens.", max_tokens_limit)
    })
}

fn page() -> Value {
    json!({
        "limit": {
            "type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": PAGE_DEFAULT,
            "description": "Most messages on the page; each comes with its answer."
        },
        "before": {
            "type": "integer", "minimum": 1,
            "description": "Only messages older than the one with this id: nextBefore of the page after it."
        }
    })
}

fn model(description: &str) -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": 2_048, "description": description })
}

fn temperature(description: &str) -> Value {
    json!({ "type": "number", "minimum": 0, "maximum": 2, "description": description })
}

fn max_tokens(description: &str, limit: u32) -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": limit, "description": description })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_can_be_called_and_is_described_in_full() {
        let tools = all(32_000);
        assert_eq!(tools.len(), 7);
        for tool in tools {
            assert!(ToolName::find(&tool.name).is_some(), "{}", tool.name);
            assert!(tool.description.as_ref().is_some_and(|text| text.len() > 40), "{}", tool.name);
            assert!(tool.title.is_some(), "{}", tool.name);
            let output = tool.output_schema.as_ref().unwrap();
            assert_eq!(output["type"], "object", "{}", tool.name);
            assert_eq!(tool.input_schema["additionalProperties"], false, "{}", tool.name);
        }
    }

    #[test]
    fn the_limit_of_the_configuration_is_in_the_schemas() {
        for name in ["process_message", "configure_ai_model"] {
            let tool = all(123).into_iter().find(|tool| tool.name == name).unwrap();
            assert_eq!(tool.input_schema["properties"]["max_tokens"]["maximum"], 123, "{name}");
        }
    }

    #[test]
    fn only_what_asks_a_model_or_changes_the_defaults_is_not_read_only() {
        for tool in all(32_000) {
            let changes = tool.name.starts_with("process_") || tool.name.starts_with("configure_");
            assert_eq!(tool.annotations.as_ref().unwrap().read_only_hint, Some(!changes), "{}", tool.name);
        }
    }

    #[test]
    fn no_schema_has_a_word_of_rust() {
        let text = serde_json::to_string(&all(32_000)).unwrap();
        for word in ["uint64", "int64", "uint32", "\"double\""] {
            assert!(!text.contains(word), "{word}");
        }
    }
}
