//! A client of the older era and an upstream of the newer one: when the upstream needs input, the client is asked for it, and
//! the call is made again with the answers.

use std::time::Duration;

use futures_util::future::try_join_all;
use json_rpc::{Error, Members, Outcome, Raw};
use mcp_transport::Gone;
use uuid::Uuid;

use super::{
    input::{Input, InputRequired, Question},
    questions::{MOST_QUESTIONS, allowed},
};
use crate::errors::Refusal;

/// How often an upstream may ask for input in one call, as the SDKs' clients have it.
const MOST_ROUNDS: u32 = 10;

/// The rounds of one call.
pub(crate) struct Rounds<'a> {
    upstream: &'a str,
    /// What the client can do.
    capabilities: &'a Raw,
    done: u32,
}

/// How a call goes on.
pub(crate) enum Next {
    /// It does not.
    Done(Outcome),
    /// It does not, because the client cannot be asked, or not so often.
    Refused(Refusal),
    /// It is made again with this.
    Again(Input),
}

impl<'a> Rounds<'a> {
    pub(crate) fn new(upstream: &'a str, capabilities: &'a Raw) -> Self {
        Self { upstream, capabilities, done: 0 }
    }

    /// How a call goes on that came to this. `ask` asks the client.
    pub(crate) async fn next<A, F>(&mut self, outcome: Outcome, ask: A) -> Next
    where
        A: Fn(Question) -> F,
        F: Future<Output = Result<Outcome, Gone>>,
    {
        let needed = match &outcome {
            Ok(result) => InputRequired::of(result),
            Err(_) => None,
        };
        let Some(needed) = needed else { return Next::Done(outcome) };
        if self.done == MOST_ROUNDS {
            return Next::Refused(self.refuse("it asked for input again and again"));
        }
        self.done += 1;
        let questions = match needed.questions() {
            Some(questions) if questions.len() <= MOST_QUESTIONS => questions,
            Some(_) => return Next::Refused(self.refuse("it asked too many questions at once")),
            None => return Next::Refused(self.refuse("its questions cannot be read")),
        };
        if questions.is_empty() {
            // It only wants to be asked again, and says nothing of when.
            tokio::time::sleep(Duration::from_millis(50 << self.done.min(3))).await;
        }
        let answers = questions.into_iter().map(|(key, question)| self.answer(key, question, &ask));
        match try_join_all(answers).await {
            Ok(answers) => {
                let answers: Members = answers.into_iter().collect();
                let responses = (!answers.is_empty()).then(|| answers.to_raw());
                Next::Again(Input { responses, state: needed.state().cloned() })
            }
            Err(refusal) => Next::Refused(refusal),
        }
    }

    async fn answer<A, F>(&self, key: String, question: Question, ask: &A) -> Result<(String, Raw), Refusal>
    where
        A: Fn(Question) -> F,
        F: Future<Output = Result<Outcome, Gone>>,
    {
        let method = question.method.clone();
        if allowed(&method, question.params.as_ref(), self.capabilities).is_err() {
            let message = format!(
                "upstream \"{}\" needs \"{method}\", which this client did not declare: use one that can do it",
                self.upstream
            );
            let refusal = Refusal::new(Error::INVALID_PARAMS, "INPUT_NOT_POSSIBLE", message);
            return Err(refusal.about(self.upstream));
        }
        let reason = match ask(for_older_client(question)).await {
            Ok(Ok(answer)) => return Ok((key, answer)),
            // The newer era has no way to tell the upstream of an error.
            Ok(Err(_)) => "answered with an error",
            Err(Gone) => "not answered",
        };
        let message = format!("the question \"{method}\" of upstream \"{}\" was {reason}", self.upstream);
        Err(Refusal::new(Error::INTERNAL_ERROR, "INPUT_REFUSED", message).about(self.upstream))
    }

    fn refuse(&self, reason: &str) -> Refusal {
        let message = format!("upstream \"{}\" did not come to an end: {reason}", self.upstream);
        Refusal::new(Error::INTERNAL_ERROR, "TOO_MUCH_INPUT", message).about(self.upstream)
    }
}

