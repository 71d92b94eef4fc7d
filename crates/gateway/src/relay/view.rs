//! The upstreams and what they offer together, at one moment.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    Expose, Pins, UpstreamHealth, UpstreamSettings,
    cache::Epoch,
    catalogue::{Catalogue, Manner, Offer, Part},
    fleet::{CallError, Upstream},
    own::{OwnTools, search::Search},
};

/// The upstreams and what they offer, at one moment. Immutable: what changes makes another one.
pub(crate) struct View {
    pub(crate) members: BTreeMap<Arc<str>, Member>,
    pub(crate) catalogue: Catalogue,
    pub(crate) own: OwnTools,
    /// Finds tools, where clients do not see them all.
    pub(crate) search: Option<Search>,
    pub(super) frame: Arc<Frame>,
}

/// What is the same for all upstreams.
#[derive(Default)]
pub(super) struct Frame {
    pub(super) separator: String,
    pub(super) expose: Expose,
    pub(super) own: OwnTools,
    pub(super) pins: Option<Arc<Pins>>,
}

/// One upstream, and how it is used.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) settings: Arc<UpstreamSettings>,
    /// Answers from before it are not kept.
    pub(crate) epoch: Epoch,
    /// What it offered before its settings changed, until it tells anew.
    pub(super) before: Option<Arc<Offer>>,
}

impl Member {
    pub(crate) fn offer(&self) -> Arc<Offer> {
        let offer = self.upstream.offer();
        match &self.before {
            Some(before) if !offer.is_known => before.clone(),
            _ => offer,
        }
    }

    /// Why nothing that it may offer can be used: it has not told what that is.
    pub(crate) fn unavailable(&self) -> CallError {
        let UpstreamHealth { name, last_error, .. } = self.upstream.health();
        let reason = last_error.unwrap_or_else(|| "it has not told yet what it offers".to_owned());
        CallError::Unreachable { upstream: name.into(), reason }
    }
}

impl View {
    pub(super) fn of(members: BTreeMap<Arc<str>, Member>, frame: Arc<Frame>) -> Self {
        let catalogue = Self::merge(&members, &frame, frame.pins.as_deref());
        let search = (frame.expose == Expose::Search).then(|| Search::of(&catalogue));
        Self { members, catalogue, own: frame.own.clone(), search, frame }
    }

    /// Whether anything of this upstream may be kept from clients, by rules or because it is not approved.
    fn is_restricted(&self, upstream: &str) -> bool {
        self.frame.pins.is_some() || self.catalogue.is_ruled(upstream)
    }

    /// Where a method goes that the gateway does not know, or why it goes nowhere.
    pub(crate) fn home_of_method(&self, method: &str) -> Result<&Member, &'static str> {
        let mut named = self.members.values().filter(|member| member.settings.rules.passes_on(method));
        match (named.next(), named.next()) {
            (Some(member), None) => return Ok(member),
            (Some(_), Some(_)) => {
                return Err(
                    "the gateway does not know this method, and `methods` of several upstreams name it",
                );
            }
            (None, _) => {}
        }
        let sole = self.catalogue.sole().and_then(|name| self.members.get(&name)).ok_or(
            "the gateway does not know this method, and has not just one upstream to ask: name it in `methods` of the one that it is for",
        )?;
        if sole.settings.rules.methods.is_some() {
            return Err(
                "the gateway does not know this method, and `methods` of its upstream do not name it",
            );
        }
        if self.is_restricted(sole.upstream.name()) {
            return Err(
                "the gateway does not know this method, and cannot apply rules and pins to it: name it in `methods` of its upstream to pass it on all the same",
            );
        }
        Ok(sole)
    }

    /// What would be offered if every tool were approved.
    pub(crate) fn without_pins(&self) -> Catalogue {
        Self::merge(&self.members, &self.frame, None)
    }

    fn merge(members: &BTreeMap<Arc<str>, Member>, frame: &Frame, pins: Option<&Pins>) -> Catalogue {
        let parts = members.iter().map(|(name, member)| Part {
            upstream: name.clone(),
            prefix: member.settings.prefix.clone().unwrap_or_else(|| name.to_string()),
            offer: member.offer(),
            others: if pins.is_some() { member.upstream.other_offers() } else { Vec::new() },
            rules: member.settings.rules.clone(),
        });
        let manner = Manner { separator: &frame.separator, own: &frame.own, expose: frame.expose, pins };
        Catalogue::merge(&parts.collect::<Vec<_>>(), &manner)
    }
}
