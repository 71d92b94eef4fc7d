//! What all upstreams offer together, under names that are clear. Pure: it is given what they offer, and asked.

mod capabilities;
mod explain;
mod guard;
mod merge;
mod names;
mod notes;
mod offer;
mod shelf;
mod template;
mod tool;
mod translation;
mod unfitting;
mod uris;

#[cfg(test)]
mod tests;

pub(crate) use guard::{Keeper, Withheld};
pub(crate) use offer::{Item, Kind, Listing, Offer};
pub(crate) use template::{expanded, same_expressions};

use std::{collections::BTreeMap, sync::Arc};

use json_rpc::{Members, Raw};
use mcp_transport::Mirrored;

use self::{guard::AllWithheld, names::Head, notes::Notes, shelf::Shelf, uris::Uris};
use crate::{
    Expose, Pins, Rules, WithheldCount,
    own::OwnTools,
    rules::{self, Judge},
};

/// One upstream's part of the catalogue.
pub(crate) struct Part {
    /// The upstream's name.
    pub(crate) upstream: Arc<str>,
    /// What its names begin with, the separator not included; empty for nothing.
    pub(crate) prefix: String,
    /// What it offers, as far as is known.
    pub(crate) offer: Arc<Offer>,
    /// What replicas offer that have other tools: pins must hold there too.
    pub(crate) others: Vec<Arc<Offer>>,
    /// What of it clients may see and use.
    pub(crate) rules: Arc<Rules>,
}

/// How the parts are put together.
#[derive(Clone, Copy)]
pub(crate) struct Manner<'m> {
    /// What stands between a prefix and a name.
    pub(crate) separator: &'m str,
    /// Tools of the gateway itself, whose names no other tool gets.
    pub(crate) own: &'m OwnTools,
    pub(crate) expose: Expose,
    /// Tools as they were approved; without them all are.
    pub(crate) pins: Option<&'m Pins>,
}

/// All that is offered. Immutable: what changes makes another one.
pub(crate) struct Catalogue {
    /// In the order of their names.
    sources: Vec<Source>,
    /// How many tools of the gateway itself come before all others.
    own: usize,
    tools: Shelf,
    withheld_tools: AllWithheld,
    prompts: Shelf,
    withheld_prompts: AllWithheld,
    uris: Uris,
    legacy_capabilities: Raw,
    modern_capabilities: Raw,
    notes: Notes,
}

/// An upstream.
struct Source {
    upstream: Arc<str>,
    head: Head,
    /// Whether it has told what it offers.
    is_known: bool,
    instructions: Option<String>,
    judge: Arc<Judge>,
}

/// Where a name leads.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// The upstream.
    pub(crate) upstream: Arc<str>,
    /// The name there, or the URI.
    pub(crate) name: Arc<str>,
    /// For tools: whether a call may be repeated when its answer was lost.
    pub(crate) hints: Hints,
    /// For tools: what HTTP headers repeat.
    pub(crate) mirrored: Arc<[Mirrored]>,
}

/// Where a name leads, or why clients may not go there.
pub(crate) type Way = Result<Route, Withheld>;

/// What a tool says of itself. What it does not say is `false`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Hints {
    pub(crate) read_only: bool,
    pub(crate) idempotent: bool,
    /// It destroys nothing.
    pub(crate) additive: bool,
    /// It has to do with nothing but what its server has.
    pub(crate) closed_world: bool,
}

/// A cursor that this list did not give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnknownCursor;

impl Catalogue {
    /// Puts the parts together, in the order of the upstreams' names. What comes out depends on what the parts are, not
    /// on their order here.
    pub(crate) fn merge(parts: &[Part], manner: &Manner<'_>) -> Self {
        merge::merge(parts, manner)
    }

    /// The result of a list request: `tools/list` and its like, for a client of the newer era with its cache hints. The
    /// same bytes for as long as nothing changes. A cursor stays good as long as the last item of its page is there.
    pub(crate) fn list(
        &self,
        kind: Kind,
        cursor: Option<&str>,
        is_modern: bool,
    ) -> Result<Raw, UnknownCursor> {
        self.shelf(kind).page(cursor, is_modern)
    }

