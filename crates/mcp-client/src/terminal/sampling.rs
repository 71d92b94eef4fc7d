//! Questions for a model: shown, sent to server-b when the person agrees, and accounted for.

use std::{
    collections::HashSet,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use models::{
    CostProvenance, FinishReason, ProcessRequest, ProcessResponse, Role as ModelRole, Turn as ModelTurn,
};
use responder_client::{Call, Limits, ResponderClient};
use rmcp::model::{
    CreateMessageRequestParams, CreateMessageResult, ErrorCode, ErrorData, Role, SamplingMessage,
    SamplingMessageContentBlock,
};
use url::Url;

use super::{elicitation::key, keyboard::Keyboard, screen::Screen};
use crate::render::plain::{visible, visible_line};

/// Longest wait for the model.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Most characters of one message that are shown before consent.
const MAX_SHOWN: usize = 2_000;

/// The server-b that answers for models, and who may use it without asking again.
pub(super) struct Sampling {
    url: Url,
    client: OnceLock<Result<ResponderClient, String>>,
    always: Mutex<HashSet<String>>,
}

impl Sampling {
    pub(super) fn new(url: Url) -> Self {
        Self { url, client: OnceLock::new(), always: Mutex::default() }
    }

    /// Whoever has this name from now on is asked about again.
    pub(super) fn forget(&self, server: &str) {
        self.always.lock().unwrap_or_else(PoisonError::into_inner).remove(server);
    }

    /// Asks for consent, then the model.
    pub(super) async fn answer(
        &self,
        screen: &Screen,
        keyboard: &Keyboard,
        server: &str,
        params: CreateMessageRequestParams,
    ) -> Result<CreateMessageResult, ErrorData> {
        let request = request(&params)?;
        let client = self.client.get_or_init(|| {
            ResponderClient::new(self.url.clone(), None, Limits::default()).map_err(|error| error.to_string())
        });
        let client = client.as_ref().map_err(|error| failed(error.clone()))?;
        if !self.may(screen, keyboard, server, &request, &client.address()).await {
            return Err(ErrorData::new(ErrorCode(-1), "the user rejected the sampling request", None));
        }
        let idempotency_key = uuid::Uuid::now_v7().to_string();
        let asked = tokio::time::timeout(TIMEOUT, async {
            client.process(&request, &Call::new(&idempotency_key)).await
        });
        let response = match asked.await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                let told = format!("the model gave no answer: {error}");
                screen.remark(&format!("{}: {}", visible_line(server), visible(&told)));
                return Err(failed(told));
            }
            Err(_) => return Err(failed(format!("the model did not answer within {TIMEOUT:?}"))),
        };
        screen.remark(&format!("{}: {}", visible_line(server), bill(&response)));
        Ok(result(response))
    }

    async fn may(
        &self,
        screen: &Screen,
        keyboard: &Keyboard,
        server: &str,
        request: &ProcessRequest,
        address: &str,
    ) -> bool {
        let always = || self.always.lock().unwrap_or_else(PoisonError::into_inner);
        if always().contains(server) {
            return true;
        }
        if !keyboard.is_interactive() {
            return false;
        }
        let name = visible_line(server);
        let turn =
            keyboard.turn(|| screen.notice(&format!("{name} asks something: press Enter to see it"))).await;
        if always().contains(server) {
            return true; // answered while this one waited
        }
        screen.remark(&format!("\n{name} wants to ask a model, through {address}:\n{}", shown(request)));
        let prompt = format!("send it? (y = yes, n = no, a = always for {name} in this session): ");
        loop {
            match key(&turn, &prompt).await.as_str() {
                "y" | "yes" => return true,
                "a" | "always" => {
                    always().insert(server.to_owned());
                    return true;
                }
                "n" | "no" | "c" => return false,
                _ => {}
            }
        }
    }
}

/// What server-b is asked: the last message, with those before it as history.
fn request(params: &CreateMessageRequestParams) -> Result<ProcessRequest, ErrorData> {
    let refused = |words: &'static str| ErrorData::invalid_params(words, None);
    if params.tools.as_ref().is_some_and(|tools| !tools.is_empty()) {
        return Err(refused("tools for the model are not supported here"));
    }
    let mut turns = params.messages.iter().map(turn).collect::<Result<Vec<_>, _>>()?;
    let last = turns.pop().filter(|turn| turn.role == ModelRole::User);
    let last = last.ok_or_else(|| refused("the last message must be the user's"))?;
    Ok(ProcessRequest {
        message: last.content,
        context: params.system_prompt.clone(),
        model: None,
        temperature: params.temperature.map(f64::from),
        max_tokens: Some(params.max_tokens.max(1)),
        history: Some(turns).filter(|turns| !turns.is_empty()),
    })
}

fn turn(message: &SamplingMessage) -> Result<ModelTurn, ErrorData> {
    let text = |block: SamplingMessageContentBlock| match block {
        SamplingMessageContentBlock::Text(text) => Ok(text.text),
        _ => Err(ErrorData::invalid_params("only text can be sent to a model here", None)),
    };
    let texts = message.content.clone().into_vec().into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
    let role = if message.role == Role::Assistant { ModelRole::Assistant } else { ModelRole::User };
    Ok(ModelTurn { role, content: texts.join("\n") })
}

