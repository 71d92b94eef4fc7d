//! What every load has in common: its limits, what it measures and how that is reported.

use std::cell::Cell;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::time::Instant;

use crate::process_tree::ProcessTree;

/// How long calls that are still open may take when a load is over.
const GRACE: Duration = Duration::from_secs(10);
/// A server that failed this often in a row is left alone.
pub(crate) const FAILURES_IN_A_ROW: u32 = 20;

/// When a load ends, how wide it is and how much of it is thrown away first.
#[derive(Args)]
pub(crate) struct Limits {
    /// Callers, each of which has one call open at any time.
    #[arg(short = 'c', long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    callers: u16,
    /// Most calls that are measured.
    #[arg(short = 'n', long, default_value_t = 100_000)]
    calls: u64,
    /// Most seconds that are measured.
    #[arg(short = 't', long, default_value_t = 10.0, value_parser = seconds)]
    seconds: f64,
    /// Seconds of the same load before it, not measured.
    #[arg(short = 'w', long, default_value_t = 0.5, value_parser = seconds)]
    warm_up_seconds: f64,
}

impl Limits {
    pub(crate) fn callers(&self) -> usize {
        self.callers.into()
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("must be 0 to 3600 seconds".to_owned()),
    }
}

/// The calls and the time that are left, shared by all callers.
pub(crate) struct Budget {
    calls: Cell<u64>,
    end: Instant,
}

impl Budget {
    fn new(calls: u64, seconds: f64) -> Self {
        Self { calls: Cell::new(calls), end: Instant::now() + Duration::from_secs_f64(seconds) }
    }

    /// Takes one call; `false` when the load is over.
    pub(crate) fn take(&self) -> bool {
        let left = self.calls.get();
        self.calls.set(left.saturating_sub(1));
        left > 0 && Instant::now() < self.end
    }

    /// When calls that are still open are given up.
    pub(crate) fn cut_off(&self) -> Instant {
        self.end + GRACE
    }
}

/// A load that can be run more than once: first to warm up, then to measure.
pub(crate) trait Load {
    /// Calls until `budget` is used up.
    async fn run(&mut self, budget: &Budget) -> Outcome;
}

/// What became of the calls of one run.
#[derive(Default)]
pub(crate) struct Outcome {
    whole_us: Vec<u32>,
    first_event_us: Vec<u32>,
    events: u64,
    errors: u64,
    last_error: Option<String>,
}

impl Outcome {
    pub(crate) fn answered(&mut self, took: Duration) {
        self.whole_us.push(microseconds(took));
    }

    pub(crate) fn streamed(&mut self, first_event: Duration, events: u64) {
        self.first_event_us.push(microseconds(first_event));
        self.events += events;
    }

    pub(crate) fn failed(&mut self, error: &dyn std::fmt::Display) {
        self.errors += 1;
        self.last_error = Some(error.to_string().chars().take(300).collect());
    }

    /// How many calls failed, and why the last one did.
    pub(crate) fn failures(self) -> (u64, Option<String>) {
        (self.errors, self.last_error)
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.whole_us.extend(other.whole_us);
        self.first_event_us.extend(other.first_event_us);
        self.events += other.events;
        self.errors += other.errors;
        self.last_error = other.last_error.or(self.last_error.take());
    }
}

/// The result as it is printed; what was not measured is left out.
#[derive(Default, Serialize)]
pub(crate) struct Report {
    callers: usize,
    calls: usize,
    errors: u64,
    seconds: f64,
    per_second: f64,
    #[serde(flatten)]
    whole: Option<Quantiles>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_event: Option<Quantiles>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events_per_call: Option<f64>,
    #[serde(flatten)]
    server: Option<ServerUse>,
    /// From the start of the child to its answer to `initialize`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ready_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
}

#[derive(Serialize)]
struct Quantiles {
    p50_us: u32,
    p90_us: u32,
    p99_us: u32,
    max_us: u32,
}

#[derive(Serialize)]
struct ServerUse {
    cpu_seconds: f64,
    rss_start_kib: u64,
    rss_end_kib: u64,
}

/// Warms the server up, then measures one load and what the processes of `server` used for it.
pub(crate) async fn measure(load: &mut impl Load, server: Option<ProcessTree>, limits: &Limits) -> Report {
    let rss_start_kib = server.as_ref().map(ProcessTree::rss_kib);
    load.run(&Budget::new(u64::MAX, limits.warm_up_seconds)).await;
    let cpu_before = server.as_ref().map(ProcessTree::cpu_seconds);
    let started = Instant::now();
    let outcome = load.run(&Budget::new(limits.calls, limits.seconds)).await;
    let seconds = started.elapsed().as_secs_f64();
    let server = server.zip(cpu_before).zip(rss_start_kib).map(|((tree, before), rss_start_kib)| ServerUse {
        cpu_seconds: tree.cpu_seconds() - before,
        rss_start_kib,
        rss_end_kib: tree.rss_kib(),
    });
    report(outcome, seconds, server, limits.callers())
}

fn report(outcome: Outcome, seconds: f64, server: Option<ServerUse>, callers: usize) -> Report {
    let calls = outcome.whole_us.len();
    let streams = outcome.first_event_us.len();
    Report {
        callers,
        calls,
        errors: outcome.errors,
        seconds,
        per_second: calls as f64 / seconds,
        whole: Quantiles::of(outcome.whole_us),
        first_event: Quantiles::of(outcome.first_event_us),
        events_per_call: (streams > 0).then(|| outcome.events as f64 / streams as f64),
        server,
        last_error: outcome.last_error,
        ..Report::default()
    }
}

impl Quantiles {
    /// The nearest-rank quantiles; `None` without a sample.
    fn of(mut samples: Vec<u32>) -> Option<Self> {
        samples.sort_unstable();
        let max_us = *samples.last()?;
        let rank = |per_cent: usize| samples[(samples.len() * per_cent).div_ceil(100) - 1];
        Some(Self { p50_us: rank(50), p90_us: rank(90), p99_us: rank(99), max_us })
    }
}

/// `took` in microseconds; more than an hour is cut to what the number can hold.
fn microseconds(took: Duration) -> u32 {
    u32::try_from(took.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples_that_were_measured() {
        let quantiles = Quantiles::of((1..=200).rev().collect()).unwrap();
        assert_eq!(
            (quantiles.p50_us, quantiles.p90_us, quantiles.p99_us, quantiles.max_us),
            (100, 180, 198, 200)
        );
        let single = Quantiles::of(vec![7]).unwrap();
        assert_eq!((single.p50_us, single.p99_us, single.max_us), (7, 7, 7));
        assert!(Quantiles::of(Vec::new()).is_none());
    }

    #[test]
    fn a_budget_ends_with_its_calls_or_with_its_time() {
        let two = Budget::new(2, 60.0);
        assert_eq!([two.take(), two.take(), two.take(), two.take()], [true, true, false, false]);
        assert!(!Budget::new(u64::MAX, 0.0).take());
    }
}
