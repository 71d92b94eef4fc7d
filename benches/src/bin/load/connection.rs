//! The least HTTP/1.1 client that keeps a connection and reads any body: the driver must cost less than the server.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::ops::Range;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest line of a head or of a chunk's size.
const LINE_MAX_BYTES: usize = 64 * 1024;

/// One connection, used for one exchange after the other.
pub(crate) struct Connection {
    stream: TcpStream,
    /// Bytes that were read; those before `at` are used.
    input: Vec<u8>,
    at: usize,
}

/// How long a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, input: Vec::with_capacity(16 * 1024), at: 0 })
    }

    /// Sends `request` and hands the pieces of the answer's body to `body` as they come.
    ///
    /// # Errors
    ///
    /// An answer whose status is no success, or that is not HTTP/1.1. The connection is of no use afterwards.
    pub(crate) async fn exchange(&mut self, request: &[u8], body: impl FnMut(&[u8])) -> Result<()> {
        self.exchange_with_headers(request, |_, _| (), body).await
    }

    /// The same, and each header of the answer goes to `header`: its name and its value.
    pub(crate) async fn exchange_with_headers(
        &mut self,
        request: &[u8],
        header: impl FnMut(&[u8], &[u8]),
        body: impl FnMut(&[u8]),
    ) -> Result<()> {
        self.send(request).await?;
        match self.success(header).await? {
            Framing::Length(length) => self.fixed(length, body).await,
            Framing::Chunked => self.chunks(body).await,
        }
    }

    /// Sends a request whose answer is a stream, to be read with [`Connection::chunk`].
    pub(crate) async fn open_stream(&mut self, request: &[u8]) -> Result<()> {
        self.send(request).await?;
        match self.success(|_, _| ()).await? {
            Framing::Chunked => Ok(()),
            Framing::Length(_) => Err(invalid("an answer that is no stream")),
        }
    }

    /// Sends a request after whose answer the connection speaks another protocol.
    pub(crate) async fn upgrade(&mut self, request: &[u8]) -> Result<()> {
        self.send(request).await?;
        match self.head(|_, _| ()).await? {
            (101, _) => Ok(()),
            (status, _) => Err(refused(status)),
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next `count` bytes, whatever they mean.
    pub(crate) async fn take(&mut self, count: usize) -> Result<&[u8]> {
        while self.input.len() - self.at < count {
            self.fill().await?;
        }
        let start = self.at;
        self.at += count;
        Ok(&self.input[start..self.at])
    }

    /// The head of an answer that must be a success, as far as the body's length.
    async fn success(&mut self, header: impl FnMut(&[u8], &[u8])) -> Result<Framing> {
        match self.head(header).await? {
            (200..300, Some(framing)) => Ok(framing),
            (200..300, None) => Err(invalid("an answer without a length")),
            (status, _) => Err(refused(status)),
        }
    }

    async fn head(&mut self, mut each: impl FnMut(&[u8], &[u8])) -> Result<(u16, Option<Framing>)> {
        let line = self.line().await?;
        let status = status(&self.input[line])?;
        let mut framing = None;
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok((status, framing));
            }
            let (name, value) = header(&self.input[line])?;
            framing = framing_of(name, value)?.or(framing);
            each(name, value);
        }
    }

    async fn fixed(&mut self, length: usize, mut body: impl FnMut(&[u8])) -> Result<()> {
        let mut left = length;
        while left > 0 {
            if self.at == self.input.len() {
                self.fill().await?;
            }
            let piece = left.min(self.input.len() - self.at);
            body(&self.input[self.at..self.at + piece]);
            self.at += piece;
            left -= piece;
        }
        Ok(())
    }

    async fn chunks(&mut self, mut body: impl FnMut(&[u8])) -> Result<()> {
        while self.chunk(&mut body).await? {}
        Ok(())
    }

    /// Hands the next chunk of a stream to `body`; `false` when the stream has ended.
    pub(crate) async fn chunk(&mut self, body: impl FnMut(&[u8])) -> Result<bool> {
        let line = self.line().await?;
        let size = chunk_size(&self.input[line])?;
        if size == 0 {
            while !self.line().await?.is_empty() {} // trailer fields
            return Ok(false);
        }
        self.fixed(size, body).await?;
        if !self.line().await?.is_empty() {
            return Err(invalid("a chunk longer than its size"));
        }
        Ok(true)
    }

    /// Uses up one line and gives its place in `input`, without the line's end; valid until the next read.
    async fn line(&mut self) -> Result<Range<usize>> {
        let mut searched = self.at;
        loop {
            if let Some(found) = self.input[searched..].iter().position(|&byte| byte == b'\n') {
                let (start, end) = (self.at, searched + found);
                self.at = end + 1;
                let carriage_return = self.input[start..end].ends_with(b"\r");
                return Ok(start..end - usize::from(carriage_return));
            }
            if self.input.len() - self.at > LINE_MAX_BYTES {
                return Err(invalid("a line that is too long"));
            }
            let pending = self.input.len() - self.at;
            self.fill().await?;
            searched = self.at + pending;
        }
    }

    /// Reads more; what is used up makes room first.
    async fn fill(&mut self) -> Result<()> {
        self.input.drain(..self.at);
        self.at = 0;
        match self.stream.read_buf(&mut self.input).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn status(line: &[u8]) -> Result<u16> {
    let digits = line.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
    let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| invalid("an answer that is not HTTP/1.1"))
}

