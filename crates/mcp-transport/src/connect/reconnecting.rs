//! A connection that comes back.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use resilience::Backoff;
use rmcp::{ClientHandler, Peer, RoleClient};
use tokio::task::AbortHandle;

use super::{Address, Client, ConnectError, ConnectOptions, connect};

type Outcome<H> = Result<Arc<Client<H>>, Arc<ConnectError>>;

/// A server that is connected to when it is needed, and again when the connection has ended.
///
/// It never repeats a call: one that was under way when the connection ended may have been carried out, so its caller gets
/// the error and decides. Over Streamable HTTP a connection of the newer era never ends, as its requests stand alone. One of
/// the older era ends when the server has forgotten its session. (A request that is refused for that reason, and so was not
/// carried out, is sent again by rmcp in a new session, once.)
pub struct Reconnecting<H: ClientHandler> {
    address: Address,
    handler: H,
    options: ConnectOptions,
    backoff: Backoff,
    state: Mutex<State<H>>,
}

enum State<H: ClientHandler> {
    /// Nothing is connected, or what was has ended.
    Idle,
    /// All who ask share one attempt.
    Connecting(Shared<BoxFuture<'static, Outcome<H>>>, AbortHandle),
    Connected(Arc<Client<H>>),
    Closed,
}

impl<H: ClientHandler + Clone> Reconnecting<H> {
    /// Nothing is connected until it is asked for. Every connection gets its own clone of `handler`.
    ///
    /// `backoff` says how often one attempt to connect is repeated; an error that waiting does not mend ends it at once.
    #[must_use]
    pub fn new(address: Address, handler: H, options: ConnectOptions, backoff: Backoff) -> Self {
        Self { address, handler, options, backoff, state: Mutex::new(State::Idle) }
    }

    /// The live connection. When there is none, one attempt is made for all who ask; it goes on when they stop waiting.
    ///
    /// # Errors
    /// Why the last attempt failed. The next one who asks starts anew.
    pub async fn client(&self) -> Outcome<H> {
        match self.shared().await {
            // All who asked for it had gone, and by now the server has too.
            Ok(client) if client.is_ended() => self.shared().await,
            outcome => outcome,
        }
    }

    async fn shared(&self) -> Outcome<H> {
        let attempt = match &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Closed => return Err(Arc::new(ConnectError::Setup("the connection was closed by us"))),
            State::Connected(client) if !client.is_ended() => return Ok(client.clone()),
            State::Connecting(attempt, _) => attempt.clone(),
            state => {
                let (attempt, abort) = self.start();
                *state = State::Connecting(attempt.clone(), abort);
                attempt
            }
        };
        let outcome = attempt.clone().await;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Others have waited for the same attempt, and may have started the next one by now.
        if let State::Connecting(current, _) = &*state
            && current.ptr_eq(&attempt)
        {
            *state = match &outcome {
                Ok(client) => State::Connected(client.clone()),
                Err(_) => State::Idle,
            };
        }
        outcome
    }

    /// The live connection's [`Peer`], as [`Reconnecting::client`] gets it.
    ///
    /// # Errors
    /// As [`Reconnecting::client`].
    pub async fn peer(&self) -> Result<Peer<RoleClient>, Arc<ConnectError>> {
        Ok(self.client().await?.peer().clone())
    }

    fn start(&self) -> (Shared<BoxFuture<'static, Outcome<H>>>, AbortHandle) {
        let (address, handler) = (self.address.clone(), self.handler.clone());
        let (options, backoff) = (self.options.clone(), self.backoff);
        let task = tokio::spawn(async move { attempt(&address, &handler, &options, backoff).await });
        let abort = task.abort_handle();
        let outcome = task.map(|outcome| {
            let stopped = |_| Err(ConnectError::Setup("the attempt to connect was stopped"));
            outcome.unwrap_or_else(stopped).map(Arc::new).map_err(Arc::new)
        });
        (outcome.boxed().shared(), abort)
    }
}

impl<H: ClientHandler> Reconnecting<H> {
    /// Where the server is.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The connection, if one is live now. Nothing is connected for it.
    #[must_use]
    pub fn connected(&self) -> Option<Arc<Client<H>>> {
        match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Connected(client) if !client.is_ended() => Some(client.clone()),
            _ => None,
        }
    }

    /// Closes the connection, stops an attempt, and connects no more.
    pub async fn close(&self) {
        let state = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *state, State::Closed)
        };
        match state {
            State::Connected(client) => client.close().await,
            State::Connecting(attempt, abort) => {
                abort.abort();
                if let Ok(client) = attempt.await {
                    client.close().await; // it was quicker
                }
            }
            State::Idle | State::Closed => {}
        }
    }
}

impl<H: ClientHandler> Drop for Reconnecting<H> {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let State::Connecting(_, abort) = state {
            abort.abort();
        }
    }
}

async fn attempt<H: ClientHandler + Clone>(
    address: &Address,
    handler: &H,
    options: &ConnectOptions,
    backoff: Backoff,
) -> Result<Client<H>, ConnectError> {
    for number in 1.. {
        let error = match connect(address, handler.clone(), options).await {
            Ok(client) => return Ok(client),
            Err(error) => error,
        };
        let wait = backoff.wait_after(number, None, random_fraction()).filter(|_| error.is_transient());
        let Some(wait) = wait else { return Err(error) };
        tracing::debug!(%address, attempt = number, wait_ms = wait.as_millis(), "not connected, trying again");
        tokio::time::sleep(wait).await;
    }
    unreachable!("a backoff gives up after a number of attempts that fits into 32 bits")
}

/// 0.0 to 1.0. The standard library's hasher is seeded at random.
fn random_fraction() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    random as f64 / u64::MAX as f64
}
