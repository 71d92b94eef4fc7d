//! What the server asks, and has not been answered yet.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use json_rpc::{Error, Id, Notification, Request, Response};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::{Inner, exchange::Hearer, headers::Stage, pong};

/// Most questions that are open at the same time on one line; more are answered with an error.
const MAX_QUESTIONS: usize = 256;

/// The questions that are open.
#[derive(Default)]
pub(super) struct Questions(Mutex<HashMap<Id, CancellationToken>>);

impl Questions {
    fn open(&self, id: &Id) -> Option<Open<'_>> {
        let mut questions = self.lock();
        if questions.len() >= MAX_QUESTIONS || questions.contains_key(id) {
            return None;
        }
        let cancelled = CancellationToken::new();
        questions.insert(id.clone(), cancelled.clone());
        Some(Open { questions: self, id: id.clone(), cancelled })
    }

    /// Whether this notification cancels a question, which then is.
    pub(super) fn cancel(&self, notification: &Notification) -> bool {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Cancelled {
            request_id: Id,
        }
        if notification.method != "notifications/cancelled" {
            return false;
        }
        let cancelled = notification.params.as_ref().and_then(|params| params.parse::<Cancelled>().ok());
        let question = cancelled.and_then(|cancelled| self.lock().get(&cancelled.request_id).cloned());
        question.map(|question| question.cancel()).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One question, open until this is dropped.
struct Open<'q> {
    questions: &'q Questions,
    id: Id,
    cancelled: CancellationToken,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.questions.lock().remove(&self.id);
    }
}

impl Inner {
    /// Has a question answered, and sends the answer.
    pub(super) async fn answer(&self, question: Request, hearer: Hearer<'_>) {
        let Request { id, method, params } = question;
        let outcome = if method == "ping" {
            pong()
        } else if self.manner().stage() == Stage::Modern {
            let why = "servers make no requests in this version of the protocol";
            Err(Error::new(Error::METHOD_NOT_FOUND, why).into())
        } else if let Some(open) = self.questions.open(&id) {
            match open.cancelled.run_until_cancelled(hearer.asked(&method, params)).await {
                Some(outcome) => outcome,
                None => return, // nobody waits for the answer
            }
        } else {
            Err(Error::new(Error::INVALID_REQUEST, "too many questions, or two with this id, are open")
                .into())
        };
        if let Err(error) = self.tell(Response::new(id, outcome).into()).await {
            let error = self.noted(error);
            tracing::warn!(?error, "the server did not take the answer to its question");
        }
    }
}
