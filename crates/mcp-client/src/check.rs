//! `--mode test`: tries out what servers offer, and says what works.
//!
//! Only what can be tried without harm is tried: lists, resources, prompts without arguments, and tools that say they only
//! read, if their arguments are known.

mod report;
mod steps;
mod tools;

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use serde_json::{Value, json};
use upstream::Upstream;

use crate::{Exit, output::Stop, session::Session};
use report::Report;

/// Tries all servers at once; each is shown when it is done.
pub(crate) async fn run(session: &Session, words: &[String]) -> Result<Exit, Stop> {
    let output = &session.output;
    let servers = servers(session, words)?;
    let mut trying: FuturesUnordered<_> = servers
        .iter()
        .enumerate()
        .map(|(index, server)| async move { (index, steps::all(server).await) })
        .collect();
    let mut reports: Vec<Option<Report>> = servers.iter().map(|_| None).collect();
    while let Some((index, report)) = trying.next().await {
        if !output.json {
            output.text(&format!("{}\n", report.show(&output.renderer)))?;
        }
        reports[index] = Some(report);
    }
    let reports: Vec<Report> = reports.into_iter().flatten().collect();
    let passed = reports.iter().all(Report::passed);
    let counts = report::counts(&reports);
    if output.json {
        let servers: Vec<Value> = reports.iter().map(|report| report.document(&output.renderer)).collect();
        let (good, bad, skipped) = counts;
        let all = json!({"passed": passed, "counts": {"passed": good, "failed": bad, "skipped": skipped}, "servers": servers});
        output.document(&all)?;
    } else {
        output.text(&report::summary(&output.renderer, counts))?;
    }
    Ok(if passed { Exit::Success } else { Exit::ToolError })
}

/// Those of the command line, and all of `--server` and `--config`.
fn servers(session: &Session, words: &[String]) -> Result<Vec<Upstream>, Stop> {
    if words.is_empty() {
        return session.servers(&[]);
    }
    let mut servers = session.servers(words)?;
    for more in session.servers(&[]).unwrap_or_default() {
        if !servers.iter().any(|known| known.name() == more.name()) {
            servers.push(more);
        }
    }
    Ok(servers)
}
