//! Clients of rmcp, which speak both eras.

use mcp_transport::{Address, ConnectOptions, Era, connect, serve_endpoint_streams};
use rmcp::{
    RoleClient,
    model::{CallToolRequestParams, ProtocolVersion},
    service::{ClientLifecycleMode, ClientServiceExt as _, Peer},
};
use tokio::io::{duplex, split};

use crate::support::{Server, reaches, within};

async fn calls(client: &Peer<RoleClient>) {
    let tools = within(client.list_all_tools()).await.unwrap();
    assert_eq!(tools[0].name, "t");
    let result = within(client.call_tool(CallToolRequestParams::new("t"))).await.unwrap();
    assert_eq!(result.content[0].as_text().unwrap().text, "called");
}

#[tokio::test]
async fn in_one_process_both_eras_are_spoken() {
    let server = Server::start().await;
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    for era in [ClientLifecycleMode::Initialize, ClientLifecycleMode::Discover { preferred_versions }] {
        let (near, far) = duplex(1 << 16);
        let stopped = server.stop.clone().cancelled_owned();
        let serving = serve_endpoint_streams(server.fixture.clone(), split(far), server.grace, stopped);
        let serving = tokio::spawn(serving);
        let client = within(().serve_with_lifecycle(near, era.clone())).await.unwrap();
        calls(&client).await;
        within(client.cancel()).await.unwrap();
        within(serving).await.unwrap().unwrap();
        reaches(&server.fixture.sessions, 0).await;
    }
}

#[tokio::test]
async fn over_the_network_both_eras_are_spoken() {
    let server = Server::start().await;
    for scheme in ["http", "ws"] {
        for era in [Era::Legacy, Era::Modern, Era::Auto] {
            let path = if scheme == "http" { "sse" } else { "ws" };
            let address: Address = format!("{scheme}://{}/{path}", server.address).parse().unwrap();
            let client =
                connect(&address, (), &ConnectOptions { era, ..ConnectOptions::default() }).await.unwrap();
            calls(client.peer()).await;
            within(client.close()).await;
            reaches(&server.fixture.sessions, 0).await;
        }
    }
}
