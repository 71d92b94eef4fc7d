//! What clients may see and use of an upstream, by pattern.

mod address;
mod uri_filter;

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    catalogue::{Kind, same_expressions},
    settings::matches,
};
pub(crate) use address::{Address, spellings};
use uri_filter::UriFilter;

/// What clients may see and use of an upstream. What a call would refuse, no list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Of its tools, by their names there.
    pub tools: Filter,
    /// Of its prompts, by their names there.
    pub prompts: Filter,
    /// Of its resources, by their URIs there; also those that no list names.
    pub resources: Filter,
    /// Of its resource templates, by the templates' text there. What is not listed, and only a refused one can lead to, is not read.
    pub templates: Filter,
    /// Methods that the gateway does not know and passes on to this upstream, by pattern: nothing else here is applied to them, and no
    /// pins. Without it all are passed on to an upstream that is the only one, and of which nothing is kept back.
    pub methods: Option<Vec<String>>,
}

/// What is let through, and under which names. `*` in a pattern stands for any text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only what one of these fits; everything when there is none.
    pub allow: Vec<String>,
    /// Not what one of these fits, whatever `allow` says.
    pub deny: Vec<String>,
    /// Other names than those that the upstream gives.
    pub rename: BTreeMap<String, String>,
}

/// What a filter says of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict<'f> {
    /// No rule speaks of it.
    Unruled,
    /// This pattern lets it through.
    Allowed(&'f str),
    /// This pattern keeps it back.
    Denied(&'f str),
    /// No pattern lets it through.
    NotAllowed,
    /// A URI that servers may read otherwise than patterns do.
    Ambiguous,
}

impl Verdict<'_> {
    /// Whether it is kept from clients.
    pub(crate) fn refuses(&self) -> bool {
        !matches!(self, Self::Unruled | Self::Allowed(_))
    }

    /// For people: why clients cannot have it, if they cannot.
    pub(crate) fn reason_to_refuse(&self, kind: Kind) -> Option<String> {
        self.reason(kind).filter(|_| self.refuses())
    }

    /// For people: which rule of this kind it is, and why clients cannot have it.
    pub(crate) fn reason(&self, kind: Kind) -> Option<String> {
        let of = setting(kind);
        match self {
            Self::Unruled => None,
            Self::Allowed(pattern) => Some(format!("{pattern:?} in {of}.allow lets it through")),
            Self::Denied(pattern) => Some(format!("{pattern:?} in {of}.deny keeps it from clients")),
            Self::NotAllowed => Some(format!("nothing in {of}.allow lets it through")),
            Self::Ambiguous => Some(format!(
                "{of} has rules, and servers may read this URI in more ways than one (`.` or `..` in its path, white space, a user, a host in \
                 file:, encoded twice, very long): ask for the plain URI"
            )),
        }
    }
}

/// How the configuration calls the rules of this kind.
pub(crate) fn setting(kind: Kind) -> &'static str {
    match kind {
        Kind::Tools => "tools",
        Kind::Prompts => "prompts",
        Kind::Resources => "resources",
        Kind::Templates => "templates",
    }
}

impl Rules {
    /// The filter of what can be listed as this kind.
    pub(crate) fn of(&self, kind: Kind) -> &Filter {
        match kind {
            Kind::Tools => &self.tools,
            Kind::Prompts => &self.prompts,
            Kind::Resources => &self.resources,
            Kind::Templates => &self.templates,
        }
    }

    /// Whether a method that the gateway does not know is passed on, although nothing can be applied to it.
    pub(crate) fn passes_on(&self, method: &str) -> bool {
        self.methods.iter().flatten().any(|pattern| matches(pattern, method))
    }

    /// Whether anything is ever refused.
    pub(crate) fn refuse_anything(&self) -> bool {
        [&self.tools, &self.prompts, &self.resources, &self.templates].iter().any(|filter| filter.is_ruled())
    }
}

/// Rules, made ready for judging: patterns for URIs are taken apart once, not for each URI.
pub(crate) struct Judge {
    rules: Arc<Rules>,
    resources: UriFilter,
    templates: UriFilter,
}

