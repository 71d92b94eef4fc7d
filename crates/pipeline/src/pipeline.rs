//! A pipeline that can run.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    Definition, OnError, Plan, Problem, Step,
    check::{self, Parts},
    input::Input,
    log, plan,
    shape::Shape,
};

/// A pipeline that can run: its templates were read.
#[derive(Debug)]
pub struct Pipeline {
    definition: Definition,
    /// What was read of each stage, by step.
    pub(crate) parts: Vec<Vec<Parts>>,
    pub(crate) output: Option<Shape>,
    input: Input,
}

impl Pipeline {
    /// Reads the templates and looks for what cannot work: names that no earlier stage has, names twice, nothing to do.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn new(definition: Definition) -> Result<Self, Vec<Problem>> {
        let check::Checked { parts, output, input } = check::check(&definition)?;
        Ok(Self { definition, parts, output, input })
    }

    /// The name of the tool that it is.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.definition.name
    }

    /// What models read.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.definition.description
    }

    /// The input with its defaults filled in.
    ///
    /// # Errors
    /// What is missing, unknown or of another type.
    pub fn check_input(&self, input: Map<String, Value>) -> Result<Map<String, Value>, String> {
        self.input.check(input)
    }

    /// The JSON schema of its input, stated or derived.
    #[must_use]
    pub fn input_schema(&self) -> Value {
        self.input.schema()
    }

    /// The JSON schema of its result: see [`crate::Report`].
    #[must_use]
    pub fn output_schema(&self) -> Value {
        log::schema()
    }

    /// The tools that it calls, as clients know them, each once.
    #[must_use]
    pub fn tools(&self) -> Vec<&str> {
        let mut tools = Vec::new();
        for (_, stage) in self.definition.stages() {
            if !tools.contains(&stage.tool.as_str()) {
                tools.push(&stage.tool);
            }
        }
        tools
    }

    /// What it would do.
    #[must_use]
    pub fn plan(&self) -> Plan {
        plan::of(&self.definition, &self.input)
    }

    /// What is the same as long as the pipeline does the same: a run is only resumed by the pipeline that began it.
    #[must_use]
    pub fn digest(&self) -> String {
        let stages = |step: &Step| -> Value {
            let stage = |stage: &crate::Stage| {
                json!([
                    stage.name,
                    stage.tool,
                    stage.arguments,
                    stage.for_each,
                    stage.on_error == OnError::Continue
                ])
            };
            let stages: Value = step.stages().iter().map(stage).collect();
            // A group of one stage gives another result than the stage.
            json!([matches!(step, Step::Parallel(_)), stages])
        };
        let steps: Value = self.definition.steps.iter().map(stages).collect();
        let what = json!([self.definition.name, steps, self.definition.output]).to_string();
        Sha256::digest(what).iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}"); // a text can always be written
            hex
        })
    }

    pub(crate) fn definition(&self) -> &Definition {
        &self.definition
    }
}
