//! Where resources are.
//!
//! URIs stay as they are, for they appear in texts that nobody can rewrite. Only where a URI would lead to another
//! upstream it gets a mark in front, `mcp-UPSTREAM+`, which leads back; and where the rules give it another name.

use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    Kind, Route, Withheld,
    guard::{AllWithheld, Guard, Keeper},
    names::{Own, digest},
    shelf::Shelf,
    template::{Template, shape},
    translation::Translation,
};

/// How marks begin.
const MARK: &str = "mcp-";

/// Resources, templates, and how to find an upstream by them. What is withheld leads to its upstream like everything else: so rules
/// never make a URI lead elsewhere.
pub(super) struct Uris {
    pub(super) resources: Shelf,
    pub(super) templates: Shelf,
    pub(super) withheld_resources: AllWithheld,
    pub(super) withheld_templates: AllWithheld,
    homes: Vec<Home>,
    /// Templates that are known by one text in all, the most particular first.
    patterns: Vec<Pattern>,
    schemes: HashMap<String, Option<Arc<str>>>,
}

/// An upstream that has resources.
pub(super) struct Home {
    pub(super) upstream: Arc<str>,
    /// What stands before its URIs where they would be another's.
    pub(super) mark: String,
    /// What of them may be read; without it all.
    pub(super) guard: Option<Guard>,
    /// Resources with other URIs than there: by the URI there, the public one.
    pub(super) renamed: HashMap<Arc<str>, Arc<str>>,
    pub(super) templates: Vec<RenamedTemplate>,
}

/// A template with another text than at its upstream.
pub(super) struct RenamedTemplate {
    /// From URIs there to public ones.
    pub(super) onward: Translation,
    /// And back, but for a mark.
    pub(super) back: Arc<Translation>,
}

/// A template as clients know it.
pub(super) struct Pattern {
    pub(super) template: Template,
    pub(super) upstream: Arc<str>,
    /// What makes URIs of it those of the upstream, if they are others.
    pub(super) back: Option<Arc<Translation>>,
}

impl Home {
    pub(super) fn new(upstream: Arc<str>, mark: String, guard: Option<Guard>) -> Self {
        Self { upstream, mark, guard, renamed: HashMap::new(), templates: Vec::new() }
    }
}

impl RenamedTemplate {
    /// From the text there to the one that was wanted, and the public one, which may have a mark.
    pub(super) fn new(there: &str, wanted: &str, public: &str) -> Option<Self> {
        let back = Translation::new(wanted, there)?.into();
        Some(Self { onward: Translation::new(there, public)?, back })
    }
}

/// What lists show, and what they do not.
pub(super) struct Sorted {
    pub(super) shelf: Shelf,
    pub(super) withheld: AllWithheld,
}

impl Uris {
    pub(super) fn new(
        resources: Sorted,
        templates: Sorted,
        homes: Vec<Home>,
        mut patterns: Vec<Pattern>,
    ) -> Self {
        patterns.sort_by_key(|pattern| Reverse(pattern.template.weight()));
        let listed = [&resources, &templates];
        let shown = listed.iter().flat_map(|sorted| sorted.shelf.entries());
        let shown = shown.map(|entry| (&entry.route.upstream, &entry.route.name));
        let withheld = listed.iter().flat_map(|sorted| sorted.withheld.values());
        let schemes = schemes(shown.chain(withheld.map(|withheld| (&withheld.upstream, &withheld.name))));
        Self {
            resources: resources.shelf,
            templates: templates.shelf,
            withheld_resources: resources.withheld,
            withheld_templates: templates.withheld,
            homes,
            patterns,
            schemes,
        }
    }

    /// Where the resource of this URI is, or why it is kept from clients: listed, marked, fitting a template, of a scheme that only
    /// one upstream has, or of the only upstream that has resources.
    pub(super) fn way(&self, uri: &str) -> Option<Result<Route, Withheld>> {
        let route = self.route(uri)?;
        Some(match self.refusal(&route.upstream, &route.name) {
            Some(why) => Err(Withheld { upstream: route.upstream, name: route.name, by: Keeper::Rules, why }),
            None => Ok(route),
        })
    }

    /// Why a resource of this upstream, by its URI there, is kept from clients.
    pub(super) fn refusal(&self, upstream: &str, uri: &str) -> Option<String> {
        self.home(upstream)?.guard.as_ref()?.refusal(uri)
    }

    /// Whether a completion may lead to this URI, or on from it.
    pub(super) fn is_on_the_way(&self, upstream: &str, uri: &str) -> bool {
        self.home(upstream).and_then(|home| home.guard.as_ref()).is_none_or(|guard| guard.is_on_the_way(uri))
    }

    pub(super) fn guards(&self, upstream: &str) -> bool {
        self.home(upstream).is_some_and(|home| home.guard.is_some())
    }

    fn route(&self, uri: &str) -> Option<Route> {
        if let Some(entry) = self.resources.get(uri) {
            return Some(entry.route.clone());
        }
        if let Some(Withheld { upstream, name, .. }) = self.withheld_resources.get(uri) {
            return Some(Route::to(upstream.clone(), name));
        }
        if let Some((home, rest)) =
            self.homes.iter().find_map(|home| Some((home, uri.strip_prefix(&home.mark)?)))
        {
            let back = home.templates.iter().find_map(|template| template.back.translate(rest));
            return Some(Route::to(home.upstream.clone(), back.as_deref().unwrap_or(rest)));
        }
        if let Some(Pattern { upstream, back, .. }) =
            self.patterns.iter().find(|pattern| pattern.template.fits(uri))
        {
            let there = match back {
                Some(back) => Cow::Owned(back.translate(uri)?),
                None => Cow::Borrowed(uri),
            };
            return Some(Route::to(upstream.clone(), &there));
        }
        let upstream = self.only_one_with_scheme(uri).or_else(|| self.only_one())?;
        Some(Route::to(upstream.clone(), uri))
    }

