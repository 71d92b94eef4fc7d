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
    /// An answer whose status is not 200, or that is not HTTP/1.1. The connection is of no use afterwards.
    pub(crate) async fn exchange(&mut self, request: &[u8], body: impl FnMut(&[u8])) -> Result<()> {
        self.stream.write_all(request).await?;
        match self.head().await? {
            Framing::Length(length) => self.fixed(length, body).await,
            Framing::Chunked => self.chunks(body).await,
        }
    }

    async fn head(&mut self) -> Result<Framing> {
        let line = self.line().await?;
        let status_line = &self.input[line];
        if !status_line.starts_with(b"HTTP/1.1 200") {
            return Err(invalid(&String::from_utf8_lossy(status_line)));
        }
        let mut framing = None;
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return framing.ok_or_else(|| invalid("an answer without a length"));
            }
            framing = framing_of(&self.input[line])?.or(framing);
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
        loop {
            let line = self.line().await?;
            match chunk_size(&self.input[line])? {
                0 => break,
                size => self.fixed(size, &mut body).await?,
            }
            if !self.line().await?.is_empty() {
                return Err(invalid("a chunk longer than its size"));
            }
        }
        while !self.line().await?.is_empty() {} // trailer fields
        Ok(())
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

/// What a header line says about the body's length, if it is about that.
fn framing_of(header: &[u8]) -> Result<Option<Framing>> {
    let Some(colon) = header.iter().position(|&byte| byte == b':') else {
        return Err(invalid("a header without a colon"));
    };
    let (name, value) = (&header[..colon], header[colon + 1..].trim_ascii());
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

fn invalid(what: &str) -> Error {
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
    async fn an_answer_that_is_not_200_is_an_error_that_names_the_status() {
        let error =
            body_of(&["HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"]).await.unwrap_err();
        assert!(error.to_string().contains("503"), "{error}");
    }
}
