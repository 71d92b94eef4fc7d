//! mcp-gateway in front of servers that fail in every way: whoever is well goes on, whoever is not is told about clearly, and nothing is
//! done twice, lost or left behind.

#[path = "gateway/client.rs"]
mod client;
#[path = "gateway/handover.rs"]
mod handover;
#[path = "gateway/load.rs"]
mod load;
#[path = "gateway/lost.rs"]
mod lost;
#[path = "gateway/pins.rs"]
mod pins;
#[path = "gateway/pipelines.rs"]
mod pipelines;
#[path = "gateway/policy.rs"]
mod policy;
#[path = "gateway/processes.rs"]
mod processes;
#[path = "gateway/reloads.rs"]
mod reloads;
#[path = "gateway/running.rs"]
mod running;
#[path = "gateway/sick.rs"]
mod sick;
#[path = "gateway/workbench.rs"]
mod workbench;

type Story = anyhow::Result<()>;
