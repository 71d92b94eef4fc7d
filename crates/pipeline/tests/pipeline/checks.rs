//! What is found in a definition before it runs, and what is told of it.

use std::{collections::BTreeMap, time::Duration};

use pipeline::{Definition, Problem, Stage, Step};
use serde_json::{Value, json};

use crate::support::{definition, each, goes_on, one, pipeline, problems, stage};

fn first() -> Step {
    one(stage("first", json!({"q": "{{ input.q }}"})))
}

fn with(stage: Stage) -> Definition {
    definition([first(), one(stage)])
}

fn stated(schemas: Value) -> Option<BTreeMap<String, Value>> {
    Some(schemas.as_object().expect("an object").clone().into_iter().collect())
}

/// What is wrong, and where, in which member and with which words it is found.
type Case = (Definition, Option<(usize, usize)>, &'static str, &'static str);

#[test]
fn each_mistake_is_found_where_it_is() {
    let whole = None;
    let second = Some((1, 0));
    let base = || definition([first()]);
    let many = |count: usize| (0..count).map(|n| one(stage(&format!("s{n}"), json!({}))));
    let output = |output: Value| Definition { output: Some(output), ..base() };
    let cases: Vec<Case> = vec![
        (Definition { name: "a b".into(), ..base() }, whole, "name", "letters, digits"),
        (Definition { name: String::new(), ..base() }, whole, "name", "letters, digits"),
        (Definition { timeout: Duration::ZERO, ..base() }, whole, "timeout", "some time"),
        (Definition { max_output_bytes: 0, ..base() }, whole, "max_output_bytes", "room"),
        (definition([]), whole, "stage", "nothing to do"),
        (definition(many(65)), whole, "stage", "65 stages"),
        (definition([first(), Step::Parallel(vec![])]), second, "parallel", "empty"),
        (with(stage("first", json!({}))), second, "name", "another stage is called `first`"),
        (with(stage("a-b", json!({}))), second, "name", "cannot be used in templates"),
        (with(stage("1st", json!({}))), second, "name", "cannot be used in templates"),
        (with(stage("item", json!({}))), second, "name", "means something else"),
        (with(stage("range", json!({}))), second, "name", "means something else"),
        (with(Stage { tool: String::new(), ..stage("x", json!({})) }), second, "tool", "must be a tool"),
        (with(Stage { tool: "work".into(), ..stage("x", json!({})) }), second, "tool", "cannot use itself"),
        (with(Stage { concurrency: 0, ..stage("x", json!({})) }), second, "concurrency", "at least 1"),
        (
            with(Stage { timeout: Some(Duration::ZERO), ..stage("x", json!({})) }),
            second,
            "timeout",
            "some time",
        ),
        (
            with(stage("x", json!({"a": {"b": ["{{ 1 +"]}}))),
            second,
            "arguments",
            "`a`: `b`: in `{{ 1 +`: syntax error",
        ),
        (with(stage("x", json!({"a": "{{ input.q | shout }}"}))), second, "arguments", "filter shout"),
        (with(each("x", "{{ first.structured", json!({}))), second, "for_each", "syntax error"),
        (with(each("x", "{{ first.text }} x", json!({}))), second, "for_each", "alone"),
        (with(each("x", "first", json!({}))), second, "for_each", "alone"),
        (
            with(stage("x", json!({"a": "{{ frist.text }}"}))),
            second,
            "arguments",
            "nothing is called `frist`; there is `input`, `first`",
        ),
        (with(stage("x", json!({"a": "{{ x.text }}"}))), second, "arguments", "is this stage"),
        (with(stage("x", json!({"a": "{{ item }}"}))), second, "arguments", "no `item` here"),
        (with(each("x", "{{ item }}", json!({}))), second, "for_each", "no `item` here"),
        (with(stage("x", json!({"a": "{{ first.items }}"}))), second, "arguments", "`first` has no `items`"),
        (output(json!("{{ second.text }}")), whole, "output", "nothing is called `second`"),
        (output(json!(["{{ item }}"])), whole, "output", "no `item` here"),
        (output(json!("{% if %}")), whole, "output", "syntax error"),
        (
            Definition { input: stated(json!({"q": {"type": "text"}})), ..base() },
            whole,
            "input",
            "unknown type",
        ),
        (
            Definition { input: stated(json!({"topic": {}})), ..base() },
            Some((0, 0)),
            "arguments",
            "the input has no `q`; it has `topic`",
        ),
        (
            definition([one(stage("x", json!({"a": "{{ first.text }}"}))), first()]),
            Some((0, 0)),
            "arguments",
            "`first` comes later",
        ),
        (
            definition([Step::Parallel(vec![
                stage("a", json!({})),
                stage("b", json!({"x": "{{ a.text }}"})),
            ])]),
            Some((0, 1)),
            "arguments",
            "`a` runs side by side",
        ),
        (
            definition([
                one(each("many", "{{ [1] }}", json!({}))),
                one(stage("x", json!({"a": "{{ many.text }}"}))),
            ]),
            second,
            "arguments",
            "write `many[0].text`",
        ),
    ];
    for (definition, at, member, part) in cases {
        let found = problems(definition);
        let [Problem { stage, member: of, reason }] = found.as_slice() else { panic!("{part}: {found:?}") };
        assert_eq!((*stage, *of), (at, member), "{reason}");
        assert!(reason.contains(part), "{reason} has no {part}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let wrong = Definition {
        timeout: Duration::ZERO,
        output: Some(json!("{{ nothing }}")),
        ..with(Stage { concurrency: 0, ..stage("x", json!({"a": "{{ lost }}"})) })
    };
    let members: Vec<_> = problems(wrong).into_iter().map(|problem| problem.member).collect();
    assert_eq!(members, ["timeout", "concurrency", "arguments", "output"]);
}

#[test]
fn what_is_right_is_no_mistake() {
    let group = vec![
        stage("a", json!({"x": "{{ first.structured.items[0].id }}", "y": "{{ input }}"})),
        each(
            "b",
            "{{ first.structured['list'] | sort }}",
            json!({"x": "{{ item.text }} of {{ first.text }}"}),
        ),
    ];
    let right = Definition {
        output: Some(json!({"n": "{{ b[0].structured }}", "all": "{{ dict(a=a.text) }}"})),
        ..definition([first(), Step::Parallel(group)])
    };
    assert_eq!(problems(right), []);
    assert_eq!(problems(definition((0..64).map(|n| one(stage(&format!("s{n}"), json!({})))))), []);
}

fn research() -> Definition {
    let hits = Stage {
        tool: "search__query".into(),
        timeout: Some(Duration::from_secs(20)),
        ..stage("hits", json!({"most": 5, "q": "{{ input.topic }}"}))
    };
    let each =
        each("summaries", "{{ hits.structured.items }}", json!({"message": "Summarise: {{ item.text }}"}));
    Definition {
        name: "research".into(),
        description: "Search, then summarise each hit".into(),
        input: stated(json!({"topic": {"type": "string"}, "most": {"type": "integer", "default": 5}})),
        output: Some(json!({"summary": "{{ summaries[0].text }}"})),
        ..definition([
            one(hits),
            one(goes_on(Stage { tool: "ai".into(), ..each })),
            Step::Parallel(vec![stage("a", json!({})), Stage { tool: "ai".into(), ..stage("b", json!({})) }]),
        ])
    }
}

#[test]
fn the_plan_says_what_would_be_done() {
    let plan = "\
research: Search, then summarise each hit
input: most (optional), topic
1. hits: search__query
   most = 5
   q = {{ input.topic }}
   each call has 20 s
2. summaries: ai for each item of {{ hits.structured.items }}, 4 at a time
   message = Summarise: {{ item.text }}
   a call that fails gives null, and the pipeline goes on
3. side by side:
   3.1. a: a
   3.2. b: ai
result: {\"summary\":\"{{ summaries[0].text }}\"}
limits: 10 min for all of it, 1048576 bytes for the results of each stage";
    assert_eq!(pipeline(research()).plan().to_string(), plan);
}

#[test]
fn a_pipeline_says_what_it_is() {
    let pipeline = pipeline(research());
    assert_eq!((pipeline.name(), pipeline.description()), ("research", "Search, then summarise each hit"));
    assert_eq!(pipeline.tools(), ["search__query", "ai", "a"]);
    assert_eq!(
        pipeline.input_schema(),
        json!({
            "type": "object",
            "properties": {"topic": {"type": "string"}, "most": {"type": "integer", "default": 5}},
            "required": ["topic"],
            "additionalProperties": false,
        })
    );
}

#[test]
fn the_digest_changes_with_what_is_done_and_with_nothing_else() {
    let digest = |change: fn(&mut Definition)| {
        let mut definition = research();
        change(&mut definition);
        pipeline(definition).digest()
    };
    let first = |definition: &mut Definition, change: fn(&mut Stage)| {
        let Step::Stage(stage) = &mut definition.steps[0] else { panic!("a stage") };
        change(stage);
    };
    let before = digest(|_| {});
    assert_eq!(before.len(), 64);
    for same in [
        digest(|definition| definition.description.clear()),
        digest(|definition| definition.timeout = Duration::from_secs(1)),
        digest(|definition| definition.max_output_bytes = 1),
    ] {
        assert_eq!(same, before);
    }
    let changes: [fn(&mut Stage); 3] = [
        |stage| stage.tool = "other".into(),
        |stage| stage.on_error = pipeline::OnError::Continue,
        |stage| drop(stage.arguments.insert("more".into(), json!(1))),
    ];
    for change in changes {
        let mut definition = research();
        first(&mut definition, change);
        assert_ne!(pipeline(definition).digest(), before);
    }
    assert_ne!(digest(|definition| definition.output = None), before);
    assert_ne!(digest(|definition| drop(definition.steps.pop())), before);
}