/// A question as the older era has it: there, one that leads to a web page has an id.
fn for_older_client(mut question: Question) -> Question {
    let params = question.params.as_ref().and_then(|params| Members::of(params).ok());
    if let Some(mut params) = params
        && params.get("mode").is_some_and(|mode| mode.as_bytes() == br#""url""#)
        && params.get("elicitationId").is_none()
    {
        params.set("elicitationId", Raw::text(&Uuid::new_v4().to_string()));
        question.params = Some(params.to_raw());
    }
    question
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn raw(text: &str) -> Raw {
        Raw::read(text.to_owned()).unwrap()
    }

    fn all() -> Raw {
        raw(r#"{"elicitation":{"form":{},"url":{}},"sampling":{},"roots":{}}"#)
    }

    const ASKS: &str = r#"{"resultType":"input_required","inputRequests":{"b":{"method":"roots/list"},"a":{"method":"elicitation/create","params":{"mode":"url","url":"x","n":1.0}}},"requestState":"s\u0041"}"#;

    #[tokio::test]
    async fn answers_go_back_under_their_keys_with_the_state_as_it_came() {
        let (capabilities, asked) = (all(), Mutex::new(Vec::new()));
        let mut rounds = Rounds::new("u", &capabilities);
        let ask = |question: Question| {
            let answer = Raw::text(&question.method);
            asked.lock().unwrap().push(question);
            async { Ok(Ok(answer)) }
        };

        let Next::Again(input) = rounds.next(Ok(raw(ASKS)), ask).await else { panic!() };

        assert_eq!(input.responses.unwrap().as_str(), r#"{"b":"roots/list","a":"elicitation/create"}"#);
        assert_eq!(input.state.unwrap().as_str(), r#""s\u0041""#);
        let asked = asked.into_inner().unwrap();
        let params = asked[1].params.as_ref().unwrap();
        assert!(params.as_str().starts_with(r#"{"mode":"url","url":"x","n":1.0,"elicitationId":""#));
    }

    #[tokio::test]
    async fn what_the_client_cannot_do_ends_the_call() {
        let (nothing, everything) = (Raw::empty_object(), all());
        let never = |_| async { panic!("it must not be asked") };
        let refused = Rounds::new("u", &nothing).next(Ok(raw(ASKS)), never).await;
        assert!(matches!(refused, Next::Refused(refusal) if refusal.code() == "INPUT_NOT_POSSIBLE"));

        let fails = |_| async { Ok(Err(raw(r#"{"code":-1,"message":"rejected"}"#))) };
        let failed = Rounds::new("u", &everything).next(Ok(raw(ASKS)), fails).await;
        assert!(matches!(failed, Next::Refused(refusal) if refusal.code() == "INPUT_REFUSED"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_upstream_cannot_ask_for_ever() {
        let capabilities = all();
        let mut rounds = Rounds::new("u", &capabilities);
        let again = raw(r#"{"resultType":"input_required","requestState":"s"}"#);
        let never = |_| async { panic!("there is no question") };
        for _ in 0..MOST_ROUNDS {
            let Next::Again(input) = rounds.next(Ok(again.clone()), never).await else { panic!() };
            assert!(input.responses.is_none());
        }

        let Next::Refused(refusal) = rounds.next(Ok(again), never).await else { panic!() };

        assert_eq!(refusal.code(), "TOO_MUCH_INPUT");
    }

    #[tokio::test]
    async fn other_outcomes_are_not_touched() {
        let capabilities = all();
        let mut rounds = Rounds::new("u", &capabilities);
        let never = |_| async { panic!("there is no question") };
        for outcome in [Ok(raw(r#"{"content":[]}"#)), Err(raw(r#"{"code":1,"message":"x"}"#))] {
            let Next::Done(same) = rounds.next(outcome.clone(), never).await else { panic!() };
            assert_eq!(same, outcome);
        }
    }
}
