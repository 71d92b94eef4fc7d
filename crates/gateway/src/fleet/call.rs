//! One call: where it is made, and again if that is harmless.

use std::{sync::Arc, time::Duration};

use mcp_transport::{Line, Outgoing, Party, RequestError};
use tokio::time::{Instant, sleep, timeout};

use super::{
    Answered, Behalf, Repeat,
    balance::{Standing, order},
    clock::TooLate,
    connection::Connection,
    desk::lock,
    failure::{Down, DownKind},
    gate::{Refusal, Seat},
    party::Heard,
    pool::Pool,
    retry::{Attempts, Failure},
    site::{Permit, Site, Spoken},
    stake::Stake,
    supervision::random_fraction,
    upstream::Upstream,
};
use crate::{Sessions, errors};

/// Why an upstream gave no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum CallError {
    /// It cannot be reached. Nothing was delivered.
    #[error("upstream \"{upstream}\" cannot be reached: {reason}")]
    Unreachable { upstream: Arc<str>, reason: String },
    /// It was replaced, or is not configured any more. Nothing was delivered.
    #[error("upstream \"{upstream}\" is not used any more")]
    Dismissed { upstream: Arc<str> },
    /// The circuit breaker is open. Nothing was delivered.
    #[error("upstream \"{upstream}\" failed too often and {}: {reason}", left_alone(*retry_after_seconds))]
    BreakerOpen { upstream: Arc<str>, reason: String, retry_after_seconds: u64 },
    /// Too many calls wait already. Nothing was delivered.
    #[error("upstream \"{upstream}\" is overloaded: try again later")]
    Overloaded { upstream: Arc<str> },
    /// It took too long, which is this long. It was told to stop, but may have done something.
    #[error("upstream \"{upstream}\" did not answer within {seconds} s")]
    TimedOut { upstream: Arc<str>, seconds: u64 },
    /// The answer was lost, and it is not known whether the call was carried out.
    #[error("the answer of upstream \"{upstream}\" was lost: {reason}")]
    DeliveryUnknown { upstream: Arc<str>, reason: String },
    /// It, or what stands in front of it, does not accept such a request. Nothing was done.
    #[error("upstream \"{upstream}\" does not accept this request: {reason}")]
    Unacceptable { upstream: Arc<str>, reason: String },
    /// It answered with more than the gateway accepts of it.
    #[error("the answer of upstream \"{upstream}\" is too large: {reason}")]
    TooLarge { upstream: Arc<str>, reason: String },
    /// It refuses our credentials.
    #[error("upstream \"{upstream}\" refuses the gateway's credentials: {reason}")]
    Refused { upstream: Arc<str>, reason: String },
    /// Its caller may not make it any more. Nothing was delivered.
    #[error("{}", refusal.message())]
    Withdrawn { upstream: Arc<str>, refusal: Box<errors::Refusal> },
}

/// What is sent, for the connection that is chosen; or why it must not be sent any more.
pub(super) type Build<'b> = &'b (dyn Fn(&Line) -> Result<Outgoing, errors::Refusal> + Send + Sync);

/// One call on its way.
pub(super) struct Call<'c> {
    upstream: &'c Upstream,
    behalf: &'c Behalf,
    party: Option<Arc<dyn Party>>,
    build: Build<'c>,
    stake: Arc<Stake>,
    /// Places where it was tried, if there are several.
    tried: Vec<u16>,
}

impl<'c> Call<'c> {
    pub(super) fn new(
        upstream: &'c Upstream,
        behalf: &'c Behalf,
        party: Option<Arc<dyn Party>>,
        build: Build<'c>,
        stake: Arc<Stake>,
    ) -> Self {
        Self { upstream, behalf, party, build, stake, tried: Vec::new() }
    }

    pub(super) async fn run(mut self, repeat: Repeat) -> Result<Answered, CallError> {
        let mut attempts = Attempts::new(repeat);
        loop {
            let failure = match self.attempt().await {
                Ok(answered) => return Ok(answered),
                Err(failure) => failure,
            };
            let replicas = self.upstream.pools.len();
            let others = replicas > 1 && self.behalf.stay.is_none() && self.tried.len() < replicas;
            let backoff = &self.upstream.desk.settings.retries.backoff;
            let Some(wait) = attempts.again(&failure, backoff, others, random_fraction()) else {
                self.behalf
                    .trail
                    .note(format!("{failure}: it was not tried again{}", why_not(&failure, repeat)));
                return Err(self.error(failure, attempts.lost));
            };
            let place = if others { " at another replica" } else { "" };
            self.behalf
                .trail
                .note(format!("{failure}: it was tried again{place} after {} ms", wait.as_millis()));
            tracing::debug!(
                upstream.name = &*self.upstream.desk.name,
                wait_ms = wait.as_millis(),
                "a call is tried again"
            );
            if !wait.is_zero() && self.stake.clock.within(sleep(wait)).await.is_err() {
                return Err(self.error(failure, attempts.lost));
            }
        }
    }

