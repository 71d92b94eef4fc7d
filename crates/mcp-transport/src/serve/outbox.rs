//! What one response of a session says, and what its client may read again after it lost the response.

use std::{
    collections::VecDeque,
    task::{Context, Poll, Waker},
};

/// Messages that wait for their reader, or stay to be read again.
const KEPT: usize = 64;
/// Readers that wait for the first one to go.
const MAX_READERS: usize = 16;

/// The same in bytes, as far as that is known. One message is kept whatever its size.
const KEPT_BYTES: usize = 1 << 20;
/// What stays of an outbox after it was answered, in bytes of JSON.
pub(super) const MAX_BYTES: usize = 256 << 10;

/// A message that can be given again.
pub(super) trait Letter: Clone {
    /// Its size in bytes; 0 where that would cost too much to know.
    fn size(&self) -> usize;
}

/// The messages of one response. They are numbered from 1; 0 is the place before the first.
pub(super) struct Outbox<M> {
    kept: VecDeque<M>,
    kept_bytes: usize,
    /// The part of these that was read.
    read_bytes: usize,
    /// How many came before those that are kept.
    dropped: usize,
    /// How many were read.
    read: usize,
    /// Each message is read once, by the first of them.
    readers: VecDeque<Reader>,
    is_complete: bool,
}

struct Reader {
    id: u64,
    waker: Option<Waker>,
}

impl<M> Default for Outbox<M> {
    fn default() -> Self {
        let (kept, readers) = (VecDeque::new(), VecDeque::new());
        Self { kept, kept_bytes: 0, read_bytes: 0, dropped: 0, read: 0, readers, is_complete: false }
    }
}

impl<M: Letter> Outbox<M> {
    /// Takes a message; returns whether the reader has fallen behind. Without a reader the oldest make room.
    pub(super) fn push(&mut self, message: M) -> bool {
        self.kept_bytes += message.size();
        self.kept.push_back(message);
        self.trim();
        self.wake();
        self.is_full()
    }

