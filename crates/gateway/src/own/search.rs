//! `find_tool` and `call_tool`: what clients see in place of hundreds of tools.

mod fields;
mod index;
mod nearly;
mod savings;
mod synonyms;
mod words;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use json_rpc::{Members, Raw};
use serde_json::{Value, json};

use super::{self as own, OwnTool, SHOWN_IN_SEARCH, Within};
use crate::{
    catalogue::{Catalogue, Hints},
    errors::{Answer, Refusal},
    trail::Trail,
};

pub use savings::Savings;

use index::{Hit, Index};

/// The tool that finds others.
pub(crate) const FIND_TOOL: &str = "find_tool";

/// The tool that calls others.
pub(crate) const CALL_TOOL: &str = "call_tool";

/// Tools that are found without a `limit`.
const USUAL_LIMIT: usize = 5;

/// Most tools that are found.
const MOST_FOUND: usize = 20;

/// Longest question, in bytes.
const LONGEST_QUERY: usize = 2_000;

/// What a call of `call_tool` must look like, as errors say it.
const SHAPE: &str = r#"call_tool takes {"name": "the name that find_tool gave", "arguments": {what the tool's inputSchema says}}"#;

/// How what was found is called.
const HOW: &str =
    r#"call_tool with {"name": <name>, "arguments": <an object that fits the tool's inputSchema>}"#;

/// Says so when nothing was found.
const NOTHING: &str =
    "no tool fits: ask again in other words, for instance what is to be done, and with what";

/// All tools that clients may call, so that they can be found: those of a catalogue.
pub(crate) struct Search {
    index: Index,
    savings: Savings,
}

impl Search {
    pub(crate) fn of(catalogue: &Catalogue) -> Self {
        let is_shown = |(name, _): &(&str, &Raw)| SHOWN_IN_SEARCH.contains(name);
        let (shown, own): (Vec<_>, Vec<_>) = catalogue.own_tools().partition(is_shown);
        let all: Vec<_> = own.into_iter().chain(catalogue.tools()).collect();
        let savings = Savings::of(all.len(), bytes(&all), bytes(&shown));
        Self { index: Index::of(all), savings }
    }

    /// How much shorter the list of tools is.
    pub(crate) fn savings(&self) -> Savings {
        self.savings
    }
}

/// The bytes of a list of these tools.
fn bytes(tools: &[(&str, &Raw)]) -> usize {
    2 + tools.iter().map(|(_, tool)| tool.as_bytes().len() + 1).sum::<usize>().saturating_sub(1)
}

/// No tool of this name, for whoever cannot list them all.
pub(crate) fn unknown_name() -> Refusal {
    let message = "there is no tool of this name: find_tool finds those that there are";
    Refusal::new(json_rpc::Error::INVALID_PARAMS, "TOOL_NOT_FOUND", message)
}

/// Makes a call of `call_tool` the call of the tool that it names: all that follows is as if the client had called that. A wrong one
/// stays as it is, and `call_tool` itself says what is wrong.
pub(crate) fn unwrap(params: &mut Members, trail: &Trail) {
    let is_ours = |name: &Raw| name.parse::<String>().is_ok_and(|name| name == CALL_TOOL);
    if !params.get("name").is_some_and(is_ours) {
        return;
    }
    let Some(Ok(arguments)) = params.get("arguments").map(Members::of) else { return };
    let Ok((name, arguments)) = inner(arguments) else { return };
    trail.note("it came as a call of call_tool");
    params.set("name", name);
    match arguments {
        Some(arguments) => params.set("arguments", arguments),
        None => drop(params.remove("arguments")),
    }
}

/// The name and the arguments of the tool that is to be called.
///
/// # Errors
/// What is wrong, for whoever calls.
fn inner(mut members: Members) -> Result<(Raw, Option<Raw>), String> {
    let wrong = |what: &str| Err(format!("{what}: {SHAPE}"));
    let Some(name) = members.remove("name") else { return wrong("the tool's name is missing") };
    match name.parse::<String>() {
        Err(_) => return wrong("name must be a text"),
        Ok(name) if name == CALL_TOOL => return wrong("call_tool cannot call itself, name the tool itself"),
        Ok(_) => {}
    }
    let arguments = members.remove("arguments").filter(|arguments| !arguments.is_null());
    if arguments.as_ref().is_some_and(|arguments| !arguments.is_object()) {
        return wrong("arguments must be an object, and no text that holds one");
    }
    if !members.is_empty() {
        return wrong("only name and arguments belong here, and what the tool wants into arguments");
    }
    Ok((name, arguments))
}

/// The tool that is called by a call of `call_tool` with these arguments, if they are right.
pub(crate) fn called(arguments: Option<&Raw>) -> Option<String> {
    let (name, _) = inner(Members::of(arguments?).ok()?).ok()?;
    name.parse().ok()
}

/// The tools that stand for all others in a list.
pub(crate) fn tools() -> Vec<Arc<dyn OwnTool>> {
    vec![Arc::new(FindTool), Arc::new(CallTool)]
}

