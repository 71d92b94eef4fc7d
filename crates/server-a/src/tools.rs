//! The tools: their names, and how they are shown to the model.

use std::sync::{Arc, LazyLock};

use mcp_tools::{input, output};
use models::{CONTEXT_MAX_CHARS, ConfigResponse, HealthResponse, MESSAGE_MAX_CHARS, ModelsResponse};
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Value, json};

use crate::{
    arguments::{PAGE_DEFAULT, PAGE_MAX},
    conversation::ID_MAX_CHARS,
    failure::Failure,
    results::{HistoryResult, SentResult, StatisticsResult},
};

/// The tools of the messenger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToolName {
    Send,
    SendStream,
    History,
    Statistics,
    Health,
    Models,
    ServerBConfig,
}

impl ToolName {
    /// The tool of this name; `send_message` is the older name of `send_message_to_ai`.
    pub(crate) fn find(name: &str) -> Option<Self> {
        match name {
            "send_message_to_ai" | "send_message" => Some(Self::Send),
            "send_message_stream" => Some(Self::SendStream),
            "get_conversation_history" => Some(Self::History),
            "get_ai_usage_stats" => Some(Self::Statistics),
            "check_server_b_health" => Some(Self::Health),
            "list_available_models" => Some(Self::Models),
            "get_server_b_config" => Some(Self::ServerBConfig),
            _ => None,
        }
    }
}

/// All tools, as `tools/list` shows them. Built when they are first asked for: a start should not wait for them.
pub(crate) static TOOLS: LazyLock<Vec<Tool>> = LazyLock::new(|| {
    let sent = output::<SentResult, Failure>();
    vec![
        sending(
            "send_message_to_ai",
            "Send a message to the AI",
            "Send a message to an AI model through Server B and get its answer in one piece, with the tokens it used and its \
             cost in US dollars. To continue a conversation, pass the conversationId of an earlier result as conversation_id.",
            sent.clone(),
        ),
        sending(
            "send_message_stream",
            "Send a message to the AI, answer piece by piece",
            "Like send_message_to_ai, but the answer is sent as progress notifications while the model writes it; the result \
             holds the whole answer. Use it for long answers that somebody watches.",
            sent,
        ),
        reading(
            "get_conversation_history",
            "Conversation history",
            "Read earlier messages and answers, oldest first, with tokens and cost, and the totals. Without conversation_id: of \
             all conversations. The newest page comes first; pass nextBefore as before to get the page before it.",
            history_input(),
            output::<HistoryResult, Failure>(),
        ),
        reading(
            "get_ai_usage_stats",
            "AI usage statistics",
            "Get requests, tokens, cost in US dollars and response time, in total and by model, over everything ever sent.",
            no_input(),
            output::<StatisticsResult, Failure>(),
        ),
        reading(
            "check_server_b_health",
            "Health of Server B",
            "Check whether Server B runs and whether its model provider is configured and answers.",
            no_input(),
            output::<HealthResponse, Failure>(),
        ),
        reading(
            "list_available_models",
            "Available models",
            "List the models that a message may name as model, and the default one.",
            no_input(),
            output::<ModelsResponse, Failure>(),
        ),
        reading(
            "get_server_b_config",
            "Configuration of Server B",
            "Get the provider, model, temperature and token limit that Server B uses for a message that names none.",
            no_input(),
            output::<ConfigResponse, Failure>(),
        ),
    ]
});

fn sending(name: &'static str, title: &str, description: &'static str, output: Arc<JsonObject>) -> Tool {
    let annotations = ToolAnnotations::with_title(title)
        .read_only(false)
        .destructive(false)
        .idempotent(false)
        .open_world(true);
    Tool::new(name, description, message_input())
        .with_title(title)
        .with_annotations(annotations)
        .with_raw_output_schema(output)
}

fn reading(
    name: &'static str,
    title: &str,
    description: &'static str,
    input: Arc<JsonObject>,
    output: Arc<JsonObject>,
) -> Tool {
    let annotations = ToolAnnotations::with_title(title).read_only(true).open_world(false);
    Tool::new(name, description, input)
        .with_title(title)
        .with_annotations(annotations)
        .with_raw_output_schema(output)
}

fn message_input() -> Arc<JsonObject> {
    let properties = json!({
        "message": {
            "type": "string", "minLength": 1, "maxLength": MESSAGE_MAX_CHARS,
            "description": "What to ask the model."
        },
        "context": {
            "type": "string", "maxLength": CONTEXT_MAX_CHARS,
            "description": "System prompt: who the model should be and how it should answer. Default: a helpful AI assistant."
        },
        "model": {
            "type": "string", "minLength": 1, "maxLength": 2048,
            "description": "Model to ask, one of list_available_models. Default: the one of get_server_b_config."
        },
        "temperature": {
            "type": "number", "minimum": 0, "maximum": 2,
            "description": "Sampling temperature: 0 is most predictable."
        },
        "max_tokens": {
            "type": "integer", "minimum": 1,
            "description": "Longest answer, in tokens. Server B has an upper limit."
        },
        "conversation_id": conversation_id("Conversation to continue: its earlier messages and answers go along. Default: a new one.")
    });
    input(properties, &["message"])
}

fn history_input() -> Arc<JsonObject> {
    let properties = json!({
        "conversation_id": conversation_id("Only this conversation. Default: all."),
        "limit": {
            "type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": PAGE_DEFAULT,
            "description": "Most messages on the page; each comes with its answer."
        },
        "before": {
            "type": "integer", "minimum": 1,
            "description": "Only messages older than the one with this id: nextBefore of the page after it."
        }
    });
    input(properties, &[])
}

fn no_input() -> Arc<JsonObject> {
    input(json!({}), &[])
}

fn conversation_id(description: &str) -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": ID_MAX_CHARS, "pattern": "^\\S+$", "description": description })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_tool_can_be_called_and_is_described_in_full() {
        assert_eq!(TOOLS.len(), 7);
        for tool in TOOLS.iter() {
            assert!(ToolName::find(&tool.name).is_some(), "{}", tool.name);
            assert!(tool.description.as_ref().is_some_and(|text| text.len() > 40), "{}", tool.name);
            assert!(tool.title.is_some(), "{}", tool.name);
            let output = tool.output_schema.as_ref().unwrap();
            assert_eq!(output["type"], "object", "{}", tool.name);
            assert_eq!(tool.input_schema["additionalProperties"], false, "{}", tool.name);
        }
    }

    #[test]
    fn the_older_name_is_accepted_but_not_listed() {
        assert_eq!(ToolName::find("send_message"), Some(ToolName::Send));
        assert!(TOOLS.iter().all(|tool| tool.name != "send_message"));
    }

    #[test]
    fn only_the_sending_tools_change_anything() {
        for tool in TOOLS.iter() {
            let sends = tool.name.starts_with("send_");
            assert_eq!(tool.annotations.as_ref().unwrap().read_only_hint, Some(!sends), "{}", tool.name);
        }
    }
}
