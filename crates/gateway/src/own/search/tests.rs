//! How well tools are found, and what `call_tool` becomes.

mod distractors;

use std::collections::BTreeMap;

use json_rpc::{Members, Raw};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Hit, Index, Question, SHAPE, found, inner, unwrap};
use crate::trail::Trail;
use distractors::{Verb, distractors};

/// The tools of server-everything, server-filesystem and server-memory 2026.8.31: names, titles, descriptions and schemas.
const SERVERS: &str = include_str!("tests/servers.json");

/// What is asked for, and of what the other tools are made: tests/interop/search.py asks the same of the servers themselves.
#[derive(Deserialize)]
struct Asked {
    /// What people ask for, and the tools that are right, of which one must be among the first.
    questions: Vec<(String, Vec<String>)>,
    /// The same tools in other words: whether what finds them has only learned the first list by heart.
    other_words: Vec<(String, Vec<String>)>,
    services: BTreeMap<String, Vec<String>>,
    verbs: Vec<Verb>,
}

fn asked() -> Asked {
    serde_json::from_str(include_str!("tests/asked.json")).unwrap()
}

/// The real tools under their public names, and those that only stand in the way.
fn tools() -> Vec<(String, Raw)> {
    let servers: BTreeMap<String, Vec<Value>> = serde_json::from_str(SERVERS).unwrap();
    let real = servers.into_iter().flat_map(|(server, tools)| {
        tools.into_iter().map(move |mut tool| {
            tool["name"] = format!("{server}__{}", tool["name"].as_str().unwrap()).into();
            tool
        })
    });
    let all = real.chain(distractors(&asked()));
    all.map(|tool| (tool["name"].as_str().unwrap().to_owned(), Raw::of(&tool).unwrap())).collect()
}

fn index(tools: &[(String, Raw)]) -> Index {
    Index::of(tools.iter().map(|(name, tool)| (name.as_str(), tool)))
}

fn names(hits: &[Hit]) -> Vec<&str> {
    hits.iter().map(|hit| &*hit.name).collect()
}

#[test]
fn words_that_are_known_only_together_have_a_score() {
    let tool = Raw::of(&json!({"name": "joblog", "inputSchema": {"type": "object"}})).unwrap();
    let hits = index(&[("joblog".to_owned(), tool)]).find("job log", 5);
    assert_eq!(names(&hits), ["joblog"]);
    assert!(hits[0].score.is_finite(), "{}", hits[0].score);
}

/// Asks all this; gives the questions whose right tool is not among the first five.
fn missed(index: &Index, questions: &[(String, Vec<String>)]) -> Vec<String> {
    let (mut first, mut missed) = (0, Vec::new());
    for (question, right) in questions {
        let hits = index.find(question, 5);
        let names = names(&hits);
        let is_right = |name: &str| right.iter().any(|right| right == name);
        first += usize::from(names.first().is_some_and(|name| is_right(name)));
        if !names.iter().any(|name| is_right(name)) {
            missed.push(format!("{question:?} should find {right:?}, and finds {names:?}"));
        }
    }
    let (total, found) = (questions.len(), questions.len() - missed.len());
    eprintln!("recall in the first five: {found}/{total}; in the first place: {first}/{total}");
    missed
}

