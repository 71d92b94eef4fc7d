//! Makes one catalogue of many offers.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use json_rpc::{Members, Raw};

use super::{
    Catalogue, Hints, Item, Kind, Manner, Offer, Part, Route, Source, capabilities,
    guard::{AllWithheld, Guard, Keeper, Withheld},
    names::{self, Head, Own, Sort},
    notes::Notes,
    shelf::{CacheHints, Entry, Shelf},
    template::Template,
    tool, unfitting,
    uris::{self, Home, Pattern, RenamedTemplate, Sorted, Uris},
};
use crate::{
    Expose, Filter,
    own::{GATEWAY, SHOWN_IN_SEARCH},
    rules::{self, Judge},
};

/// An item, taken apart.
struct Unit<'p> {
    /// The place of its part.
    place: usize,
    item: &'p Item,
    members: Members,
    /// The name that the rules give it.
    renamed: Option<&'p str>,
    /// Why clients do not get it.
    withheld: Option<(Keeper, String)>,
}

/// What is put together.
struct Parts<'p> {
    /// In the order of the upstreams' names.
    all: Vec<&'p Part>,
    heads: Vec<Head>,
    judges: Vec<Arc<Judge>>,
    manner: &'p Manner<'p>,
}

pub(super) fn merge(parts: &[Part], manner: &Manner<'_>) -> Catalogue {
    let mut all: Vec<&Part> = parts.iter().collect();
    all.sort_by(|a, b| a.upstream.cmp(&b.upstream));
    let mut notes = Notes::default();
    let head = |part: &&Part| Head::new(&part.upstream, &part.prefix, manner.separator, &mut notes);
    let heads: Vec<Head> = all.iter().map(head).collect();
    let judges = all.iter().map(|part| Judge::new(&part.rules).into()).collect();
    let parts = Parts { all, heads, judges, manner };
    let uris = parts.resources(&mut notes);
    let tools = parts.named(Kind::Tools, &uris, &mut notes);
    let prompts = parts.named(Kind::Prompts, &uris, &mut notes);
    parts.all.iter().for_each(|part| unfitting::note(part, &mut notes));

    let Parts { all: parts, heads, judges, .. } = parts;
    let has_own = manner.own.iter().next().is_some();
    let told = || parts.iter().filter_map(|part| part.offer.capabilities.as_ref());
    let is_complete = !parts.is_empty() && parts.iter().all(|part| part.offer.is_known);
    Catalogue {
        legacy_capabilities: capabilities::united(told(), has_own, is_complete, false),
        modern_capabilities: capabilities::united(told(), has_own, is_complete, true),
        sources: parts.iter().zip(heads).zip(judges).map(source).collect(),
        own: manner.own.iter().count(),
        tools: tools.shelf,
        withheld_tools: tools.withheld,
        prompts: prompts.shelf,
        withheld_prompts: prompts.withheld,
        uris,
        notes,
    }
}

fn source(((part, head), judge): ((&&Part, Head), Arc<Judge>)) -> Source {
    Source {
        upstream: part.upstream.clone(),
        head,
        is_known: part.offer.is_known,
        instructions: part.offer.instructions.clone(),
        judge,
    }
}

