//! Clients of rmcp, in both eras.

use mcp_transport::{Address, ConnectOptions, Era, connect};
use rmcp::model::{CallToolRequestParams, ProtocolVersion};

use crate::support::{Server, reaches, within};

#[tokio::test]
async fn both_eras_are_spoken() {
    let server = Server::start().await;
    let address: Address = server.url("/mcp").parse().unwrap();
    for (era, version) in [
        (Era::Legacy, ProtocolVersion::V_2025_11_25),
        (Era::Modern, ProtocolVersion::V_2026_07_28),
        (Era::Auto, ProtocolVersion::V_2026_07_28),
    ] {
        let options = ConnectOptions { era, ..ConnectOptions::default() };
        let client = within(connect(&address, (), &options)).await.unwrap();
        assert_eq!(client.protocol_version(), version);
        let tools = within(client.peer().list_all_tools()).await.unwrap();
        assert_eq!(tools[0].name, "tell");
        let result = within(client.peer().call_tool(CallToolRequestParams::new("tell"))).await.unwrap();
        assert_eq!(result.content[0].as_text().unwrap().text, "done", "{era:?}");
        within(client.close()).await;
        reaches(&server.fixture.sessions, 0).await;
    }
}