#[test]
fn forty_questions_find_the_right_tool_among_the_first_five_of_more_than_five_hundred() {
    let tools = tools();
    assert_eq!((tools.len(), asked().questions.len()), (39 + 500, 40));
    let index = index(&tools);

    let missed = missed(&index, &asked().questions);

    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn the_same_is_found_when_it_is_asked_for_in_other_words() {
    let tools = tools();
    let index = index(&tools);

    let missed = missed(&index, &asked().other_words);

    assert!(missed.len() <= 2, "{missed:#?}");
}

#[test]
fn a_tool_whose_name_is_asked_for_comes_first() {
    let tools = tools();
    let index = index(&tools);
    for (name, _) in &tools {
        let hits = index.find(name, 2);
        // Lists that end alike, such as `list_list`, may hold the same words.
        let is_as_good = hits.len() < 2 || hits[0].score - hits[1].score < 0.01;
        assert!(&*hits[0].name == name || is_as_good, "{name}: {:?}", names(&hits));
    }
}

#[test]
fn slips_of_the_pen_and_words_in_one_are_found_too() {
    let tools = tools();
    let index = index(&tools);
    for (question, right) in [
        ("direcotry tree", "filesystem__directory_tree"),
        ("comress with gzipp", "everything__gzip-file-as-resource"),
        ("readTextFile", "filesystem__read_text_file"),
        ("listdirectory", "filesystem__list_directory"),
        ("MOVE FILES", "filesystem__move_file"),
    ] {
        let hits = index.find(question, 5);
        assert!(names(&hits).contains(&right), "{question}: {:?}", names(&hits));
    }
}

#[test]
fn a_deprecated_tool_comes_after_what_replaces_it() {
    let tools = tools();
    let hits = index(&tools).find("read a file as text", 10);
    let place = |name: &str| names(&hits).iter().position(|found| *found == name);
    assert!(place("filesystem__read_text_file") < place("filesystem__read_file"), "{:?}", names(&hits));
    assert!(place("filesystem__read_text_file").is_some());
}

#[test]
fn scripts_without_spaces_are_found_by_a_part_of_what_is_said() {
    let tool = |name: &str, says: &str| {
        (name.to_owned(), Raw::of(&json!({"name": name, "description": says})).unwrap())
    };
    let tools = [tool("a", "查询天气预报"), tool("b", "发送邮件"), tool("c", "ファイルを読む")];
    let index = index(&tools);
    assert_eq!(names(&index.find("天气", 5)), ["a"]);
    assert_eq!(names(&index.find("邮件", 5)), ["b"]);
    assert_eq!(names(&index.find("ファイル", 5)), ["c"]);
}

#[test]
fn whatever_is_asked_there_is_an_answer_and_always_the_same() {
    let tools = tools();
    let (one, other) = (index(&tools), index(&tools));
    let long = "supercalifragilistic ".repeat(90);
    for question in
        ["", " ", "the of", "zzzzzz", "🦀🦀", "\0\u{202e}", "ß ẞ İ", "𝒇𝒊𝒍𝒆", &long, "file file file"]
    {
        let hits = one.find(question, 20);
        assert!(
            hits.len() <= 20 && hits.iter().all(|hit| hit.score.is_finite() && hit.score > 0.0),
            "{question}"
        );
        let told =
            |hits: &[Hit]| hits.iter().map(|hit| (hit.name.clone(), hit.score.to_bits())).collect::<Vec<_>>();
        assert_eq!(told(&hits), told(&other.find(question, 20)), "{question}");
    }
    assert!(one.find("zzzzzz", 5).is_empty());
    assert!(Index::of([]).find("file", 5).is_empty());
}

fn members(value: &Value) -> Members {
    Members::of(&Raw::of(value).unwrap()).unwrap()
}

#[test]
fn a_call_of_call_tool_becomes_the_call_of_the_tool_and_keeps_all_else() {
    for (called, becomes) in [
        (
            json!({"name": "call_tool", "arguments": {"name": "a", "arguments": {"x": 1.50}}, "requestState": "s", "inputResponses": {}, "_meta": {}}),
            json!({"name": "a", "arguments": {"x": 1.50}, "requestState": "s", "inputResponses": {}, "_meta": {}}),
        ),
        (json!({"name": "call_tool", "arguments": {"name": "a"}}), json!({"name": "a"})),
        (json!({"name": "call_tool", "arguments": {"name": "a", "arguments": null}}), json!({"name": "a"})),
        (
            json!({"name": "call_tool", "arguments": {"name": "find_tool", "arguments": {"query": "q"}}}),
            json!({"name": "find_tool", "arguments": {"query": "q"}}),
        ),
        (
            json!({"name": "a", "arguments": {"name": "call_tool"}}),
            json!({"name": "a", "arguments": {"name": "call_tool"}}),
        ),
        (json!({}), json!({})),
    ] {
        let mut params = members(&called);
        unwrap(&mut params, &Trail::default());
        assert_eq!(params.to_raw().parse::<Value>().unwrap(), becomes);
    }
}

#[test]
fn a_wrong_call_of_call_tool_stays_as_it_is_and_what_is_wrong_is_said_with_what_is_right() {
    for (arguments, says) in [
        (json!({}), "name is missing"),
        (json!({"tool": "a"}), "name is missing"),
        (json!({"name": 1}), "name must be a text"),
        (json!({"name": "call_tool", "arguments": {"name": "a"}}), "cannot call itself"),
        (json!({"name": "a", "arguments": "{\"x\": 1}"}), "arguments must be an object"),
        (json!({"name": "a", "arguments": [1]}), "arguments must be an object"),
        (json!({"name": "a", "x": 1}), "into arguments"),
    ] {
        let called = json!({"name": "call_tool", "arguments": arguments});
        let mut params = members(&called);
        unwrap(&mut params, &Trail::default());
        assert_eq!(params.to_raw().parse::<Value>().unwrap(), called);
        let wrong = inner(members(&arguments)).unwrap_err();
        assert!(wrong.contains(says) && wrong.contains(SHAPE), "{wrong}");
    }
}

#[test]
fn a_question_to_find_tool_is_read_or_it_is_said_what_is_wrong() {
    let read = |arguments: Value| Question::of(&members(&arguments)).map(|it| (it.query, it.limit));
    assert_eq!(read(json!({"query": "q"})), Ok(("q".to_owned(), 5)));
    assert_eq!(read(json!({"query": "q", "limit": 20, "more": 1})), Ok(("q".to_owned(), 20)));
    assert_eq!(read(json!({"query": "q", "limit": null})), Ok(("q".to_owned(), 5)));
    for (arguments, says) in [
        (json!({}), "query must be"),
        (json!({"query": " "}), "query must be"),
        (json!({"query": ["q"]}), "query must be"),
        (json!({"query": "q".repeat(2001)}), "2000 bytes"),
        (json!({"query": "q", "limit": 0}), "from 1 to 20"),
        (json!({"query": "q", "limit": 21}), "from 1 to 20"),
        (json!({"query": "q", "limit": "5"}), "from 1 to 20"),
    ] {
        let wrong = read(arguments).unwrap_err();
        assert!(wrong.contains(says), "{wrong}");
    }
}

#[test]
fn what_is_found_says_how_it_is_called_twice_the_same() {
    let definition =
        json!({"name": "x", "title": "T", "description": "d", "inputSchema": {"n": 1.50}, "_meta": {}});
    let hit = Hit { name: "far__x".into(), definition: Raw::of(&definition).unwrap(), score: 1.234_5 };
    let result: Value = found(&[hit]).parse().unwrap();
    let tool = json!({"name": "far__x", "description": "d", "inputSchema": {"n": 1.50}, "score": 1.23});
    assert_eq!(result["structuredContent"]["tools"], json!([tool]));
    assert!(result["structuredContent"]["how_to_call"].as_str().unwrap().contains("call_tool"));
    let text = result["content"][0]["text"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), result["structuredContent"]);

    let nothing: Value = found(&[]).parse().unwrap();
    assert_eq!(nothing["structuredContent"]["tools"], json!([]));
    assert!(nothing["structuredContent"]["how_to_call"].as_str().unwrap().contains("no tool fits"));
}
