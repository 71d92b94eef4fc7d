//! What a client reads in its log.

use serde_json::{Value, json};

use crate::{
    session::{Pipe, call, connect, legacy, modern},
    support::{Script, StandIn},
};

const MESSAGE: &str = "notifications/message";

/// Makes a request; gives the level and the event of every line of the log up to its answer.
async fn logged(client: &mut Pipe, params: Value) -> Vec<(String, String)> {
    let id = client.request("tools/call", params).await;
    let mut lines = Vec::new();
    loop {
        let message = client.read().await.unwrap();
        if message["method"] == MESSAGE {
            assert!(!message.to_string().contains("private words"), "{message}");
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            lines.push((text(&message["params"]["level"]), text(&message["params"]["data"]["event"])));
        } else if message["id"] == id {
            return lines;
        }
    }
}

fn lines(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(level, event)| ((*level).to_owned(), (*event).to_owned())).collect()
}

fn private() -> Value {
    call("send_message_to_ai", json!({"message": "private words"}))
}

#[tokio::test]
async fn a_legacy_client_reads_what_is_of_the_level_that_it_set() {
    let failing = [Script::Problem(502, None), Script::Problem(422, None)];
    let stand_in = StandIn::new(failing.iter().cloned().cycle().take(6)).await;
    let mut client = legacy(&stand_in).await.client;

    let all = [
        ("info", "sent to Server B"),
        ("warning", "trying again"),
        ("info", "sent to Server B"),
        ("error", "failed"),
    ];
    assert_eq!(logged(&mut client, private()).await, lines(&all));

    assert_eq!(client.ask("logging/setLevel", json!({"level": "warning"})).await["result"], json!({}));
    assert_eq!(logged(&mut client, private()).await, lines(&[all[1], all[3]]));

    client.ask("logging/setLevel", json!({"level": "emergency"})).await;
    assert_eq!(logged(&mut client, private()).await, lines(&[]));

    client.ask("logging/setLevel", json!({"level": "debug"})).await;
    let good = [("info", "sent to Server B"), ("debug", "answered")];
    assert_eq!(logged(&mut client, private()).await, lines(&good));

    let wrong = client.ask("logging/setLevel", json!({"level": "loud"})).await;
    assert_eq!(wrong["error"]["code"], -32602);
}

#[tokio::test]
async fn a_modern_request_names_its_level_or_is_told_nothing() {
    let stand_in = StandIn::new([]).await;
    let mut client = connect(&stand_in).client;
    assert_eq!(logged(&mut client, modern(private())).await, lines(&[]));
    for (level, expected) in [
        ("info", lines(&[("info", "sent to Server B")])),
        ("debug", lines(&[("info", "sent to Server B"), ("debug", "answered")])),
        ("error", lines(&[])),
    ] {
        let mut params = modern(private());
        params["_meta"]["io.modelcontextprotocol/logLevel"] = json!(level);
        assert_eq!(logged(&mut client, params).await, expected, "{level}");
    }
    let set = client.ask("logging/setLevel", modern(json!({"level": "debug"}))).await;
    assert_eq!(set["error"]["code"], -32601, "there are no sessions");
    assert_eq!(logged(&mut client, modern(private())).await, lines(&[]));
}
