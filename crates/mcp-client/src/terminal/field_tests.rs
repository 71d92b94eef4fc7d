use super::*;

/// From text: a value would not keep the order.
fn form(schema: &str) -> Vec<Field> {
    fields(&serde_json::from_str(schema).unwrap())
}

fn everything() -> Vec<Field> {
    form(
        r#"{"type": "object", "required": ["name", "color"], "properties": {
        "name": {"type": "string", "title": "Your name", "minLength": 2, "maxLength": 5},
        "email": {"type": "string", "format": "email", "default": "ada@example.org"},
        "age": {"type": "integer", "minimum": 0, "maximum": 150, "description": "In years"},
        "ratio": {"type": "number", "default": 0.5},
        "agree": {"type": "boolean", "default": true},
        "color": {"type": "string", "enum": ["red", "green", "1"]},
        "plan": {"type": "string", "oneOf": [{"const": "s", "title": "Small"}, {"const": "l", "title": "Large"}]},
        "old": {"type": "string", "enum": ["a", "b"], "enumNames": ["First", "Second"]},
        "tags": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string", "enum": ["x", "y", "z"]}},
        "days": {"type": "array", "items": {"anyOf": [{"const": "mo", "title": "Monday"}, {"const": "tu", "title": "Tuesday"}]}, "default": ["mo"]}
    }}"#,
    )
}

fn read(name: &str, answer: &str) -> Result<Option<Value>, String> {
    everything().iter().find(|field| field.name == name).unwrap().read(answer)
}

#[test]
fn fields_come_in_the_order_of_the_server() {
    let names: Vec<String> = everything().into_iter().map(|field| field.name).collect();
    assert_eq!(names, ["name", "email", "age", "ratio", "agree", "color", "plan", "old", "tags", "days"]);
}

#[test]
fn an_answer_gets_the_type_of_its_field() {
    for (name, answer, value) in [
        ("name", " Ada ", json!("Ada")),
        ("age", "36", json!(36)),
        ("ratio", "1e-3", json!(0.001)),
        ("agree", "no", json!(false)),
        ("color", "green", json!("green")),
        ("color", "2", json!("green")),
        ("color", "1", json!("1")),
        ("plan", "large", json!("l")),
        ("plan", "1", json!("s")),
        ("old", "Second", json!("b")),
        ("tags", "1, z, x", json!(["x", "z"])),
        ("days", "tuesday,mo", json!(["tu", "mo"])),
    ] {
        assert_eq!(read(name, answer), Ok(Some(value)), "{name} = {answer}");
    }
}

#[test]
fn enter_takes_the_default_and_leaves_an_optional_field_out() {
    assert_eq!(read("email", ""), Ok(Some(json!("ada@example.org"))));
    assert_eq!(read("agree", ""), Ok(Some(json!(true))));
    assert_eq!(read("days", " "), Ok(Some(json!(["mo"]))));
    assert_eq!(read("age", ""), Ok(None));
    assert_eq!(read("name", ""), Err("is required".to_owned()));
}

#[test]
fn an_answer_that_does_not_fit_is_refused_with_the_reason() {
    for (name, answer, reason) in [
        ("name", "A", "must have at least 2 characters, has 1"),
        ("name", "Augusta", "must have at most 5 characters, has 7"),
        ("email", "ada", "must be an e-mail address, like ada@example.org"),
        ("age", "old", "must be an integer"),
        ("age", "151", "must be at most 150"),
        ("ratio", "NaN", "must be a number"),
        ("agree", "maybe", "must be yes or no"),
        ("color", "blue", "must be one of the 3 that are listed"),
        ("color", "9", "must be one of the 3 that are listed"),
        ("tags", "x,y,z", "must be at most 2 of them"),
        ("tags", ",", "must be at least 1 of them"),
    ] {
        assert_eq!(read(name, answer), Err(reason.to_owned()), "{name} = {answer}");
    }
}

#[test]
fn a_field_is_explained_without_control_characters() {
    let fields = form(
        r#"{"type": "object", "properties": {"a\u001b[2J": {"type": "string", "title": "T\u0007", "description": "D\u001b]0;x", "default": "\u009b1"}}}"#,
    );
    let text = format!("{}{}", fields[0].explained(), fields[0].prompt());
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
}

#[test]
fn a_field_says_what_it_takes() {
    let explained = |name: &str| everything().iter().find(|field| field.name == name).unwrap().explained();
    assert_eq!(explained("name"), "Your name (text from 2 to 5 characters)");
    assert_eq!(explained("age"), "age (integer from 0 to 150, optional)\n  In years");
    assert!(explained("plan").ends_with("\n  1) Small (s)\n  2) Large (l)"));
}
