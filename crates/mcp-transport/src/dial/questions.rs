//! What a server asked and is being answered.

use std::{future::poll_fn, task::Poll};

use futures_util::future::BoxFuture;
use json_rpc::{Id, Outcome};

/// Questions that are being answered, side by side.
#[derive(Default)]
pub(super) struct Questions(Vec<(Id, BoxFuture<'static, Outcome>)>);

impl Questions {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// One more.
    pub(super) fn add(&mut self, id: Id, answer: BoxFuture<'static, Outcome>) {
        self.0.push((id, answer));
    }

    /// One less, if it was open.
    pub(super) fn withdraw(&mut self, question: &Id) -> bool {
        let before = self.0.len();
        self.0.retain(|(id, _)| id != question);
        before != self.0.len()
    }

    /// The next answer. Waits for ever while there is no question; may be dropped at any time.
    pub(super) async fn answered(&mut self) -> (Id, Outcome) {
        poll_fn(|context| {
            for (place, (_, answer)) in self.0.iter_mut().enumerate() {
                if let Poll::Ready(outcome) = answer.as_mut().poll(context) {
                    return Poll::Ready((self.0.swap_remove(place).0, outcome));
                }
            }
            Poll::Pending
        })
        .await
    }
}
