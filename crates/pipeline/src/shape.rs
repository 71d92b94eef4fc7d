//! JSON with templates in it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::{
    template::{Context, Template},
    values::Budget,
};

/// A JSON value whose texts may be templates; names of members never are.
#[derive(Debug)]
pub(crate) enum Shape {
    Fixed(Value),
    Template(Template),
    List(Vec<Shape>),
    Object(Vec<(String, Shape)>),
}

impl Shape {
    /// Reads the templates in a value.
    pub(crate) fn read(value: &Value) -> Result<Self, String> {
        Ok(match value {
            Value::String(text) if Template::is_one(text) => Self::Template(Template::read(text)?),
            Value::Array(items) => Self::List(items.iter().map(Self::read).collect::<Result<_, _>>()?),
            Value::Object(members) => Self::members(members)?,
            fixed => Self::Fixed(fixed.clone()),
        })
    }

    /// Reads the templates in an object.
    pub(crate) fn members(members: &Map<String, Value>) -> Result<Self, String> {
        let read = |(name, value): (&String, _)| {
            let value = Self::read(value).map_err(|reason| format!("`{name}`: {reason}"))?;
            Ok((name.clone(), value))
        };
        members.iter().map(read).collect::<Result<_, String>>().map(Self::Object)
    }

    /// What its templates need: see [`Template::references`].
    pub(crate) fn references(&self) -> BTreeSet<Vec<String>> {
        match self {
            Self::Fixed(_) => BTreeSet::new(),
            Self::Template(template) => template.references(),
            Self::List(items) => items.iter().flat_map(Self::references).collect(),
            Self::Object(members) => members.iter().flat_map(|(_, value)| value.references()).collect(),
        }
    }

    /// What it comes to, if that is no larger than what is left.
    pub(crate) fn render(&self, context: &Context, budget: &mut Budget) -> Result<Value, String> {
        Ok(match self {
            Self::Fixed(value) => value.clone(),
            Self::Template(template) => template.render(context, budget)?,
            Self::List(items) => {
                Value::Array(items.iter().map(|item| item.render(context, budget)).collect::<Result<_, _>>()?)
            }
            Self::Object(members) => Value::Object(
                members
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), value.render(context, budget)?)))
                    .collect::<Result<_, String>>()?,
            ),
        })
    }
}
