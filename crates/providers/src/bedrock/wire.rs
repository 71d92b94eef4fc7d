//! Prompts to the SDK's types, and its answers back to ours.

use aws_sdk_bedrockruntime::types::{
    ContentBlock, ConversationRole, InferenceConfiguration, Message, StopReason, SystemContentBlock,
    TokenUsage,
};
use cost_calculator::Usage;
use models::{FinishReason, Role};

use crate::{Prompt, ProviderError};

/// The conversation in the form that Bedrock insists on: the user speaks first, then the roles alternate, and no text is
/// blank. Consecutive turns of one role become one message; answers before the first question are left out, because
/// there is nothing that they answer.
pub(super) fn messages(prompt: &Prompt) -> Result<Vec<Message>, ProviderError> {
    let turns = prompt.history.iter().map(|turn| (turn.role, turn.content.as_str()));
    let mut spoken: Vec<(Role, Vec<ContentBlock>)> = Vec::new();
    for (role, text) in turns.chain([(Role::User, prompt.message.as_str())]) {
        if text.trim().is_empty() || (spoken.is_empty() && role == Role::Assistant) {
            continue;
        }
        let block = ContentBlock::Text(text.to_owned());
        match spoken.last_mut() {
            Some((last, blocks)) if *last == role => blocks.push(block),
            _ => spoken.push((role, vec![block])),
        }
    }
    spoken
        .into_iter()
        .map(|(role, blocks)| {
            let role = match role {
                Role::User => ConversationRole::User,
                Role::Assistant => ConversationRole::Assistant,
            };
            Message::builder().role(role).set_content(Some(blocks)).build()
        })
        .collect::<Result<_, _>>()
        .map_err(|error| ProviderError::InvalidRequest { message: error.to_string() })
}

pub(super) fn system(prompt: &Prompt) -> Option<Vec<SystemContentBlock>> {
    let text = prompt.system.trim();
    (!text.is_empty()).then(|| vec![SystemContentBlock::Text(prompt.system.clone())])
}

pub(super) fn limits(prompt: &Prompt) -> InferenceConfiguration {
    InferenceConfiguration::builder()
        .max_tokens(i32::try_from(prompt.max_tokens).unwrap_or(i32::MAX))
        // The SDK has single precision only, which is plenty for a temperature.
        .temperature(prompt.temperature as f32)
        .build()
}

/// The text of an answer. Reasoning is in blocks of its own and no part of it.
pub(super) fn text(message: Message) -> String {
    let texts = message.content.into_iter().map(|block| match block {
        ContentBlock::Text(text) => text,
        _ => String::new(),
    });
    texts.collect()
}

pub(super) fn finish_reason(reason: &StopReason) -> FinishReason {
    match reason {
        StopReason::EndTurn | StopReason::StopSequence => FinishReason::Stop,
        StopReason::MaxTokens | StopReason::ModelContextWindowExceeded => FinishReason::Length,
        StopReason::GuardrailIntervened | StopReason::ContentFiltered => FinishReason::ContentFilter,
        _ => FinishReason::Other,
    }
}

/// Bedrock counts cached tokens apart; our prompt tokens are all that was sent. `None` for a prompt of no tokens at all:
/// there is none, and the SDK writes 0 where a count is missing.
pub(super) fn usage(tokens: &TokenUsage) -> Option<Usage> {
    let count = |tokens: i32| u64::try_from(tokens).unwrap_or(0);
    let cached_prompt_tokens = tokens.cache_read_input_tokens().map(count);
    let cache_write_tokens = tokens.cache_write_input_tokens().map(count);
    let usage = Usage {
        prompt_tokens: count(tokens.input_tokens())
            + cached_prompt_tokens.unwrap_or(0)
            + cache_write_tokens.unwrap_or(0),
        completion_tokens: count(tokens.output_tokens()),
        cached_prompt_tokens,
        cache_write_tokens,
        reasoning_tokens: None,
    };
    (usage.prompt_tokens > 0).then_some(usage)
}

#[cfg(test)]
mod tests {
    use models::Turn;

    use super::*;

    #[test]
    fn turns_are_merged_until_the_roles_alternate_and_the_user_speaks_first() {
        let turn = |role, content: &str| Turn { role, content: content.to_owned() };
        let prompt = Prompt {
            model: String::new(),
            system: String::new(),
            history: vec![
                turn(Role::Assistant, "hello?"),
                turn(Role::User, "a"),
                turn(Role::User, "b"),
                turn(Role::Assistant, "c"),
                turn(Role::Assistant, "\n"),
                turn(Role::User, "d"),
            ],
            message: "e".to_owned(),
            temperature: 0.0,
            max_tokens: 1,
            trace_parent: None,
        };
        let messages = messages(&prompt).unwrap();
        let spoken: Vec<_> =
            messages.into_iter().map(|message| (message.role.clone(), text(message))).collect();
        let (user, assistant) = (ConversationRole::User, ConversationRole::Assistant);
        assert_eq!(spoken, [(user.clone(), "ab".into()), (assistant, "c".into()), (user, "de".into())]);
    }
}
