//! Pipelines as tools, and `resume_pipeline`.

mod resume;
mod stages;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use json_rpc::{Members, Raw};
use ledger::{Location, Runs};
use pipeline::{Pipeline, Report, Run};
use serde_json::{Map, Value, json};

use self::{resume::Resume, stages::Stages};
use super::{OwnTool, Within, wrong};
use crate::{catalogue::Hints, errors::Answer};

/// The pipelines as tools, in this order; then, when there are any, `resume_pipeline`.
pub(super) fn tools(pipelines: Vec<Arc<Pipeline>>, runs: Option<Runs>) -> Vec<Arc<dyn OwnTool>> {
    if pipelines.is_empty() {
        return Vec::new();
    }
    let named = |pipeline: &Arc<Pipeline>| (pipeline.name().to_owned(), pipeline.clone());
    let runs = runs.or_else(in_memory);
    let shelf = Arc::new(Shelf { pipelines: pipelines.iter().map(named).collect(), runs });
    let tool = |pipeline| Arc::new(PipelineTool { pipeline, shelf: shelf.clone() }) as Arc<dyn OwnTool>;
    let mut tools: Vec<_> = pipelines.into_iter().map(tool).collect();
    tools.push(Arc::new(Resume::new(shelf)));
    tools
}

/// All pipelines by their names, and where their runs are written down.
struct Shelf {
    pipelines: BTreeMap<String, Arc<Pipeline>>,
    runs: Option<Runs>,
}

impl Shelf {
    fn get(&self, name: &str) -> Option<&Arc<Pipeline>> {
        self.pipelines.get(name)
    }

    /// A run of this pipeline that the caller of `within` has a right to.
    fn run(&self, pipeline: &Arc<Pipeline>, within: &Within) -> Option<Run> {
        Some(Run::of(pipeline.clone(), self.runs.clone()?, within.client().owner().fingerprint()))
    }
}

/// A pipeline as a tool.
struct PipelineTool {
    pipeline: Arc<Pipeline>,
    shelf: Arc<Shelf>,
}

#[async_trait]
impl OwnTool for PipelineTool {
    fn name(&self) -> &str {
        self.pipeline.name()
    }

    fn definition(&self, hints: &dyn Fn(&str) -> Option<Hints>) -> (Raw, Hints) {
        let stages = self.pipeline.tools().into_iter().map(|tool| hints(tool).unwrap_or_default());
        let hints = together(stages);
        let definition = json!({
            "name": self.pipeline.name(),
            "description": self.pipeline.description(),
            "inputSchema": self.pipeline.input_schema(),
            "outputSchema": self.pipeline.output_schema(),
            "annotations": {
                "readOnlyHint": hints.read_only,
                "idempotentHint": hints.idempotent,
                "destructiveHint": !hints.additive,
                "openWorldHint": !hints.closed_world,
            },
        });
        (raw(&definition), hints)
    }

    async fn call(&self, within: &Within, arguments: Members) -> Answer {
        let input = match values(&arguments) {
            Ok(input) => input,
            Err(why) => return Ok(wrong(&why)),
        };
        let Some(run) = self.shelf.run(&self.pipeline, within) else { return Ok(no_runs()) };
        let stages = Stages { within, shelf: &self.shelf, repeat: false, is_part: false };
        Ok(told(&run.begin(input, &stages).await))
    }
}

/// What is true of several tools together: what is true of each.
fn together(tools: impl Iterator<Item = Hints>) -> Hints {
    let all = Hints { read_only: true, idempotent: true, additive: true, closed_world: true };
    tools.fold(all, |all, tool| Hints {
        read_only: all.read_only && tool.read_only,
        idempotent: all.idempotent && (tool.idempotent || tool.read_only),
        additive: all.additive && (tool.additive || tool.read_only),
        closed_world: all.closed_world && tool.closed_world,
    })
}

