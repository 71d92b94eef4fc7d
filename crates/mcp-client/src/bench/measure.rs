//! Calls a tool again and again, and counts.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use rmcp::model::JsonObject;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use upstream::{CallOptions, Upstream};

use crate::{Exit, render::Failure};

/// So many failures of one worker in a row end it: the server is gone.
const MAX_FAILURES: u32 = 20;

/// What is measured.
pub(super) struct Load {
    pub(super) server: Upstream,
    pub(super) tool: String,
    pub(super) arguments: JsonObject,
    pub(super) end: End,
    pub(super) concurrency: u32,
}

/// When it ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Calls(u64),
    After(Duration),
}

/// What was measured.
pub(super) struct Measured {
    /// Times of answers in microseconds, up to an hour; those of failed calls are not in it.
    pub(super) times: Histogram<u64>,
    pub(super) elapsed: Duration,
    /// Answers that the tool itself called failures; they are in `times`.
    pub(super) tool_errors: u64,
    /// Calls without an answer.
    pub(super) errors: u64,
    pub(super) first_failure: Option<Failure>,
    pub(super) exit: Exit,
}

impl Measured {
    fn new() -> Self {
        // Three digits, in a few hundred kilobytes.
        let times = Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("the bounds are allowed ones");
        Self {
            times,
            elapsed: Duration::ZERO,
            tool_errors: 0,
            errors: 0,
            first_failure: None,
            exit: Exit::Success,
        }
    }

    fn add(&mut self, other: &Self) {
        // Histograms of the same bounds can always be added.
        let _ = self.times.add(&other.times);
        self.tool_errors += other.tool_errors;
        self.errors += other.errors;
        self.first_failure = self.first_failure.take().or_else(|| other.first_failure.clone());
        self.exit = self.exit.max(other.exit);
    }
}

/// Runs to the end, or until it is interrupted: then what was measured so far counts.
pub(super) async fn run(load: Load) -> Measured {
    let (count, duration) = match load.end {
        End::Calls(count) => (count, None),
        End::After(duration) => (u64::MAX, Some(duration)),
    };
    let (load, left) = (Arc::new(load), Arc::new(AtomicU64::new(count)));
    let stop = CancellationToken::new();
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..load.concurrency {
        workers.spawn(worker(load.clone(), left.clone(), stop.clone()));
    }
    let time_is_over = async {
        match duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    let mut measured = Measured::new();
    let mut time_is_over = pin!(time_is_over);
    let mut interrupted = pin!(telemetry::shutdown_signal());
    loop {
        tokio::select! {
            done = workers.join_next() => match done {
                Some(Ok(done)) => measured.add(&done),
                Some(Err(_)) => {} // it panicked, which says so itself
                None => break,
            },
            () = &mut time_is_over, if !stop.is_cancelled() => stop.cancel(),
            () = &mut interrupted, if measured.exit != Exit::Interrupted => {
                stop.cancel();
                measured.exit = Exit::Interrupted;
            }
        }
    }
    measured.elapsed = started.elapsed();
    measured
}

/// One call after the other. Those that the end finds under way do not count.
async fn worker(load: Arc<Load>, left: Arc<AtomicU64>, stop: CancellationToken) -> Measured {
    let mut measured = Measured::new();
    let mut in_a_row = 0;
    let take = |left: u64| left.checked_sub(1);
    while in_a_row < MAX_FAILURES && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
        let started = Instant::now();
        let calling = load.server.call_tool(&load.tool, load.arguments.clone(), CallOptions::default());
        let Some(answer) = stop.run_until_cancelled(calling).await else { break };
        match answer {
            Ok(result) => {
                in_a_row = 0;
                let time = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
                measured.times.saturating_record(time.max(1));
                if result.is_error == Some(true) {
                    measured.tool_errors += 1;
                    measured.exit = measured.exit.max(Exit::ToolError);
                }
            }
            Err(error) => {
                in_a_row += 1;
                measured.errors += 1;
                let failure = Failure::of_call(&error);
                measured.exit = measured.exit.max(failure.exit);
                measured.first_failure.get_or_insert(failure);
            }
        }
    }
    measured
}
