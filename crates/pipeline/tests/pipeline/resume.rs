//! Runs that were cut off, and go on.

use std::{path::Path, sync::Arc, time::Duration};

use ledger::{Location, Runs};
use pipeline::{Definition, Failure, Report, Run, Stage, Step};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::{
    Act, OWNER, Scripted, definition, each, failed, goes_on, journal, members, one, pipeline, result, stage,
};

/// Calls `one`, then `many` for three items one after the other, then `left` and `right` side by side, then `last`.
fn work() -> Definition {
    definition([
        one(stage("one", json!({"x": "{{ input.x }}"}))),
        one(Stage { concurrency: 1, ..each("many", "{{ range(3) }}", json!({"n": "{{ item }}"})) }),
        Step::Parallel(vec![
            stage("left", json!({"many": "{{ many | map(attribute='text') }}"})),
            stage("right", json!({})),
        ]),
        one(stage("last", json!({"all": "{{ one.text }} {{ left.text }} {{ right.text }}"}))),
    ])
}

const CALLS: [&str; 7] = ["one", "many 0", "many 1", "many 2", "left", "right", "last"];

fn name_of(tool: &str, arguments: &Value) -> String {
    if tool == "many" { format!("many {}", arguments["n"]) } else { tool.to_owned() }
}

/// Gives each call its own name as its result.
fn named(tool: &str, arguments: &Value) -> Act {
    Act::Give(json!(name_of(tool, arguments)))
}

fn names(tools: &Scripted) -> Vec<String> {
    tools.calls().iter().map(|(tool, arguments)| name_of(tool, arguments)).collect()
}

fn of(definition: Definition, runs: &Runs) -> Run {
    Run::of(pipeline(definition), runs.clone(), OWNER)
}

/// Begins a run, and drops it at this call; gives its id and the tools as they were called.
async fn cut_off_in(call: &'static str, runs: &Runs) -> (String, Scripted) {
    let began = Arc::new(Notify::new());
    let tools = Scripted::new({
        let began = Arc::clone(&began);
        move |tool, arguments| {
            let hangs = name_of(tool, arguments) == call;
            if hangs { Act::HangAfterTelling(Arc::clone(&began)) } else { named(tool, arguments) }
        }
    });
    tokio::select! {
        biased;
        _ = of(work(), runs).begin(members(json!({"x": 1})), &tools) => panic!("it hangs"),
        () = began.notified() => {}
    }
    (unfinished(runs).await, tools)
}

async fn unfinished(runs: &Runs) -> String {
    let runs = runs.unfinished(Some(OWNER), 10).await.expect("the journal can be read");
    assert_eq!(runs.len(), 1);
    runs[0].run.id.clone()
}

fn ended_well(report: &Report) {
    assert_eq!((report.error.as_deref(), &report.result), (None, &result(json!("last"))));
}

#[tokio::test]
async fn a_run_cut_off_between_two_stages_calls_each_tool_once() {
    // Of the two side by side, the other may have begun when the first is done: so there is no 3.
    for stages in [1, 2, 4] {
        let (runs, stuck) = (journal(), Arc::new(Notify::new()));
        let before = Scripted::new(named).stuck_after(stages, Arc::clone(&stuck));
        tokio::select! {
            biased;
            _ = of(work(), &runs).begin(members(json!({"x": 1})), &before) => panic!("it hangs"),
            () = stuck.notified() => {}
        }
        let run_id = unfinished(&runs).await;
        let after = Scripted::new(named);
        let report = of(work(), &runs).resume(&run_id, false, &after).await;

        ended_well(&report);
        let calls: Vec<_> = names(&before).into_iter().chain(names(&after)).collect();
        assert_eq!(calls, CALLS, "cut off after {stages} stages");
        assert_eq!(report.run_id, Some(run_id));
        let resumed: Vec<_> = report.execution_log.iter().map(|entry| entry.resumed).collect();
        let known = names(&before).len();
        assert_eq!(resumed, [vec![true; known], vec![false; 7 - known]].concat());
        assert!(report.execution_log[..known].iter().all(|entry| entry.success && entry.duration_ms == 0));
        assert_eq!(after.progress().last().unwrap().0, 5);
    }
}

