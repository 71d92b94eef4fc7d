//! The input of a pipeline.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// Unknown members that an error names: a caller may make up any number.
const MOST_TOLD: usize = 8;

/// What a pipeline may be given.
#[derive(Debug)]
pub(crate) enum Input {
    /// JSON schemas by name; what has no `default` is required.
    Stated(BTreeMap<String, Value>),
    /// What the templates name, of any type. `open`: they use the input as a whole, so that there may be more.
    Derived { names: BTreeSet<String>, open: bool },
}

impl Input {
    /// What these templates ask of the input: see [`crate::template::Template::references`].
    pub(crate) fn derived<'r>(references: impl Iterator<Item = &'r Vec<String>>) -> Self {
        let (mut names, mut open) = (BTreeSet::new(), false);
        for path in references.filter(|path| path[0] == "input") {
            match path.get(1) {
                Some(name) => drop(names.insert(name.clone())),
                None => open = true,
            }
        }
        Self::Derived { names, open }
    }

    /// Its JSON schema.
    pub(crate) fn schema(&self) -> Value {
        let (properties, required): (Map<_, _>, Vec<_>) = match self {
            Self::Stated(schemas) => (
                schemas.iter().map(|(name, schema)| (name.clone(), schema.clone())).collect(),
                schemas.iter().filter(|(_, schema)| is_required(schema)).map(|(name, _)| name).collect(),
            ),
            Self::Derived { names, .. } => {
                (names.iter().map(|name| (name.clone(), json!({}))).collect(), names.iter().collect())
            }
        };
        json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": matches!(self, Self::Derived { open: true, .. }),
        })
    }

    /// The input with its defaults filled in, or all that is wrong with it.
    pub(crate) fn check(&self, mut input: Map<String, Value>) -> Result<Map<String, Value>, String> {
        let mut wrong = Vec::new();
        match self {
            Self::Stated(schemas) => {
                for (name, schema) in schemas {
                    match (input.get(name), schema.get("default")) {
                        (Some(value), _) => wrong.extend(mismatch(name, schema, value)),
                        (None, Some(default)) => drop(input.insert(name.clone(), default.clone())),
                        (None, None) => wrong.push(format!("`{name}` is missing")),
                    }
                }
                let known: Vec<_> = schemas.keys().collect();
                let more = input.keys().filter(|name| !schemas.contains_key(*name));
                wrong.extend(more.take(MOST_TOLD).map(|name| unknown(name, &known)));
            }
            Self::Derived { names, open } => {
                let missing = names.iter().filter(|name| !input.contains_key(*name));
                wrong.extend(missing.map(|name| format!("`{name}` is missing")));
                let known: Vec<_> = names.iter().collect();
                let more = input.keys().filter(|name| !open && !names.contains(*name));
                wrong.extend(more.take(MOST_TOLD).map(|name| unknown(name, &known)));
            }
        }
        if wrong.is_empty() { Ok(input) } else { Err(format!("the input is wrong: {}", wrong.join("; "))) }
    }

    /// Whether a template may ask for this member.
    pub(crate) fn may_have(&self, name: &str) -> bool {
        match self {
            Self::Stated(schemas) => schemas.contains_key(name),
            Self::Derived { .. } => true,
        }
    }

    /// The names of what it may have, and whether each is required.
    pub(crate) fn names(&self) -> Vec<(&str, bool)> {
        match self {
            Self::Stated(schemas) => {
                schemas.iter().map(|(name, schema)| (name.as_str(), is_required(schema))).collect()
            }
            Self::Derived { names, .. } => names.iter().map(|name| (name.as_str(), true)).collect(),
        }
    }
}

/// What is wrong with the schema of a member, if anything is.
pub(crate) fn wrong_schema(name: &str, schema: &Value) -> Option<String> {
    let Value::Object(members) = schema else {
        return Some(format!("`{name}` must be a JSON schema, such as {{ type = \"string\" }}"));
    };
    if let Some(stated) = members.get("type") {
        let names = types(stated);
        if names.is_empty() || names.iter().any(|name| !name.is_some_and(is_type)) {
            return Some(format!(
                "`{name}` has an unknown type: it is one of array, boolean, integer, null, number, object and string, or a list of these"
            ));
        }
    }
    if members.get("enum").is_some_and(|values| !values.is_array()) {
        return Some(format!("`{name}` must have a list as `enum`"));
    }
    let reason = mismatch(name, schema, members.get("default")?)?;
    Some(format!("{reason}: its `default` does not fit"))
}

fn is_required(schema: &Value) -> bool {
    schema.get("default").is_none()
}

/// How a value differs from what its schema says of its type and of the values it may have.
fn mismatch(name: &str, schema: &Value, value: &Value) -> Option<String> {
    if let Some(stated) = schema.get("type") {
        let types = types(stated);
        if !types.iter().flatten().any(|name| is_of(name, value)) {
            let types = types.into_iter().flatten().collect::<Vec<_>>().join(" or ");
            return Some(format!("`{name}` must be of type {types}"));
        }
    }
    let values = schema.get("enum").and_then(Value::as_array)?;
    (!values.contains(value)).then(|| format!("`{name}` must be one of {}", Value::Array(values.clone())))
}

