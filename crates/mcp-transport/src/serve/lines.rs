//! Messages as lines of JSON over a pair of byte streams: what stdio speaks, for sessions of rmcp.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use bytes::BytesMut;
use futures_util::future::BoxFuture;
use rmcp::{
    RoleServer,
    model::{ClientJsonRpcMessage, JsonRpcMessage, ServerJsonRpcMessage},
    transport::Transport,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    sync::Mutex,
    time::timeout,
};

use super::decode::{decode, to_text, too_large};
use crate::line_reader::{LineReader, TooLong};

/// Longest wait for the output to be closed.
pub(crate) const CLOSING: Duration = Duration::from_secs(1);

/// A transport that answers every line: with silence only when the line is empty.
pub(crate) struct Lines<R, W> {
    input: LineReader<R>,
    output: Arc<Mutex<Option<W>>>,
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
            input: LineReader::new(input, max_line),
            output: Arc::new(Mutex::new(Some(output))),
            answering: VecDeque::new(),
        }
    }

    fn write(&self, message: &ServerJsonRpcMessage) -> BoxFuture<'static, io::Result<()>> {
        let (text, output) = (to_text(message), self.output.clone());
        Box::pin(async move {
            let text = text?;
            let mut output = output.lock().await;
            write_line(output.as_mut().ok_or(io::ErrorKind::BrokenPipe)?, text).await
        })
    }
}

/// Writes a text that ends with its line.
async fn write_line(output: &mut (impl AsyncWrite + Unpin), mut text: BytesMut) -> io::Result<()> {
    text.extend_from_slice(b"\n");
    output.write_all(&text).await?;
    output.flush().await
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
            let refused = match self.input.next().await? {
                Ok(line) => match decode(&line.freeze()) {
                    Ok(message) => return Some(message),
                    Err(refused) => refused,
                },
                Err(TooLong { limit, .. }) => too_large(limit),
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
