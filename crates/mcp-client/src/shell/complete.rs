//! Completion, hints and colours of the command line.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use rmcp::model::{
    ArgumentInfo, CompleteRequestParams, CompletionContext, Prompt, Reference, ResourceTemplate, Tool,
};

use super::{
    catalogue::Catalogue,
    commands::{ENTRIES, Entry, LEVELS, Slot, find},
    line,
};
use crate::{
    arguments::{self, Kind, Schema, Word, shown, words},
    terminal::{Candidate, LineAid, Suggestion},
};

/// Methods of MCP that `call` knows besides tools.
pub(super) const METHODS: [&str; 7] = [
    "tools/list",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "prompts/list",
    "prompts/get",
    "ping",
];

/// Helps with the command line.
pub(super) struct CommandAid {
    catalogue: Arc<Catalogue>,
    color: bool,
}

/// Where the cursor is.
struct Place<'a> {
    entry: &'static Entry,
    slot: Slot,
    server: Option<String>,
    /// The tool or the prompt before the cursor.
    subject: Option<String>,
    /// All words before that of the cursor which are arguments.
    given: Vec<Word>,
    /// What is written of the word, and where it starts.
    word: &'a str,
    start: usize,
}

impl CommandAid {
    pub(super) fn new(catalogue: Arc<Catalogue>, color: bool) -> Self {
        Self { catalogue, color }
    }

    fn place<'a>(&self, before: &'a str) -> Option<Place<'a>> {
        let all = words(before);
        let ends_with_blank =
            before.ends_with(char::is_whitespace) && all.last().is_none_or(|word| !word.open);
        let (done, start) = match all.split_last() {
            Some((last, done)) if !ends_with_blank => (done, last.start),
            _ => (all.as_slice(), before.len()),
        };
        let entry = find(&done.first()?.text())?;
        let mut place = Place {
            entry,
            slot: Slot::Free,
            server: None,
            subject: None,
            given: Vec::new(),
            word: &before[start..],
            start,
        };
        let names = self.catalogue.names();
        let mut slots = entry.slots.iter().copied().peekable();
        for word in &done[1..] {
            let Some(mut slot) = slots.next() else { break };
            // A name that can be left out was left out.
            let is_left_out = slot == Slot::Server && entry.slots.len() > 1 && !names.contains(&word.text());
            if is_left_out {
                slot = slots.next().unwrap_or(Slot::Free);
            }
            match slot {
                Slot::Server => place.server = Some(word.text()),
                Slot::Tool | Slot::Prompt => place.subject = Some(word.text()),
                Slot::ToolArguments | Slot::PromptArguments => {
                    place.given =
                        done[1..].iter().skip_while(|other| other.start < word.start).cloned().collect();
                    place.slot = slot;
                    return Some(place);
                }
                _ => {}
            }
        }
        place.slot = slots.next().unwrap_or(Slot::Free);
        Some(place)
    }

    fn candidates(&self, place: &Place<'_>) -> Vec<Candidate> {
        let server = place.server.as_deref();
        let single = self.single();
        match place.slot {
            Slot::Server => {
                let mut found = plain(self.catalogue.names(), " ");
                match place.entry.slots.get(1) {
                    Some(Slot::Tool) => found.extend(self.tools(None, place)),
                    Some(Slot::Prompt) => found.extend(self.prompts(None)),
                    Some(Slot::Resource) if single.is_some() => {
                        found.extend(self.resources(single.as_deref(), place.word))
                    }
                    Some(Slot::Level) => found.extend(plain(LEVELS, "")),
                    _ => {}
                }
                found
            }
            Slot::Tool => self.tools(server, place),
            Slot::Resource => self.resources(server.or(single.as_deref()), place.word),
            Slot::Prompt => self.prompts(server),
            Slot::Transport => plain(["http", "sse", "websocket"], ""),
            Slot::Level => plain(LEVELS, ""),
            Slot::Command => ENTRIES.iter().map(|entry| candidate(entry.names[0], "", entry.about)).collect(),
            Slot::ToolArguments => {
                self.tool(place).map(|tool| tool_arguments(&tool, place)).unwrap_or_default()
            }
            Slot::PromptArguments => self.prompt_arguments(place),
            Slot::Free => Vec::new(),
        }
    }

    fn single(&self) -> Option<String> {
        let mut names = self.catalogue.names();
        (names.len() == 1).then(|| names.remove(0))
    }

    fn tools(&self, server: Option<&str>, place: &Place<'_>) -> Vec<Candidate> {
        let mut tools = BTreeMap::new();
        for tool in self.catalogue.tools(server) {
            tools.insert(tool.name.to_string(), tool.description.unwrap_or_default().into_owned());
        }
        let mut found: Vec<Candidate> =
            tools.iter().map(|(name, about)| candidate(&quoted(name), " ", about)).collect();
        if place.word.contains('/') && place.server.is_some() {
            found.extend(plain(METHODS, " "));
        }
        found
    }

    /// URIs; of a template what stands before its first variable, and then the values that the server proposes for that.
    fn resources(&self, server: Option<&str>, written: &str) -> Vec<Candidate> {
        let mut found = Vec::new();
        for (uri, name) in self.catalogue.resources(server) {
            let Some((start, rest)) = uri.split_once('{') else {
                found.push(candidate(&quoted(&uri), "", &name));
                continue;
            };
            match (written.strip_prefix(start), rest.split_once('}'), server) {
                (Some(value), Some((variable, _)), Some(server)) if !value.contains('/') => {
                    let info = ArgumentInfo::new(variable, value);
                    let params = CompleteRequestParams::new(Reference::for_resource(uri.clone()), info);
                    let values = self.catalogue.values(server, params);
                    found.extend(values.iter().map(|value| candidate(&format!("{start}{value}"), "", "")));
                }
                _ => found.push(candidate(start, "", &format!("{{{rest}  {name}"))),
            }
        }
        found
    }

    fn prompts(&self, server: Option<&str>) -> Vec<Candidate> {
        let prompts = self.catalogue.prompts(server);
        let about = |prompt: &Prompt| prompt.description.clone().unwrap_or_default();
        prompts.iter().map(|prompt| candidate(&quoted(&prompt.name), " ", &about(prompt))).collect()
    }

    fn tool(&self, place: &Place<'_>) -> Option<Tool> {
        let name = place.subject.as_deref()?;
        self.catalogue.tools(place.server.as_deref()).into_iter().find(|tool| tool.name == name)
    }

    fn prompt_arguments(&self, place: &Place<'_>) -> Vec<Candidate> {
        let Some(name) = place.subject.as_deref() else { return Vec::new() };
        let Some(server) = place.server.clone().or_else(|| self.single()) else { return Vec::new() };
        let prompts = self.catalogue.prompts(Some(&server));
        let Some(prompt) = prompts.into_iter().find(|prompt| prompt.name == name) else { return Vec::new() };
        let given = given(place);
        if let Some((argument, start)) = place.word.split_once('=') {
            let others = given.iter().filter(|(name, _)| name.as_str() != argument);
            let context =
                CompletionContext::with_arguments(others.map(|(k, v)| (k.clone(), v.clone())).collect());
            let argument_info = ArgumentInfo::new(argument, start);
            let params =
                CompleteRequestParams::new(Reference::for_prompt(name), argument_info).with_context(context);
            let values = self.catalogue.values(&server, params);
            return values
                .iter()
                .map(|value| candidate(&format!("{argument}={}", quoted(value)), " ", ""))
                .collect();
        }
        let arguments = prompt.arguments.unwrap_or_default();
        let open = arguments.iter().filter(|argument| !given.contains_key(&argument.name));
        open.map(|argument| {
            let about = argument.description.as_deref().unwrap_or_default();
            candidate(&format!("{}=", argument.name), "", about)
        })
        .collect()
    }
}

