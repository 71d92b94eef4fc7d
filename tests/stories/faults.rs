//! Servers that fail in every way: mcp-client says clearly what is wrong, in time, and leaves nothing behind.

#[path = "faults/endings.rs"]
mod endings;
#[path = "faults/floods.rs"]
mod floods;
#[path = "faults/messages.rs"]
mod messages;
#[path = "faults/neighbours.rs"]
mod neighbours;

type Story = anyhow::Result<()>;

/// Time limits for servers that do not answer. A server that does answer has to be quicker than these, also on a busy machine.
const IMPATIENT: [&str; 6] = ["--connect-timeout", "4s", "--idle-timeout", "3s", "--timeout", "20s"];

/// Lists of arguments, one after the other.
fn arguments(parts: &[&[&str]]) -> Vec<String> {
    parts.concat().into_iter().map(str::to_owned).collect()
}
