//! `resume_pipeline`: goes on with runs that were cut off.

use std::sync::Arc;

use async_trait::async_trait;
use json_rpc::{Members, Raw};
use ledger::{KnownRun, LedgerError};
use serde_json::{Value, json};

use super::{
    Shelf, no_runs, raw,
    stages::{self, Stages},
    told,
};
use crate::{
    catalogue::Hints,
    errors::Answer,
    own::{OwnTool, Within, wrong},
};

const NAME: &str = "resume_pipeline";

/// Runs that a list has at most.
const MOST: usize = 50;

/// Longest input that a list shows, in bytes as JSON.
const MAX_INPUT_BYTES: usize = 1_000;

/// The tool.
pub(super) struct Resume {
    shelf: Arc<Shelf>,
}

impl Resume {
    pub(super) fn new(shelf: Arc<Shelf>) -> Self {
        Self { shelf }
    }

    async fn list(&self, within: &Within) -> Answer {
        let Some(runs) = &self.shelf.runs else { return Ok(no_runs()) };
        let owner = within.client().owner().fingerprint();
        let runs = match runs.unfinished(Some(owner), MOST).await {
            Ok(runs) => runs,
            Err(error) => return Ok(unreadable(&error)),
        };
        let runs: Vec<_> = runs.iter().map(described).collect();
        let structured = json!({ "runs": runs });
        let content = json!([{"type": "text", "text": structured.to_string()}]);
        Ok(raw(&json!({"content": content, "structuredContent": structured})))
    }

    async fn resume(&self, within: &Within, run_id: &str, repeat: bool) -> Answer {
        let Some(runs) = &self.shelf.runs else { return Ok(no_runs()) };
        let owner = within.client().owner().fingerprint();
        let run = match runs.find(run_id).await {
            Ok(found) => found.filter(|run| run.run.owner == owner),
            Err(error) => return Ok(unreadable(&error)),
        };
        let Some(run) = run else {
            return Ok(wrong(
                "there is no run of yours with this run_id: call without run_id to list those that can be resumed",
            ));
        };
        let name = &run.run.pipeline;
        let Some(pipeline) = self.shelf.get(name) else {
            return Ok(wrong(&format!(
                "the pipeline {name:?} of this run is not configured any more: its run cannot be resumed"
            )));
        };
        if within.path().contains(name) {
            return Ok(wrong(&format!("the pipeline {name:?} cannot be resumed within itself")));
        }
        stages::known(&*within.relay()?, &self.shelf, pipeline).await;
        let within = within.under(name);
        let Some(run) = self.shelf.run(pipeline, &within) else { return Ok(no_runs()) };
        let stages = Stages { within: &within, shelf: &self.shelf, repeat, is_part: false };
        Ok(told(&run.resume(run_id, repeat, &stages).await))
    }
}

#[async_trait]
impl OwnTool for Resume {
    fn name(&self) -> &str {
        NAME
    }

    fn definition(&self, _hints: &dyn Fn(&str) -> Option<Hints>) -> (Raw, Hints) {
        let definition = json!({
            "name": NAME,
            "description": "Go on with a run of a pipeline that was cut off: stages that are done keep their results and are not \
                called again. Without run_id it lists your runs that were cut off. The result is that of the pipeline.",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "run_id": {"type": "string", "description": "The run; leave it out to list those that can be resumed."},
                    "repeat": {
                        "type": "boolean",
                        "default": false,
                        "description": "Also make a call again of which nobody knows whether it was carried out (DELIVERY_UNKNOWN). \
                            Look first whether it was: else it may be done twice.",
                    },
                },
                "additionalProperties": false,
            },
            "annotations": {"readOnlyHint": false, "idempotentHint": false, "destructiveHint": true, "openWorldHint": true},
        });
        (raw(&definition), Hints::default())
    }

    async fn call(&self, within: &Within, arguments: Members) -> Answer {
        let known = |name: &str| matches!(name, "run_id" | "repeat");
        if let Some((name, _)) = arguments.iter().find(|(name, _)| !known(name)) {
            return Ok(wrong(&format!("there is no argument {name:?}: allowed are run_id and repeat")));
        }
        let repeat = match arguments.get("repeat").map(Raw::parse::<Option<bool>>) {
            None => false,
            Some(Ok(repeat)) => repeat.unwrap_or_default(),
            Some(Err(_)) => return Ok(wrong("repeat must be true or false")),
        };
        match arguments.get("run_id").map(Raw::parse::<Option<String>>) {
            None | Some(Ok(None)) => self.list(within).await,
            Some(Ok(Some(run_id))) => self.resume(within, &run_id, repeat).await,
            Some(Err(_)) => Ok(wrong("run_id must be a text")),
        }
    }
}

fn described(known: &KnownRun) -> Value {
    let run = &known.run;
    let mut described = json!({
        "run_id": run.id,
        "pipeline": run.pipeline,
        "began_at_ms": known.began_at_ms,
    });
    if run.input.len() <= MAX_INPUT_BYTES
        && let Ok(input) = serde_json::from_str(&run.input)
    {
        described["input"] = input;
    }
    described
}

/// What is wrong with the file is for the log, and for who runs the gateway.
fn unreadable(error: &LedgerError) -> Raw {
    tracing::error!(error = error as &dyn std::error::Error, "runs of pipelines could not be read");
    wrong("the runs cannot be read: who runs the gateway finds out more in its log")
}