fn shown(request: &ProcessRequest) -> String {
    let part = |who: &str, text: &str| {
        let mut start: String = text.chars().take(MAX_SHOWN).collect();
        let left_out = text.chars().count().saturating_sub(MAX_SHOWN);
        if left_out > 0 {
            start += &format!("… ({left_out} characters more)");
        }
        format!("  {who}: {}\n", visible(&start).replace('\n', "\n    "))
    };
    let mut text = request.context.as_deref().map(|context| part("system", context)).unwrap_or_default();
    for turn in request.history.iter().flatten() {
        text += &part(if turn.role == ModelRole::User { "user" } else { "assistant" }, &turn.content);
    }
    text += &part("user", &request.message);
    text += &format!("  at most {} tokens", request.max_tokens.unwrap_or_default());
    text
}

/// `12 + 30 tokens, $0.0000198 (gpt-4o-mini)`
fn bill(response: &ProcessResponse) -> String {
    let usage = &response.usage;
    let cost = match usage.cost_provenance {
        CostProvenance::Unpriced => "cost unknown: the model has no listed price".to_owned(),
        CostProvenance::Estimated => format!("about ${}", usage.estimated_cost),
        CostProvenance::Exact => format!("${}", usage.estimated_cost),
    };
    let model = visible_line(&response.model);
    format!("answered by {model}, {} + {} tokens, {cost}", usage.prompt_tokens, usage.completion_tokens)
}

fn result(response: ProcessResponse) -> CreateMessageResult {
    let reason = match response.finish_reason {
        FinishReason::Length => CreateMessageResult::STOP_REASON_END_MAX_TOKEN,
        FinishReason::Stop => CreateMessageResult::STOP_REASON_END_TURN,
        other => other.as_str(),
    };
    CreateMessageResult::new(SamplingMessage::assistant_text(response.ai_response), response.model)
        .with_stop_reason(reason)
}

fn failed(text: String) -> ErrorData {
    ErrorData::internal_error(text, None)
}

#[cfg(test)]
mod tests {
    use models::{ResponseStatus, UsageReport};
    use serde_json::json;

    use super::*;

    fn params(value: serde_json::Value) -> CreateMessageRequestParams {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_last_message_is_asked_and_those_before_it_are_its_history() {
        let asked = request(&params(json!({"maxTokens": 50, "systemPrompt": "Be brief", "temperature": 0.5, "messages": [
            {"role": "user", "content": {"type": "text", "text": "Hi"}},
            {"role": "assistant", "content": {"type": "text", "text": "Hello"}},
            {"role": "user", "content": [{"type": "text", "text": "One"}, {"type": "text", "text": "Two"}]}]})))
        .unwrap();
        assert_eq!(asked.message, "One\nTwo");
        assert_eq!(asked.context.as_deref(), Some("Be brief"));
        assert_eq!(asked.max_tokens, Some(50));
        assert_eq!(asked.history.unwrap().len(), 2);
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        for (messages, words) in [
            (json!([]), "the last message must be the user's"),
            (
                json!([{"role": "assistant", "content": {"type": "text", "text": "x"}}]),
                "the last message must be the user's",
            ),
            (
                json!([{"role": "user", "content": {"type": "image", "data": "", "mimeType": "image/png"}}]),
                "only text can be sent to a model here",
            ),
        ] {
            let error = request(&params(json!({"maxTokens": 1, "messages": messages}))).unwrap_err();
            assert_eq!(error.message, words);
        }
    }

    #[test]
    fn consent_shows_everything_without_control_characters() {
        let asked = ProcessRequest {
            message: "a\u{1b}[2Jb".into(),
            context: Some("s".into()),
            max_tokens: Some(5),
            ..Default::default()
        };
        let text = shown(&asked);
        assert!(
            text.contains("system: s") && text.contains("at most 5 tokens") && !text.contains('\u{1b}'),
            "{text}"
        );
    }

    #[test]
    fn the_bill_says_tokens_and_dollars() {
        let response = |cost_provenance| ProcessResponse {
            status: ResponseStatus::Success,
            ai_response: "x".into(),
            model: "gpt-4o-mini".into(),
            usage: UsageReport {
                prompt_tokens: 12,
                completion_tokens: 30,
                total_tokens: 42,
                estimated_cost: 0.000_019_8,
                cost_provenance,
                cached_prompt_tokens: None,
                cache_write_tokens: None,
                reasoning_tokens: None,
            },
            timestamp: String::new(),
            processing_time: 1.0,
            finish_reason: FinishReason::Stop,
        };
        assert_eq!(
            bill(&response(CostProvenance::Exact)),
            "answered by gpt-4o-mini, 12 + 30 tokens, $0.0000198"
        );
        assert!(
            bill(&response(CostProvenance::Unpriced))
                .ends_with("cost unknown: the model has no listed price")
        );
    }
}
