//! Pipelines: their definitions, and that none calls itself.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use pipeline::{Definition, OnError, Pipeline, Problem, Stage, Step};

use super::Reader;
use crate::config::{
    document::{OnErrorDocument, PipelineDocument, StageDocument},
    problems::Place,
    values::At,
};

const MAX_PIPELINES: usize = 256;

/// Tools of the gateway itself, whether they are switched on or not.
const OWN_TOOLS: [&str; 4] = ["find_tool", "call_tool", "batch", "resume_pipeline"];

type Written = BTreeMap<String, At<PipelineDocument>>;

impl Reader<'_> {
    pub(super) fn pipelines(&mut self, written: &Written) -> Vec<Arc<Pipeline>> {
        let mut pipelines = Vec::new();
        for (index, (name, document)) in written.iter().enumerate() {
            if index == MAX_PIPELINES {
                self.problem(document.place(), format!("there are more than {MAX_PIPELINES} pipelines"));
                break;
            }
            if OWN_TOOLS.contains(&name.as_str()) {
                self.problem(
                    document.place(),
                    format!("{name} is a tool of the gateway itself: take another name"),
                );
            }
            let definition = self.definition(name, document);
            match Pipeline::new(definition) {
                Ok(pipeline) => pipelines.push(Arc::new(pipeline)),
                Err(problems) => {
                    for problem in problems {
                        self.problem(place(document, &problem), problem.reason);
                    }
                }
            }
        }
        self.no_circles(written);
        pipelines
    }

    fn definition(&mut self, name: &str, document: &PipelineDocument) -> Definition {
        if document.description.trim().is_empty() {
            self.problem(
                document.description.place(),
                "models choose tools by their descriptions: say what it does",
            );
        }
        let mut timeout = Duration::from_secs(600);
        self.time(document.timeout.as_ref(), &mut timeout);
        let bytes = self.number(document.max_output_bytes.as_ref(), 1_024, 64 << 20);
        let input = document
            .input
            .as_ref()
            .map(|input| input.iter().map(|(name, schema)| (name.clone(), schema.0.clone())).collect());
        Definition {
            name: name.to_owned(),
            description: document.description.to_string(),
            input,
            steps: document.stage.iter().map(|step| self.step(step)).collect(),
            output: document.output.as_ref().map(|output| output.0.clone()),
            timeout,
            max_output_bytes: bytes.map_or(1 << 20, |bytes| bytes as usize),
        }
    }

    fn step(&mut self, document: &At<StageDocument>) -> Step {
        let Some(group) = &document.parallel else { return Step::Stage(self.stage(document)) };
        let StageDocument { name, tool, arguments, for_each, concurrency, timeout, on_error: _, parallel: _ } =
            &**document;
        let texts = [name, tool, for_each, timeout].map(|text| text.as_ref().map(At::place));
        let others = [arguments.as_ref().map(At::place), concurrency.as_ref().map(At::place)];
        for place in texts.into_iter().chain(others).flatten() {
            self.problem(place, "a parallel group has nothing but its stages: this belongs to one of them");
        }
        if document.on_error.is_some() {
            self.problem(document.place(), "a parallel group has no on_error: its stages have");
        }
        for stage in group.iter().filter_map(|stage| stage.parallel.as_ref()) {
            self.problem(stage.place(), "a parallel group has no groups in it");
        }
        Step::Parallel(group.iter().map(|stage| self.stage(stage)).collect())
    }

    fn stage(&mut self, document: &At<StageDocument>) -> Stage {
        // What is missing is told, so that it does not matter what stands in its place.
        let mut needed = |text: &Option<At<String>>, member: &str| match text {
            Some(text) => text.to_string(),
            None => {
                self.problem(document.place(), format!("a stage needs a {member}"));
                format!("{member}_at_{:?}", document.place())
                    .replace(|char: char| !char.is_ascii_alphanumeric(), "_")
            }
        };
        let (name, tool) = (needed(&document.name, "name"), needed(&document.tool, "tool"));
        if let (Some(calls), None) = (&document.concurrency, &document.for_each) {
            self.problem(calls.place(), "concurrency is for stages with for_each");
        }
        let concurrency = self.number(document.concurrency.as_ref(), 1, 256);
        let timeout =
            document.timeout.as_ref().and_then(|text| self.or_problem(text.place(), settings::time(text)));
        let arguments = document
            .arguments
            .as_ref()
            .map(|arguments| arguments.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect());
        Stage {
            name,
            tool,
            arguments: arguments.unwrap_or_default(),
            for_each: document.for_each.as_ref().map(|text| text.to_string()),
            concurrency: concurrency.map_or(4, |number| number as usize),
            timeout,
            on_error: match document.on_error {
                Some(OnErrorDocument::Continue) => OnError::Continue,
                Some(OnErrorDocument::Stop) | None => OnError::Stop,
            },
        }
    }

    /// A pipeline may use another, never itself. That it names itself it knows without the others.
    fn no_circles(&mut self, written: &Written) {
        for (name, document) in written {
            for tool in stages(document).filter_map(|stage| stage.tool.as_ref()) {
                let Some(mut way) = way(written, tool, name).filter(|way| way.len() > 1) else { continue };
                // Told once, where the first of those that are in it calls the next.
                if way.iter().min() == Some(&name.as_str()) {
                    way.insert(0, name);
                    self.problem(
                        tool.place(),
                        format!("the pipeline would call itself: {}", way.join(" → ")),
                    );
                }
            }
        }
    }
}

