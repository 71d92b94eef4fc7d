//! Looks after one connection: makes it, watches it, makes it again.

use std::{
    future::pending,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use mcp_transport::{Line, Outgoing, RequestError};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at, sleep, timeout},
};

use super::{
    Connected,
    connection::{Connection, State},
    failure::{Down, DownKind, describe},
    offering,
    site::Site,
    supervision::{Life, Next, Supervision, random_fraction},
};

/// A connection beside the main one that nobody used for so long is closed, unless it is one session's own.
const UNUSED: Duration = Duration::from_secs(300);

/// A server that is asked how it does at all is asked once a day.
const SELDOM: Duration = Duration::from_secs(24 * 60 * 60);

/// Looks after one connection until it is not wanted any more, and leaves nothing of it.
pub(super) async fn keep(connection: Arc<Connection>) {
    let keeper = Keeper { connection: &connection };
    keeper.run().await;
    if connection.is_main {
        let Site { desk, place, .. } = &**connection.site();
        desk.gone(*place);
        desk.failed(*place); // whoever waits for it need not
    }
    connection.state.send_replace(State::Closed);
}

struct Keeper<'c> {
    connection: &'c Arc<Connection>,
}

/// Why a connection is not there any more.
enum End {
    /// It is not wanted any more.
    Stopped,
    /// Nobody used it.
    Unused,
    /// It ended by itself.
    Ended(Down),
    /// It does not answer.
    Sick(Down),
}

