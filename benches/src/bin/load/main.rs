//! `load`: a bounded closed-loop load driver for servers on this machine.
//!
//! Closed loop: each of `-c` callers makes its next call when its last one is answered. One thread drives them all,
//! so that the driver stays on one CPU while the server has another. A load ends after `-n` calls or `-t` seconds,
//! whichever comes first, and speaks to loopback addresses only. The result is one line of JSON, times in
//! microseconds.

mod callers;
mod connection;
mod events;
mod http;
mod http_sse;
mod idle;
mod measurement;
mod options;
mod process_tree;
mod stdio;
mod streamable;
mod target;
mod tool_call;
mod web_socket;

use clap::Parser;
use serde::Serialize;

use crate::callers::{Callers, Protocol};
use crate::http::{Answer, Http};
use crate::http_sse::HttpSse;
use crate::idle::measure_idle;
use crate::measurement::{Report, measure};
use crate::options::{HttpMode, McpIdleMode, McpMode, McpStdioMode, Mode, Options, Transport};
use crate::process_tree::ProcessTree;
use crate::stdio::Session;
use crate::streamable::Streamable;
use crate::web_socket::WebSocket;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    match Options::parse().mode {
        Mode::Http(mode) => print(&http_load(mode, Answer::Whole).await),
        Mode::Sse(mode) => print(&http_load(mode, Answer::Events).await),
        Mode::Mcp(mode) => mcp_load(mode).await,
        Mode::McpIdle(mode) => idle(mode).await,
        Mode::McpStdio(mode) => print(&stdio_load(mode).await?),
    }
}

async fn http_load(mode: HttpMode, answer: Answer) -> Report {
    let accept = match answer {
        Answer::Whole => "*/*",
        Answer::Events => "text/event-stream",
    };
    let request = mode.url.request(accept, mode.data.as_deref());
    let http = Http { address: mode.url.address, request, answer };
    let mut callers = Callers::new(http, mode.limits.callers());
    measure(&mut callers, mode.watch.map(ProcessTree::of), &mode.limits).await
}

async fn mcp_load(mode: McpMode) -> anyhow::Result<()> {
    async fn load(protocol: impl Protocol, mode: &McpMode) -> anyhow::Result<()> {
        let mut callers = Callers::new(protocol, mode.limits.callers());
        print(&measure(&mut callers, mode.watch.map(ProcessTree::of), &mode.limits).await)
    }
    let (target, call) = (mode.url.clone(), mode.call.tool_call());
    match mode.over {
        Transport::Http => load(Streamable { target, call }, &mode).await,
        Transport::Sse => load(HttpSse { target, call }, &mode).await,
        Transport::Ws => load(WebSocket { target, call }, &mode).await,
    }
}

async fn idle(mode: McpIdleMode) -> anyhow::Result<()> {
    async fn sessions(protocol: impl Protocol, mode: &McpIdleMode) -> anyhow::Result<()> {
        print(&measure_idle(&protocol, mode.sessions.into(), &ProcessTree::of(mode.watch)).await?)
    }
    let (target, call) = (mode.url.clone(), mode.call.tool_call());
    match mode.over {
        Transport::Http => sessions(Streamable { target, call }, &mode).await,
        Transport::Sse => sessions(HttpSse { target, call }, &mode).await,
        Transport::Ws => sessions(WebSocket { target, call }, &mode).await,
    }
}

async fn stdio_load(mode: McpStdioMode) -> anyhow::Result<Report> {
    let started = Session::start(&mode.command, mode.call.tool_call(), mode.limits.callers());
    let (mut session, ready) = started.await?;
    let tree = session.process_id().map(ProcessTree::of);
    let mut report = measure(&mut session, tree, &mode.limits).await;
    report.ready_ms = Some(ready.as_secs_f64() * 1e3);
    report.exit_code = session.stop().await?;
    Ok(report)
}

#[expect(clippy::print_stdout, reason = "the report is what this program is for")]
fn print(report: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(report)?);
    Ok(())
}
