//! What a pipeline is made of.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value};

/// A pipeline as it is written.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The name of the tool that it is.
    pub name: String,
    /// What models read.
    pub description: String,
    /// JSON schemas of the input, by name; what has no `default` is required. Without it the input is what the templates name.
    pub input: Option<BTreeMap<String, Value>>,
    /// What is done, in this order.
    pub steps: Vec<Step>,
    /// A template of the result. Without it the result is that of the last stage; of a parallel group, the results by stage.
    pub output: Option<Value>,
    /// Longest time for all of it: 10 minutes.
    pub timeout: Duration,
    /// Largest result of one stage, in bytes as JSON, all items together: 1 MiB. More ends the run, whatever `on_error` says.
    pub max_output_bytes: usize,
}

impl Definition {
    /// Every stage, and where it is: the step, and the stage within it.
    pub(crate) fn stages(&self) -> impl Iterator<Item = ((usize, usize), &Stage)> {
        self.steps.iter().enumerate().flat_map(|(step, stages)| {
            stages.stages().iter().enumerate().map(move |(at, stage)| ((step, at), stage))
        })
    }
}

/// What is done at once.
#[derive(Debug, Clone)]
pub enum Step {
    /// One stage.
    Stage(Stage),
    /// Several stages side by side, none of which sees another's result.
    Parallel(Vec<Stage>),
}

impl Step {
    /// The stages in it.
    pub(crate) fn stages(&self) -> &[Stage] {
        match self {
            Self::Stage(stage) => std::slice::from_ref(stage),
            Self::Parallel(stages) => stages,
        }
    }
}

/// A call of a tool, or one for each item of a list.
#[derive(Debug, Clone)]
pub struct Stage {
    /// What later templates call its result.
    pub name: String,
    /// The tool, as clients know it.
    pub tool: String,
    /// Templates of the arguments: texts in it are templates, all else stays.
    pub arguments: Map<String, Value>,
    /// A template of a list: the tool is called once for each item, which its arguments call `item`.
    pub for_each: Option<String>,
    /// Calls at the same time, for `for_each`: 4.
    pub concurrency: usize,
    /// Longest time for each call. Without it the upstream's.
    pub timeout: Option<Duration>,
    /// What happens when a call fails, or has nothing to be made of.
    pub on_error: OnError,
}

/// What happens when a call of a stage fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnError {
    /// The pipeline ends, with an error that says which stage it was.
    #[default]
    Stop,
    /// The result is `null`, and the pipeline goes on.
    Continue,
}

/// What is wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: the step, and the stage within it if it is a parallel group; `None` for the pipeline as a whole.
    pub stage: Option<(usize, usize)>,
    /// The member that is wrong: `arguments`, `for_each`, `output` …
    pub member: &'static str,
    /// What is wrong and what to do.
    pub reason: String,
}
