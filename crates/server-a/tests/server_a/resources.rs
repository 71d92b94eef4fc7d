//! Conversations as resources, in both eras.

use serde_json::{Value, json};

use crate::{
    session::{Pipe, connect, connect_to, legacy, modern, server},
    support::StandIn,
};

async fn say(client: &mut Pipe, conversation: &str, message: &str) {
    let arguments = json!({"message": message, "conversation_id": conversation});
    let result = client.call("send_message_to_ai", arguments).await;
    assert_eq!(result["isError"], false, "{result}");
}

fn read(answer: &Value) -> Value {
    serde_json::from_str(answer["result"]["contents"][0]["text"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn every_conversation_is_a_resource_and_the_newest_is_first() {
    let stand_in = StandIn::new([]).await;
    let mut client = legacy(&stand_in).await.client;
    let empty = client.ask("resources/list", json!({})).await;
    assert_eq!(empty["result"]["resources"], json!([]));

    say(&mut client, "a", "What is\n  Rust?").await;
    say(&mut client, "b/ü", &"long ".repeat(30)).await;
    say(&mut client, "a", "And Python?").await;
    let listed = client.ask("resources/list", json!({})).await;

    let resources = listed["result"]["resources"].as_array().unwrap();
    let uris: Vec<_> = resources.iter().map(|resource| resource["uri"].as_str().unwrap()).collect();
    assert_eq!(uris, ["conversation://a", "conversation://b%2F%C3%BC"]);
    assert_eq!((&resources[0]["name"], &resources[0]["title"]), (&json!("a"), &json!("What is Rust?")));
    assert_eq!(resources[0]["mimeType"], "application/json");
    assert!(resources[0]["description"].as_str().unwrap().contains("2 messages"));
    assert!(resources[0]["annotations"]["lastModified"].as_str().unwrap().ends_with('Z'));
    assert!(resources[1]["title"].as_str().unwrap().chars().count() <= 61);
    assert!(listed["result"].get("nextCursor").is_none());
}

#[tokio::test]
async fn a_conversation_is_read_with_its_totals() {
    let stand_in = StandIn::new([]).await;
    let mut client = legacy(&stand_in).await.client;
    say(&mut client, "b/ü", "first").await;
    say(&mut client, "b/ü", "second").await;
    say(&mut client, "other", "third").await;

    let uri = "conversation://b%2F%C3%BC";
    let answer = client.ask("resources/read", json!({"uri": uri})).await;

    let contents = &answer["result"]["contents"][0];
    assert_eq!((&contents["uri"], &contents["mimeType"]), (&json!(uri), &json!("application/json")));
    let conversation = read(&answer);
    assert_eq!(conversation["conversationId"], "b/ü");
    assert_eq!((&conversation["totalMessages"], &conversation["totalTokensUsed"]), (&json!(4), &json!(84)));
    let said: Vec<_> =
        conversation["history"].as_array().unwrap().iter().map(|entry| &entry["message"]).collect();
    assert_eq!(said, ["first", "a language", "second", "a language"]);
    assert!(conversation.get("nextBefore").is_none());
}

#[tokio::test]
async fn a_long_conversation_is_read_as_its_newest_page() {
    let stand_in = StandIn::new([]).await;
    let mut client = legacy(&stand_in).await.client;
    for n in 0..60 {
        say(&mut client, "long", &n.to_string()).await;
    }
    let conversation = read(&client.ask("resources/read", json!({"uri": "conversation://long"})).await);
    assert_eq!(conversation["totalMessages"], 120);
    assert_eq!(conversation["history"].as_array().unwrap().len(), 100);
    assert_eq!(conversation["history"][0]["message"], "10");

    let older = json!({"conversation_id": "long", "before": conversation["nextBefore"]});
    let older = client.call("get_conversation_history", older).await;
    assert_eq!(older["structuredContent"]["history"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn what_does_not_exist_is_not_found_in_both_eras() {
    let stand_in = StandIn::new([]).await;
    let mut older = legacy(&stand_in).await.client;
    let mut newer = connect(&stand_in).client;
    for uri in ["conversation://nobody", "file:///etc/passwd", "conversation://%ff", "conversation://a/b"] {
        let answer = older.ask("resources/read", json!({"uri": uri})).await;
        assert_eq!(
            (&answer["error"]["code"], &answer["error"]["data"]["uri"]),
            (&json!(-32002), &json!(uri))
        );
        let answer = newer.ask("resources/read", modern(json!({"uri": uri}))).await;
        assert_eq!(
            (&answer["error"]["code"], &answer["error"]["data"]["uri"]),
            (&json!(-32602), &json!(uri))
        );
    }
    let long = format!("conversation://{}", "a".repeat(100_000));
    for params in [json!({"uri": "no uri"}), json!({"uri": 7}), json!({}), json!({"uri": long})] {
        let answer = older.ask("resources/read", params).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        assert!(answer["error"].get("data").is_none() && answer.to_string().len() < 1_000);
    }
}

#[tokio::test]
async fn the_pages_of_the_list_join_and_a_foreign_cursor_is_refused() {
    let stand_in = StandIn::new([]).await;
    let mut client = legacy(&stand_in).await.client;
    for n in 0..120 {
        say(&mut client, &format!("c{n:03}"), "a").await;
    }
    let mut seen = Vec::new();
    let mut params = json!({});
    loop {
        let page = client.ask("resources/list", params).await["result"].take();
        let resources = page["resources"].as_array().unwrap();
        assert!(resources.len() <= 50);
        seen.extend(resources.iter().map(|resource| resource["name"].as_str().unwrap().to_owned()));
        let Some(cursor) = page.get("nextCursor") else { break };
        params = json!({"cursor": cursor});
    }
    let expected: Vec<_> = (0..120).rev().map(|n| format!("c{n:03}")).collect();
    assert_eq!(seen, expected);

    for cursor in ["", "x", "c", "c-1", "p50", "c1 OR 1=1", "99999999999999999999"] {
        for method in ["resources/list", "resources/templates/list", "prompts/list", "tools/list"] {
            let answer = client.ask(method, json!({"cursor": cursor})).await;
            assert_eq!(answer["error"]["code"], -32602, "{method} {cursor}");
        }
    }
}

#[tokio::test]
async fn the_template_tells_what_the_uris_look_like() {
    let stand_in = StandIn::new([]).await;
    let mut client = legacy(&stand_in).await.client;
    let listed = client.ask("resources/templates/list", json!({})).await;
    let templates = listed["result"]["resourceTemplates"].as_array().unwrap();
    assert_eq!(templates.len(), 1);
    assert_eq!(templates[0]["uriTemplate"], "conversation://{id}");
    assert_eq!(templates[0]["mimeType"], "application/json");
}

#[tokio::test]
async fn what_may_change_is_not_kept_by_clients_and_the_rest_is_for_a_while() {
    let stand_in = StandIn::new([]).await;
    let server = server(&stand_in);
    let mut older = connect_to(&server).client;
    older.initialize("2025-11-25").await;
    say(&mut older, "a", "b").await;
    let mut newer = connect_to(&server).client;
    for (method, params, ttl, scope) in [
        ("resources/list", json!({}), 0, "private"),
        ("resources/read", json!({"uri": "conversation://a"}), 0, "private"),
        ("resources/templates/list", json!({}), 300_000, "public"),
        ("prompts/list", json!({}), 300_000, "public"),
        ("tools/list", json!({}), 300_000, "public"),
    ] {
        let result = newer.ask(method, modern(params.clone())).await["result"].take();
        assert_eq!((&result["ttlMs"], &result["cacheScope"]), (&json!(ttl), &json!(scope)), "{method}");
        assert_eq!(result["resultType"], "complete", "{method}");
        let result = older.ask(method, params).await["result"].take();
        assert!(result.get("ttlMs").is_none() && result.get("resultType").is_none(), "{method}");
    }
}