/// `find_tool`.
struct FindTool;

/// `call_tool`, as lists show it. A call of it becomes the call of another tool before anybody looks for its name.
struct CallTool;

#[async_trait]
impl OwnTool for FindTool {
    fn name(&self) -> &str {
        FIND_TOOL
    }

    fn definition(&self, _hints: &dyn Fn(&str) -> Option<Hints>) -> (Raw, Hints) {
        let definition = json!({
            "name": FIND_TOOL,
            "title": "Find tools",
            "description": "Find the tools for a task, the best first: what each does and its inputSchema. Many tools are here that no \
                            list shows. Search before you say that something cannot be done; then call what fits with call_tool.",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "query": {"type": "string", "maxLength": LONGEST_QUERY, "description": "What is to be done, in English words"},
                    "limit": {"type": "integer", "minimum": 1, "maximum": MOST_FOUND, "default": USUAL_LIMIT},
                },
                "required": ["query"],
            },
            "annotations": {"readOnlyHint": true, "openWorldHint": false},
        });
        (raw(&definition), Hints { read_only: true, idempotent: true, ..Hints::default() })
    }

    async fn call(&self, within: &Within, arguments: Members) -> Answer {
        let Question { query, limit } = match Question::of(&arguments) {
            Ok(question) => question,
            Err(what) => return Ok(own::wrong(&what)),
        };
        let relay = within.relay()?;
        // Whoever asks in the first seconds must not be told that there is nothing.
        relay.known().await;
        let view = relay.view();
        let hits = view.search.as_ref().map(|search| search.index.find(&query, limit)).unwrap_or_default();
        Ok(found(&hits))
    }
}

#[async_trait]
impl OwnTool for CallTool {
    fn name(&self) -> &str {
        CALL_TOOL
    }

    fn definition(&self, _hints: &dyn Fn(&str) -> Option<Hints>) -> (Raw, Hints) {
        let definition = json!({
            "name": CALL_TOOL,
            "title": "Call a tool",
            "description": "Call a tool that find_tool found. The result is the tool's own.",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "description": "The tool's name"},
                    "arguments": {"type": "object", "description": "As the tool's inputSchema says"},
                },
                "required": ["name"],
                "additionalProperties": false,
            },
        });
        // What it does depends on what it calls.
        (raw(&definition), Hints::default())
    }

    async fn call(&self, _within: &Within, arguments: Members) -> Answer {
        Ok(own::wrong(&inner(arguments).err().unwrap_or_else(|| SHAPE.to_owned())))
    }
}

/// What `find_tool` is asked.
struct Question {
    query: String,
    limit: usize,
}

impl Question {
    /// # Errors
    /// What is wrong, for whoever asks.
    fn of(arguments: &Members) -> Result<Self, String> {
        let query = arguments.get("query").and_then(|query| query.parse::<String>().ok());
        let Some(query) = query.filter(|query| !query.trim().is_empty()) else {
            return Err(
                r#"query must be a text that says something: find_tool takes {"query": "what is to be done"}"#
                    .to_owned(),
            );
        };
        if query.len() > LONGEST_QUERY {
            return Err(format!(
                "query is too long: {LONGEST_QUERY} bytes at most, and a few words are best"
            ));
        }
        let limit = match arguments.get("limit").filter(|limit| !limit.is_null()) {
            Some(limit) => limit.parse::<usize>().ok().filter(|limit| (1..=MOST_FOUND).contains(limit)),
            None => Some(USUAL_LIMIT),
        };
        let limit = limit.ok_or_else(|| format!("limit must be a whole number from 1 to {MOST_FOUND}"))?;
        Ok(Self { query, limit })
    }
}

/// The result of `find_tool`: an object, and the same as a text.
fn found(hits: &[Hit]) -> Raw {
    let tools: Vec<Members> = hits.iter().map(tool).collect();
    let next = if tools.is_empty() { NOTHING } else { HOW };
    let tools = Raw::of(&tools.into_iter().map(|tool| tool.to_raw()).collect::<Vec<_>>());
    let mut structured = Members::default();
    structured.set("tools", tools.expect("they are JSON already"));
    structured.set("how_to_call", Raw::text(next));
    let structured = structured.to_raw();
    let content = Raw::of(&[json!({"type": "text", "text": structured.as_str()})]);
    let mut result = Members::default();
    result.set("content", content.expect("texts are always JSON"));
    result.set("structuredContent", structured);
    result.to_raw()
}

/// A tool as `find_tool` shows it.
fn tool(hit: &Hit) -> Members {
    let definition = Members::of(&hit.definition).unwrap_or_default();
    let mut shown = Members::default();
    shown.set("name", Raw::text(&hit.name));
    for member in ["description", "inputSchema"] {
        if let Some(value) = definition.get(member) {
            shown.set(member, value.clone());
        }
    }
    shown.set("score", raw(&json!((f64::from(hit.score) * 100.0).round() / 100.0)));
    shown
}

fn raw(value: &Value) -> Raw {
    Raw::of(value).expect("values are always JSON")
}