impl LineAid for CommandAid {
    fn complete(&self, line: &str, cursor: usize) -> (usize, Vec<Candidate>) {
        let before = line.get(..cursor).unwrap_or(line);
        let indent = before.len() - before.trim_start().len();
        if !before.trim_start().contains(char::is_whitespace) {
            let commands = ENTRIES.iter().map(|entry| {
                candidate(entry.names[0], if entry.slots.is_empty() { "" } else { " " }, entry.about)
            });
            return (indent, fitting(commands, before.trim_start()));
        }
        let Some(place) = self.place(before) else { return (cursor, Vec::new()) };
        (place.start, fitting(self.candidates(&place), place.word))
    }

    fn hint(&self, line: &str, _cursor: usize) -> Option<Suggestion> {
        let only_shown = |shown: String| Some(Suggestion { shown, taken: None });
        if !line.contains(char::is_whitespace) {
            let entry = find(line)?;
            let rest = entry.usage.split_once(' ').map(|(_, rest)| rest)?;
            return only_shown(format!(" {rest}"));
        }
        let place = self.place(line)?;
        if place.slot != Slot::ToolArguments || !place.word.is_empty() {
            return None;
        }
        let tool = self.tool(&place)?;
        let (given, schema) = (given(&place), Schema::of(&tool));
        let required = schema.required();
        let open = schema.names().into_iter().filter(|name| !given.contains_key(name));
        let pairs: Vec<String> = open
            .map(|name| {
                let pair =
                    format!("{name}={}", schema.property(&name).map(Schema::placeholder).unwrap_or_default());
                if required.contains(&name) { pair } else { format!("[{pair}]") }
            })
            .collect();
        let shown: String = pairs.join(" ").chars().filter(|c| !c.is_control()).take(100).collect();
        if shown.is_empty() || given.keys().any(|key| key.starts_with('{')) {
            None
        } else {
            only_shown(shown)
        }
    }

