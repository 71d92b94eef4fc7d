//! What may be asked of the user before a message is sent, and how the answers read.

use cost_calculator::Usd;
use rmcp::model::{
    BooleanSchema, ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationSchema, EnumSchema,
    PrimitiveSchemaDefinition,
};
use serde::{Deserialize, Serialize};

use crate::Failure;

/// Models to choose from, at most.
const MAX_CHOICES: usize = 100;

/// What was answered so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answers {
    /// The model to ask.
    pub(crate) model: Option<String>,
    /// Whether the message may cost what it may cost.
    pub(crate) cost_is_fine: bool,
}

/// A question to the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    /// Which model to ask: server-b does not list the one that was named.
    Model {
        /// The model that was named. It can be chosen all the same: not every name that works is listed.
        named: String,
        /// All that can be chosen.
        choices: Vec<String>,
        /// The model of a message that names none.
        default: String,
    },
    /// Whether to send a message that may cost so much.
    Cost {
        /// The most that it may cost, as far as it can be known.
        estimate: Usd,
        /// The model that it is for.
        model: String,
    },
}

/// An answer that cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// The user does not agree.
    Declined(Box<Failure>),
    /// It does not answer the question.
    Misfit,
}

impl Question {
    /// Which of the models that server-b lists to ask instead of `named`.
    pub(crate) fn model(named: &str, listed: &[String], default: &str) -> Self {
        let mut choices: Vec<_> = listed.iter().take(MAX_CHOICES - 2).cloned().collect();
        for other in [default, named] {
            if !choices.iter().any(|choice| choice == other) {
                choices.push(other.to_owned());
            }
        }
        Self::Model { named: named.to_owned(), choices, default: default.to_owned() }
    }

    /// Its name among the questions of one message.
    pub(crate) fn key(&self) -> &'static str {
        match self {
            Self::Model { .. } => "model",
            Self::Cost { .. } => "confirm",
        }
    }

    /// The form that the client shows.
    pub(crate) fn form(&self) -> ElicitRequestParams {
        let (message, field) = match self {
            Self::Model { named, choices, default } => {
                let field = EnumSchema::builder(choices.clone())
                    .title("Model")
                    .description(format!("{named} is sent as it is, although Server B does not list it."));
                let field = field.with_default(default).expect("the default is one of the choices").build();
                let message = format!("Server B does not list the model {named}. Which one should be asked?");
                (message, PrimitiveSchemaDefinition::Enum(field))
            }
            Self::Cost { estimate, model } => {
                let field = BooleanSchema::new().title("Send the message");
                let message =
                    format!("This message to {model} may cost up to {estimate} US dollars. Send it?");
                (message, PrimitiveSchemaDefinition::Boolean(field))
            }
        };
        let schema = ElicitationSchema::builder().required_property(self.key(), field).build();
        let requested_schema = schema.expect("the required property is there");
        ElicitRequestParams::FormElicitationParams { meta: None, message, requested_schema }
    }

    /// Takes the user's answer in.
    pub(crate) fn read(&self, result: &ElicitResult, answers: &mut Answers) -> Result<(), Unusable> {
        if result.action != ElicitationAction::Accept {
            return Err(Unusable::Declined(Box::new(self.declined())));
        }
        let value = result.content.as_ref().and_then(|content| content.get(self.key()));
        match self {
            Self::Model { choices, .. } => {
                let chosen = value.and_then(|value| value.as_str());
                let chosen = chosen.filter(|chosen| choices.iter().any(|choice| choice == chosen));
                answers.model = Some(chosen.ok_or(Unusable::Misfit)?.to_owned());
            }
            Self::Cost { .. } => match value.and_then(serde_json::Value::as_bool) {
                Some(true) => answers.cost_is_fine = true,
                Some(false) => return Err(Unusable::Declined(Box::new(self.declined()))),
                None => return Err(Unusable::Misfit),
            },
        }
        Ok(())
    }

    fn declined(&self) -> Failure {
        match self {
            Self::Model { .. } => Failure::declined(
                "the user chose no model in place of the one that Server B does not list",
                "Ask the user which model of list_available_models to use, or name none",
            ),
            Self::Cost { .. } => Failure::declined(
                "the user does not want to pay what the message may cost",
                "Do not send it again unless the user says so; a cheaper model or a smaller max_tokens costs less",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answer(action: &str, content: Value) -> ElicitResult {
        serde_json::from_value(json!({ "action": action, "content": content })).unwrap()
    }

    fn model() -> Question {
        Question::model("gpt-9", &["a".to_owned(), "b".to_owned()], "b")
    }

    #[test]
    fn a_model_is_chosen_from_those_that_are_listed_or_the_one_that_was_named() {
        for chosen in ["a", "b", "gpt-9"] {
            let mut answers = Answers::default();
            model().read(&answer("accept", json!({ "model": chosen })), &mut answers).unwrap();
            assert_eq!(answers.model.as_deref(), Some(chosen));
        }
        for content in [json!({ "model": "c" }), json!({ "model": 1 }), json!({}), json!(null), json!([])] {
            let mut answers = Answers::default();
            let read = model().read(&answer("accept", content), &mut answers);
            assert_eq!((read, answers), (Err(Unusable::Misfit), Answers::default()));
        }
    }

    #[test]
    fn no_answer_but_an_explicit_yes_makes_a_message_cost_something() {
        let cost =
            Question::Cost { estimate: Usd::from_picodollars(1_500_000_000_000), model: "a".to_owned() };
        let mut answers = Answers::default();
        for refusal in [
            answer("decline", json!(null)),
            answer("cancel", json!({ "confirm": true })),
            answer("accept", json!({ "confirm": false })),
        ] {
            let Err(Unusable::Declined(failure)) = cost.read(&refusal, &mut answers) else {
                panic!("{refusal:?} is no consent")
            };
            assert!(failure.detail.ends_with("nothing was sent"), "{}", failure.detail);
        }
        assert_eq!(cost.read(&answer("accept", json!({})), &mut answers), Err(Unusable::Misfit));
        assert!(!answers.cost_is_fine);
        cost.read(&answer("accept", json!({ "confirm": true })), &mut answers).unwrap();
        assert!(answers.cost_is_fine);
    }

    #[test]
    fn a_form_is_one_that_every_client_knows() {
        let form = serde_json::to_value(model().form()).unwrap();
        let field = &form["requestedSchema"]["properties"]["model"];
        assert_eq!((&field["type"], &field["enum"]), (&json!("string"), &json!(["a", "b", "gpt-9"])));
        assert_eq!(
            (&field["default"], &form["requestedSchema"]["required"]),
            (&json!("b"), &json!(["model"]))
        );

        let many: Vec<_> = (0..1_000).map(|n| n.to_string()).collect();
        let Question::Model { choices, .. } = Question::model("named", &many, "default") else {
            panic!("it is about a model")
        };
        assert_eq!(choices.len(), MAX_CHOICES);
    }
}
