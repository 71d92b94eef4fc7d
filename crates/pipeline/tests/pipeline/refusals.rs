//! Input that no run begins with.

use std::{collections::BTreeMap, sync::Arc};

use pipeline::{Definition, Run};
use serde_json::json;

use crate::support::{Act, OWNER, Scripted, definition, journal, members, one, pipeline, stage};

#[tokio::test]
async fn a_wrong_input_is_refused_before_anything_is_called_or_written() {
    let steps = [one(stage("first", json!({}))), one(stage("last", json!({"x": "{{ input.topic }}"})))];
    let pipeline = pipeline(definition(steps));
    let (runs, tools) = (journal(), Scripted::new(|_, _| Act::Give(json!(1))));

    let report = Run::of(pipeline, runs.clone(), OWNER).begin(members(json!({"tpic": "tea"})), &tools).await;

    let reason = "the input is wrong: `topic` is missing; `tpic` is unknown: there is `topic`";
    assert_eq!((report.error.as_deref(), report.error_code), (Some(reason), Some("INVALID_INPUT")));
    assert_eq!((report.run_id, tools.calls()), (None, vec![]));
    assert_eq!(runs.unfinished(None, 10).await.unwrap(), []);
}

#[tokio::test]
async fn defaults_reach_the_templates_and_stay_what_they_were_when_the_run_began() {
    let with_default = |default: i64| {
        let input = BTreeMap::from([("most".to_owned(), json!({"type": "integer", "default": default}))]);
        let steps = [one(stage("get", json!({"most": "{{ input.most }}"})))];
        pipeline(Definition { input: Some(input), ..definition(steps) })
    };
    let began = Arc::new(tokio::sync::Notify::new());
    let hanging = Scripted::new({
        let began = Arc::clone(&began);
        move |_, _| Act::HangAfterTelling(Arc::clone(&began))
    });
    let runs = journal();
    tokio::select! {
        _ = Run::of(with_default(5), runs.clone(), OWNER).begin(members(json!({})), &hanging) => panic!("it hangs"),
        () = began.notified() => {}
    }
    assert_eq!(hanging.calls(), [("get".to_owned(), json!({"most": 5}))]);

    let tools = Scripted::new(|_, _| Act::Give(json!(1)));
    let run_id = runs.unfinished(Some(OWNER), 1).await.unwrap()[0].run.id.clone();
    let report = Run::of(with_default(9), runs, OWNER).resume(&run_id, true, &tools).await;
    assert_eq!((report.error, tools.calls()), (None, vec![("get".to_owned(), json!({"most": 5}))]));
}
