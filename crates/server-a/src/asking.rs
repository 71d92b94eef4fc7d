//! Asking the user before a message is sent, if the client can: by a request of our own in the older era, and since 2026-07-28
//! by an answer that says what is needed, after which the client calls again.

use std::{sync::LazyLock, time::Duration};

use cost_calculator::{PriceList, Provenance, Usage, Usd};
use mcp_transport::{caller, is_modern};
use models::ModelsResponse;
use rmcp::{
    ErrorData, RoleServer,
    model::{
        ClientResult, ElicitRequest, ElicitResult, InputRequest, InputRequests, InputRequiredResult,
        InputResponses, RequestStateCodec, RequestStateError, SealOptions, ServerRequest,
    },
    service::{PeerRequestOptions, RequestContext},
};
use tokio::{sync::Semaphore, time::sleep};
use uuid::Uuid;

use crate::{
    Failure, Message, Messenger,
    calls::Refusal,
    pending::sent_tokens,
    questions::{Answers, Question, Unusable},
    tools::ToolName,
};

/// How long a question waits for its answer.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// Questions that wait for their users at the same time; a call that needs one more is told to come back.
const MAX_QUESTIONS: usize = 256;
/// Completion tokens of a message that sets no limit, when server-b does not tell its own.
const USUAL_MAX_TOKENS: u32 = 1_000;
/// Prices for estimates. Server-b may have others: its bill counts.
static PRICES: LazyLock<PriceList> = LazyLock::new(PriceList::built_in);

/// Asks before messages are sent.
pub(crate) struct Asking {
    codec: RequestStateCodec,
    questions: Semaphore,
    /// Ask before a message that may cost more.
    confirm_above: Option<Usd>,
}

/// What a client that calls again has brought back.
pub(crate) struct Returned {
    pub(crate) tool: ToolName,
    pub(crate) state: Option<String>,
    pub(crate) responses: Option<InputResponses>,
}

/// What became of the questions.
pub(crate) enum Asked {
    /// There are none left: the message can be sent.
    Settled(Message),
    /// The client is to ask, and to call again.
    Open(Box<InputRequiredResult>),
}

impl Asking {
    pub(crate) fn new(confirm_above: Option<Usd>) -> Self {
        // Random, and gone with the process: questions do not outlive it.
        let key = [Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes).concat();
        let codec = RequestStateCodec::try_new(key).expect("48 bytes are enough");
        Self { codec, questions: Semaphore::new(MAX_QUESTIONS), confirm_above }
    }

    /// Asks what there is to ask about `message`. A client that cannot ask is not asked: its message goes as it is.
    pub(crate) async fn settle(
        &self,
        messenger: &Messenger,
        mut message: Message,
        returned: Returned,
        context: &RequestContext<RoleServer>,
    ) -> Result<Asked, Refusal> {
        if !can_ask(context) {
            return Ok(Asked::Settled(message));
        }
        let subject = subject(returned.tool, &message, context);
        let mut answers = match &returned.state {
            Some(state) => self.open(state, &subject)?,
            None => Answers::default(),
        };
        // Without the state that came with the question, an answer stands for nothing.
        let mut responses = returned.responses.filter(|_| returned.state.is_some()).unwrap_or_default();
        while let Some(question) = self.next(messenger, &mut message, &answers).await? {
            let response = if is_modern(context) {
                responses.remove(question.key()).and_then(|response| serde_json::from_value(response).ok())
            } else {
                let Ok(_open) = self.questions.try_acquire() else {
                    return Err(Failure::busy(MAX_QUESTIONS).into());
                };
                Some(ask(&question, context).await?)
            };
            let read = response.map(|response: ElicitResult| question.read(&response, &mut answers));
            match read {
                Some(Ok(())) => {}
                Some(Err(Unusable::Declined(failure))) => return Err(Refusal::Failure(*failure)),
                Some(Err(Unusable::Misfit)) if !is_modern(context) => {
                    let why = "what the client answered does not fit the question";
                    return Err(Failure::unanswered(why).into());
                }
                Some(Err(Unusable::Misfit)) | None => {
                    return Ok(Asked::Open(Box::new(self.required(&question, &answers, &subject))));
                }
            }
        }
        Ok(Asked::Settled(message))
    }

