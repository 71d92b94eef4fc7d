//! One session of the older era: what is being answered, and what stays to be read again.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use async_trait::async_trait;
use json_rpc::{Id, Message, Notification, Outcome, Raw};
use tokio::time::Instant;

use super::{
    super::routes::{Place, parse},
    grace::Grace,
    lane::Lane,
    questions::Questions,
    reader::Reader,
};
use crate::{Gone, endpoint::Outlet};

/// Requests of a session that are being answered; more are refused.
pub(super) const MAX_REQUESTS: usize = 256;
/// Responses that stay to be read again after they were answered and left, and for how long.
const MAX_LEFT: usize = 16;
const LEFT: Duration = Duration::from_secs(60);

/// A client of the older era.
pub(super) struct Client {
    /// What belongs to no request.
    pub(super) listening: Arc<Lane>,
    pub(super) questions: Questions,
    pub(super) grace: Arc<Grace>,
    inside: Mutex<Inside>,
}

struct Inside {
    is_over: bool,
    requests: HashMap<Id, Arc<Lane>>,
    /// Responses that the client has seen the beginning of.
    seen: HashMap<u64, Arc<Lane>>,
    /// Responses that are answered and that nobody reads, and since when.
    left: VecDeque<(u64, Instant)>,
    /// Given to the last response, or to the last reader.
    last: u64,
    /// Whether the client knows events without a message, which name a place to resume at. Clients of before 2025-11-25 take
    /// one for a broken event.
    primes: bool,
    /// Responses that are being read, and when that last changed.
    open: usize,
    used: Instant,
}

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The session is over.
    Gone,
    /// Two answers of one id could not be told apart.
    Twice,
    TooMany,
}

impl Client {
    pub(super) fn new(grace: Arc<Grace>) -> Arc<Self> {
        let inside = Inside {
            is_over: false,
            requests: HashMap::new(),
            seen: HashMap::new(),
            left: VecDeque::new(),
            last: 0,
            primes: false,
            open: 0,
            used: Instant::now(),
        };
        Arc::new(Self {
            listening: Lane::new(Place::Listening, Weak::new()),
            questions: Questions::default(),
            grace,
            inside: Mutex::new(inside),
        })
    }

    /// The handshake is done.
    pub(super) fn begin(&self, primes: bool) {
        self.inside().primes = primes;
        self.questions.begin();
    }

    pub(super) fn primes(&self) -> bool {
        self.inside().primes
    }

    /// The reader of the response to a request.
    pub(super) fn request(self: &Arc<Self>, id: &Id) -> Result<Reader, Refused> {
        let mut inside = self.inside();
        if inside.is_over {
            return Err(Refused::Gone);
        }
        if inside.requests.contains_key(id) {
            return Err(Refused::Twice);
        }
        if inside.requests.len() >= MAX_REQUESTS {
            return Err(Refused::TooMany);
        }
        let number = inside.number();
        let lane = Lane::new(Place::Response(number), Arc::downgrade(self));
        lane.join(number);
        inside.requests.insert(id.clone(), lane.clone());
        inside.opened();
        Ok(Reader::new(lane, number, Some(self.clone())))
    }

    /// A request has its answer, or is cancelled.
    pub(super) fn answered(&self, id: &Id, lane: &Arc<Lane>) {
        let mut inside = self.inside();
        if inside.requests.get(id).is_some_and(|known| Arc::ptr_eq(known, lane)) {
            inside.requests.remove(id);
        }
    }

    /// Cancels a request, if it is being answered.
    pub(super) fn cancel(&self, id: &Id) -> bool {
        let cancelled = self.inside().requests.remove(id);
        cancelled.inspect(|lane| lane.cancel()).is_some()
    }

    /// From now on the client may come back to this response.
    pub(super) fn show(&self, lane: &Arc<Lane>) {
        let mut inside = self.inside();
        if let Place::Response(number) = lane.place
            && !inside.is_over
        {
            lane.show();
            inside.seen.insert(number, lane.clone());
        }
    }

