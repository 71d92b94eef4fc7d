//! Runs that are parts of others: begun, gone on with, or remembered, by an id that the whole gives them.

use std::sync::Arc;

use async_trait::async_trait;
use ledger::{NewRun, Runs};
use pipeline::{Call, Failure, OnError, Pipeline, Report, Run, Stage, Tools};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::{
    Act, OWNER, Scripted, definition, each, failed, goes_on, journal, members, one, pipeline, result, stage,
};

const ID: &str = "whole/stage/0";

fn two() -> Arc<Pipeline> {
    pipeline(definition([one(stage("a", json!({}))), one(stage("b", json!({})))]))
}

async fn part(runs: &Runs, tools: &Scripted) -> Report {
    Run::of(two(), runs.clone(), OWNER).part(ID, false, Default::default(), tools).await
}

fn gives() -> Scripted {
    Scripted::new(|tool, _| Act::Give(json!(format!("{tool} is done"))))
}

#[tokio::test]
async fn a_part_begins_once_and_is_remembered_when_it_is_over() {
    let (runs, tools) = (journal(), gives());
    let first = part(&runs, &tools).await;
    let again = part(&runs, &tools).await;

    assert_eq!(first.run_id.as_deref(), Some(ID));
    assert_eq!((first.error, &first.result["text"]), (None, &json!("b is done")));
    assert_eq!((again.error, again.result), (None, first.result));
    assert!(again.execution_log.iter().all(|entry| entry.resumed));
    assert_eq!(tools.called(), ["a", "b"]);
}

#[tokio::test]
async fn a_part_that_was_cut_off_goes_on_where_it_was() {
    let (runs, began) = (journal(), Arc::new(Notify::new()));
    let told = began.clone();
    let stuck = Scripted::new(move |tool, _| match tool {
        "b" => Act::HangAfterTelling(told.clone()),
        _ => Act::Give(json!("first")),
    });
    tokio::select! {
        _ = part(&runs, &stuck) => panic!("nothing ends"),
        () = began.notified() => {}
    }
    let tools = gives();
    let refused = part(&runs, &tools).await;
    assert_eq!((refused.error_code, tools.called().len()), (Some("DELIVERY_UNKNOWN"), 0));
    let tools = gives().repeatable("b");

    let report = part(&runs, &tools).await;

    assert_eq!((report.error, &report.result["text"]), (None, &json!("b is done")));
    assert_eq!(tools.called(), ["b"]);
}

#[tokio::test]
async fn a_part_that_failed_stays_failed() {
    let runs = journal();
    let tools = Scripted::new(|_, _| failed("no"));
    let first = part(&runs, &tools).await;
    let again = part(&runs, &gives()).await;

    assert_eq!((again.result, again.error), (Value::Null, first.error));
    assert_eq!(tools.called(), ["a"]);
}

#[tokio::test]
async fn a_part_that_still_runs_is_not_run_beside_itself() {
    let (runs, began) = (journal(), Arc::new(Notify::new()));
    let told = began.clone();
    let stuck = Scripted::new(move |_, _| Act::HangAfterTelling(told.clone()));
    let second = async {
        began.notified().await;
        part(&runs, &gives()).await
    };
    tokio::select! {
        _ = part(&runs, &stuck) => panic!("nothing ends"),
        second = second => assert_eq!(second.error_code, Some("RUN_IS_RUNNING")),
    }
}

/// Tools of which one, `inner`, is the pipeline of two stages.
struct Nested {
    runs: Runs,
    inner: Arc<Pipeline>,
    tools: Scripted,
    /// Told of when the part has ended; then nothing goes on.
    stuck_after_part: Option<Arc<Notify>>,
}

impl Nested {
    fn new(runs: &Runs, tools: Scripted) -> Self {
        Self { runs: runs.clone(), inner: two(), tools, stuck_after_part: None }
    }
}

#[async_trait]
impl Tools for Nested {
    async fn call(&self, call: Call<'_>) -> Result<Value, Failure> {
        if call.tool != "inner" {
            return self.tools.call(call).await;
        }
        let id = NewRun::part_id(call.run_id, call.stage, call.item);
        let run = Run::of(self.inner.clone(), self.runs.clone(), OWNER);
        let report = run.part(&id, false, Default::default(), self).await;
        if let Some(told) = &self.stuck_after_part {
            told.notify_one();
            std::future::pending::<()>().await;
        }
        match (report.error_code, report.error) {
            (Some(code), Some(reason)) if report.is_resumable => Err(Failure::PartIsOpen { code, reason }),
            (_, Some(reason)) => Err(Failure::Failed(reason)),
            _ => Ok(report.result),
        }
    }

