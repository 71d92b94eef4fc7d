//! Requests about something that has a name: it says which upstream they are for.

use std::sync::Arc;

use json_rpc::Members;

use super::{
    call,
    completions::Completing,
    forward::Forward,
    methods::Incoming,
    own_calls,
    sought::{Found, Sought},
};
use crate::{
    errors::{self, Answer},
    fleet::Repeat,
    own::search::{self, CALL_TOOL},
    relay::Relay,
};

/// Calls a tool.
pub(super) async fn call_tool(relay: &Arc<Relay>, mut incoming: Incoming) -> Answer {
    // Without it the name is an upstream's.
    if relay.view().own.get(CALL_TOOL).is_some() {
        search::unwrap(&mut incoming.params, &incoming.trail);
    }
    let name = incoming.text("name")?;
    incoming.trail.is_about(&name);
    let own = relay.view().own.get(&name).cloned();
    if let Some(tool) = own {
        return own_calls::run(relay, incoming, tool).await;
    }
    let found = Sought::Tool(name.clone()).find(relay, &incoming.trail).await?;
    found.point(&mut incoming.params, &name);
    let Found { member, route, lead, .. } = found;
    let cached = relay.cache.applies(&member, &route, &incoming);
    let trail = incoming.trail.clone();
    let repeat = member.settings.retries.repeat(&route.name, route.hints);
    let is_read_only = route.hints.read_only;
    let patience = member.settings.call_timeout;
    let (forward, client, link) = Forward::of(incoming, member.upstream, name);
    let forward = Forward { repeat, mirrored: route.mirrored, lead: Some(lead), ..forward };
    match cached {
        Some((key, settings)) => {
            let call = || call::carry(relay, client, link, forward);
            relay.cache.through(key, settings, patience, &trail, call).await
        }
        None if is_read_only => call::carry(relay, client, link, forward).await,
        None => {
            // What it changes, others may have read.
            let changes = relay.cache.changing(&route.upstream);
            let answer = call::carry(relay, client, link, forward).await;
            changes.answered(&answer);
            answer
        }
    }
}

/// Gets a prompt.
pub(super) async fn get_prompt(relay: &Arc<Relay>, mut incoming: Incoming) -> Answer {
    let name = incoming.text("name")?;
    incoming.trail.is_about(&name);
    let found = Sought::Prompt(name.clone()).find(relay, &incoming.trail).await?;
    found.point(&mut incoming.params, &name);
    harmless(relay, incoming, found, name).await
}

/// Reads a resource.
pub(super) async fn read_resource(relay: &Arc<Relay>, mut incoming: Incoming) -> Answer {
    let uri = incoming.text("uri")?;
    incoming.trail.is_about(&uri);
    let is_modern = incoming.client.is_modern;
    let found = Sought::Resource { uri: uri.clone(), is_modern }.find(relay, &incoming.trail).await?;
    found.point(&mut incoming.params, &uri);
    harmless(relay, incoming, found, uri).await
}

/// Completes an argument of a prompt or template.
pub(super) async fn complete(relay: &Arc<Relay>, mut incoming: Incoming) -> Answer {
    let reference = incoming.params.get("ref").filter(|reference| reference.is_object()).cloned();
    let reference = reference.ok_or_else(|| errors::invalid_params("ref must be an object"))?;
    let members = Members::of(&reference).ok();
    let named = |member: &str| members.as_ref()?.get(member)?.parse::<String>().ok();
    let name = named("name");
    if let Some(target) = name.clone().or_else(|| named("uri")) {
        incoming.trail.is_about(&target);
    }
    let sought = Sought::Completed { reference, name: name.unwrap_or_default() };
    let found = sought.find(relay, &incoming.trail).await?;
    found.point(&mut incoming.params, "");
    let upstream = found.member.upstream.name().clone();
    let completing = Completing::of(&incoming.params);
    let trail = incoming.trail.clone();
    let completed = harmless(relay, incoming, found, String::new()).await?;
    let catalogue = &relay.view().catalogue;
    Ok(match completing.filter(|_| catalogue.guards(&upstream)) {
        Some(completing) => completing.permitted(completed, |uri| {
            let is_refused = !catalogue.is_on_the_way(&upstream, uri);
            if let Some(why) = catalogue.refusal(&upstream, uri).filter(|_| is_refused) {
                trail.withholds(uri, &why);
            }
            is_refused
        }),
        None => completed,
    })
}

/// Carries a request that changes nothing.
async fn harmless(relay: &Arc<Relay>, incoming: Incoming, found: Found, target: String) -> Answer {
    let (forward, client, link) = Forward::of(incoming, found.member.upstream, target);
    let forward = Forward { repeat: Repeat::Allowed, lead: Some(found.lead), ..forward };
    call::carry(relay, client, link, forward).await
}
