//! `mcp-gateway --check`.

use std::{fmt::Write as _, process::ExitCode, time::Duration};

use gateway::{Gateway, UpstreamState};

use crate::{CommandLine, Config, print};

/// Shows what each upstream offers; the file itself was found to be right.
pub(crate) async fn check(line: &CommandLine, config: Config) -> anyhow::Result<ExitCode> {
    let gateway = Gateway::new(config.gateway);
    gateway.settled().await;
    let (health, notes) = (gateway.health(), gateway.notes());
    gateway.close(Duration::ZERO).await;
    let mut text = format!("{} is right\n", line.config.display());
    let mut all_well = true;
    for upstream in &health.upstreams {
        let is_well =
            matches!(upstream.state, UpstreamState::Ready | UpstreamState::Degraded | UpstreamState::Idle);
        let is_well = is_well && upstream.last_error.is_none();
        all_well &= is_well;
        let mark = if is_well { "✓" } else { "✗" };
        let _ = write!(text, "{mark} {}: {} tools", upstream.name, upstream.tools); // memory takes all
        if let Some(error) = &upstream.last_error {
            let _ = write!(text, "; {error}");
        }
        text.push('\n');
    }
    for note in notes {
        let _ = writeln!(text, "! {note}");
    }
    print(&text)?;
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
