//! Finds what cannot work in a definition, before anything runs.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Definition, Problem, Stage, Step,
    input::{self, Input},
    shape::Shape,
    template::Template,
};

/// Stages of one pipeline, those in parallel groups included.
const MOST_STAGES: usize = 64;

/// Characters of a name.
const MOST_CHARS: usize = 64;

/// What templates know of a stage's result.
const MEMBERS: [&str; 3] = ["structured", "text", "content"];

/// Names that mean something else in templates.
const RESERVED: [&str; 20] = [
    "input",
    "item",
    "and",
    "dict",
    "else",
    "false",
    "False",
    "if",
    "in",
    "is",
    "loop",
    "namespace",
    "none",
    "None",
    "not",
    "or",
    "range",
    "self",
    "true",
    "True",
];

/// What was read of a definition.
pub(crate) struct Checked {
    pub(crate) parts: Vec<Vec<Parts>>,
    pub(crate) output: Option<Shape>,
    pub(crate) input: Input,
}

/// What was read of a stage.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) arguments: Shape,
    pub(crate) for_each: Option<Template>,
}

type At = Option<(usize, usize)>;

/// Reads a definition.
pub(crate) fn check(definition: &Definition) -> Result<Checked, Vec<Problem>> {
    let mut check = Check { definition, problems: Vec::new() };
    check.whole();
    check.names();
    for (at, stage) in definition.stages() {
        check.stage(at, stage);
    }
    let parts: Vec<Vec<Parts>> = definition
        .steps
        .iter()
        .enumerate()
        .map(|(step, stages)| {
            stages.stages().iter().enumerate().map(|(at, stage)| check.parts((step, at), stage)).collect()
        })
        .collect();
    let output = definition
        .output
        .as_ref()
        .and_then(|output| Shape::read(output).map_err(|reason| check.wrong(None, "output", reason)).ok());
    let input = check.input(&parts, output.as_ref());
    check.references(&parts, output.as_ref(), &input);
    if check.problems.is_empty() { Ok(Checked { parts, output, input }) } else { Err(check.problems) }
}

struct Check<'d> {
    definition: &'d Definition,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn wrong(&mut self, stage: At, member: &'static str, reason: impl Into<String>) {
        self.problems.push(Problem { stage, member, reason: reason.into() });
    }

    fn whole(&mut self) {
        let definition = self.definition;
        let is_valid = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if !is_name(&definition.name) || !definition.name.chars().all(is_valid) {
            self.wrong(
                None,
                "name",
                format!("the name must have 1 to {MOST_CHARS} letters, digits, `_`, `-` and `.`"),
            );
        }
        if definition.timeout.is_zero() {
            self.wrong(None, "timeout", "there must be some time: 10m, say");
        }
        if definition.max_output_bytes == 0 {
            self.wrong(None, "max_output_bytes", "there must be room for results: 1048576, say");
        }
        match definition.stages().count() {
            0 => self.wrong(None, "stage", "there is nothing to do: give it a stage"),
            count if count > MOST_STAGES => self.wrong(
                None,
                "stage",
                format!(
                    "there are {count} stages, and may be {MOST_STAGES}: a pipeline can use another as a tool"
                ),
            ),
            _ => {}
        }
        for (step, stages) in definition.steps.iter().enumerate() {
            if matches!(stages, Step::Parallel(stages) if stages.is_empty()) {
                self.wrong(
                    Some((step, 0)),
                    "parallel",
                    "the group is empty: give it a stage, or leave it out",
                );
            }
        }
    }

    fn names(&mut self) {
        let mut names = BTreeSet::new();
        for (at, stage) in self.definition.stages() {
            let name = &stage.name;
            let is_valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if !is_name(name) || !name.chars().all(is_valid) || name.starts_with(|c: char| c.is_ascii_digit())
            {
                let reason = format!(
                    "`{name}` cannot be used in templates: a stage's name has 1 to {MOST_CHARS} letters, digits and `_`, and no digit first"
                );
                self.wrong(Some(at), "name", reason);
            } else if RESERVED.contains(&name.as_str()) {
                self.wrong(
                    Some(at),
                    "name",
                    format!("`{name}` means something else in templates: choose another"),
                );
            } else if !names.insert(name) {
                self.wrong(Some(at), "name", format!("another stage is called `{name}` too: choose another"));
            }
        }
    }

    fn stage(&mut self, at: (usize, usize), stage: &Stage) {
        let at = Some(at);
        if stage.tool.is_empty() {
            self.wrong(at, "tool", "there must be a tool, by the name that clients know");
        } else if stage.tool == self.definition.name {
            self.wrong(at, "tool", "a pipeline cannot use itself");
        }
        if stage.concurrency == 0 {
            self.wrong(at, "concurrency", "there must be at least 1 call at a time");
        }
        if stage.timeout.is_some_and(|timeout| timeout.is_zero()) {
            self.wrong(at, "timeout", "there must be some time: 30s, say");
        }
    }

    fn parts(&mut self, at: (usize, usize), stage: &Stage) -> Parts {
        let arguments = Shape::members(&stage.arguments).unwrap_or_else(|reason| {
            self.wrong(Some(at), "arguments", reason);
            Shape::Object(Vec::new())
        });
        let for_each = stage.for_each.as_deref().and_then(|list| match Template::read(list.trim()) {
            Ok(template) if template.gives_value() => Some(template),
            Ok(_) => {
                self.wrong(Some(at), "for_each", "it must be one `{{ … }}` alone, which gives a list");
                None
            }
            Err(reason) => {
                self.wrong(Some(at), "for_each", reason);
                None
            }
        });
        Parts { arguments, for_each }
    }

    fn input(&mut self, parts: &[Vec<Parts>], output: Option<&Shape>) -> Input {
        if let Some(schemas) = &self.definition.input {
            for (name, schema) in schemas {
                if let Some(reason) = input::wrong_schema(name, schema) {
                    self.wrong(None, "input", reason);
                }
            }
            return Input::Stated(schemas.clone());
        }
        let of_parts = parts.iter().flatten().flat_map(|parts| {
            parts
                .arguments
                .references()
                .into_iter()
                .chain(parts.for_each.iter().flat_map(Template::references))
        });
        let all: Vec<_> = of_parts.chain(output.into_iter().flat_map(Shape::references)).collect();
        Input::derived(all.iter())
    }

    fn references(&mut self, parts: &[Vec<Parts>], output: Option<&Shape>, input: &Input) {
        let mut known = BTreeMap::new();
        for (at, stage) in self.definition.stages() {
            known.entry(stage.name.as_str()).or_insert((at, stage));
        }
        for (at, stage) in self.definition.stages() {
            let parts = &parts[at.0][at.1];
            let list = parts.for_each.iter().flat_map(Template::references);
            let list: BTreeSet<_> = list.map(|path| ("for_each", path)).collect();
            let arguments = parts.arguments.references().into_iter().map(|path| ("arguments", path));
            for (member, path) in list.into_iter().chain(arguments) {
                let has_item = member == "arguments" && stage.for_each.is_some();
                let reader = Reader { at: Some(at), has_item, known: &known, input };
                if let Some(reason) = reader.wrong(&path) {
                    self.wrong(Some(at), member, reason);
                }
            }
        }
        for path in output.into_iter().flat_map(Shape::references) {
            let reader = Reader { at: None, has_item: false, known: &known, input };
            if let Some(reason) = reader.wrong(&path) {
                self.wrong(None, "output", reason);
            }
        }
    }
}