    fn is_repeatable(&self, tool: &str) -> bool {
        tool == "inner" || self.tools.is_repeatable(tool)
    }

    fn pipeline(&self, tool: &str) -> Option<&Pipeline> {
        (tool == "inner").then_some(&self.inner)
    }

    async fn progress(&self, _done: usize, _total: usize, _message: String) {}
}

fn whole(part: Stage) -> Arc<Pipeline> {
    pipeline(definition([one(part), one(stage("last", json!({})))]))
}

fn inner(stage: Stage) -> Stage {
    Stage { tool: "inner".to_owned(), ..stage }
}

async fn unfinished(runs: &Runs) -> String {
    let runs = runs.unfinished(Some(OWNER), 10).await.expect("the journal can be read");
    assert_eq!(runs.len(), 1);
    runs[0].run.id.clone()
}

#[tokio::test]
async fn a_run_cut_off_between_the_end_of_its_part_and_its_own_calls_nothing_of_the_part_again() {
    for part in [stage("part", json!({})), each("part", "{{ range(1) }}", json!({}))] {
        let (runs, stuck) = (journal(), Arc::new(Notify::new()));
        let outer = whole(inner(part));
        let before = Nested { stuck_after_part: Some(stuck.clone()), ..Nested::new(&runs, gives()) };
        tokio::select! {
            _ = Run::of(outer.clone(), runs.clone(), OWNER).begin(members(json!({})), &before) => panic!("nothing ends"),
            () = stuck.notified() => {}
        }
        assert_eq!(before.tools.called(), ["a", "b"]);
        let after = Nested::new(&runs, gives());

        let report =
            Run::of(outer, runs.clone(), OWNER).resume(&unfinished(&runs).await, false, &after).await;

        assert_eq!((report.error, report.result), (None, result(json!("last is done"))));
        assert_eq!(after.tools.called(), ["last"]);
    }
}

#[tokio::test]
async fn a_part_of_unknown_outcome_is_never_let_pass() {
    let part = inner(stage("part", json!({})));
    for part in [goes_on(part), inner(goes_on(each("part", "{{ range(1) }}", json!({}))))] {
        assert_eq!(part.on_error, OnError::Continue);
        let (runs, outer) = (journal(), whole(part));
        let run = || Run::of(outer.clone(), runs.clone(), OWNER);
        let lost = Nested::new(&runs, Scripted::new(|_, _| Act::Fail(Failure::Unknown("gone".into()))));
        let report = run().begin(members(json!({})), &lost).await;
        assert_eq!((report.error_code, report.is_resumable), (Some("DELIVERY_UNKNOWN"), true));
        let run_id = unfinished(&runs).await;
        let after = Nested::new(&runs, gives());

        let refused = run().resume(&run_id, false, &after).await;

        assert_eq!((refused.error_code, after.tools.called().len()), (Some("DELIVERY_UNKNOWN"), 0));
        let changed = Nested {
            inner: pipeline(definition([one(stage("c", json!({})))])),
            ..Nested::new(&runs, gives())
        };
        let refused = run().resume(&run_id, true, &changed).await;
        assert_eq!((refused.error_code, changed.tools.called().len()), (Some("PIPELINE_CHANGED"), 0));
        let after = Nested::new(&runs, gives().repeatable("a"));
        assert_eq!(run().resume(&run_id, false, &after).await.error, None);
        assert_eq!(after.tools.called(), ["a", "b", "last"]);
    }
}

#[tokio::test]
async fn a_part_that_must_be_resumed_ends_the_run_whatever_on_error_says() {
    for code in ["DELIVERY_UNKNOWN", "JOURNAL_FAILED", "PIPELINE_CHANGED", "RUN_IS_RUNNING"] {
        let (runs, outer) = (journal(), whole(goes_on(stage("part", json!({})))));
        let refused = move |_: &str, _: &Value| Act::Fail(Failure::PartIsOpen { code, reason: "no".into() });
        let report =
            Run::of(outer, runs.clone(), OWNER).begin(members(json!({})), &Scripted::new(refused)).await;

        assert_eq!((report.error_code, report.is_resumable), (Some(code), true));
        assert_eq!(report.run_id, Some(unfinished(&runs).await));
    }
}