    /// The next question, if there is one. Answers that are known are put into the message.
    async fn next(
        &self,
        messenger: &Messenger,
        message: &mut Message,
        answers: &Answers,
    ) -> Result<Option<Question>, Failure> {
        if let Some(model) = &answers.model {
            message.request.model = Some(model.clone());
        } else if let Some(named) = &message.request.model
            && let Some(models) = messenger.recent_models().await
            && !is_listed(named, &models)
        {
            return Ok(Some(Question::model(named, &models.models, &models.default)));
        }
        let Some(limit) = self.confirm_above.filter(|_| !answers.cost_is_fine) else { return Ok(None) };
        let estimate = estimate(messenger, message).await?;
        Ok(estimate
            .filter(|(estimate, _)| *estimate > limit)
            .map(|(estimate, model)| Question::Cost { estimate, model }))
    }

    fn required(&self, question: &Question, answers: &Answers, subject: &[u8]) -> InputRequiredResult {
        let request = InputRequest::Elicitation(ElicitRequest::new(question.form()));
        let requests = InputRequests::from([(question.key().to_owned(), request)]);
        InputRequiredResult::new(Some(requests), Some(self.seal(answers, subject, PATIENCE)))
    }

    fn seal(&self, answers: &Answers, subject: &[u8], time: Duration) -> String {
        let answers = serde_json::to_vec(answers).unwrap_or_default();
        self.codec.seal_with(&answers, &SealOptions::new().associated_data(subject).ttl(time))
    }

    /// What was answered before, if `state` came with a question about this very call.
    fn open(&self, state: &str, subject: &[u8]) -> Result<Answers, Refusal> {
        let answers = match self.codec.open_with(state, subject) {
            Ok(answers) => serde_json::from_slice(&answers).ok(),
            Err(RequestStateError::Expired) => {
                return Err(Failure::unanswered("the answer came too late").into());
            }
            Err(_) => None,
        };
        let foreign =
            "requestState is not the one that came with a question about this call: call without it";
        answers.ok_or_else(|| Refusal::Protocol(ErrorData::invalid_params(foreign, None)))
    }
}

/// Whether the client can show forms. One that says nothing of the kinds that it knows can.
fn can_ask(context: &RequestContext<RoleServer>) -> bool {
    let declared = context.client_capabilities().and_then(|capabilities| capabilities.elicitation);
    declared.is_some_and(|declared| declared.form.is_some() || declared.url.is_none())
}

/// What a question is about: this call of this caller. An answer to another one is worth nothing here.
fn subject(tool: ToolName, message: &Message, context: &RequestContext<RoleServer>) -> Vec<u8> {
    let whose = format!("{tool:?} {:?}", caller(context));
    serde_json::to_vec(&(whose, &message.request, &message.conversation)).unwrap_or_default()
}

/// Asks by a request to the client, and waits for the answer.
async fn ask(question: &Question, context: &RequestContext<RoleServer>) -> Result<ElicitResult, Failure> {
    let failed = || Failure::unanswered("the client could not ask the user");
    let request = ServerRequest::ElicitRequest(ElicitRequest::new(question.form()));
    let asked = context.peer.send_cancellable_request(request, PeerRequestOptions::no_options()).await;
    let mut asked = asked.map_err(|_| failed())?;
    let failure = tokio::select! {
        answer = &mut asked.rx => return match answer {
            Ok(Ok(ClientResult::ElicitResult(result))) => Ok(result),
            _ => Err(failed()),
        },
        () = sleep(PATIENCE) => Failure::unanswered("the user did not answer in time"),
        () = context.ct.cancelled() => Failure::cancelled(),
    };
    let _ = asked.cancel(None).await; // a client that has gone asks nobody anyway
    Err(failure)
}

