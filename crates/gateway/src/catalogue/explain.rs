//! Why a name is in the catalogue, or is not.

use std::sync::Arc;

use super::{Catalogue, Kind, Source, shelf::Entry};
use crate::Explanation;

/// Most names that are suggested.
const MAX_SUGGESTIONS: usize = 5;

/// Longer names are not compared with others.
const MAX_COMPARED: usize = 128;

impl Catalogue {
    /// Where a tool, prompt or resource is, or why it is not there.
    pub(crate) fn explain(&self, name: &str) -> Explanation {
        let mut found = [Kind::Tools, Kind::Prompts, Kind::Resources, Kind::Templates]
            .into_iter()
            .filter_map(|kind| self.shelf(kind).get(name).map(|entry| (kind, entry)));
        if let Some((kind, entry)) = found.next() {
            let mut explanation = self.listed(name, kind, entry);
            let others = found.map(|(kind, other)| {
                format!("a {} of upstream {:?} has this name too", word(kind), other.route.upstream)
            });
            explanation.reasons.extend(others);
            return explanation;
        }
        if name.contains(':')
            && let Some(route) = self.uris.route(name)
        {
            let why = "it is not listed, but would be read there: by its mark, a template, its scheme, or as there is no other place";
            return Explanation {
                name: name.to_owned(),
                kind: Some(word(Kind::Resources).into()),
                upstream: Some(route.upstream.to_string()),
                name_there: Some(route.name.to_string()),
                reasons: vec![why.to_owned()],
            };
        }
        self.missing(name)
    }

    fn listed(&self, name: &str, kind: Kind, entry: &Entry) -> Explanation {
        let (upstream, there) = (&entry.route.upstream, &entry.route.name);
        let head = self.source(upstream).map(|source| source.head.text.as_str()).unwrap_or_default();
        let why = match kind {
            Kind::Tools | Kind::Prompts if *name == format!("{head}{there}") => "it is listed".to_owned(),
            Kind::Resources | Kind::Templates if *name == **there => "it is listed".to_owned(),
            _ => format!(
                "it is listed under a changed name: it would be too long, have characters that names cannot have, or lead to something else if it were {:?}",
                match kind {
                    Kind::Tools | Kind::Prompts => format!("{head}{there}"),
                    Kind::Resources | Kind::Templates => there.to_string(),
                }
            ),
        };
        Explanation {
            name: name.to_owned(),
            kind: Some(word(kind).into()),
            upstream: Some(upstream.to_string()),
            name_there: Some(there.to_string()),
            reasons: vec![why],
        }
    }

    /// The upstream that a name looks like, if that has not told yet what it offers.
    pub(crate) fn silent(&self, name: &str) -> Option<&Arc<str>> {
        self.looks_like(name).filter(|source| !source.is_known).map(|source| &source.upstream)
    }

    fn looks_like(&self, name: &str) -> Option<&Source> {
        let heads = |source: &&Source| !source.head.text.is_empty() && name.starts_with(&source.head.text);
        self.sources.iter().filter(heads).max_by_key(|source| source.head.text.len())
    }

    fn missing(&self, name: &str) -> Explanation {
        let source = self.looks_like(name);
        let mut reasons = self.known_otherwise(name);
        match source {
            Some(source) if !source.is_known => reasons.push(format!(
                "it looks like a name of upstream {:?}, which has not told yet what it offers: see its state and last error in /health",
                source.upstream
            )),
            Some(source) if reasons.is_empty() => reasons.push(format!(
                "upstream {:?} offers nothing of the name {:?}",
                source.upstream,
                &name[source.head.text.len()..]
            )),
            Some(_) => {}
            None if reasons.is_empty() => reasons.push(self.no_such_beginning()),
            None => {}
        }
        let near = self.near(name);
        if !near.is_empty() {
            reasons.push(format!("names like it: {}", near.join(", ")));
        }
        let silent = self.sources.iter().filter(|source| !source.is_known && source.head.text.is_empty());
        reasons.extend(silent.map(|source| {
            format!(
                "upstream {:?}, whose names begin with nothing, has not told yet what it offers",
                source.upstream
            )
        }));
        Explanation {
            name: name.to_owned(),
            kind: None,
            upstream: source.map(|source| source.upstream.to_string()),
            name_there: None,
            reasons,
        }
    }

    /// Items that have this name at their upstream, or would have it here if nothing were in the way.
    fn known_otherwise(&self, name: &str) -> Vec<String> {
        let all = [Kind::Tools, Kind::Prompts, Kind::Resources, Kind::Templates];
        let entries =
            all.into_iter().flat_map(|kind| self.shelf(kind).entries().iter().map(move |e| (kind, e)));
        let matching = entries.filter(|(_, entry)| {
            let there = &*entry.route.name;
            let head = self.source(&entry.route.upstream).map(|source| source.head.text.as_str());
            there == name || head.and_then(|head| name.strip_prefix(head)) == Some(there)
        });
        matching
            .take(MAX_SUGGESTIONS)
            .map(|(kind, entry)| {
                let Entry { name, route, .. } = entry;
                format!(
                    "the {} {:?} of upstream {:?} is called {name:?} here",
                    word(kind),
                    route.name,
                    route.upstream
                )
            })
            .collect()
    }

    fn no_such_beginning(&self) -> String {
        let heads: Vec<&str> = self
            .sources
            .iter()
            .map(|source| source.head.text.as_str())
            .filter(|head| !head.is_empty())
            .collect();
        if heads.is_empty() {
            "no upstream offers it".to_owned()
        } else {
            format!("no upstream offers it: names begin with {}", heads.join(", "))
        }
    }

    /// Names that someone may have meant.
    fn near(&self, name: &str) -> Vec<&str> {
        if name.is_empty() || name.len() > MAX_COMPARED {
            return Vec::new();
        }
        let name = name.to_lowercase();
        let entries = [Kind::Tools, Kind::Prompts].into_iter().flat_map(|kind| self.shelf(kind).entries());
        let mut near: Vec<(usize, &str)> = entries
            .filter_map(|entry| {
                let other = entry.name.to_lowercase();
                let distance = if other.contains(&name) { 1 } else { distance(&name, &other) };
                (distance <= name.len() / 4 + 1).then_some((distance, &*entry.name))
            })
            .collect();
        near.sort_unstable();
        near.dedup();
        near.into_iter().take(MAX_SUGGESTIONS).map(|(_, name)| name).collect()
    }
}

/// What people call it.
fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Tools => "tool",
        Kind::Prompts => "prompt",
        Kind::Resources => "resource",
        Kind::Templates => "resource template",
    }
}

/// How many characters must be added, taken away or replaced to make one text of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (line, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, b) in other.chars().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[row.len() - 1]
}
