//! fault-server: an MCP server that fails, for tests.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context as _;
use clap::Parser;
use e2e::fault::{Fault, Puppet, Server, serve_http, serve_stdio};
use tokio::signal::unix::{SignalKind, signal};

/// An MCP server with one thing wrong.
#[derive(Parser)]
struct Arguments {
    /// What is wrong.
    fault: Fault,
    /// Where the test holds its strings.
    #[arg(long)]
    strings: SocketAddr,
    /// How many notifications a flood has.
    #[arg(long, default_value_t = 1_000_000)]
    notifications: usize,
    /// Serve Streamable HTTP on a free port, which is told through the strings, and not standard input and output.
    #[arg(long)]
    http: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let puppet = Puppet::new(arguments.strings).context("nobody pulls the strings")?;
    let server = Server { fault: arguments.fault, notifications: arguments.notifications, puppet };
    if arguments.fault == Fault::Stubborn {
        ignore_terminations()?;
    }
    if arguments.http {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        server.puppet.tell(&format!("listening {}", listener.local_addr()?));
        serve_http(&server, &listener)?;
    } else {
        serve_stdio(&server)?;
    }
    Ok(())
}

/// A signal that is waited for no longer ends the process.
fn ignore_terminations() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let mut terminations = signal(SignalKind::terminate())?;
    drop(entered);
    std::thread::spawn(move || runtime.block_on(async move { while terminations.recv().await.is_some() {} }));
    Ok(())
}
