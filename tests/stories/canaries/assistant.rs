//! An assistant that talks to server-a.

use std::collections::HashMap;

use e2e::messenger::{Era, Messenger};
use serde_json::{Value, json};

use crate::{CONTEXT, FIRST_KEY, MESSAGE, SECOND_KEY, Story, evidence::Evidence, provider::Provider};

/// Uses every tool, with the provider at its best and at its worst, and takes all results, the log and the files.
pub async fn converse(
    evidence: &mut Evidence,
    provider: &Provider,
    server_b: &str,
    era: Era,
    format: &str,
) -> Story {
    let home = tempfile::tempdir()?;
    let key = format!("{FIRST_KEY},{SECOND_KEY}");
    let variables = [
        ("SERVER_B_URL", server_b),
        ("SERVER_B_API_KEY", &key),
        ("DATABASE_URL", "sqlite://server-a.db"),
        ("RETRY_ATTEMPTS", "1"),
        ("RUST_LOG", "trace"),
        ("LOG_FORMAT", format),
    ];
    let variables: HashMap<_, _> =
        variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let messenger = Messenger::start(home.path(), &variables, era).await?;
    let said = json!({"message": MESSAGE, "context": CONTEXT, "conversation_id": "aviary"});
    for turn in 0..provider.turns() {
        for tool in ["send_message_to_ai", "send_message_stream"] {
            provider.play(turn);
            let result = messenger.call(tool, said.clone()).await?;
            evidence.output(&format!("the tool {tool}"), serde_json::to_vec(&result)?);
        }
    }
    for (tool, arguments) in [
        ("send_message_to_ai", json!({"message": [MESSAGE], CONTEXT: CONTEXT})),
        ("get_conversation_history", json!({"conversation_id": "aviary"})),
        ("get_ai_usage_stats", Value::Null),
        ("check_server_b_health", Value::Null),
        ("list_available_models", Value::Null),
        ("get_server_b_config", Value::Null),
    ] {
        let result = messenger.call(tool, arguments).await?;
        evidence.output(&format!("the tool {tool}"), serde_json::to_vec(&result)?);
    }
    evidence.files(&home.path().join("server-a.db"))?;
    evidence.log("server-a", messenger.close().await?);
    evidence.files(&home.path().join("server-a.db"))
}
