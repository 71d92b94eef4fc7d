//! What waits to be written to one client.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::BytesMut;
use tokio::sync::Notify;

use crate::Gone;

/// Messages that wait, and their bytes together; one that is larger waits alone.
const CAPACITY: usize = 64;
const BYTES: usize = 1 << 20;

/// Where messages are put, as texts. It takes no more memory than what waits in it.
#[derive(Default)]
pub(crate) struct Outgoing {
    waiting: Mutex<Waiting>,
    filled: Notify,
    room: Notify,
}

/// Where they are taken; dropping it ends the other side too.
pub(crate) struct Outflow(Arc<Outgoing>);

#[derive(Default)]
struct Waiting {
    texts: VecDeque<BytesMut>,
    bytes: usize,
    is_closed: bool,
}

/// A text that was not taken.
pub(crate) enum Refused {
    Full(BytesMut),
    Closed,
}

pub(crate) fn outgoing() -> (Arc<Outgoing>, Outflow) {
    let outgoing = Arc::<Outgoing>::default();
    (outgoing.clone(), Outflow(outgoing))
}

impl Outgoing {
    /// Puts a text in when there is room.
    pub(crate) async fn push(&self, text: BytesMut) -> Result<(), Gone> {
        let mut text = text;
        loop {
            text = match self.try_push(text) {
                Ok(()) => return Ok(()),
                Err(Refused::Closed) => return Err(Gone),
                Err(Refused::Full(text)) => text,
            };
            let mut room = std::pin::pin!(self.room.notified());
            room.as_mut().enable();
            // It may have been made in between.
            if self.waiting().is_full() {
                room.await;
            }
        }
    }

    /// Puts a text in if there is room.
    pub(crate) fn try_push(&self, text: BytesMut) -> Result<(), Refused> {
        let mut waiting = self.waiting();
        if waiting.is_closed {
            return Err(Refused::Closed);
        }
        if waiting.is_full() {
            return Err(Refused::Full(text));
        }
        waiting.put(text);
        drop(waiting);
        self.filled.notify_one();
        Ok(())
    }

    /// Puts a text in, room or no room: the caller bounds how often.
    pub(crate) fn push_past_the_bound(&self, text: BytesMut) {
        let mut waiting = self.waiting();
        if !waiting.is_closed {
            waiting.put(text);
            drop(waiting);
            self.filled.notify_one();
        }
    }

    /// Takes no more texts. Those that wait can still be taken out.
    pub(crate) fn close(&self) {
        self.waiting().is_closed = true;
        self.filled.notify_one();
        self.room.notify_waiters();
    }

    /// Nothing panics while this lock is held, so what it guards is whole.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outflow {
    /// The next text; `None` when there will be no more. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<BytesMut> {
        loop {
            if let Some(text) = self.try_next() {
                return Some(text);
            }
            if self.0.waiting().is_closed {
                return self.try_next(); // one may have come before the end
            }
            self.0.filled.notified().await;
        }
    }

    /// The next text, if one waits.
    pub(crate) fn try_next(&mut self) -> Option<BytesMut> {
        let mut waiting = self.0.waiting();
        let text = waiting.texts.pop_front()?;
        waiting.bytes -= text.len();
        if waiting.texts.is_empty() {
            waiting.texts = VecDeque::new(); // an idle client costs nothing
        }
        drop(waiting);
        // All: one who waits may be a part of something that nobody goes on with, and would keep the news to itself.
        self.0.room.notify_waiters();
        Some(text)
    }
}

impl Drop for Outflow {
    fn drop(&mut self) {
        self.0.close();
        let mut waiting = self.0.waiting();
        waiting.texts = VecDeque::new();
        waiting.bytes = 0;
    }
}

impl Waiting {
    fn is_full(&self) -> bool {
        !self.is_closed && (self.texts.len() >= CAPACITY || self.bytes >= BYTES)
    }

    fn put(&mut self, text: BytesMut) {
        self.bytes += text.len();
        self.texts.push_back(text);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn who_finds_no_room_waits_for_it_and_nothing_is_lost() {
        let (outgoing, mut outflow) = outgoing();
        for number in 0..CAPACITY {
            outgoing.push(number.to_string().as_bytes().into()).await.unwrap();
        }
        let mut late = Box::pin(outgoing.push(BytesMut::from("late")));
        assert!(late.as_mut().now_or_never().is_none());
        assert_eq!(outflow.next().await.unwrap(), "0");
        late.await.unwrap();
        outgoing.close();
        assert!(outgoing.push(BytesMut::from("too late")).await.is_err());
        let mut rest = Vec::new();
        while let Some(text) = outflow.next().await {
            rest.push(text);
        }
        assert_eq!((rest.len(), &rest[CAPACITY - 1][..]), (CAPACITY, &b"late"[..]));
    }

    #[tokio::test]
    async fn who_waits_for_room_does_not_wait_for_others_who_do() {
        let (outgoing, mut outflow) = outgoing();
        outgoing.push(BytesMut::zeroed(BYTES)).await.unwrap();
        let mut idle = Box::pin(outgoing.push(BytesMut::from("idle")));
        let mut late = Box::pin(outgoing.push(BytesMut::from("late")));
        assert!(idle.as_mut().now_or_never().is_none() && late.as_mut().now_or_never().is_none());
        outflow.next().await.unwrap();
        assert_eq!(late.now_or_never(), Some(Ok(())));
        assert_eq!(outflow.next().await.unwrap(), "late");
    }

    #[tokio::test]
    async fn large_texts_leave_no_room_for_others() {
        let (outgoing, mut outflow) = outgoing();
        outgoing.push(BytesMut::zeroed(2 * BYTES)).await.unwrap();
        assert!(outgoing.push(BytesMut::from("small")).now_or_never().is_none());
        outflow.next().await.unwrap();
        outgoing.push(BytesMut::from("small")).await.unwrap();
    }

    #[tokio::test]
    async fn who_waits_for_room_learns_that_the_reader_has_gone() {
        let (outgoing, outflow) = outgoing();
        outgoing.push(BytesMut::zeroed(BYTES)).await.unwrap();
        let mut waits = Box::pin(outgoing.push(BytesMut::from("a")));
        assert!(waits.as_mut().now_or_never().is_none());
        drop(outflow);
        assert!(waits.await.is_err());
    }
}
