//! A tool's JSON schema, as far as writing its arguments needs it. References are followed only inside of it.

use rmcp::model::{JsonObject, Tool};
use serde_json::Value;

/// Most references and alternatives that are followed one into the other.
pub(super) const MAX_DEPTH: usize = 16;

/// A part of a tool's schema.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schema<'a> {
    root: &'a JsonObject,
    /// `None` allows anything.
    node: Option<&'a JsonObject>,
}

/// A JSON type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::Null,
            "boolean" => Self::Boolean,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "string" => Self::String,
            "array" => Self::Array,
            "object" => Self::Object,
            _ => return None,
        })
    }

    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Boolean,
            Value::Number(number) if number.is_f64() => Self::Number,
            Value::Number(_) => Self::Integer,
            Value::String(_) => Self::String,
            Value::Array(_) => Self::Array,
            Value::Object(_) => Self::Object,
        }
    }

    /// With its article, for a sentence.
    pub(super) const fn phrase(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "true or false",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "a list",
            Self::Object => "an object",
        }
    }

    /// As it stands in a usage line.
    const fn placeholder(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "true|false",
            Self::Integer => "INTEGER",
            Self::Number => "NUMBER",
            Self::String => "STRING",
            Self::Array => "LIST",
            Self::Object => "OBJECT",
        }
    }

    /// Whether `value` is of this type.
    pub(super) fn fits(self, value: &Value) -> bool {
        match self {
            Self::Null => value.is_null(),
            Self::Boolean => value.is_boolean(),
            Self::Integer => {
                value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
            }
            Self::Number => value.is_number(),
            Self::String => value.is_string(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
        }
    }
}

impl<'a> Schema<'a> {
    /// What a tool wants.
    pub(crate) fn of(tool: &'a Tool) -> Self {
        let root = tool.input_schema.as_ref();
        Self { root, node: Some(root) }.resolved()
    }

    fn at(self, value: &'a Value) -> Self {
        Self { root: self.root, node: value.as_object() }.resolved()
    }

    /// A schema that allows anything.
    pub(super) fn anything(self) -> Self {
        Self { node: None, ..self }
    }

    /// Follows `$ref` into this document; one that leads elsewhere, or in circles, allows anything.
    fn resolved(mut self) -> Self {
        for _ in 0..MAX_DEPTH {
            let Some(reference) = self.get("$ref").and_then(Value::as_str) else { return self };
            self.node = self.pointed_at(reference);
        }
        self.anything()
    }

