//! What a request is about: where that is, and whether clients may still go there when the turn of the request has come.

use std::{
    ptr,
    sync::{Arc, Weak},
};

use json_rpc::{Members, Raw};
use tokio::time::timeout;

use crate::{
    catalogue::{Keeper, Kind, Route, Way, Withheld},
    errors::{self, Fault, Refusal},
    own::search,
    relay::{Member, Relay, View},
    trail::Trail,
};

/// What a request is about, as its client calls it.
#[derive(Debug, Clone)]
pub(crate) enum Sought {
    Tool(String),
    Prompt(String),
    Resource {
        uri: String,
        is_modern: bool,
    },
    /// Whatever a method that the gateway does not know is about.
    Method(String),
    /// The prompt or template of which something is completed, and its name if it has one.
    Completed {
        reference: Raw,
        name: String,
    },
}

/// Where it is.
pub(super) struct Found {
    pub(super) member: Member,
    pub(super) route: Route,
    pub(super) lead: Lead,
    /// The reference to send on, of a completion.
    reference: Option<Raw>,
}

/// Where a request was found to lead. Rules and pins may have become others by the time that it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Lead {
    pub(super) sought: Sought,
    upstream: Arc<str>,
    /// The name there.
    pub(super) there: Arc<str>,
    relay: Weak<Relay>,
    /// What was looked at; not kept alive.
    view: Weak<View>,
}

/// What clients are told of something that is kept from them.
pub(super) fn denied(trail: &Trail, withheld: Withheld) -> Refusal {
    let Withheld { upstream, why, .. } = withheld;
    trail.leads_to(&upstream);
    trail.note(format!("refused: {why}"));
    errors::access_denied(&why).about(upstream)
}

impl Sought {
    /// The upstream that it leads to. It waits for those that may have it and have not told their names yet: for all within
    /// the first seconds, and for the one that the name looks like until that has told, or could not be reached.
    pub(super) async fn find(&self, relay: &Relay, trail: &Trail) -> Result<Found, Fault> {
        if let Some(found) = self.look(relay, trail) {
            return found;
        }
        if let Self::Method(_) = self {
            return Err(self.unknown(relay).into()); // what upstreams tell does not matter
        }
        relay.known().await;
        if let Some(found) = self.look(relay, trail) {
            return found;
        }
        let Some(silent) = relay.silent(self.name()) else { return Err(self.unknown(relay).into()) };
        let _ = timeout(silent.settings.connect_timeout, relay.has_told(&silent)).await;
        self.look(relay, trail).unwrap_or_else(|| match relay.silent(self.name()) {
            Some(silent) => Err(silent.unavailable().into()),
            None => Err(self.unknown(relay).into()),
        })
    }

    fn look(&self, relay: &Relay, trail: &Trail) -> Option<Result<Found, Fault>> {
        let view = relay.view();
        let (way, reference) = self.way(&view)?;
        let route = match way {
            Ok(route) => route,
            Err(withheld) => return Some(Err(denied(trail, withheld).into())),
        };
        let member = view.members.get(&route.upstream)?.clone();
        let lead = Lead {
            sought: self.clone(),
            upstream: route.upstream.clone(),
            there: route.name.clone(),
            relay: relay.weak(),
            view: Arc::downgrade(&view),
        };
        Some(Ok(Found { member, route, lead, reference }))
    }

    fn way(&self, view: &View) -> Option<(Way, Option<Raw>)> {
        let catalogue = &view.catalogue;
        let way = match self {
            Self::Tool(name) => catalogue.way(Kind::Tools, name),
            Self::Prompt(name) => catalogue.way(Kind::Prompts, name),
            Self::Resource { uri, .. } => catalogue.way(Kind::Resources, uri),
            Self::Method(method) => {
                let home = view.home_of_method(method).ok()?;
                Some(Ok(Route::to(home.upstream.name().clone(), method)))
            }
            Self::Completed { reference, .. } => {
                let (way, reference) = catalogue.reference(reference)?;
                return Some((way, Some(reference)));
            }
        };
        Some((way?, None))
    }

    fn name(&self) -> &str {
        match self {
            Self::Tool(name) | Self::Prompt(name) | Self::Method(name) | Self::Completed { name, .. } => name,
            Self::Resource { uri, .. } => uri,
        }
    }

    fn unknown(&self, relay: &Relay) -> Refusal {
        match self {
            Self::Tool(_) if relay.view().search.is_some() => search::unknown_name(),
            Self::Tool(_) => errors::unknown_name(true),
            Self::Prompt(_) => errors::unknown_name(false),
            Self::Resource { uri, is_modern } => errors::resource_not_found(uri, *is_modern),
            Self::Method(method) => {
                // It may have got one just now.
                let why = relay.view().home_of_method(method).err().unwrap_or("try again");
                errors::method_not_found(why)
            }
            Self::Completed { .. } => {
                errors::invalid_params("there is no prompt or resource template as ref says: list them again")
            }
        }
    }
}

impl Found {
    /// Has the parameters of the request, where it is called `known`, name it as its upstream does.
    pub(super) fn point(&self, params: &mut Members, known: &str) {
        let name = || Raw::text(&self.route.name);
        match &self.lead.sought {
            Sought::Completed { .. } => {
                if let Some(reference) = &self.reference {
                    params.set("ref", reference.clone());
                }
            }
            Sought::Method(_) => {}
            _ if *self.route.name == *known => {}
            Sought::Tool(_) | Sought::Prompt(_) => params.set("name", name()),
            Sought::Resource { .. } => params.set("uri", name()),
        }
    }
}

impl Lead {
    /// Why the request must not be sent any more. It costs nothing as long as nothing has changed since it was found. One that is not
    /// new goes on with what its upstream knows already.
    pub(super) fn refusal(&self, trail: &Trail, is_new: bool) -> Option<Refusal> {
        let view = self.relay.upgrade()?.view();
        if ptr::eq(self.view.as_ptr(), Arc::as_ptr(&view)) {
            return None;
        }
        let mut withheld = self.withheld(&view)?;
        withheld.why.push_str("; this became so while the call waited");
        if is_new {
            withheld.why.push_str(", and nothing was delivered");
        }
        Some(denied(trail, withheld))
    }

    fn withheld(&self, view: &View) -> Option<Withheld> {
        let is_mine = |upstream: &str, name: &str| *upstream == *self.upstream && *name == *self.there;
        let way = self.sought.way(view).map(|(way, _)| way);
        match way {
            Some(Ok(route)) if is_mine(&route.upstream, &route.name) => return None,
            Some(Err(withheld)) if is_mine(&withheld.upstream, &withheld.name) => return Some(withheld),
            _ => {}
        }
        // The name means something else now, or nothing: what it meant may have another.
        let kind = match &self.sought {
            Sought::Tool(_) => Kind::Tools,
            Sought::Prompt(_) => Kind::Prompts,
            Sought::Resource { .. } => Kind::Resources,
            Sought::Method(_) => {
                let why = "this method is not passed on to its upstream any more".to_owned();
                let (upstream, name) = (self.upstream.clone(), self.there.clone());
                return Some(Withheld { upstream, name, by: Keeper::Rules, why });
            }
            Sought::Completed { .. } => return way?.err(),
        };
        view.catalogue.withheld_there(kind, &self.upstream, &self.there)
    }
}