#[tokio::test]
async fn a_call_that_had_begun_is_made_again_only_if_its_tool_may_be_or_the_caller_says_so() {
    for call in CALLS {
        let runs = journal();
        let (run_id, before) = cut_off_in(call, &runs).await;

        let refused = Scripted::new(named);
        let report = of(work(), &runs).resume(&run_id, false, &refused).await;
        assert_eq!((report.error_code, names(&refused)), (Some("DELIVERY_UNKNOWN"), vec![]), "{call}");
        let tool = call.split(' ').next().unwrap();
        assert!(report.error.unwrap().contains(&format!("(tool `{tool}`)")));

        let after = Scripted::new(named);
        let report = of(work(), &runs).resume(&run_id, true, &after).await;
        ended_well(&report);
        let mut calls: Vec<_> = names(&before).into_iter().chain(names(&after)).collect();
        assert_eq!(calls.iter().filter(|made| *made == call).count(), 2, "{call}: {calls:?}");
        let again = calls.iter().rposition(|made| made == call).unwrap();
        calls.remove(again);
        calls.sort_unstable();
        let mut once = CALLS;
        once.sort_unstable();
        assert_eq!(calls, once, "cut off in {call}");
    }
}

#[tokio::test]
async fn a_repeatable_call_that_had_begun_is_made_again_without_being_asked() {
    let runs = journal();
    let (run_id, _) = cut_off_in("many 1", &runs).await;
    let after = Scripted::new(named).repeatable("many");

    let report = of(work(), &runs).resume(&run_id, false, &after).await;

    ended_well(&report);
    assert_eq!(names(&after), CALLS[2..]);
    assert_eq!(after.calls()[2].1, json!({"many": ["many 0", "many 1", "many 2"]}));
}

#[tokio::test]
async fn a_run_can_be_cut_off_again_and_again() {
    let runs = journal();
    let (run_id, first) = cut_off_in("many 1", &runs).await;
    let began = Arc::new(Notify::new());
    let second = Scripted::new({
        let began = Arc::clone(&began);
        move |tool, arguments| match tool {
            "last" => Act::HangAfterTelling(Arc::clone(&began)),
            _ => named(tool, arguments),
        }
    });
    tokio::select! {
        biased;
        _ = of(work(), &runs).resume(&run_id, true, &second) => panic!("it hangs"),
        () = began.notified() => {}
    }
    let third = Scripted::new(named);

    ended_well(&of(work(), &runs).resume(&run_id, true, &third).await);

    assert_eq!(names(&first), ["one", "many 0", "many 1"]);
    assert_eq!(names(&second), ["many 1", "many 2", "left", "right", "last"]);
    assert_eq!(names(&third), ["last"]);
}

#[tokio::test]
async fn a_failure_that_was_known_stays_one() {
    let with_failures = || {
        definition([
            one(goes_on(stage("fails", json!({})))),
            one(stage("stuck", json!({"x": "{{ fails }}"}))),
        ])
    };
    let (runs, began) = (journal(), Arc::new(Notify::new()));
    let before = Scripted::new({
        let began = Arc::clone(&began);
        move |tool, _| if tool == "fails" { failed("no") } else { Act::HangAfterTelling(Arc::clone(&began)) }
    });
    tokio::select! {
        biased;
        _ = of(with_failures(), &runs).begin(members(json!({})), &before) => panic!("it hangs"),
        () = began.notified() => {}
    }
    let after = Scripted::new(|_, _| Act::Give(json!("now")));

    let report = of(with_failures(), &runs).resume(&unfinished(&runs).await, true, &after).await;

    assert_eq!(after.calls(), [("stuck".to_owned(), json!({"x": null}))]);
    let log: Vec<_> = report
        .execution_log
        .iter()
        .map(|entry| (entry.resumed, entry.success, entry.error.as_deref()))
        .collect();
    assert_eq!(log, [(true, false, Some("no")), (false, true, None)]);
}

#[tokio::test]
async fn an_unknown_outcome_leaves_the_run_open() {
    let steps = || definition([one(stage("pay", json!({}))), one(stage("thank", json!({})))]);
    let runs = journal();
    let before = Scripted::new(|_, _| Act::Fail(Failure::Unknown("the bank hung up".into())));
    let report = of(steps(), &runs).begin(members(json!({})), &before).await;
    let error = report.error.unwrap();
    assert!(error.starts_with("stage `pay` (tool `pay`) failed: the bank hung up; look"), "{error}");
    assert_eq!(report.error_code, Some("DELIVERY_UNKNOWN"));

    let run_id = report.run_id.unwrap();
    let after = Scripted::new(named);
    let refused = of(steps(), &runs).resume(&run_id, false, &after).await;
    assert_eq!((refused.error_code, after.calls()), (Some("DELIVERY_UNKNOWN"), vec![]));
    assert_eq!(of(steps(), &runs).resume(&run_id, true, &after).await.result, result(json!("thank")));
    assert_eq!(names(&after), ["pay", "thank"]);
}

