//! Standard input and output, or any other pair of byte streams.

use std::{pin::pin, time::Duration};

use rmcp::{ServerHandler, transport::stdio_pipes};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    guard::House,
    lifetime::Lifetime,
    lines::Lines,
    session::{InputEnd, SessionError, Terms, serve_session},
    timing::Timing,
};

/// Longest line, in bytes.
pub(crate) const MAX_LINE: usize = 4 << 20;

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

/// Like [`serve_stdio`], but calls in flight have this long to finish, in place of ten seconds.
///
/// # Errors
/// As [`serve_stdio`].
pub async fn serve_stdio_with_grace<H: ServerHandler>(
    handler: H,
    grace: Duration,
    stop: impl Future<Output = ()>,
) -> Result<(), SessionError> {
    let (input, output) = stdio_pipes();
    serve(handler, Lines::new(input, output, MAX_LINE), grace, stop).await
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
    serve(handler, Lines::new(input, output, MAX_LINE), Timing::default().grace, stop).await
}

async fn serve<H, R, W>(
    handler: H,
    lines: Lines<R, W>,
    grace: Duration,
    stop: impl Future<Output = ()>,
) -> Result<(), SessionError>
where
    H: ServerHandler,
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let lifetime = Lifetime::default();
    let handler = House::new(&handler.get_info(), lifetime.clone()).guard(handler);
    let terms =
        Terms { end: InputEnd::NoMoreRequests, grace, lifetime: lifetime.clone(), holds: Box::new(()) };
    let mut session = pin!(serve_session(handler, lines, terms));
    let result = tokio::select! {
        result = &mut session => result,
        () = stop => {
            tracing::info!("stopping");
            lifetime.stopping.cancel();
            session.await
        }
    };
    // The session has counted the grace period already.
    lifetime.end(Duration::ZERO).await;
    result
}
