//! Connections: accepted up to a limit, HTTP/1.1 or HTTP/2, each wait bounded, ended gracefully.

use std::{io, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    pin,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::ServiceExt as _;

/// How long a connection may take for the head of a request, or rest between two.
const IDLE: Duration = Duration::from_secs(75);
/// How often an HTTP/2 connection is asked whether it still lives.
const PING: Duration = Duration::from_secs(30);
const MAX_STREAMS: u32 = 256;
/// Pause after a failed `accept`, which means that something like file descriptors has run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves a router on every connection of a listener.
pub(crate) struct Connections {
    router: Router,
    builder: Builder<TokioExecutor>,
    places: Arc<Semaphore>,
}

impl Connections {
    pub(crate) fn new(router: Router, max: usize) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .max_concurrent_streams(MAX_STREAMS);
        Self { router, builder, places: Arc::new(Semaphore::new(max)) }
    }

    /// Accepts until `shutdown`, then gives open requests `grace` to finish. Those that do not are dropped, which cancels
    /// what they wait for.
    pub(crate) async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
        grace: Duration,
    ) {
        pin!(shutdown);
        let graceful = GracefulShutdown::new();
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.accept(&listener) => match accepted {
                    Ok((stream, place)) => self.spawn(&mut open, &graceful, stream, place),
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
        if timeout(grace, graceful.shutdown()).await.is_err() {
            tracing::warn!(connections = open.len(), "the grace period is over: what is left is cut");
        }
        open.shutdown().await;
    }

    /// A connection, as soon as there is a place for it; until then the system's backlog holds it.
    async fn accept(&self, listener: &TcpListener) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
        let place = self.places.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (stream, _) = listener.accept().await?;
        // Streams are small writes: with Nagle's algorithm each would wait 40 ms for the reader's acknowledgement.
        stream.set_nodelay(true)?;
        Ok((stream, place))
    }

    fn spawn(
        &self,
        open: &mut JoinSet<()>,
        graceful: &GracefulShutdown,
        stream: TcpStream,
        place: OwnedSemaphorePermit,
    ) {
        let service = TowerToHyperService::new(
            self.router.clone().map_request(|request: Request<Incoming>| request.map(Body::new)),
        );
        let connection = self.builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        open.spawn(async move {
            let _place = place;
            if let Err(error) = connection.await {
                tracing::debug!(
                    error = &*error as &dyn std::error::Error,
                    "a connection ended with an error"
                );
            }
        });
    }
}
