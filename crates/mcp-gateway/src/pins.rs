//! `mcp-gateway pins`: the lock file of approved tools.

mod diff;
mod lock_file;

use std::{fmt::Write as _, path::Path, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use gateway::{Gateway, PinChange, PinComparison, Pins};

use crate::{Config, PinsCommand, print};
use diff::visible;

/// Reads the lock file, if the configuration names one.
///
/// # Errors
/// When it is missing or wrong, and what to do.
pub(crate) fn load(config: &mut Config) -> anyhow::Result<()> {
    let Some(path) = &config.pins else { return Ok(()) };
    let pins = lock_file::read(path)?;
    let pins = pins.with_context(|| {
        format!("the lock file {} is not there: `mcp-gateway pins approve` makes it", path.display())
    })?;
    config.gateway.pins = Some(Arc::new(pins));
    Ok(())
}

/// Connects to the upstreams and compares their tools with the lock file, or writes it.
pub(crate) async fn pins(config: Config, what: &PinsCommand) -> anyhow::Result<ExitCode> {
    let path = config.pins.as_deref();
    let path =
        path.context("the configuration names no lock file: add pins = \"gateway.pins.json\" to it")?;
    let pins = lock_file::read(path)?.unwrap_or_default();
    let gateway = Gateway::new(config.gateway);
    gateway.settled_everywhere().await;
    let found = gateway.compare_pins(&pins);
    gateway.close(Duration::ZERO).await;
    let text = match what {
        PinsCommand::Diff => shown(&found),
        PinsCommand::Approve { names } => approve(path, pins, &found, names)?,
    };
    print(&(text + &notes(&found)))?;
    let is_withheld = matches!(what, PinsCommand::Diff) && found.changes.iter().any(PinChange::is_withheld);
    let is_whole = found.away.is_empty() && found.unwieldy.is_empty() && found.unlike.is_empty();
    Ok(if is_whole && !is_withheld { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All that differs.
fn shown(found: &PinComparison) -> String {
    let mut text: String = found.changes.iter().map(diff::unified).collect();
    let withheld = found.changes.iter().filter(|change| change.is_withheld()).count();
    let unchanged = found.unchanged.len();
    let _ = match withheld {
        0 if found.unlike.is_empty() => {
            writeln!(text, "no tool is withheld: {unchanged} are as they were approved")
        }
        0 => writeln!(text, "no tool is changed: {unchanged} are as they were approved"),
        _ => writeln!(
            text,
            "withheld until approved: {withheld}; as approved: {unchanged}. Approve all with `mcp-gateway pins approve`, or some \
             with their names after it"
        ),
    };
    text
}

/// Takes over these tools as they are now, or all, and says which these were.
fn approve(path: &Path, mut pins: Pins, found: &PinComparison, names: &[String]) -> anyhow::Result<String> {
    let mut meant = Vec::new();
    for name in names {
        match &found.named(name)[..] {
            [] => bail!(
                "no tool is called {name:?}: use the name that clients know, or UPSTREAM/TOOL as `mcp-gateway pins diff` shows it; nothing \
                 was approved"
            ),
            [tool] => meant.push(*tool),
            _ => bail!("several tools are called {name:?}: use UPSTREAM/TOOL; nothing was approved"),
        }
    }
    let is_meant = |change: &&PinChange| names.is_empty() || meant.contains(change);
    let mut text = String::new();
    let mut count = 0;
    for change in found.changes.iter().filter(is_meant) {
        pins.approve(change);
        let what = match (&change.approved, &change.present) {
            (None, _) => "new",
            (Some(_), Some(_)) => "changed",
            (Some(_), None) => "not there any more",
        };
        let place = visible(&format!("{}/{}", change.upstream, change.tool));
        // Memory takes all. What is approved is shown: it may not be what `diff` showed.
        let _ = writeln!(text, "{place} ({what})");
        text += &diff::unified(change);
        count += 1;
    }
    lock_file::write(path, &pins)?;
    let _ = writeln!(text, "{}: {count} taken over, {} tools are approved", path.display(), pins.tools());
    Ok(text)
}

/// What could not be compared.
fn notes(found: &PinComparison) -> String {
    let mut text = String::new();
    for (upstream, why) in &found.away {
        let why = visible(why);
        // Memory takes all.
        let _ = writeln!(
            text,
            "! upstream {upstream:?} did not tell all of its tools, and those approved stay: {why}"
        );
    }
    for (upstream, tool) in &found.unlike {
        let place = visible(&format!("{upstream}/{tool}"));
        let _ = writeln!(
            text,
            "! {place} is withheld: replicas of the upstream define it differently; the definition shown is one of them"
        );
    }
    for (upstream, tool) in &found.unwieldy {
        let place = visible(&format!("{upstream}/{tool}"));
        let _ = writeln!(
            text,
            "! {place} is withheld: its definition is too long or too deeply nested to be approved"
        );
    }
    text
}