    async fn attempt(&mut self) -> Result<Answered, Failure> {
        let upstream = self.upstream;
        self.behalf.trail.is_tried();
        let (pool, permit) = self.choose()?;
        let place = pool.site.place;
        if upstream.pools.len() > 1 && !self.tried.contains(&place.0) {
            self.tried.push(place.0);
        }
        if pool.site.spoken() == Spoken::Unknown
            && let Err(down) = self.connect(&pool.main).await
        {
            return Err(unreached(down, permit));
        }
        let mut visit = pool.visit(self.behalf).map_err(|_crowded| Failure::Overloaded)?;
        let line = match self.connect(&visit.connection).await {
            Ok(line) => line,
            // A server that does not speak the client's era, or not now, is called in its own.
            Err(down) if !visit.connection.is_main && pool.site.refuses_legacy(&down) => {
                return Err(Failure::NotDelivered { reason: down.reason, retry_after: None, is_stale: true });
            }
            Err(down) => return Err(unreached(down, permit)),
        };
        let request =
            (self.build)(&line).map_err(|refusal| Failure::Withdrawn { refusal: refusal.into() })?;
        let began = Instant::now();
        let party = self.party.clone().map(|party| {
            let (stake, host) = (self.stake.clone(), visit.connection.host.clone());
            let heard = Arc::new(Heard { stake, host, party });
            if let Some(whole) = self.behalf.whole {
                visit.connection.host.joins(whole, &heard);
            }
            heard as Arc<dyn Party>
        });
        self.stake.put(permit);
        self.behalf.trail.is_sent((upstream.pools.len() > 1).then_some(place.0));
        visit.sent();
        let request = line.request(request, party);
        let answer = self.stake.clock.within(request).await;
        let permit = self.stake.take();
        match answer {
            Ok(Ok(outcome)) => {
                permit.succeeded();
                visit.ended(true);
                upstream.desk.took(began.elapsed());
                upstream.lives(self.behalf, place);
                Ok(Answered { outcome, place })
            }
            Ok(Err(error)) => {
                match error {
                    RequestError::Lost { .. } => {}
                    RequestError::TooLarge { .. } => {
                        visit.ended(true);
                        upstream.lives(self.behalf, place);
                    }
                    _ => visit.ended(false),
                }
                Err(failed(error, &line, &pool.site, permit))
            }
            Err(TooLate) => {
                pool.site.note("a call was not answered in time");
                permit.failed(true);
                Err(Failure::TimedOut)
            }
        }
    }

    /// A replica that may be called.
    fn choose(&self) -> Result<(&'c Pool, Permit), Failure> {
        let Upstream { pools, desk, .. } = self.upstream;
        let permit = |pool: &'c Pool| pool.site.permit().map(|permit| (pool, permit));
        let open = |retry_after| Failure::BreakerOpen { retry_after };
        let gone = || Failure::NotDelivered {
            reason: "the replica that this belongs to is not there any more".to_owned(),
            retry_after: None,
            is_stale: false,
        };
        if let Some(place) = self.behalf.stay {
            return permit(pools.get(usize::from(place.0)).ok_or_else(gone)?).map_err(open);
        }
        if let [pool] = &pools[..] {
            return permit(pool).map_err(open);
        }
        let home = self.upstream.home(self.behalf);
        let standings: Vec<_> = pools.iter().map(|pool| self.standing(pool, home)).collect();
        let mut retry_after = Duration::MAX;
        for index in order(&standings, desk.settings.balance, self.upstream.turn()) {
            match permit(&pools[index]) {
                Ok(chosen) => return Ok(chosen),
                Err(wait) => retry_after = retry_after.min(wait),
            }
        }
        if pools.is_empty() { Err(gone()) } else { Err(open(retry_after)) }
    }

    fn standing(&self, pool: &Pool, home: Option<u16>) -> Standing {
        let place = pool.site.place.0;
        Standing {
            tried: self.tried.contains(&place),
            is_home: home == Some(place),
            sick: pool.main.is_sick() || pool.site.is_refusing(),
            active: pool.site.active(),
        }
    }

    async fn connect(&self, connection: &Connection) -> Result<Arc<Line>, Down> {
        if let Some(line) = connection.current() {
            return Ok(line);
        }
        let limit = self.upstream.desk.settings.connect_timeout;
        let late = || Down { reason: connection.why_not(), kind: DownKind::Late };
        match self.stake.clock.within(timeout(limit, connection.line())).await {
            Ok(Ok(line)) => line,
            Ok(Err(_late)) => Err(late()),
            Err(TooLate) => Err(late()),
        }
    }

