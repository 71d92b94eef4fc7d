//! What happened to a request: for the errors that the gateway makes, for the access log, and for whoever asks later why.

mod account;
mod begun;
mod end;
mod explained;
mod ids;
mod memory;

use std::{
    borrow::Cow,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Instant, SystemTime},
};

use json_rpc::{Members, Raw, Request};
use uuid::Uuid;

pub(crate) use begun::{Begun, timestamp};
pub(crate) use end::End;

use crate::{
    AccessLog,
    bridge::Client,
    session::{Era, Session},
};
use ids::Ids;
use memory::Memory;

/// Steps of one request that are remembered.
const MOST_STEPS: usize = 32;

/// Calls that a request made, as far as they are remembered.
const MOST_PARTS: usize = 16;

/// Longest step and longest target that are remembered, in bytes.
const LONGEST_STEP: usize = 512;
pub(crate) const LONGEST_TARGET: usize = 1024;
/// Longest message of an error that is remembered, in bytes.
const LONGEST_MESSAGE: usize = 2048;
const LONGEST_METHOD: usize = 128;

/// What happens to requests, and what happened to those that came last.
#[derive(Default)]
pub(crate) struct Trails {
    ids: Ids,
    memory: Memory,
    log: RwLock<Option<AccessLog>>,
}

/// What happens to one request.
#[derive(Debug)]
pub(crate) struct Trail {
    id: Uuid,
    /// The request that it is a part of: a batch's or pipeline's.
    parent: Option<Uuid>,
    /// Its method.
    operation: Cow<'static, str>,
    at: SystemTime,
    began: Instant,
    /// How often an upstream was looked for, and how often one was sent it.
    tries: AtomicU32,
    sent: AtomicU32,
    /// Where the last time: the replica's number from 1, where there are several.
    replica: AtomicU32,
    story: Mutex<Story>,
}

#[derive(Debug, Default)]
struct Story {
    era: Option<Era>,
    /// What it is about, as the client calls it.
    target: String,
    upstream: Option<Arc<str>>,
    /// The request that began the call with which this one goes on.
    earlier: Option<Arc<Trail>>,
    steps: Vec<Cow<'static, str>>,
    /// How much of it was kept from the client, while the rest was answered.
    withheld: u32,
    /// Calls that it made: those that came first, and how many there were.
    parts: Vec<Uuid>,
    made: usize,
    /// What it came to, and when: `None` while it is under way.
    end: Option<(End, Instant)>,
}

impl Trails {
    /// From now on requests are written down there.
    pub(crate) fn write_to(&self, log: Option<AccessLog>) {
        let mut present = self.log.write().unwrap_or_else(PoisonError::into_inner);
        let is_same = match (&*present, &log) {
            (Some(present), Some(log)) => present.is_same(log),
            (present, log) => present.is_none() && log.is_none(),
        };
        if !is_same {
            if let Some(log) = &log {
                log.take_over();
            }
            *present = log;
        }
    }

    /// Where requests are written down.
    pub(crate) fn log(&self) -> Option<AccessLog> {
        self.log.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A client's request has come.
    pub(crate) fn begin(&self, session: &Session, request: &Request) -> Begun<'_> {
        let operation = match &request.method {
            long if long.len() > LONGEST_METHOD => Cow::Owned(cut(long, LONGEST_METHOD).to_owned()),
            method => method.clone(),
        };
        let trail = Trail::new(self.ids.next(), operation, None);
        Begun::new(self, trail, session.origin(), request.params.as_ref())
    }

    /// A part of a request has begun: another call of a tool. Whoever makes it ends it with [`Begun::end`].
    pub(crate) fn part(&self, whole: &Trail, client: &Client, params: &Members) -> Begun<'_> {
        let trail = Trail::new(self.ids.next(), Cow::Borrowed("tools/call"), Some(whole.id));
        trail.story().era = whole.made(trail.id);
        let log = self.log();
        let params = log.is_some().then(|| params.to_raw());
        Begun::new(self, trail, client.session.origin(), params.as_ref())
    }

    /// What is remembered of the request of this id.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Trail>> {
        self.memory.find(id.parse().ok()?)
    }
}

impl Trail {
    fn new(id: Uuid, operation: Cow<'static, str>, parent: Option<Uuid>) -> Self {
        Self {
            id,
            parent,
            operation,
            at: SystemTime::now(),
            began: Instant::now(),
            tries: AtomicU32::new(0),
            sent: AtomicU32::new(0),
            replica: AtomicU32::new(0),
            story: Mutex::default(),
        }
    }

    /// It is a request of this era, with these parameters.
    pub(crate) fn asks(&self, is_modern: bool, params: &Members) {
        let mut story = self.story();
        story.era = Some(if is_modern { Era::Newer } else { Era::Older });
        // What has a name is looked up by it, and told there; tasks are not.
        if self.operation.starts_with("tasks/")
            && let Some(Ok(id)) = params.get("taskId").map(Raw::parse::<String>)
        {
            cut(&id, LONGEST_TARGET).clone_into(&mut story.target);
        }
    }

    /// What it is about, as the client calls it.
    pub(crate) fn is_about(&self, target: &str) {
        cut(target, LONGEST_TARGET).clone_into(&mut self.story().target);
    }

    /// Where it leads.
    pub(crate) fn leads_to(&self, upstream: &Arc<str>) {
        self.story().upstream = Some(upstream.clone());
    }

    /// An upstream is looked for that can take it: for the first time, or again.
    pub(crate) fn is_tried(&self) {
        self.tries.fetch_add(1, Ordering::Relaxed);
    }

    /// It is sent to its upstream, for the first time or again: to this replica, where there are several.
    pub(crate) fn is_sent(&self, replica: Option<u16>) {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.replica.store(replica.map_or(0, |replica| u32::from(replica) + 1), Ordering::Relaxed);
    }

    /// Something happened that whoever asks why wants to know.
    pub(crate) fn note(&self, step: impl Into<Cow<'static, str>>) {
        let mut step = step.into();
        let mut story = self.story();
        if story.steps.len() < MOST_STEPS {
            if step.len() > LONGEST_STEP {
                step = Cow::Owned(cut(&step, LONGEST_STEP).to_owned());
            }
            story.steps.push(step);
        }
    }

    /// This part of it is kept from the client, for this reason; the rest is not.
    pub(crate) fn withholds(&self, what: &str, why: &str) {
        self.note(format!("left out {:?}: {why}", cut(what, LONGEST_STEP / 2)));
        let mut story = self.story();
        story.withheld = story.withheld.saturating_add(1);
    }

    /// It made a call that has this id, and speaks the same era.
    fn made(&self, part: Uuid) -> Option<Era> {
        let mut story = self.story();
        story.made += 1;
        if story.parts.len() < MOST_PARTS {
            story.parts.push(part);
        }
        story.era
    }

    /// It goes on with a call that an earlier request began.
    pub(crate) fn continues(&self, earlier: Option<&Arc<Self>>) {
        self.story().earlier = earlier.cloned();
    }

    fn story(&self) -> MutexGuard<'_, Story> {
        self.story.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of nobody's requests.
impl Default for Trail {
    fn default() -> Self {
        Self::new(Uuid::nil(), Cow::Borrowed(""), None)
    }
}

/// The beginning of a text, at most this many bytes.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
