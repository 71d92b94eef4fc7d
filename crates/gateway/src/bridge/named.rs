//! Requests about something that has a name: it says which upstream they are for.

use std::sync::Arc;

use json_rpc::{Members, Outcome, Raw};
use tokio::time::timeout;

use super::{call, forward::Forward, methods::Incoming};
use crate::{
    catalogue::{Catalogue, Kind, Route},
    errors,
    fleet::Repeat,
    relay::{Member, Relay},
};

/// Calls a tool.
pub(super) async fn call_tool(relay: &Arc<Relay>, mut incoming: Incoming) -> Outcome {
    let name = incoming.text("name")?;
    let look = |catalogue: &Catalogue| catalogue.route(Kind::Tools, &name).cloned();
    let (member, route) = find(relay, &name, look, || errors::unknown_name(true)).await?;
    if *route.name != *name {
        incoming.params.set("name", Raw::text(&route.name));
    }
    let repeat = member.settings.retries.repeat(&route.name, route.hints);
    let (forward, client, link) = Forward::of(incoming, member.upstream, name);
    let forward = Forward { repeat, mirrored: route.mirrored, ..forward };
    call::carry(relay, client, link, forward).await
}

/// Gets a prompt.
pub(super) async fn get_prompt(relay: &Arc<Relay>, mut incoming: Incoming) -> Outcome {
    let name = incoming.text("name")?;
    let look = |catalogue: &Catalogue| catalogue.route(Kind::Prompts, &name).cloned();
    let (member, route) = find(relay, &name, look, || errors::unknown_name(false)).await?;
    if *route.name != *name {
        incoming.params.set("name", Raw::text(&route.name));
    }
    harmless(relay, incoming, member, name).await
}

/// Reads a resource.
pub(super) async fn read_resource(relay: &Arc<Relay>, mut incoming: Incoming) -> Outcome {
    let uri = incoming.text("uri")?;
    let is_modern = incoming.client.is_modern;
    let unknown = || errors::resource_not_found(&uri, is_modern);
    let (member, route) = find(relay, &uri, |catalogue| catalogue.resource(&uri), unknown).await?;
    if *route.name != *uri {
        incoming.params.set("uri", Raw::text(&route.name));
    }
    harmless(relay, incoming, member, uri).await
}

/// Completes an argument of a prompt or template.
pub(super) async fn complete(relay: &Arc<Relay>, mut incoming: Incoming) -> Outcome {
    let reference = incoming.params.get("ref").filter(|reference| reference.is_object()).cloned();
    let reference = reference.ok_or_else(|| errors::invalid_params("ref must be an object"))?;
    let mut there = None;
    let look = |catalogue: &Catalogue| {
        let (route, reference) = catalogue.reference(&reference)?;
        there = Some(reference);
        Some(route)
    };
    let unknown =
        || errors::invalid_params("there is no prompt or resource template as ref says: list them again");
    let name = Members::of(&reference).ok().and_then(|members| members.get("name")?.parse::<String>().ok());
    let (member, _) = find(relay, &name.unwrap_or_default(), look, unknown).await?;
    if let Some(there) = there {
        incoming.params.set("ref", there);
    }
    harmless(relay, incoming, member, String::new()).await
}

/// Carries a request that changes nothing.
async fn harmless(relay: &Arc<Relay>, incoming: Incoming, member: Member, target: String) -> Outcome {
    let (forward, client, link) = Forward::of(incoming, member.upstream, target);
    call::carry(relay, client, link, Forward { repeat: Repeat::Allowed, ..forward }).await
}

/// The upstream that a name leads to. It waits for those that may have it and have not told their names yet: for all within
/// the first seconds, and for the one that the name looks like until that has told, or could not be reached.
async fn find(
    relay: &Relay,
    name: &str,
    mut look: impl FnMut(&Catalogue) -> Option<Route>,
    unknown: impl FnOnce() -> Raw,
) -> Result<(Member, Route), Raw> {
    let mut look = || {
        let view = relay.view();
        let route = look(&view.catalogue)?;
        Some((view.members.get(&route.upstream)?.clone(), route))
    };
    if let Some(found) = look() {
        return Ok(found);
    }
    relay.known().await;
    if let Some(found) = look() {
        return Ok(found);
    }
    let Some(silent) = relay.silent(name) else { return Err(unknown()) };
    let _ = timeout(silent.settings.connect_timeout, relay.has_told(&silent)).await;
    look().ok_or_else(|| match relay.silent(name) {
        Some(silent) => silent.unavailable().into(),
        None => unknown(),
    })
}
