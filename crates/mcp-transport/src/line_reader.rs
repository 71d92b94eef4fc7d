//! The lines of a byte stream, each of a bounded length.

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Bytes that are asked for at once.
const CHUNK: usize = 8 * 1024;
/// What is kept of both ends of a line that is too long, in bytes.
const EXCERPT: usize = 1024;

/// Reads lines.
pub(crate) struct LineReader<R> {
    input: R,
    buffer: BytesMut,
    /// Bytes of the buffer that are known to hold no end of a line.
    searched: usize,
    max_line: usize,
    /// The line whose rest is being thrown away.
    skipped: Option<TooLong>,
    ended: bool,
}

/// A line that is longer than it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TooLong {
    /// Bytes that a line may have.
    pub(crate) limit: usize,
    /// How it begins.
    pub(crate) beginning: Vec<u8>,
    /// How it ends.
    pub(crate) end: Vec<u8>,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    pub(crate) fn new(input: R, max_line: usize) -> Self {
        Self { input, buffer: BytesMut::new(), searched: 0, max_line, skipped: None, ended: false }
    }

    /// The next line that holds more than white space, without its end. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Result<BytesMut, TooLong>> {
        loop {
            let line = self.line().await?;
            let Ok(mut line) = line else { return Some(line) };
            if line.starts_with(b"\xEF\xBB\xBF") {
                line.advance(3); // some shells begin their output with a byte order mark
            }
            if !line.trim_ascii().is_empty() {
                return Some(Ok(line));
            }
        }
    }

    async fn line(&mut self) -> Option<Result<BytesMut, TooLong>> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer[self.searched..]) {
                let mut line = self.buffer.split_to(self.searched + end + 1);
                line.truncate(line.len() - 1);
                self.searched = 0;
                return Some(self.whole(line));
            }
            self.searched = self.buffer.len();
            if self.skipped.is_some() || self.buffer.len() > self.max_line {
                self.skipped.get_or_insert_with(|| TooLong::new(self.max_line)).add(&self.buffer);
                self.buffer.clear();
                self.searched = 0;
            }
            if self.ended {
                // The last line may lack its end.
                let rest = std::mem::take(&mut self.buffer);
                self.searched = 0;
                return (!rest.is_empty() || self.skipped.is_some()).then(|| self.whole(rest));
            }
            self.buffer.reserve(CHUNK);
            match self.input.read_buf(&mut self.buffer).await {
                Ok(0) => self.ended = true,
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "the input cannot be read");
                    return None;
                }
            }
        }
    }

    /// A line whose last part is this. More may be read at once than was asked for.
    fn whole(&mut self, last: BytesMut) -> Result<BytesMut, TooLong> {
        let too_long = self.skipped.take();
        match too_long.or_else(|| (last.len() > self.max_line).then(|| TooLong::new(self.max_line))) {
            None => Ok(last),
            Some(mut too_long) => {
                too_long.add(&last);
                Err(too_long)
            }
        }
    }
}

impl TooLong {
    fn new(limit: usize) -> Self {
        Self { limit, beginning: Vec::new(), end: Vec::new() }
    }

    fn add(&mut self, part: &[u8]) {
        let room = EXCERPT - self.beginning.len();
        self.beginning.extend_from_slice(&part[..room.min(part.len())]);
        self.end.extend_from_slice(&part[part.len().saturating_sub(EXCERPT)..]);
        self.end.drain(..self.end.len().saturating_sub(EXCERPT));
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn a_line_that_is_too_long_is_skipped_and_both_its_ends_are_known() {
        for pipe in [1, 100, 1 << 20] {
            let (mut writer, reader) = duplex(pipe);
            let mut lines = LineReader::new(reader, 10);
            let long = format!("begin{}end", "x".repeat(5000));
            let writing = async {
                writer.write_all(format!("one\n{long}\n\ntwo\n{long}").as_bytes()).await.unwrap();
                drop(writer);
            };
            let reading = async {
                assert_eq!(lines.next().await.unwrap().unwrap(), "one");
                let too_long = lines.next().await.unwrap().unwrap_err();
                assert_eq!(
                    (too_long.limit, too_long.beginning.len(), too_long.end.len()),
                    (10, EXCERPT, EXCERPT)
                );
                assert!(too_long.beginning.starts_with(b"beginx") && too_long.end.ends_with(b"xend"));
                assert_eq!(lines.next().await.unwrap().unwrap(), "two");
                assert_eq!(lines.next().await.unwrap().unwrap_err(), too_long);
                assert!(lines.next().await.is_none());
            };
            tokio::join!(writing, reading);
        }
    }
}