fn refused(status: u16) -> Error {
    invalid(&format!("an answer with status {status}"))
}

fn header(line: &[u8]) -> Result<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':');
    let colon = colon.ok_or_else(|| invalid("a header without a colon"))?;
    Ok((&line[..colon], line[colon + 1..].trim_ascii()))
}

/// What a header says about the body's length, if it is about that.
fn framing_of(name: &[u8], value: &[u8]) -> Result<Option<Framing>> {
    if name.eq_ignore_ascii_case(b"content-length") {
        return number(value, 10).map(|length| Some(Framing::Length(length)));
    }
    let chunked = name.eq_ignore_ascii_case(b"transfer-encoding") && value.eq_ignore_ascii_case(b"chunked");
    Ok(chunked.then_some(Framing::Chunked))
}

/// The size at the start of a chunk; extensions after `;` mean nothing here.
fn chunk_size(line: &[u8]) -> Result<usize> {
    let end = line.iter().position(|&byte| byte == b';').unwrap_or(line.len());
    number(line[..end].trim_ascii(), 16)
}

fn number(digits: &[u8], radix: u32) -> Result<usize> {
    let digits = std::str::from_utf8(digits).map_err(|_| invalid("a length that is no number"))?;
    usize::from_str_radix(digits, radix).map_err(|_| invalid("a length that is no number"))
}

/// An error about what a server sent.
pub(crate) fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// The body of the first answer of a server that sends `pieces`, each in a packet of its own.
    async fn body_of(pieces: &'static [&'static str]) -> Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            let mut request = [0; 64];
            let _length = socket.read(&mut request).await?;
            for piece in pieces {
                socket.write_all(piece.as_bytes()).await?;
                tokio::task::yield_now().await;
            }
            Result::Ok(())
        });
        let mut body = Vec::new();
        let mut connection = Connection::open(address).await?;
        let exchange =
            connection.exchange(b"GET / HTTP/1.1\r\n\r\n", |piece| body.extend_from_slice(piece)).await;
        server.await??;
        exchange.map(|()| String::from_utf8(body).unwrap())
    }

    #[tokio::test]
    async fn a_body_with_a_length_is_read_whole() {
        let body = body_of(&["HTTP/1.1 200 OK\r\ncontent-", "length: 7\r\n\r\nab", "cdefg"]).await;
        assert_eq!(body.unwrap(), "abcdefg");
    }

    #[tokio::test]
    async fn a_chunked_body_is_put_together() {
        let body = body_of(&[
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc",
            "\r\nA;x=1\r\n0123456789\r\n",
            "0\r\n",
            "\r\n",
        ]);
        assert_eq!(body.await.unwrap(), "abc0123456789");
    }

    #[tokio::test]
    async fn an_answer_that_is_no_success_is_an_error_that_names_the_status() {
        let error =
            body_of(&["HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"]).await.unwrap_err();
        assert!(error.to_string().contains("503"), "{error}");
    }
}
