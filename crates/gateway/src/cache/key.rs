//! What a call and another are the same by.

use json_rpc::{Members, Raw};
use sha2::{Digest as _, Sha256};

use super::{CacheScope, CacheSettings, Digest, Key};
use crate::{Sessions, bridge::Incoming, canonical, catalogue::Route, relay::Member};

/// Longest parameters of a call whose result is kept, in bytes.
const MAX_PARAMS: usize = 1 << 20;

/// Members of `_meta` that change nothing of a result: how its progress is told, which trace it belongs to (SEP-414), and which turn
/// of a model.
const OF_THE_CALL: [&str; 5] =
    ["progressToken", "traceparent", "tracestate", "baggage", "claudecode/toolUseId"];

/// Members of parameters with which a call is a part of something longer.
const OF_SOMETHING_LONGER: [&str; 3] = ["task", "inputResponses", "requestState"];

/// The member of `_meta` that says which task a call belongs to.
const RELATED: &str = "io.modelcontextprotocol/related-task";

/// The key of a call, or why its result is not kept.
pub(super) fn of(
    member: &Member,
    route: &Route,
    incoming: &Incoming,
    settings: CacheSettings,
) -> Result<Key, &'static str> {
    let client = &incoming.client;
    let is_longer = |name| incoming.params.get(name).is_some_and(|value| !value.is_null());
    if OF_SOMETHING_LONGER.into_iter().any(is_longer) || incoming.meta.get(RELATED).is_some() {
        return Err("the call is a part of something longer");
    }
    let mut digest = Sha256::new();
    // Each part is as long as it says, or of a fixed length: no two calls that differ have the same text.
    let mut add = |part: &[u8]| {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    };
    for part in [without(&incoming.params, &["_meta"]), without(&incoming.meta, &OF_THE_CALL)] {
        add(canonical(&part)?.as_bytes());
    }
    // Servers may answer otherwise to a client that can do less.
    add(canonical(&client.capabilities)?.as_bytes());
    add(&[u8::from(client.is_modern)]);
    if settings.scope == CacheScope::Private {
        let owner = client.owner();
        add(&owner.number().to_le_bytes());
        add(&owner.fingerprint().to_le_bytes());
    }
    if member.settings.sessions == Sessions::PerClient && !client.session.is_brief {
        add(&client.session.number.to_le_bytes());
    }
    let digest: Digest = digest.finalize().into();
    Ok(Key { upstream: route.upstream.clone(), epoch: member.epoch, digest })
}

fn canonical(value: &Raw) -> Result<String, &'static str> {
    canonical::compact(value, MAX_PARAMS).map_err(|_| "its arguments are too long or too deeply nested")
}

fn without(members: &Members, names: &[&str]) -> Raw {
    let rest = members.iter().filter(|(name, _)| !names.contains(name));
    rest.map(|(name, value)| (name.to_owned(), value.clone())).collect::<Members>().to_raw()
}
