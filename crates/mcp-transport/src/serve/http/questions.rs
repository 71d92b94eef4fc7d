//! What a server asks a client of the older era.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use json_rpc::{Id, Members, Message, Notification, Outcome, Raw, Request};
use tokio::sync::oneshot;

use super::lane::Lane;
use crate::{Gone, our_id::number};

/// Questions of one session that are open at the same time; more are not asked.
const MAX_OPEN: usize = 256;

/// The questions of one session.
#[derive(Default)]
pub(super) struct Questions(Mutex<Open>);

#[derive(Default)]
struct Open {
    /// Whether the client can be asked: it has shaken hands, and not left.
    takes: bool,
    answers: HashMap<u64, oneshot::Sender<Outcome>>,
    last: u64,
}

/// A question whose answer is awaited. Dropping it tells the client that it is not.
struct Awaited<'a> {
    questions: &'a Questions,
    lanes: [&'a Lane; 2],
    id: u64,
    was_sent: bool,
}

impl Questions {
    /// The client can be asked from now on.
    pub(super) fn begin(&self) {
        self.open().takes = true;
    }

    /// The client has left.
    pub(super) fn end(&self) {
        *self.open() = Open::default();
    }

    /// Whether any has no answer yet.
    pub(super) fn are_open(&self) -> bool {
        !self.open().answers.is_empty()
    }

    /// Asks in this response, or if it is over, where the client listens.
    pub(super) async fn ask(
        &self,
        lane: &Lane,
        listening: &Lane,
        method: &str,
        params: Option<Raw>,
    ) -> Result<Outcome, Gone> {
        let (id, answer) = self.note().ok_or(Gone)?;
        let mut awaited = Awaited { questions: self, lanes: [lane, listening], id, was_sent: false };
        let request = Request { id: id.into(), method: method.to_owned().into(), params };
        let is_full = lane.put_now(Message::from(request).to_bytes())?;
        awaited.was_sent = true;
        if is_full {
            lane.has_room().await;
        }
        answer.await.map_err(|_| Gone)
    }

    /// Takes the client's answer to the question of this id.
    pub(super) fn answered(&self, id: &Id, outcome: Outcome) {
        let asked = number(id).and_then(|id| self.open().answers.remove(&id));
        if let Some(asked) = asked {
            let _ = asked.send(outcome); // nobody waits for it any more
        }
    }

    fn note(&self) -> Option<(u64, oneshot::Receiver<Outcome>)> {
        let mut open = self.open();
        if !open.takes || open.answers.len() >= MAX_OPEN {
            return None;
        }
        open.last += 1;
        let id = open.last;
        let (asked, answer) = oneshot::channel();
        open.answers.insert(id, asked);
        Some((id, answer))
    }

    /// Nothing panics while this lock is held, so what it guards is whole.
    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        let is_open = self.questions.open().answers.remove(&self.id).is_some();
        if !is_open || !self.was_sent {
            return; // answered, or the client has left, or never saw it
        }
        let params: Members = [("requestId", Raw::from(self.id))].into_iter().collect();
        let cancelled = Notification::new("notifications/cancelled", Some(params.into()));
        let text = Message::from(cancelled).to_bytes();
        let _ = self.lanes.iter().any(|lane| lane.put_now(text.clone()).is_ok());
    }
}