impl Parts<'_> {
    /// Tools or prompts, under names that are nobody else's. They are named before anything is withheld: so a rule that refuses
    /// one never changes the name of another, but where a rule gives it that name.
    fn named(&self, kind: Kind, uris: &Uris, notes: &mut Notes) -> Sorted {
        let units = self.units(kind, notes);
        let (sort, reserved) = match kind {
            Kind::Tools => (Sort::Tool, self.manner.own.iter().map(|tool| tool.name()).collect()),
            _ => (Sort::Prompt, HashSet::new()),
        };
        let names = names::assign(&self.heads, sort, &reserved, &owned(&units), notes);
        let (mut entries, mut withheld) = (Vec::with_capacity(units.len()), AllWithheld::new());
        for (unit, name) in units.into_iter().zip(names) {
            match &unit.withheld {
                Some((by, why)) => drop(withheld.insert(name.into(), self.withheld(&unit, *by, why))),
                None => entries.push(self.entry(kind, &unit, &name, uris, notes)),
            }
        }
        let hints = hints(&self.all, kind);
        if kind != Kind::Tools {
            return Sorted { shelf: Shelf::new(kind, entries, hints), withheld };
        }
        let own = self.own(&entries);
        let is_shown = |entry: &&Entry| SHOWN_IN_SEARCH.contains(&&*entry.name);
        let shown = match self.manner.expose {
            Expose::All => own.len() + entries.len(),
            Expose::Search => own.iter().filter(is_shown).count(),
        };
        let all = own.into_iter().chain(entries).collect();
        Sorted { shelf: Shelf::new(kind, all, hints).showing(shown), withheld }
    }

    /// A tool or prompt as clients get it.
    fn entry(&self, kind: Kind, unit: &Unit<'_>, name: &str, uris: &Uris, notes: &mut Notes) -> Entry {
        let upstream = &self.all[unit.place].upstream;
        let mut route = Route::to(upstream.clone(), &unit.item.key);
        let mut raw = renamed(unit, "name", name);
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
    }

    /// The gateway's own tools, those that search first.
    fn own(&self, others: &[Entry]) -> Vec<Entry> {
        let mut known: HashMap<&str, Hints> =
            others.iter().map(|entry| (&*entry.name, entry.route.hints)).collect();
        let mut own = Vec::new();
        for tool in self.manner.own.iter() {
            let (raw, hints) = tool.definition(&|name| known.get(name).copied());
            known.insert(tool.name(), hints);
            let route = Route { hints, ..Route::to(GATEWAY.into(), tool.name()) };
            own.push(Entry { name: tool.name().into(), raw, route });
        }
        let rank = |entry: &Entry| SHOWN_IN_SEARCH.iter().position(|name| **name == *entry.name);
        own.sort_by_key(|entry| rank(entry).unwrap_or(SHOWN_IN_SEARCH.len()));
        own
    }

    /// Resources and templates, under URIs that lead back.
    fn resources(&self, notes: &mut Notes) -> Uris {
        let resources = self.units(Kind::Resources, notes);
        let templates = self.units(Kind::Templates, notes);
        let upstreams: Vec<&str> = self.all.iter().map(|part| &*part.upstream).collect();
        let marks = uris::marks(&upstreams, &[owned(&resources), owned(&templates)].concat());
        let uris = uris::assign(Kind::Resources, &marks, &owned(&resources));
        let texts = uris::assign(Kind::Templates, &marks, &owned(&templates));
        let (homes, patterns) = self.homes(&marks, (&resources, &uris), (&templates, &texts));
        let resources = self.sorted(Kind::Resources, resources, uris, notes);
        let templates = self.sorted(Kind::Templates, templates, texts, notes);
        Uris::new(resources, templates, homes, patterns)
    }

    /// The upstreams that have resources, and all templates as clients know them.
    fn homes(
        &self,
        marks: &[String],
        resources: (&[Unit<'_>], &[String]),
        templates: (&[Unit<'_>], &[String]),
    ) -> (Vec<Home>, Vec<Pattern>) {
        let home = |(place, (part, mark)): (usize, (&&Part, &String))| {
            let keys = |units| keys(units, place);
            let guard = Guard::new(&self.judges[place], keys(resources.0), keys(templates.0));
            can(part, "resources").then(|| Home::new(part.upstream.clone(), mark.clone(), guard))
        };
        let mut homes: Vec<Option<Home>> = self.all.iter().zip(marks).enumerate().map(home).collect();
        let renamed = resources.0.iter().zip(resources.1).filter(|(unit, _)| unit.renamed.is_some());
        for (unit, uri) in renamed {
            if let Some(home) = &mut homes[unit.place] {
                home.renamed.insert(unit.item.key.as_str().into(), uri.as_str().into());
            }
        }
        let mut patterns = Vec::with_capacity(templates.0.len());
        for (unit, text) in templates.0.iter().zip(templates.1) {
            let mut back = None;
            if unit.renamed.is_some()
                && let Some(home) = &mut homes[unit.place]
                && let Some(template) = RenamedTemplate::new(&unit.item.key, unit.wanted(), text)
            {
                back = Some(template.back.clone());
                home.templates.push(template);
            }
            if text == unit.wanted() {
                let upstream = self.all[unit.place].upstream.clone();
                patterns.push(Pattern { template: Template::new(text), upstream, back });
            }
        }
        (homes.into_iter().flatten().collect(), patterns)
    }

    fn sorted(&self, kind: Kind, units: Vec<Unit<'_>>, names: Vec<String>, notes: &mut Notes) -> Sorted {
        let member = if kind == Kind::Templates { "uriTemplate" } else { "uri" };
        let (mut entries, mut withheld) = (Vec::with_capacity(units.len()), AllWithheld::new());
        for (unit, name) in units.into_iter().zip(names) {
            let (upstream, key) = (&self.all[unit.place].upstream, &unit.item.key);
            if name != unit.wanted() {
                notes.add(format!("{key:?} of upstream {upstream:?} is {name:?}: another one has it too"));
            }
            match &unit.withheld {
                Some((by, why)) => drop(withheld.insert(name.into(), self.withheld(&unit, *by, why))),
                None => {
                    let raw = renamed(&unit, member, &name);
                    entries.push(Entry { name: name.into(), raw, route: Route::to(upstream.clone(), key) });
                }
            }
        }
        Sorted { shelf: Shelf::new(kind, entries, hints(&self.all, kind)), withheld }
    }

    fn withheld(&self, unit: &Unit<'_>, by: Keeper, why: &str) -> Withheld {
        let upstream = self.all[unit.place].upstream.clone();
        Withheld { upstream, name: unit.item.key.as_str().into(), by, why: why.to_owned() }
    }

    /// All items of a kind that can be read and are not in the list twice.
    fn units(&self, kind: Kind, notes: &mut Notes) -> Vec<Unit<'_>> {
        let mut units = Vec::new();
        for (place, part) in self.all.iter().enumerate() {
            let items = &part.offer.listing(kind).items;
            let mut seen = HashSet::with_capacity(items.len());
            let others = self.elsewhere(part, kind);
            for item in items {
                let (key, upstream) = (&item.key, &part.upstream);
                match Members::of(&item.raw) {
                    Err(why) => {
                        notes.add(format!("{key:?} of upstream {upstream:?} is left out: {why}"));
                    }
                    Ok(_) if !seen.insert(key) => {
                        notes.add(format!(
                            "upstream {upstream:?} lists {key:?} more than once: the first counts"
                        ));
                    }
                    Ok(members) => {
                        let renamed = other_name(part, kind, key, notes);
                        let withheld = self.why_withheld(place, kind, item, &others);
                        units.push(Unit { place, item, members, renamed, withheld });
                    }
                }
            }
        }
        units
    }

    /// Tools as replicas define them that have others, by names, for pins.
    fn elsewhere<'p>(&self, part: &'p Part, kind: Kind) -> Vec<HashMap<&'p str, &'p Raw>> {
        if kind != Kind::Tools || self.manner.pins.is_none() {
            return Vec::new();
        }
        let tools = |offer: &'p Arc<Offer>| {
            let tools = offer.tools.items.iter().rev(); // the first of a name counts
            tools.map(|item| (item.key.as_str(), &item.raw)).collect()
        };
        part.others.iter().map(tools).collect()
    }

    /// The rule or the pin that keeps an item from clients.
    fn why_withheld(
        &self,
        place: usize,
        kind: Kind,
        item: &Item,
        others: &[HashMap<&str, &Raw>],
    ) -> Option<(Keeper, String)> {
        if let Some(why) = self.judges[place].judge(kind, &item.key).reason_to_refuse(kind) {
            return Some((Keeper::Rules, why));
        }
        let pins = self.manner.pins.filter(|_| kind == Kind::Tools)?;
        let withholds = |raw| pins.withholds(&self.all[place].upstream, &item.key, raw);
        if let Some(why) = withholds(&item.raw) {
            return Some((Keeper::Pins, why.to_owned()));
        }
        let elsewhere = others.iter().filter_map(|tools| tools.get(item.key.as_str()));
        elsewhere.filter(|raw| ***raw != item.raw).find_map(|raw| {
            withholds(raw)?;
            let why = "a replica of its upstream defines it otherwise than it was approved: see `mcp-gateway pins diff`";
            Some((Keeper::Pins, why.to_owned()))
        })
    }
}

