//! `load`: a bounded closed-loop load driver for servers on this machine.
//!
//! Closed loop: each of `-c` callers makes its next call when its last one is answered. One thread drives them all,
//! so that the driver stays on one CPU while the server has another. A load ends after `-n` calls or `-t` seconds,
//! whichever comes first, and speaks to loopback addresses only. The result is one line of JSON, times in
//! microseconds.

mod connection;
mod http;
mod measurement;
mod process_tree;
mod stdio;
mod target;

use clap::{Args, Parser, Subcommand};
use serde_json::{Map, Value};

use crate::http::{Answer, Callers};
use crate::measurement::{Limits, Report, measure};
use crate::process_tree::ProcessTree;
use crate::stdio::Session;
use crate::target::Target;

/// Bounded closed-loop load for servers on this machine; prints one line of JSON.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand)]
enum Mode {
    /// HTTP/1.1 with one keep-alive connection a caller: POST with `--data`, otherwise GET.
    Http(HttpMode),
    /// The same, and the answer is a stream of server-sent events that ends with `[DONE]`.
    Sse(HttpMode),
    /// `tools/call` of MCP over stdio; the server is started as a child and ended afterwards.
    McpStdio(McpMode),
}

#[derive(Args)]
struct HttpMode {
    /// `http://ADDRESS:PORT/PATH`, a loopback address.
    url: Target,
    /// Body of a POST, JSON.
    #[arg(short, long)]
    data: Option<String>,
    /// Process id of the server, whose CPU time and memory are then reported with its children's.
    #[arg(long)]
    watch: Option<u32>,
    #[command(flatten)]
    limits: Limits,
}

#[derive(Args)]
struct McpMode {
    /// Tool to call.
    #[arg(long)]
    tool: String,
    /// Its arguments, a JSON object.
    #[arg(long, default_value = "{}", value_parser = json_object)]
    arguments: Map<String, Value>,
    #[command(flatten)]
    limits: Limits,
    /// The server's command, after `--`.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

fn json_object(text: &str) -> serde_json::Result<Map<String, Value>> {
    serde_json::from_str(text)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let report = match Options::parse().mode {
        Mode::Http(mode) => http_load(&mode, Answer::Whole).await,
        Mode::Sse(mode) => http_load(&mode, Answer::Events).await,
        Mode::McpStdio(mode) => mcp_load(&mode).await?,
    };
    print(&report)
}

async fn http_load(mode: &HttpMode, answer: Answer) -> Report {
    let accept = match answer {
        Answer::Whole => "*/*",
        Answer::Events => "text/event-stream",
    };
    let request = mode.url.request(accept, mode.data.as_deref());
    let mut callers = Callers::new(&mode.url, request, answer, mode.limits.callers());
    measure(&mut callers, mode.watch.map(ProcessTree::of), &mode.limits).await
}

async fn mcp_load(mode: &McpMode) -> anyhow::Result<Report> {
    let (mut session, ready) = Session::start(&mode.command, mode.limits.callers()).await?;
    session.call(&mode.tool, &mode.arguments)?;
    let tree = session.process_id().map(ProcessTree::of);
    let mut report = measure(&mut session, tree, &mode.limits).await;
    report.ready_ms = Some(ready.as_secs_f64() * 1e3);
    report.exit_code = session.stop().await?;
    Ok(report)
}

#[expect(clippy::print_stdout, reason = "the report is what this program is for")]
fn print(report: &Report) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(report)?);
    Ok(())
}
