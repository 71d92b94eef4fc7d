//! What a run does, and what it reports.

use std::{sync::Arc, time::Duration};

use pipeline::{Definition, Failure, Report, Run, Stage, Step};
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::support::{
    Act, OWNER, Scripted, definition, each, failed, goes_on, journal, members, one, pipeline, result, run,
    stage, together,
};

fn research() -> Definition {
    definition([
        one(stage("hits", json!({"q": "{{ input.topic }}", "most": "{{ input.most }}", "fixed": [1, null]}))),
        one(each(
            "summaries",
            "{{ hits.structured.items }}",
            json!({"message": "Summarise: {{ item.text }}"}),
        )),
        one(stage(
            "letter",
            json!({"parts": "{{ summaries | map(attribute='text') }}", "all": "{{ hits }}"}),
        )),
    ])
}

fn researcher(tool: &str, arguments: &Value) -> Act {
    match tool {
        "hits" => Act::Give(json!({"items": [{"text": "a"}, {"text": "b"}, {"text": "c"}]})),
        "summaries" => Act::Give(json!(arguments["message"].as_str().map(str::to_uppercase))),
        _ => Act::Give(json!("done")),
    }
}

#[tokio::test]
async fn stages_run_in_order_and_give_later_ones_their_results() {
    let tools = Scripted::new(researcher);

    let report = run(research(), json!({"topic": "tea", "most": 3}), &tools).await;

    assert_eq!(report.error, None);
    assert_eq!(report.result, result(json!("done")));
    let hits = result(json!({"items": [{"text": "a"}, {"text": "b"}, {"text": "c"}]}));
    let parts = json!(["SUMMARISE: A", "SUMMARISE: B", "SUMMARISE: C"]);
    assert_eq!(
        tools.calls(),
        [
            ("hits".into(), json!({"q": "tea", "most": 3, "fixed": [1, null]})),
            ("summaries".into(), json!({"message": "Summarise: a"})),
            ("summaries".into(), json!({"message": "Summarise: b"})),
            ("summaries".into(), json!({"message": "Summarise: c"})),
            ("letter".into(), json!({"parts": parts, "all": hits})),
        ]
    );
}

#[tokio::test]
async fn progress_is_told_once_for_each_stage() {
    let tools = Scripted::new(researcher);
    run(research(), json!({"topic": "tea", "most": 3}), &tools).await;
    let told = |done, name| (done, 3, format!("stage `{name}` is done"));
    assert_eq!(tools.progress(), [told(1, "hits"), told(2, "summaries"), told(3, "letter")]);
}

#[tokio::test]
async fn items_run_side_by_side_up_to_the_concurrency_and_keep_their_order() {
    // Of four at a time, the first of each four ends last.
    let barrier = Arc::new(Barrier::new(4));
    let tools = Scripted::new(move |_, arguments| together(&barrier, Act::Give(arguments["n"].clone())));
    let steps = [one(each("double", "{{ range(12) }}", json!({"n": "{{ item * 2 }}"})))];

    let report = run(definition(steps), json!({}), &tools).await;

    let doubles: Vec<_> = (0..12).map(|n| result(json!(n * 2))).collect();
    assert_eq!(report.result, json!(doubles));
    assert_eq!(tools.most_underway(), 4);
}

#[tokio::test]
async fn no_items_make_no_calls() {
    let tools = Scripted::new(researcher);
    let report =
        run(definition([one(each("x", "{{ input.list }}", json!({})))]), json!({"list": []}), &tools).await;
    assert_eq!((report.result, report.error, tools.calls()), (json!([]), None, vec![]));
}

#[tokio::test]
async fn a_parallel_group_runs_side_by_side() {
    let barrier = Arc::new(Barrier::new(2));
    let tools = Scripted::new(move |tool, _| match tool {
        "after" => Act::Give(json!("end")),
        tool => together(&barrier, Act::Give(json!(tool))),
    });
    let group = || Step::Parallel(vec![stage("left", json!({})), stage("right", json!({}))]);

    let report = run(definition([group()]), json!({}), &tools).await;
    assert_eq!(report.result, json!({"left": result(json!("left")), "right": result(json!("right"))}));

    let after = one(stage("after", json!({"both": "{{ left.text }} and {{ right.text }}"})));
    let report = run(definition([group(), after]), json!({}), &tools).await;
    assert_eq!(report.result, result(json!("end")));
    assert_eq!(tools.calls().last().unwrap().1, json!({"both": "left and right"}));
}

