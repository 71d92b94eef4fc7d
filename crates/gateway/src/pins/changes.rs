//! How the tools of today differ from those that were approved.

use std::collections::{BTreeMap, HashSet};

use json_rpc::Members;

use super::{Pins, definition};
use crate::{
    catalogue::{Catalogue, Kind},
    relay::View,
};

/// How a tool is defined now, and how it was approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinChange {
    /// The upstream.
    pub upstream: String,
    /// The tool's name there.
    pub tool: String,
    /// The name by which clients know it, if they can.
    pub name: Option<String>,
    /// As it was approved, if it was: pretty JSON, with escapes for what would not be seen.
    pub approved: Option<String>,
    /// As it is now; `None` when the upstream does not offer it any more.
    pub present: Option<String>,
}

/// How the tools of today differ from those that were approved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PinComparison {
    /// In the order of upstreams and tools.
    pub changes: Vec<PinChange>,
    /// Tools that are as they were approved.
    pub unchanged: Vec<PinChange>,
    /// Tools whose definitions are too long or too deeply nested to be approved: upstreams and names there.
    pub unwieldy: Vec<(String, String)>,
    /// Tools that are withheld because replicas of their upstream define them differently: upstreams and names there.
    pub unlike: Vec<(String, String)>,
    /// Upstreams of which it is not known what they offer now, and why: their pins stay.
    pub away: Vec<(String, String)>,
}

impl PinChange {
    /// Whether it is kept from clients until it is approved.
    #[must_use]
    pub fn is_withheld(&self) -> bool {
        self.present.is_some() && self.present != self.approved
    }

    /// Whether it is the one at this place: `upstream/tool`.
    #[must_use]
    pub fn is_at(&self, place: &str) -> bool {
        let tool = place.strip_prefix(self.upstream.as_str()).and_then(|rest| rest.strip_prefix('/'));
        tool == Some(self.tool.as_str())
    }
}

impl PinComparison {
    /// The tools that somebody means by this: the one at this place, `upstream/tool`; else those that clients know by it. So no
    /// server can be meant in place of another because of what it calls a tool.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<&PinChange> {
        let all = || self.changes.iter().chain(&self.unchanged);
        let there: Vec<_> = all().filter(|tool| tool.is_at(name)).collect();
        if !there.is_empty() {
            return there;
        }
        all().filter(|tool| tool.name.as_deref() == Some(name)).collect()
    }
}

/// Compares what the upstreams offer with what was approved. Tools that a rule keeps from clients do not matter, and keep their pins.
pub(crate) fn compare(view: &View, pins: &Pins) -> PinComparison {
    let catalogue = view.without_pins();
    let names = public_names(&catalogue);
    let mut found = PinComparison::default();
    for (upstream, member) in &view.members {
        let offer = member.offer();
        let error = member.upstream.health().last_error;
        let others = member.upstream.other_offers();
        let mut offered = HashSet::new();
        for item in &offer.tools.items {
            // As in the catalogue, the first of a name counts, and what is broken does not.
            if Members::of(&item.raw).is_err() || !offered.insert(item.key.as_str()) {
                continue;
            }
            let Some(name) = names.get(&(&**upstream, &*item.key)) else { continue };
            let Some(present) = definition(&item.raw) else {
                found.unwieldy.push((upstream.to_string(), item.key.clone()));
                continue;
            };
            let elsewhere =
                others.iter().filter_map(|other| other.tools.items.iter().find(|it| it.key == item.key));
            if elsewhere.into_iter().any(|other| definition(&other.raw).as_ref() != Some(&present)) {
                found.unlike.push((upstream.to_string(), item.key.clone()));
            }
            let tool = PinChange {
                upstream: upstream.to_string(),
                tool: item.key.clone(),
                name: Some((*name).to_owned()),
                approved: pins.approved(upstream, &item.key).cloned(),
                present: Some(present),
            };
            if tool.is_withheld() { found.changes.push(tool) } else { found.unchanged.push(tool) }
        }
        if offer.is_known && error.is_none() {
            let is_gone = |tool: &str| !offered.contains(tool);
            found.changes.extend(gone(pins, upstream, is_gone));
        } else {
            let why = error.unwrap_or_else(|| "it has not told what it offers".to_owned());
            found.away.push((upstream.to_string(), why));
        }
    }
    let unknown = pins.approved.keys().filter(|upstream| !view.members.contains_key(upstream.as_str()));
    found.changes.extend(unknown.flat_map(|upstream| gone(pins, upstream, |_| true)));
    found.changes.sort_by(|one, other| (&one.upstream, &one.tool).cmp(&(&other.upstream, &other.tool)));
    found
}

/// The names by which clients know tools, by upstreams and names there.
fn public_names(catalogue: &Catalogue) -> BTreeMap<(&str, &str), &str> {
    let names = catalogue.tools().filter_map(|(name, _)| {
        let route = catalogue.route(Kind::Tools, name)?;
        Some(((&*route.upstream, &*route.name), name))
    });
    names.collect()
}

/// Tools that were approved and are not there any more.
fn gone(pins: &Pins, upstream: &str, is_gone: impl Fn(&str) -> bool) -> Vec<PinChange> {
    let tools = pins.approved.get(upstream).into_iter().flatten();
    let gone = tools.filter(|(tool, _)| is_gone(tool)).map(|(tool, approved)| PinChange {
        upstream: upstream.to_owned(),
        tool: tool.clone(),
        name: None,
        approved: Some(approved.clone()),
        present: None,
    });
    gone.collect()
}
