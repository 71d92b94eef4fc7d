//! The one path of a call: who asks, what, and where to; then the outcome.

use std::sync::{Arc, Weak};

use json_rpc::{Outcome, Raw};
use mcp_transport::Link;

use super::{
    client::Client,
    exchange::Exchange,
    forward::Forward,
    input::Input,
    results,
    rounds::{Next, Rounds},
    sealed::{Purpose, State},
    states, tasks, uris,
};
use crate::{
    errors,
    fleet::{Answered, CallError, Place},
    relay::Relay,
};

/// Carries a request to its upstream, and the outcome back, as the client's era has it.
pub(super) async fn carry(relay: &Arc<Relay>, client: Client, link: Link, forward: Forward) -> Outcome {
    if client.is_modern {
        for_newer(relay, client, link, forward).await
    } else {
        for_older(relay, client, link, forward).await
    }
}

/// A client of the older era is asked directly for what the upstream needs.
async fn for_older(relay: &Arc<Relay>, client: Client, link: Link, mut forward: Forward) -> Outcome {
    let capabilities = client.capabilities.clone();
    let name = forward.upstream.name().clone();
    let exchange = Arc::new(Exchange::new(client, name.clone(), link, relay));
    let mut rounds = Rounds::new(&name, &capabilities);
    let mut input = Input::default();
    loop {
        let Answered { outcome, place } = send(relay, &mut forward, &exchange, &input).await?;
        let ask = |question: super::input::Question| {
            let link = exchange.link();
            async move { link.ask(&question.method, question.params).await }
        };
        match rounds.next(outcome, ask).await {
            Next::Done(outcome) => return finish(relay, &exchange.client, &forward, place, outcome),
            Next::Again(next) => input = next,
        }
        forward.stay = Some(place);
    }
}

/// A client of the newer era is told what the upstream needs, and comes again.
async fn for_newer(relay: &Arc<Relay>, client: Client, link: Link, mut forward: Forward) -> Outcome {
    let mut input = Input::take(&mut forward.params);
    let target = forward.target.clone();
    let method = forward.method.clone();
    let purpose = Purpose { owner: client.owner(), method: &method, target: &target };
    if let Some(state) = input.state.take() {
        let state = state.parse::<String>().ok();
        let state = state.and_then(|state| relay.seal.open_state(&state, purpose).ok());
        match state.ok_or_else(foreign_state)? {
            State::Parked(number) => {
                let token = forward.meta.get("progressToken").cloned();
                let switch = |exchange: &Exchange| exchange.switch(link, token, client.log_level);
                let resumed = relay.parked.resume(number, purpose, &input, switch).await;
                return resumed.unwrap_or_else(|_| Err(foreign_state()));
            }
            State::Theirs(theirs) if theirs.upstream == *forward.upstream.name() => {
                forward.stay = theirs.place();
                input.state = Some(theirs.value);
            }
            State::Theirs(_) => return Err(foreign_state()),
        }
    }
    if let Some(level) = client.log_level {
        relay.subscriptions.listen_for(forward.upstream.name(), level).await;
    }
    let exchange = Arc::new(Exchange::new(client, forward.upstream.name().clone(), link, relay));
    let call = whole(Arc::downgrade(relay), exchange.clone(), forward, input);
    relay.parked.run(purpose, exchange, Box::pin(call)).await
}

/// The whole of a call, which outlives the request that made it when it must wait for answers.
async fn whole(relay: Weak<Relay>, exchange: Arc<Exchange>, mut forward: Forward, input: Input) -> Outcome {
    let sent = match forward.send(&exchange, &input).await {
        Err(dismissed @ CallError::Dismissed { .. }) => match relay.upgrade() {
            Some(relay) => again(&relay, &mut forward, &exchange, &input, dismissed).await,
            None => Err(dismissed),
        },
        sent => sent,
    };
    let Answered { outcome, place } = sent?;
    match relay.upgrade() {
        Some(relay) => finish(&relay, &exchange.client, &forward, place, outcome),
        None => Err(errors::stopped()),
    }
}

/// Sends the request, and once more if its upstream was replaced meanwhile.
async fn send(
    relay: &Relay,
    forward: &mut Forward,
    exchange: &Arc<Exchange>,
    input: &Input,
) -> Result<Answered, CallError> {
    match forward.send(exchange, input).await {
        Err(dismissed @ CallError::Dismissed { .. }) => {
            again(relay, forward, exchange, input, dismissed).await
        }
        sent => sent,
    }
}

/// Sends a request, which was not delivered, to the upstream that has the name of its own now.
async fn again(
    relay: &Relay,
    forward: &mut Forward,
    exchange: &Arc<Exchange>,
    input: &Input,
    dismissed: CallError,
) -> Result<Answered, CallError> {
    let present = relay.view().members.get(forward.upstream.name()).map(|member| member.upstream.clone());
    match present.filter(|present| !Arc::ptr_eq(present, &forward.upstream)) {
        Some(present) => {
            forward.upstream = present;
            forward.send(exchange, input).await
        }
        None => Err(dismissed),
    }
}

/// The outcome as the client is to get it.
fn finish(relay: &Relay, client: &Client, forward: &Forward, place: Place, outcome: Outcome) -> Outcome {
    let outcome = results::onward(&forward.method, outcome, client.is_modern);
    let upstream = forward.upstream.name();
    let catalogue = &relay.view().catalogue;
    let result = if catalogue.keeps_uris() {
        outcome?
    } else {
        uris::onward(outcome?, |uri| catalogue.public_uri(upstream, uri))
    };
    let purpose = Purpose { owner: client.owner(), method: &forward.method, target: &forward.target };
    // A client of the older era has answered already what was asked.
    let result = match client.is_modern {
        true => states::onward(&relay.seal, purpose, upstream, place, result),
        false => result,
    };
    Ok(tasks::onward(relay, client, forward, place, result))
}

fn foreign_state() -> Raw {
    errors::invalid_params(
        "requestState was not given to this client for this request, was used before, or has expired: if the call had begun, \
         it may have done something: look before you make it anew",
    )
}
