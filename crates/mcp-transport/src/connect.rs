//! Connecting to MCP servers: an address becomes a client, over every transport and in both eras.

pub(crate) mod address;
pub(crate) mod authorizer;
pub(crate) mod carrier;
pub(crate) mod child;
mod command;
pub(crate) mod error;
pub(crate) mod events;
mod failed;
mod guardian;
pub(crate) mod http_client;
pub(crate) mod incoming;
pub(crate) mod lines;
pub(crate) mod link;
pub(crate) mod message;
mod options;
pub(crate) mod sse;
mod stderr;
mod streamable;
pub(crate) mod watched;
pub(crate) mod websocket;

use futures_util::FutureExt as _;
use std::time::Duration;

use rmcp::{
    ClientHandler, Peer, RoleClient,
    model::ProtocolVersion,
    service::{ClientCacheConfig, ClientServiceExt as _, RunningService},
    transport::Transport,
};
use tokio::time::timeout;

pub use address::{Address, AddressError, NetworkTransport};
pub use authorizer::{AuthorizeError, Authorizer, Refusal};
pub use command::ServerCommand;
pub use error::ConnectError;
pub use failed::{FailedRequest, Reached};
pub use message::is_unreadable;
pub use options::{ConnectOptions, Era};

use address::Target;
use authorizer::Authorization;
use carrier::Typed;
use child::{Child, Process};
use http_client::Http;
use link::LinkError;
use sse::Sse;
use watched::{End, Ending, Watched};
use websocket::{Handshake, WebSocket};

/// Longest wait for the stream on which a server of the older era asks and tells: some open it with its first message.
const HEARD: Duration = Duration::from_millis(500);

/// A connection to one server. Dropping it closes it in the background; [`Client::close`] waits for that.
///
/// A call that is dropped, or whose [`rmcp::service::RequestHandle`] is cancelled, is cancelled at the server too.
pub struct Client<H: ClientHandler> {
    service: RunningService<RoleClient, H>,
    address: String,
    end: End,
    process: Option<Process>,
}

/// Connects to the server at `address`; `handler` answers what the server asks and hears what it tells.
///
/// # Errors
/// Why the server cannot be called. It took no longer than the options' timeout, and nothing that was started is left.
pub async fn connect<H: ClientHandler>(
    address: &Address,
    handler: H,
    options: &ConnectOptions,
) -> Result<Client<H>, ConnectError> {
    let attempt = Attempt { address, options, end: End::default() };
    match address.target() {
        Target::Http(url) => {
            let transport = streamable::open(url, options, &attempt.end)?;
            let authorization = Authorization::new(url, options)?;
            let connecting = async {
                // While the server is asked for its era there is little time to get a token.
                attempt.opened(authorization.attempts().await.map_err(LinkError::from))?;
                let client = attempt.handshake(transport, handler).await?;
                if client.protocol_version() < ProtocolVersion::V_2026_07_28 {
                    // What some servers ask before the stream is open, in a call for instance, nobody ever hears.
                    let _ = timeout(HEARD, client.end.heard.cancelled()).await;
                }
                Ok(client)
            };
            attempt.in_time(connecting).await
        }
        Target::Sse(url) => {
            let http = Http::new(url, options)?;
            let opened = Sse::open(url, http, options.message_bytes);
            attempt
                .in_time(async {
                    attempt.handshake(Typed::new(attempt.opened(opened.await)?), handler).await
                })
                .await
        }
        Target::WebSocket(url) => {
            let opened = WebSocket::open(url, Handshake::new(url, options)?, options);
            attempt
                .in_time(async {
                    attempt.handshake(Typed::new(attempt.opened(opened.await)?), handler).await
                })
                .await
        }
        Target::Stdio(command) => {
            let started = Child::start(command, options);
            let (child, process) = started
                .map_err(|cause| ConnectError::start(command.program(), command.lacks_directory(), cause))?;
            match attempt.in_time(attempt.handshake(Typed::new(child), handler)).await {
                Ok(client) => Ok(Client { process: Some(process), ..client }),
                Err(error) => {
                    // The failed handshake has dropped the transport, which kills what is left.
                    let ended = process.ended().await;
                    let status = ended.filter(|ended| ended.by_itself).and_then(|ended| ended.status);
                    Err(error.of_child(status, process.stderr.lines()))
                }
            }
        }
    }
}