    /// Why there is nothing of this name or URI for clients, if a rule or a pin keeps it from them.
    pub(crate) fn withheld(&self, kind: Kind, name: &str) -> Option<Withheld> {
        match kind {
            Kind::Resources => self.uris.way(name)?.err(),
            _ => self.all_withheld(kind).get(name).cloned(),
        }
    }

    /// Why clients cannot have this of an upstream, by its name or URI there, whatever it is called here and whether it is listed.
    pub(crate) fn withheld_there(&self, kind: Kind, upstream: &str, name: &str) -> Option<Withheld> {
        let source = self.source(upstream)?;
        let by_rules = match kind {
            Kind::Resources => self.refusal(upstream, name),
            _ => source.judge.judge(kind, name).reason_to_refuse(kind),
        };
        let withheld =
            |why| Withheld { upstream: source.upstream.clone(), name: name.into(), by: Keeper::Rules, why };
        by_rules.map(withheld).or_else(|| {
            let mut all = self.all_withheld(kind).values();
            all.find(|withheld| *withheld.upstream == *upstream && *withheld.name == *name).cloned()
        })
    }

    /// Why clients may neither read nor hear of a resource of this upstream, by its URI there.
    pub(crate) fn refusal(&self, upstream: &str, uri: &str) -> Option<String> {
        self.uris.refusal(upstream, uri)
    }

    /// Whether clients may hear of this URI of an upstream in a completion: it, or something under it, may be read.
    pub(crate) fn is_on_the_way(&self, upstream: &str, uri: &str) -> bool {
        self.uris.is_on_the_way(upstream, uri)
    }

    /// Whether some resources of this upstream are kept from clients.
    pub(crate) fn guards(&self, upstream: &str) -> bool {
        self.uris.guards(upstream)
    }

    /// Whether something of this upstream is kept from clients.
    pub(crate) fn is_ruled(&self, upstream: &str) -> bool {
        self.source(upstream).is_some_and(|source| source.judge.rules().refuse_anything())
    }

    /// The tools that clients may call but the gateway's own, under their public names.
    pub(crate) fn tools(&self) -> impl Iterator<Item = (&str, &Raw)> {
        self.tools.entries()[self.own..].iter().map(|entry| (&*entry.name, &entry.raw))
    }

    /// The gateway's own tools.
    pub(crate) fn own_tools(&self) -> impl Iterator<Item = (&str, &Raw)> {
        self.tools.entries()[..self.own].iter().map(|entry| (&*entry.name, &entry.raw))
    }

    /// Where a tool or prompt of this name is, or a template of this text.
    pub(crate) fn route(&self, kind: Kind, name: &str) -> Option<&Route> {
        self.shelf(kind).get(name).map(|entry| &entry.route)
    }

    /// Where something of this name is, or why it is kept from clients. Resources are found by any URI that they have: listed, or
    /// fitting a template, or of a scheme that one upstream alone has, or else with the only upstream that has resources.
    pub(crate) fn way(&self, kind: Kind, name: &str) -> Option<Way> {
        if kind == Kind::Resources {
            return self.uris.way(name);
        }
        let route = self.route(kind, name).cloned().map(Ok);
        route.or_else(|| self.withheld(kind, name).map(Err))
    }

    /// The URI by which clients must know a URI that this upstream speaks of; `None` when it is the same.
    pub(crate) fn public_uri(&self, upstream: &str, uri: &str) -> Option<String> {
        self.uris.public(upstream, uri)
    }

    /// Whether all URIs are the same for clients as for upstreams, so that there is nothing to look for.
    pub(crate) fn keeps_uris(&self) -> bool {
        self.uris.keeps_all()
    }

    /// Whether URIs are marked and renamed as in another catalogue.
    pub(crate) fn has_same_homes(&self, other: &Self) -> bool {
        self.uris.has_same_homes(&other.uris)
    }

