//! One field of a form: what it takes, how it is explained, and what an answer means.

use rmcp::model::{
    ElicitationSchema, EnumSchema, MultiSelectEnumSchema, PrimitiveSchemaDefinition, SingleSelectEnumSchema,
    StringFormat,
};
use serde_json::{Value, json};

use super::formats;
use crate::{arguments::shown, render::plain::visible_line};

/// Most choices that are listed.
const MAX_LISTED: usize = 50;

/// One field of a form.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    title: Option<String>,
    description: Option<String>,
    takes: Takes,
    default: Option<Value>,
    required: bool,
}

#[derive(Debug, Clone)]
enum Takes {
    Text { min: Option<u32>, max: Option<u32>, format: Option<StringFormat> },
    Number { min: Option<f64>, max: Option<f64> },
    Integer { min: Option<i64>, max: Option<i64> },
    Boolean,
    One(Vec<Choice>),
    Many { choices: Vec<Choice>, min: Option<u64>, max: Option<u64> },
}

/// One of several values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) title: Option<String>,
}

/// The fields of a form, in the order in which the server gave them.
pub(super) fn fields(form: &ElicitationSchema) -> Vec<Field> {
    let names = form.property_order.clone().unwrap_or_else(|| form.properties.keys().cloned().collect());
    let required = form.required.as_deref().unwrap_or_default();
    let field = |name: String| {
        let property = form.properties.get(&name)?;
        Some(Field::new(&name, property, required.contains(&name)))
    };
    names.into_iter().filter_map(field).collect()
}

impl Field {
    fn new(name: &str, property: &PrimitiveSchemaDefinition, required: bool) -> Self {
        // Titles, descriptions and defaults stand in the same places whatever the type is.
        let plain = serde_json::to_value(property).unwrap_or_default();
        let text = |key: &str| plain.get(key).and_then(Value::as_str).map(str::to_owned);
        Self {
            name: name.to_owned(),
            title: text("title"),
            description: text("description"),
            takes: takes(property),
            default: plain.get("default").cloned(),
            required,
        }
    }

    pub(super) fn choices(&self) -> &[Choice] {
        match &self.takes {
            Takes::One(choices) | Takes::Many { choices, .. } => choices,
            _ => &[],
        }
    }

    /// What people read before they answer.
    pub(super) fn explained(&self) -> String {
        let mut line = visible_line(self.title.as_deref().unwrap_or(&self.name)).into_owned();
        let mut notes = vec![self.kind()];
        if !self.required {
            notes.push("optional".to_owned());
        }
        line += &format!(" ({})", notes.join(", "));
        if let Some(description) = &self.description {
            line += &format!("\n  {}", visible_line(description));
        }
        for (index, choice) in self.choices().iter().take(MAX_LISTED).enumerate() {
            line += &format!("\n  {}) {}", index + 1, choice.explained());
        }
        if self.choices().len() > MAX_LISTED {
            line += &format!("\n  … and {} more", self.choices().len() - MAX_LISTED);
        }
        line
    }

    /// `email [ada@example.org]: `
    pub(super) fn prompt(&self) -> String {
        let default = self.default.as_ref().map(|value| format!(" [{}]", visible_line(&listed(value))));
        format!("{}{}: ", visible_line(&self.name), default.unwrap_or_default())
    }

    fn kind(&self) -> String {
        let range = |min: Option<String>, max: Option<String>| match (min, max) {
            (Some(min), Some(max)) => format!(" from {min} to {max}"),
            (Some(min), None) => format!(", at least {min}"),
            (None, Some(max)) => format!(", at most {max}"),
            (None, None) => String::new(),
        };
        match &self.takes {
            Takes::Text { format: Some(format), .. } => formats::name(*format).to_owned(),
            Takes::Text { min, max, .. } => {
                let range = range(min.map(|min| min.to_string()), max.map(|max| max.to_string()));
                let unit = if range.is_empty() { "" } else { " characters" };
                format!("text{range}{unit}")
            }
            Takes::Number { min, max } => {
                format!("number{}", range(min.map(|min| min.to_string()), max.map(|max| max.to_string())))
            }
            Takes::Integer { min, max } => {
                format!("integer{}", range(min.map(|min| min.to_string()), max.map(|max| max.to_string())))
            }
            Takes::Boolean => "yes or no".to_owned(),
            Takes::One(_) => "one of these: its number or its name".to_owned(),
            Takes::Many { .. } => "any of these: numbers or names, with commas between them".to_owned(),
        }
    }

    /// The value that was answered; `None` leaves an optional field out. Enter takes the default; `""` is an empty text.
    pub(super) fn read(&self, answer: &str) -> Result<Option<Value>, String> {
        let answer = answer.trim();
        if answer.is_empty() {
            return match &self.default {
                Some(default) => Ok(Some(default.clone())),
                None if self.required => Err("is required".to_owned()),
                None => Ok(None),
            };
        }
        let answer = if answer == "\"\"" { "" } else { answer };
        self.value(answer).map(Some)
    }

    fn value(&self, answer: &str) -> Result<Value, String> {
        match &self.takes {
            Takes::Text { min, max, format } => text(answer, *min, *max, *format),
            Takes::Number { min, max } => {
                let number: f64 = answer.parse().map_err(|_| "must be a number".to_owned())?;
                let number = Some(number).filter(|number| number.is_finite()).ok_or("must be a number")?;
                within(number, *min, *max)?;
                // `2` stays `2`, and does not become `2.0`.
                Ok(answer.parse::<i64>().map_or_else(|_| json!(number), |whole| json!(whole)))
            }
            Takes::Integer { min, max } => {
                let number: i64 = answer.parse().map_err(|_| "must be an integer".to_owned())?;
                within(number, *min, *max)?;
                Ok(json!(number))
            }
            Takes::Boolean => match answer.to_ascii_lowercase().as_str() {
                "y" | "yes" | "true" | "on" => Ok(json!(true)),
                "n" | "no" | "false" | "off" => Ok(json!(false)),
                _ => Err("must be yes or no".to_owned()),
            },
            Takes::One(choices) => chosen(choices, answer).map(Value::from),
            Takes::Many { choices, min, max } => many(choices, answer, *min, *max),
        }
    }
}