/// The stages of a pipeline, those of groups too.
fn stages(document: &PipelineDocument) -> impl Iterator<Item = &At<StageDocument>> {
    document.stage.iter().flat_map(|step| match &step.parallel {
        Some(group) => group.as_slice(),
        None => std::slice::from_ref(step),
    })
}

/// The shortest way over pipelines that call each other.
fn way<'w>(written: &'w Written, from: &'w str, to: &str) -> Option<Vec<&'w str>> {
    let mut before = BTreeMap::from([(from, None)]);
    let mut next = VecDeque::from([from]);
    while let Some(name) = next.pop_front() {
        if name == to {
            let mut way: Vec<_> = std::iter::successors(Some(name), |name| before[name]).collect();
            way.reverse();
            return Some(way);
        }
        let Some(document) = written.get(name) else { continue };
        for tool in stages(document).filter_map(|stage| stage.tool.as_ref()) {
            if !before.contains_key(tool.as_str()) {
                before.insert(tool, Some(name));
                next.push_back(tool);
            }
        }
    }
    None
}

/// Where a problem is: at the member that it is about, or at the stage, or at the pipeline.
fn place(document: &At<PipelineDocument>, problem: &Problem) -> Place {
    let Some((step, stage)) = problem.stage else {
        let member = match problem.member {
            "description" => Some(document.description.place()),
            "input" => document.input.as_ref().map(At::place),
            "output" => document.output.as_ref().map(At::place),
            "timeout" => document.timeout.as_ref().map(At::place),
            "max_output_bytes" => document.max_output_bytes.as_ref().map(At::place),
            "stage" => Some(document.stage.place()),
            _ => None,
        };
        return member.unwrap_or(document.place());
    };
    let Some(step) = document.stage.get(step) else { return document.stage.place() };
    let stage = match &step.parallel {
        Some(group) => group.get(stage).unwrap_or(step),
        None => step,
    };
    let member = match problem.member {
        "name" => stage.name.as_ref().map(At::place),
        "tool" => stage.tool.as_ref().map(At::place),
        "arguments" => stage.arguments.as_ref().map(At::place),
        "for_each" => stage.for_each.as_ref().map(At::place),
        "concurrency" => stage.concurrency.as_ref().map(At::place),
        "timeout" => stage.timeout.as_ref().map(At::place),
        "parallel" => stage.parallel.as_ref().map(At::place),
        _ => None,
    };
    member.unwrap_or(stage.place())
}
