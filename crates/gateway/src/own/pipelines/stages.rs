//! What calls tools for the stages of a pipeline.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use json_rpc::{Members, Raw};
use ledger::NewRun;
use pipeline::{Call, Failure, Pipeline, Tools};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::{Shelf, text};
use crate::{
    catalogue::Kind,
    errors::{self, Fault},
    fleet::Repeat,
    own::Within,
    relay::{Relay, View},
};

/// Calls tools within the call of a pipeline, as its caller could.
pub(super) struct Stages<'w> {
    pub(super) within: &'w Within,
    pub(super) shelf: &'w Arc<Shelf>,
    /// Whether calls are made again of which it is not known whether they were carried out.
    pub(super) repeat: bool,
    /// Whether it is a run within another, which tells how far both are.
    pub(super) is_part: bool,
}

#[async_trait]
impl Tools for Stages<'_> {
    async fn call(&self, call: Call<'_>) -> Result<Value, Failure> {
        if let Some(pipeline) = self.shelf.get(call.tool) {
            return self.run(pipeline, call).await;
        }
        let arguments = Raw::of(&call.arguments).expect("a JSON value is always JSON");
        match self.within.call_tool(call.tool, Some(arguments)).await {
            Ok(result) => result_of(&result),
            Err(fault) => Err(failure(fault)),
        }
    }

    fn is_repeatable(&self, tool: &str) -> bool {
        // An inner run goes on where it was: nothing of it is made twice.
        self.shelf.get(tool).is_some()
            || self.within.relay().is_ok_and(|relay| is_repeatable(&relay.view(), tool))
    }

    fn pipeline(&self, tool: &str) -> Option<&Pipeline> {
        self.shelf.get(tool).map(Arc::as_ref)
    }

    async fn progress(&self, done: usize, total: usize, message: String) {
        if !self.is_part {
            self.within.progress(done, total, &message).await;
        }
    }

    async fn over(&self, limit: Duration) {
        self.within.over(limit).await;
    }
}

impl Stages<'_> {
    /// Runs a pipeline as a stage of another. Its run's id follows from the outer one's: resuming that one resumes both.
    async fn run(&self, pipeline: &Arc<Pipeline>, call: Call<'_>) -> Result<Value, Failure> {
        if self.within.path().iter().any(|outer| outer == call.tool) {
            return Err(Failure::Failed(errors::within_itself(call.tool).message().to_owned()));
        }
        let within = self.within.under(call.tool);
        let Some(run) = self.shelf.run(pipeline, &within) else {
            return Err(Failure::Failed("its runs cannot be written down".to_owned()));
        };
        let run_id = NewRun::part_id(call.run_id, call.stage, call.item);
        let stages = Stages { within: &within, is_part: true, ..*self };
        let report = run.part(&run_id, self.repeat, call.arguments, &stages).await;
        let text = text(&report);
        match report.error_code {
            Some(code) if report.is_resumable => Err(Failure::PartIsOpen { code, reason: text }),
            Some(_) => Err(Failure::Failed(text)),
            None => {
                let content = json!([{"type": "text", "text": text}]);
                Ok(json!({"structured": report, "text": text, "content": content}))
            }
        }
    }
}

/// Waits until the upstreams that a pipeline calls have told what they offer, or could not be reached: else nobody knows what may be
/// called again.
pub(super) async fn known(relay: &Relay, shelf: &Shelf, pipeline: &Pipeline) {
    relay.known().await;
    let mut names = pipeline.tools();
    let mut seen = 0;
    while let Some(&name) = names.get(seen) {
        seen += 1;
        if let Some(inner) = shelf.get(name) {
            let more: Vec<_> = inner.tools().into_iter().filter(|tool| !names.contains(tool)).collect();
            names.extend(more);
        } else if relay.view().catalogue.route(Kind::Tools, name).is_none()
            && let Some(silent) = relay.silent(name)
        {
            // Who does not tell by then is found unreachable by the call.
            let _ = timeout(silent.settings.connect_timeout, relay.has_told(&silent)).await;
        }
    }
}

fn is_repeatable(view: &View, tool: &str) -> bool {
    if let Some(own) = view.own.get(tool) {
        let (_, hints) = own.definition(&|_| None);
        return hints.read_only || hints.idempotent;
    }
    let Some(route) = view.catalogue.route(Kind::Tools, tool) else { return false };
    let member = view.members.get(&route.upstream);
    member.is_some_and(|member| member.settings.retries.repeat(&route.name, route.hints) == Repeat::Allowed)
}

/// A tool's result as templates know it.
fn result_of(result: &Raw) -> Result<Value, Failure> {
    let wrong = |_| Failure::Failed("the tool's result cannot be read".to_owned());
    let result =
        Members::of(result).map_err(|_| Failure::Failed("the tool's result is no object".to_owned()))?;
    let value = |name: &str| match result.get(name) {
        Some(value) => value.parse::<Value>().map_err(wrong),
        None => Ok(Value::Null),
    };
    let content = value("content")?;
    let blocks = content.as_array().map(Vec::as_slice).unwrap_or_default();
    let texts: Vec<_> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
    let text = texts.join("\n");
    if value("isError")? == true {
        return Err(Failure::Failed(if text.is_empty() {
            "the tool failed without a text".to_owned()
        } else {
            text
        }));
    }
    Ok(Value::Object(Map::from_iter([
        ("structured".to_owned(), value("structuredContent")?),
        ("text".to_owned(), text.into()),
        ("content".to_owned(), content),
    ])))
}

fn failure(fault: Fault) -> Failure {
    match fault {
        Fault::Ours(refusal) => {
            let text = format!("{}: {}", refusal.code(), refusal.message());
            // What was told to stop may have done something.
            match refusal.code() {
                "DELIVERY_UNKNOWN" | "TIMEOUT" | "GATEWAY_STOPPED" => Failure::Unknown(text),
                // Nothing was done: when it can be called again, the run can go on.
                code @ ("UPSTREAM_UNAVAILABLE"
                | "SERVER_OVERLOADED"
                | "AUTHENTICATION_FAILED"
                | "ACCESS_DENIED"
                | "TOOL_NOT_FOUND") => Failure::NotDelivered { code, reason: text },
                _ => Failure::Failed(text),
            }
        }
        Fault::Theirs(error) => {
            let message = Members::of(&error).ok().and_then(|error| error.get("message")?.parse().ok());
            Failure::Failed(message.unwrap_or_else(|| "the upstream answered with an error".to_owned()))
        }
    }
}