    /// What the caller hears of the last failure; `lost` says why an earlier answer was lost.
    fn error(&self, failure: Failure, lost: Option<String>) -> CallError {
        let upstream = self.upstream.desk.name.clone();
        // That the second answer was too large says more than that the first one was lost.
        if let Some(reason) = lost
            && !matches!(failure, Failure::TooLarge { .. })
        {
            return CallError::DeliveryUnknown { upstream, reason };
        }
        match failure {
            Failure::NotDelivered { .. } if self.upstream.gate.is_closed() => {
                CallError::Dismissed { upstream }
            }
            Failure::NotDelivered { reason, .. } | Failure::NotReady { reason } => {
                CallError::Unreachable { upstream, reason }
            }
            Failure::Unacceptable { reason } => CallError::Unacceptable { upstream, reason },
            Failure::TooLarge { reason } => CallError::TooLarge { upstream, reason },
            Failure::Lost { reason } => CallError::DeliveryUnknown { upstream, reason },
            Failure::TimedOut => {
                let seconds = self.stake.clock.elapsed().as_secs_f64().round().max(1.0);
                CallError::TimedOut { upstream, seconds: seconds as u64 }
            }
            Failure::Refused { reason } => CallError::Refused { upstream, reason },
            Failure::BreakerOpen { retry_after } => {
                let reason = self.upstream.last_error().unwrap_or_default();
                let retry_after_seconds = whole_seconds(retry_after);
                CallError::BreakerOpen { upstream, reason, retry_after_seconds }
            }
            Failure::Overloaded => CallError::Overloaded { upstream },
            Failure::Withdrawn { refusal } => CallError::Withdrawn { upstream, refusal },
        }
    }
}

/// Why a call that failed so was not tried again, where that is not said already.
fn why_not(failure: &Failure, repeat: Repeat) -> &'static str {
    match (failure, repeat) {
        (Failure::Lost { .. }, Repeat::Never) => {
            ", as it may have done something, and nothing says that it may be repeated"
        }
        (Failure::Unacceptable { .. } | Failure::TooLarge { .. }, _) => ", as the same would come of it",
        (Failure::TimedOut, _) => ", as it may have done something",
        (Failure::Lost { .. } | Failure::NotDelivered { .. } | Failure::NotReady { .. }, _) => {
            ", as it was tried as often as it may be"
        }
        (
            Failure::Refused { .. }
            | Failure::BreakerOpen { .. }
            | Failure::Overloaded
            | Failure::Withdrawn { .. },
            _,
        ) => "",
    }
}

/// Not less than it is.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// What is done with an upstream whose breaker is open for so long.
fn left_alone(seconds: u64) -> String {
    match seconds {
        0 => "one call tries now whether it works again".to_owned(),
        seconds => format!("is left alone for {seconds} s more"),
    }
}

/// There was no connection to send the call on.
fn unreached(down: Down, permit: Permit) -> Failure {
    let Down { reason, kind } = down;
    match kind {
        DownKind::Refused => Failure::Refused { reason },
        DownKind::Closed => Failure::NotDelivered { reason, retry_after: None, is_stale: true },
        DownKind::Late => {
            permit.failed(false);
            Failure::NotReady { reason }
        }
        DownKind::Away | DownKind::Strange => {
            permit.failed(false);
            Failure::NotDelivered { reason, retry_after: None, is_stale: false }
        }
    }
}

fn failed(error: RequestError, line: &Line, site: &Site, permit: Permit) -> Failure {
    match error {
        RequestError::NotDelivered { reason, retry_after } => {
            let is_stale = line.is_ended();
            if !is_stale {
                site.note(&reason);
                permit.failed(false);
            }
            Failure::NotDelivered { reason, retry_after, is_stale }
        }
        // What stands in front of the server may have said it, so it says nothing of the server, neither good nor bad.
        RequestError::Unacceptable { reason } => Failure::Unacceptable { reason },
        RequestError::TooLarge { reason } => {
            permit.succeeded();
            Failure::TooLarge { reason }
        }
        RequestError::Lost { reason } => {
            site.note(&reason);
            permit.failed(false);
            Failure::Lost { reason }
        }
        RequestError::Refused { reason } => {
            site.note(&reason);
            Failure::Refused { reason }
        }
    }
}

impl Upstream {
    /// Waits for a place among the calls under way; its own time begins afterwards.
    pub(super) async fn enter(&self, behalf: &Behalf) -> Result<Seat, CallError> {
        if let Some(seat) = self.gate.try_enter() {
            return Ok(seat);
        }
        behalf.trail.note("it waited for its turn: as many calls as may be were under way at the upstream");
        let upstream = self.desk.name.clone();
        match timeout(self.desk.settings.call_timeout, self.gate.enter()).await {
            Ok(Ok(seat)) => Ok(seat),
            Ok(Err(Refusal::Closed)) => Err(CallError::Dismissed { upstream }),
            Ok(Err(Refusal::Full)) | Err(_) => Err(CallError::Overloaded { upstream }),
        }
    }

    /// Where the client's session lives, if it has a connection of its own there.
    fn home(&self, behalf: &Behalf) -> Option<u16> {
        let homes = self.homes.as_ref()?;
        lock(homes).get(&behalf.session?).copied()
    }

    /// A call of this session was answered there. One that had to go there says nothing of where the others go.
    fn lives(&self, behalf: &Behalf, place: super::Place) {
        if behalf.stay.is_none()
            && let (Some(homes), Some(session)) = (&self.homes, behalf.session)
        {
            lock(homes).insert(session, place.0);
        }
    }

    pub(super) fn keeps_homes(sessions: Sessions, replicas: usize) -> bool {
        sessions == Sessions::PerClient && replicas > 1
    }
}