    fn pointed_at(self, reference: &str) -> Option<&'a JsonObject> {
        let path = reference.strip_prefix('#')?;
        let mut node = self.root;
        for part in path.split('/').skip(1) {
            let part = part.replace("~1", "/").replace("~0", "~");
            node = node.get(&part)?.as_object()?;
        }
        Some(node)
    }

    pub(super) fn get(self, keyword: &str) -> Option<&'a Value> {
        self.node?.get(keyword)
    }

    fn text(self, keyword: &str) -> Option<&'a str> {
        self.get(keyword).and_then(Value::as_str)
    }

    pub(super) fn list(self, keyword: &str) -> &'a [Value] {
        self.get(keyword).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// Schemas that must all hold.
    pub(super) fn all(self) -> impl Iterator<Item = Schema<'a>> {
        self.list("allOf").iter().map(move |part| self.at(part))
    }

    /// Schemas of which one must hold; none of them is a plain constant.
    pub(super) fn alternatives(self) -> Vec<Schema<'a>> {
        ["anyOf", "oneOf"]
            .into_iter()
            .flat_map(|keyword| self.list(keyword))
            .map(|part| self.at(part))
            .collect()
    }

    /// Its types; none means any. Alternatives count as one.
    pub(crate) fn kinds(self) -> Vec<Kind> {
        self.kinds_within(MAX_DEPTH)
    }

    fn kinds_within(self, depth: usize) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = match self.get("type") {
            Some(Value::String(name)) => Kind::parse(name).into_iter().collect(),
            Some(Value::Array(names)) => {
                names.iter().filter_map(|name| Kind::parse(name.as_str()?)).collect()
            }
            _ if self.get("properties").is_some() => vec![Kind::Object],
            _ if self.get("items").is_some() => vec![Kind::Array],
            _ => Vec::new(),
        };
        if !kinds.is_empty() || depth == 0 {
            return kinds;
        }
        let choices = self.get("const").into_iter().chain(self.list("enum"));
        add(&mut kinds, choices.map(Kind::of));
        for part in self.all() {
            add(&mut kinds, part.kinds_within(depth - 1));
        }
        for part in self.alternatives() {
            let more = part.kinds_within(depth - 1);
            if more.is_empty() {
                return more; // this one allows anything
            }
            add(&mut kinds, more);
        }
        kinds
    }

    /// The names of its properties: those that are required first, in the schema's order.
    pub(crate) fn names(self) -> Vec<String> {
        let mut names = self.required();
        let mut add = |part: Schema<'a>| {
            for name in
                part.get("properties").and_then(Value::as_object).into_iter().flat_map(|map| map.keys())
            {
                if !names.contains(name) {
                    names.push(name.clone());
                }
            }
        };
        add(self);
        self.all().for_each(add);
        names
    }

    /// The names that must be given.
    pub(crate) fn required(self) -> Vec<String> {
        let own = self.list("required").iter().filter_map(Value::as_str);
        let mut names: Vec<String> = own.map(str::to_owned).collect();
        for part in self.all() {
            names.extend(part.list("required").iter().filter_map(|name| Some(name.as_str()?.to_owned())));
        }
        names
    }

    /// What one property may be; `None` when the schema does not name it.
    pub(crate) fn property(self, name: &str) -> Option<Schema<'a>> {
        self.property_within(name, MAX_DEPTH)
    }

    fn property_within(self, name: &str, depth: usize) -> Option<Schema<'a>> {
        if let Some(property) = self.get("properties").and_then(|properties| properties.get(name)) {
            return Some(self.at(property));
        }
        let deeper = depth.checked_sub(1)?;
        self.all().chain(self.alternatives()).find_map(|part| part.property_within(name, deeper))
    }

    /// What a property may be that is not named: `None` when there may be none.
    pub(super) fn other_property(self) -> Option<Schema<'a>> {
        match self.get("additionalProperties") {
            Some(Value::Bool(false)) => None,
            Some(schema) => Some(self.at(schema)),
            None => Some(self.anything()),
        }
    }

    /// What each item of a list may be.
    pub(super) fn items(self) -> Schema<'a> {
        self.get("items").map_or(self.anything(), |items| self.at(items))
    }

    /// The only values that are allowed, when they are listed.
    pub(crate) fn choices(self) -> Vec<&'a Value> {
        if let Some(value) = self.get("const") {
            return vec![value];
        }
        if self.get("enum").is_some() {
            return self.list("enum").iter().collect();
        }
        let alternatives = self.alternatives();
        if alternatives.is_empty() || alternatives.len() > 64 {
            return Vec::new();
        }
        let constants = alternatives.iter().map(|part| match part.get("const") {
            Some(value) => vec![value],
            None => part.list("enum").iter().collect(),
        });
        let constants: Vec<Vec<&Value>> = constants.collect();
        if constants.iter().any(Vec::is_empty) { Vec::new() } else { constants.concat() }
    }

    pub(crate) fn default_value(self) -> Option<&'a Value> {
        self.get("default")
    }

    pub(crate) fn description(self) -> Option<&'a str> {
        self.text("description").or_else(|| self.text("title"))
    }

    /// Whether the schema says that its values are not to be shown or kept.
    pub(crate) fn is_secret(self) -> bool {
        self.get("writeOnly") == Some(&Value::Bool(true)) || self.text("format") == Some("password")
    }

    /// What may stand in its place in a usage line: `INTEGER`, `red|green`.
    pub(crate) fn placeholder(self) -> String {
        let choices = self.choices();
        if !choices.is_empty() && choices.len() <= 6 {
            return choices.into_iter().map(shown).collect::<Vec<_>>().join("|");
        }
        let kinds = self.kinds();
        if kinds == [Kind::Array] {
            let items = self.items().kinds();
            return match items.as_slice() {
                [item] => format!("{},…", item.placeholder()),
                _ => Kind::Array.placeholder().to_owned(),
            };
        }
        if kinds.is_empty() {
            return "JSON".to_owned();
        }
        let names: Vec<&str> =
            kinds.iter().filter(|kind| **kind != Kind::Null).map(|kind| kind.placeholder()).collect();
        if names.is_empty() { "null".to_owned() } else { names.join("|") }
    }
}

fn add(kinds: &mut Vec<Kind>, more: impl IntoIterator<Item = Kind>) {
    for kind in more {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
}

/// A value as people write it: strings without quotes.
pub(crate) fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