#[tokio::test]
async fn the_output_template_makes_the_result() {
    let output = json!({"first": "{{ summaries[0].text }}", "count": "{{ summaries | length }}", "of": "{{ input.topic }}!"});
    let definition = Definition { output: Some(output), ..research() };
    let report = run(definition, json!({"topic": "tea", "most": 3}), &Scripted::new(researcher)).await;
    assert_eq!(report.result, json!({"first": "SUMMARISE: A", "count": 3, "of": "tea!"}));
}

#[tokio::test]
async fn a_failed_call_ends_the_run_and_cancels_what_runs_beside_it() {
    let barrier = Arc::new(Barrier::new(4));
    let tools = Scripted::new(move |_, arguments| {
        let act = if arguments["n"] == 1 { failed("no more tea") } else { Act::Hang };
        together(&barrier, act)
    });
    let steps =
        [one(each("brew", "{{ range(9) }}", json!({"n": "{{ item }}"}))), one(stage("pour", json!({})))];

    let report = run(definition(steps), json!({}), &tools).await;

    assert_eq!(report.error.as_deref(), Some("stage `brew`, item 1 (tool `brew`) failed: no more tea"));
    assert_eq!((report.error_code, &report.result), (Some("TOOL_EXECUTION_ERROR"), &Value::Null));
    assert_eq!(tools.called(), ["brew"; 4]);
    assert_eq!(tools.dropped(), 3);
    let log: Vec<_> = report.execution_log.iter().map(|e| (e.item, e.success, e.error.as_deref())).collect();
    assert_eq!(log[0], (Some(1), false, Some("no more tea")));
    assert_eq!(log.len(), 4);
    assert!(log[1..].iter().all(|(_, ok, why)| !ok && why.unwrap().starts_with("cancelled")), "{log:?}");
}

#[tokio::test]
async fn a_failed_call_that_may_fail_gives_null_and_the_run_goes_on() {
    let tools = Scripted::new(|tool, arguments| match (tool, arguments["n"].as_i64()) {
        ("brew", Some(1)) => failed("no more tea"),
        ("brew", Some(2)) => Act::Fail(Failure::Unknown("the kettle is gone".into())),
        ("look", _) => failed("it is dark"),
        _ => Act::Give(json!("x")),
    });
    let steps = [
        one(goes_on(each("brew", "{{ range(4) }}", json!({"n": "{{ item }}"})))),
        one(goes_on(stage("look", json!({})))),
        one(stage("end", json!({"cups": "{{ brew | select | list | length }}", "seen": "{{ look }}"}))),
    ];

    let report = run(definition(steps), json!({}), &tools).await;

    assert_eq!(report.error, None);
    assert_eq!(tools.calls().last().unwrap().1, json!({"cups": 2, "seen": null}));
    let failures: Vec<_> = report.execution_log.iter().filter_map(|entry| entry.error.as_deref()).collect();
    assert_eq!(failures, ["no more tea", "the kettle is gone", "it is dark"]);
}

#[tokio::test]
async fn a_stage_that_cannot_be_made_is_not_called_and_follows_on_error() {
    let lost = |wrap: fn(Stage) -> Stage| {
        definition([
            one(goes_on(stage("lost", json!({})))),
            one(wrap(stage("next", json!({"x": "{{ lost.structured.id }}"})))),
            one(wrap(each("every", "{{ lost.structured.items }}", json!({})))),
            one(stage("end", json!({"next": "{{ next }}", "every": "{{ every }}"}))),
        ])
    };
    let script = |tool: &str, _: &Value| if tool == "lost" { failed("gone") } else { Act::Give(json!("ok")) };

    let tools = Scripted::new(script);
    let report = run(lost(|stage| stage), json!({}), &tools).await;
    let reason = "stage `next` (tool `next`) failed: in `{{ lost.structured.id }}`: `lost` is null, so that it has no `structured`";
    assert_eq!((report.error.as_deref(), report.error_code), (Some(reason), Some("TEMPLATE_ERROR")));
    assert_eq!(tools.called(), ["lost"]);

    let tools = Scripted::new(script);
    let report = run(lost(goes_on), json!({}), &tools).await;
    assert_eq!(report.error, None);
    assert_eq!(tools.calls()[1..], [("end".to_owned(), json!({"next": null, "every": null}))]);
    let not_called: Vec<_> = report.execution_log.iter().filter(|entry| entry.input_bytes == 0).collect();
    assert_eq!(not_called.iter().map(|entry| entry.stage.as_str()).collect::<Vec<_>>(), ["next", "every"]);
}

