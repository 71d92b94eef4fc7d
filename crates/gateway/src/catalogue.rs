//! What all upstreams offer together, under names that are clear. Pure: it is given what they offer, and asked.

mod capabilities;
mod explain;
mod merge;
mod names;
mod notes;
mod offer;
mod shelf;
mod template;
mod tool;
mod uris;

#[cfg(test)]
mod tests;

pub(crate) use offer::{Item, Kind, Listing, Offer};

use std::sync::Arc;

use json_rpc::{Members, Raw};
use mcp_transport::Mirrored;

use self::{names::Head, notes::Notes, shelf::Shelf, uris::Uris};

/// One upstream's part of the catalogue.
pub(crate) struct Part {
    /// The upstream's name.
    pub(crate) upstream: Arc<str>,
    /// What its names begin with, the separator not included; empty for nothing.
    pub(crate) prefix: String,
    /// What it offers, as far as is known.
    pub(crate) offer: Arc<Offer>,
}

/// All that is offered. Immutable: what changes makes another one.
pub(crate) struct Catalogue {
    /// In the order of their names.
    sources: Vec<Source>,
    tools: Shelf,
    prompts: Shelf,
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

/// What a tool says of itself. What it does not say is `false`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Hints {
    pub(crate) read_only: bool,
    pub(crate) idempotent: bool,
}

/// A cursor that this list did not give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnknownCursor;

impl Catalogue {
    /// Puts the parts together, in the order of the upstreams' names. What comes out depends on what the parts are, not
    /// on their order here.
    pub(crate) fn merge(parts: &[Part], separator: &str) -> Self {
        merge::merge(parts, separator)
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

    /// Where a tool or prompt of this name is.
    pub(crate) fn route(&self, kind: Kind, name: &str) -> Option<&Route> {
        self.shelf(kind).get(name).map(|entry| &entry.route)
    }

    /// Where a resource is: listed, or fitting a template, or of a scheme that one upstream alone has, or else with the only
    /// upstream that has resources.
    pub(crate) fn resource(&self, uri: &str) -> Option<Route> {
        self.uris.route(uri)
    }

    /// The URI by which clients must know a URI that this upstream speaks of; `None` when it is the same.
    pub(crate) fn public_uri(&self, upstream: &str, uri: &str) -> Option<String> {
        self.uris.public(upstream, uri)
    }

    /// Whether all URIs are the same for clients as for upstreams, so that there is nothing to look for.
    pub(crate) fn keeps_uris(&self) -> bool {
        self.uris.keeps_all()
    }

    /// Where completions for a prompt (`ref/prompt`) or template (`ref/resource`) are: the `ref` of a completion request, and the
    /// `ref` to send on.
    pub(crate) fn reference(&self, reference: &Raw) -> Option<(Route, Raw)> {
        let mut members = Members::of(reference).ok()?;
        let text = |name: &str| members.get(name)?.parse::<String>().ok();
        let (member, known, route) = match text("type")?.as_str() {
            "ref/prompt" => {
                let name = text("name")?;
                let route = self.route(Kind::Prompts, &name)?.clone();
                ("name", name, route)
            }
            "ref/resource" => {
                let uri = text("uri")?;
                let template = self.route(Kind::Templates, &uri).cloned();
                let route = template.or_else(|| self.resource(&uri))?;
                ("uri", uri, route)
            }
            _ => return None,
        };
        if known == *route.name {
            return Some((route, reference.clone()));
        }
        members.set(member, Raw::text(&route.name));
        Some((route, members.to_raw()))
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

    /// Names that had to be changed, and why: lines for people.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.notes.lines()
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
    fn to(upstream: Arc<str>, name: &str) -> Self {
        Self { upstream, name: name.into(), hints: Hints::default(), mirrored: Arc::default() }
    }
}
