//! The one path of a call: who asks, what, and where to; then the outcome.

use std::sync::{Arc, Weak};

use json_rpc::{Members, Outcome};
use mcp_transport::Link;

use super::{
    client::Client,
    exchange::Exchange,
    forward::Forward,
    input::Input,
    results,
    rounds::{Next, Rounds},
    sealed::{Purpose, State},
    sought::{Found, Sought},
    states, tasks, uris,
};
use crate::{
    errors::{self, Answer, Fault},
    fleet::{Answered, CallError, Place},
    relay::Relay,
    trail::Trail,
};

/// Carries a request to its upstream, and the outcome back, as the client's era has it.
pub(super) async fn carry(relay: &Arc<Relay>, client: Client, link: Link, forward: Forward) -> Answer {
    let upstream = forward.upstream.name().clone();
    forward.trail.leads_to(&upstream);
    if let Some(level) = client.log_level.filter(|_| client.is_modern) {
        relay.subscriptions.listen_for(&upstream, level).await;
    }
    if let Some(whole) = &forward.whole {
        let exchange = Exchange::within(whole, client, upstream);
        asking(relay, exchange.into(), forward).await
    } else if client.is_modern {
        for_newer(relay, client, link, forward).await
    } else {
        let exchange = Exchange::new(client, upstream, link, relay);
        asking(relay, exchange.into(), forward).await
    }
}

/// What the upstream needs, the client is asked for directly: one of the older era, and whoever waits for a call of which this is a
/// part.
async fn asking(relay: &Arc<Relay>, exchange: Arc<Exchange>, mut forward: Forward) -> Answer {
    let capabilities = exchange.client.capabilities.clone();
    let name = forward.upstream.name().clone();
    let mut rounds = Rounds::new(&name, &capabilities);
    let mut input = Input::default();
    let mut has_begun = false;
    loop {
        let sent = send(relay, &mut forward, &exchange, &input).await;
        let Answered { outcome, place } = sent.map_err(|why| if has_begun { why.half_way() } else { why })?;
        has_begun = true;
        let ask = |question: super::input::Question| exchange.ask(question);
        match rounds.next(outcome, ask).await {
            Next::Done(outcome) => return finish(relay, &exchange.client, &forward, place, outcome),
            Next::Refused(refusal) => return Err(refusal.into()),
            Next::Again(next) => {
                forward.trail.note("the upstream asked the client, and got an answer");
                input = next;
            }
        }
        forward.stay = Some(place);
    }
}

/// A client of the newer era is told what the upstream needs, and comes again.
async fn for_newer(relay: &Arc<Relay>, client: Client, link: Link, mut forward: Forward) -> Answer {
    let mut input = Input::take(&mut forward.params);
    let target = forward.target.clone();
    let method = forward.method.clone();
    let purpose = Purpose { owner: client.owner(), method: &method, target: &target };
    match states::returned(&relay.seal, purpose, &mut input)? {
        Some(State::Parked(number)) => {
            let again = Again { client, link, meta: &forward.meta, trail: &forward.trail };
            return again.resume(relay, number, purpose, &input).await;
        }
        Some(State::Theirs(theirs)) if theirs.upstream == *forward.upstream.name() => {
            forward.stay = theirs.place();
            input.state = Some(theirs.value);
        }
        Some(State::Theirs(_)) => return Err(states::foreign().into()),
        None => {}
    }
    let exchange = Exchange::new(client, forward.upstream.name().clone(), link, relay);
    let exchange = Arc::new(exchange.noted(&forward.trail));
    let call = whole(Arc::downgrade(relay), exchange.clone(), forward, input);
    relay.parked.run(purpose, exchange, Box::pin(call)).await
}

/// The request with which a client of the newer era comes again to a call that waits for it.
pub(super) struct Again<'a> {
    pub(super) client: Client,
    pub(super) link: Link,
    pub(super) meta: &'a Members,
    pub(super) trail: &'a Trail,
}

impl Again<'_> {
    /// Goes on with the call of this number.
    pub(super) async fn resume(
        self,
        relay: &Relay,
        number: u128,
        purpose: Purpose<'_>,
        input: &Input,
    ) -> Answer {
        let Self { client, link, meta, trail } = self;
        let token = meta.get("progressToken").cloned();
        let switch = |exchange: &Exchange| {
            trail.continues(exchange.trail());
            exchange.switch(link, token, client.log_level);
        };
        let resumed = relay.parked.resume(number, purpose, input, switch).await;
        resumed.unwrap_or_else(|_| Err(states::foreign().into()))
    }
}

