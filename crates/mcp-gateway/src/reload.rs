//! The configuration is read again when its file changes, or on SIGHUP.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use gateway::Gateway;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::Config;

/// How often the file is looked at. A look is one system call; to be told by the system would take a library for each system,
/// and misses files on network drives.
const LOOK: Duration = Duration::from_secs(1);

/// Reads the configuration again when it changes.
pub(crate) struct Reloading {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Reloading {
    /// `seen` is the file as it was before it was read.
    pub(crate) fn start(file: &Path, seen: Stamp, fixed: Fixed, gateway: &Arc<Gateway>) -> Self {
        let stop = CancellationToken::new();
        let watch = Watch { file: file.to_owned(), seen, fixed, gateway: gateway.clone() };
        let hangups = Hangups::new(); // not in the task: until it is there, the signal would end the gateway
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            stopped.run_until_cancelled(watch.run(hangups)).await;
        });
        Self { stop, task }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        let _ = self.task.await; // it does not panic
    }
}

/// When a file was changed, and its size: what an editor's save changes. `None` when it is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp(Option<(SystemTime, u64)>);

impl Stamp {
    pub(crate) fn of(file: &Path) -> Self {
        let data = std::fs::metadata(file).ok();
        Self(data.and_then(|data| Some((data.modified().ok()?, data.len()))))
    }
}

/// What the gateway keeps until it is started anew.
pub(crate) struct Fixed {
    listen: Option<SocketAddr>,
    state_key: Option<SecretString>,
}

impl Fixed {
    pub(crate) fn of(config: &Config) -> Self {
        Self { listen: config.listen, state_key: config.gateway.state_key.clone() }
    }

    /// Says what of another configuration needs a restart.
    fn warn(&self, config: &Config) {
        let key = |key: &Option<SecretString>| key.as_ref().map(|key| key.expose_secret().to_owned());
        for (name, is_other) in [
            ("listen", self.listen != config.listen),
            ("state_key", key(&self.state_key) != key(&config.gateway.state_key)),
        ] {
            if is_other {
                tracing::warn!(
                    "{name} has changed, which takes effect only when the gateway is started anew"
                );
            }
        }
    }
}

struct Watch {
    file: PathBuf,
    seen: Stamp,
    fixed: Fixed,
    gateway: Arc<Gateway>,
}

impl Watch {
    async fn run(mut self, mut hangups: Hangups) {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = self.seen;
        loop {
            let forced = tokio::select! {
                () = hangups.next() => true,
                _ = ticks.tick() => false,
            };
            let file = self.file.clone();
            let Ok(now) = spawn_blocking(move || Stamp::of(&file)).await else { continue };
            // A file that is being written, or replaced, changes from one look to the next: half of it may make sense too.
            let is_at_rest = now == std::mem::replace(&mut last, now) && now.0.is_some();
            if forced || is_at_rest && now != self.seen {
                self.seen = now;
                self.reload().await;
            }
        }
    }

    async fn reload(&self) {
        let file = self.file.clone();
        match spawn_blocking(move || Config::read(&file)).await {
            Ok(Ok(config)) => {
                self.fixed.warn(&config);
                let upstreams = config.gateway.upstreams.len();
                self.gateway.apply(config.gateway);
                tracing::info!(upstreams, "the configuration was loaded again");
            }
            Ok(Err(problems)) => {
                tracing::error!("the configuration is wrong, and the one before stays in use: {problems}");
            }
            Err(_) => tracing::error!("the configuration could not be read, and the one before stays in use"),
        }
    }
}

/// SIGHUP, where there is such a thing.
struct Hangups {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Hangups {
    #[cfg(unix)]
    fn new() -> Self {
        let signal = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup());
        let signal = signal.inspect_err(|error| tracing::warn!(%error, "SIGHUP cannot be listened for")).ok();
        Self { signal }
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        match &mut self.signal {
            Some(signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        }
    }

    #[cfg(not(unix))]
    fn new() -> Self {
        Self {}
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        std::future::pending().await
    }
}
