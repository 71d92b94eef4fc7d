use std::fs;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn tool(name: &'static str, schema: Value) -> Tool {
    let Value::Object(schema) = schema else { panic!("a schema is an object") };
    Tool::new(name, "", std::sync::Arc::new(schema))
}

fn math() -> Tool {
    tool(
        "math_calc",
        json!({"type": "object", "required": ["expression"],
        "properties": {"expression": {"type": "string"}, "precision": {"type": "integer", "minimum": 0}}}),
    )
}

fn paint() -> Tool {
    tool(
        "paint",
        json!({"type": "object", "required": ["color", "size"], "properties": {
            "color": {"$ref": "#/$defs/color"}, "size": {"type": "number"}, "tags": {"type": "array", "items": {"type": "string"}},
            "counts": {"type": "array", "items": {"type": "integer"}}, "loud": {"type": "boolean"}, "note": {"type": ["string", "null"]},
            "at": {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}, "required": ["x"]},
            "mode": {"anyOf": [{"type": "integer"}, {"const": "auto"}]}, "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "kind": {"oneOf": [{"const": "a", "title": "First"}, {"const": "b", "title": "Second"}]}, "any": {},
            "key": {"type": "string", "writeOnly": true}, "pin": {"type": "string", "format": "password"}},
            "$defs": {"color": {"enum": ["red", "green"]}}, "additionalProperties": false}),
    )
}

fn parsed(tool: &Tool, text: &str) -> Value {
    Value::Object(parse(tool, text).unwrap_or_else(|error| panic!("{text}: {error}")))
}

fn error(tool: &Tool, text: &str) -> String {
    parse(tool, text).unwrap_err().to_string()
}

