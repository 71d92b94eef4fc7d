//! What clients want to hear from one upstream.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::level::Level;
use crate::{errors::Fault, fleet::Place};

/// Something that can be followed at an upstream, by the name that it has there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// A resource, by its URI.
    Resource(Arc<str>),
    /// A task, by the replica that has it and its id there.
    Task(Place, Arc<str>),
}

impl Topic {
    /// Whether this replica can tell of it.
    fn is_at(&self, place: Place) -> bool {
        match self {
            Self::Resource(_) => true,
            Self::Task(its, _) => *its == place,
        }
    }
}

/// One who is told: a session of the older era, or a stream of the newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Hearer {
    Session(u64),
    Stream(u64),
}

/// The name under which a hearer is told of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    /// The one by which it follows just this.
    Own(Arc<str>),
    /// It follows the whole of which this is a part: the name by which it follows that.
    PartOf(Arc<str>),
}

/// What clients want to hear from one upstream. Whoever attends to a connection follows the changes.
pub(crate) struct Wishes {
    inside: Mutex<Inside>,
    /// Counts the changes.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Inside {
    topics: BTreeMap<Topic, Wish>,
    /// Connections that tell of topics, by their numbers, and where they lead.
    sources: BTreeMap<u64, Place>,
    /// The least log messages that anybody wants; `None` while nobody has said.
    level: Option<Level>,
    /// What connections of the older era were told last, by their numbers.
    told: HashMap<u64, Option<Level>>,
    connections: u64,
}

#[derive(Default)]
struct Wish {
    /// Who wants it, and the name by which they know it.
    hearers: Vec<(Hearer, Arc<str>)>,
    /// What was said to it on connections that there are, by their numbers.
    answers: HashMap<u64, Result<(), Fault>>,
}

enum Standing<'a> {
    Wanted,
    Held,
    Refused(&'a Fault),
}

impl Wish {
    /// How it stands. What one replica does not know another one may.
    fn standing(&self, topic: &Topic, sources: &BTreeMap<u64, Place>) -> Standing<'_> {
        if self.answers.values().any(Result::is_ok) {
            return Standing::Held;
        }
        let mut refused = None;
        for (number, _) in sources.iter().filter(|(_, place)| topic.is_at(**place)) {
            match self.answers.get(number) {
                Some(Err(error)) => refused = Some(error),
                _ => return Standing::Wanted,
            }
        }
        refused.map_or(Standing::Wanted, Standing::Refused)
    }
}

/// A connection that tells of topics, for as long as it lives.
pub(crate) struct Source<'a> {
    wishes: &'a Wishes,
    number: u64,
    place: Place,
}

