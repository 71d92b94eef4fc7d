//! A client of the newer era and an upstream of the older one: while the upstream waits for an answer of the client, its call is
//! kept here, not polled, until the client tries again with the answer.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use auth::Caller;
use futures_util::future::{BoxFuture, poll_fn};
use json_rpc::Members;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::{
    input::{Input, InputRequired},
    questions::Questions,
    sealed::{Purpose, STATE_LIFE, Seal, State},
};
use crate::errors::{self, Answer};

/// Most calls that wait at the same time.
const MOST_CALLS: usize = 256;

/// Most of them that are one owner's, where keys tell owners apart: nobody is to take all the places.
const MOST_OF_ONE: usize = 128;

/// How long a question waits for others. In the older era a server that wants to know several things at once sends a request for
/// each, and a client should not have to come back for each.
const GATHERING: Duration = Duration::from_millis(50);

/// What stands between a client and an upstream during a call.
pub(crate) trait Asked: Send + Sync + 'static {
    /// What the upstream wants to know.
    fn questions(&self) -> &Questions;

    /// The client has its questions, and no request until it comes again: nothing else is told it.
    fn pause(&self);
}

/// Calls that wait for their clients.
pub(crate) struct Parked<E> {
    calls: Arc<Calls<E>>,
    seal: Arc<Seal>,
    /// Drops calls whose clients did not come back.
    _sweeper: AbortOnDropHandle<()>,
}

/// No such call waits for this client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotParked;

struct Calls<E> {
    waiting: Mutex<Room<E>>,
    /// A call has come where there was none.
    is_used: Notify,
}

struct Room<E> {
    calls: HashMap<u128, Waiting<E>>,
    is_closed: bool,
}

struct Waiting<E> {
    owner: Caller,
    call: Call<E>,
    until: Instant,
}

/// A call and what stands between its ends. Dropping it cancels it at the upstream.
struct Call<E> {
    running: BoxFuture<'static, Answer>,
    exchange: Arc<E>,
}

enum Turn {
    Done(Answer),
    /// The upstream asks something that the client has not heard yet.
    Asked,
}

impl<E: Asked> Parked<E> {
    /// No call waits. Must be called within a runtime.
    pub(crate) fn new(seal: Arc<Seal>) -> Self {
        let calls = Arc::new(Calls { waiting: Mutex::new(Room::new()), is_used: Notify::new() });
        let sweeper = tokio::spawn(sweep(calls.clone()));
        Self { calls, seal, _sweeper: AbortOnDropHandle::new(sweeper) }
    }

    /// Runs a call until it has come to something, or needs the client: then the outcome is what the client must answer.
    pub(crate) async fn run(
        &self,
        purpose: Purpose<'_>,
        exchange: Arc<E>,
        running: BoxFuture<'static, Answer>,
    ) -> Answer {
        let mut call = Call { running, exchange };
        match call.turn().await {
            Turn::Done(outcome) => outcome,
            Turn::Asked => self.park(call, purpose),
        }
    }

    /// Goes on with a call after its client has come back with answers. `switch` leads what the call says to where the client
    /// is now.
    pub(crate) async fn resume(
        &self,
        number: u128,
        purpose: Purpose<'_>,
        input: &Input,
        switch: impl FnOnce(&E),
    ) -> Result<Answer, NotParked> {
        // Whoever has the number has shown a sealed state, and so is the one who may go on.
        let mut call = self.calls.waiting().calls.remove(&number).ok_or(NotParked)?.call;
        switch(&call.exchange);
        let responses = input.responses.as_ref().and_then(|responses| Members::of(responses).ok());
        call.exchange.questions().answer(&responses.unwrap_or_default());
        Ok(match call.turn().await {
            Turn::Done(outcome) => outcome,
            Turn::Asked => self.park(call, purpose),
        })
    }

    /// Drops all that wait, and keeps nothing any more.
    pub(crate) fn close(&self) {
        let all = {
            let mut waiting = self.calls.waiting();
            waiting.is_closed = true;
            std::mem::take(&mut waiting.calls)
        };
        // Not while the lock is held: what a dropped call does is not known here.
        drop(all);
    }

    /// How many calls wait.
    #[cfg(test)]
    fn count(&self) -> usize {
        self.calls.waiting().calls.len()
    }

    fn park(&self, call: Call<E>, purpose: Purpose<'_>) -> Answer {
        call.exchange.pause();
        let requests = call.exchange.questions().tell();
        let number = Uuid::new_v4().as_u128();
        {
            let mut waiting = self.calls.waiting();
            if let Some(why) = waiting.is_full_for(purpose.owner) {
                // Not while the lock is held: what a dropped call does is not known here.
                drop(waiting);
                return Err(errors::not_kept(why).into());
            }
            let waits = Waiting { owner: purpose.owner, call, until: Instant::now() + STATE_LIFE };
            waiting.calls.insert(number, waits);
        }
        self.calls.is_used.notify_one();
        let state = self.seal.state(&State::Parked(number), purpose);
        Ok(InputRequired::asking(&requests, &state).result.to_raw())
    }
}

impl<E> Calls<E> {
    fn waiting(&self) -> MutexGuard<'_, Room<E>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out what waited too long, and says when the next one will have.
    fn take_late(&self, now: Instant) -> (Vec<Waiting<E>>, Option<Instant>) {
        let mut waiting = self.waiting();
        let late = waiting.calls.extract_if(|_, call| call.until <= now).map(|(_, call)| call).collect();
        (late, waiting.calls.values().map(|call| call.until).min())
    }
}

impl<E> Room<E> {
    fn new() -> Self {
        Self { calls: HashMap::new(), is_closed: false }
    }

    /// Why no call of this owner can wait, if none can.
    fn is_full_for(&self, owner: Caller) -> Option<&'static str> {
        let own = || self.calls.values().filter(|waiting| waiting.owner == owner).count();
        if self.is_closed {
            Some("the gateway is being shut down")
        } else if self.calls.len() >= MOST_CALLS || (owner.number() != 0 && own() >= MOST_OF_ONE) {
            Some("too many calls wait for answers of their clients")
        } else {
            None
        }
    }
}

impl<E: Asked> Call<E> {
    async fn turn(&mut self) -> Turn {
        let mut known = 0;
        loop {
            let next = poll_fn(|context| self.poll_turn(known, context));
            let turn = match known {
                0 => Some(next.await),
                _ => timeout(GATHERING, next).await.ok(),
            };
            // They may have been taken back meanwhile.
            known = self.exchange.questions().news();
            match turn {
                Some(Turn::Done(outcome)) => return Turn::Done(outcome),
                None if known > 0 => return Turn::Asked,
                Some(Turn::Asked) | None => {}
            }
        }
    }

    /// Ready when it is done, or when there are more questions than are known.
    fn poll_turn(&mut self, known: usize, context: &mut Context<'_>) -> Poll<Turn> {
        let questions = self.exchange.questions();
        questions.watch(context.waker());
        match Pin::new(&mut self.running).poll(context) {
            Poll::Ready(outcome) => Poll::Ready(Turn::Done(outcome)),
            Poll::Pending if questions.news() > known => Poll::Ready(Turn::Asked),
            Poll::Pending => Poll::Pending,
        }
    }
}

async fn sweep<E: Asked>(calls: Arc<Calls<E>>) {
    loop {
        let (late, next) = calls.take_late(Instant::now());
        drop(late);
        match next {
            Some(next) => tokio::time::sleep_until(next).await,
            None => calls.is_used.notified().await,
        }
    }
}
