//! The complete gateway: three services on the network, each with something else to offer (tools, resources, prompts), behind one
//! address. A client of the newest revision uses all of it, and so does one that knows WebSocket only.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, ensure};
use examples::{Assistant, Documents, Listening, Weather, call};
use gateway::{Gateway, Replica, Settings, UpstreamSettings};
use mcp_transport::{ConnectOptions, NetworkTransport};
use rmcp::{
    model::{GetPromptRequestParams, ReadResourceRequestParams, ResourceContents},
    object,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let services = [
        ("weather", Listening::start(|| Weather).await?),
        ("documents", Listening::start(|| Documents).await?),
        ("assistant", Listening::start(|| Assistant).await?),
    ];
    let upstreams: BTreeMap<_, _> = services
        .iter()
        .map(|(name, service)| {
            println!("registered {name}");
            (name.to_string(), UpstreamSettings::new(vec![Replica::at(service.address())]))
        })
        .collect();
    let gateway = Gateway::new(Settings { upstreams, ..Settings::default() });
    let front = Listening::gateway(gateway.clone()).await?;

    for transport in [NetworkTransport::Http, NetworkTransport::WebSocket] {
        use_all_of_it(front.address().with_transport(transport), transport).await?;
    }

    let health = gateway.health();
    println!("health: {}", health.status);
    ensure!(health.status == "ok", "all services should be well");
    front.stop().await; // calls in flight are answered
    gateway.close(Duration::ZERO).await;
    Ok(())
}

async fn use_all_of_it(address: mcp_transport::Address, transport: NetworkTransport) -> anyhow::Result<()> {
    let client = mcp_transport::connect(&address, (), &ConnectOptions::default()).await?;
    let peer = client.peer();
    println!("{transport:?}, MCP {}", client.protocol_version());

    let tools: Vec<_> = peer.list_all_tools().await?.into_iter().map(|tool| tool.name).collect();
    println!("  tools: {}", tools.join(", "));
    ensure!(
        tools == ["assistant__count_words", "weather__forecast"],
        "the tools of all services should be here"
    );
    println!("  {}", call(peer, "weather__forecast", object!({ "city": "Lisbon" })).await?);

    // A resource keeps its URI.
    let resources = peer.list_all_resources().await?;
    let document = resources.first().context("the document should be here")?;
    let read = peer.read_resource(ReadResourceRequestParams::new(document.uri.clone())).await?;
    let Some(ResourceContents::TextResourceContents { text, .. }) = read.contents.first() else {
        anyhow::bail!("the document should have a text");
    };
    println!("  {}: {text}", document.uri);

    let prompts = peer.list_all_prompts().await?;
    let prompt = prompts.first().context("the prompt should be here")?;
    let asked = GetPromptRequestParams::new(&prompt.name).with_arguments(object!({ "text": "…" }));
    let prompted = client.service().get_prompt(asked).await?;
    println!("  {}: {} message", prompt.name, prompted.messages.len());
    ensure!(prompt.name == "assistant__summarise", "the prompt should be the assistant's");
    client.close().await;
    Ok(())
}