/// Whether server-b lists this model, by this name or by another one of it.
fn is_listed(named: &str, models: &ModelsResponse) -> bool {
    let full = PRICES.full_id(named);
    let mut names = models.models.iter().chain([&models.default]);
    names.any(|listed| listed == named || PRICES.full_id(listed) == full)
}

/// The most that the message may cost and the model that it is for; `None` when that cannot be known.
async fn estimate(messenger: &Messenger, message: &Message) -> Result<Option<(Usd, String)>, Failure> {
    let mut request = message.request.clone();
    let model = match request.model.take() {
        Some(model) => model,
        None => match messenger.recent_models().await {
            Some(models) => models.default.clone(),
            None => return Ok(None),
        },
    };
    if let Some(conversation) = &message.conversation {
        request.history = Some(messenger.earlier(conversation).await?.turns);
    }
    let max_tokens = match request.max_tokens {
        Some(max_tokens) => max_tokens,
        None => messenger.config().await.map_or(USUAL_MAX_TOKENS, |config| config.max_tokens),
    };
    let usage = Usage {
        prompt_tokens: sent_tokens(&request),
        completion_tokens: max_tokens.into(),
        ..Usage::default()
    };
    let cost = PRICES.cost(&model, &usage);
    Ok((cost.provenance != Provenance::Unpriced).then_some((cost.amount, model)))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn answers() -> Answers {
        Answers { model: Some("gpt-4o".to_owned()), cost_is_fine: false }
    }

    fn refused(asking: &Asking, state: &str, subject: &[u8]) -> bool {
        matches!(asking.open(state, subject), Err(Refusal::Protocol(_)))
    }

    #[test]
    fn a_state_is_opened_only_as_it_was_sealed_and_for_the_same_call() {
        let asking = Asking::new(None);
        let state = asking.seal(&answers(), b"this", PATIENCE);
        assert!(matches!(asking.open(&state, b"this"), Ok(opened) if opened == answers()));

        assert!(refused(&asking, &state, b"that"), "another call");
        assert!(refused(&Asking::new(None), &state, b"this"), "another server");
        for at in [0, 4, state.len() / 2, state.len() - 1] {
            let mut tampered = state.clone().into_bytes();
            tampered[at] = if tampered[at] == b'A' { b'B' } else { b'A' };
            assert!(refused(&asking, &String::from_utf8(tampered).unwrap(), b"this"), "{at}");
        }
        for made_up in ["", "rs1", "rs1..", "private words"] {
            assert!(refused(&asking, made_up, b"this"), "{made_up}");
        }
    }

    #[test]
    fn an_expired_state_says_that_nothing_was_sent() {
        let asking = Asking::new(None);
        let state = asking.seal(&answers(), b"this", Duration::ZERO);
        let deadline = Instant::now() + Duration::from_secs(10);
        let failure = loop {
            match asking.open(&state, b"this") {
                Err(Refusal::Failure(failure)) => break failure,
                Ok(_) if Instant::now() < deadline => std::thread::yield_now(), // the same millisecond
                _ => panic!("it does not expire"),
            }
        };
        assert!(failure.detail.contains("nothing was sent"), "{}", failure.detail);
    }

    #[test]
    fn a_model_is_listed_under_all_of_its_names() {
        let short = ModelsResponse {
            provider: "bedrock".to_owned(),
            models: vec!["claude-3-haiku".to_owned()],
            default: "anthropic.claude-3-5-sonnet-20241022-v2:0".to_owned(),
            note: None,
        };
        for known in [
            "claude-3-haiku",
            "anthropic.claude-3-haiku-20240307-v1:0",
            "claude-3.5-sonnet-v2",
            &short.default,
        ] {
            assert!(is_listed(known, &short), "{known}");
        }
        assert!(!is_listed("gpt-4", &short));
    }
}
