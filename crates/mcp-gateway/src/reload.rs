//! The configuration is read again when its file or the lock file of approved tools changes, or on SIGHUP.

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

use crate::{Config, files::OpenFiles, pins};

/// How often the files are looked at. A look is one system call; to be told by the system would take a library for each system,
/// and misses files on network drives.
const LOOK: Duration = Duration::from_secs(1);

/// Reads the configuration again when it changes.
pub(crate) struct Reloading {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Reloading {
    /// `seen` are the files as they were before they were read.
    pub(crate) fn start(
        file: &Path,
        seen: Seen,
        (fixed, open): (Fixed, OpenFiles),
        gateway: &Arc<Gateway>,
    ) -> Self {
        let stop = CancellationToken::new();
        let watch = Watch { file: file.to_owned(), seen, fixed, open, gateway: gateway.clone() };
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

/// Reads the configuration and the lock file that it names; and how the files were before.
pub(crate) fn read(file: &Path) -> (anyhow::Result<Config>, Seen) {
    let mut seen = Seen { config: Stamp::of(file), lock_file: None };
    let mut config = match Config::read(file) {
        Ok(config) => config,
        Err(problems) => return (Err(problems.into()), seen),
    };
    seen.lock_file = config.pins.as_ref().map(|pins| (pins.clone(), Stamp::of(pins)));
    let loaded = pins::load(&mut config);
    (loaded.map(|()| config), seen)
}

/// The files of a configuration as they were at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    config: Stamp,
    lock_file: Option<(PathBuf, Stamp)>,
}

impl Seen {
    /// The same files as they are now.
    fn again(&self, file: &Path) -> Self {
        let lock_file = self.lock_file.as_ref().map(|(path, _)| (path.clone(), Stamp::of(path)));
        Self { config: Stamp::of(file), lock_file }
    }
}

/// When a file was changed, and its size: what an editor's save changes. `None` when it is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp(Option<(SystemTime, u64)>);

impl Stamp {
    fn of(file: &Path) -> Self {
        let data = std::fs::metadata(file).ok();
        Self(data.and_then(|data| Some((data.modified().ok()?, data.len()))))
    }
}

/// What the gateway keeps until it is started anew.
pub(crate) struct Fixed {
    listen: Option<SocketAddr>,
    state_key: Option<SecretString>,
    cache_bytes: usize,
}

impl Fixed {
    pub(crate) fn of(config: &Config) -> Self {
        let settings = &config.gateway;
        Self {
            listen: config.listen,
            state_key: settings.state_key.clone(),
            cache_bytes: settings.cache_bytes,
        }
    }

    /// Says what of another configuration needs a restart.
    fn warn(&self, other: &Self) {
        let key = |key: &Option<SecretString>| key.as_ref().map(|key| key.expose_secret().to_owned());
        for (name, is_other) in [
            ("listen", self.listen != other.listen),
            ("state_key", key(&self.state_key) != key(&other.state_key)),
            ("cache_max_bytes", self.cache_bytes != other.cache_bytes),
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
    seen: Seen,
    fixed: Fixed,
    open: OpenFiles,
    gateway: Arc<Gateway>,
}

impl Watch {
    async fn run(mut self, mut hangups: Hangups) {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = self.seen.clone();
        loop {
            let forced = tokio::select! {
                () = hangups.next() => true,
                _ = ticks.tick() => false,
            };
            let (file, seen) = (self.file.clone(), self.seen.clone());
            let Ok(now) = spawn_blocking(move || seen.again(&file)).await else { continue };
            // A file that is being written, or replaced, changes from one look to the next: half of it may make sense too.
            let is_at_rest = now == std::mem::replace(&mut last, now.clone()) && now.config.0.is_some();
            if forced || is_at_rest && now != self.seen {
                self.seen = now;
                self.reload().await;
                last = self.seen.clone();
            }
        }
    }

    async fn reload(&mut self) {
        let (file, mut open) = (self.file.clone(), std::mem::take(&mut self.open));
        let read = spawn_blocking(move || {
            let (config, seen) = read(&file);
            let opened = config.and_then(|config| Ok((Fixed::of(&config), open.open(config)?)));
            (opened, seen, open)
        });
        let Ok((opened, mut seen, open)) = read.await else {
            tracing::error!("the configuration could not be read, and the one before stays in use");
            return;
        };
        if opened.is_err() && seen.lock_file.is_none() {
            seen.lock_file = self.seen.lock_file.take(); // of the one that stays in use
        }
        (self.seen, self.open) = (seen, open);
        match opened {
            Ok((fixed, settings)) => {
                self.fixed.warn(&fixed);
                let upstreams = settings.upstreams.len();
                self.gateway.apply(settings);
                tracing::info!(upstreams, "the configuration was loaded again");
            }
            Err(error) => {
                tracing::error!("the configuration is wrong, and the one before stays in use: {error:#}");
            }
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