    /// Nothing will come any more.
    pub(super) fn complete(&mut self) {
        self.is_complete = true;
        for reader in &mut self.readers {
            reader.waker.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Whether there is a reader who has a lot to read.
    pub(super) fn is_full(&self) -> bool {
        self.has_readers()
            && (self.pushed() - self.read > KEPT || self.kept_bytes - self.read_bytes > KEPT_BYTES)
    }

    /// How many were read, which names the place to go on at.
    pub(super) fn read(&self) -> usize {
        self.read
    }

    pub(super) fn has_readers(&self) -> bool {
        !self.readers.is_empty()
    }

    /// Whether a client can name a place here, and there is something to read again.
    pub(super) fn can_be_resumed(&self, primes: bool) -> bool {
        primes || self.pushed() > 1
    }

    /// What could be read again.
    pub(super) fn kept(&self) -> impl Iterator<Item = &M> {
        self.kept.iter()
    }

    /// One more reader, who waits for those before it to go.
    pub(super) fn join(&mut self, id: u64) {
        if self.readers.len() > MAX_READERS {
            self.remove_reader(1);
        }
        self.readers.push_back(Reader { id, waker: None });
    }

    /// One more reader, who reads on in the place of those before it: they may be dead without anybody having noticed.
    pub(super) fn join_first(&mut self, id: u64) {
        if self.readers.len() > MAX_READERS {
            self.remove_reader(self.readers.len() - 1);
        }
        self.readers.push_front(Reader { id, waker: None });
    }

    /// A reader who had the message of this number, and takes the place of the one who reads now. Returns whether there is
    /// such a message.
    pub(super) fn resume(&mut self, id: u64, last: usize) -> bool {
        if last > self.pushed() {
            return false;
        }
        if self.has_readers() {
            self.remove_reader(0);
        }
        self.read = last.max(self.dropped);
        self.read_bytes = self.kept.iter().take(self.read - self.dropped).map(Letter::size).sum();
        self.readers.push_front(Reader { id, waker: None });
        true
    }

    pub(super) fn leave(&mut self, id: u64) {
        if let Some(index) = self.readers.iter().position(|reader| reader.id == id) {
            self.remove_reader(index);
            self.trim();
            self.wake();
        }
    }

    pub(super) fn has_unread(&self) -> bool {
        self.read < self.pushed()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// The next message for this reader, and its number; `None` when there are no more for it.
    pub(super) fn poll(&mut self, id: u64, context: &Context<'_>) -> Poll<Option<(usize, M)>> {
        let Some(index) = self.readers.iter().position(|reader| reader.id == id) else {
            return Poll::Ready(None);
        };
        if index == 0 && self.has_unread() {
            let message = self.kept[self.read - self.dropped].clone();
            self.read += 1;
            self.read_bytes += message.size();
            self.trim();
            return Poll::Ready(Some((self.read, message)));
        }
        if self.is_complete {
            return Poll::Ready(None);
        }
        self.readers[index].wait(context);
        Poll::Pending
    }

    /// Waits until there is something for this reader, or will never be, and leaves it where it is.
    pub(super) fn poll_unread(&mut self, id: u64, context: &Context<'_>) -> Poll<()> {
        match self.readers.iter_mut().find(|reader| reader.id == id) {
            Some(reader) if self.read == self.dropped + self.kept.len() && !self.is_complete => {
                reader.wait(context);
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    fn pushed(&self) -> usize {
        self.dropped + self.kept.len()
    }

    /// Drops what is too much, but nothing that somebody is about to read.
    fn trim(&mut self) {
        while (self.kept.len() > KEPT || self.kept_bytes > KEPT_BYTES && self.kept.len() > 1)
            && (self.dropped < self.read || self.readers.is_empty())
        {
            let size = self.kept.pop_front().map_or(0, |message| message.size());
            self.kept_bytes -= size;
            if self.dropped < self.read {
                self.read_bytes -= size;
            }
            self.dropped += 1;
        }
        self.read = self.read.max(self.dropped);
    }

    /// Tells the first reader that there may be something for it.
    fn wake(&mut self) {
        if let Some(reader) = self.readers.front_mut() {
            reader.waker.take().into_iter().for_each(Waker::wake);
        }
    }

    fn remove_reader(&mut self, index: usize) {
        if let Some(Reader { waker: Some(waker), .. }) = self.readers.remove(index) {
            waker.wake();
        }
    }
}

impl Reader {
    fn wait(&mut self, context: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(context.waker()),
            waker => *waker = Some(context.waker().clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, task::Wake};

    use bytes::Bytes;

    use super::*;

    struct Nobody;

    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }

    fn read(outbox: &mut Outbox<Bytes>, reader: u64) -> Option<usize> {
        match outbox.poll(reader, &Context::from_waker(&Arc::new(Nobody).into())) {
            Poll::Ready(Some((number, _))) => Some(number),
            _ => None,
        }
    }

    #[test]
    fn a_reader_is_behind_after_many_messages_or_many_bytes_and_loses_none() {
        for (size, count) in [(1, KEPT), (KEPT_BYTES / 4, 4)] {
            let (message, mut outbox) = (Bytes::from(vec![0; size]), Outbox::default());
            outbox.join(1);
            for _ in 0..count {
                assert!(!outbox.push(message.clone()), "{size}");
            }
            assert!(outbox.push(message), "{size}");
            for number in 1..=count + 1 {
                assert_eq!(read(&mut outbox, 1), Some(number), "{size}");
            }
            assert!(!outbox.is_full() && read(&mut outbox, 1).is_none(), "{size}");
        }
    }

    #[test]
    fn without_a_reader_the_newest_stay() {
        for (size, kept) in [(1, KEPT), (KEPT_BYTES / 4, 4), (2 * KEPT_BYTES, 1)] {
            let mut outbox = Outbox::default();
            for _ in 0..KEPT + 10 {
                assert!(!outbox.push(Bytes::from(vec![0; size])), "{size}");
            }
            outbox.join(1);
            assert_eq!(outbox.kept().count(), kept, "{size}");
            assert_eq!(read(&mut outbox, 1), Some(KEPT + 11 - kept), "{size}");
        }
    }
}