struct Attempt<'a> {
    address: &'a Address,
    options: &'a ConnectOptions,
    end: End,
}

impl Attempt<'_> {
    async fn in_time<T>(
        &self,
        attempt: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        let after = self.options.timeout;
        let stopped = || Err(ConnectError::Setup("the attempt to connect was stopped"));
        // It is large, and would have a place in the future of everybody who connects.
        let attempt = self.options.stop.run_until_cancelled(Box::pin(attempt));
        let attempt = timeout(after, attempt.map(|attempt| attempt.unwrap_or_else(stopped)));
        attempt.await.unwrap_or_else(|_| {
            Err(ConnectError::TimedOut { address: self.address.to_string(), after, stderr: Vec::new() })
        })
    }

    fn opened<T>(&self, opened: Result<T, LinkError>) -> Result<T, ConnectError> {
        opened.map_err(|error| ConnectError::link(self.address.to_string(), error))
    }

    async fn handshake<H: ClientHandler, T: Transport<RoleClient> + Ending + 'static>(
        &self,
        transport: T,
        handler: H,
    ) -> Result<Client<H>, ConnectError> {
        let fallback = (self.options.era == Era::Auto).then_some(self.options.timeout);
        let transport = Watched::new(transport, &self.end, fallback).heard_by(self.options.listener.clone());
        let service = handler
            .serve_with_lifecycle(transport, self.options.era.lifecycle())
            .await
            .map_err(|error| ConnectError::handshake(self.address.to_string(), error))?;
        // By default rmcp answers with what it remembers when the server is gone, which hides that it is.
        service
            .set_response_cache_config(ClientCacheConfig::default().with_serve_stale_on_error(false))
            .await;
        let address = self.address.to_string();
        Ok(Client { service, address, end: self.end.clone(), process: None })
    }
}

impl<H: ClientHandler> Client<H> {
    /// What calls are made with. Clones of it do not keep the connection open.
    #[must_use]
    pub fn peer(&self) -> &Peer<RoleClient> {
        self.service.peer()
    }

    /// The running service. Its `call_tool`, `get_prompt` and `read_resource` answer a server of the newer era that asks
    /// back, through the handler; the peer's leave that to the caller.
    #[must_use]
    pub fn service(&self) -> &RunningService<RoleClient, H> {
        &self.service
    }

    /// The version of MCP that both agreed on.
    #[must_use]
    pub fn protocol_version(&self) -> ProtocolVersion {
        let server = self.peer().peer_info();
        server.map_or(ProtocolVersion::LATEST_WITH_INITIALIZE, |server| server.protocol_version.clone())
    }

    /// Whether the connection has ended, or its server has forgotten the session and with it what was subscribed to.
    ///
    /// One over Streamable HTTP has no end of its own: that its server is gone shows when it is used.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.end.begun.is_cancelled() || self.peer().is_transport_closed()
    }

    /// Waits until the connection has ended, as [`Client::is_ended`] says.
    pub async fn ended(&self) {
        self.end.begun.cancelled().await;
    }

    /// Why the connection has ended, once it has.
    #[must_use]
    pub fn why_ended(&self) -> ConnectError {
        let ended = self.process.as_ref().and_then(Process::ended_by_itself);
        let reason = self.end.reason.get().cloned();
        ConnectError::Lost { address: self.address.clone(), reason, status: ended, stderr: self.last_lines() }
    }

    /// The last lines that a child process wrote to its standard error: at most 64, and 16 KiB. They may hold anything.
    #[must_use]
    pub fn last_lines(&self) -> Vec<String> {
        self.process.as_ref().map(|process| process.stderr.lines()).unwrap_or_default()
    }

    /// Closes the connection and waits until everything that belongs to it is gone, a child process too.
    ///
    /// Calls that are under way fail. It takes a few seconds at most: the time that a child is given to end.
    pub async fn close(&self) {
        self.service.cancellation_token().cancel();
        self.end.over.cancelled().await;
    }
}