    /// The URI by which clients must know a URI of this upstream, if it is another one.
    pub(super) fn public(&self, upstream: &str, uri: &str) -> Option<String> {
        if self.keeps_all() {
            return None;
        }
        let home = self.home(upstream)?;
        if let Some(public) = home.renamed.get(uri) {
            return Some(public.to_string());
        }
        let is_listed = || {
            self.resources
                .get(uri)
                .is_some_and(|entry| *entry.route.upstream == *upstream && *entry.route.name == *uri)
        };
        if !home.templates.is_empty()
            && !is_listed()
            && let Some(public) = home.templates.iter().find_map(|template| template.onward.translate(uri))
        {
            return Some(public);
        }
        if self.homes.len() < 2 {
            return None;
        }
        let leads_back =
            self.route(uri).is_some_and(|there| *there.upstream == *upstream && *there.name == *uri);
        (!leads_back).then(|| format!("{}{uri}", home.mark))
    }

    /// Whether no URI is ever changed.
    pub(super) fn keeps_all(&self) -> bool {
        let keeps = |home: &Home| home.renamed.is_empty() && home.templates.is_empty();
        self.homes.len() < 2 && self.homes.iter().all(keeps)
    }

    /// Whether what upstreams say of resources that are not listed gets the same URIs as in another catalogue, as far as that depends
    /// on upstreams and what the rules call their resources.
    pub(super) fn has_same_homes(&self, other: &Self) -> bool {
        let alike = |(one, other): (&Home, &Home)| {
            (&one.upstream, &one.mark, &one.renamed) == (&other.upstream, &other.mark, &other.renamed)
        };
        self.homes.len() == other.homes.len() && self.homes.iter().zip(&other.homes).all(alike)
    }

    fn home(&self, upstream: &str) -> Option<&Home> {
        self.homes.iter().find(|home| *home.upstream == *upstream)
    }

    fn only_one(&self) -> Option<&Arc<str>> {
        match self.homes.as_slice() {
            [home] => Some(&home.upstream),
            _ => None,
        }
    }

    fn only_one_with_scheme(&self, uri: &str) -> Option<&Arc<str>> {
        self.schemes.get(&scheme(uri)?)?.as_ref()
    }
}

/// Who has URIs of each scheme; `None` for a scheme that several have.
fn schemes<'e>(
    uris: impl Iterator<Item = (&'e Arc<str>, &'e Arc<str>)>,
) -> HashMap<String, Option<Arc<str>>> {
    let mut schemes = HashMap::new();
    for (upstream, uri) in uris {
        let Some(scheme) = scheme(uri) else { continue };
        let owner = schemes.entry(scheme).or_insert_with(|| Some(upstream.clone()));
        if owner.as_ref() != Some(upstream) {
            *owner = None;
        }
    }
    schemes
}

fn scheme(uri: &str) -> Option<String> {
    uri.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase())
}

/// A mark for each of these upstreams, none like another, and none that a URI of theirs begins with.
pub(super) fn marks(upstreams: &[&str], all: &[Own<'_>]) -> Vec<String> {
    let all = all.iter().flat_map(|own| [own.key, own.wanted()]);
    let suspects: Vec<&str> = all.filter(|uri| uri.starts_with(MARK)).collect();
    let mut marks: Vec<String> = Vec::with_capacity(upstreams.len());
    for upstream in upstreams {
        let hash = digest(&[upstream]);
        let label: String = upstream.to_ascii_lowercase().chars().map(scheme_character).collect();
        let plain = (label == *upstream).then(|| format!("{MARK}{label}+"));
        let hashed = [8, 16, hash.len()].map(|digits| format!("{MARK}{label}-{}+", &hash[..digits]));
        let is_free =
            |mark: &String| !marks.contains(mark) && !suspects.iter().any(|uri| uri.starts_with(mark));
        let [.., last] = hashed.clone();
        marks.push(plain.into_iter().chain(hashed).find(is_free).unwrap_or(last));
    }
    marks
}

/// Public URIs or templates for all of `owned`, in their order: where two are the same, the first has it plain. What the rules
/// rename takes nobody's.
pub(super) fn assign(kind: Kind, marks: &[String], owned: &[Own<'_>]) -> Vec<String> {
    let shape = |text: &str| if kind == Kind::Templates { shape(text) } else { text.to_owned() };
    let mut taken = HashSet::with_capacity(owned.len());
    let mut public = vec![String::new(); owned.len()];
    let all = || owned.iter().enumerate();
    let in_turn = all().filter(|(_, own)| own.renamed.is_none());
    for (place, own) in in_turn.chain(all().filter(|(_, own)| own.renamed.is_some())) {
        let mark = &marks[own.place];
        let mut names =
            [own.wanted(), own.key].into_iter().flat_map(|name| [name.to_owned(), format!("{mark}{name}")]);
        let is_free = |name: &String| taken.insert(shape(name));
        public[place] = names.find(is_free).unwrap_or_else(|| format!("{mark}{}", own.key));
    }
    public
}

/// What a URI's scheme may have stays, in lower case: schemes are the same in both.
fn scheme_character(character: char) -> char {
    if character.is_ascii_alphanumeric() || matches!(character, '-' | '.') { character } else { '-' }
}
