//! Messages as lines of JSON over a pair of byte streams: what stdio speaks.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use bytes::{Buf as _, BytesMut};
use futures_util::future::BoxFuture;
use rmcp::{
    RoleServer,
    model::{ClientJsonRpcMessage, JsonRpcError, JsonRpcMessage, ServerJsonRpcMessage},
    transport::Transport,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::Mutex,
    time::timeout,
};

use super::decode::{decode, too_large};

/// Bytes that are asked for at once.
const CHUNK: usize = 8 * 1024;
/// Longest wait for the output to be closed.
const CLOSING: Duration = Duration::from_secs(1);

/// A transport that answers every line: with silence only when the line is empty.
pub(crate) struct Lines<R, W> {
    input: R,
    output: Arc<Mutex<Option<W>>>,
    buffer: BytesMut,
    /// Bytes of the buffer that are known to hold no end of a line.
    searched: usize,
    max_line: usize,
    /// Whether the rest of a line is being thrown away.
    skipping: bool,
    ended: bool,
    /// An answer that is being written, kept here because `receive` may be dropped in the middle of it.
    answering: VecDeque<BoxFuture<'static, io::Result<()>>>,
}

impl<R, W> Lines<R, W>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    pub(crate) fn new(input: R, output: W, max_line: usize) -> Self {
        Self {
            input,
            output: Arc::new(Mutex::new(Some(output))),
            buffer: BytesMut::new(),
            searched: 0,
            max_line,
            skipping: false,
            ended: false,
            answering: VecDeque::new(),
        }
    }

    /// The next line without its end. Cancel-safe. `Err` for a line that is too long.
    async fn line(&mut self) -> Option<Result<BytesMut, JsonRpcError>> {
        loop {
            if let Some(end) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let mut line = self.buffer.split_to(self.searched + end + 1);
                line.truncate(line.len() - 1);
                self.searched = 0;
                if std::mem::take(&mut self.skipping) {
                    continue;
                }
                // More may be read at once than was asked for.
                return Some(if line.len() > self.max_line {
                    Err(too_large(self.max_line))
                } else {
                    Ok(line)
                });
            }
            self.searched = self.buffer.len();
            if self.skipping {
                self.buffer.clear();
                self.searched = 0;
            } else if self.buffer.len() > self.max_line {
                self.buffer.clear();
                self.searched = 0;
                self.skipping = true;
                return Some(Err(too_large(self.max_line)));
            }
            if self.ended {
                // The last line may lack its end.
                let rest = std::mem::take(&mut self.buffer);
                self.searched = 0;
                return (!rest.is_empty()).then_some(Ok(rest));
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

    fn write(&self, message: &ServerJsonRpcMessage) -> BoxFuture<'static, io::Result<()>> {
        let line = serde_json::to_vec(message).map(|mut line| {
            line.push(b'\n');
            line
        });
        let output = self.output.clone();
        Box::pin(async move {
            let line = line?;
            let mut output = output.lock().await;
            let output = output.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
            output.write_all(&line).await?;
            output.flush().await
        })
    }
}

impl<R, W> Transport<RoleServer> for Lines<R, W>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    type Error = io::Error;

    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.write(&message)
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            while let Some(answer) = self.answering.front_mut() {
                answer.await.ok()?;
                self.answering.pop_front();
            }
            let refused = match self.line().await? {
                Ok(mut line) => {
                    if line.starts_with(b"\xEF\xBB\xBF") {
                        line.advance(3); // some shells begin their output with a byte order mark
                    }
                    if line.trim_ascii().is_empty() {
                        continue;
                    }
                    match decode(&line) {
                        Ok(message) => return Some(message),
                        Err(refused) => refused,
                    }
                }
                Err(refused) => refused,
            };
            self.answering.push_back(self.write(&JsonRpcMessage::Error(refused)));
        }
    }

    /// A writer may be stuck on a client that does not read; it must not keep the program alive.
    async fn close(&mut self) -> io::Result<()> {
        let close = async {
            match self.output.lock().await.take() {
                Some(mut output) => output.shutdown().await,
                None => Ok(()),
            }
        };
        timeout(CLOSING, close).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}
