//! Standard input and output, or any other pair of byte streams.

use std::pin::pin;

use rmcp::{ServerHandler, transport::stdio_pipes};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::{
    guard::House,
    lines::Lines,
    session::{InputEnd, SessionError, serve_session},
};

/// Longest line, in bytes.
const MAX_LINE: usize = 4 << 20;

/// Serves one client on standard input and output until the input ends or `stop` resolves, and lets requests in flight
/// finish.
///
/// # Errors
/// When the client's first request cannot be answered, or the session's task fails.
pub async fn serve_stdio<H: ServerHandler>(
    handler: H,
    stop: impl Future<Output = ()>,
) -> Result<(), SessionError> {
    let (input, output) = stdio_pipes();
    serve_streams(handler, input, output, stop).await
}

/// Like [`serve_stdio`], over these streams.
///
/// # Errors
/// As [`serve_stdio`].
pub async fn serve_streams<H, R, W>(
    handler: H,
    input: R,
    output: W,
    stop: impl Future<Output = ()>,
) -> Result<(), SessionError>
where
    H: ServerHandler,
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let stopping = CancellationToken::new();
    let handler = House::new(&handler.get_info(), stopping.clone()).guard(handler);
    let transport = Lines::new(input, output, MAX_LINE);
    let mut session = pin!(serve_session(handler, transport, InputEnd::NoMoreRequests, stopping.clone()));
    tokio::select! {
        result = &mut session => return result,
        () = stop => {}
    }
    tracing::info!("stopping");
    stopping.cancel();
    session.await
}
