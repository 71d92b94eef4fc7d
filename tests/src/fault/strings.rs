//! The strings between a test and its failing servers: one TCP connection for each process.

use std::{
    collections::HashMap,
    io::{self, BufRead, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use crate::programs::PATIENCE;

/// A server's end.
#[derive(Clone)]
pub struct Puppet {
    life: usize,
    stream: Arc<TcpStream>,
    /// How many events it has told; that it is there, and its process number, is the first.
    told: Arc<Mutex<usize>>,
    orders: Arc<Orders>,
}

#[derive(Default)]
struct Orders {
    come: Mutex<Come>,
    changed: Condvar,
}

/// What has come from the test.
#[derive(Default)]
struct Come {
    is_released: bool,
    /// How many events it has heard.
    heard: usize,
}

impl Orders {
    /// Follows what comes until the test ends, which releases all and is told nothing more.
    fn follow(&self, mut orders: impl BufRead) {
        let mut line = String::new();
        while orders.read_line(&mut line).is_ok_and(|length| length > 0) {
            self.change(|come| match line.trim() {
                HEARD => come.heard += 1,
                GO => come.is_released = true,
                other => panic!("{other:?} is not expected of a test"),
            });
            line.clear();
        }
        self.change(|come| *come = Come { is_released: true, heard: usize::MAX });
    }

    fn change(&self, change: impl FnOnce(&mut Come)) {
        change(&mut self.come());
        self.changed.notify_all();
    }

    fn come(&self) -> MutexGuard<'_, Come> {
        self.come.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, until: impl Fn(&Come) -> bool) {
        let waited = self.changed.wait_while(self.come(), |come| !until(come));
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// How a test says that it has heard an event, and that a server may go on.
const HEARD: &str = "heard";
const GO: &str = "go";

impl Puppet {
    /// Takes hold of the strings at `address`.
    ///
    /// # Errors
    /// When there are none.
    pub fn new(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut from_test = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        writeln!(&stream, "pid {}", std::process::id())?;
        from_test.read_line(&mut line)?;
        let life = line.trim().trim_end_matches(" go");
        let come = Come { is_released: life.len() < line.trim().len(), ..Come::default() };
        let life = life.parse().map_err(io::Error::other)?;
        let orders = Arc::new(Orders { come: Mutex::new(come), ..Orders::default() });
        let following = orders.clone();
        std::thread::spawn(move || following.follow(from_test));
        Ok(Self { life, stream: Arc::new(stream), told: Arc::new(Mutex::new(1)), orders })
    }

    /// How many servers held these strings before.
    #[must_use]
    pub fn life(&self) -> usize {
        self.life
    }

    /// Tells the test what happened, and goes on when it has heard it.
    pub fn tell(&self, event: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        *told += 1;
        let number = *told;
        // A test that has ended does not want to know.
        let _ = writeln!(&*self.stream, "{}", event.replace('\n', " "));
        drop(told);
        self.orders.wait(|come| come.heard >= number);
    }

    /// Whether the test lets it go on.
    #[must_use]
    pub fn is_released(&self) -> bool {
        self.orders.come().is_released
    }

    /// Waits until the test lets it go on.
    pub fn wait_for_release(&self) {
        self.orders.wait(|come| come.is_released);
    }
}

/// A test's end: one server, or one after the other.
pub struct Strings {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    events: Vec<String>,
    lives: usize,
    alive: HashMap<usize, TcpStream>,
    is_released: bool,
}

impl Strings {
    /// New ones.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn new() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let listening = shared.clone();
        // Both kinds of threads end with the test's process at the latest.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = listening.clone();
                std::thread::spawn(move || shared.hold(stream));
            }
        });
        Ok(Self { address, shared })
    }

    /// Where servers find them.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until a server tells something that begins with `event`, and gives the rest of it.
    ///
    /// # Errors
    /// When it does not come to that.
    pub fn wait_for(&self, event: &str) -> anyhow::Result<String> {
        let found =
            |seen: &Seen| Some(seen.events.iter().find_map(|said| said.strip_prefix(event))?.to_owned());
        self.wait(found).with_context(|| format!("no server said `{event}`"))
    }

    /// Waits until `lives` servers have begun.
    ///
    /// # Errors
    /// When it does not come to that.
    pub fn wait_for_lives(&self, lives: usize) -> anyhow::Result<()> {
        self.wait(|seen| (seen.lives >= lives).then_some(()))
            .with_context(|| format!("no server number {lives}"))
    }

    /// Waits until no process is left.
    ///
    /// # Errors
    /// When some are.
    pub fn wait_for_the_end(&self) -> anyhow::Result<()> {
        self.wait(|seen| seen.alive.is_empty().then_some(())).context("a server is left behind")
    }

    /// How many servers have begun so far.
    #[must_use]
    pub fn lives(&self) -> usize {
        self.shared.seen().lives
    }

    /// How often servers told something that begins with `event`. The thread that tells it does nothing more before it is counted.
    #[must_use]
    pub fn count(&self, event: &str) -> usize {
        self.shared.seen().events.iter().filter(|said| said.starts_with(event)).count()
    }

    /// Lets all servers go on, also those that come later.
    pub fn release(&self) {
        let mut seen = self.shared.seen();
        seen.is_released = true;
        for mut stream in seen.alive.values() {
            // It may be gone.
            let _ = stream.write_all(format!("{GO}\n").as_bytes());
        }
    }

    /// As [`Strings::wait_for`], for what takes a while.
    ///
    /// # Errors
    /// When it does not come to that.
    pub fn wait_long_for(&self, event: &str) -> anyhow::Result<()> {
        let started = Instant::now();
        let found = |seen: &Seen| seen.events.iter().any(|said| said.starts_with(event)).then_some(());
        loop {
            match self.wait(found) {
                Err(_) if started.elapsed() < 5 * PATIENCE => {}
                outcome => return outcome.with_context(|| format!("no server said `{event}`")),
            }
        }
    }

    fn wait<T>(&self, found: impl Fn(&Seen) -> Option<T>) -> anyhow::Result<T> {
        let started = Instant::now();
        let mut seen = self.shared.seen();
        loop {
            if let Some(found) = found(&seen) {
                return Ok(found);
            }
            if started.elapsed() > PATIENCE {
                bail!("they said {:?}; {} of {} are alive", seen.events, seen.alive.len(), seen.lives);
            }
            let waited = self.shared.changed.wait_timeout(seen, Duration::from_secs(1));
            seen = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen());
        self.changed.notify_all();
    }

    /// Follows one server until its process is gone: the system closes its end then.
    fn hold(&self, stream: TcpStream) {
        let Ok(reader) = stream.try_clone() else { return };
        // A server waits for each answer.
        let _ = stream.set_nodelay(true);
        let mut life = 0;
        self.change(|seen| {
            life = seen.lives;
            seen.lives += 1;
            let order = if seen.is_released { " go" } else { "" };
            // A server that is gone already is noticed below.
            let _ = writeln!(&stream, "{life}{order}");
            seen.alive.insert(life, stream);
        });
        for line in BufReader::new(reader).lines() {
            let Ok(line) = line else { break };
            self.change(|seen| {
                seen.events.push(line);
                if let Some(mut stream) = seen.alive.get(&life) {
                    // A server that is gone already is noticed below.
                    let _ = stream.write_all(format!("{HEARD}\n").as_bytes());
                }
            });
        }
        self.change(|seen| {
            seen.alive.remove(&life);
        });
    }
}
