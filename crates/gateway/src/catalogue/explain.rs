//! Why a name is in the catalogue, or is not.

use std::sync::Arc;

use super::{Catalogue, Kind, Route, Source, Withheld, shelf::Entry};
use crate::{Explanation, own::GATEWAY, rules::setting};

/// Most names that are suggested.
const MAX_SUGGESTIONS: usize = 5;

/// Longer names are not compared with others.
const MAX_COMPARED: usize = 128;

const KINDS: [Kind; 4] = [Kind::Tools, Kind::Prompts, Kind::Resources, Kind::Templates];

impl Catalogue {
    /// Where a tool, prompt or resource is, or why it is not there.
    pub(crate) fn explain(&self, name: &str) -> Explanation {
        let mut found =
            KINDS.into_iter().filter_map(|kind| self.shelf(kind).get(name).map(|entry| (kind, entry)));
        if let Some((kind, entry)) = found.next() {
            let mut explanation = self.listed(name, kind, entry);
            let others = found.map(|(kind, other)| {
                format!("a {} of upstream {:?} has this name too", word(kind), other.route.upstream)
            });
            explanation.reasons.extend(others);
            return explanation;
        }
        let withheld = KINDS.into_iter().find_map(|kind| Some((kind, self.all_withheld(kind).get(name)?)));
        if let Some((kind, withheld)) = withheld {
            let why = format!("clients neither see it nor can use it: {}", withheld.why);
            return about(name, kind, (&withheld.upstream, &withheld.name), vec![why]);
        }
        if name.contains(':')
            && let Some(way) = self.uris.way(name)
        {
            return match way {
                Ok(route) => {
                    let why = "it is not listed, but would be read there: by its mark, a template, its scheme, or as there is no other place";
                    let mut reasons = vec![why.to_owned()];
                    reasons.extend(self.rule(&route.upstream, Kind::Resources, &route.name));
                    about(name, Kind::Resources, (&route.upstream, &route.name), reasons)
                }
                Err(Withheld { upstream, name: there, why, .. }) => {
                    let why = format!("it is not listed, and clients cannot read it: {why}");
                    about(name, Kind::Resources, (&upstream, &there), vec![why])
                }
            };
        }
        self.missing(name)
    }

    fn listed(&self, name: &str, kind: Kind, entry: &Entry) -> Explanation {
        let (upstream, there) = (&entry.route.upstream, &entry.route.name);
        if **upstream == *GATEWAY {
            let reasons = vec!["it is a tool of the gateway itself".to_owned()];
            return Explanation { upstream: None, ..about(name, kind, (upstream, there), reasons) };
        }
        let renamed =
            self.source(upstream).and_then(|source| source.judge.rules().of(kind).rename.get(&**there));
        let wanted = self.wanted(kind, upstream, renamed.map_or(&**there, String::as_str));
        let listed = if self.shelf(kind).shows(name) {
            "it is listed"
        } else {
            "it is not listed, as all tools are searched (`expose`): find_tool finds it, call_tool calls it"
        };
        let mut reasons = vec![if *name == wanted {
            listed.to_owned()
        } else {
            format!(
                "{listed} under a changed name: it would be too long, have characters that names cannot have, or lead to something else if it were {wanted:?}"
            )
        }];
        if let Some(renamed) = renamed {
            reasons.push(format!("{}.rename calls it {renamed:?}", setting(kind)));
        }
        reasons.extend(self.rule(upstream, kind, there));
        about(name, kind, (upstream, there), reasons)
    }

    /// The public name, if nothing is in the way.
    fn wanted(&self, kind: Kind, upstream: &str, name: &str) -> String {
        match (kind, self.source(upstream)) {
            (Kind::Tools | Kind::Prompts, Some(source)) => source.head.join(name),
            _ => name.to_owned(),
        }
    }

    /// The rule that lets something through, if it needs one.
    fn rule(&self, upstream: &str, kind: Kind, there: &str) -> Option<String> {
        self.source(upstream)?.judge.judge(kind, there).reason(kind)
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
        let is_meant = |upstream: &str, there: &str| {
            let head = self.source(upstream).map(|source| source.head.text.as_str());
            there == name || head.and_then(|head| name.strip_prefix(head)) == Some(there)
        };
        let shown =
            KINDS.into_iter().flat_map(|kind| self.shelf(kind).entries().iter().map(move |e| (kind, e)));
        let shown = shown.filter(|(_, entry)| is_meant(&entry.route.upstream, &entry.route.name));
        let shown = shown.map(|(kind, Entry { name, route, .. })| {
            let (kind, Route { name: there, upstream, .. }) = (word(kind), route);
            format!("the {kind} {there:?} of upstream {upstream:?} is called {name:?} here")
        });
        let mut withheld: Vec<_> = KINDS
            .into_iter()
            .flat_map(|kind| self.all_withheld(kind).iter().map(move |(name, item)| (word(kind), name, item)))
            .filter(|(_, _, item)| is_meant(&item.upstream, &item.name))
            .map(|(kind, name, Withheld { upstream, name: there, why, .. })| {
                format!("the {kind} {there:?} of upstream {upstream:?} would be called {name:?} here, but clients cannot use it: {why}")
            })
            .collect();
        withheld.sort_unstable();
        shown.chain(withheld).take(MAX_SUGGESTIONS).collect()
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

fn about(name: &str, kind: Kind, there: (&str, &str), reasons: Vec<String>) -> Explanation {
    Explanation {
        name: name.to_owned(),
        kind: Some(word(kind).into()),
        upstream: Some(there.0.to_owned()),
        name_there: Some(there.1.to_owned()),
        reasons,
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