    fn goes_on(&self, line: &str) -> bool {
        line::goes_on(line)
    }

    fn colored<'a>(&self, line: &'a str) -> Cow<'a, str> {
        if !self.color {
            return Cow::Borrowed(line);
        }
        let Some(first) = words(line).into_iter().next() else { return Cow::Borrowed(line) };
        let (end, comment) = (first.start + first.raw.len(), line::command(line).len());
        let color = match find(&first.raw) {
            Some(_) => "\x1b[1m",
            None if ENTRIES
                .iter()
                .any(|entry| entry.names.iter().any(|name| name.starts_with(&first.raw))) =>
            {
                ""
            }
            None => "\x1b[31m",
        };
        if line.trim_start().starts_with('#') || line.starts_with("> ") {
            return Cow::Borrowed(line);
        }
        let body_end = (line.len() - line.trim_start().len() + comment).clamp(end, line.len());
        let (body, rest) = (&line[end..body_end], &line[body_end..]);
        let rest = if rest.trim().is_empty() { rest.to_owned() } else { format!("\x1b[90m{rest}\x1b[0m") };
        Cow::Owned(format!("{}{color}{}\x1b[0m{body}{rest}", &line[..first.start], &line[first.start..end]))
    }
}

/// Names and values of a tool's arguments.
fn tool_arguments(tool: &Tool, place: &Place<'_>) -> Vec<Candidate> {
    let (schema, given) = (Schema::of(tool), given(place));
    let Some((name, _)) = place.word.split_once('=') else {
        let open = schema.names().into_iter().filter(|name| !given.contains_key(name));
        let required = schema.required();
        return open
            .map(|name| {
                let property = schema.property(&name);
                let about = property.and_then(Schema::description).unwrap_or_default();
                let kind = property.map(Schema::placeholder).unwrap_or_default();
                let optional = if required.contains(&name) { "" } else { ", optional" };
                candidate(&format!("{name}="), "", &format!("{kind}{optional}  {about}"))
            })
            .collect();
    };
    let mut property = Some(schema);
    for part in name.split('.') {
        property = property.and_then(|schema| schema.property(part));
    }
    let property = property.or_else(|| schema.property(name));
    let Some(property) = property else { return Vec::new() };
    let mut values: Vec<String> = property.choices().into_iter().map(shown).collect();
    if values.is_empty() && property.kinds() == [Kind::Boolean] {
        values = vec!["true".to_owned(), "false".to_owned()];
    }
    values.iter().map(|value| candidate(&format!("{name}={}", quoted(value)), " ", "")).collect()
}

/// The arguments that stand on the line already.
fn given(place: &Place<'_>) -> std::collections::HashMap<String, String> {
    let pair = |word: &Word| match word.raw.split_once('=') {
        Some((name, value)) => (name.to_owned(), arguments::unquoted(value)),
        None => (word.raw.clone(), String::new()),
    };
    place.given.iter().map(pair).collect()
}

fn candidate(text: &str, end: &str, about: &str) -> Candidate {
    let about = about.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Candidate { text: format!("{text}{end}"), about }
}

fn plain<T: AsRef<str>>(names: impl IntoIterator<Item = T>, end: &str) -> Vec<Candidate> {
    names.into_iter().map(|name| candidate(&quoted(name.as_ref()), end, "")).collect()
}

/// As it has to be written so that it is one word.
fn quoted(text: &str) -> String {
    let needs_none = !text.is_empty()
        && !text.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '{' | '[' | '#'));
    if needs_none { text.to_owned() } else { serde_json::to_string(text).unwrap_or_default() }
}

/// Those that go on with what is written. What holds control characters can be written by nobody.
fn fitting(candidates: impl IntoIterator<Item = Candidate>, written: &str) -> Vec<Candidate> {
    let fits = |candidate: &Candidate| {
        candidate.text.starts_with(written) && !candidate.text.chars().any(char::is_control)
    };
    candidates.into_iter().filter(fits).collect()
}

/// What completes the variables of a template, for `complete`.
pub(super) fn reference(name: &str, templates: &[ResourceTemplate]) -> Reference {
    match templates.iter().find(|template| template.uri_template == name || template.name == name) {
        Some(template) => Reference::for_resource(template.uri_template.clone()),
        None => Reference::for_prompt(name),
    }
}

#[cfg(test)]
#[path = "complete_tests.rs"]
mod tests;