impl Keeper<'_> {
    async fn run(&self) {
        let stop = &self.connection.stop;
        let mut supervision = self.supervision();
        let mut is_due = self.connection.is_main;
        loop {
            if !is_due && stop.run_until_cancelled(self.connection.wanted()).await.is_none() {
                return;
            }
            let next = match self.attempt().await {
                Ok(line) => match self.attend(line).await {
                    Some((life, down)) => {
                        let next = supervision.ended(life, random_fraction());
                        self.rest(next, down, false)
                    }
                    None => Next::After(Duration::ZERO),
                },
                Err(down) => {
                    let next = supervision.failed(random_fraction());
                    self.rest(next, down, true)
                }
            };
            if stop.is_cancelled() {
                return;
            }
            is_due = match next {
                Next::GiveUp { .. } => {
                    supervision.forgive(); // for when it is wanted again
                    false
                }
                Next::After(wait) => stop.run_until_cancelled(self.pause(wait)).await.unwrap_or_default(),
            };
        }
    }

    fn supervision(&self) -> Supervision {
        let site = self.connection.site();
        let settings = &site.desk.settings;
        if site.replica.reach.is_child() {
            Supervision::of_child(settings.restarts)
        } else {
            Supervision::of_network(settings.restarts, settings.health_interval)
        }
    }

    async fn attempt(&self) -> Result<Line, Down> {
        let Connection { is_main, ref state, .. } = **self.connection;
        let site = self.connection.site();
        state.send_replace(State::Wanted);
        match self.connection.open().await {
            Ok(line) => {
                tracing::info!(
                    upstream.name = &*site.desk.name,
                    replica = site.place.0,
                    mcp.version = line.version(),
                    main = is_main,
                    "connected"
                );
                Ok(line)
            }
            Err(error) => {
                let down = Down::of(&error);
                if !self.connection.stop.is_cancelled() {
                    let is_news = site.last_error().is_none_or(|(_, known)| known != down.reason);
                    site.note(&down.reason);
                    site.keep_stderr(&error);
                    if is_main {
                        site.desk.gone(site.place);
                    }
                    if is_news {
                        tracing::warn!(
                            upstream.name = &*site.desk.name,
                            replica = site.place.0,
                            reason = down.reason,
                            "not connected"
                        );
                    }
                }
                Err(down)
            }
        }
    }

    /// What is known while it is not there. Gives back what is next.
    fn rest(&self, next: Next, down: Down, has_failed: bool) -> Next {
        let site = self.connection.site();
        if self.connection.is_main {
            site.desk.failed(site.place);
        }
        let state = match next {
            Next::GiveUp { starts } => {
                let reason = format!(
                    "its process ended {starts} times in a row, and is left alone until the configuration is loaded again: {}",
                    down.reason
                );
                tracing::error!(upstream.name = &*site.desk.name, reason, "given up");
                site.note(&reason);
                State::GivenUp(Down { reason, ..down })
            }
            Next::After(wait) => {
                let rests = site.replica.reach.is_child() && !wait.is_zero();
                State::Down { down, rests }
            }
        };
        if has_failed {
            self.connection.failed(state);
        } else {
            self.connection.state.send_replace(state);
        }
        next
    }

    /// Waits until the connection may be made again. Gives back whether it is to be made then, wanted or not.
    async fn pause(&self, wait: Duration) -> bool {
        let state = &self.connection.state;
        if matches!(&*state.borrow(), State::Idle) {
            return false;
        }
        // A child is not hurried by those who want it; see `Connection::want`.
        let is_wanted = timeout(wait, self.connection.wanted()).await.is_ok();
        if is_wanted || self.connection.is_main {
            return true;
        }
        state.send_if_modified(|state| match state {
            State::Down { rests: rests @ true, .. } => {
                *rests = false; // whoever waits for its rest to end wants it now
                true
            }
            _ => false,
        });
        false
    }

    /// Is with the connection until it is not there any more: how it lived and why it ended, unless it was closed by us.
    async fn attend(&self, line: Line) -> Option<(Life, Down)> {
        let (site, host) = (self.connection.site(), &self.connection.host);
        let (began, before) = (Instant::now(), host.usage());
        let line = Arc::new(line);
        if self.connection.is_main {
            site.starts.fetch_add(1, Ordering::Relaxed);
            site.speaks(line.is_modern());
        } else {
            site.speaks_legacy();
        }
        site.is_well();
        host.begin_anew();
        self.connection.state.send_replace(State::Up(line.clone()));
        let end = loop {
            let end = self.watch(&line).await;
            if !matches!(end, End::Unused) {
                break end;
            }
            // Whoever comes now waits. Whoever came just before that may have got the line, and goes on with it.
            self.connection.state.send_replace(State::Wanted);
            if !host.usage().is_used {
                break end;
            }
            self.connection.state.send_replace(State::Up(line.clone()));
        };
        if self.connection.is_main {
            site.desk.gone(site.place);
        }
        let down = match end {
            End::Stopped | End::Unused => {
                self.close(line).await;
                // Who began to follow something meanwhile does not say so again.
                let next = if self.is_followed() { State::Wanted } else { State::Idle };
                self.connection.state.send_replace(next);
                return None;
            }
            End::Ended(down) | End::Sick(down) => down,
        };
        site.note(&down.reason);
        tracing::warn!(
            upstream.name = &*site.desk.name,
            replica = site.place.0,
            reason = down.reason,
            "connection lost"
        );
        self.dispose(line).await;
        let after = host.usage();
        let life = Life {
            lasted: began.elapsed(),
            begun: after.begun - before.begun,
            answered: after.answered - before.answered,
        };
        Some((life, down))
    }

    async fn watch(&self, line: &Arc<Line>) -> End {
        let Connection { is_main, ref stop, .. } = **self.connection;
        let site = self.connection.site();
        let (upstream, place) = (site.desk.name.clone(), site.place);
        let connected = Connected { upstream, place, line: line.clone(), is_main };
        let observer = site.desk.observer.upgrade();
        let is_read = watch::Sender::new(!is_main);
        let observed = async {
            if let Some(observer) = &observer {
                observer.attend(&connected).await;
            }
            pending::<()>().await;
        };
        let offered = async {
            if is_main {
                offering::follow(site, line, &is_read).await;
            }
            pending::<()>().await;
        };
        tokio::select! {
            () = stop.cancelled() => End::Stopped,
            () = line.ended() => {
                let error = line.why_ended();
                site.keep_stderr(&error);
                End::Ended(Down { reason: describe(&error), kind: DownKind::Away })
            }
            end = self.probe(line, is_read.subscribe()) => end,
            () = observed => unreachable!("it never ends"),
            () = offered => unreachable!("it never ends"),
        }
    }

    /// Asks the server how it does while nobody else asks it anything, until it does not answer or nobody needs it.
    async fn probe(&self, line: &Arc<Line>, mut is_read: watch::Receiver<bool>) -> End {
        let (site, host) = (self.connection.site(), &self.connection.host);
        let settings = &site.desk.settings;
        let idle = self.longest_idle();
        let opened = Instant::now();
        let every = settings.health_interval.clamp(Duration::from_millis(1), SELDOM);
        let mut ticks = interval_at(opened + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let unused = async {
                let Some(idle) = idle else { return pending().await };
                // One that has not told what it offers was not connected to in vain.
                let _ = is_read.wait_for(|is_read| *is_read).await; // its sender outlives this
                loop {
                    let usage = host.usage();
                    let quiet = usage.last_used.max(opened).elapsed();
                    let is_needed = usage.is_used || self.is_followed();
                    if !is_needed && quiet >= idle {
                        return;
                    }
                    sleep(if is_needed { idle } else { idle - quiet }).await;
                }
            };
            tokio::select! {
                () = unused => return End::Unused,
                _ = ticks.tick() => {}
            }
            let usage = host.usage();
            if usage.is_used || usage.last_used.elapsed() < every {
                continue;
            }
            let method = if line.is_modern() { "server/discover" } else { "ping" };
            let ping = Outgoing { method: method.into(), params: line.stamp(None), mirrored: Vec::new() };
            let asked = timeout(settings.connect_timeout, line.request(ping, None)).await;
            let down = match asked {
                Ok(Ok(_)) => {
                    site.is_well();
                    site.has_recovered();
                    continue;
                }
                Ok(Err(RequestError::Refused { reason })) => {
                    site.note(&reason);
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_late) => format!("it did not answer a ping within {:?}", settings.connect_timeout),
            };
            return End::Sick(Down { reason: down, kind: DownKind::Away });
        }
    }

    /// How long nobody may have used it before it is closed.
    fn longest_idle(&self) -> Option<Duration> {
        let site = self.connection.site();
        let settings = &site.desk.settings;
        let stop = settings.idle_stop.filter(|_| site.replica.reach.is_child());
        let stop = stop.map(|stop| stop.max(Duration::from_millis(1))); // it is looked after in these steps
        // What a client has begun on a connection of its own may be worth nothing on another.
        let is_kept = self.connection.is_main || self.connection.host.session.is_some();
        if is_kept { stop } else { Some(stop.unwrap_or(UNUSED).min(UNUSED)) }
    }

    /// Whether somebody follows what is told on it.
    fn is_followed(&self) -> bool {
        let site = self.connection.site();
        let observer = self.connection.is_main.then(|| site.desk.observer.upgrade()).flatten();
        observer.is_some_and(|observer| observer.is_followed(&site.desk.name, site.place))
    }

    /// Ends what is of no use any more, so that calls that are still under way on it fail only when they must.
    async fn dispose(&self, line: Arc<Line>) {
        if line.keeps_requests_apart() {
            drop(line); // each call has a stream of its own, and may end well; the last one closes the line
        } else {
            self.close(line).await;
        }
    }

    /// Two children at the same time could be in each other's way; over the network nobody waits for the old connection to go.
    async fn close(&self, line: Arc<Line>) {
        let site = self.connection.site();
        if site.replica.reach.is_child() || self.connection.stop.is_cancelled() {
            line.close().await;
        } else {
            site.desk.tasks.spawn(async move { line.close().await });
        }
    }
}