/// Where a template stands, and what it can see from there.
struct Reader<'d> {
    /// `None` after all stages.
    at: At,
    has_item: bool,
    known: &'d BTreeMap<&'d str, ((usize, usize), &'d Stage)>,
    input: &'d Input,
}

impl Reader<'_> {
    /// Why a template cannot name this.
    fn wrong(&self, path: &[String]) -> Option<String> {
        let (name, member) = (path[0].as_str(), path.get(1).map(String::as_str));
        match (name, member) {
            ("input", Some(member)) if !self.input.may_have(member) => {
                let known: Vec<_> = self.input.names().iter().map(|(name, _)| format!("`{name}`")).collect();
                Some(format!("the input has no `{member}`; it has {}", listed(&known)))
            }
            ("input", _) => None,
            ("item", _) if self.has_item => None,
            ("item", _) => {
                Some("there is no `item` here: only the arguments of a stage with `for_each` have one".into())
            }
            _ => match self.known.get(name) {
                Some(&(at, stage)) => self.wrong_stage(at, stage, member),
                None => Some(format!("nothing is called `{name}`; there is {}", listed(&self.visible()))),
            },
        }
    }

    fn wrong_stage(&self, at: (usize, usize), stage: &Stage, member: Option<&str>) -> Option<String> {
        let name = &stage.name;
        if let Some(here) = self.at {
            if at == here {
                return Some(format!("`{name}` is this stage, and has no result yet"));
            }
            if at.0 == here.0 {
                return Some(format!(
                    "`{name}` runs side by side with this stage: put it into an earlier step"
                ));
            }
            if at.0 > here.0 {
                return Some(format!("`{name}` comes later: put it before this stage"));
            }
        }
        let member = member?;
        if stage.for_each.is_some() {
            return Some(format!(
                "`{name}` is a list with one result for each item, and has no `{member}`: write `{name}[0].{member}`, or `{name} | map(attribute='{member}')`"
            ));
        }
        (!MEMBERS.contains(&member))
            .then(|| format!("`{name}` has no `{member}`; a result has `structured`, `text` and `content`"))
    }

    fn visible(&self) -> Vec<String> {
        let mut names = vec!["`input`".to_owned()];
        names.extend(self.has_item.then(|| "`item`".to_owned()));
        let earlier = |at: (usize, usize)| self.at.is_none_or(|here| at.0 < here.0);
        names.extend(
            self.known.iter().filter(|(_, (at, _))| earlier(*at)).map(|(name, _)| format!("`{name}`")),
        );
        names
    }
}

fn is_name(text: &str) -> bool {
    (1..=MOST_CHARS).contains(&text.len())
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}