    /// Where completions for a prompt (`ref/prompt`) or template (`ref/resource`) are: the `ref` of a completion request, and the
    /// `ref` to send on.
    pub(crate) fn reference(&self, reference: &Raw) -> Option<(Way, Raw)> {
        let mut members = Members::of(reference).ok()?;
        let text = |name: &str| members.get(name)?.parse::<String>().ok();
        let (member, known, way) = match text("type")?.as_str() {
            "ref/prompt" => {
                let name = text("name")?;
                let way = self.way(Kind::Prompts, &name)?;
                ("name", name, way)
            }
            "ref/resource" => {
                let uri = text("uri")?;
                let template = self.way(Kind::Templates, &uri);
                let way = template.or_else(|| self.way(Kind::Resources, &uri))?;
                ("uri", uri, way)
            }
            _ => return None,
        };
        if let Ok(route) = &way
            && known != *route.name
        {
            members.set(member, Raw::text(&route.name));
            return Some((way, members.to_raw()));
        }
        Some((way, reference.clone()))
    }

    /// Where a method that nobody here knows goes: to the only upstream that there is.
    pub(crate) fn sole(&self) -> Option<Arc<str>> {
        match self.sources.as_slice() {
            [source] => Some(source.upstream.clone()),
            _ => None,
        }
    }

    /// Which lists differ from those of another catalogue.
    pub(crate) fn changed(&self, other: &Self) -> Vec<Kind> {
        let kinds = [Kind::Tools, Kind::Prompts, Kind::Resources, Kind::Templates].into_iter();
        kinds.filter(|kind| !self.shelf(*kind).looks_like(other.shelf(*kind))).collect()
    }

    /// The capabilities of all upstreams together, for `initialize` or `server/discover`: an object.
    pub(crate) fn capabilities(&self, is_modern: bool) -> Raw {
        if is_modern { self.modern_capabilities.clone() } else { self.legacy_capabilities.clone() }
    }

    /// What all upstreams say about how to use them, if they say something. What the only upstream says stays as it is.
    pub(crate) fn instructions(&self) -> Option<String> {
        if let [source] = self.sources.as_slice() {
            return source.instructions.clone();
        }
        let told = self.sources.iter().filter_map(|source| {
            let text = source.instructions.as_deref().map(str::trim).filter(|text| !text.is_empty())?;
            let heading = match source.head.text.as_str() {
                "" => format!("# {}", source.upstream),
                head => format!("# {} (names that begin with {head})", source.upstream),
            };
            Some(format!("{heading}\n\n{text}"))
        });
        let told = told.collect::<Vec<_>>().join("\n\n");
        (!told.is_empty()).then_some(told)
    }

    /// How many of what each upstream offers are kept from clients.
    pub(crate) fn withheld_counts(&self) -> Vec<WithheldCount> {
        let mut counts = BTreeMap::<_, (usize, usize)>::new();
        for kind in [Kind::Tools, Kind::Prompts, Kind::Resources, Kind::Templates] {
            for withheld in self.all_withheld(kind).values() {
                let (by_rules, by_pins) = counts.entry((&withheld.upstream, kind)).or_default();
                *match withheld.by {
                    Keeper::Rules => by_rules,
                    Keeper::Pins => by_pins,
                } += 1;
            }
        }
        let count = |((upstream, kind), (by_rules, by_pins)): ((&Arc<str>, Kind), (usize, usize))| {
            WithheldCount { upstream: upstream.to_string(), kind: rules::setting(kind), by_rules, by_pins }
        };
        counts.into_iter().map(count).collect()
    }

    /// Names that had to be changed, and why: lines for people.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.notes.lines()
    }

    fn all_withheld(&self, kind: Kind) -> &AllWithheld {
        match kind {
            Kind::Tools => &self.withheld_tools,
            Kind::Prompts => &self.withheld_prompts,
            Kind::Resources => &self.uris.withheld_resources,
            Kind::Templates => &self.uris.withheld_templates,
        }
    }

    fn shelf(&self, kind: Kind) -> &Shelf {
        match kind {
            Kind::Tools => &self.tools,
            Kind::Prompts => &self.prompts,
            Kind::Resources => &self.uris.resources,
            Kind::Templates => &self.uris.templates,
        }
    }

    fn source(&self, upstream: &str) -> Option<&Source> {
        self.sources.iter().find(|source| *source.upstream == *upstream)
    }
}

impl Route {
    /// Leads to something that says nothing of itself.
    pub(crate) fn to(upstream: Arc<str>, name: &str) -> Self {
        Self { upstream, name: name.into(), hints: Hints::default(), mirrored: Arc::default() }
    }
}
