//! What servers ask clients: which questions may pass, and those that wait for their answers.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use futures_util::task::AtomicWaker;
use json_rpc::{Error, Members, Outcome, Raw};
use tokio::sync::oneshot;

use super::{glance::mentions, input::Question};

/// Most questions that one call may have open.
pub(crate) const MOST_QUESTIONS: usize = 32;

/// Whether a client that can do this may be asked this. The refusal is what the server is told.
pub(crate) fn allowed(method: &str, params: Option<&Raw>, capabilities: &Raw) -> Result<(), Raw> {
    let needed = match method {
        "elicitation/create" => "elicitation",
        "sampling/createMessage" => "sampling",
        "roots/list" => "roots",
        _ => return Err(Error::new(Error::METHOD_NOT_FOUND, "clients know no such method").to_raw()),
    };
    let capabilities = Members::of(capabilities).unwrap_or_default();
    let Some(capability) = capabilities.get(needed) else {
        let message = format!("the client did not declare the capability \"{needed}\"");
        return Err(Error::new(Error::METHOD_NOT_FOUND, message).to_raw());
    };
    match needed == "elicitation" && !has_mode(capability, params) {
        true => {
            let message = "the client did not declare this mode of elicitation";
            Err(Error::new(Error::INVALID_PARAMS, message).to_raw())
        }
        false => Ok(()),
    }
}

