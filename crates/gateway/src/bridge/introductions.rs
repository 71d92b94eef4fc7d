//! How the gateway introduces itself, and clients do.

use std::{borrow::Cow, sync::Arc};

use json_rpc::{Members, Raw};

use super::{
    client::bounded,
    revision::{self, SERVER_INFO},
};
use crate::{
    errors::{self, Answer},
    identity::identity,
    relay::Relay,
    session::Session,
};

/// How long clients of the newer era may rely on what `server/discover` says: a minute, in milliseconds.
const TIME_TO_LIVE_MS: u64 = 60_000;

/// Begins a session of the older era.
pub(super) async fn initialize(relay: &Arc<Relay>, session: &Arc<Session>, params: &Members) -> Answer {
    let wanted = params.get("protocolVersion").and_then(|version| version.parse::<Cow<'_, str>>().ok());
    let wanted = wanted.ok_or_else(|| errors::invalid_params("protocolVersion must be a text"))?;
    let version = revision::negotiate(&wanted);
    let capabilities = params.get("capabilities").cloned().unwrap_or_else(Raw::empty_object);
    if !capabilities.is_object() {
        return Err(errors::invalid_params("capabilities must be an object").into());
    }
    if !session.introduce(&bounded(capabilities)?) {
        return Err(errors::invalid_request("the session has begun already").into());
    }
    relay.joined(session);
    relay.known().await;
    let catalogue = &relay.view().catalogue;
    let mut result = Members::default();
    result.set("protocolVersion", Raw::text(version));
    result.set("capabilities", catalogue.capabilities(false));
    result.set("serverInfo", identity());
    if let Some(instructions) = catalogue.instructions() {
        result.set("instructions", Raw::text(&instructions));
    }
    Ok(result.to_raw())
}

/// Says what there is to a client of the newer era.
pub(super) async fn discover(relay: &Arc<Relay>) -> Answer {
    relay.known().await;
    let catalogue = &relay.view().catalogue;
    let versions: Vec<_> = revision::all().collect();
    let mut result = Members::default();
    result.set("resultType", Raw::text("complete"));
    result.set("supportedVersions", Raw::of(&versions).expect("texts are always JSON"));
    result.set("capabilities", catalogue.capabilities(true));
    if let Some(instructions) = catalogue.instructions() {
        result.set("instructions", Raw::text(&instructions));
    }
    result.set("ttlMs", TIME_TO_LIVE_MS);
    result.set("cacheScope", Raw::text("public"));
    result.set("_meta", [(SERVER_INFO, identity())].into_iter().collect::<Members>());
    Ok(result.to_raw())
}