/// The whole of a call, which outlives the request that made it when it must wait for answers.
async fn whole(relay: Weak<Relay>, exchange: Arc<Exchange>, mut forward: Forward, input: Input) -> Answer {
    let sent = match forward.send(&exchange, &input).await {
        Err(dismissed @ CallError::Dismissed { .. }) => match relay.upgrade() {
            Some(relay) => again(&relay, &mut forward, &exchange, &input, dismissed).await,
            None => Err(dismissed.into()),
        },
        sent => sent.map_err(Fault::from),
    };
    let Answered { outcome, place } = sent?;
    match relay.upgrade() {
        Some(relay) => finish(&relay, &exchange.client, &forward, place, outcome),
        None => Err(errors::stopped().into()),
    }
}

/// Sends the request, and once more if its upstream was replaced meanwhile.
async fn send(
    relay: &Relay,
    forward: &mut Forward,
    exchange: &Arc<Exchange>,
    input: &Input,
) -> Result<Answered, Fault> {
    match forward.send(exchange, input).await {
        Err(dismissed @ CallError::Dismissed { .. }) => {
            again(relay, forward, exchange, input, dismissed).await
        }
        sent => Ok(sent?),
    }
}

/// Sends a request, which was not delivered, to the upstream that has the name of its own now: found as if it had just come, for
/// other rules may count, and another definition.
async fn again(
    relay: &Relay,
    forward: &mut Forward,
    exchange: &Arc<Exchange>,
    input: &Input,
    dismissed: CallError,
) -> Result<Answered, Fault> {
    let found = match &forward.lead {
        Some(lead) => Some(lead.sought.find(relay, &forward.trail).await?),
        None => None,
    };
    let present = match &found {
        Some(found) => {
            Some(found.member.clone()).filter(|_| found.route.upstream == *forward.upstream.name())
        }
        None => relay.view().members.get(forward.upstream.name()).cloned(),
    };
    let present = present.filter(|present| !Arc::ptr_eq(&present.upstream, &forward.upstream));
    let Some(present) = present else { return Err(dismissed.into()) };
    forward.trail.note("the upstream's settings were changed: it went to the one that has the name now");
    let mut changes = false;
    if let Some(found) = found {
        let known = forward.lead.as_ref().map(|lead| lead.there.clone()).unwrap_or_default();
        found.point(&mut forward.params, &known);
        let Found { route, lead, .. } = found;
        if matches!(lead.sought, Sought::Tool(_)) {
            forward.repeat = present.settings.retries.repeat(&route.name, route.hints);
            forward.mirrored = route.mirrored;
            changes = !route.hints.read_only;
        }
        forward.lead = Some(lead);
    }
    forward.upstream = present.upstream;
    let upstream = forward.upstream.name().clone();
    let changes = changes.then(|| relay.cache.changing(&upstream));
    let answered = forward.send(exchange, input).await?;
    if let Some(changes) = changes {
        changes.over();
    }
    Ok(answered)
}

/// The outcome as the client is to get it.
fn finish(relay: &Relay, client: &Client, forward: &Forward, place: Place, outcome: Outcome) -> Answer {
    let outcome = results::onward(&forward.method, outcome, client.is_modern).map_err(Fault::Theirs);
    let upstream = forward.upstream.name();
    let catalogue = &relay.view().catalogue;
    let mut result = outcome?;
    if forward.method == "resources/read" && catalogue.guards(upstream) {
        // An upstream may give more than it was asked for: all that is in a folder.
        let refusal =
            |uri: &str| catalogue.refusal(upstream, uri).inspect(|why| forward.trail.withholds(uri, why));
        let permitted = uris::permitted(result, refusal);
        result = permitted.map_err(|why| errors::access_denied(&why).about(upstream.clone()))?;
    }
    if !catalogue.keeps_uris() {
        result = uris::onward(result, |uri| catalogue.public_uri(upstream, uri));
    }
    let purpose = Purpose { owner: client.owner(), method: &forward.method, target: &forward.target };
    // Otherwise the client has answered already what was asked.
    let result = match client.is_modern && forward.whole.is_none() {
        true => states::onward(&relay.seal, purpose, upstream, place, result),
        false => result,
    };
    Ok(tasks::onward(relay, client, forward, place, result))
}
