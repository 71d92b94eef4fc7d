//! From an address to a line.

use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout, timeout_at},
};

use super::{
    ClientCard, Line, LineHost, handshake::Handshake, line::Parts, mux::Mux, reports::HttpWay, way::Way,
};
use crate::{
    Address, ConnectError, ConnectOptions,
    connect::{
        address::Target,
        authorizer::Authorization,
        carrier::{Carrier, FAREWELL},
        child::{Child, Process},
        http_client::Http,
        lines::Streams,
        link::LinkError,
        sse::Sse,
        websocket::{self, WebSocket},
    },
};

/// Connects to the server at `address`, in the era that the options say.
///
/// # Errors
/// Why the server cannot be called. It took no longer than the options' timeout, and nothing that was started is left.
pub async fn dial(
    address: &Address,
    card: &ClientCard,
    host: Arc<dyn LineHost>,
    options: &ConnectOptions,
) -> Result<Line, ConnectError> {
    let attempt = Attempt::new(address.to_string(), card, host, options);
    match address.target() {
        Target::Http(url) => {
            let way = HttpWay::new(url, attempt.host.clone(), options)?;
            let authorization = Authorization::new(url, options)?;
            // While the server is asked for its era there is little time to get a token.
            let attempts = authorization.attempts();
            attempt.in_time(attempts.map(|got| attempt.opened(got.map_err(LinkError::from)))).await?;
            attempt.line(Way::Http(way), None).await
        }
        Target::Sse(url) => {
            let http = Http::new(url, options)?;
            let opened =
                attempt.in_time(Sse::open(url, http, options.message_bytes).map(|o| attempt.opened(o)));
            attempt.line(Way::Mux(attempt.mux(opened.await?)), None).await
        }
        Target::WebSocket(url) => {
            let handshake = websocket::Handshake::new(url, options)?;
            let opened = attempt.in_time(WebSocket::open(url, handshake, options).map(|o| attempt.opened(o)));
            attempt.line(Way::Mux(attempt.mux(opened.await?)), None).await
        }
        Target::Stdio(command) => {
            let (child, process) = Child::start(command, options)
                .map_err(|cause| ConnectError::start(command.program(), command.lacks_directory(), cause))?;
            let line = attempt.line(Way::Mux(attempt.mux(child)), Some(process.clone())).await;
            match line {
                Err(error) => {
                    let ended = process.ended().await;
                    let status = ended.filter(|ended| ended.by_itself).and_then(|ended| ended.status);
                    Err(error.of_child(status, process.stderr.lines()))
                }
                line => line,
            }
        }
    }
}

/// Connects to the server at the other end of a pair of byte streams, one message a line.
///
/// # Errors
/// As [`dial`].
pub async fn dial_streams<R, W>(
    reader: R,
    writer: W,
    card: &ClientCard,
    host: Arc<dyn LineHost>,
    options: &ConnectOptions,
) -> Result<Line, ConnectError>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let attempt = Attempt::new("the server".to_owned(), card, host, options);
    let streams = Streams::open(reader, writer, options.message_bytes);
    attempt.line(Way::Mux(attempt.mux(streams)), None).await
}

/// One attempt to connect.
struct Attempt<'a> {
    address: String,
    card: &'a ClientCard,
    host: Arc<dyn LineHost>,
    options: &'a ConnectOptions,
    deadline: Instant,
}

impl<'a> Attempt<'a> {
    fn new(
        address: String,
        card: &'a ClientCard,
        host: Arc<dyn LineHost>,
        options: &'a ConnectOptions,
    ) -> Self {
        Self { address, card, host, options, deadline: Instant::now() + options.timeout }
    }

    fn mux(&self, carrier: impl Carrier) -> Mux {
        Mux::start(carrier, self.host.clone())
    }

    fn opened<T>(&self, opened: Result<T, LinkError>) -> Result<T, ConnectError> {
        opened.map_err(|error| ConnectError::link(self.address.clone(), error))
    }

    async fn in_time<T>(
        &self,
        attempt: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        // It is large, and would have a place in the future of everybody who connects.
        let attempt = timeout_at(self.deadline, Box::pin(attempt));
        let timed_out = |_| {
            let (address, after) = (self.address.clone(), self.options.timeout);
            Err(ConnectError::TimedOut { address, after, stderr: Vec::new() })
        };
        let attempt = self.options.stop.run_until_cancelled(attempt);
        match attempt.await {
            Some(attempt) => attempt.unwrap_or_else(timed_out),
            None => Err(ConnectError::Setup("the attempt to connect was stopped")),
        }
    }

    /// Shakes hands. When it fails, nothing is left of the way.
    async fn line(&self, way: Way, process: Option<Process>) -> Result<Line, ConnectError> {
        let handshake =
            Handshake { way: &way, card: self.card, address: &self.address, deadline: self.deadline };
        match self.in_time(handshake.shake(self.options.era)).await {
            Ok(agreement) => {
                let address = self.address.clone();
                Ok(Line::new(Parts { way, address, card: self.card.clone(), agreement, process }))
            }
            Err(error) => {
                if let (ConnectError::Ended { .. }, Some(process)) = (&error, &process) {
                    // So that its status is known, and is its own.
                    let _ = timeout(FAREWELL, process.ended()).await;
                }
                way.cut().await;
                Err(error)
            }
        }
    }
}