    /// A reader of what belongs to no request, from what nobody has read on. It goes before those that there are already.
    pub(super) fn listen(self: &Arc<Self>) -> Option<Reader> {
        let mut inside = self.inside();
        if inside.is_over {
            return None;
        }
        let number = inside.number();
        self.listening.join_first(number);
        inside.opened();
        Some(Reader::new(self.listening.clone(), number, Some(self.clone())))
    }

    /// A reader of what came after this event.
    pub(super) fn resume(self: &Arc<Self>, last_event: &str) -> Option<Reader> {
        let (place, last) = parse(last_event)?;
        let mut inside = self.inside();
        let lane = match place {
            Place::Listening => self.listening.clone(),
            Place::Response(number) => inside.seen.get(&number)?.clone(),
        };
        let number = inside.number();
        if !lane.resume(number, last) {
            return None;
        }
        inside.left.retain(|(left, _)| place != Place::Response(*left));
        inside.opened();
        Some(Reader::new(lane, number, Some(self.clone())))
    }

    /// A reader has gone.
    pub(super) fn left(&self, lane: &Lane) {
        let mut inside = self.inside();
        inside.open -= 1;
        inside.used = Instant::now();
        inside.settle(lane);
    }

    /// Keeps a response that is answered, and that nobody reads any more, for a while.
    pub(super) fn settle(&self, lane: &Lane) {
        self.inside().settle(lane);
    }

    /// The client has said something.
    pub(super) fn used(&self) {
        self.inside().used = Instant::now();
    }

    /// Whether nobody has used the session for so long, and nothing in it is being answered. Also forgets what nobody came back for.
    pub(super) fn is_idle(&self, now: Instant, after: Duration) -> bool {
        let mut inside = self.inside();
        inside.forget(now);
        // Requests take their time, but one that asks a client who is not there would take for ever.
        let is_busy = !inside.requests.is_empty() && !self.questions.are_open();
        inside.open == 0 && !is_busy && now.duration_since(inside.used) >= after
    }

    /// The client has left for good: whatever is still being answered is cancelled.
    pub(super) fn end(&self) {
        let mut inside = self.inside();
        inside.is_over = true;
        let requests = std::mem::take(&mut inside.requests);
        inside.seen.clear();
        inside.left.clear();
        drop(inside);
        self.questions.end();
        requests.values().for_each(|lane| lane.cancel());
        self.listening.finish(None);
    }

    /// Nothing panics while this lock is held, so what it guards is whole.
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn opened(&mut self) {
        self.open += 1;
        self.used = Instant::now();
    }

    fn settle(&mut self, lane: &Lane) {
        let Place::Response(number) = lane.place else { return };
        let is_left = self.left.iter().any(|(left, _)| *left == number);
        if is_left || !lane.is_left() || !self.seen.contains_key(&number) {
            return;
        }
        if !lane.is_worth_keeping(self.primes) {
            self.seen.remove(&number);
            return;
        }
        self.left.push_back((number, Instant::now()));
        if self.left.len() > MAX_LEFT
            && let Some((oldest, _)) = self.left.pop_front()
        {
            self.seen.remove(&oldest);
        }
    }

    fn forget(&mut self, now: Instant) {
        while let Some((number, since)) = self.left.front().copied()
            && now.duration_since(since) >= LEFT
        {
            self.left.pop_front();
            self.seen.remove(&number);
        }
    }
}

/// Outside of any request: where the client listens.
#[async_trait]
impl Outlet for Client {
    async fn tell(&self, _: Option<&Id>, notification: Notification) -> Result<(), Gone> {
        self.listening.put(Message::from(notification).to_bytes()).await
    }

    async fn ask(&self, _: Option<&Id>, method: &str, params: Option<Raw>) -> Result<Outcome, Gone> {
        self.questions.ask(&self.listening, &self.listening, method, params).await
    }
}