impl Judge {
    pub(crate) fn new(rules: &Arc<Rules>) -> Self {
        Self {
            rules: rules.clone(),
            resources: UriFilter::new(&rules.resources),
            templates: UriFilter::new(&rules.templates),
        }
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What they say of an item as the upstream lists it: by its name, its URI, or its template.
    pub(crate) fn judge(&self, kind: Kind, key: &str) -> Verdict<'_> {
        match kind {
            Kind::Resources if self.resources.is_ruled() => self.resources.judge(&Address::of(key)),
            _ => self.rules.of(kind).judge(key),
        }
    }

    /// What the rules for resources say of this address, however it is spelled.
    pub(crate) fn judge_resource(&self, address: &Address<'_>) -> Verdict<'_> {
        self.resources.judge(address)
    }

    /// Whether the rules for resources allow nothing at this URI, but something under it.
    pub(crate) fn leads_on(&self, uri: &str) -> bool {
        self.resources.judge(&Address::of(uri)) == Verdict::NotAllowed && self.resources.leads_on(uri)
    }

    /// What the rules for templates say of an address that no listed template leads to: the same as of a template with this text.
    pub(crate) fn judge_without_template(&self, address: &Address<'_>) -> Verdict<'_> {
        self.templates.judge(address)
    }
}

impl Filter {
    /// Whether a template can have another text: expressions must be the same and in the same order, for what a client puts in
    /// must come out at the upstream.
    ///
    /// # Errors
    /// What to write instead.
    pub fn check_template_rename(from: &str, to: &str) -> Result<(), String> {
        if same_expressions(from, to) {
            return Ok(());
        }
        Err(format!("{to:?} must have the same expressions in braces as {from:?}, in the same order"))
    }

    /// Whether anything is ever refused.
    pub(crate) fn is_ruled(&self) -> bool {
        !self.allow.is_empty() || !self.deny.is_empty()
    }

    /// What it says of this name.
    pub(crate) fn judge(&self, name: &str) -> Verdict<'_> {
        if let Some(pattern) = self.deny.iter().find(|pattern| matches(pattern, name)) {
            return Verdict::Denied(pattern);
        }
        match self.allow.iter().find(|pattern| matches(pattern, name)) {
            Some(pattern) => Verdict::Allowed(pattern),
            None if self.allow.is_empty() => Verdict::Unruled,
            None => Verdict::NotAllowed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(allow: &[&str], deny: &[&str]) -> Filter {
        let owned = |patterns: &[&str]| patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        Filter { allow: owned(allow), deny: owned(deny), rename: BTreeMap::new() }
    }

    #[test]
    fn deny_wins_over_allow_and_without_allow_all_is_let_through() {
        for (allow, deny, name, verdict) in [
            (&[][..], &[][..], "read", Verdict::Unruled),
            (&[], &["*delete*"], "read", Verdict::Unruled),
            (&[], &["*delete*"], "do_delete_all", Verdict::Denied("*delete*")),
            (&["read_*", "list_*"], &[], "list_dir", Verdict::Allowed("list_*")),
            (&["read_*"], &[], "write", Verdict::NotAllowed),
            (&["*"], &["write"], "write", Verdict::Denied("write")),
            (&["*"], &["write"], "Write", Verdict::Allowed("*")),
        ] {
            assert_eq!(filter(allow, deny).judge(name), verdict, "{name}");
        }
    }

    #[test]
    fn a_template_can_be_renamed_when_its_expressions_stay() {
        assert_eq!(Filter::check_template_rename("file:///{+path}", "docs:{+path}"), Ok(()));
        for other in ["docs:{path}", "docs:x", "docs:{+path}/{more}", "docs:{+other}"] {
            let why = Filter::check_template_rename("file:///{+path}", other).unwrap_err();
            assert!(why.contains("same expressions"), "{why}");
        }
        assert!(Filter::check_template_rename("x://{a}/{b}", "y://{b}/{a}").is_err());
    }
}
