//! Who hears of new conversations and new messages, in both eras.

use serde_json::{Value, json};

use crate::{
    session::{LEGACY, Pipe, connect_to, modern, server},
    support::{After, Script, StandIn},
};

const LIST_CHANGED: &str = "notifications/resources/list_changed";
const UPDATED: &str = "notifications/resources/updated";

async fn say(client: &mut Pipe, conversation: &str) {
    client.call("send_message_to_ai", json!({"message": "a", "conversation_id": conversation})).await;
}

fn is_change(message: &Value) -> bool {
    message["method"].as_str().is_some_and(|method| method.starts_with("notifications/resources/"))
}

/// The next change, as its method and, if it has one, its URI.
async fn change(client: &mut Pipe) -> (String, String) {
    let message = client.next_that(is_change).await;
    let uri = message["params"]["uri"].as_str().unwrap_or_default();
    (message["method"].as_str().unwrap().to_owned(), uri.to_owned())
}

fn updated(uri: &str) -> (String, String) {
    (UPDATED.to_owned(), uri.to_owned())
}

fn list_changed() -> (String, String) {
    (LIST_CHANGED.to_owned(), String::new())
}

#[tokio::test]
async fn a_legacy_session_hears_of_new_conversations_and_of_those_that_it_subscribed_to() {
    let stand_in = StandIn::new([]).await;
    let server = server(&stand_in);
    let (mut speaker, mut listener) = (connect_to(&server).client, connect_to(&server).client);
    let told = speaker.initialize(LEGACY).await;
    assert_eq!(told["result"]["capabilities"]["resources"], json!({"subscribe": true, "listChanged": true}));
    listener.initialize(LEGACY).await;
    for uri in ["conversation://a", "conversation://a", "conversation://%62"] {
        assert_eq!(listener.ask("resources/subscribe", json!({"uri": uri})).await["result"], json!({}));
    }

    say(&mut speaker, "a").await;
    assert_eq!(change(&mut listener).await, list_changed());
    assert_eq!(change(&mut listener).await, updated("conversation://a"));
    say(&mut speaker, "a").await;
    assert_eq!(change(&mut listener).await, updated("conversation://a"));
    say(&mut speaker, "b").await;
    assert_eq!(change(&mut listener).await, list_changed());
    assert_eq!(change(&mut listener).await, updated("conversation://b"));

    listener.ask("resources/unsubscribe", json!({"uri": "conversation://a"})).await;
    say(&mut speaker, "a").await;
    say(&mut speaker, "c").await;
    assert_eq!(change(&mut listener).await, list_changed(), "not of a any more");
}

#[tokio::test]
async fn what_failed_and_what_was_cancelled_is_news_too() {
    let mut stand_in =
        StandIn::new([Script::Problem(422, None), Script::Stream(&["a "], After::Silence)]).await;
    let server = server(&stand_in);
    let (mut speaker, mut listener) = (connect_to(&server).client, connect_to(&server).client);
    speaker.initialize(LEGACY).await;
    listener.initialize(LEGACY).await;
    listener.ask("resources/subscribe", json!({"uri": "conversation://a"})).await;

    say(&mut speaker, "a").await;
    assert_eq!(change(&mut listener).await, list_changed());
    assert_eq!(change(&mut listener).await, updated("conversation://a"));

    stand_in.next().await;
    let arguments = json!({"message": "a", "conversation_id": "a"});
    let params = json!({"name": "send_message_stream", "arguments": arguments});
    let id = speaker.request("tools/call", params).await;
    stand_in.next().await;
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
    speaker.write(cancel).await;
    assert_eq!(change(&mut listener).await, updated("conversation://a"));
}

#[tokio::test]
async fn a_modern_stream_hears_what_it_asked_for_and_what_it_may_ask_for() {
    let stand_in = StandIn::new([]).await;
    let server = server(&stand_in);
    let (mut speaker, mut listener) = (connect_to(&server).client, connect_to(&server).client);
    speaker.initialize(LEGACY).await;
    let wanted = json!({"notifications": {"resourcesListChanged": true, "toolsListChanged": true,
        "resourceSubscriptions": ["conversation://a", "file:///etc/passwd", "conversation://%61"]}});
    let id = listener.request("subscriptions/listen", modern(wanted)).await;

    let acknowledged = listener.read().await.unwrap();
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    let accepted = json!({"resourcesListChanged": true, "resourceSubscriptions": ["conversation://a"]});
    assert_eq!(acknowledged["params"]["notifications"], accepted);

    say(&mut speaker, "a").await;
    for method in [LIST_CHANGED, UPDATED] {
        let told = listener.next_that(is_change).await;
        assert_eq!(told["method"], method);
        assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], id);
    }
    say(&mut speaker, "b").await;
    assert_eq!(change(&mut listener).await, list_changed());
}

#[tokio::test]
async fn there_is_an_end_to_subscriptions() {
    let stand_in = StandIn::new([]).await;
    let server = server(&stand_in);
    let mut older = connect_to(&server).client;
    older.initialize(LEGACY).await;
    let mut refused = None;
    for n in 0..1_000 {
        let params = json!({"uri": format!("conversation://{n}")});
        let answer = older.ask("resources/subscribe", params).await;
        if answer.get("error").is_some() {
            refused = Some((n, answer["error"]["code"].clone()));
            break;
        }
    }
    assert_eq!(refused, Some((256, json!(-32602))));
    for uri in ["file:///etc/passwd", "conversation://", "private words"] {
        for method in ["resources/subscribe", "resources/unsubscribe"] {
            let answer = older.ask(method, json!({"uri": uri})).await;
            assert!(answer["error"].is_object(), "{method} {uri}");
        }
    }

    let mut newer = connect_to(&server).client;
    let uris: Vec<_> = (0..257).map(|n| format!("conversation://{n}")).collect();
    let params = json!({"notifications": {"resourceSubscriptions": uris}});
    let answer = newer.ask("subscriptions/listen", modern(params)).await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
}
