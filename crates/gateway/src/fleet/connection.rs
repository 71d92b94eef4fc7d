//! A connection to one replica: there when it is needed, and made again when it broke.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use json_rpc::Raw;
use mcp_transport::{ClientCard, ConnectError, ConnectOptions, Era, Line, dial, dial_streams};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    failure::{Down, DownKind},
    host::Host,
    site::Site,
};
use crate::{Reach, UpstreamState, identity::identity};

/// A connection to one replica. Its keeper makes it and looks after it.
pub(super) struct Connection {
    pub(super) host: Arc<Host>,
    /// Whether it is the one that is always kept up.
    pub(super) is_main: bool,
    era: Era,
    /// What the server is told that its client can do.
    capabilities: Raw,
    pub(super) state: watch::Sender<State>,
    /// Attempts to make it that failed.
    failures: AtomicU64,
    /// Nobody wants it any more.
    pub(super) stop: CancellationToken,
}

pub(super) enum State {
    /// Nobody needs it.
    Idle,
    /// Somebody does.
    Wanted,
    Up(Arc<Line>),
    /// It could not be made, or has ended. It is made when it is wanted, unless it `rests`: then when its time has come.
    Down {
        down: Down,
        rests: bool,
    },
    GivenUp(Down),
    Closed,
}

impl Connection {
    pub(super) fn new(
        site: &Arc<Site>,
        session: Option<u64>,
        is_main: bool,
        era: Era,
        capabilities: Raw,
    ) -> Self {
        Self {
            host: Arc::new(Host::new(site.clone(), session)),
            is_main,
            era,
            capabilities,
            state: watch::Sender::new(State::Idle),
            failures: AtomicU64::new(0),
            stop: site.desk.stop.child_token(),
        }
    }

    pub(super) fn site(&self) -> &Arc<Site> {
        &self.host.site
    }

    /// The live line, if there is one.
    pub(super) fn current(&self) -> Option<Arc<Line>> {
        match &*self.state.borrow() {
            State::Up(line) if !line.is_ended() => Some(line.clone()),
            _ => None,
        }
    }

    /// The live line. When there is none, one attempt is made for all who ask.
    pub(super) async fn line(&self) -> Result<Arc<Line>, Down> {
        let before = self.failures.load(Ordering::Acquire);
        let mut states = self.state.subscribe();
        loop {
            match &*states.borrow_and_update() {
                State::Up(line) if !line.is_ended() => return Ok(line.clone()),
                State::Down { down, .. } if self.failures.load(Ordering::Acquire) > before => {
                    return Err(down.clone());
                }
                State::GivenUp(down) => return Err(down.clone()),
                State::Closed => return Err(Down::closed()),
                // Whoever is in the way of that: an end that is about to be noticed, or a rest.
                State::Up(_) | State::Wanted | State::Idle | State::Down { .. } => {}
            }
            self.want();
            if states.changed().await.is_err() {
                return Err(Down::closed());
            }
        }
    }

    /// Has it made, if it is not and need not rest.
    pub(super) fn want(&self) {
        self.state.send_if_modified(|state| {
            let can_be = matches!(state, State::Idle | State::Down { rests: false, .. });
            if can_be {
                *state = State::Wanted;
            }
            can_be
        });
    }

    /// Lets one that was given up try again.
    pub(super) fn revive(&self) {
        self.state.send_if_modified(|state| {
            let was_given_up = matches!(state, State::GivenUp(_));
            if was_given_up {
                *state = State::Wanted;
            }
            was_given_up
        });
    }

    /// Waits until somebody wants it.
    pub(super) async fn wanted(&self) {
        let mut states = self.state.subscribe();
        let _ = states.wait_for(|state| matches!(state, State::Wanted)).await; // we hold the sender
    }

    /// An attempt failed.
    pub(super) fn failed(&self, state: State) {
        self.failures.fetch_add(1, Ordering::Release);
        self.state.send_replace(state);
    }

    /// Tries once to make it.
    pub(super) async fn open(&self) -> Result<Line, ConnectError> {
        let site = self.site();
        let options = ConnectOptions {
            timeout: site.desk.settings.connect_timeout,
            era: self.era,
            stop: self.stop.clone(),
            ..site.replica.options.clone()
        };
        let card = ClientCard { info: identity(), capabilities: self.capabilities.clone() };
        let host = self.host.clone();
        match &site.replica.reach {
            Reach::Address(address) => dial(address, &card, host, &options).await,
            Reach::InMemory(server) => {
                let unreachable = |cause: io::Error| ConnectError::Unreachable {
                    address: "the server in this process".to_owned(),
                    cause: cause.into(),
                };
                let (reader, writer) = tokio::io::split(server.open().map_err(unreachable)?);
                dial_streams(reader, writer, &card, host, &options).await
            }
        }
    }

    /// How it is.
    pub(super) fn health(&self) -> UpstreamState {
        match &*self.state.borrow() {
            State::Idle => UpstreamState::Idle,
            State::Wanted => UpstreamState::Connecting,
            State::Up(_) => UpstreamState::Ready,
            State::Down { .. } | State::Closed => UpstreamState::Down,
            State::GivenUp(_) => UpstreamState::GivenUp,
        }
    }

    /// Why it is not there yet.
    pub(super) fn why_not(&self) -> String {
        match &*self.state.borrow() {
            State::Down { down, .. } | State::GivenUp(down) => down.reason.clone(),
            _ => "it was not ready in time".to_owned(),
        }
    }

    /// Whether it did not answer, or could not be made, when that was tried last.
    pub(super) fn is_sick(&self) -> bool {
        let sick = |down: &Down| down.kind != DownKind::Closed;
        matches!(&*self.state.borrow(), State::Down { down, .. } | State::GivenUp(down) if sick(down))
    }
}
