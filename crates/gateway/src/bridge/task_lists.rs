//! The older era's lists of tasks.

use std::sync::Arc;

use json_rpc::{Members, Raw};

use super::{
    exchange::Exchange, forward::Forward, glance::at, input::Input, methods::Incoming, sealed::Theirs,
    tasks::Tasks,
};
use crate::{
    errors::{self, Answer},
    fleet::Answered,
    relay::{Member, Relay},
};

/// Lists the client's own tasks: a page of one upstream after the other. Upstreams do not tell the gateway's clients apart.
pub(super) async fn list(relay: &Arc<Relay>, incoming: Incoming) -> Answer {
    let owner = incoming.client.owner();
    let cursor = match incoming.params.get("cursor").filter(|cursor| !cursor.is_null()) {
        Some(cursor) => {
            let cursor = cursor.parse::<String>().ok();
            let cursor = cursor.and_then(|cursor| relay.seal.open_cursor(&cursor, owner).ok());
            Some(cursor.ok_or_else(|| {
                errors::invalid_params("this list did not give this cursor: begin again without one")
            })?)
        }
        None => None,
    };
    let view = relay.view();
    let from = cursor.as_ref().map(|cursor| cursor.upstream.clone());
    let mut members = view
        .members
        .iter()
        .filter(|(name, member)| from.as_ref().is_none_or(|from| *name >= from) && lists_tasks(member));
    let mut page = (Vec::new(), None);
    if let Some((name, member)) = members.next() {
        let theirs = cursor.filter(|cursor| cursor.upstream == *name).map(|cursor| cursor.value);
        // An upstream that does not answer does not keep the tasks of others away.
        page = page_of(relay, incoming, member, theirs).await.unwrap_or_default();
        let next = |upstream: &Arc<str>, value| {
            relay.seal.cursor(&Theirs { upstream: upstream.clone(), place: None, value }, owner)
        };
        let next = match page.1.take() {
            Some(theirs) => Some(next(name, theirs)),
            None => members.next().map(|(name, _)| next(name, Raw::default())),
        };
        page.1 = next.map(|next| Raw::text(&next));
    }
    let mut result = Members::default();
    result.set("tasks", Raw::of(&page.0).expect("what was JSON is JSON"));
    if let Some(next) = page.1 {
        result.set("nextCursor", next);
    }
    Ok(result.to_raw())
}

/// A page of an upstream's list, and the cursor for the next one.
async fn page_of(
    relay: &Arc<Relay>,
    incoming: Incoming,
    member: &Member,
    cursor: Option<Raw>,
) -> Option<(Vec<Raw>, Option<Raw>)> {
    let (owner, session) = (incoming.client.owner(), incoming.client.session.number);
    let (mut forward, client, link) = Forward::of(incoming, member.upstream.clone(), String::new());
    match cursor.filter(|cursor| !cursor.is_null()) {
        Some(cursor) => forward.params.set("cursor", cursor),
        None => drop(forward.params.remove("cursor")),
    }
    let upstream = forward.upstream.name();
    let exchange = Arc::new(Exchange::new(client, upstream.clone(), link, relay));
    let Answered { outcome, place } = forward.send(&exchange, &Input::default()).await.ok()?;
    let mut result = Members::of(&outcome.ok()?).ok()?;
    let tasks: Vec<Raw> = result.get("tasks")?.parse().ok()?;
    let own = tasks.into_iter().filter_map(|task| {
        let id = Members::of(&task).ok()?.get("taskId")?.clone();
        let whose = relay.tasks.whose(upstream, Some(place), &id)?;
        whose.is_of(owner, session).then(|| Tasks::of(relay, owner, upstream, Some(place)).listed(task))
    });
    let own = own.collect();
    Some((own, result.remove("nextCursor").filter(|next| !next.is_null())))
}

fn lists_tasks(member: &Member) -> bool {
    let offer = member.offer();
    offer.capabilities.as_ref().and_then(|known| at(known, &["tasks", "list"])).is_some()
}
