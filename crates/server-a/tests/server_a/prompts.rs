//! Prompts.

use serde_json::{Value, json};

use crate::{
    session::{Pipe, connect, legacy, modern},
    support::StandIn,
};

async fn get(client: &mut Pipe, name: &str, arguments: Value) -> Value {
    client.ask("prompts/get", json!({"name": name, "arguments": arguments})).await
}

/// The sets of arguments that a prompt tells the assistant to call with.
fn calls(answer: &Value) -> Vec<Value> {
    let text = answer["result"]["messages"][0]["content"]["text"].as_str().unwrap();
    let blocks = text.split("```json\n").skip(1).map(|rest| rest.split("\n```").next().unwrap());
    blocks.map(|block| serde_json::from_str(block).unwrap()).collect()
}

#[tokio::test]
async fn every_prompt_is_listed_with_its_arguments_described() {
    let stand_in = StandIn::new([]).await;
    let mut client = legacy(&stand_in).await.client;
    let listed = client.ask("prompts/list", json!({})).await;
    let prompts = listed["result"]["prompts"].as_array().unwrap();
    let names: Vec<_> = prompts.iter().map(|prompt| prompt["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["ask_expert", "compare_models", "continue_conversation", "summarise_conversation"]);
    for prompt in prompts {
        assert!(prompt["title"].is_string() && prompt["description"].as_str().unwrap().len() > 40);
        for argument in prompt["arguments"].as_array().unwrap() {
            assert!(!argument["description"].as_str().unwrap().is_empty(), "{argument}");
        }
    }
}

#[tokio::test]
async fn what_a_prompt_says_to_call_can_be_called() {
    let stand_in = StandIn::new([]).await;
    let mut client = legacy(&stand_in).await.client;
    client.call("send_message_to_ai", json!({"message": "a", "conversation_id": "c"})).await;
    let question = "Why is \"the sky\" blue?\n```";
    for (name, mut arguments, count) in [
        ("ask_expert", json!({"field": "physics"}), 1),
        ("compare_models", json!({"models": "gpt-4o, gpt-4,mock-model"}), 3),
        ("continue_conversation", json!({"conversation_id": "c"}), 1),
    ] {
        arguments["question"] = json!(question);
        let answer = get(&mut client, name, arguments).await;
        assert_eq!(answer["result"]["messages"][0]["role"], "user");
        let text = answer["result"]["messages"][0]["content"]["text"].as_str().unwrap();
        assert!(text.contains("send_message_to_ai"), "{text}");
        let calls = calls(&answer);
        assert_eq!(calls.len(), count, "{name}: {text}");
        for call in calls {
            assert_eq!(call["message"], question);
            let result = client.call("send_message_to_ai", call).await;
            assert_eq!(result["isError"], false, "{name}: {result}");
        }
    }
}

#[tokio::test]
async fn a_summary_takes_the_conversation_along() {
    let stand_in = StandIn::new([]).await;
    let mut client = legacy(&stand_in).await.client;
    client.call("send_message_to_ai", json!({"message": "Hello?", "conversation_id": "c"})).await;
    let answer = get(&mut client, "summarise_conversation", json!({"conversation_id": "c"})).await;
    let embedded = &answer["result"]["messages"][1]["content"];
    assert_eq!(embedded["type"], "resource");
    assert_eq!(embedded["resource"]["uri"], "conversation://c");
    let read = client.ask("resources/read", json!({"uri": "conversation://c"})).await;
    assert_eq!(embedded["resource"], read["result"]["contents"][0]);
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_refused_without_being_quoted() {
    let stand_in = StandIn::new([]).await;
    let mut client = legacy(&stand_in).await.client;
    for (name, arguments) in [
        ("nothing", json!({})),
        ("ask_expert", json!({"question": "private words"})),
        ("ask_expert", json!({"question": "private words", "field": " "})),
        ("ask_expert", json!({"question": "private words", "field": ["private words"]})),
        ("ask_expert", json!({"question": "private words", "field": "x".repeat(201)})),
        ("ask_expert", json!({"question": "é".repeat(10_001), "field": "x"})),
        ("ask_expert", json!({"question": "q", "field": "x", "private words": "y"})),
        ("ask_expert", json!("private words")),
        ("compare_models", json!({"question": "q", "models": "one"})),
        ("compare_models", json!({"question": "q", "models": "a,b,c,d,e,f"})),
        ("compare_models", json!({"question": "q", "models": "a, a"})),
        ("compare_models", json!({"question": "q", "models": "a,,b"})),
        ("continue_conversation", json!({"question": "q", "conversation_id": "nobody"})),
        ("summarise_conversation", json!({"conversation_id": "private words"})),
        ("summarise_conversation", json!({"conversation_id": "x".repeat(10_000)})),
    ] {
        let answer = get(&mut client, name, arguments).await;
        assert_eq!(answer["error"]["code"], -32602, "{name}: {answer}");
        assert!(!answer.to_string().contains("private words"), "{answer}");
    }
}

#[tokio::test]
async fn prompts_are_there_in_the_newer_era_too() {
    let stand_in = StandIn::new([]).await;
    let mut client = connect(&stand_in).client;
    let arguments = json!({"question": "q", "field": "physics"});
    let answer =
        client.ask("prompts/get", modern(json!({"name": "ask_expert", "arguments": arguments}))).await;
    assert_eq!(answer["result"]["resultType"], "complete");
    assert_eq!(calls(&answer).len(), 1);
}
