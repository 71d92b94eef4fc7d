//! Who makes a request.

use std::{borrow::Cow, sync::Arc};

use auth::Caller;
use json_rpc::{Members, Raw};
use uuid::Uuid;

use super::{
    level::Level,
    revision::{self, CAPABILITIES, CLIENT_INFO, LOG_LEVEL, VERSION},
};
use crate::{
    errors::{self, Refusal},
    fleet::{Behalf, Place},
    session::Session,
    trail::Trail,
};

/// Longest capabilities of a client, in bytes. A session keeps them for as long as it lives.
const MAX_CAPABILITIES: usize = 64 << 10;

/// Who makes a request: its session, and what it said about itself there or in the request.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) session: Arc<Session>,
    /// Whether the request is of the newer era.
    pub(crate) is_modern: bool,
    /// What the client can do, an object.
    pub(crate) capabilities: Raw,
    /// The least log messages that it wants for this request; `None` for none at all.
    pub(crate) log_level: Option<Level>,
}

impl Client {
    /// Who makes a request with this `_meta`. What is between the client and the gateway alone is taken out of it.
    pub(crate) fn of(session: &Arc<Session>, method: &str, meta: &mut Members) -> Result<Self, Refusal> {
        let version = meta.remove(VERSION);
        let version = version.as_ref().map(|version| version.parse::<Cow<'_, str>>());
        match version {
            Some(Ok(version)) if version == revision::MODERN => Self::modern(session, meta),
            Some(Ok(version)) if !revision::LEGACY.contains(&version.as_ref()) => {
                Err(errors::unsupported_version(&version))
            }
            Some(Err(_)) => Err(missing(VERSION)),
            None if session.is_brief || method == "server/discover" => Err(missing(VERSION)),
            // Both may come before the session has begun.
            _ if method == "initialize" || method == "ping" => Ok(Self::legacy(session)),
            _ if session.introduction().is_some() => Ok(Self::legacy(session)),
            Some(Ok(version)) => Err(errors::unsupported_version(&version)),
            None => Err(missing(VERSION)),
        }
    }

    fn modern(session: &Arc<Session>, meta: &mut Members) -> Result<Self, Refusal> {
        meta.remove(CLIENT_INFO);
        let capabilities = meta.remove(CAPABILITIES).filter(Raw::is_object);
        let capabilities = bounded(capabilities.ok_or_else(|| missing(CAPABILITIES))?)?;
        let log_level = meta.remove(LOG_LEVEL).as_ref().and_then(Level::read);
        Ok(Self { session: session.clone(), is_modern: true, capabilities, log_level })
    }

    fn legacy(session: &Arc<Session>) -> Self {
        let capabilities =
            session.introduction().map_or_else(Raw::empty_object, |known| known.capabilities.clone());
        let log_level = Some(session.level());
        Self { session: session.clone(), is_modern: false, capabilities, log_level }
    }

    /// Whose key it showed: what one caller began is nobody else's.
    pub(crate) fn owner(&self) -> Caller {
        self.session.caller
    }

    /// The client as upstreams must know it, and the replica that it has to do with.
    pub(crate) fn behalf(&self, stay: Option<Place>, trail: Arc<Trail>, whole: Option<Uuid>) -> Behalf {
        Behalf {
            owner: self.owner(),
            session: (!self.session.is_brief).then_some(self.session.number),
            is_modern: self.is_modern,
            capabilities: self.capabilities.clone(),
            stay,
            trail,
            whole,
        }
    }
}

/// What a client can do, unless it says so in more words than should be kept for each.
pub(super) fn bounded(capabilities: Raw) -> Result<Raw, Refusal> {
    if capabilities.as_str().len() > MAX_CAPABILITIES {
        let message = format!("the client's capabilities must have at most {MAX_CAPABILITIES} bytes");
        return Err(errors::invalid_params(message));
    }
    Ok(capabilities)
}

fn missing(key: &str) -> Refusal {
    let advice = "clients of earlier revisions must send initialize first";
    errors::invalid_params(format!(
        "request _meta is missing or has malformed required fields: {key}; {advice}"
    ))
}