fn undelivered(_: &str, _: &Value) -> Act {
    Act::Fail(Failure::NotDelivered { code: "UPSTREAM_UNAVAILABLE", reason: "it is not there".into() })
}

#[tokio::test]
async fn what_was_not_delivered_leaves_the_run_open_and_is_called_when_it_is_resumed() {
    let runs = journal();
    let before =
        Scripted::new(
            |tool, arguments| {
                if tool == "last" { undelivered(tool, arguments) } else { named(tool, arguments) }
            },
        );
    let report = of(work(), &runs).begin(members(json!({"x": 1})), &before).await;
    assert_eq!((report.error_code, report.is_resumable), (Some("UPSTREAM_UNAVAILABLE"), true));
    let after = Scripted::new(named);

    ended_well(&of(work(), &runs).resume(&unfinished(&runs).await, false, &after).await);

    assert_eq!(names(&after), ["last"]);
}

#[tokio::test]
async fn a_call_of_unknown_outcome_stays_one_when_it_is_repeated_and_not_delivered() {
    let steps = || definition([one(stage("pay", json!({})))]);
    let runs = journal();
    let lost = Scripted::new(|_, _| Act::Fail(Failure::Unknown("the bank hung up".into())));
    let run_id = of(steps(), &runs).begin(members(json!({})), &lost).await.run_id.unwrap();
    let report = of(steps(), &runs).resume(&run_id, true, &Scripted::new(undelivered)).await;
    assert_eq!(report.error_code, Some("UPSTREAM_UNAVAILABLE"));
    let after = Scripted::new(named);

    let report = of(steps(), &runs).resume(&run_id, false, &after).await;

    assert_eq!((report.error_code, after.calls()), (Some("DELIVERY_UNKNOWN"), vec![]));
}

#[tokio::test]
async fn what_was_not_delivered_may_be_let_pass() {
    let runs = journal();
    let tools = Scripted::new(undelivered);
    let report = of(definition([one(goes_on(stage("look", json!({}))))]), &runs)
        .begin(members(json!({})), &tools)
        .await;

    assert_eq!((report.error, report.is_resumable, report.result), (None, false, Value::Null));
}

#[tokio::test]
async fn a_result_that_was_too_large_still_is_when_the_end_of_the_run_was_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.db");
    let runs = Runs::open(&Location::File(path.clone())).unwrap();
    let steps = [one(goes_on(stage("big", json!({})))), one(stage("next", json!({})))];
    let steps = || Definition { max_output_bytes: 50, ..definition(steps.clone()) };
    open(&path)
        .execute_batch(
            "CREATE TRIGGER cut BEFORE UPDATE OF ended_at_ms ON runs BEGIN SELECT RAISE(ABORT, 'cut off'); END;",
        )
        .unwrap();
    let big = Scripted::new(|_, _| Act::Give(json!("x".repeat(100))));
    let report = of(steps(), &runs).begin(members(json!({})), &big).await;
    assert_eq!(report.error_code, Some("OUTPUT_TOO_LARGE"));
    open(&path).execute_batch("DROP TRIGGER cut").unwrap();
    let after = Scripted::new(named);

    let report = of(steps(), &runs).resume(&unfinished(&runs).await, false, &after).await;

    assert_eq!((report.error_code, after.calls()), (Some("OUTPUT_TOO_LARGE"), vec![]));
}

#[tokio::test]
async fn a_run_whose_time_was_up_can_be_resumed() {
    let most = Some(Duration::from_secs(20));
    let of_a_call =
        definition([one(stage("one", json!({}))), one(Stage { timeout: most, ..stage("last", json!({})) })]);
    let of_all = Definition {
        timeout: Duration::from_secs(20),
        ..definition([one(stage("one", json!({}))), one(stage("last", json!({})))])
    };
    for definition in [of_a_call, of_all] {
        let runs = journal();
        let before = Scripted::new(|tool, arguments| match tool {
            "last" => Act::HangOutOfTime,
            _ => named(tool, arguments),
        });
        let report = of(definition.clone(), &runs).begin(members(json!({})), &before).await;
        assert_eq!((report.error_code, before.dropped()), (Some("TIMEOUT"), 1));

        let run_id = report.run_id.unwrap();
        let after = Scripted::new(named);
        let refused = of(definition.clone(), &runs).resume(&run_id, false, &after).await;
        assert_eq!((refused.error_code, after.calls()), (Some("DELIVERY_UNKNOWN"), vec![]));
        let after = after.repeatable("last");
        ended_well(&of(definition, &runs).resume(&run_id, false, &after).await);
        assert_eq!(names(&after), ["last"]);
    }
}