impl Choice {
    fn explained(&self) -> String {
        let value = visible_line(&self.value);
        match &self.title {
            Some(title) if *title != self.value => format!("{} ({value})", visible_line(title)),
            _ => value.into_owned(),
        }
    }
}

fn takes(property: &PrimitiveSchemaDefinition) -> Takes {
    let plain =
        |values: &[String]| values.iter().map(|value| Choice { value: value.clone(), title: None }).collect();
    let titled = |values: &[rmcp::model::ConstTitle]| {
        let choice = |value: &rmcp::model::ConstTitle| Choice {
            value: value.const_.clone(),
            title: Some(value.title.clone()),
        };
        values.iter().map(choice).collect()
    };
    match property {
        PrimitiveSchemaDefinition::String(schema) => {
            Takes::Text { min: schema.min_length, max: schema.max_length, format: schema.format }
        }
        PrimitiveSchemaDefinition::Number(schema) => {
            Takes::Number { min: schema.minimum, max: schema.maximum }
        }
        PrimitiveSchemaDefinition::Integer(schema) => {
            Takes::Integer { min: schema.minimum, max: schema.maximum }
        }
        PrimitiveSchemaDefinition::Boolean(_) => Takes::Boolean,
        PrimitiveSchemaDefinition::Enum(EnumSchema::Single(SingleSelectEnumSchema::Untitled(schema))) => {
            Takes::One(plain(&schema.enum_))
        }
        PrimitiveSchemaDefinition::Enum(EnumSchema::Single(SingleSelectEnumSchema::Titled(schema))) => {
            Takes::One(titled(&schema.one_of))
        }
        PrimitiveSchemaDefinition::Enum(EnumSchema::Multi(MultiSelectEnumSchema::Untitled(schema))) => {
            Takes::Many { choices: plain(&schema.items.enum_), min: schema.min_items, max: schema.max_items }
        }
        PrimitiveSchemaDefinition::Enum(EnumSchema::Multi(MultiSelectEnumSchema::Titled(schema))) => {
            Takes::Many {
                choices: titled(&schema.items.any_of),
                min: schema.min_items,
                max: schema.max_items,
            }
        }
        PrimitiveSchemaDefinition::Enum(EnumSchema::Legacy(schema)) => {
            let names = schema.enum_names.as_deref().unwrap_or_default();
            let choice = |(index, value): (usize, &String)| Choice {
                value: value.clone(),
                title: names.get(index).cloned(),
            };
            Takes::One(schema.enum_.iter().enumerate().map(choice).collect())
        }
        // Newer kinds: the server checks what it gets.
        _ => Takes::Text { min: None, max: None, format: None },
    }
}

fn text(
    answer: &str,
    min: Option<u32>,
    max: Option<u32>,
    format: Option<StringFormat>,
) -> Result<Value, String> {
    let count = answer.chars().count();
    if let Some(min) = min.filter(|min| count < *min as usize) {
        return Err(format!("must have at least {min} characters, has {count}"));
    }
    if let Some(max) = max.filter(|max| count > *max as usize) {
        return Err(format!("must have at most {max} characters, has {count}"));
    }
    match format.and_then(|format| formats::problem(format, answer)) {
        Some(problem) => Err(problem.to_owned()),
        None => Ok(Value::from(answer)),
    }
}

fn within<T: PartialOrd + std::fmt::Display>(
    number: T,
    min: Option<T>,
    max: Option<T>,
) -> Result<(), String> {
    if let Some(min) = min.filter(|min| number < *min) {
        return Err(format!("must be at least {min}"));
    }
    if let Some(max) = max.filter(|max| number > *max) {
        return Err(format!("must be at most {max}"));
    }
    Ok(())
}

/// A value, a title, or a number of the list; in this order.
fn chosen(choices: &[Choice], answer: &str) -> Result<String, String> {
    let same = |text: &str| text.eq_ignore_ascii_case(answer);
    let by_value = choices.iter().find(|choice| choice.value == answer);
    let by_words =
        || choices.iter().find(|choice| same(&choice.value) || choice.title.as_deref().is_some_and(same));
    let by_number = || choices.get(answer.parse::<usize>().ok()?.checked_sub(1)?);
    match by_value.or_else(by_words).or_else(by_number) {
        Some(choice) => Ok(choice.value.clone()),
        None => Err(format!("must be one of the {} that are listed", choices.len())),
    }
}

fn many(choices: &[Choice], answer: &str, min: Option<u64>, max: Option<u64>) -> Result<Value, String> {
    let mut values: Vec<String> = Vec::new();
    for part in answer.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let value = chosen(choices, part)?;
        if !values.contains(&value) {
            values.push(value);
        }
    }
    let count = values.len() as u64;
    if let Some(min) = min.filter(|min| count < *min) {
        return Err(format!("must be at least {min} of them"));
    }
    if let Some(max) = max.filter(|max| count > *max) {
        return Err(format!("must be at most {max} of them"));
    }
    Ok(Value::from(values))
}

/// A value as people would type it.
pub(super) fn listed(value: &Value) -> String {
    match value {
        Value::Array(list) => list.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        other => shown(other),
    }
}

#[cfg(test)]
#[path = "field_tests.rs"]
mod tests;
