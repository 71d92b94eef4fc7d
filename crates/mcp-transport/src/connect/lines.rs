//! One message per line, over any pair of byte streams.

use std::{io, time::Duration};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    carrier::Carrier,
    incoming::Incoming,
    link::{LinkError, Outbox, Queue},
};
use crate::line_reader::LineReader;

/// Longest wait for the output to be closed.
const CLOSING: Duration = Duration::from_secs(1);

/// The lines of a server's output.
pub(super) struct Lines<R>(LineReader<R>);

impl<R: AsyncRead + Send + Unpin> Lines<R> {
    /// Lines of at most `limit` bytes.
    pub(super) fn new(output: R, limit: usize) -> Self {
        Self(LineReader::new(output, limit))
    }

    /// The next line that is not empty; `None` at the end, or when nothing more can be read. May be dropped at any time.
    pub(super) async fn next(&mut self) -> Option<Incoming> {
        Some(match self.0.next().await? {
            Ok(line) => Incoming::Message(line.freeze()),
            Err(too_long) => too_long.into(),
        })
    }
}

/// Writes what is queued, until it is told to stop or the server stops reading for good. Then the input is closed.
pub(super) async fn write(mut input: impl AsyncWrite + Unpin, mut queue: Queue, stop: CancellationToken) {
    while let Some(Some(frame)) = stop.run_until_cancelled(queue.next()).await {
        let mut line = one_line(frame.text()).chain(&b"\n"[..]);
        let writing = async {
            input.write_all_buf(&mut line).await?;
            input.flush().await
        };
        let error = match stop.run_until_cancelled(writing).await {
            Some(Ok(())) => {
                frame.settle(Ok(()));
                continue;
            }
            Some(Err(error)) => error,
            None => io::ErrorKind::Interrupted.into(),
        };
        // A message whose end was not written is none.
        let is_whole = line.remaining() <= 1;
        frame.settle(Err(if is_whole { LinkError::Io(error) } else { LinkError::Closed }));
        break;
    }
    drop(queue);
    let _ = timeout(CLOSING, input.shutdown()).await; // it is closed anyway
}

/// The message on one line. Within JSON the ends of lines are mere space.
fn one_line(text: &Bytes) -> Bytes {
    if memchr::memchr2(b'\n', b'\r', text).is_none() {
        return text.clone();
    }
    let ends_line = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let mut text = BytesMut::from(text.as_ref());
    text.iter_mut().filter(|byte| ends_line(byte)).for_each(|byte| *byte = b' ');
    text.freeze()
}

/// The connection over a pair of byte streams.
pub(crate) struct Streams<R> {
    lines: Lines<R>,
    outbox: Outbox,
    stop: CancellationToken,
    writer: Option<JoinHandle<()>>,
    _stop: DropGuard,
}

impl<R: AsyncRead + Send + Unpin + 'static> Streams<R> {
    /// What the server writes comes from `reader`; what it reads goes to `writer`.
    pub(crate) fn open(reader: R, writer: impl AsyncWrite + Send + Unpin + 'static, limit: usize) -> Self {
        let (outbox, queue) = Outbox::new();
        let stop = CancellationToken::new();
        let writer = Some(tokio::spawn(write(writer, queue, stop.clone())));
        Self { lines: Lines::new(reader, limit), outbox, _stop: stop.clone().drop_guard(), stop, writer }
    }
}

impl<R: AsyncRead + Send + Unpin + 'static> Carrier for Streams<R> {
    fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    async fn next(&mut self) -> Option<Incoming> {
        self.lines.next().await
    }

    fn reason(&self) -> Option<String> {
        None
    }

    async fn close(&mut self) {
        self.stop.cancel();
        if let Some(writer) = self.writer.take() {
            let _ = writer.await; // it panics never, and is not aborted
        }
    }
}
