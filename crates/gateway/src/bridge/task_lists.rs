//! The older era's lists of tasks.

use std::sync::Arc;

use json_rpc::{Error, Members, Raw};

use super::{
    exchange::Exchange, forward::Forward, glance::at, input::Input, methods::Incoming, sealed::Theirs,
    tasks::Tasks,
};
use crate::{
    errors::{self, Answer, Fault, Refusal},
    fleet::{Answered, Place, Upstream},
    relay::{Member, Relay},
};

/// Tasks that are the client's own, and the upstream's cursor for the next page.
type Page = (Vec<Raw>, Option<Raw>);

/// One replica of an upstream: each knows the tasks that were begun there.
type Station<'v> = (&'v Arc<Upstream>, Place);

/// Lists the client's own tasks: a page of one replica of one upstream after the other. Upstreams do not tell the gateway's clients
/// apart.
pub(super) async fn list(relay: &Arc<Relay>, incoming: Incoming) -> Answer {
    let owner = incoming.client.owner();
    let cursor = match incoming.params.get("cursor").filter(|cursor| !cursor.is_null()) {
        Some(cursor) => {
            let cursor = cursor.parse::<String>().ok();
            let cursor = cursor.and_then(|cursor| relay.seal.open_cursor(&cursor, owner).ok());
            Some(cursor.ok_or_else(not_given)?)
        }
        None => None,
    };
    let from = cursor.as_ref().map(|cursor| (&*cursor.upstream, cursor.place().unwrap_or(Place(0))));
    let view = relay.view();
    let members = view.members.values().filter(|member| lists_tasks(member));
    let mut stations = members
        .flat_map(|member| member.upstream.places().map(|place| (&member.upstream, place)))
        .filter(|(upstream, place)| from.is_none_or(|from| (&**upstream.name(), *place) >= from));
    let first = stations.next();
    let is_there = first.is_some_and(|(upstream, place)| from == Some((&**upstream.name(), place)));
    let theirs = cursor.as_ref().map(|cursor| &cursor.value).filter(|value| !value.is_null());
    if theirs.is_some() && !is_there {
        return Err(not_given().into()); // the replica that it belongs to is not there any more
    }
    let (mut tasks, mut next) = (Vec::new(), None);
    if let Some(station) = first {
        (tasks, next) = match page_of(relay, incoming, station, theirs).await {
            Ok(page) => page,
            // Part of its tasks would seem to be all of them.
            Err(fault) if theirs.is_some() => return Err(fault),
            // A replica that does not answer does not keep the tasks of others away.
            Err(_) => Page::default(),
        };
        let seal = |(upstream, place): Station<'_>, value| {
            let (upstream, place) = (upstream.name().clone(), Some(place.0.into()));
            Raw::text(&relay.seal.cursor(&Theirs { upstream, place, value }, owner))
        };
        next = match next {
            Some(theirs) => Some(seal(station, theirs)),
            None => stations.next().map(|station| seal(station, Raw::default())),
        };
    }
    let mut result = Members::default();
    result.set("tasks", Raw::of(&tasks).expect("what was JSON is JSON"));
    if let Some(next) = next {
        result.set("nextCursor", next);
    }
    Ok(result.to_raw())
}

/// A page of a replica's list.
async fn page_of(
    relay: &Arc<Relay>,
    incoming: Incoming,
    (upstream, place): Station<'_>,
    cursor: Option<&Raw>,
) -> Result<Page, Fault> {
    let (owner, session) = (incoming.client.owner(), incoming.client.session.number);
    let (mut forward, client, link) = Forward::of(incoming, upstream.clone(), String::new());
    forward.stay = Some(place);
    match cursor {
        Some(cursor) => forward.params.set("cursor", cursor.clone()),
        None => drop(forward.params.remove("cursor")),
    }
    let upstream = forward.upstream.name();
    let exchange = Arc::new(Exchange::new(client, upstream.clone(), link, relay));
    let Answered { outcome, place } = forward.send(&exchange, &Input::default()).await?;
    let (tasks, next) = read(&outcome.map_err(Fault::Theirs)?).ok_or_else(|| {
        let message = format!("upstream \"{upstream}\" answered with something that is no list of tasks: begin again without a cursor");
        Refusal::new(Error::INTERNAL_ERROR, "UPSTREAM_UNAVAILABLE", message).about(upstream.clone())
    })?;
    let own = tasks.into_iter().filter_map(|task| {
        let id = Members::of(&task).ok()?.get("taskId")?.clone();
        let whose = relay.tasks.whose(upstream, Some(place), &id)?;
        whose.is_of(owner, session).then(|| Tasks::of(relay, owner, upstream, Some(place)).listed(task))
    });
    Ok((own.collect(), next))
}

/// All tasks of a page; `None` if it is none.
fn read(result: &Raw) -> Option<Page> {
    let mut result = Members::of(result).ok()?;
    let tasks = result.get("tasks")?.parse().ok()?;
    Some((tasks, result.remove("nextCursor").filter(|next| !next.is_null())))
}

fn not_given() -> Refusal {
    errors::invalid_params("this list did not give this cursor: begin again without one")
}

fn lists_tasks(member: &Member) -> bool {
    let offer = member.offer();
    offer.capabilities.as_ref().and_then(|known| at(known, &["tasks", "list"])).is_some()
}
