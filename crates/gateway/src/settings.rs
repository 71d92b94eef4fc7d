//! What a gateway is made of. The defaults fit most.

mod reach;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ledger::Runs;
use mcp_transport::Era;
use pipeline::Pipeline;
use resilience::Backoff;
use secrecy::SecretString;

pub use reach::{InMemory, Reach, Replica};

use crate::{AccessLog, BatchSettings, CacheSettings, Pins, Rules, catalogue::Hints, fleet::Repeat};

/// What a gateway is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The upstreams, by name.
    pub upstreams: BTreeMap<String, UpstreamSettings>,
    /// What stands between an upstream's name and a tool's: `__`.
    pub separator: String,
    /// Seals what clients must give back. Gateways that share a key understand each other's; without one each start has its own.
    pub state_key: Option<SecretString>,
    /// Which tools clients see.
    pub expose: Expose,
    /// Whether there is the tool `batch`, and its bounds.
    pub batch: Option<BatchSettings>,
    /// Pipelines, which are tools too.
    pub pipelines: Vec<Arc<Pipeline>>,
    /// Where runs of pipelines are written down. Without it a crash ends them.
    pub runs: Option<Runs>,
    /// Tools as they were approved. Without it every tool is.
    pub pins: Option<Arc<Pins>>,
    /// Most memory for answers that are kept, in bytes: 64 MiB.
    pub cache_bytes: usize,
    /// Where every request is written down.
    pub access_log: Option<AccessLog>,
}

/// Which tools clients see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Expose {
    /// All.
    #[default]
    All,
    /// Two, which find the others and call them.
    Search,
}

/// How one upstream is reached and used.
#[derive(Debug, Clone)]
pub struct UpstreamSettings {
    /// Where it is: one place, or several that do the same.
    pub replicas: Vec<Replica>,
    /// How calls are spread over the replicas.
    pub balance: Balance,
    /// What its names begin with. Without it the upstream's own name; when empty they stay as they are.
    pub prefix: Option<String>,
    /// Who shares a connection with whom.
    pub sessions: Sessions,
    /// The protocol era to speak to it.
    pub era: Era,
    /// Longest wait until a connection can be used: 10 s.
    pub connect_timeout: Duration,
    /// Longest time for a call: 60 s. Progress extends it up to ten times as long.
    pub call_timeout: Duration,
    /// How often a connection that is not used is asked whether it still lives: every 30 s.
    pub health_interval: Duration,
    /// When calls stop being tried.
    pub breaker: Breaker,
    /// Calls at the same time: 64.
    pub concurrency: usize,
    /// Calls that wait for their turn; more fail at once: 256.
    pub queue: usize,
    /// When calls are repeated.
    pub retries: Retries,
    /// When a child process that ended is started again.
    pub restarts: Restarts,
    /// A child process that nobody used for so long, and whose resources nobody follows, is stopped, and started again when it is
    /// needed. Without it never.
    pub idle_stop: Option<Duration>,
    /// What clients may see and use.
    pub rules: Arc<Rules>,
    /// Whether results of its read-only tools are kept.
    pub cache: Option<CacheSettings>,
}

/// How calls are spread over replicas.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Balance {
    /// One after the other.
    #[default]
    RoundRobin,
    /// Where the fewest calls are under way.
    LeastBusy,
}

/// Who shares a connection to a server of the older era, which keeps state for each connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sessions {
    /// All clients that can do the same.
    #[default]
    Shared,
    /// Each client's session has its own.
    PerClient,
}

/// When calls stop being tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// Failures in a row that open it: 5.
    pub failures: u32,
    /// How long it stays open before one call is tried: 60 s.
    pub open: Duration,
}

/// When calls are repeated. What was surely not delivered always is; else a tool's own hints count, and these lists.
#[derive(Debug, Clone)]
pub struct Retries {
    /// How often, and how long between: 3 attempts, 100 ms before the second one, at most 2 s.
    pub backoff: Backoff,
    /// Tools that may be repeated, whatever they say of themselves: their names at the upstream, `*` for any text.
    pub repeat: Vec<String>,
    /// Tools that must not be repeated, whatever they say of themselves.
    pub never_repeat: Vec<String>,
}

/// When a child process that ended by itself is started again. The first time it is at once; the wait doubles while it keeps
/// ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restarts {
    /// Wait before the second restart in a row: 500 ms.
    pub first_wait: Duration,
    /// Longest wait: 30 s.
    pub longest_wait: Duration,
    /// Starts in a row that came to nothing, after which it is given up: 5. A start came to nothing when the process ended before it was
    /// ready, or soon after and without a call.
    pub quick_deaths: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            upstreams: BTreeMap::new(),
            separator: "__".to_owned(),
            state_key: None,
            expose: Expose::default(),
            batch: None,
            pipelines: Vec::new(),
            runs: None,
            pins: None,
            cache_bytes: 64 << 20,
            access_log: None,
        }
    }
}

