//! More than anybody wants to hear.

use anyhow::Context as _;
use e2e::{
    fault::{HUGE, Strings},
    mcp_client::{McpClient, Run, failing, failing_over_http},
    programs::Program,
};

use crate::{Story, arguments};

/// A client that kept what it hears, or did something about each, would need more than this.
const BOUND_KIB: u64 = 64 << 10;

/// The most memory that a process ever used, in KiB. Only Linux tells.
fn peak_memory(program: &Program) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Calls a server that floods, beside a healthy one.
#[cfg(target_os = "linux")]
fn survives(client: &McpClient, flooding: &str, strings: &Strings) -> Story {
    let others = Strings::new()?;
    let healthy = failing("healthy", "healthy", &others)?;
    let mut session = client.start_with_input(&arguments(&[&[flooding, &healthy]]))?;
    session.write_line("call healthy echo message=before")?;
    session.wait_for_out("echo: before")?;
    session.write_line("call flood echo message=hello")?;
    strings.wait_long_for("flooded")?;
    strings.release();
    session.wait_for_out("echo: hello")?;
    let peak = peak_memory(&session)?;
    assert!(peak < BOUND_KIB, "{flooding}: {peak} KiB");
    session.write_line("call healthy echo message=after")?;
    session.wait_for_out("echo: after")?;
    session.close_input();
    let run = Run::of(&mut session)?;
    assert_eq!(others.lives(), 1);
    assert!(run.err.len() < 1 << 20, "it repeats {} bytes of the flood", run.err.len());
    Ok(())
}

#[test]
#[cfg(target_os = "linux")]
fn a_million_notifications_cost_little_memory_and_the_answer_still_arrives() -> Story {
    let client = McpClient::new()?;
    let strings = Strings::new()?;
    survives(&client, &failing("flood", "floods", &strings)?, &strings)?;
    strings.wait_for_the_end()
}

#[test]
#[cfg(target_os = "linux")]
fn a_hundred_thousand_notifications_over_http_cost_little_memory() -> Story {
    let client = McpClient::new()?;
    let strings = Strings::new()?;
    let (_server, address) = failing_over_http("flood", "floods --notifications 100000", &strings)?;
    survives(&client, &address, &strings)
}

#[test]
#[cfg(target_os = "linux")]
fn an_answer_of_50_megabytes_is_refused_before_it_is_in_memory() -> Story {
    let client = McpClient::new()?;
    for over_http in [false, true] {
        let (strings, others) = (Strings::new()?, Strings::new()?);
        let (_server, huge) = match over_http {
            true => failing_over_http("huge", "huge", &strings).map(|(server, at)| (Some(server), at))?,
            false => (None, failing("huge", "huge", &strings)?),
        };
        let healthy = failing("healthy", "healthy", &others)?;
        let mut session = client.start_with_input(&arguments(&[&[&huge, &healthy]]))?;
        session.write_line("call huge echo message=hello")?;
        session.write_line("call healthy echo message=after")?;
        session.wait_for_out("echo: after")?;
        let peak = peak_memory(&session)?;
        assert!(peak < (HUGE as u64 >> 10) + BOUND_KIB, "over HTTP {over_http}: {peak} KiB");
        session.close_input();
        let run = Run::of(&mut session)?;
        assert!(run.err.contains("huge") && run.err.contains("bytes"), "{run:?}");
        assert!(run.out.len() + run.err.len() < 1 << 20, "it shows what it refused");
    }
    Ok(())
}
