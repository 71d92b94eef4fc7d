//! connect-probe: connects to an MCP server, shows what it found as one line of JSON, and hangs up.
//!
//! For tests with servers that others wrote. It ends with 0 when the server could be used, and with 1 and the reason on
//! standard error when not.

use std::{io::Write as _, process::ExitCode};

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use mcp_transport::{Address, Client, ConnectOptions, Era, NetworkTransport, connect};
use rmcp::model::CallToolRequestParams;
use serde_json::{Map, Value, json};

/// Connects to an MCP server and tells what it is.
#[derive(Parser)]
struct Arguments {
    /// An http://, https://, ws:// or wss:// URL, HOST:PORT, or stdio:COMMAND with its arguments.
    address: Address,
    /// The era to speak.
    #[arg(long, value_enum, default_value_t = AskedEra::Auto)]
    era: AskedEra,
    /// The transport for HOST:PORT: http, sse or websocket.
    #[arg(long)]
    transport: Option<NetworkTransport>,
    /// A tool to call, and its arguments as a JSON object.
    #[arg(long, num_args = 2, value_names = ["TOOL", "JSON"])]
    call: Option<Vec<String>>,
    /// A key for the server.
    #[arg(long)]
    key: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum AskedEra {
    Auto,
    Modern,
    Legacy,
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = probe(Arguments::parse())
        .await
        .and_then(|found| writeln!(std::io::stdout(), "{found}").context("standard output is closed"));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn probe(arguments: Arguments) -> anyhow::Result<Value> {
    let era = match arguments.era {
        AskedEra::Auto => Era::Auto,
        AskedEra::Modern => Era::Modern,
        AskedEra::Legacy => Era::Legacy,
    };
    let options = ConnectOptions { era, bearer: arguments.key.map(Into::into), ..ConnectOptions::default() };
    let address = match arguments.transport {
        Some(transport) => arguments.address.with_transport(transport),
        None => arguments.address,
    };
    let client = connect(&address, (), &options).await?;
    let found = ask(&client, arguments.call.as_deref()).await;
    client.close().await;
    found
}

async fn ask(client: &Client<()>, call: Option<&[String]>) -> anyhow::Result<Value> {
    let server = client.peer().peer_info().and_then(|info| Some(info.server_info.as_ref()?.name.clone()));
    let tools = client.peer().list_all_tools().await?.len();
    let mut called = None;
    if let Some([tool, arguments]) = call {
        let arguments: Map<String, Value> =
            serde_json::from_str(arguments).context("the arguments are no object")?;
        let request = CallToolRequestParams::new(tool.clone()).with_arguments(arguments);
        called = Some(client.service().call_tool(request).await?);
    }
    Ok(json!({"protocol": client.protocol_version(), "server": server, "tools": tools, "called": called}))
}