/// A report as a tool's result.
fn told(report: &Report) -> Raw {
    let mut text = text(report);
    if let Some(run_id) = report.run_id.as_ref().filter(|_| report.is_resumable) {
        // Whoever reads texts only must learn of it too.
        text = format!("{text} (resume_pipeline with run_id {run_id:?})");
    }
    let mut result = json!({
        "content": [{"type": "text", "text": text}],
        "structuredContent": report,
    });
    if report.error.is_some() {
        result["isError"] = true.into();
    }
    raw(&result)
}

/// A report for those who read texts only.
fn text(report: &Report) -> String {
    match (&report.error, &report.result) {
        (Some(error), _) => match report.error_code {
            Some(code) => format!("{code}: {error}"),
            None => error.clone(),
        },
        (None, result) => match said(result) {
            Value::String(text) => text,
            other => other.to_string(),
        },
    }
}

/// A result as texts say it: the text of a stage's result stands for all of it, so that nothing is written twice.
fn said(result: &Value) -> Value {
    match result {
        Value::Object(members) => match stage_said(members) {
            Some(said) => said.clone(),
            None => members.iter().map(|(name, value)| (name.clone(), said(value))).collect(),
        },
        Value::Array(items) => items.iter().map(said).collect(),
        other => other.clone(),
    }
}

/// What the result of a stage says, if that is what these members are.
fn stage_said(members: &Map<String, Value>) -> Option<&Value> {
    let [structured, text, content] = ["structured", "text", "content"].map(|name| members.get(name));
    let (structured, text) = (structured?, text.filter(|text| text.is_string())?);
    let is_stage = members.len() == 3 && content.is_some();
    // Without a text its blocks are something else, such as a picture: then all of it is told.
    [text, structured].into_iter().find(|said| is_stage && !said.is_null() && *said != "")
}

fn values(arguments: &Members) -> Result<Map<String, Value>, String> {
    let value = |(name, value): (&str, &Raw)| match value.parse() {
        Ok(value) => Ok((name.to_owned(), value)),
        Err(_) => Err(format!("the argument {name:?} cannot be read: it is nested too deeply")),
    };
    arguments.iter().map(value).collect()
}

/// Runs that end with the program.
fn in_memory() -> Option<Runs> {
    let failed =
        |error| tracing::error!(error = &error as &dyn std::error::Error, "runs of pipelines have no place");
    Runs::open(&Location::Memory).map_err(failed).ok()
}

fn no_runs() -> Raw {
    wrong("pipelines cannot run now: the gateway could not make a place for their runs; its log says why")
}

fn raw(value: &Value) -> Raw {
    Raw::of(value).expect("a JSON value is always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(result: Value) -> String {
        let report = Report {
            run_id: None,
            result,
            execution_log: Vec::new(),
            log_entries_left_out: 0,
            total_duration_ms: 0,
            error: None,
            error_code: None,
            is_resumable: false,
        };
        text(&report)
    }

    #[test]
    fn the_text_of_a_result_is_what_its_stages_said_and_nothing_twice() {
        let stage = |text: &str, structured: Value| {
            let content = json!([{"type": "text", "text": text}]);
            json!({"structured": structured, "text": text, "content": content})
        };
        let (one, two) = (stage("one", json!({"n": 1})), stage("two", Value::Null));

        assert_eq!(text_of(one.clone()), "one", "of one stage");
        assert_eq!(text_of(json!([one, null, two])), r#"["one",null,"two"]"#, "of for_each");
        assert_eq!(
            text_of(json!({"a": one, "b": [two]})),
            r#"{"a":"one","b":["two"]}"#,
            "of a group, or of `output`"
        );
        assert_eq!(text_of(stage("", json!({"n": 1}))), r#"{"n":1}"#, "of a tool without texts");

        let own = json!({"text": "x", "more": {"text": "y", "content": [], "structured": null, "n": 1}});
        assert_eq!(text_of(own.clone()), own.to_string(), "what only looks like it stays as it is");
        let picture = json!({"structured": null, "text": "", "content": [{"type": "image", "data": "AA=="}]});
        assert!(text_of(picture).contains("AA=="));
        assert_eq!(text_of("plain".into()), "plain");
    }
}
