//! A pipeline: search, then summarise each hit, and look for authors meanwhile. One hit cannot be summarised, and the others are told
//! all the same. The result has a log of every call. The pipeline is nothing but configuration (stages.toml).
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use anyhow::{Context as _, ensure};
use examples::{configured, connect, in_memory, started, structured};
use rmcp::{ErrorData, Json, handler::server::wrapper::Parameters, object, tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Knows texts, and who wrote them.
struct Library;

#[derive(Deserialize, JsonSchema)]
struct Wanted {
    topic: String,
    most: usize,
}

#[derive(Deserialize, JsonSchema)]
struct Topic {
    topic: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Text {
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Found {
    items: Vec<Text>,
}

#[derive(Serialize, JsonSchema)]
struct Authors {
    names: Vec<String>,
}

#[tool_router(server_handler)]
impl Library {
    /// Searches for texts about a topic.
    #[tool(annotations(read_only_hint = true))]
    fn search(&self, Parameters(Wanted { topic, most }): Parameters<Wanted>) -> Json<Found> {
        let texts = [
            format!("{topic} rise. And fall."),
            "(illegible)".to_owned(),
            format!("{topic} wait. For nobody."),
        ];
        Json(Found { items: texts.into_iter().take(most).map(|text| Text { text }).collect() })
    }

    /// Summarises a text in its first sentence.
    #[tool(annotations(read_only_hint = true))]
    fn summarise(&self, Parameters(Text { text }): Parameters<Text>) -> Result<String, ErrorData> {
        let first = text.split_once('.').map(|(first, _)| format!("{first}."));
        first.ok_or_else(|| ErrorData::invalid_params("this text cannot be read", None))
    }

    /// Names those who wrote about a topic.
    #[tool(annotations(read_only_hint = true))]
    fn authors(&self, Parameters(Topic { topic }): Parameters<Topic>) -> Json<Authors> {
        Json(Authors { names: vec![format!("A. {topic}")] })
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = configured("stages.toml", [("library", in_memory(|| Library))])?;
    let [pipeline] = config.gateway.pipelines.as_slice() else {
        anyhow::bail!("there should be one pipeline")
    };
    println!("{}", pipeline.plan());
    let gateway = started(config.gateway).await;
    let client = connect(&gateway, ()).await?;

    let report = structured(&client, "research", object!({ "topic": "Tides" })).await?;
    println!("{}", serde_json::to_string_pretty(&report)?);

    let texts = report["result"]["summaries"].as_array().context("there should be summaries")?;
    let texts: Vec<_> = texts.iter().map(|summary| summary["text"].clone()).collect();
    ensure!(
        texts == [json!("Tides rise."), json!(null), json!("Tides wait.")],
        "the order should be that of the hits"
    );
    ensure!(report["result"]["authors"] == json!(["A. Tides"]), "a list should stay a list");
    let log = report["execution_log"].as_array().context("there should be a log")?;
    let failed = log.iter().filter(|entry| entry["success"] == false).count();
    println!("{} calls, of which {failed} failed", log.len());
    ensure!((log.len(), failed) == (5, 1), "every call should be in the log");
    Ok(())
}
