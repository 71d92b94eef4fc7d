//! The gateway as clients see it: one MCP server.

use std::{sync::Arc, time::Duration};

use json_rpc::{Notification, Outcome, Request};
use mcp_transport::{Arrival, Endpoint, Link, Mirrored};
use uuid::Uuid;

use crate::{
    Explanation, Health, PinComparison, Pins, Savings, Settings, UpstreamState, WithheldCount, bridge,
    catalogue::Kind, errors::Fault, own::search::Search, pins, relay::Relay, session::Session,
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

    /// Waits until each replica of all upstreams has told what it offers, or could not be reached.
    pub async fn settled_everywhere(&self) {
        self.relay.settled_everywhere().await;
    }

    /// How the upstreams are.
    #[must_use]
    pub fn health(&self) -> Health {
        let upstreams: Vec<_> =
            self.relay.view().members.values().map(|member| member.upstream.health()).collect();
        let is_ok = upstreams
            .iter()
            .all(|upstream| matches!(upstream.state, UpstreamState::Ready | UpstreamState::Idle));
        Health { status: if is_ok { "ok" } else { "degraded" }, upstreams, search: self.savings() }
    }

    /// How much shorter the list of tools is because tools are searched, if they are.
    #[must_use]
    pub fn savings(&self) -> Option<Savings> {
        self.relay.view().search.as_ref().map(Search::savings)
    }

    /// Where a name leads, or why it is not there; what happened to the request of an id, while that is remembered.
    #[must_use]
    pub fn explain(&self, name: &str) -> Explanation {
        if let Some(trail) = self.relay.trails.find(name) {
            let mut explanation = trail.explain();
            let now = trail.target().map(|target| self.explain_name(&target));
            let now = now.into_iter().flat_map(|now| now.reasons);
            explanation.reasons.extend(now.map(|reason| format!("now: {reason}")));
            return explanation;
        }
        let mut explanation = self.explain_name(name);
        if explanation.kind.is_none() && Uuid::try_parse(name).is_ok() {
            let why = "no request of this id is remembered: the gateway that answered it must still run, and it remembers the last ones only";
            explanation.reasons.insert(0, why.to_owned());
        }
        explanation
    }

    /// Whether clients, and pipelines for them, can call a tool of this name now: it is there, and neither a rule nor a pin keeps it back.
    #[must_use]
    pub fn can_call(&self, tool: &str) -> bool {
        self.relay.view().catalogue.route(Kind::Tools, tool).is_some()
    }

    fn explain_name(&self, name: &str) -> Explanation {
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
            let is_kept = view.catalogue.route(Kind::Tools, name).is_some_and(|route| route.hints.read_only);
            if let Some(cache) = member.settings.cache.filter(|_| is_kept) {
                explanation.reasons.push(cache.describe());
            }
        }
        explanation
    }

    /// The last lines of the standard error of an upstream's program that there is no connection to. They may hold what only its
    /// operator should see, so that [`Gateway::health`] does not tell them.
    #[must_use]
    pub fn stderr(&self, upstream: &str) -> Vec<String> {
        let view = self.relay.view();
        view.members.get(upstream).map(|member| member.upstream.stderr()).unwrap_or_default()
    }

    /// How much of what upstreams offer is kept from clients; nothing that is zero.
    #[must_use]
    pub fn withheld(&self) -> Vec<WithheldCount> {
        self.relay.view().catalogue.withheld_counts()
    }

    /// Names that had to be changed, and why: lines for people.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.relay.view().catalogue.notes()
    }

    /// How the tools of the upstreams differ from these, which were approved.
    #[must_use]
    pub fn compare_pins(&self, pins: &Pins) -> PinComparison {
        pins::compare(&self.relay.view(), pins)
    }

    /// Closes all upstreams; calls in flight have this long to finish.
    pub async fn close(&self, grace: Duration) {
        self.relay.close(grace).await;
    }
}

/// One that was not closed leaves its upstreams in the background.
impl Drop for Gateway {
    fn drop(&mut self) {
        // What waits for its client may hold on to all the rest.
        self.relay.parked.close();
        self.relay.view().members.values().for_each(|member| member.upstream.stop());
    }
}

impl Endpoint for Gateway {
    type Session = Session;

    fn open(&self, arrival: Arrival) -> Session {
        self.relay.open(arrival)
    }

    async fn answer(&self, session: Arc<Session>, request: Request, link: Link) -> Outcome {
        let begun = self.relay.trails.begin(&session, &request);
        let trail = begun.trail().clone();
        let answer = bridge::answer(&self.relay, &session, request, link, trail).await;
        begun.end(answer).map_err(Fault::told)
    }

    fn hear(&self, session: &Arc<Session>, notification: Notification) {
        self.relay.hear(session, notification);
    }

    fn mirrored(&self, _session: &Arc<Session>, tool: &str) -> Vec<Mirrored> {
        let view = self.relay.view();
        view.catalogue.route(Kind::Tools, tool).map(|route| route.mirrored.to_vec()).unwrap_or_default()
    }
}
