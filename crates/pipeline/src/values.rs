//! Values as JSON has them and as templates have them.

use minijinja::value::{Value as Shown, ValueKind};
use serde_json::{Map, Number, Value};

/// Deeper nested values are refused, as they are where JSON is read.
const MOST_LEVELS: usize = 128;

/// Why a value of a template cannot be given on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    /// It is not there.
    #[error("it names something that is not there")]
    Undefined,
    /// More than the bytes that were left.
    #[error("it makes more than {most} bytes")]
    TooLarge { most: usize },
    /// JSON has nothing like it.
    #[error("it makes a value that JSON does not have: {0}")]
    Foreign(String),
    /// A template went wrong.
    #[error(transparent)]
    Template(#[from] minijinja::Error),
}

/// How many bytes may still be made.
pub(crate) struct Budget {
    left: usize,
    most: usize,
}

impl Budget {
    pub(crate) fn of(most: usize) -> Self {
        Self { left: most, most }
    }

    pub(crate) fn left(&self) -> usize {
        self.left
    }

    pub(crate) fn too_large(&self) -> Unfit {
        Unfit::TooLarge { most: self.most }
    }

    pub(crate) fn spend(&mut self, bytes: usize) -> Result<(), Unfit> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| self.too_large())?;
        Ok(())
    }
}

/// A JSON value as templates see it.
pub(crate) fn shown(value: &Value) -> Shown {
    match value {
        Value::Null => Shown::from(()),
        Value::Bool(value) => Shown::from(*value),
        Value::Number(number) => shown_number(number),
        Value::String(text) => Shown::from(text.as_str()),
        Value::Array(items) => Shown::from(items.iter().map(shown).collect::<Vec<_>>()),
        Value::Object(members) => shown_object(members),
    }
}

/// A JSON object as templates see it.
pub(crate) fn shown_object(members: &Map<String, Value>) -> Shown {
    Shown::from_pairs(members.iter().map(|(name, value)| (name.as_str(), shown(value))))
}

fn shown_number(number: &Number) -> Shown {
    match (number.as_i64(), number.as_u64()) {
        (Some(number), _) => Shown::from(number),
        (_, Some(number)) => Shown::from(number),
        _ => Shown::from(number.as_f64().unwrap_or(f64::NAN)),
    }
}

/// A template's value as JSON, if it is no larger than what is left.
pub(crate) fn json(value: &Shown, budget: &mut Budget) -> Result<Value, Unfit> {
    nested(value, budget, MOST_LEVELS)
}

fn nested(value: &Shown, budget: &mut Budget, levels: usize) -> Result<Value, Unfit> {
    let levels = levels.checked_sub(1).ok_or_else(|| Unfit::Foreign("nested too deeply".into()))?;
    budget.spend(1)?;
    Ok(match value.kind() {
        ValueKind::Undefined => return Err(Unfit::Undefined),
        ValueKind::None => Value::Null,
        ValueKind::Bool => Value::Bool(value.is_true()),
        ValueKind::Number => Value::Number(number(value)?),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            budget.spend(text.len())?;
            Value::String(text.to_owned())
        }
        ValueKind::Seq | ValueKind::Iterable => Value::Array(
            value
                .try_iter()?
                .checked()
                .map(|item| nested(&item?, budget, levels))
                .collect::<Result<_, _>>()?,
        ),
        ValueKind::Map => Value::Object(
            value
                .try_iter()?
                .checked()
                .map(|name| {
                    let name = name?;
                    let text = name.as_str().ok_or_else(|| {
                        Unfit::Foreign(format!("an object with a {} for a name", name.kind()))
                    })?;
                    budget.spend(text.len())?;
                    Ok((text.to_owned(), nested(&value.get_item(&name)?, budget, levels)?))
                })
                .collect::<Result<_, Unfit>>()?,
        ),
        kind => {
            // An iterator that failed says why when it is looked into.
            value.try_iter()?;
            return Err(Unfit::Foreign(kind.to_string()));
        }
    })
}

fn number(value: &Shown) -> Result<Number, Unfit> {
    let foreign = || Unfit::Foreign(format!("the number {value}"));
    if !value.is_integer() {
        return f64::try_from(value.clone()).ok().and_then(Number::from_f64).ok_or_else(foreign);
    }
    if let Ok(number) = i64::try_from(value.clone()) {
        return Ok(number.into());
    }
    u64::try_from(value.clone()).map(Number::from).map_err(|_| foreign())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_comes_back_as_it_was() {
        let value = json!({
            "null": null, "yes": true, "no": false, "int": -7, "most": u64::MAX, "least": i64::MIN, "float": 1.5,
            "whole_float": 2.0, "text": "a\u{1f600}\u{0}", "list": [[], {}, [1, "x"]], "": {"a.b": 1},
        });
        assert_eq!(json(&shown(&value), &mut Budget::of(1_000)).unwrap(), value);
    }

    #[test]
    fn what_json_does_not_have_is_refused() {
        for foreign in [Shown::from(f64::NAN), Shown::from(u128::MAX), Shown::from_pairs([(1, 2)])] {
            assert!(matches!(json(&foreign, &mut Budget::of(100)), Err(Unfit::Foreign(_))), "{foreign}");
        }
        assert!(matches!(json(&Shown::UNDEFINED, &mut Budget::of(100)), Err(Unfit::Undefined)));
    }

    #[test]
    fn a_value_that_is_larger_than_what_is_left_is_refused() {
        let list = Shown::from(vec!["four"; 10]);
        assert!(json(&list, &mut Budget::of(51)).is_ok());
        assert!(matches!(json(&list, &mut Budget::of(50)), Err(Unfit::TooLarge { most: 50 })));
    }

    #[test]
    fn a_value_nested_too_deeply_is_refused() {
        let deep = (0..1_000).fold(Shown::from(1), |inner, _| Shown::from(vec![inner]));
        assert!(matches!(json(&deep, &mut Budget::of(10_000)), Err(Unfit::Foreign(_))));
    }
}
