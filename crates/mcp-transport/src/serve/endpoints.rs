//! Endpoints: on standard input and output, on other byte streams, and on connections that others carry.

mod conversation;
mod voice;

use std::{io, sync::Arc, time::Duration};

use auth::{Caller, Keys};
use http::HeaderMap;
use json_rpc::{Error, Message, ReadError};
use rmcp::transport::stdio_pipes;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use self::conversation::{Bounds, Conversation, Source};
use super::{
    SessionError,
    channel::Channel,
    lines::CLOSING,
    mount::Mount,
    outgoing::{Outflow, outgoing},
    session::InputEnd,
    stdio::MAX_LINE,
};
use crate::{
    Endpoint, TransportKind,
    line_reader::{LineReader, TooLong},
};

/// Texts that are written at once, in bytes, when more than one waits.
const BATCH: usize = 64 * 1024;

/// Serves one client on standard input and output until the input ends or `stop` resolves, and gives requests in flight this long
/// to finish.
///
/// # Errors
/// When the session ends badly.
pub async fn serve_endpoint<E: Endpoint>(
    endpoint: Arc<E>,
    grace: Duration,
    stop: impl Future<Output = ()>,
) -> Result<(), SessionError> {
    serve_endpoint_streams(endpoint, stdio_pipes(), grace, stop).await
}

/// Like [`serve_endpoint`], over these streams. It runs in the task that calls it, and spawns none.
///
/// # Errors
/// As [`serve_endpoint`].
pub async fn serve_endpoint_streams<E, R, W>(
    endpoint: Arc<E>,
    (input, output): (R, W),
    grace: Duration,
    stop: impl Future<Output = ()>,
) -> Result<(), SessionError>
where
    E: Endpoint,
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let stopping = CancellationToken::new();
    let bounds = Bounds { end: InputEnd::NoMoreRequests, grace, stopping: stopping.clone() };
    let (outgoing, outflow) = outgoing();
    let conversation = Conversation::open(&endpoint, outgoing, anybody(), TransportKind::Stdio, bounds);
    let stopped = async {
        stop.await;
        tracing::info!("stopping");
        stopping.cancel();
        std::future::pending::<()>().await;
    };
    let converse = async {
        let ended = conversation.run(LineReader::new(input, MAX_LINE)).await;
        ended.max(Instant::now() + CLOSING)
    };
    tokio::select! {
        () = talk(converse, write(outflow, output)) => {}
        () = stopped => {}
    }
    Ok(())
}

/// Converses until the conversation is over and all that was said is written, or until nothing can be written any more. A
/// client that does not read must not keep the program alive.
async fn talk(converse: impl Future<Output = Instant>, write: impl Future<Output = io::Result<()>>) {
    let mut write = std::pin::pin!(write);
    let deadline = tokio::select! {
        deadline = converse => deadline,
        written = &mut write => {
            if let Err(error) = written {
                tracing::debug!(error = &error as &dyn std::error::Error, "the output cannot be written");
            }
            return;
        }
    };
    if timeout_at(deadline, write).await.is_err() {
        tracing::warn!("answers are left unwritten: the client does not read");
    }
}

/// Writes texts as lines until there are no more.
async fn write(mut texts: Outflow, mut output: impl AsyncWrite + Unpin) -> io::Result<()> {
    while let Some(mut text) = texts.next().await {
        text.extend_from_slice(b"\n");
        while text.len() < BATCH
            && let Some(more) = texts.try_next()
        {
            text.extend_from_slice(&more);
            text.extend_from_slice(b"\n");
        }
        output.write_all(&text).await?;
        output.flush().await?;
    }
    output.shutdown().await
}

/// Serves a session on a connection that others carry, for as long as that is open.
pub(super) async fn converse<E: Endpoint>(
    endpoint: &Arc<E>,
    channel: Channel<Message>,
    caller: Caller,
    mount: &Mount<Arc<E>>,
) {
    let bounds =
        Bounds { end: InputEnd::Gone, grace: mount.timing.grace, stopping: mount.lifetime.stopping.clone() };
    let outgoing = channel.outgoing.clone();
    Conversation::open(endpoint, outgoing, caller, TransportKind::Http, bounds).run(channel).await;
}

/// The caller where no key is needed.
fn anybody() -> Caller {
    Keys::new(&[]).caller(&HeaderMap::new()).expect("without keys everybody may call")
}

impl<R: AsyncRead + Send + Unpin> Source for LineReader<R> {
    async fn receive(&mut self) -> Option<Result<Message, ReadError>> {
        Some(match self.next().await? {
            Ok(line) => Message::read(&line.freeze()),
            Err(TooLong { limit, .. }) => {
                let message = format!("the message is larger than {limit} bytes");
                Err(ReadError { id: None, error: Error::new(Error::INVALID_REQUEST, message) })
            }
        })
    }
}

impl Source for Channel<Message> {
    async fn receive(&mut self) -> Option<Result<Message, ReadError>> {
        self.incoming.recv().await.map(|message| Ok(*message))
    }
}