impl Default for Wishes {
    fn default() -> Self {
        Self { inside: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl Wishes {
    /// Somebody wants to follow this.
    pub(crate) fn add(&self, topic: Topic, hearer: Hearer, here: Arc<str>) {
        {
            let mut inside = self.inside();
            let wish = inside.topics.entry(topic).or_default();
            // Who refused is asked again.
            wish.answers.retain(|_, answer| answer.is_ok());
            if !wish.hearers.iter().any(|(known, _)| *known == hearer) {
                wish.hearers.push((hearer, here));
            }
        }
        self.changed();
    }

    /// Somebody does not want to follow this any more.
    pub(crate) fn remove(&self, topic: &Topic, hearer: Hearer) {
        let is_last = {
            let mut inside = self.inside();
            let Some(wish) = inside.topics.get_mut(topic) else { return };
            wish.hearers.retain(|(known, _)| *known != hearer);
            wish.hearers.is_empty() && inside.topics.remove(topic).is_some()
        };
        if is_last {
            self.changed();
        }
    }

    /// A connection to this replica tells of topics from now on.
    pub(crate) fn source(&self, place: Place) -> Source<'_> {
        let mut inside = self.inside();
        inside.connections += 1;
        let number = inside.connections;
        inside.sources.insert(number, place);
        drop(inside);
        self.changed();
        Source { wishes: self, number, place }
    }

    /// Whether anything that this replica can tell of is followed.
    pub(crate) fn is_followed(&self, place: Place) -> bool {
        self.inside().topics.keys().any(|topic| topic.is_at(place))
    }

    /// The upstream has agreed to tell of this on the connection of this number, or refused with this error.
    pub(crate) fn settle(&self, source: u64, topic: &Topic, answer: Result<(), Fault>) {
        {
            let mut inside = self.inside();
            if !inside.sources.contains_key(&source) {
                return;
            }
            let Some(wish) = inside.topics.get_mut(topic) else { return };
            wish.answers.insert(source, answer);
        }
        self.changed();
    }

    /// Waits until the upstream has agreed to tell of this, or refused.
    pub(crate) async fn settled(&self, topic: &Topic) -> Result<(), Fault> {
        let mut changes = self.changes();
        loop {
            {
                let inside = self.inside();
                match inside.topics.get(topic).map(|wish| wish.standing(topic, &inside.sources)) {
                    Some(Standing::Wanted) => {}
                    Some(Standing::Refused(error)) => return Err(error.clone()),
                    Some(Standing::Held) | None => return Ok(()),
                }
            }
            // The sender lives as long as `self`.
            let _ = changes.changed().await;
        }
    }

    /// Who wants to hear of this, each once, and by which name they know it. In the older era servers may tell of a part of what was
    /// subscribed to; in the newer clients want to hear of what was agreed on alone.
    pub(crate) fn hearers(&self, topic: &Topic) -> Vec<(Hearer, Name)> {
        let inside = self.inside();
        let own = inside.topics.get(topic).into_iter().flat_map(|wish| &wish.hearers);
        let mut told: Vec<_> = own.map(|(hearer, here)| (*hearer, Name::Own(here.clone()))).collect();
        let Topic::Resource(uri) = topic else { return told };
        let mut known: HashSet<_> = told.iter().map(|(hearer, _)| *hearer).collect();
        let holds = |(whole, _): &(&Topic, &Wish)| {
            let Topic::Resource(whole) = whole else { return false };
            uri.strip_prefix(&**whole).is_some_and(|rest| whole.ends_with('/') || rest.starts_with('/'))
        };
        for (hearer, here) in inside.topics.iter().filter(holds).flat_map(|(_, wish)| &wish.hearers) {
            if matches!(hearer, Hearer::Session(_)) && known.insert(*hearer) {
                told.push((*hearer, Name::PartOf(here.clone())));
            }
        }
        told
    }

    /// Somebody wants log messages of this level from now on, or all want them of no less than this.
    pub(crate) fn set_level(&self, level: Level) {
        self.inside().level = Some(level);
        self.changed();
    }

    /// The least log messages that anybody wants.
    pub(crate) fn level(&self) -> Option<Level> {
        self.inside().level
    }

    /// A connection that must be told the level: its number. It knows none yet.
    pub(crate) fn connected(&self) -> u64 {
        let mut inside = self.inside();
        inside.connections += 1;
        let number = inside.connections;
        inside.told.insert(number, None);
        number
    }

    /// A connection was told this level.
    pub(crate) fn told(&self, connection: u64, level: Level) {
        self.inside().told.insert(connection, Some(level));
        self.changed();
    }

    /// A connection has ended.
    pub(crate) fn disconnected(&self, connection: u64) {
        self.inside().told.remove(&connection);
        self.changed();
    }

    /// Waits until every connection was told to say what is of this level.
    pub(crate) async fn level_told(&self, level: Level) {
        let mut changes = self.changes();
        while !self.inside().told.values().all(|told| told.is_some_and(|told| told <= level)) {
            // The sender lives as long as `self`.
            let _ = changes.changed().await;
        }
    }

    /// Tells of changes from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source<'_> {
    /// All that is to be followed here, but for what was refused here.
    pub(crate) fn wanted(&self) -> BTreeSet<Topic> {
        let inside = self.wishes.inside();
        let is_wanted = |topic: &Topic, wish: &Wish| {
            topic.is_at(self.place) && !matches!(wish.answers.get(&self.number), Some(Err(_)))
        };
        let wanted = inside.topics.iter().filter(|(topic, wish)| is_wanted(topic, wish));
        wanted.map(|(topic, _)| topic.clone()).collect()
    }

    /// The upstream has agreed to tell of this here, or refused with this error.
    pub(crate) fn settle(&self, topic: &Topic, answer: Result<(), Fault>) {
        self.wishes.settle(self.number, topic, answer);
    }

    /// The upstream has refused this here, together with all else that it was asked for. What it has agreed to before stays: what was
    /// too much may be something else. Whether this was not settled yet.
    pub(crate) fn refuse(&self, topic: &Topic, error: &Fault) -> bool {
        {
            let mut inside = self.wishes.inside();
            let Some(wish) = inside.topics.get_mut(topic) else { return false };
            if wish.answers.contains_key(&self.number) {
                return false;
            }
            wish.answers.insert(self.number, Err(error.clone()));
        }
        self.wishes.changed();
        true
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

/// What was agreed on a connection ends with it.
impl Drop for Source<'_> {
    fn drop(&mut self) {
        {
            let mut inside = self.wishes.inside();
            inside.sources.remove(&self.number);
            for wish in inside.topics.values_mut() {
                wish.answers.remove(&self.number);
            }
        }
        self.wishes.changed();
    }
}
