//! The gateway as clients see it: one MCP server.

use std::{sync::Arc, time::Duration};

use json_rpc::{Notification, Outcome, Request};
use mcp_transport::{Arrival, Endpoint, Link, Mirrored};

use crate::{
    Explanation, Health, Settings, UpstreamState, bridge, catalogue::Kind, relay::Relay, session::Session,
};

/// Many MCP servers seen as one.
pub struct Gateway {
    relay: Arc<Relay>,
}

impl Gateway {
    /// A gateway over these upstreams, which are connected to in the background. Must be called within a runtime.
    #[must_use]
    pub fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self { relay: Relay::start(settings) })
    }

    /// Takes over other settings. Upstreams that are the same in both keep their connections and calls in flight; others may
    /// finish what they are doing. `state_key` stays as it was at the start.
    pub fn apply(&self, settings: Settings) {
        self.relay.apply(settings);
    }

    /// Waits until every upstream has told what it offers, or could not be reached.
    pub async fn settled(&self) {
        self.relay.settled().await;
    }

    /// How the upstreams are.
    #[must_use]
    pub fn health(&self) -> Health {
        let upstreams: Vec<_> =
            self.relay.view().members.values().map(|member| member.upstream.health()).collect();
        let is_ok = upstreams
            .iter()
            .all(|upstream| matches!(upstream.state, UpstreamState::Ready | UpstreamState::Idle));
        Health { status: if is_ok { "ok" } else { "degraded" }, upstreams }
    }

    /// Where a name leads, or why it is not there.
    #[must_use]
    pub fn explain(&self, name: &str) -> Explanation {
        let view = self.relay.view();
        let mut explanation = view.catalogue.explain(name);
        let upstream = explanation.upstream.as_deref().and_then(|name| view.members.get(name));
        if let Some(member) = upstream {
            let health = member.upstream.health();
            if !matches!(health.state, UpstreamState::Ready | UpstreamState::Idle) {
                let why = health.last_error.map(|error| format!(": {error}")).unwrap_or_default();
                let state = health.state.describe();
                explanation.reasons.push(format!("upstream \"{}\" {state}{why}", health.name));
            }
        }
        explanation
    }

    /// Names that had to be changed, and why: lines for people.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.relay.view().catalogue.notes()
    }

    /// Closes all upstreams; calls in flight have this long to finish.
    pub async fn close(&self, grace: Duration) {
        self.relay.close(grace).await;
    }
}

/// One that was not closed leaves its upstreams in the background.
impl Drop for Gateway {
    fn drop(&mut self) {
        self.relay.view().members.values().for_each(|member| member.upstream.stop());
    }
}

impl Endpoint for Gateway {
    type Session = Session;

    fn open(&self, arrival: Arrival) -> Session {
        self.relay.open(arrival)
    }

    async fn answer(&self, session: Arc<Session>, request: Request, link: Link) -> Outcome {
        bridge::answer(&self.relay, &session, request, link).await
    }

    fn hear(&self, session: &Arc<Session>, notification: Notification) {
        self.relay.hear(session, notification);
    }

    fn mirrored(&self, _session: &Arc<Session>, tool: &str) -> Vec<Mirrored> {
        let view = self.relay.view();
        view.catalogue.route(Kind::Tools, tool).map(|route| route.mirrored.to_vec()).unwrap_or_default()
    }
}
