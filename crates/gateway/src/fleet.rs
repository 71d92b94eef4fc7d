//! The upstreams: connected, supervised, bounded, each on its own.
//!
//! ```text
//! Upstream ── gate (how many calls) ── attempts, balance (where, and whether again)
//!    └─ Pool, one for each replica ── Site (breaker, era, what changed)
//!          └─ Connection ── its keeper, a task: makes it, watches it, makes it again
//!                 └─ main: kept up, probed; reads the offer and hears of changes
//! ```

mod balance;
mod call;
mod capabilities;
mod changes;
mod clock;
mod connection;
mod desk;
mod failure;
mod gate;
mod host;
mod keeper;
mod offering;
mod party;
mod pool;
mod reading;
mod retry;
mod site;
mod stake;
mod supervision;
#[cfg(test)]
mod tests;
mod upstream;

use std::sync::Arc;

use async_trait::async_trait;
use auth::Caller;
use json_rpc::{Notification, Outcome, Raw};
use mcp_transport::Line;
use uuid::Uuid;

use crate::trail::Trail;

pub(crate) use call::CallError;
pub(crate) use party::LONGEST_QUESTION;
pub(crate) use upstream::Upstream;

/// On whose behalf a call is made.
#[derive(Debug, Clone)]
pub(crate) struct Behalf {
    /// The client's session; `None` for a request without one.
    pub(crate) session: Option<u64>,
    /// Whose key the client showed: connections that are for one client alone are never used by another's.
    pub(crate) owner: Caller,
    /// Whether the client speaks the newer era: a connection of the same era is preferred.
    pub(crate) is_modern: bool,
    /// What the client can do (its `capabilities`, an object): what servers of the older era are told.
    pub(crate) capabilities: Raw,
    /// Where it must be made, if that matters: there, or not at all.
    pub(crate) stay: Option<Place>,
    /// What happens to it is noted there.
    pub(crate) trail: Arc<Trail>,
    /// The client's request that it is a part of, if there may be other parts.
    pub(crate) whole: Option<Uuid>,
}

/// Which request a call belongs to, as far as that matters to whoever says something beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Origin {
    session: Option<u64>,
    whole: Option<Uuid>,
}

impl Behalf {
    fn origin(&self) -> Origin {
        Origin { session: self.session, whole: self.whole }
    }
}

/// Which replica of an upstream. What one client began at a place it finds there again, on the same connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place(pub(crate) u16);

/// Whether a request may be sent again when its answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It changes nothing, or nothing more: lists and reads, tools that say so.
    Allowed,
    /// Only when it was surely not delivered.
    Never,
}

/// What an upstream answered, and who it was.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) outcome: Outcome,
    /// Where that was; what belongs together goes there again.
    pub(crate) place: Place,
}

/// What upstreams tell their gateway.
#[async_trait]
pub(crate) trait Observer: Send + Sync + 'static {
    /// An upstream says that lists of it have changed, or may have changed unheard: they are going to be read again.
    fn may_have_changed(&self, _upstream: &str) {}

    /// What an upstream offers has changed, or is known now.
    fn offer_changed(&self, upstream: &str);

    /// A notification that belongs to no request: a log message, an updated resource, a task's status. Lists that changed are not
    /// told: they are read again.
    fn told(&self, upstream: &str, place: Place, audience: Audience, notification: Notification);

    /// Answers what an upstream asks outside of any request, when it is sure whose client is meant.
    async fn asked(&self, upstream: &str, session: u64, method: &str, params: Option<Raw>) -> Outcome;

    /// Whether somebody follows something there: its main connection is needed, though nobody calls.
    fn is_followed(&self, _upstream: &str, _place: Place) -> bool {
        false
    }

    /// Runs beside a connection for as long as it lives, and is dropped at its end. Requests that it makes pass by the bounds of the
    /// upstream.
    async fn attend(&self, connected: &Connected);
}

/// Whom something can be for that an upstream tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// The connection is this session's own, or only its calls are under way, or were a moment ago.
    Session(u64),
    /// Nothing is under way, or was a moment ago; or it concerns whoever knows what it names.
    Everybody,
    /// Several clients' calls are under way, or were a moment ago: it may be about what one of them does.
    Several,
}

/// A connection that has been made.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) upstream: Arc<str>,
    pub(crate) place: Place,
    pub(crate) line: Arc<Line>,
    /// Whether it is the one of its place that is always kept up.
    pub(crate) is_main: bool,
}
