//! Completion.

use serde_json::{Value, json};

use crate::{
    session::{Pipe, connect, legacy, modern},
    support::{Script, StandIn},
};

async fn complete(client: &mut Pipe, reference: &Value, argument: &str, value: &str) -> Value {
    let params = json!({"ref": reference, "argument": {"name": argument, "value": value}});
    client.ask("completion/complete", params).await
}

fn prompt(name: &str) -> Value {
    json!({"type": "ref/prompt", "name": name})
}

fn template() -> Value {
    json!({"type": "ref/resource", "uri": "conversation://{id}"})
}

#[tokio::test]
async fn models_are_completed_from_what_server_b_lists_and_it_is_asked_once() {
    let models = r#"{"provider": "openai", "models": ["gpt-4", "gpt-4o", "o3"], "default": "gpt-4"}"#;
    let mut stand_in = StandIn::new([Script::Json(models)]).await;
    let mut client = legacy(&stand_in).await.client;
    for (typed, expected) in [
        ("", json!(["gpt-4", "gpt-4o", "o3"])),
        ("gpt", json!(["gpt-4", "gpt-4o"])),
        ("gpt-4, ", json!(["gpt-4, gpt-4o", "gpt-4, o3"])),
        ("x", json!([])),
    ] {
        let answer = complete(&mut client, &prompt("compare_models"), "models", typed).await;
        let completion = &answer["result"]["completion"];
        assert_eq!(completion["values"], expected, "{typed}");
        assert_eq!(completion["total"], expected.as_array().unwrap().len());
        assert_eq!(completion["hasMore"], false);
    }
    assert_eq!(stand_in.paths(), ["/models"]);
}

#[tokio::test]
async fn without_server_b_nothing_is_completed_and_nothing_fails() {
    let stand_in = StandIn { url: "http://127.0.0.1:1".to_owned(), ..StandIn::new([]).await };
    let mut client = legacy(&stand_in).await.client;
    let answer = complete(&mut client, &prompt("compare_models"), "models", "g").await;
    assert_eq!(answer["result"]["completion"]["values"], json!([]));
}

#[tokio::test]
async fn conversations_are_completed_up_to_a_hundred_and_counted_beyond() {
    let stand_in = StandIn::new([]).await;
    let mut client = legacy(&stand_in).await.client;
    for n in 0..101 {
        let arguments = json!({"message": "a", "conversation_id": format!("c{n:03}")});
        client.call("send_message_to_ai", arguments).await;
    }
    for (reference, argument) in [
        (template(), "id"),
        (prompt("continue_conversation"), "conversation_id"),
        (prompt("summarise_conversation"), "conversation_id"),
    ] {
        let all = complete(&mut client, &reference, argument, "c").await["result"]["completion"].take();
        assert_eq!(all["values"].as_array().unwrap().len(), 100);
        assert_eq!(
            (&all["values"][0], &all["total"], &all["hasMore"]),
            (&json!("c100"), &json!(101), &json!(true))
        );
        let some = complete(&mut client, &reference, argument, "c09").await["result"]["completion"].take();
        assert_eq!((&some["total"], &some["hasMore"]), (&json!(10), &json!(false)));
        let none = complete(&mut client, &reference, argument, "%").await["result"]["completion"].take();
        assert_eq!(none, json!({"values": [], "total": 0, "hasMore": false}));
    }
}

#[tokio::test]
async fn what_cannot_be_completed_is_told_so() {
    let stand_in = StandIn::new([]).await;
    let mut client = legacy(&stand_in).await.client;
    let free = complete(&mut client, &prompt("ask_expert"), "question", "Wh").await;
    assert_eq!(free["result"]["completion"]["values"], json!([]));
    for (reference, argument) in [
        (prompt("nothing"), "question"),
        (prompt("ask_expert"), "nothing"),
        (template(), "nothing"),
        (json!({"type": "ref/resource", "uri": "file:///{path}"}), "path"),
        (json!({"type": "ref/nothing"}), "x"),
    ] {
        let answer = complete(&mut client, &reference, argument, "").await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }
    let malformed = client.ask("completion/complete", json!({"ref": template()})).await;
    assert_eq!(malformed["error"]["code"], -32602);

    let mut newer = connect(&stand_in).client;
    let params = json!({"ref": prompt("compare_models"), "argument": {"name": "models", "value": "m"}});
    let answer = newer.ask("completion/complete", modern(params)).await;
    assert_eq!(answer["result"]["completion"]["values"], json!(["mock-model"]));
}
