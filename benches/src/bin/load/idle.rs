//! What sessions cost a server while nobody uses them.

use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::callers::Protocol;
use crate::measurement::Outcome;
use crate::process_tree::ProcessTree;

/// Sessions before the first reading, so that what a server needs only once is not counted.
const FIRST: usize = 16;
/// Time for the server to put away what it needed to open the sessions.
const SETTLING: Duration = Duration::from_millis(500);

/// The result as it is printed.
#[derive(Serialize)]
pub(crate) struct IdleReport {
    sessions: usize,
    errors: u64,
    /// Time to open all of them, one after the other.
    seconds: f64,
    rss_start_kib: u64,
    rss_end_kib: u64,
    kib_per_session: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
}

/// Opens sessions one after the other, lets them rest, reads the server's memory, and sees whether each still answers.
pub(crate) async fn measure_idle<P: Protocol>(
    protocol: &P,
    sessions: usize,
    server: &ProcessTree,
) -> anyhow::Result<IdleReport> {
    let mut outcome = Outcome::default();
    let mut first = open(protocol, FIRST).await?;
    for line in &mut first {
        protocol.call(line, &mut outcome).await.context("a session does not answer")?;
        protocol.rest(line);
    }
    sleep(SETTLING).await;
    let rss_start_kib = server.rss_kib();
    let started = Instant::now();
    let mut lines = open(protocol, sessions).await?;
    let seconds = started.elapsed().as_secs_f64();
    sleep(SETTLING).await;
    let rss_end_kib = server.rss_kib();
    for line in &mut lines {
        if let Err(error) = protocol.call(line, &mut outcome).await {
            outcome.failed(&error);
        }
        protocol.rest(line);
    }
    let (errors, last_error) = outcome.failures();
    let kib_per_session = (rss_end_kib as f64 - rss_start_kib as f64) / sessions as f64;
    Ok(IdleReport { sessions, errors, seconds, rss_start_kib, rss_end_kib, kib_per_session, last_error })
}

async fn open<P: Protocol>(protocol: &P, sessions: usize) -> anyhow::Result<Vec<P::Line>> {
    let mut lines = Vec::with_capacity(sessions);
    for number in 0..sessions {
        let opened = protocol.open().await;
        let mut line = opened.with_context(|| format!("session {number} could not be opened"))?;
        protocol.rest(&mut line);
        lines.push(line);
    }
    Ok(lines)
}
