//! What is said to one client: answers, notifications, and questions that it answers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use json_rpc::{Id, Members, Message, Notification, Outcome, Raw, Request, Response};
use tokio::sync::oneshot;

use crate::{Gone, endpoint::Outlet, our_id::number, serve::outgoing::Outgoing};

/// Questions to one client that have no answer yet; more cannot be asked.
const MAX_QUESTIONS: usize = 256;

/// The way to a client that has one connection for everything.
pub(super) struct Voice {
    outgoing: Arc<Outgoing>,
    questions: Mutex<Questions>,
}

#[derive(Default)]
struct Questions {
    last: u64,
    waiting: HashMap<u64, oneshot::Sender<Outcome>>,
    is_over: bool,
}

/// A question that waits. When it is dropped without an answer, the client is told that nobody needs one any more.
struct Question<'v> {
    voice: &'v Voice,
    number: u64,
    was_sent: bool,
}

impl Voice {
    pub(super) fn new(outgoing: Arc<Outgoing>) -> Self {
        Self { outgoing, questions: Mutex::default() }
    }

    /// Says this as soon as there is room for it.
    pub(super) async fn say(&self, message: impl Into<Message>) -> Result<(), Gone> {
        self.outgoing.push(message.into().to_line()).await
    }

    /// Passes an answer on to who asked. One that nobody waits for is nobody's.
    pub(super) fn answered(&self, response: Response) {
        let number = response.id.as_ref().and_then(number);
        let asked = number.and_then(|number| self.questions().waiting.remove(&number));
        if let Some(asked) = asked {
            let _ = asked.send(response.outcome); // it may have lost its interest just now
        }
    }

    /// Nothing more will be answered.
    pub(super) fn expect_no_answers(&self) {
        let mut questions = self.questions();
        questions.is_over = true;
        questions.waiting.clear();
    }

    /// Nothing more is said.
    pub(super) fn end(&self) {
        self.expect_no_answers();
        self.outgoing.close();
    }

    fn question(&self) -> Result<(Question<'_>, oneshot::Receiver<Outcome>), Gone> {
        let mut questions = self.questions();
        if questions.is_over || questions.waiting.len() >= MAX_QUESTIONS {
            return Err(Gone);
        }
        questions.last += 1;
        let number = questions.last;
        let (asked, answer) = oneshot::channel();
        questions.waiting.insert(number, asked);
        Ok((Question { voice: self, number, was_sent: false }, answer))
    }

    /// Nothing panics while this lock is held, so what it guards is whole.
    fn questions(&self) -> MutexGuard<'_, Questions> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Outlet for Voice {
    async fn tell(&self, _: Option<&Id>, notification: Notification) -> Result<(), Gone> {
        self.say(notification).await
    }

    async fn ask(&self, _: Option<&Id>, method: &str, params: Option<Raw>) -> Result<Outcome, Gone> {
        let (mut question, answer) = self.question()?;
        let id = question.number.into();
        self.say(Message::Request(Request { id, method: method.to_owned().into(), params })).await?;
        question.was_sent = true;
        answer.await.map_err(|_| Gone)
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        let is_open = self.voice.questions().waiting.remove(&self.number).is_some();
        if is_open && self.was_sent {
            let params = Members::from_iter([("requestId", Raw::from(self.number))]);
            let cancelled = Notification::new("notifications/cancelled", Some(params.into()));
            // At most one for each question, and questions wait for room.
            self.voice.outgoing.push_past_the_bound(Message::from(cancelled).to_line());
        }
    }
}
