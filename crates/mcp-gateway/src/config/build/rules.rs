//! What clients may see and use: patterns that make sense, names that are told apart.

use std::collections::{BTreeMap, BTreeSet};

use gateway::{Filter, Rules, knows_method};

use super::Reader;
use crate::config::{
    document::{FilterDocument, UpstreamDocument},
    values::At,
};

const MAX_PATTERN: usize = 512;
const MAX_PATTERNS: usize = 1_000;

/// What patterns are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tools,
    Prompts,
    Resources,
    Templates,
    Methods,
}

impl Reader<'_> {
    pub(super) fn rules(&mut self, upstream: &UpstreamDocument) -> Rules {
        Rules {
            tools: self.filter(Kind::Tools, upstream.tools.as_ref()),
            prompts: self.filter(Kind::Prompts, upstream.prompts.as_ref()),
            resources: self.filter(Kind::Resources, upstream.resources.as_ref()),
            templates: self.filter(Kind::Templates, upstream.templates.as_ref()),
            methods: upstream.methods.as_ref().map(|methods| self.patterns(Kind::Methods, methods)),
        }
    }

    fn filter(&mut self, kind: Kind, document: Option<&FilterDocument>) -> Filter {
        let Some(document) = document else { return Filter::default() };
        let allowed = document.allow.as_deref().map_or(&[][..], Vec::as_slice);
        if let Some(allow) = &document.allow
            && allow.is_empty()
        {
            self.problem(
                allow.place(),
                "an empty list says nothing: leave it out to allow all, or deny [\"*\"]",
            );
        }
        for pattern in &document.deny {
            if allowed.iter().any(|allow| **allow == **pattern) {
                self.problem(pattern.place(), "the same pattern is allowed and denied: deny would win");
            }
        }
        Filter {
            allow: self.patterns(kind, allowed),
            deny: self.patterns(kind, &document.deny),
            rename: self.names(kind, &document.rename),
        }
    }

    /// Patterns of one list.
    pub(super) fn patterns(&mut self, kind: Kind, list: &[At<String>]) -> Vec<String> {
        if let Some(first) = list.get(MAX_PATTERNS) {
            self.problem(first.place(), format!("there are more than {MAX_PATTERNS} patterns"));
        }
        let mut known = BTreeSet::new();
        for pattern in list {
            if let Some(reason) = nonsense(kind, pattern) {
                self.problem(pattern.place(), reason);
            } else if !known.insert(pattern.as_str()) {
                self.problem(pattern.place(), "this pattern is in the list already");
            }
        }
        list.iter().map(|pattern| pattern.to_string()).collect()
    }

    /// New names: each is one that can be used, and no two are the same.
    fn names(&mut self, kind: Kind, rename: &BTreeMap<String, At<String>>) -> BTreeMap<String, String> {
        let mut taken = BTreeMap::new();
        for (there, here) in rename {
            let wrong = if there.is_empty() || there.contains('*') {
                Some("renamed is one name, so that it is not empty and has no *".to_owned())
            } else if **here == *there {
                Some("this is the name that it has already".to_owned())
            } else if let Some(reason) = no_name(kind, there, here) {
                Some(reason)
            } else {
                let other = taken.insert(here.as_str(), there);
                other.map(|other| format!("{other:?} gets this name, too"))
            };
            if let Some(reason) = wrong {
                self.problem(here.place(), reason);
            }
        }
        rename.iter().map(|(there, here)| (there.clone(), here.to_string())).collect()
    }
}

/// Whether tools and prompts may have this name.
fn is_tool_name(name: &str) -> bool {
    let fits = |char: char| char.is_ascii_alphanumeric() || "_-./".contains(char);
    (1..=64).contains(&name.len()) && name.chars().all(fits)
}

/// Why a pattern cannot fit what it is meant for.
fn nonsense(kind: Kind, pattern: &str) -> Option<String> {
    if pattern.is_empty() {
        return Some("an empty pattern fits nothing: * fits all".to_owned());
    }
    if pattern.len() > MAX_PATTERN {
        return Some(format!("a pattern has at most {MAX_PATTERN} bytes"));
    }
    if pattern.trim() != pattern || pattern.contains(char::is_control) {
        return Some("a pattern has no spaces at its ends, and no control characters".to_owned());
    }
    if pattern.contains("**") {
        return Some("** is the same as *: one stands for any text".to_owned());
    }
    let meant = |char: &char| "?[]{}()|^$\\!+, ".contains(*char);
    match pattern.chars().find(meant) {
        Some(char) if kind == Kind::Tools => {
            Some(format!("{char:?} is in no tool's name: only * stands for other text"))
        }
        Some(char) if kind == Kind::Methods => {
            Some(format!("{char:?} is in no method's name: only * stands for other text"))
        }
        None if kind == Kind::Methods && knows_method(pattern) => {
            Some("the gateway knows this method: only others are passed on as they come".to_owned())
        }
        _ if matches!(kind, Kind::Resources | Kind::Templates) && !pattern.contains([':', '*']) => {
            Some("what fits this has no scheme, which every URI has".to_owned())
        }
        _ => None,
    }
}

/// Why this cannot be another name.
fn no_name(kind: Kind, there: &str, here: &str) -> Option<String> {
    match kind {
        Kind::Tools | Kind::Prompts if !is_tool_name(here) => {
            Some("a name has 1 to 64 letters, digits and _ - . /".to_owned())
        }
        Kind::Resources | Kind::Templates if !has_scheme(here) => {
            Some("a URI begins with a scheme, such as docs:".to_owned())
        }
        Kind::Templates => Filter::check_template_rename(there, here).err(),
        _ => None,
    }
}

fn has_scheme(uri: &str) -> bool {
    let scheme = |scheme: &str| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.chars().all(|char| char.is_ascii_alphanumeric() || "+-.".contains(char))
    };
    uri.split_once(':').is_some_and(|(name, rest)| scheme(name) && !rest.is_empty())
        && !uri.contains(|char: char| char.is_whitespace() || char.is_control())
}
