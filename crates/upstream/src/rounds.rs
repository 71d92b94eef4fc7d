//! Results that need something first: in the newer era a server answers with questions, and is asked again with their answers.

use std::time::Duration;

use rmcp::model::{
    ClientRequest, DEFAULT_MRTR_MAX_ROUNDS, InputRequest, InputRequests, InputRequiredResult, InputResponses,
    ServerResult,
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    CallError,
    calls::{Call, Failure},
    handler::Handler,
};

/// Most questions of one round.
const MAX_QUESTIONS: usize = 32;
/// Waits before the rounds in which the server asks nothing but to be asked again.
const PAUSE: Duration = Duration::from_millis(50);

impl Call {
    /// Asks until there is a result that needs nothing more. What the server wants to know in between goes to the host.
    pub(crate) async fn rounds(&mut self, mut request: ClientRequest) -> Result<ServerResult, Failure> {
        let mut pauses = 0;
        for round in 0..=DEFAULT_MRTR_MAX_ROUNDS {
            let answer = match self.ask(request.clone()).await {
                // The server has carried out a part of it.
                Err(failure) if round > 0 => return Err(Failure::Sent(failure.into())),
                answer => answer?,
            };
            let ServerResult::InputRequiredResult(wanted) = answer else { return Ok(answer) };
            if round == DEFAULT_MRTR_MAX_ROUNDS {
                break;
            }
            let InputRequiredResult { input_requests, request_state, .. } = wanted;
            let questions = input_requests.unwrap_or_default();
            if questions.is_empty() {
                if let Some(limit) = self.clock.sleep(PAUSE * (1 << pauses)).await {
                    return Err(Failure::Sent(CallError::TimedOut(limit)));
                }
                pauses = (pauses + 1).min(3);
            }
            let answers = self.answers(questions).await.map_err(Failure::Sent)?;
            again(&mut request, answers, request_state).map_err(Failure::Sent)?;
        }
        let endless = format!("it asks for more after {DEFAULT_MRTR_MAX_ROUNDS} rounds of questions");
        Err(Failure::Sent(CallError::Protocol(endless)))
    }

    /// The host's answers, one question after the other. The limits do not run meanwhile.
    pub(crate) async fn answers(&mut self, questions: InputRequests) -> Result<InputResponses, CallError> {
        if questions.len() > MAX_QUESTIONS {
            return Err(CallError::Protocol(format!("it asks {} questions at once", questions.len())));
        }
        let mut answers = InputResponses::new();
        let handler = self.session.handler.clone();
        for (key, question) in questions {
            let answer = self.clock.pause(handler.end.run_until_cancelled(answer(&handler, question))).await;
            answers.insert(key, answer.unwrap_or_else(|| Err(self.session.lost()))?);
        }
        Ok(answers)
    }
}

async fn answer(handler: &Handler, question: InputRequest) -> Result<Value, CallError> {
    let answer = match question {
        InputRequest::Elicitation(request) => handler.elicit(request.params).await.map(value),
        InputRequest::CreateMessage(request) => handler.sample(request.params).await.map(value),
        InputRequest::ListRoots(_) => handler.roots().await.map(value),
        _ => return Err(CallError::Unanswered("it is of an unknown kind".to_owned())),
    };
    answer.map_err(|error| CallError::Unanswered(error.message.into_owned()))?
}

fn value(answer: impl Serialize) -> Result<Value, CallError> {
    serde_json::to_value(answer).map_err(|_| CallError::Unanswered("the answer is no JSON".to_owned()))
}

/// The same request with these answers, and the state that the server wants back.
fn again(
    request: &mut ClientRequest,
    answers: InputResponses,
    state: Option<String>,
) -> Result<(), CallError> {
    let (responses, request_state) = match request {
        ClientRequest::CallToolRequest(request) => {
            (&mut request.params.input_responses, &mut request.params.request_state)
        }
        ClientRequest::GetPromptRequest(request) => {
            (&mut request.params.input_responses, &mut request.params.request_state)
        }
        ClientRequest::ReadResourceRequest(request) => {
            (&mut request.params.input_responses, &mut request.params.request_state)
        }
        _ => return Err(CallError::Protocol("it asks for more where it must not".to_owned())),
    };
    *responses = (!answers.is_empty()).then_some(answers);
    *request_state = state;
    Ok(())
}