#[tokio::test]
async fn a_run_that_is_over_is_not_resumed() {
    let runs = journal();
    let tools =
        Scripted::new(|tool, arguments| if tool == "last" { failed("no") } else { named(tool, arguments) });
    let failed = of(work(), &runs).begin(members(json!({"x": 1})), &tools).await.run_id.unwrap();
    let well = of(work(), &runs).begin(members(json!({"x": 1})), &Scripted::new(named)).await.run_id.unwrap();

    for (run_id, part) in [(failed, "failed: stage `last` (tool `last`) failed: no"), (well, "ended well")] {
        let after = Scripted::new(named);
        let report = of(work(), &runs).resume(&run_id, true, &after).await;
        assert_eq!((report.error_code, after.calls()), (Some("RUN_IS_OVER"), vec![]));
        assert!(report.error.unwrap().contains(part));
    }
}

#[tokio::test]
async fn a_run_is_resumed_only_by_its_owner_and_the_pipeline_that_began_it() {
    let runs = journal();
    let (run_id, _) = cut_off_in("last", &runs).await;
    let mut changed = work();
    changed.steps.pop();
    let mut renamed = work();
    renamed.name = "other".to_owned();
    let as_owner = |definition, owner| Run::of(pipeline(definition), runs.clone(), owner);
    for (run, id, code) in [
        (as_owner(work(), OWNER + 1), run_id.as_str(), "RUN_NOT_FOUND"),
        (as_owner(work(), OWNER), "no such run", "RUN_NOT_FOUND"),
        (as_owner(renamed, OWNER), &run_id, "RUN_NOT_FOUND"),
        (as_owner(changed, OWNER), &run_id, "PIPELINE_CHANGED"),
    ] {
        let tools = Scripted::new(named);
        let report = run.resume(id, true, &tools).await;
        assert_eq!((report.error_code, tools.calls(), report.result), (Some(code), vec![], Value::Null));
    }
    ended_well(&of(work(), &runs).resume(&run_id, true, &Scripted::new(named)).await);
}

#[tokio::test]
async fn a_run_is_not_resumed_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.db");
    let (runs, began) = (Runs::open(&Location::File(path.clone())).unwrap(), Arc::new(Notify::new()));
    let tools = Scripted::new({
        let began = Arc::clone(&began);
        move |_, _| Act::HangAfterTelling(Arc::clone(&began))
    });
    let resuming = async {
        began.notified().await;
        let run_id: String =
            open(&path).query_row("SELECT run_id FROM runs", [], |row| row.get(0)).expect("one run");
        of(work(), &runs).resume(&run_id, true, &Scripted::new(named)).await
    };
    tokio::select! {
        _ = of(work(), &runs).begin(members(json!({"x": 1})), &tools) => panic!("it hangs"),
        report = resuming => assert_eq!(report.error_code, Some("RUN_IS_RUNNING")),
    }
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_called() {
    let no_more = "CREATE TRIGGER no_more BEFORE INSERT ON run_calls WHEN new.stage <> 'one' \
                   BEGIN SELECT RAISE(ABORT, 'no more'); END;";
    for breaks in [no_more, "DROP TABLE run_calls; DROP TABLE runs;"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs.db");
        let runs = Runs::open(&Location::File(path.clone())).unwrap();
        let tools = Scripted::new(move |tool, arguments| {
            if tool == "one" {
                open(&path).execute_batch(breaks).expect("the journal can be broken");
            }
            named(tool, arguments)
        });

        let report = of(work(), &runs).begin(members(json!({"x": 1})), &tools).await;

        assert_eq!((report.error_code, names(&tools)), (Some("JOURNAL_FAILED"), vec!["one".to_owned()]));
        assert!(report.execution_log[0].success);
    }
}

#[tokio::test]
async fn a_run_that_cannot_be_written_down_does_not_begin() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.db");
    let runs = Runs::open(&Location::File(path.clone())).unwrap();
    open(&path).execute_batch("DROP TABLE runs;").unwrap();
    let tools = Scripted::new(named);

    let report = of(work(), &runs).begin(members(json!({"x": 1})), &tools).await;

    assert_eq!((report.error_code, report.run_id, tools.calls()), (Some("JOURNAL_FAILED"), None, vec![]));
}

/// The journal as another program sees it.
fn open(path: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(path).expect("a journal that is there")
}
