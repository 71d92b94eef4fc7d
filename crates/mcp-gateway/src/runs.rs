//! `mcp-gateway runs`.

use std::{fmt::Write as _, process::ExitCode};

use anyhow::Context as _;
use jiff::Timestamp;
use ledger::{KnownRun, Location, Runs};

use crate::print;

/// Runs that are listed at most; the ledger keeps about as many.
const MOST: usize = 1_000;

/// Who has no key: this command line too.
const ANYBODY: u64 = 0;

/// Lists runs of pipelines that were cut off, and how to resume them.
pub(crate) async fn run(location: &Location) -> anyhow::Result<ExitCode> {
    match location {
        Location::Memory => print("runs are not kept: `ledger` is \"memory\"\n")?,
        // Looking must not make the file.
        Location::File(path) if !path.exists() => {
            print(&format!("no run was cut off: there is no {} yet\n", path.display()))?;
        }
        Location::File(path) => {
            let runs = Runs::open(location)?.unfinished(None, MOST).await;
            let runs = runs.with_context(|| format!("the runs in {} cannot be read", path.display()))?;
            print(&text(&runs))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn text(runs: &[KnownRun]) -> String {
    if runs.is_empty() {
        return "no run was cut off\n".to_owned();
    }
    let mut text = String::new();
    for KnownRun { run, began_at_ms, .. } in runs {
        let began = Timestamp::from_millisecond(*began_at_ms).map(|at| at.to_string()).unwrap_or_default();
        // Writing to a string cannot fail.
        let whose = if run.owner == ANYBODY { "" } else { "  by a client with a key" };
        let _ = writeln!(text, "{}  {}  began {began}{whose}", run.id, run.pipeline);
    }
    let (anybodys, clients): (Vec<_>, Vec<_>) = runs.iter().partition(|run| run.run.owner == ANYBODY);
    text.push_str("\nWhat is done is not done again. How to go on:\n");
    if !anybodys.is_empty() {
        text.push_str(
            "  mcp-gateway run --resume RUN_ID, or without a key the tool resume_pipeline, with run_id\n",
        );
    }
    if !clients.is_empty() {
        text.push_str(
            "  by a client with a key: the tool resume_pipeline, with run_id, called with the same key\n",
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use ledger::NewRun;

    use super::*;

    #[test]
    fn each_run_has_a_line_and_below_it_is_said_how_to_go_on() {
        let known = |id: &str, owner: u64| KnownRun {
            run: NewRun {
                id: id.to_owned(),
                pipeline: "research".to_owned(),
                digest: String::new(),
                owner,
                input: r#"{"secret": "topic"}"#.to_owned(),
            },
            began_at_ms: 1_780_000_000_000,
            is_over: false,
            error: None,
            calls: Vec::new(),
        };

        let ours = text(&[known("r2", 0), known("r1", 0)]);
        assert!(ours.starts_with("r2  research  began 2026-05-28T20:26:40Z\nr1  research  began "), "{ours}");
        assert!(ours.contains("mcp-gateway run --resume RUN_ID") && !ours.contains("same key"), "{ours}");
        assert!(!ours.contains("topic"), "{ours}");

        let theirs = text(&[known("r1", 7)]);
        assert!(theirs.contains("Z  by a client with a key\n") && theirs.contains("same key"), "{theirs}");
        assert!(!theirs.contains("--resume"), "{theirs}");
    }
}
