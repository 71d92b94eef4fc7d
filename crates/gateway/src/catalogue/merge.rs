//! Makes one catalogue of many offers.

use std::{collections::HashSet, time::Duration};

use json_rpc::{Members, Raw};

use super::{
    Catalogue, Kind, Part, Route, Source, capabilities,
    names::{self, Head, Own, Sort},
    notes::Notes,
    shelf::{CacheHints, Entry, Shelf},
    tool,
    uris::{self, Home, Uris},
};
use crate::catalogue::Item;

/// An item, taken apart.
struct Unit<'p> {
    /// The place of its part.
    place: usize,
    item: &'p Item,
    members: Members,
}

pub(super) fn merge(parts: &[Part], separator: &str) -> Catalogue {
    let mut parts: Vec<&Part> = parts.iter().collect();
    parts.sort_by(|a, b| a.upstream.cmp(&b.upstream));
    let mut notes = Notes::default();
    let head = |part: &&Part| Head::new(&part.upstream, &part.prefix, separator, &mut notes);
    let heads: Vec<Head> = parts.iter().map(head).collect();
    let uris = resources(&parts, &mut notes);
    let tools = named(&parts, &heads, Kind::Tools, &uris, &mut notes);
    let prompts = named(&parts, &heads, Kind::Prompts, &uris, &mut notes);

    let told = || parts.iter().filter_map(|part| part.offer.capabilities.as_ref());
    let is_complete = !parts.is_empty() && parts.iter().all(|part| part.offer.is_known);
    Catalogue {
        legacy_capabilities: capabilities::united(told(), is_complete, false),
        modern_capabilities: capabilities::united(told(), is_complete, true),
        sources: parts.iter().zip(heads).map(|(part, head)| source(part, head)).collect(),
        tools,
        prompts,
        uris,
        notes,
    }
}

fn source(part: &Part, head: Head) -> Source {
    Source {
        upstream: part.upstream.clone(),
        head,
        is_known: part.offer.is_known,
        instructions: part.offer.instructions.clone(),
    }
}

/// Tools or prompts, under names that are nobody else's.
fn named(parts: &[&Part], heads: &[Head], kind: Kind, uris: &Uris, notes: &mut Notes) -> Shelf {
    let units = units(parts, kind, notes);
    let sort = if kind == Kind::Tools { Sort::Tool } else { Sort::Prompt };
    let names = names::assign(heads, sort, &owned(&units), notes);
    let entries = units.into_iter().zip(names).map(|(unit, name)| {
        let upstream = &parts[unit.place].upstream;
        let mut route = Route::to(upstream.clone(), &unit.item.key);
        let mut raw = renamed(&unit, "name", &name);
        if kind == Kind::Tools {
            route.hints = tool::hints(&unit.members);
            match tool::mirrored(&unit.members) {
                Ok(mirrored) if !mirrored.is_empty() => route.mirrored = mirrored.into(),
                Ok(_) => {}
                Err(why) => notes.add(format!("no header repeats arguments of {name:?}: {why}")),
            }
            if let Some(pointed) = tool::pointing(&raw, |uri| uris.public(upstream, uri)) {
                raw = pointed;
            }
        }
        Entry { name: name.into(), raw, route }
    });
    let entries = entries.collect();
    Shelf::new(kind, entries, hints(parts, kind))
}

/// Resources and templates, under URIs that lead back.
fn resources(parts: &[&Part], notes: &mut Notes) -> Uris {
    let resources = units(parts, Kind::Resources, notes);
    let templates = units(parts, Kind::Templates, notes);
    let upstreams: Vec<&str> = parts.iter().map(|part| &*part.upstream).collect();
    let marks = uris::marks(&upstreams, &[owned(&resources), owned(&templates)].concat());
    let mut shelve = |kind, member, units: Vec<Unit<'_>>| {
        let names = uris::assign(kind, &marks, &owned(&units));
        let entries = units.into_iter().zip(names).map(|(unit, name)| {
            let upstream = &parts[unit.place].upstream;
            if name != unit.item.key {
                let own = &unit.item.key;
                notes.add(format!(
                    "{own:?} of upstream {upstream:?} is {name:?}: another upstream has it too"
                ));
            }
            let raw = renamed(&unit, member, &name);
            Entry { name: name.into(), raw, route: Route::to(upstream.clone(), &unit.item.key) }
        });
        let entries = entries.collect();
        Shelf::new(kind, entries, hints(parts, kind))
    };
    let resources = shelve(Kind::Resources, "uri", resources);
    let templates = shelve(Kind::Templates, "uriTemplate", templates);
    let homes = parts.iter().zip(marks).filter(|(part, _)| can(part, "resources"));
    let homes = homes.map(|(part, mark)| Home { upstream: part.upstream.clone(), mark }).collect();
    Uris::new(resources, templates, homes)
}

/// All items of a kind that can be read and are not in the list twice.
fn units<'p>(parts: &[&'p Part], kind: Kind, notes: &mut Notes) -> Vec<Unit<'p>> {
    let mut units = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        let items = &part.offer.listing(kind).items;
        let mut seen = HashSet::with_capacity(items.len());
        for item in items {
            let (key, upstream) = (&item.key, &part.upstream);
            match Members::of(&item.raw) {
                Err(why) => {
                    notes.add(format!("{key:?} of upstream {upstream:?} is left out: {why}"));
                }
                Ok(_) if !seen.insert(key) => {
                    notes
                        .add(format!("upstream {upstream:?} lists {key:?} more than once: the first counts"));
                }
                Ok(members) => units.push(Unit { place, item, members }),
            }
        }
    }
    units
}

fn owned<'u>(units: &'u [Unit<'_>]) -> Vec<Own<'u>> {
    units.iter().map(|unit| (unit.place, unit.item.key.as_str())).collect()
}

/// The item under its public name. All else stays, and all of it where the name is the same.
fn renamed(unit: &Unit<'_>, member: &str, name: &str) -> Raw {
    if unit.item.key == name {
        return unit.item.raw.clone();
    }
    let mut members = unit.members.clone();
    members.set(member, Raw::text(name));
    members.to_raw()
}

/// The shortest time to live, and private if one is. Whoever says nothing may change at any time.
fn hints(parts: &[&Part], kind: Kind) -> CacheHints {
    let member = match kind {
        Kind::Tools => "tools",
        Kind::Prompts => "prompts",
        Kind::Resources | Kind::Templates => "resources",
    };
    let listings = parts.iter().filter(|part| !part.offer.is_known || can(part, member));
    let each = listings.map(|part| {
        let listing = part.offer.listing(kind);
        let time_to_live = listing.time_to_live.filter(|_| part.offer.is_known);
        CacheHints {
            is_private: listing.is_private || time_to_live.is_none(),
            time_to_live: time_to_live.unwrap_or(Duration::ZERO),
        }
    });
    let strictest = each.reduce(|a, b| CacheHints {
        time_to_live: a.time_to_live.min(b.time_to_live),
        is_private: a.is_private || b.is_private,
    });
    strictest.unwrap_or(CacheHints { time_to_live: Duration::ZERO, is_private: true })
}

/// Whether an upstream has this capability, or lists what belongs to it.
fn can(part: &Part, capability: &str) -> bool {
    let told = part.offer.capabilities.as_ref().and_then(|told| Members::of(told).ok());
    let lists = match capability {
        "tools" => !part.offer.tools.items.is_empty(),
        "prompts" => !part.offer.prompts.items.is_empty(),
        _ => !part.offer.resources.items.is_empty() || !part.offer.templates.items.is_empty(),
    };
    lists || told.is_some_and(|told| told.get(capability).is_some())
}