/// Whether this capability of elicitation includes what is asked. One that names no mode means forms.
fn has_mode(capability: &Raw, params: Option<&Raw>) -> bool {
    let params = params.and_then(|params| Members::of(params).ok()).unwrap_or_default();
    let modes = Members::of(capability).unwrap_or_default();
    let has = |mode| modes.get(mode).is_some_and(|mode| !mode.is_null());
    match params.get("mode").map(Raw::as_bytes) {
        None | Some(br#""form""#) => has("form") || !has("url"),
        Some(br#""url""#) => has("url"),
        Some(_) => false,
    }
}

/// Questions of an upstream in a call whose client cannot be asked directly. They wait until the client tries again.
#[derive(Default)]
pub(crate) struct Questions {
    open: Mutex<Open>,
    /// Whoever runs the call.
    runner: AtomicWaker,
}

#[derive(Default)]
struct Open {
    asked: u64,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    key: String,
    question: Question,
    answer: oneshot::Sender<Outcome>,
    /// Whether the client has heard of it since it came last.
    is_told: bool,
}

impl Questions {
    /// Asks, and waits for the answer. When the future is dropped, the question is taken back.
    pub(crate) async fn ask(&self, method: &str, params: Option<Raw>) -> Outcome {
        let (answer, answered) = oneshot::channel();
        {
            let mut open = self.open();
            open.waiting.retain(Waiting::is_wanted);
            if open.waiting.len() == MOST_QUESTIONS {
                return Err(Error::new(Error::INTERNAL_ERROR, "too many questions are open").to_raw());
            }
            open.asked += 1;
            let key = format!("question-{}", open.asked);
            let question = Question { method: method.to_owned(), params: params.map(without_progress) };
            open.waiting.push_back(Waiting { key, question, answer, is_told: false });
        }
        self.runner.wake();
        let gone = |_| Err(Error::new(Error::INTERNAL_ERROR, "the client did not come back").to_raw());
        answered.await.unwrap_or_else(gone)
    }

    /// Has this waker woken when a question comes.
    pub(crate) fn watch(&self, runner: &Waker) {
        self.runner.register(runner);
    }

    /// How many questions there are of which the client has not heard.
    pub(crate) fn news(&self) -> usize {
        self.open().waiting.iter().filter(|waiting| waiting.is_wanted() && !waiting.is_told).count()
    }

    /// All open questions, as `inputRequests`. The client has heard of them now.
    pub(crate) fn tell(&self) -> Members {
        let mut open = self.open();
        open.waiting.retain(Waiting::is_wanted);
        let told = open.waiting.iter_mut().map(|waiting| {
            waiting.is_told = true;
            (waiting.key.clone(), waiting.question.to_raw())
        });
        told.collect()
    }

    /// Takes the client's answers. What it did not answer is told again.
    pub(crate) fn answer(&self, responses: &Members) {
        let mut open = self.open();
        for mut waiting in std::mem::take(&mut open.waiting) {
            match responses.get(&waiting.key) {
                Some(response) if response.is_object() => {
                    // Whoever asked may have taken the question back meanwhile.
                    let _ = waiting.answer.send(Ok(response.clone()));
                }
                _ => {
                    waiting.is_told = false;
                    open.waiting.push_back(waiting);
                }
            }
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_wanted(&self) -> bool {
        !self.answer.is_closed()
    }
}

/// The parameters of a question without its progress token: the newer era's questions are no requests of their own, and what
/// clients of the older report about theirs leads nowhere.
pub(super) fn without_progress(params: Raw) -> Raw {
    if !mentions(&params, "\"progressToken\"") {
        return params;
    }
    let Ok(mut members) = Members::of(&params) else { return params };
    let Some(Ok(mut meta)) = members.get("_meta").map(Members::of) else { return params };
    if meta.remove("progressToken").is_none() {
        return params;
    }
    if meta.is_empty() {
        members.remove("_meta");
    } else {
        members.set("_meta", meta);
    }
    members.to_raw()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn raw(text: &'static str) -> Raw {
        Raw::read(text).unwrap()
    }

    #[test]
    fn a_client_is_asked_only_for_what_it_declared() {
        let can =
            |text| move |method, params: Option<Raw>| allowed(method, params.as_ref(), &raw(text)).is_ok();
        let url = || Some(raw(r#"{"mode":"url"}"#));

        let nothing = can("{}");
        assert!(!nothing("elicitation/create", None) && !nothing("roots/list", None));
        let forms = can(r#"{"elicitation":{},"roots":{"listChanged":true}}"#);
        assert!(forms("elicitation/create", Some(raw(r#"{"mode":"form"}"#))) && forms("roots/list", None));
        assert!(!forms("elicitation/create", url()) && !forms("sampling/createMessage", None));
        let both = can(r#"{"elicitation":{"form":{},"url":{}}}"#);
        assert!(both("elicitation/create", None) && both("elicitation/create", url()));
        let links = can(r#"{"elicitation":{"url":{}}}"#);
        assert!(!links("elicitation/create", None) && links("elicitation/create", url()));
        assert!(!both("tools/call", None));
    }

    #[test]
    fn a_question_that_is_not_answered_is_told_again() {
        let questions = Questions::default();
        let (mut first, mut second) =
            (Box::pin(questions.ask("roots/list", None)), Box::pin(questions.ask("roots/list", None)));
        assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        assert_eq!(questions.tell().iter().count(), 2);
        assert_eq!(questions.news(), 0);

        questions.answer(&Members::of(&raw(r#"{"question-2":{"roots":[]},"question-9":{}}"#)).unwrap());

        assert_eq!(second.now_or_never().unwrap().unwrap(), raw(r#"{"roots":[]}"#));
        assert_eq!(questions.news(), 1);
        assert_eq!(
            questions.tell().iter().map(|(key, _)| key.to_owned()).collect::<Vec<_>>(),
            ["question-1"]
        );
        drop(first);
        assert!(questions.tell().is_empty());
    }

    #[test]
    fn a_question_asks_for_no_reports_of_progress() {
        let told = |text| without_progress(raw(text)).as_str().to_owned();
        assert_eq!(told(r#"{"a":1.0,"_meta":{"progressToken":1}}"#), r#"{"a":1.0}"#);
        assert_eq!(told(r#"{"_meta":{"progressToken":1,"x":2}}"#), r#"{"_meta":{"x":2}}"#);
        assert_eq!(told(r#"{ "_meta":{} }"#), r#"{ "_meta":{} }"#);
    }

    #[test]
    fn one_call_cannot_ask_without_end() {
        let questions = Questions::default();
        let mut asked: Vec<_> =
            (0..=MOST_QUESTIONS).map(|_| Box::pin(questions.ask("roots/list", None))).collect();

        let refused = asked.iter_mut().filter_map(|ask| ask.now_or_never()).count();

        assert_eq!(refused, 1);
    }
}
