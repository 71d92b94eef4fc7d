//! What a new user does first, and what is left when server-a is killed.

use std::{collections::HashMap, path::Path, process::ExitStatus};

use anyhow::Context as _;
use e2e::{
    messenger::{Era, Messenger},
    programs,
    world::ServerBSettings,
};
use serde_json::{Value, json};

type Story = anyhow::Result<()>;

/// Runs test-communication, and gives its exit status and what it printed.
async fn walk(arguments: &[&str]) -> anyhow::Result<(ExitStatus, String)> {
    let home = tempfile::tempdir()?;
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_test-communication"));
    command.args(arguments).current_dir(home.path()).kill_on_drop(true);
    let output = tokio::time::timeout(programs::PATIENCE, command.output()).await??;
    Ok((output.status, String::from_utf8(output.stdout)?))
}

fn variables(server_b: &str) -> HashMap<String, String> {
    let variables =
        [("SERVER_B_URL", server_b), ("DATABASE_URL", "sqlite://server-a.db"), ("RETRY_ATTEMPTS", "1")];
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

async fn messenger(home: &Path, server_b: &str, era: Era) -> anyhow::Result<Messenger> {
    Messenger::start(home, &variables(server_b), era).await
}

#[tokio::test]
async fn the_walkthrough_shows_every_step_and_ends_with_0() -> Story {
    shows_every_step(&[]).await
}

#[tokio::test]
async fn the_walkthrough_sees_no_difference_when_the_gateway_is_in_between() -> Story {
    shows_every_step(&["--gateway"]).await
}

async fn shows_every_step(arguments: &[&str]) -> Story {
    let (status, text) = walk(arguments).await?;
    assert_eq!(status.code(), Some(0), "{text}");
    for line in [
        "✓ Server B is healthy",
        "Provider: mock",
        "Models: [\"mock-model\"]",
        "AI Response : [MOCK RESPONSE #1] You said: 'What is Python?'. This is a test response without calling any external API.",
        "Tokens      : 30",
        "AI Response : [MOCK RESPONSE #2] You said: 'Explain AI in one sentence'.",
        "Tokens      : 36",
        "Status      : success",
        "✓ PROOF: Server A communicated with Server B successfully!",
        "✓ 4 messages, 2 of them AI responses",
        "✓ 2 requests, 66 tokens",
    ] {
        assert!(text.contains(line), "`{line}` is missing in:\n{text}");
    }
    assert!(!text.contains('✗'), "{text}");
    Ok(())
}

#[tokio::test]
async fn the_walkthrough_finds_a_server_b_that_runs() -> Story {
    let server = ServerBSettings::new()?.with("SERVER_B_API_KEY", "key-7").start()?;
    let (status, text) = walk(&["--server-b", &server.url(""), "--api-key", "key-7"]).await?;
    assert_eq!(status.code(), Some(0), "{text}");
    let (status, text) = walk(&["--server-b", &server.url(""), "--api-key", "another"]).await?;
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains('✗') && text.contains("SERVER_B_API_KEY"), "{text}");
    Ok(())
}

#[tokio::test]
async fn with_a_dead_port_the_walkthrough_says_what_to_do_and_ends_with_1() -> Story {
    let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let (status, text) = walk(&["--server-b", &format!("http://{free}")]).await?;
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains("✗ Connection refused: is Server B running?"), "{text}");
    assert!(text.contains(&format!("Hint: Start Server B on http://{free}")), "{text}");
    assert!(!text.contains("PROOF"), "{text}");
    Ok(())
}

#[tokio::test]
async fn history_and_statistics_survive_when_server_a_is_killed() -> Story {
    let server = ServerBSettings::new()?.start()?;
    let home = tempfile::tempdir()?;
    let mut conversation = Value::Null;
    for round in 0..5 {
        let era = if round % 2 == 0 { Era::Modern } else { Era::Legacy };
        let messenger = messenger(home.path(), &server.url(""), era).await?;
        let mut arguments = json!({"message": format!("round {round}")});
        if !conversation.is_null() {
            arguments["conversation_id"] = conversation.clone();
        }
        let answer = messenger.ask("send_message_to_ai", arguments).await?;
        conversation = answer["conversationId"].clone();
        drop(messenger); // its child is killed, without a word of goodbye
    }
    let messenger = messenger(home.path(), &server.url(""), Era::Modern).await?;
    let history = messenger.ask("get_conversation_history", json!({"conversation_id": conversation})).await?;
    assert_eq!((&history["totalMessages"], &history["totalAIResponses"]), (&json!(10), &json!(5)));
    let said: Vec<_> =
        history["history"].as_array().context("a history")?.iter().map(|entry| &entry["message"]).collect();
    assert_eq!(said[0], "round 0");
    assert!(said[9].as_str().is_some_and(|text| text.contains("You said: 'round 4'")), "{said:?}");
    let stats = messenger.ask("get_ai_usage_stats", json!({})).await?;
    assert_eq!(stats["totalRequests"], 5);
    Ok(())
}

#[tokio::test]
async fn several_server_a_share_one_file() -> Story {
    let server = ServerBSettings::new()?.start()?;
    let home = tempfile::tempdir()?;
    let url = server.url("");
    let talk = async |era| {
        let messenger = messenger(home.path(), &url, era).await?;
        for number in 0..20 {
            messenger.ask("send_message_to_ai", json!({"message": number.to_string()})).await?;
        }
        anyhow::Ok(messenger)
    };
    let (first, _second, _third) = tokio::try_join!(talk(Era::Modern), talk(Era::Legacy), talk(Era::Modern))?;
    let stats = first.ask("get_ai_usage_stats", json!({})).await?;
    assert_eq!(stats["totalRequests"], 60);
    Ok(())
}

#[tokio::test]
async fn server_a_starts_and_answers_when_server_b_is_down_and_its_settings_are_odd() -> Story {
    let home = tempfile::tempdir()?;
    let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut settings = variables(&format!("http://{free}"));
    settings.insert("AI_PROVIDER".to_owned(), "nonsense".to_owned());
    settings.insert("HTTP_PORT".to_owned(), "-1".to_owned());
    for era in [Era::Legacy, Era::Modern] {
        let messenger = Messenger::start(home.path(), &settings, era).await?;
        assert_eq!(messenger.client().list_all_tools().await?.len(), 7);
        let failed = messenger.call("send_message", json!({"message": "anybody there?"})).await?;
        assert_eq!(failed.is_error, Some(true));
        let said = failed.structured_content.context("a structured failure")?;
        assert_eq!(said["success"], false);
        for part in ["error", "detail", "hint"] {
            assert!(said[part].as_str().is_some_and(|text| !text.is_empty()), "{part} in {said}");
        }
        messenger.close().await?;
    }
    Ok(())
}
