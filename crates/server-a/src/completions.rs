//! Completion of the arguments of prompts, and of the template of the resources.

use ledger::ConversationsQuery;
use rmcp::{
    ErrorData,
    model::{CompleteRequestParams, CompletionInfo, Reference},
};

use crate::{
    Failure, Messenger,
    prompts::{CONVERSATION_ID, MODELS, PROMPTS},
    resources::{TEMPLATE, TEMPLATE_VARIABLE},
};

/// Most values of one answer, as the specification has it.
const MAX_VALUES: usize = CompletionInfo::MAX_VALUES;
/// Conversations are counted up to here; the total of more stays open.
const MAX_COUNT: usize = 10_000;

/// What can stand for the argument that is asked about.
enum Kind {
    /// Names of models, separated by commas.
    Models,
    /// The id of a conversation.
    Conversation,
    /// Anything.
    Free,
}

/// Completes one argument. What server-b does not tell is not completed.
pub(crate) async fn complete(
    messenger: &Messenger,
    request: CompleteRequestParams,
) -> Result<CompletionInfo, ErrorData> {
    let typed = &request.argument.value;
    match kind(&request.r#ref, &request.argument.name)? {
        Kind::Models => {
            let Some(models) = messenger.recent_models().await else {
                return info(Vec::new(), Some(0), false);
            };
            let mut values = lists(typed, &models.models);
            let total = values.len();
            values.truncate(MAX_VALUES);
            info(values, Some(total), total > MAX_VALUES)
        }
        Kind::Conversation => conversations(messenger, typed).await,
        Kind::Free => info(Vec::new(), Some(0), false),
    }
}

fn kind(reference: &Reference, argument: &str) -> Result<Kind, ErrorData> {
    let unknown = |what| Err(ErrorData::invalid_params(what, None));
    match reference {
        Reference::Resource(template) if template.uri != TEMPLATE => {
            unknown("unknown template: resources/templates/list has the one that there is")
        }
        Reference::Resource(_) if argument == TEMPLATE_VARIABLE => Ok(Kind::Conversation),
        Reference::Resource(_) => unknown("the template has one variable: id"),
        Reference::Prompt(prompt) => {
            let Some(prompt) = PROMPTS.iter().find(|known| known.name == prompt.name) else {
                return unknown("unknown prompt: prompts/list has those that there are");
            };
            if !prompt.arguments.iter().flatten().any(|known| known.name == argument) {
                return unknown("unknown argument: prompts/list has those of this prompt");
            }
            Ok(match argument {
                MODELS => Kind::Models,
                CONVERSATION_ID => Kind::Conversation,
                _ => Kind::Free,
            })
        }
        _ => unknown("only prompts and resource templates can be completed"),
    }
}

/// `typed` with its last name completed in every way that does not repeat one of the others.
fn lists(typed: &str, models: &[String]) -> Vec<String> {
    let (before, last) = match typed.rsplit_once(',') {
        Some((before, last)) => (Some(before), last),
        None => (None, typed),
    };
    let others: Vec<_> = before.iter().flat_map(|names| names.split(',')).map(str::trim).collect();
    let begins = last.trim().to_lowercase();
    let fitting = models
        .iter()
        .filter(|model| model.to_lowercase().starts_with(&begins) && !others.contains(&model.as_str()));
    fitting
        .map(|model| match before {
            Some(before) => format!("{before}, {model}"),
            None => model.clone(),
        })
        .collect()
}

async fn conversations(messenger: &Messenger, typed: &str) -> Result<CompletionInfo, ErrorData> {
    let query = ConversationsQuery { id_prefix: typed.to_owned(), before: None, limit: MAX_VALUES };
    let page = messenger.conversations(query).await.map_err(Failure::into_error)?;
    let total = if page.more {
        messenger.count_conversations(typed.to_owned(), MAX_COUNT).await.map_err(Failure::into_error)?
    } else {
        Some(page.conversations.len())
    };
    info(page.conversations.into_iter().map(|conversation| conversation.id).collect(), total, page.more)
}

fn info(values: Vec<String>, total: Option<usize>, more: bool) -> Result<CompletionInfo, ErrorData> {
    let total = total.and_then(|total| u32::try_from(total).ok());
    CompletionInfo::with_pagination(values, total, more).map_err(|error| {
        tracing::error!(error, "a completion breaks the rules");
        ErrorData::internal_error("the values could not be completed", None)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_name_of_a_list_is_completed() {
        let models = ["gpt-4", "gpt-4o", "mock-model"].map(str::to_owned);
        assert_eq!(lists("", &models), models);
        assert_eq!(lists("GPT-4o", &models), ["gpt-4o"]);
        assert_eq!(lists("gpt-4, g", &models), ["gpt-4, gpt-4o"]);
        assert_eq!(lists("mock-model,gpt-4,", &models), ["mock-model,gpt-4, gpt-4o"]);
        assert!(lists("x", &models).is_empty());
    }
}
