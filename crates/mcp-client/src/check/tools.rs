//! Which tools can be called without harm, and with what.

use std::time::Instant;

use rmcp::model::{CallToolResult, ContentBlock, JsonObject, Tool};
use serde_json::{Value, json};
use upstream::{CallOptions, Upstream};

use super::{report::Report, steps::words};
use crate::render::{plain, schema};

/// Most tools that are called.
const MAX_CALLS: usize = 50;
/// Most characters of an answer that are shown.
const SHOWN: usize = 60;
/// Arguments of tools that only read: tool-server's.
const KNOWN: [(&str, &str, &str); 3] = [
    ("echo", "message", "Hello from mcp-client"),
    ("math_calc", "expression", "2 + 2 * 3"),
    ("list_files", "path", "."),
];

pub(super) async fn call(server: &Upstream, tools: &[Tool], report: &mut Report) {
    for tool in tools.iter().take(MAX_CALLS) {
        let what = format!("call {}", tool.name);
        match arguments(tool) {
            Err(why) => report.skipped(what, why),
            Ok(arguments) => {
                let started = Instant::now();
                let answer = server.call_tool(&tool.name, arguments, CallOptions::default()).await;
                report.tried(what, started.elapsed(), answer.map_err(words).and_then(judged));
            }
        }
    }
    if tools.len() > MAX_CALLS {
        report.skipped("call other tools", format!("the first {MAX_CALLS} are enough"));
    }
}

/// Arguments with which this tool can be called, or why it cannot.
fn arguments(tool: &Tool) -> Result<JsonObject, String> {
    let read_only = tool.annotations.as_ref().is_some_and(|hints| hints.read_only_hint == Some(true));
    if !read_only {
        return Err("it is not marked as read-only".to_owned());
    }
    let (mut known, mut lacking) = (JsonObject::new(), Vec::new());
    for argument in schema::arguments(tool).into_iter().filter(|argument| argument.required) {
        match value(tool, argument.name) {
            Some(value) => {
                known.insert(argument.name.to_owned(), value);
            }
            None => lacking.push(argument.name.to_owned()),
        }
    }
    if lacking.is_empty() { Ok(known) } else { Err(format!("it needs arguments: {}", lacking.join(", "))) }
}

/// A value that the schema itself names, or that fits a tool that is known.
fn value(tool: &Tool, argument: &str) -> Option<Value> {
    let property = tool.input_schema.get("properties")?.get(argument)?;
    let first =
        |name: &str| property.get(name).and_then(Value::as_array).and_then(|all| all.first()).cloned();
    let named = property.get("default").or_else(|| property.get("const")).cloned();
    let known = KNOWN.iter().find(|(name, known, _)| *name == tool.name && *known == argument);
    named
        .or_else(|| first("examples"))
        .or_else(|| known.map(|(_, _, text)| json!(text)))
        .or_else(|| first("enum"))
}

fn judged(result: CallToolResult) -> Result<String, String> {
    let text = result.content.iter().find_map(|block| match block {
        ContentBlock::Text(text) => text.text.lines().next(),
        _ => None,
    });
    let text = plain::shorten(&plain::visible_line(text.unwrap_or_default()), SHOWN);
    if result.is_error == Some(true) { Err(format!("the tool failed: {text}")) } else { Ok(text) }
}
