//! Changes reach those who want to know, once.

use mcp_transport::Change;
use serde_json::{Value, json};

use crate::{
    client::{Client, EVERYWHERE, Era},
    support::Server,
};

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

async fn subscribe(client: &mut Client) -> Value {
    if client.era == Era::Legacy {
        let answer = client.ask("resources/subscribe", json!({"uri": "a://1"})).await;
        assert!(answer.get("result").is_some(), "{answer}");
        return Value::Null;
    }
    let wanted = json!({"toolsListChanged": true, "resourceSubscriptions": ["a://1"]});
    let id = client.send("subscriptions/listen", json!({"notifications": wanted})).await;
    let acknowledged = client.next().await;
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    json!(id)
}

#[tokio::test]
async fn a_change_arrives_once_on_every_wire_and_in_both_eras() {
    for (wire, era) in EVERYWHERE {
        let server = Server::start().await;
        let mut client = Client::open(&server, wire, era).await;
        let id = subscribe(&mut client).await;
        for _ in 0..2 {
            server.state.subscribers.changed(&Change::Resource("a://2".to_owned()));
            server.state.subscribers.changed(&Change::Resource("a://1".to_owned()));
            let updated = client.next().await;
            assert_eq!(updated["method"], "notifications/resources/updated", "{wire:?} {era:?}: {updated}");
            assert_eq!(updated["params"]["uri"], "a://1", "{wire:?} {era:?}");
            server.state.subscribers.changed(&Change::Tools);
            let changed = client.next().await;
            assert_eq!(changed["method"], "notifications/tools/list_changed", "{wire:?} {era:?}: {changed}");
            for notification in [updated, changed] {
                assert_eq!(
                    notification["params"]["_meta"][SUBSCRIPTION], id,
                    "{wire:?} {era:?}: {notification}"
                );
            }
        }
    }
}

#[tokio::test]
async fn who_has_unsubscribed_or_stopped_listening_hears_no_more() {
    for (wire, era) in EVERYWHERE {
        let server = Server::start().await;
        let mut client = Client::open(&server, wire, era).await;
        let id = subscribe(&mut client).await;
        match era {
            Era::Legacy => {
                client.ask("resources/unsubscribe", json!({"uri": "a://1"})).await;
                server.state.subscribers.changed(&Change::Resource("a://1".to_owned()));
                server.state.subscribers.changed(&Change::Tools);
                assert_eq!(client.next().await["method"], "notifications/tools/list_changed", "{wire:?}");
            }
            Era::Modern if wire == crate::client::Wire::Streamable => {} // to close the response is to cancel
            Era::Modern => {
                let cancelled = json!({"requestId": id});
                client
                    .write(
                        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancelled}),
                    )
                    .await;
                client.text("echo", json!({})).await; // by now it has arrived
                server.state.subscribers.changed(&Change::Tools);
                let again = subscribe(&mut client).await;
                server.state.subscribers.changed(&Change::Tools);
                let changed = client.next().await;
                assert_eq!(changed["params"]["_meta"][SUBSCRIPTION], again, "{wire:?}: {changed}");
            }
        }
    }
}