fn types(stated: &Value) -> Vec<Option<&str>> {
    match stated {
        Value::Array(names) => names.iter().map(Value::as_str).collect(),
        name => vec![name.as_str()],
    }
}

fn is_type(name: &str) -> bool {
    matches!(name, "array" | "boolean" | "integer" | "null" | "number" | "object" | "string")
}

fn is_of(name: &str, value: &Value) -> bool {
    match name {
        "array" => value.is_array(),
        "boolean" => value.is_boolean(),
        // A number without a fraction is an integer, however it is written.
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "object" => value.is_object(),
        "string" => value.is_string(),
        _ => false,
    }
}

fn unknown(name: &str, known: &[&String]) -> String {
    // What a caller made up may be long.
    let name: String = name.chars().take(64).collect();
    if known.is_empty() {
        return format!("`{name}` is unknown: there is no input");
    }
    let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
    format!("`{name}` is unknown: there is {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stated(schemas: Value) -> Input {
        let Value::Object(schemas) = schemas else { panic!("not an object") };
        Input::Stated(schemas.into_iter().collect())
    }

    fn check(input: &Input, given: Value) -> Result<Value, String> {
        let Value::Object(given) = given else { panic!("not an object") };
        input.check(given).map(Value::Object)
    }

    #[test]
    fn defaults_are_filled_in_and_all_that_is_wrong_is_said_at_once() {
        let input = stated(json!({
            "topic": {"type": "string"}, "most": {"type": "integer", "default": 5}, "kind": {"enum": ["a", "b"], "default": "a"},
        }));

        assert_eq!(
            check(&input, json!({"topic": "tea"})),
            Ok(json!({"topic": "tea", "most": 5, "kind": "a"}))
        );
        assert_eq!(
            check(&input, json!({"most": "5", "kind": "c", "colour": 1})),
            Err("the input is wrong: `kind` must be one of [\"a\",\"b\"]; `most` must be of type integer; \
                 `topic` is missing; `colour` is unknown: there is `kind`, `most`, `topic`"
                .into())
        );
    }

    #[test]
    fn each_type_takes_its_values_and_no_others() {
        let values = [
            ("array", json!([])),
            ("boolean", json!(false)),
            ("integer", json!(-3)),
            ("null", json!(null)),
            ("number", json!(1.5)),
            ("object", json!({})),
            ("string", json!("")),
        ];
        for (stated_type, _) in &values {
            for (of, value) in &values {
                let fits = of == stated_type || (*stated_type, *of) == ("number", "integer");
                let input = stated(json!({"x": {"type": stated_type}}));
                assert_eq!(check(&input, json!({"x": value})).is_ok(), fits, "{stated_type} given {value}");
            }
        }
        let input = stated(json!({"x": {"type": ["integer", "null"]}}));
        assert!(check(&input, json!({"x": null})).is_ok() && check(&input, json!({"x": 2.0})).is_ok());
        assert_eq!(
            check(&input, json!({"x": "2"})),
            Err("the input is wrong: `x` must be of type integer or null".into())
        );
    }

    #[test]
    fn a_derived_input_is_what_the_templates_name() {
        let references: Vec<Vec<String>> =
            [vec!["input", "topic"], vec!["hits", "text"], vec!["input", "n", "x"]]
                .map(|path| path.into_iter().map(str::to_owned).collect())
                .into();
        let input = Input::derived(references.iter());

        assert_eq!(
            input.schema(),
            json!({"type": "object", "properties": {"n": {}, "topic": {}}, "required": ["n", "topic"], "additionalProperties": false})
        );
        assert!(check(&input, json!({"n": 1, "topic": [2]})).is_ok());
        assert!(check(&input, json!({"n": 1})).unwrap_err().contains("`topic` is missing"));
        assert!(check(&input, json!({"n": 1, "topic": 1, "m": 1})).unwrap_err().contains("`m` is unknown"));

        let whole = [vec!["input".to_owned()]];
        assert!(check(&Input::derived(whole.iter()), json!({"anything": 1})).is_ok());
        assert!(
            check(&Input::derived([].iter()), json!({"n": 1})).unwrap_err().contains("there is no input")
        );
    }

    #[test]
    fn a_schema_that_cannot_be_checked_is_found() {
        for (schema, part) in [
            (json!("string"), "must be a JSON schema"),
            (json!({"type": "text"}), "unknown type"),
            (json!({"type": []}), "unknown type"),
            (json!({"type": ["string", 1]}), "unknown type"),
            (json!({"enum": "a"}), "list as `enum`"),
            (json!({"type": "integer", "default": "5"}), "its `default` does not fit"),
            (json!({"enum": ["a"], "default": "b"}), "its `default` does not fit"),
        ] {
            let reason = wrong_schema("x", &schema).unwrap();
            assert!(reason.contains(part), "{schema}: {reason}");
        }
        assert_eq!(
            wrong_schema("x", &json!({"type": ["string", "null"], "default": null, "format": "uri"})),
            None
        );
    }
}
