//! Connections: accepted up to a limit, HTTP/1.1 or HTTP/2, each wait bounded, ended gracefully.

use std::{io, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header::CONNECTION},
    response::Response,
};
use hyper::{
    body::Incoming,
    rt::Executor,
    server::conn::{http1, http2},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutWriter;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use crate::{
    placed::Placed,
    stall::{Watched, watch},
};

/// How often an HTTP/2 connection is asked whether it still lives.
const PING: Duration = Duration::from_secs(30);
const MAX_STREAMS: u32 = 256;
/// What every HTTP/2 connection begins with (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Pause before a look at whether the rest of a preface has come.
const PREFACE_PAUSE: Duration = Duration::from_millis(10);
/// Who is connected when the server stops has this long to send another request: it was told that somebody listens, and may be
/// sending one right now.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Pause after a failed `accept`, which means that something like file descriptors has run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bounds of the connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at the same time; more wait to be accepted.
    pub connections: usize,
    /// Longest time for the head of a request to arrive, or between two requests.
    pub idle: Duration,
    /// Longest time for the other side to take what was written.
    pub stall: Duration,
    /// Time for open requests to finish when the server stops.
    pub grace: Duration,
}

/// Serves a router on every connection of a listener.
pub struct Connections {
    router: Router,
    limits: Limits,
    places: Arc<Semaphore>,
    streams: Streams,
}

impl Connections {
    /// Will serve `router`, within `limits`.
    #[must_use]
    pub fn new(router: Router, limits: Limits) -> Self {
        let places = Arc::new(Semaphore::new(limits.connections));
        let streams =
            Streams { tasks: TaskTracker::new(), cut: CancellationToken::new(), stall: limits.stall };
        Self { router, limits, places, streams }
    }

    /// Accepts until `shutdown`, then gives open requests the grace period, and connections without one a moment to send one: a
    /// client may not know yet. Those that do not finish are dropped, which cancels what they wait for. When this returns, no request is left.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let stopping = CancellationToken::new();
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.accept(&listener) => match accepted {
                    Ok((stream, place)) => drop(open.spawn(self.answer(stream, place, stopping.clone()))),
                    // That one has gone again already.
                    Err(error) if concerns_one(&error) => {}
                    Err(error) => {
                        tracing::warn!(error = &error as &dyn std::error::Error, "a connection could not be accepted");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                // Ended tasks are taken off the set as they end.
                Some(_) = open.join_next() => {}
                () = &mut shutdown => break,
            }
        }
        drop(listener);
        tracing::info!(connections = open.len(), "stopping: requests in flight may finish");
        stopping.cancel();
        let ended = async { while open.join_next().await.is_some() {} };
        if timeout(self.limits.grace, ended).await.is_err() {
            tracing::warn!(connections = open.len(), "the grace period is over: what is left is cut");
        }
        open.shutdown().await;
        self.streams.cut().await;
    }

    /// A connection, as soon as there is a place for it; until then the system's backlog holds it.
    async fn accept(&self, listener: &TcpListener) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
        let place = self.places.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (stream, _) = listener.accept().await?;
        // Streams are small writes: with Nagle's algorithm each would wait 40 ms for the reader's acknowledgement. It fails
        // when the client has gone already, which shows when it is read.
        let _ = stream.set_nodelay(true);
        Ok((stream, place))
    }

    /// Answers the requests of one connection, until it or we have had enough.
    fn answer(
        &self,
        stream: TcpStream,
        place: OwnedSemaphorePermit,
        stopping: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        let router = self.router.clone().map_request(|request: Request<Incoming>| request.map(Body::new));
        let last_words = {
            let (stopping, time) = (stopping.clone(), LAST_WORDS.min(self.limits.grace / 2));
            async move {
                stopping.cancelled().await;
                sleep(time).await;
            }
        };
        let (http1, http2, Limits { idle, stall, .. }) = (self.http1(), self.http2(), self.limits);
        async move {
            let mut last_words = pin!(last_words);
            // hyper starts its clocks with the first byte of a request; a connection may send none.
            let spoken = tokio::select! {
                biased;
                spoken = timeout(idle, speaks_http2(&stream)) => spoken,
                () = &mut last_words => return,
            };
            let Ok(Ok(http2_spoken)) = spoken else { return };
            // Who does not read would otherwise keep its place for ever.
            let mut stream = TimeoutWriter::new(stream);
            stream.set_timeout(Some(stall));
            let stream = TokioIo::new(Placed { stream: Box::pin(stream), _place: place });
            // In boxes, for a task has the size of its largest part, and the two differ by kilobytes.
            let ended = if http2_spoken {
                let service =
                    TowerToHyperService::new(router.map_response(|response: Response| response.map(Watched)));
                let mut connection = Box::pin(http2.serve_connection(stream, service));
                tokio::select! {
                    biased; // what has come already is read first
                    ended = &mut connection => ended,
                    () = stopping.cancelled() => {
                        connection.as_mut().graceful_shutdown();
                        connection.await
                    }
                }
            } else {
                // HTTP/1.1 cannot say that no more is read but in an answer.
                let service = TowerToHyperService::new(router.map_response(move |mut response: Response| {
                    if stopping.is_cancelled() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                    }
                    response
                }));
                let mut connection = Box::pin(http1.serve_connection(stream, service).with_upgrades());
                tokio::select! {
                    biased;
                    ended = &mut connection => ended,
                    () = last_words => {
                        connection.as_mut().graceful_shutdown();
                        connection.await
                    }
                }
            };
            if let Err(error) = ended {
                tracing::debug!(error = &error as &dyn std::error::Error, "a connection ended with an error");
            }
        }
    }

    fn http1(&self) -> http1::Builder {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.limits.idle);
        builder
    }

    fn http2(&self) -> http2::Builder<Streams> {
        let mut builder = http2::Builder::new(self.streams.clone());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .max_concurrent_streams(MAX_STREAMS);
        builder
    }
}

/// Whether a failed `accept` tells of one connection and not of the listener.
fn concerns_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Whether the connection begins with HTTP/2's preface. An error when it ends before it says anything.
async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut head = [0; PREFACE.len()];
    loop {
        let read = stream.peek(&mut head).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if head[..read] != PREFACE[..read] {
            return Ok(false);
        }
        if read == PREFACE.len() {
            return Ok(true);
        }
        // Clients send the preface whole; a part of it stays readable, so there is no event to wait for.
        sleep(PREFACE_PAUSE).await;
    }
}

/// Runs the requests of HTTP/2 connections, which hyper wants to be tasks of their own, and owns them.
#[derive(Clone)]
struct Streams {
    tasks: TaskTracker,
    cut: CancellationToken,
    /// Longest time for the other side to take what a stream was given.
    stall: Duration,
}

impl Streams {
    /// Ends what is left and waits until it has ended.
    async fn cut(&self) {
        self.cut.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, work: F) {
        let (cut, stall) = (self.cut.clone(), self.stall);
        self.tasks.spawn(async move {
            if cut.run_until_cancelled(watch(work, stall)).await == Some(false) {
                tracing::debug!("a stream is cut: nobody takes what it was given");
            }
        });
    }
}
