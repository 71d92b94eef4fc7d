//! What is known of a request, all at once.

use std::{
    borrow::Cow,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use uuid::Uuid;

use super::{End, Trail};
use crate::session::Era;

/// What is known of a request, all at once: with what the call did that it went on with.
pub(crate) struct Account {
    pub(crate) id: Uuid,
    pub(crate) parent: Option<Uuid>,
    pub(crate) earlier: Option<Uuid>,
    pub(crate) era: Option<Era>,
    pub(crate) operation: Cow<'static, str>,
    pub(crate) target: String,
    pub(crate) upstream: Option<Arc<str>>,
    /// How often an upstream was looked for.
    pub(crate) attempts: u32,
    /// How much of it was kept from the client, while the rest was answered.
    pub(crate) withheld: u32,
    pub(crate) at: SystemTime,
    /// Until its end, or until now.
    pub(crate) duration: Duration,
    pub(crate) end: Option<End>,
}

impl Trail {
    pub(crate) fn account(&self) -> Account {
        let story = self.story();
        let earlier = story.earlier.as_deref();
        let tries = |trail: &Self| trail.tries.load(Ordering::Relaxed);
        let until = story.end.as_ref().map_or_else(std::time::Instant::now, |(_, at)| *at);
        Account {
            id: self.id,
            parent: self.parent,
            earlier: earlier.map(|earlier| earlier.id),
            era: story.era,
            operation: self.operation.clone(),
            target: story.target.clone(),
            upstream: story.upstream.clone().or_else(|| earlier?.story().upstream.clone()),
            attempts: tries(self) + earlier.map_or(0, tries),
            withheld: story.withheld + earlier.map_or(0, |earlier| earlier.story().withheld),
            at: self.at,
            duration: until - self.began,
            end: story.end.as_ref().map(|(end, _)| end.clone()),
        }
    }
}
