//! One replica, whichever connection it is reached by: whether it may be called, and what it speaks.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use mcp_transport::{ConnectError, Era};
use resilience::{CircuitBreaker, Pass};
use tokio::time::Instant;

use super::{
    Place,
    changes::Changes,
    desk::{Desk, lock},
    failure::{Down, DownKind},
};
use crate::{Replica, catalogue::Kind};

/// One replica.
pub(super) struct Site {
    pub(super) desk: Arc<Desk>,
    pub(super) place: Place,
    pub(super) replica: Replica,
    /// Which lists have to be read again.
    pub(super) changes: Changes,
    breaker: Mutex<CircuitBreaker>,
    /// Whether the last failure was a lack of time: that it is there does not say that it works then.
    was_slow: AtomicBool,
    spoken: Mutex<Spoken>,
    /// Until when it is not asked about the older era again, and how long that is.
    legacy_rest: Mutex<Option<(Instant, Duration)>>,
    trouble: Mutex<Trouble>,
    /// Whether a call could tell of a recovery; so that most do not have to look.
    is_troubled: AtomicBool,
    /// How often the main connection was made.
    pub(super) starts: AtomicU64,
    active: AtomicUsize,
}

/// What went wrong and was not mended since.
#[derive(Default)]
struct Trouble {
    /// With calls and connections.
    last: Option<(Instant, String)>,
    /// The last lines of its standard error, if it is a program.
    stderr: Vec<String>,
    /// With what it offers.
    offer: Option<(Instant, String)>,
}

/// What a server speaks, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoken {
    Unknown,
    Legacy,
    Modern,
    /// The newer era; it has not been asked about the older one.
    ModernAtLeast,
    Both,
}

impl Site {
    pub(super) fn new(desk: Arc<Desk>, place: Place, replica: Replica) -> Self {
        let breaker = desk.settings.breaker;
        let spoken = match desk.settings.era {
            Era::Auto => Spoken::Unknown,
            Era::Modern => Spoken::Modern,
            Era::Legacy => Spoken::Legacy,
        };
        Self {
            desk,
            place,
            replica,
            changes: Changes::default(),
            breaker: Mutex::new(CircuitBreaker::new(breaker.failures, breaker.open)),
            was_slow: AtomicBool::new(false),
            spoken: Mutex::new(spoken),
            legacy_rest: Mutex::default(),
            trouble: Mutex::default(),
            is_troubled: AtomicBool::new(false),
            starts: AtomicU64::new(0),
            active: AtomicUsize::new(0),
        }
    }

    /// These lists have changed, or may have.
    pub(super) fn may_have_changed(&self, kinds: &[Kind]) {
        self.changes.note(kinds);
        if let Some(observer) = self.desk.observer.upgrade() {
            observer.may_have_changed(&self.desk.name);
        }
    }

    /// Asks to make a call there; otherwise how long it is left alone for.
    pub(super) fn permit(self: &Arc<Self>) -> Result<Permit, Duration> {
        let pass = lock(&self.breaker).pass(now()).map_err(|open| open.retry_after)?;
        self.active.fetch_add(1, Ordering::Relaxed);
        Ok(Permit { site: self.clone(), pass: Some(pass) })
    }