#[test]
fn a_json_object_is_taken_as_it_is() {
    assert_eq!(
        parsed(&math(), r#"{"expression": "2 + 2", "more": [1]}"#),
        json!({"expression": "2 + 2", "more": [1]})
    );
    assert_eq!(parsed(&math(), "  "), json!({}));
}

#[test]
fn pairs_get_the_types_that_the_schema_gives_them() {
    for (text, value) in [
        (
            r#"color=red size=1.5 tags=a,b counts=1,2"#,
            json!({"color": "red", "size": 1.5, "tags": ["a", "b"], "counts": [1, 2]}),
        ),
        (r#"size=2 loud=yes note=null"#, json!({"size": 2, "loud": true, "note": null})),
        (r#"note="null" loud=false"#, json!({"note": "null", "loud": false})),
        (r#"note="two words" tags=["a", "b c"]"#, json!({"note": "two words", "tags": ["a", "b c"]})),
        (r#"at.x=3 at.y=-4"#, json!({"at": {"x": 3, "y": -4}})),
        (r#"at={"x": 3}"#, json!({"at": {"x": 3}})),
        (r#"mode=3 kind=b maybe=null"#, json!({"mode": 3, "kind": "b", "maybe": null})),
        (r#"mode=auto maybe=text any=3"#, json!({"mode": "auto", "maybe": "text", "any": 3})),
        (r#"any="3" tags=a tags=b"#, json!({"any": "3", "tags": ["a", "b"]})),
        (r#"note=a=b tags="a,b" counts="#, json!({"note": "a=b", "tags": ["a,b"], "counts": []})),
    ] {
        assert_eq!(parsed(&paint(), text), value, "{text}");
    }
}

#[test]
fn plain_text_fills_the_one_argument_that_there_is_to_fill() {
    assert_eq!(parsed(&math(), "2 + 2 * 3"), json!({"expression": "2 + 2 * 3"}));
    assert_eq!(parsed(&math(), "'2 + 2'"), json!({"expression": "2 + 2"}));
    assert_eq!(parsed(&math(), "x=y"), json!({"expression": "x=y"}));
    assert_eq!(parsed(&math(), "precision=2 expression=1/3"), json!({"precision": 2, "expression": "1/3"}));
    let wait = tool("wait", json!({"properties": {"seconds": {"type": "integer"}}}));
    assert_eq!(parsed(&wait, "5"), json!({"seconds": 5}));
    assert_eq!(
        error(&wait, "long"),
        "`seconds` must be an integer, not `long`\nusage: wait [seconds=INTEGER]"
    );
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_what_the_tool_wants() {
    for (text, words) in [
        ("color=blue", "`color` must be one of red, green; not `blue`"),
        ("size=big", "`size` must be a number, not `big`"),
        ("size=NaN", "`size` must be a number, not `NaN`"),
        ("loud=loudly", "`loud` must be true or false, not `loudly`"),
        ("counts=1,x", "`counts` must be an integer, not `x`"),
        ("colour=red", "`colour` is not an argument; do you mean `color`?"),
        ("at.z=1", "`at.z` is not an argument"),
        ("size=1 size=2", "`size` is given twice"),
        ("at=3", "`at` must be an object in JSON"),
        ("tags=[1,", "`tags` is not JSON: EOF while parsing"),
        ("mode=fast", "`mode` must be one of auto; not `fast`"),
        ("just words", "write the arguments as NAME=VALUE or as a JSON object"),
        ("size=1 words", "write the arguments as NAME=VALUE or as a JSON object"),
        ("note=@/no/such/file", "`note` cannot be read from /no/such/file"),
    ] {
        let error = error(&paint(), text);
        assert!(error.starts_with(words), "{text}: {error}");
        assert!(error.contains("usage: paint color=red|green size=NUMBER ["), "{text}: {error}");
    }
}

#[test]
fn wrong_json_is_refused_with_its_column_and_a_mark_below_it() {
    let error = error(&math(), r#"{"expression" 2}"#);
    assert_eq!(
        error,
        "the arguments are not JSON: expected `:` at column 15\n  {\"expression\" 2}\n                ^\nusage: math_calc expression=STRING [precision=INTEGER]"
    );
}

#[test]
fn an_argument_can_be_read_from_a_file_and_two_ats_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text");
    fs::write(&path, "line one\n").unwrap();
    assert_eq!(parsed(&paint(), &format!("note=@{}", path.display())), json!({"note": "line one"}));
    assert_eq!(
        parsed(&math(), &format!("expression=@{}", path.display())),
        json!({"expression": "line one\n"})
    );
    assert_eq!(parsed(&paint(), "note=@@ada"), json!({"note": "@ada"}));
    fs::write(&path, "x".repeat((4 << 20) + 1)).unwrap();
    assert!(error(&paint(), &format!("note=@{}", path.display())).contains("more than 4 MiB"));
}

#[test]
fn words_that_a_shell_has_split_mean_the_same() {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let value = |tool: &Tool, list: &[&str]| Value::Object(parse_words(tool, &words(list)).unwrap());
    assert_eq!(value(&paint(), &["note=two words", "size=2"]), json!({"note": "two words", "size": 2}));
    assert_eq!(value(&math(), &["2", "+", "2"]), json!({"expression": "2 + 2"}));
    assert_eq!(value(&math(), &[r#"{"expression": "1"}"#]), json!({"expression": "1"}));
    assert_eq!(value(&math(), &[]), json!({}));
}

#[test]
fn json_that_the_schema_does_not_allow_is_worth_a_warning() {
    let warned = |tool: &Tool, value: Value| warnings(tool, value.as_object().unwrap());
    assert_eq!(
        warned(&math(), json!({"expression": 2, "precision": -1})),
        ["`expression` must be a string", "`precision` must be at least 0"]
    );
    assert_eq!(
        warned(&math(), json!({"expresion": "2"})),
        ["`expresion` is not an argument; do you mean `expression`?"]
    );
    assert_eq!(warned(&math(), json!({"verbose": true})), Vec::<String>::new());
    assert_eq!(warned(&paint(), json!({"verbose": true})), ["`verbose` is not allowed"]);
    assert_eq!(
        warned(&paint(), json!({"at": {}, "counts": [1, "x"]})),
        ["`at` needs `x`", "`counts[1]` must be an integer"]
    );
    assert_eq!(
        warned(&paint(), json!({"color": "blue", "mode": 1.5})),
        ["`color` must be one of red, green", "`mode` must be an integer, or a string"]
    );
}

#[test]
fn missing_arguments_come_in_the_order_of_the_schema() {
    assert_eq!(missing(&paint(), &parse(&paint(), "loud=true").unwrap()), ["color", "size"]);
    assert_eq!(missing(&paint(), &parse(&paint(), "color=red").unwrap()), ["size"]);
}

#[test]
fn arguments_that_are_to_be_kept_nowhere_are_known() {
    assert!(holds_secret(&paint(), &parse(&paint(), "key=x").unwrap()));
    assert!(holds_secret(&paint(), &parse(&paint(), "pin=1").unwrap()));
    assert!(!holds_secret(&paint(), &parse(&paint(), "note=x").unwrap()));
}

#[test]
fn a_schema_that_refers_to_itself_comes_to_an_end() {
    let tree = tool(
        "tree",
        json!({"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "properties": {
        "name": {"type": "string"}, "child": {"$ref": "#/$defs/node"}}}}}),
    );
    assert_eq!(parsed(&tree, "child.child.name=leaf"), json!({"child": {"child": {"name": "leaf"}}}));
    let circle = tool("circle", json!({"$ref": "#"}));
    assert_eq!(parsed(&circle, "a=1"), json!({"a": 1}));
    assert!(warnings(&circle, &parse(&circle, "a=1").unwrap()).is_empty());
}

proptest! {
    #[test]
    fn no_text_makes_parsing_panic(text in "[ -~é\"'{}=,.@]{0,60}") {
        prop_assume!(!text.contains('@'));
        for tool in [math(), paint()] {
            let _ = parse(&tool, &text);
        }
    }

    #[test]
    fn every_quoted_text_arrives_as_it_is(text in "[^\\x00-\\x1f]{0,40}") {
        let line = format!("note={}", serde_json::to_string(&text).unwrap());
        prop_assert_eq!(parsed(&paint(), &line), json!({"note": text}));
    }

    #[test]
    fn every_integer_arrives_as_it_is(number: i64) {
        prop_assert_eq!(parsed(&paint(), &format!("counts={number}")), json!({"counts": [number]}));
    }
}
