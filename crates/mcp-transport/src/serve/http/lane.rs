//! One way to a client: the response to a request, or the stream on which the client listens.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
};

use async_trait::async_trait;
use bytes::Bytes;
use json_rpc::{Id, Message, Notification, Outcome, Raw};
use tokio::sync::Notify;

use super::{
    super::{
        outbox::{Letter, MAX_BYTES, Outbox},
        routes::Place,
    },
    client::Client,
};
use crate::{Gone, endpoint::Outlet};

/// Messages to a client, and whether they are still wanted.
pub(super) struct Lane {
    pub(super) place: Place,
    /// Whose it is. Nobody's where each request is a client of its own, who cannot be asked.
    client: Weak<Client>,
    inside: Mutex<Inside>,
    /// Somebody has read, or left.
    room: Notify,
}

impl Letter for Bytes {
    fn size(&self) -> usize {
        self.len()
    }
}

#[derive(Default)]
struct Inside {
    outbox: Outbox<Bytes>,
    /// Whether the client has seen the beginning, and could come back to it.
    is_seen: bool,
    is_cancelled: bool,
    /// What waits for the request to be cancelled.
    answering: Option<Waker>,
}

impl Lane {
    pub(super) fn new(place: Place, client: Weak<Client>) -> Arc<Self> {
        Arc::new(Self { place, client, inside: Mutex::default(), room: Notify::new() })
    }

    /// Puts a message behind the others, and waits until a reader who has fallen behind has caught up.
    pub(super) async fn put(&self, message: Bytes) -> Result<(), Gone> {
        if self.put_now(message)? {
            self.has_room().await;
        }
        Ok(())
    }

    /// Puts a message behind the others; returns whether the reader has fallen behind.
    pub(super) fn put_now(&self, message: Bytes) -> Result<bool, Gone> {
        let outbox = &mut self.inside().outbox;
        if outbox.is_complete() { Err(Gone) } else { Ok(outbox.push(message)) }
    }

    /// Waits until a reader who has fallen behind has caught up.
    pub(super) async fn has_room(&self) {
        loop {
            let mut changed = std::pin::pin!(self.room.notified());
            changed.as_mut().enable();
            if !self.inside().outbox.is_full() {
                return;
            }
            changed.await;
        }
    }

    /// Nothing comes after this.
    pub(super) fn finish(&self, answer: Option<Bytes>) {
        let outbox = &mut self.inside().outbox;
        if !outbox.is_complete() {
            if let Some(answer) = answer {
                outbox.push(answer);
            }
            outbox.complete();
        }
    }

    /// Nobody wants the answer any more.
    pub(super) fn cancel(&self) {
        let mut inside = self.inside();
        inside.is_cancelled = true;
        inside.outbox.complete();
        let answering = inside.answering.take();
        drop(inside);
        answering.into_iter().for_each(Waker::wake);
    }

    pub(super) fn poll_cancelled(&self, context: &Context<'_>) -> Poll<()> {
        let mut inside = self.inside();
        if inside.is_cancelled {
            return Poll::Ready(());
        }
        match &mut inside.answering {
            Some(waker) => waker.clone_from(context.waker()),
            waker => *waker = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    pub(super) fn show(&self) {
        self.inside().is_seen = true;
    }

    /// Whether nothing that is put here can ever be read.
    fn is_lost(&self) -> bool {
        let inside = self.inside();
        !inside.is_seen && !inside.outbox.has_readers()
    }

    pub(super) fn join_first(&self, reader: u64) {
        self.inside().outbox.join_first(reader);
    }

    pub(super) fn join(&self, reader: u64) {
        self.inside().outbox.join(reader);
    }

    /// Lets a reader go on who had the message of this number, if there is one.
    pub(super) fn resume(&self, reader: u64, last: usize) -> bool {
        let resumed = self.inside().outbox.resume(reader, last);
        self.room.notify_waiters();
        resumed
    }

    pub(super) fn leave(&self, reader: u64) {
        self.inside().outbox.leave(reader);
        self.room.notify_waiters();
    }

    /// How many messages were read, which names the place to go on at.
    pub(super) fn read(&self) -> usize {
        self.inside().outbox.read()
    }

    pub(super) fn has_unread(&self) -> bool {
        self.inside().outbox.has_unread()
    }

    /// Whether all is said, and nobody reads it any more.
    pub(super) fn is_left(&self) -> bool {
        let outbox = &self.inside().outbox;
        outbox.is_complete() && !outbox.has_readers()
    }

    /// Whether a client can come back to it, and what it would read again is not too much to keep.
    pub(super) fn is_worth_keeping(&self, primes: bool) -> bool {
        let outbox = &self.inside().outbox;
        outbox.can_be_resumed(primes) && outbox.kept().map(Bytes::len).sum::<usize>() <= MAX_BYTES
    }

    pub(super) fn poll_unread(&self, reader: u64, context: &Context<'_>) -> Poll<()> {
        self.inside().outbox.poll_unread(reader, context)
    }

    pub(super) fn poll(&self, reader: u64, context: &Context<'_>) -> Poll<Option<(usize, Bytes)>> {
        let mut inside = self.inside();
        let was_full = inside.outbox.is_full();
        let polled = inside.outbox.poll(reader, context);
        drop(inside);
        if was_full {
            self.room.notify_waiters();
        }
        polled
    }

    /// Nothing panics while this lock is held, so what it guards is whole.
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Outlet for Lane {
    async fn tell(&self, _: Option<&Id>, notification: Notification) -> Result<(), Gone> {
        self.put(Message::from(notification).to_bytes()).await
    }

    async fn ask(&self, _: Option<&Id>, method: &str, params: Option<Raw>) -> Result<Outcome, Gone> {
        let client = self.client.upgrade().ok_or(Gone)?;
        let lane = if self.is_lost() { &client.listening } else { self };
        client.questions.ask(lane, &client.listening, method, params).await
    }
}