    /// Calls that are under way there.
    pub(super) fn active(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    /// Whether calls to it are refused now.
    pub(super) fn is_refusing(&self) -> bool {
        !lock(&self.breaker).would_pass(now())
    }

    /// It has answered when it was asked how it does.
    pub(super) fn is_well(&self) {
        let mut breaker = lock(&self.breaker);
        match (breaker.is_open(), self.was_slow.load(Ordering::Relaxed)) {
            (true, true) => breaker.half_open(),
            (true, false) => breaker.close(),
            (false, _) => {}
        }
    }

    /// Something went wrong with a call or a connection.
    pub(super) fn note(&self, error: &str) {
        lock(&self.trouble).last = Some((Instant::now(), error.to_owned()));
        self.is_troubled.store(true, Ordering::Release);
    }

    /// There is no connection. What a program said is kept for its operator.
    pub(super) fn keep_stderr(&self, error: &ConnectError) {
        error.stderr().clone_into(&mut lock(&self.trouble).stderr);
    }

    /// The last lines of the standard error of a program that there is no connection to.
    pub(super) fn stderr(&self) -> Vec<String> {
        lock(&self.trouble).stderr.clone()
    }

    /// It has answered. What went wrong before is of no interest any more, unless it is why calls are refused.
    pub(super) fn has_recovered(&self) {
        if self.is_troubled.load(Ordering::Acquire) && !lock(&self.breaker).is_open() {
            let mut trouble = lock(&self.trouble);
            (trouble.last, trouble.stderr) = (None, Vec::new());
            drop(trouble);
            self.is_troubled.store(false, Ordering::Release);
        }
    }

    /// What it offers was read, or could not be.
    pub(super) fn has_read(&self, problem: Option<&str>) {
        lock(&self.trouble).offer = problem.map(|problem| (Instant::now(), problem.to_owned()));
        if problem.is_none() {
            self.has_recovered();
        }
    }

    /// What went wrong last and was not mended since, and when.
    pub(super) fn last_error(&self) -> Option<(Instant, String)> {
        let trouble = lock(&self.trouble);
        trouble.last.iter().chain(&trouble.offer).max_by_key(|(when, _)| *when).cloned()
    }

    pub(super) fn spoken(&self) -> Spoken {
        *lock(&self.spoken)
    }

    /// The main connection has been made, in this era.
    pub(super) fn speaks(&self, is_modern: bool) {
        if self.desk.settings.era == Era::Auto {
            let mut spoken = lock(&self.spoken);
            *spoken = match (is_modern, *spoken) {
                (false, _) => Spoken::Legacy,
                (true, Spoken::Both) => Spoken::Both,
                (true, _) => Spoken::ModernAtLeast,
            };
            *lock(&self.legacy_rest) = None;
        }
    }

    /// A connection of the older era has been made.
    pub(super) fn speaks_legacy(&self) {
        let mut spoken = lock(&self.spoken);
        if *spoken == Spoken::ModernAtLeast {
            *spoken = Spoken::Both;
            *lock(&self.legacy_rest) = None;
        }
    }

    /// Whether clients of the older era are served in the newer one for now, because the server did not answer in theirs.
    pub(super) fn leaves_legacy_alone(&self) -> bool {
        lock(&self.legacy_rest).is_some_and(|(until, _)| Instant::now() < until)
    }

    /// A connection of the older era could not be made: whether the newer one is to be used. Only a server that says so speaks no
    /// other, until the main connection is made again; one that does not answer is asked again later.
    pub(super) fn refuses_legacy(&self, down: &Down) -> bool {
        let mut spoken = lock(&self.spoken);
        match (*spoken, down.kind) {
            (Spoken::Modern, _) => true,
            (Spoken::ModernAtLeast | Spoken::Both, DownKind::Strange) => {
                *spoken = Spoken::Modern;
                true
            }
            (Spoken::ModernAtLeast, DownKind::Away | DownKind::Late) => {
                let mut rest = lock(&self.legacy_rest);
                let first = self.desk.settings.health_interval.min(LONGEST_REST);
                let wait = rest.map_or(first, |(_, wait)| (wait * 2).min(LONGEST_REST));
                *rest = Some((Instant::now() + wait, wait));
                true
            }
            _ => false,
        }
    }
}

/// A server of the newer era is asked about the older one at least this often, if somebody would use it.
const LONGEST_REST: Duration = Duration::from_secs(60 * 60);

/// A call that may be made. What becomes of it counts; that it was given up does not.
pub(super) struct Permit {
    pub(super) site: Arc<Site>,
    pass: Option<Pass>,
}

impl Permit {
    /// It was answered.
    pub(super) fn succeeded(mut self) {
        if let Some(pass) = self.pass.take() {
            lock(&self.site.breaker).succeeded(pass);
        }
        self.site.has_recovered();
    }

    /// It failed, or took too long.
    pub(super) fn failed(mut self, too_slow: bool) {
        if let Some(pass) = self.pass.take() {
            self.site.was_slow.store(too_slow, Ordering::Relaxed);
            lock(&self.site.breaker).failed(pass, now());
        }
    }

    /// It waits for something that is not the replica's to do. That it got so far says that the replica works.
    pub(super) fn pause(&mut self) {
        if let Some(pass) = self.pass.take() {
            lock(&self.site.breaker).succeeded(pass);
        }
    }

    /// It goes on, whatever has become of the replica meanwhile.
    pub(super) fn resume(&mut self) {
        self.pass = lock(&self.site.breaker).pass(now()).ok();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.site.active.fetch_sub(1, Ordering::Relaxed);
        if let Some(pass) = self.pass.take() {
            lock(&self.site.breaker).abandoned(pass);
        }
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