impl Default for UpstreamSettings {
    fn default() -> Self {
        Self {
            replicas: Vec::new(),
            balance: Balance::default(),
            prefix: None,
            sessions: Sessions::default(),
            era: Era::default(),
            connect_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(60),
            health_interval: Duration::from_secs(30),
            breaker: Breaker::default(),
            concurrency: 64,
            queue: 256,
            retries: Retries::default(),
            restarts: Restarts::default(),
            idle_stop: None,
            rules: Arc::default(),
            cache: None,
        }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 5, open: Duration::from_secs(60) }
    }
}

impl Default for Retries {
    fn default() -> Self {
        let (base, max) = (Duration::from_millis(100), Duration::from_secs(2));
        Self { backoff: Backoff { attempts: 3, base, max }, repeat: Vec::new(), never_repeat: Vec::new() }
    }
}

impl Default for Restarts {
    fn default() -> Self {
        let (first_wait, longest_wait) = (Duration::from_millis(500), Duration::from_secs(30));
        Self { first_wait, longest_wait, quick_deaths: 5 }
    }
}

impl UpstreamSettings {
    /// An upstream at these places, with the defaults for the rest.
    #[must_use]
    pub fn new(replicas: Vec<Replica>) -> Self {
        Self { replicas, ..Self::default() }
    }

    /// Whether an upstream with these settings can go on with the others. The prefix and the lists of tools that may be repeated are not
    /// its business.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let plain = |settings: &Self| {
            let Backoff { attempts, base, max } = settings.retries.backoff;
            let limits = (settings.connect_timeout, settings.call_timeout, settings.health_interval);
            let bounds = (settings.concurrency, settings.queue, settings.breaker, settings.restarts);
            let ways = (settings.balance, settings.sessions, settings.era);
            (limits, bounds, ways, settings.idle_stop, (attempts, base, max))
        };
        plain(self) == plain(other)
            && self.replicas.len() == other.replicas.len()
            && self.replicas.iter().zip(&other.replicas).all(|(one, other)| one.is_same(other))
    }
}

impl Retries {
    /// Whether a call of this tool may be repeated when its answer was lost.
    pub(crate) fn repeat(&self, tool: &str, hints: Hints) -> Repeat {
        let named = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, tool));
        if named(&self.never_repeat) {
            Repeat::Never
        } else if hints.read_only || hints.idempotent || named(&self.repeat) {
            Repeat::Allowed
        } else {
            Repeat::Never
        }
    }
}

/// Whether `name` is what the pattern says, `*` in it standing for any text.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(place) => rest = &rest[place + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text_and_nothing_else_does() {
        for (pattern, name, fits) in [
            ("get", "get", true),
            ("get", "getter", false),
            ("get_*", "get_weather", true),
            ("*", "", true),
            ("*_get", "do_get", true),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1c", false),
            ("ab*ba", "aba", false),
            ("a**b", "ab", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn the_lists_overrule_what_a_tool_says_of_itself() {
        let retries = Retries {
            repeat: vec!["get_*".to_owned()],
            never_repeat: vec!["*_secret".to_owned()],
            ..Retries::default()
        };
        let (silent, read_only) = (Hints::default(), Hints { read_only: true, ..Hints::default() });
        assert_eq!(retries.repeat("get_weather", silent), Repeat::Allowed);
        assert_eq!(retries.repeat("send", silent), Repeat::Never);
        assert_eq!(retries.repeat("list", read_only), Repeat::Allowed);
        assert_eq!(retries.repeat("list", Hints { idempotent: true, ..silent }), Repeat::Allowed);
        assert_eq!(retries.repeat("get_secret", read_only), Repeat::Never);
    }

    #[test]
    fn settings_are_the_same_when_nothing_differs_that_a_connection_depends_on() {
        let replica = |address: &str| Replica::at(address.parse().unwrap());
        let one = UpstreamSettings::new(vec![replica("host:1")]);
        let renamed = UpstreamSettings { prefix: Some("other".to_owned()), ..one.clone() };
        assert!(one.is_same(&renamed));
        assert!(!one.is_same(&UpstreamSettings::new(vec![replica("host:2")])));
        assert!(!one.is_same(&UpstreamSettings { concurrency: 1, ..one.clone() }));
        let mut keyed = one.clone();
        keyed.replicas[0].options.bearer = Some("key".into());
        assert!(!one.is_same(&keyed) && keyed.is_same(&keyed.clone()));
        let other = InMemory::new(|| Ok(tokio::io::duplex(1).0));
        let in_memory = UpstreamSettings::new(vec![Replica::new(Reach::InMemory(other))]);
        assert!(in_memory.is_same(&in_memory.clone()) && !in_memory.is_same(&one));
    }
}