/// The name that the rules give an item.
fn other_name<'p>(part: &'p Part, kind: Kind, key: &str, notes: &mut Notes) -> Option<&'p str> {
    let other = part.rules.of(kind).rename.get(key).filter(|other| *other != key)?;
    if kind == Kind::Templates
        && let Err(why) = Filter::check_template_rename(key, other)
    {
        let (upstream, of) = (&part.upstream, rules::setting(kind));
        notes.add(format!(
            "{key:?} of upstream {upstream:?} keeps its text, whatever {of}.rename says: {why}"
        ));
        return None;
    }
    Some(other)
}

impl Unit<'_> {
    /// What its public name is made of.
    fn wanted(&self) -> &str {
        self.renamed.unwrap_or(&self.item.key)
    }
}

/// The names of all that this part has.
fn keys<'u>(units: &'u [Unit<'_>], place: usize) -> impl Iterator<Item = &'u str> {
    units.iter().filter(move |unit| unit.place == place).map(|unit| unit.item.key.as_str())
}

fn owned<'u>(units: &'u [Unit<'_>]) -> Vec<Own<'u>> {
    let own = |unit: &'u Unit<'_>| Own {
        place: unit.place,
        key: &unit.item.key,
        renamed: unit.renamed,
        is_refused: matches!(unit.withheld, Some((Keeper::Rules, _))),
    };
    units.iter().map(own).collect()
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
