//! A request that is under way.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use jiff::Timestamp;
use json_rpc::Raw;
use uuid::Uuid;

use super::{End, Trail, Trails};
use crate::{
    access_log::{AccessLog, Entry},
    errors::{Answer, Fault},
    session::Origin,
};

/// A request that is under way. One that is dropped was cancelled.
pub(crate) struct Begun<'t> {
    trails: &'t Trails,
    trail: Arc<Trail>,
    /// Where it is to be written down, and what is known for that alone.
    log: Option<(AccessLog, Asked)>,
    is_over: bool,
}

/// What was asked, and by whom.
struct Asked {
    origin: Origin,
    bytes: usize,
    params: Option<Raw>,
}

impl<'t> Begun<'t> {
    pub(super) fn new(trails: &'t Trails, trail: Trail, origin: Origin, params: Option<&Raw>) -> Self {
        let log = trails.log().map(|log| {
            let bytes = params.map_or(0, |params| params.as_bytes().len());
            let params = params.filter(|_| log.wants_bodies()).cloned();
            (log, Asked { origin, bytes, params })
        });
        Self { trails, trail: Arc::new(trail), log, is_over: false }
    }

    /// Where it is noted what happens to it.
    pub(crate) fn trail(&self) -> &Arc<Trail> {
        &self.trail
    }

    /// It has come to this, which is returned: an error of the gateway knows then which request it is about.
    pub(crate) fn end(mut self, answer: Answer) -> Answer {
        self.is_over = true;
        let end = End::of(&answer);
        if let Err(Fault::Ours(refusal)) = &answer
            && let Some(upstream) = refusal.upstream()
        {
            self.trail.story().upstream.get_or_insert_with(|| upstream.clone());
        }
        self.settle(end, answer.as_ref().ok());
        answer.map_err(|fault| match fault {
            Fault::Ours(refusal) => refusal.within(self.trail.context()).into(),
            theirs @ Fault::Theirs(_) => theirs,
        })
    }

    fn settle(&mut self, end: End, result: Option<&Raw>) {
        let mut story = self.trail.story();
        let is_told = matches!(end, End::Ours { .. }) || story.withheld > 0;
        story.end = Some((end, Instant::now()));
        drop(story);
        if is_told || is_kept(&self.trail.operation) {
            self.trails.memory.keep(&self.trail);
        }
        if let Some((log, asked)) = self.log.take() {
            let output_bytes = result.map_or(0, |result| result.as_bytes().len());
            log.write(Entry {
                trail: self.trail.clone(),
                origin: asked.origin,
                input_bytes: asked.bytes,
                output_bytes,
                params: asked.params,
                result: result.filter(|_| log.wants_bodies()).cloned(),
            });
        }
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.settle(End::Cancelled, None);
        }
    }
}

impl Trail {
    /// What an error of the gateway tells of the request, as members of its `data`.
    fn context(&self) -> Vec<(&'static str, Raw)> {
        let account = self.account();
        let id = |id: Uuid| Raw::text(id.as_hyphenated().encode_lower(&mut [0; 36]));
        let mut context = vec![("operation", Raw::text(&account.operation)), ("request_id", id(account.id))];
        context.extend(account.upstream.map(|upstream| ("upstream", Raw::text(&upstream))));
        if !account.target.is_empty() {
            context.push(("target", Raw::text(&account.target)));
        }
        if account.attempts > 0 {
            context.push(("attempt", u64::from(account.attempts).into()));
        }
        context.extend(account.earlier.map(|earlier| ("earlier_request_id", id(earlier))));
        context.extend(account.parent.map(|parent| ("parent_request_id", id(parent))));
        context.extend(timestamp(SystemTime::now()).map(|time| ("time", Raw::text(&time))));
        context
    }
}

/// Whether somebody may want to know later what happened: to what leads to an upstream.
fn is_kept(method: &str) -> bool {
    matches!(method, "tools/call" | "prompts/get" | "resources/read" | "completion/complete")
}

/// As RFC 3339, to the millisecond.
pub(crate) fn timestamp(time: SystemTime) -> Option<String> {
    let time = Timestamp::try_from(time).ok()?;
    Some(format!("{time:.3}"))
}
