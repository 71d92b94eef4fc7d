//! Times, sizes and counts that a run keeps to.

use std::time::Duration;

use pipeline::{Definition, Stage, Step};
use serde_json::{Value, json};

use crate::support::{Act, Scripted, definition, each, failed, goes_on, one, result, run, stage};

fn within(time: Duration, stage: Stage) -> Stage {
    Stage { timeout: Some(time), ..stage }
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_cancelled_and_fails() {
    let late = || within(Duration::from_secs(20), stage("late", json!({})));
    let script =
        |tool: &str, _: &Value| if tool == "late" { Act::HangOutOfTime } else { Act::Give(json!(1)) };

    let tools = Scripted::new(script);
    let report = run(definition([one(late()), one(stage("next", json!({})))]), json!({}), &tools).await;
    let reason = "stage `late` (tool `late`) failed: there was no answer within 20 s; look whether it was carried out, then resume the run";
    assert_eq!((report.error.as_deref(), report.error_code), (Some(reason), Some("TIMEOUT")));
    assert_eq!((tools.called(), tools.dropped()), (vec!["late".to_owned()], 1));
    assert!(report.execution_log[0].duration_ms >= 20_000);

    let tools = Scripted::new(script);
    let report =
        run(definition([one(goes_on(late())), one(stage("next", json!({})))]), json!({}), &tools).await;
    assert_eq!((report.error, report.result), (None, result(json!(1))));
}

#[tokio::test]
async fn one_late_item_costs_only_itself() {
    let tools = Scripted::new(|_, arguments| match arguments["n"].as_u64() {
        Some(3) => Act::HangOutOfTime,
        _ => Act::Give(arguments["n"].clone()),
    });
    // The late one is last, so that time passes only when all others have their results.
    let late = within(Duration::from_secs(1), each("get", "{{ range(4) }}", json!({"n": "{{ item }}"})));
    let steps = [one(goes_on(Stage { concurrency: 1, ..late }))];

    let report = run(definition(steps), json!({}), &tools).await;

    assert_eq!(report.result, json!([result(json!(0)), result(json!(1)), result(json!(2)), null]));
    assert_eq!(report.error, None);
}

#[tokio::test]
async fn a_pipeline_that_takes_too_long_is_cut_off_whatever_its_stages_allow() {
    let tools =
        Scripted::new(|tool, _| if tool == "late" { Act::HangOutOfTime } else { Act::Give(json!(1)) });
    let group = vec![
        goes_on(stage("late", json!({}))),
        goes_on(within(Duration::from_secs(90), stage("late2", json!({})))),
    ];
    let steps = [one(stage("first", json!({}))), Step::Parallel(group)];
    let definition = Definition { timeout: Duration::from_secs(60), ..definition(steps) };

    let report = run(definition, json!({}), &tools).await;

    assert_eq!(report.error.as_deref(), Some("the pipeline took longer than 1 min: the run can be resumed"));
    assert_eq!((report.error_code, report.result), (Some("TIMEOUT"), Value::Null));
    assert!(report.total_duration_ms >= 60_000);
    let last = report.execution_log.last().unwrap();
    assert_eq!((last.stage.as_str(), last.success, tools.dropped()), ("late", false, 1));
    assert!(last.error.as_deref().unwrap().starts_with("cancelled"));
}

#[tokio::test]
async fn a_result_larger_than_the_limit_ends_the_run() {
    let most = result(json!("x".repeat(100))).to_string().len();
    let steps = || [one(goes_on(stage("big", json!({})))), one(stage("next", json!({})))];
    let script = |tool: &str, _: &Value| Act::Give(json!("x".repeat(if tool == "big" { 100 } else { 1 })));

    let fits = Definition { max_output_bytes: most, ..definition(steps()) };
    assert_eq!(run(fits, json!({}), &Scripted::new(script)).await.error, None);

    let tools = Scripted::new(script);
    let report =
        run(Definition { max_output_bytes: most - 1, ..definition(steps()) }, json!({}), &tools).await;
    let reason = format!(
        "stage `big` (tool `big`) failed: its result has more than {} bytes: ask for less, or raise max_output_bytes",
        most - 1
    );
    assert_eq!((report.error, report.error_code), (Some(reason), Some("OUTPUT_TOO_LARGE")));
    assert_eq!((tools.called().len(), report.execution_log[0].output_bytes), (1, most));
    assert!(!report.execution_log[0].success);
}

#[tokio::test]
async fn the_results_of_all_items_count_together() {
    let size = result(json!(7)).to_string().len();
    let many = || [one(Stage { concurrency: 1, ..each("get", "{{ range(10) }}", json!({})) })];
    let script = |_: &str, _: &Value| Act::Give(json!(7));

    let fits = Definition { max_output_bytes: size * 10, ..definition(many()) };
    assert_eq!(run(fits, json!({}), &Scripted::new(script)).await.error, None);

    let tools = Scripted::new(script);
    let report =
        run(Definition { max_output_bytes: size * 10 - 1, ..definition(many()) }, json!({}), &tools).await;
    let error = report.error.unwrap();
    assert!(
        error.starts_with("stage `get`, item 9 (tool `get`) failed: the results of its items have more than"),
        "{error}"
    );
}

#[tokio::test]
async fn an_output_larger_than_the_limit_is_refused() {
    let steps = [one(stage("get", json!({})))];
    let definition = Definition {
        output: Some(json!(["{{ get.text }}", "{{ get.text }}"])),
        max_output_bytes: 1_000,
        ..definition(steps)
    };
    let tools = Scripted::new(|_, _| Act::Give(json!("x".repeat(300))));
    assert_eq!(run(definition.clone(), json!({}), &tools).await.error, None);
    let more = Definition { output: Some(json!(["{{ get.text }}", "{{ get.text * 3 }}"])), ..definition };
    let report = run(more, json!({}), &tools).await;
    assert_eq!(
        report.error.as_deref(),
        Some("the output could not be made: in `{{ get.text * 3 }}`: it makes more than 1000 bytes")
    );
}

#[tokio::test]
async fn for_each_wants_a_list_of_at_most_1000_items() {
    let steps = || [one(each("get", "{{ input.list }}", json!({})))];
    let tools = Scripted::new(|_, _| Act::Give(json!(1)));
    for (list, reason) in [
        (json!("text"), "`{{ input.list }}` is no list, so that there are no items"),
        (json!({"a": 1}), "`{{ input.list }}` is no list, so that there are no items"),
        (json!(vec![0; 1_001]), "`{{ input.list }}` has 1001 items, and may have 1000"),
    ] {
        let report = run(definition(steps()), json!({"list": list}), &tools).await;
        assert_eq!(report.error, Some(format!("stage `get` (tool `get`) failed: {reason}")));
    }
    assert_eq!(tools.calls(), []);

    let report = run(definition(steps()), json!({"list": vec![0; 1_000]}), &tools).await;
    assert_eq!((report.error, tools.calls().len()), (None, 1_000));
}

#[tokio::test]
async fn arguments_are_bounded() {
    let steps = [one(stage("get", json!({"text": "{{ input.text * 5000000 }}"})))];
    let tools = Scripted::new(|_, _| Act::Give(json!(1)));
    let report = run(definition(steps), json!({"text": "x"}), &tools).await;
    assert!(report.error.unwrap().contains("it makes more than"));
    assert_eq!(tools.calls(), []);
}

#[tokio::test]
async fn a_long_error_is_cut() {
    let tools = Scripted::new(|_, _| failed(&"ä".repeat(100_000)));
    let report = run(definition([one(stage("get", json!({})))]), json!({}), &tools).await;
    let error = report.error.unwrap();
    assert!(error.ends_with("ä…") && error.chars().count() < 2_100, "{}", error.len());
}

#[tokio::test]
async fn the_log_is_bounded() {
    let tools = Scripted::new(|_, _| failed(&"\u{1}".repeat(100_000)));
    let most = |name: &str| one(goes_on(each(name, "{{ range(1000) }}", json!({}))));
    let report = run(definition([most("a"), most("b"), most("c")]), json!({}), &tools).await;

    assert_eq!((report.error.as_deref(), report.execution_log.len()), (None, 1_000));
    assert_eq!(report.log_entries_left_out, 2_000);
    assert!(report.execution_log[..500].iter().all(|entry| entry.stage == "a"));
    assert!(report.execution_log[500..].iter().all(|entry| entry.stage == "c"));
    assert!(serde_json::to_vec(&report).unwrap().len() < 4 << 20);
}