#[tokio::test]
async fn the_execution_log_adds_up() {
    let tools = Scripted::new(|tool, arguments| match tool {
        "fail" => failed("no"),
        _ => Act::GiveAfter(Duration::from_millis(250), json!({"got": arguments})),
    });
    let steps = [
        one(stage("one", json!({"text": "{{ input.text }}"}))),
        one(goes_on(stage("fail", json!({})))),
        one(Stage {
            concurrency: 1,
            ..each("many", "{{ range(3) }}", json!({"n": "{{ item }}", "ä": "{{ one.structured }}"}))
        }),
    ];

    let report = run(definition(steps), json!({"text": "größer \"als\" \u{1f600}"}), &tools).await;

    let sent: Vec<_> = tools.calls().iter().map(|(_, arguments)| arguments.to_string().len()).collect();
    assert_eq!(report.execution_log.iter().map(|entry| entry.input_bytes).collect::<Vec<_>>(), sent);
    let received: Vec<_> = tools
        .calls()
        .iter()
        .map(
            |(tool, arguments)| {
                if tool == "fail" { 0 } else { result(json!({"got": arguments})).to_string().len() }
            },
        )
        .collect();
    assert_eq!(report.execution_log.iter().map(|entry| entry.output_bytes).collect::<Vec<_>>(), received);
    // The result is a list of what the last three calls gave: their sizes, two brackets and two commas.
    assert_eq!(report.result.to_string().len(), received[2..].iter().sum::<usize>() + 4);
    let took: Vec<_> = report.execution_log.iter().map(|entry| entry.duration_ms).collect();
    assert!([0, 2, 3, 4].iter().all(|at| took[*at] >= 250), "{took:?}");
    assert!(report.total_duration_ms >= took.iter().sum(), "{} < {took:?}", report.total_duration_ms);
    let calls: Vec<_> =
        report.execution_log.iter().map(|e| (e.stage.as_str(), e.item, e.success, e.resumed)).collect();
    assert_eq!(
        calls,
        [
            ("one", None, true, false),
            ("fail", None, false, false),
            ("many", Some(0), true, false),
            ("many", Some(1), true, false),
            ("many", Some(2), true, false),
        ]
    );
}

#[tokio::test]
async fn a_report_is_what_its_schema_says() {
    let tools = Scripted::new(researcher);
    let well: Report = run(research(), json!({"topic": "tea", "most": 3}), &tools).await;
    let refused = run(research(), json!({}), &tools).await;
    let schema = pipeline(research()).output_schema();
    for report in [well, refused] {
        let report = serde_json::to_value(report).unwrap();
        let names = |of: &Value| of.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        for (value, schema) in report["execution_log"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| (entry, &schema["properties"]["execution_log"]["items"]))
            .chain([(&report, &schema)])
        {
            for name in schema["required"].as_array().unwrap() {
                assert!(value.get(name.as_str().unwrap()).is_some(), "{name} in {value}");
            }
            for name in names(value) {
                assert!(schema["properties"].get(&name).is_some(), "{name} in {schema}");
            }
        }
    }
}

#[tokio::test]
async fn a_run_can_be_moved_between_threads() {
    fn is_send(_: &impl Send) {}
    let tools = Scripted::new(researcher);
    let begun = Run::of(pipeline(research()), journal(), OWNER).begin(members(json!({})), &tools);
    let resumed = Run::of(pipeline(research()), journal(), OWNER).resume("x", true, &tools);
    is_send(&begun);
    is_send(&resumed);
    assert_eq!(
        (begun.await.error_code, resumed.await.error_code),
        (Some("INVALID_INPUT"), Some("RUN_NOT_FOUND"))
    );
}
