//! The way to a server: connected when it is needed, watched while it is there, made again when it broke.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mcp_transport::{Address, ConnectError, ConnectOptions, connect};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Notice, Options, Status, desk::Desk, handler::Handler, listening, session::Session};

/// A connection that has lived for longer was a good one.
const STABLE: Duration = Duration::from_secs(30);

/// The way to one server.
pub(crate) struct Connection {
    pub(crate) address: Address,
    pub(crate) options: Options,
    pub(crate) desk: Arc<Desk>,
    phase: watch::Sender<Phase>,
    pub(crate) status: watch::Sender<Status>,
    started: AtomicBool,
    /// Nobody wants it any more.
    pub(crate) stop: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Clone)]
enum Phase {
    Idle,
    /// Somebody wants it, or it is tried.
    Connecting,
    Connected(Arc<Session>),
    /// What was connected has ended.
    Lost(Arc<ConnectError>),
    /// The last attempt failed.
    Failed(Arc<ConnectError>),
    Closed,
}

/// Why it is connected to.
#[derive(Clone, Copy, PartialEq)]
enum Cause {
    Wanted,
    /// It went away, and it is time to look whether it is there again.
    Time,
}

impl Connection {
    pub(crate) fn new(name: String, address: Address, options: Options, host: Arc<dyn crate::Host>) -> Self {
        Self {
            address,
            options,
            desk: Arc::new(Desk::new(name, host)),
            phase: watch::Sender::new(Phase::Idle),
            status: watch::Sender::default(),
            started: AtomicBool::new(false),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// The live connection. When there is none, one attempt is made for all who ask; it goes on when they stop waiting.
    pub(crate) async fn session(self: &Arc<Self>) -> Result<Arc<Session>, Arc<ConnectError>> {
        let mut phases = self.phase.subscribe();
        let mut tried = false;
        loop {
            let phase = phases.borrow_and_update().clone();
            match phase {
                Phase::Connected(session) if session.is_live() => return Ok(session),
                Phase::Connected(_) => {} // its end is about to be noticed
                Phase::Connecting => tried = true,
                Phase::Failed(error) if tried => return Err(error),
                Phase::Idle | Phase::Lost(_) | Phase::Failed(_) => {
                    self.want();
                    tried = true;
                }
                Phase::Closed => return Err(closed()),
            }
            if phases.changed().await.is_err() {
                return Err(closed());
            }
        }
    }

    /// The live connection, if there is one.
    pub(crate) fn connected(&self) -> Option<Arc<Session>> {
        match &*self.phase.borrow() {
            Phase::Connected(session) => Some(session.clone()),
            _ => None,
        }
    }

    fn want(self: &Arc<Self>) {
        let wanted = self.phase.send_if_modified(|phase| {
            let rests = matches!(phase, Phase::Idle | Phase::Lost(_) | Phase::Failed(_));
            if rests {
                *phase = Phase::Connecting;
            }
            rests
        });
        if wanted && !self.started.swap(true, Ordering::SeqCst) {
            let connection = self.clone();
            self.tasks.spawn(async move { connection.run().await });
        }
    }

    /// Closes it, and waits until everything that belongs to it is gone.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.enter(Phase::Closed);
    }

    /// Connects whenever it is wanted, and again by itself when it was connected, until it is closed.
    async fn run(&self) {
        let (mut sessions, mut crashes, mut failures) = (0, 0, 0);
        let mut again = None;
        while let Some(cause) = self.stop.run_until_cancelled(self.cause(again)).await {
            let session = match self.attempt(cause).await {
                Ok(session) => session,
                Err(_) if self.stop.is_cancelled() => break,
                Err(error) => {
                    failures += 1;
                    again = self.again(&error, failures).filter(|_| sessions > 0);
                    let failed = Phase::Failed(Arc::new(error));
                    if cause == Cause::Wanted || again.is_none() {
                        self.enter(failed);
                    } else {
                        self.phase.send_replace(failed); // that it is still away is no news
                    }
                    continue;
                }
            };
            (again, failures) = (None, 0);
            sessions += 1;
            self.begin(&session, sessions > 1);
            let Some(reason) = self.stop.run_until_cancelled(self.attend(&session)).await else {
                session.close().await;
                break;
            };
            self.enter(Phase::Lost(reason));
            crashes = if session.began.elapsed() < STABLE { crashes + 1 } else { 0 };
            self.retire(session).await;
            if !self.is_child() || crashes < self.options.backoff.attempts {
                let wait = self.options.wait_after(crashes);
                let _ = self.stop.run_until_cancelled(timeout(wait, self.wanted())).await;
                self.enter(Phase::Connecting);
            }
        }
        self.enter(Phase::Closed);
    }

    /// Waits until it is to be connected to.
    async fn cause(&self, again: Option<Duration>) -> Cause {
        let Some(wait) = again else {
            self.wanted().await;
            return Cause::Wanted;
        };
        timeout(wait, self.wanted()).await.map_or(Cause::Time, |()| Cause::Wanted)
    }

    /// When a server that went away is tried again by itself. One that now wants credentials would want them each time, and
    /// whoever gets them may have to ask the user. A child that cannot be started is not a matter of time.
    fn again(&self, error: &ConnectError, failures: u32) -> Option<Duration> {
        let vain = self.is_child() || matches!(error, ConnectError::NeedsCredentials { .. });
        (!vain).then(|| self.options.wait_after(self.options.backoff.attempts.saturating_add(failures - 1)))
    }

    fn is_child(&self) -> bool {
        self.address.server_url().is_none()
    }

    /// Two children at the same time could be in each other's way; over the network nobody waits.
    async fn retire(&self, session: Arc<Session>) {
        if self.is_child() {
            return session.retire(&self.stop).await;
        }
        let stop = self.stop.clone();
        self.tasks.spawn(async move { session.retire(&stop).await });
    }

    async fn wanted(&self) {
        let mut phases = self.phase.subscribe();
        let _ = phases.wait_for(|phase| matches!(phase, Phase::Connecting)).await; // we hold the sender
    }

    /// Tries to connect; when somebody wants it, again when that may help.
    async fn attempt(&self, cause: Cause) -> Result<Arc<Session>, ConnectError> {
        if cause == Cause::Time {
            self.phase.send_replace(Phase::Connecting);
            return self.open().await;
        }
        self.tell(Status::Connecting);
        for number in 1.. {
            let error = match self.open().await {
                Ok(session) => return Ok(session),
                Err(error) => error,
            };
            let wait = self.options.backoff.wait_after(number, None, random_fraction());
            let Some(wait) = wait.filter(|_| error.is_transient()) else { return Err(error) };
            tracing::debug!(
                upstream.name = self.desk.name,
                attempt = number,
                wait_ms = wait.as_millis(),
                "not connected, trying again"
            );
            if self.stop.run_until_cancelled(sleep(wait)).await.is_none() {
                return Err(error);
            }
        }
        unreachable!("a backoff gives up after a number of attempts that fits into 32 bits")
    }

    async fn open(&self) -> Result<Arc<Session>, ConnectError> {
        let handler = Arc::new(Handler::new(self.desk.clone(), self.options.client.clone()));
        let hears = handler.clone();
        let options = ConnectOptions {
            listener: Some(Arc::new(move |notification| hears.told(notification))),
            stop: self.stop.clone(),
            ..self.options.connect.clone()
        };
        let client = connect(&self.address, handler.clone(), &options).await?;
        Ok(Arc::new(Session::new(client, handler, self.desk.clone(), self.address.clone())))
    }

    fn begin(&self, session: &Arc<Session>, again: bool) {
        self.desk.lists.clear();
        self.enter(Phase::Connected(session.clone()));
        if again {
            self.desk.all_changed(&session.introduction.capabilities);
        }
    }

    /// Listens until the connection has ended, and says why.
    async fn attend(&self, session: &Arc<Session>) -> Arc<ConnectError> {
        let ended = pin!(session.ended());
        let listening = pin!(listening::listen(session, &self.desk, &self.options));
        tokio::select! {
            reason = ended => reason,
            reason = listening => reason,
        }
    }

    fn enter(&self, phase: Phase) {
        let status = match &phase {
            Phase::Idle => Some(Status::Idle),
            Phase::Connecting => None, // told when it is tried
            Phase::Connected(session) => Some(Status::Connected(session.introduction.clone())),
            Phase::Lost(error) | Phase::Failed(error) => Some(Status::Disconnected(error.clone())),
            Phase::Closed => Some(Status::Closed),
        };
        let mut was_closed = false;
        self.phase.send_modify(|current| {
            was_closed = matches!(current, Phase::Closed);
            *current = phase;
        });
        if let Some(status) = status.filter(|_| !was_closed) {
            self.tell(status);
        }
    }

    fn tell(&self, status: Status) {
        self.status.send_replace(status.clone());
        self.desk.tell(Notice::Status(status));
    }
}

fn closed() -> Arc<ConnectError> {
    Arc::new(ConnectError::Setup("the connection was closed by us"))
}

/// 0.0 to 1.0. The standard library's hasher is seeded at random.
pub(crate) fn random_fraction() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    random as f64 / u64::MAX as f64
}
