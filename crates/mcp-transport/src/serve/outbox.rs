//! What one response of a session says, and what its client may read again after it lost the response.

use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use rmcp::model::ServerJsonRpcMessage;

/// Messages that wait for their reader, or stay to be read again.
const KEPT: usize = 64;
/// What stays after it was answered, as JSON.
const MAX_BYTES: usize = 256 << 10;
/// Readers that wait for the first one to go.
const MAX_READERS: usize = 16;

/// A message and its number.
pub(super) type Numbered = (usize, Arc<ServerJsonRpcMessage>);

/// The messages of one response. They are numbered from 1; 0 is the place before the first.
#[derive(Default)]
pub(super) struct Outbox {
    kept: VecDeque<Arc<ServerJsonRpcMessage>>,
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

impl Outbox {
    /// Takes a message; returns whether the reader has fallen behind. Without a reader the oldest make room.
    pub(super) fn push(&mut self, message: ServerJsonRpcMessage) -> bool {
        self.kept.push_back(Arc::new(message));
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
        !self.readers.is_empty() && self.pushed() - self.read > KEPT
    }

    /// How many were read, which names the place to go on at.
    pub(super) fn read(&self) -> usize {
        self.read
    }

    pub(super) fn has_readers(&self) -> bool {
        !self.readers.is_empty()
    }

    /// Whether a client can name a place here, and what it would read again is not too much to keep.
    pub(super) fn is_worth_keeping(&self, primes: bool) -> bool {
        let mut room = Room(MAX_BYTES);
        (primes || self.pushed() > 1)
            && self.kept.iter().all(|message| serde_json::to_writer(&mut room, message.as_ref()).is_ok())
    }

    /// One more reader, who waits for those before it to go.
    pub(super) fn join(&mut self, id: u64) {
        if self.readers.len() > MAX_READERS {
            self.remove_reader(1);
        }
        self.readers.push_back(Reader { id, waker: None });
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

    /// The next message for this reader; `None` when there are no more for it.
    pub(super) fn poll(&mut self, id: u64, context: &Context<'_>) -> Poll<Option<Numbered>> {
        let Some(index) = self.readers.iter().position(|reader| reader.id == id) else {
            return Poll::Ready(None);
        };
        if index == 0 && self.has_unread() {
            let message = self.kept[self.read - self.dropped].clone();
            self.read += 1;
            self.trim();
            return Poll::Ready(Some((self.read, message)));
        }
        if self.is_complete {
            return Poll::Ready(None);
        }
        match &mut self.readers[index].waker {
            Some(waker) => waker.clone_from(context.waker()),
            waker => *waker = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    fn pushed(&self) -> usize {
        self.dropped + self.kept.len()
    }

    /// Drops what is too much, but nothing that somebody is about to read.
    fn trim(&mut self) {
        while self.kept.len() > KEPT && (self.dropped < self.read || self.readers.is_empty()) {
            self.kept.pop_front();
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

/// Takes so many bytes and no more.
struct Room(usize);

impl io::Write for Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
