//! Where resources are.
//!
//! URIs stay as they are, for they appear in texts that nobody can rewrite. Only where a URI would lead to another
//! upstream it gets a mark in front, `mcp-UPSTREAM+`, which leads back.

use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    Kind, Route,
    names::{Own, digest},
    shelf::{Entry, Shelf},
    template::{Template, shape},
};

/// How marks begin.
const MARK: &str = "mcp-";

/// Resources, templates, and how to find an upstream by them.
pub(super) struct Uris {
    pub(super) resources: Shelf,
    pub(super) templates: Shelf,
    homes: Vec<Home>,
    /// Templates as they are at their upstreams, the most particular first.
    patterns: Vec<(Template, Arc<str>)>,
    schemes: HashMap<String, Option<Arc<str>>>,
}

/// An upstream that has resources.
pub(super) struct Home {
    pub(super) upstream: Arc<str>,
    /// What stands before its URIs where they would be another's.
    pub(super) mark: String,
}

impl Uris {
    pub(super) fn new(resources: Shelf, templates: Shelf, homes: Vec<Home>) -> Self {
        let plain = templates.entries().iter().filter(|entry| entry.name == entry.route.name);
        let mut patterns: Vec<_> =
            plain.map(|entry| (Template::new(&entry.name), entry.route.upstream.clone())).collect();
        patterns.sort_by_key(|(template, _)| Reverse(template.weight()));
        let schemes = schemes(resources.entries().iter().chain(templates.entries()));
        Self { resources, templates, homes, patterns, schemes }
    }

    /// Where the resource of this URI is: listed, marked, fitting a template, of a scheme that only one upstream has, or of
    /// the only upstream that has resources.
    pub(super) fn route(&self, uri: &str) -> Option<Route> {
        if let Some(entry) = self.resources.get(uri) {
            return Some(entry.route.clone());
        }
        let marked = |home: &Home| uri.strip_prefix(&home.mark).map(|rest| (home.upstream.clone(), rest));
        if let Some((upstream, rest)) = self.homes.iter().find_map(marked) {
            return Some(Route::to(upstream, rest));
        }
        let fitting = self.patterns.iter().find(|(template, _)| template.fits(uri));
        let upstream = fitting
            .map(|(_, upstream)| upstream)
            .or_else(|| self.only_one_with_scheme(uri))
            .or_else(|| self.only_one())?;
        Some(Route::to(upstream.clone(), uri))
    }

    /// The URI by which clients must know a URI of this upstream, if it is another one.
    pub(super) fn public(&self, upstream: &str, uri: &str) -> Option<String> {
        if self.keeps_all() {
            return None;
        }
        let home = self.homes.iter().find(|home| *home.upstream == *upstream)?;
        let leads_back =
            self.route(uri).is_some_and(|there| *there.upstream == *upstream && *there.name == *uri);
        (!leads_back).then(|| format!("{}{uri}", home.mark))
    }

    /// Whether no URI is ever changed.
    pub(super) fn keeps_all(&self) -> bool {
        self.homes.len() < 2
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
fn schemes<'e>(entries: impl Iterator<Item = &'e Entry>) -> HashMap<String, Option<Arc<str>>> {
    let mut schemes = HashMap::new();
    for Entry { route, .. } in entries {
        let Some(scheme) = scheme(&route.name) else { continue };
        let owner = schemes.entry(scheme).or_insert_with(|| Some(route.upstream.clone()));
        if owner.as_ref() != Some(&route.upstream) {
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
    let suspects: Vec<&str> = all.iter().map(|(_, uri)| *uri).filter(|uri| uri.starts_with(MARK)).collect();
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

/// Public URIs or templates for all of `owned`, in their order: where two are the same, the first has it plain.
pub(super) fn assign(kind: Kind, marks: &[String], owned: &[Own<'_>]) -> Vec<String> {
    let mut taken = HashSet::with_capacity(owned.len());
    let public = owned.iter().map(|&(place, own)| {
        let key = if kind == Kind::Templates { Cow::Owned(shape(own)) } else { Cow::Borrowed(own) };
        if taken.insert(key) { own.to_owned() } else { format!("{}{own}", marks[place]) }
    });
    public.collect()
}

/// What a URI's scheme may have stays, in lower case: schemes are the same in both.
fn scheme_character(character: char) -> char {
    if character.is_ascii_alphanumeric() || matches!(character, '-' | '.') { character } else { '-' }
}
