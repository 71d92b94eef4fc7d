//! Calling tools: one, or the same one on all servers.

use std::{cell::Cell, sync::Arc};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use rmcp::model::{CallToolResult, JsonObject, Tool};
use upstream::{CallError, CallOptions, Upstream};

use super::{
    complete::METHODS,
    listing::no_tool,
    operator::{Operator, Stop},
    progress,
    resolve::named,
};
use crate::{
    Exit,
    arguments::{self, ArgumentsError, Schema, holds_secret, shown, split_first},
    render::{
        Failure,
        plain::{visible, visible_line},
    },
    terminal::{Candidate, LineAid, Read, Screen},
};

impl Operator {
    /// `call [NAME] TOOL [ARGS]`
    pub(super) async fn call(&self, line: &str, rest: &str) -> Result<(), Stop> {
        let resolved = self.tool_first(rest).await;
        let (server, name, text) = resolved.inspect_err(|_| self.keep(line, true))?;
        let tools = self.patiently(server.name(), server.tools()).await;
        let is_method = METHODS.contains(&name.as_str());
        let tool = tools.as_ref().ok().and_then(|tools| named(tools, &name)).cloned();
        if is_method && tool.is_none() {
            self.keep(line, true);
            return self.method(&server, &name, text).await;
        }
        let tool = match (tool, tools) {
            (Some(tool), _) => tool,
            (None, Err(error)) => {
                self.keep(line, true);
                return Err(Stop::call(&server, &error));
            }
            // Only the server knows: it may not list all of its tools, and its answer may say why there is none.
            (None, Ok(tools)) => {
                if let Stop::Usage(text) = no_tool(&server, &name, &tools) {
                    self.screen.remark(&self.renderer.note(&text));
                }
                unlisted(&name)
            }
        };
        let arguments = self.kept_arguments(line, &tool, text).await?;
        let result = self.call_shown(&server, &name, arguments).await;
        let result = result.map_err(|error| Stop::call(&server, &error))?;
        self.screen.progress(None);
        self.screen.print(&self.renderer.tool_result(&result));
        if result.is_error == Some(true) { Err(Stop::Shown(Exit::ToolError)) } else { Ok(()) }
    }

    /// `broadcast TOOL [ARGS]`: each answer as it comes.
    pub(super) async fn broadcast(&self, line: &str, rest: &str) -> Result<(), Stop> {
        let (name, text) = split_first(rest).ok_or_else(|| Stop::usage("usage: broadcast TOOL [ARGS]"))?;
        let servers = self.servers.all();
        if servers.is_empty() {
            return Err(Stop::usage("there are no servers: `add NAME ADDRESS` adds one"));
        }
        // The line is kept unless one of the tools has it that one of the arguments is to be kept nowhere.
        let (unknown, secret) = (Cell::new(servers.len()), Cell::new(false));
        let judge = |is_secret: bool| {
            secret.set(secret.get() || is_secret);
            unknown.set(unknown.get() - 1);
            if unknown.get() == 0 {
                self.keep(line, !secret.get());
            }
        };
        let call = async |server: &Upstream| {
            let tools = server.tools().await.map_err(|error| Failure::of_call(&error));
            let found = tools.and_then(|tools| match named(&tools, &name) {
                Some(tool) => Ok(tool.clone()),
                None => Err(Failure::usage(format!("it has no tool `{name}`"))),
            });
            let tool = found.inspect_err(|_| judge(false))?;
            let parsed = arguments::parse(&tool, text);
            judge(is_secret(&tool, &parsed));
            let given = self.complete_for(server, &tool, text, parsed)?;
            self.call_shown(server, &name, given).await.map_err(|error| Failure::of_call(&error))
        };
        let call = &call;
        let mut calls: FuturesUnordered<_> =
            servers.iter().map(|server| async move { (server, call(server).await) }).collect();
        let mut worst = Exit::Success;
        while let Some((server, answer)) = calls.next().await {
            worst = worst.max(self.answer(server, answer));
        }
        if worst == Exit::Success { Ok(()) } else { Err(Stop::Shown(worst)) }
    }

    /// The arguments for one server of several: nothing is asked for.
    fn complete_for(
        &self,
        server: &Upstream,
        tool: &Tool,
        text: &str,
        parsed: Result<JsonObject, ArgumentsError>,
    ) -> Result<JsonObject, Failure> {
        let given = complete(tool, text, parsed).map_err(Failure::usage)?;
        for warning in arguments::warnings(tool, &given) {
            let warning = format!("[{}] note: {warning}", server.name());
            self.screen.remark(&self.renderer.note(&warning));
        }
        Ok(given)
    }

    /// Shows one server's answer under its name.
    fn answer(&self, server: &Upstream, result: Result<CallToolResult, Failure>) -> Exit {
        match result {
            Ok(result) => {
                let failed = result.is_error == Some(true);
                let name = visible_line(server.name());
                let text = self.renderer.tool_result(&result);
                let space = if text.contains('\n') { "\n" } else { " " };
                self.screen.print(&format!("[{name}]{space}{text}"));
                if failed { Exit::ToolError } else { Exit::Success }
            }
            Err(failure) => {
                self.screen.remark(&self.renderer.failure(server.name(), &failure));
                failure.exit
            }
        }
    }

    /// Calls a tool, and shows how far it is.
    async fn call_shown(
        &self,
        server: &Upstream,
        tool: &str,
        arguments: JsonObject,
    ) -> Result<CallToolResult, CallError> {
        let (screen, name) = (Arc::clone(&self.screen), server.name().to_owned());
        let shown =
            move |progress| screen.progress(Some(progress::line(&name, &progress, Screen::columns())));
        let options = CallOptions { progress: Some(Arc::new(shown)), ..CallOptions::default() };
        self.patiently(server.name(), server.call_tool(tool, arguments, options)).await
    }

    /// The arguments of a line, which is kept unless one of them is to be kept nowhere.
    async fn kept_arguments(&self, line: &str, tool: &Tool, text: &str) -> Result<JsonObject, Stop> {
        let parsed = arguments::parse(tool, text);
        self.keep(line, !is_secret(tool, &parsed));
        self.completed(tool, text, parsed).await
    }

    /// The arguments that a text means for a tool; what is missing is asked for.
    pub(super) async fn arguments(&self, tool: &Tool, text: &str) -> Result<JsonObject, Stop> {
        self.completed(tool, text, arguments::parse(tool, text)).await
    }

    async fn completed(
        &self,
        tool: &Tool,
        text: &str,
        parsed: Result<JsonObject, ArgumentsError>,
    ) -> Result<JsonObject, Stop> {
        let given = if self.interactive {
            let mut given = parsed.map_err(|error| Stop::usage(error.to_string()))?;
            let missing = arguments::missing(tool, &given);
            if !missing.is_empty() {
                self.ask_for(tool, &missing, &mut given).await?;
            }
            given
        } else {
            complete(tool, text, parsed).map_err(Stop::Usage)?
        };
        for warning in arguments::warnings(tool, &given) {
            self.screen.remark(&self.renderer.note(&format!("note: {warning}")));
        }
        Ok(given)
    }

    /// Asks for what is missing, one by one. What is left empty is left out: the server decides.
    async fn ask_for(&self, tool: &Tool, missing: &[String], given: &mut JsonObject) -> Result<(), Stop> {
        let turn = self.keyboard.turn(|| {}).await;
        for name in missing {
            let property = Schema::of(tool).property(name);
            self.screen.remark(&explained(name, property));
            let aid = Arc::new(Values::of(property));
            loop {
                let line = match turn.ask(&format!("{}: ", visible_line(name)), aid.clone()).await {
                    Read::Line(line) => line,
                    Read::Interrupted | Read::End => return Err(Stop::Interrupted),
                };
                let value = match (line.trim(), property) {
                    ("", Some(property)) => property.default_value().cloned(),
                    ("", None) => None,
                    (text, Some(property)) => match arguments::typed(property, text) {
                        Ok(value) => Some(value),
                        Err(problem) => {
                            self.screen.remark(&format!("  it {}", visible(&problem)));
                            continue;
                        }
                    },
                    (text, None) => Some(serde_json::from_str(text).unwrap_or_else(|_| text.into())),
                };
                given.extend(value.map(|value| (name.clone(), value)));
                break;
            }
        }
        Ok(())
    }
}

/// Whether arguments are to be kept nowhere.
fn is_secret(tool: &Tool, parsed: &Result<JsonObject, ArgumentsError>) -> bool {
    match parsed {
        Ok(given) => holds_secret(tool, given),
        Err(_) => arguments::has_secret(tool),
    }
}

/// The arguments if nothing is missing. JSON is sent as it is: the server decides.
fn complete(
    tool: &Tool,
    text: &str,
    parsed: Result<JsonObject, ArgumentsError>,
) -> Result<JsonObject, String> {
    let given = parsed.map_err(|error| error.to_string())?;
    let missing = arguments::missing(tool, &given);
    if missing.is_empty() || text.starts_with('{') {
        return Ok(given);
    }
    Err(format!("`{}` is missing\nusage: {}", missing.join("`, `"), arguments::usage(tool)))
}

/// A tool that a server does not list: anything may be its arguments.
fn unlisted(name: &str) -> Tool {
    Tool::new(name.to_owned(), "", Arc::new(JsonObject::new()))
}

/// `expression (STRING): What to calculate`
fn explained(name: &str, property: Option<Schema<'_>>) -> String {
    let Some(property) = property else { return format!("{} is required", visible_line(name)) };
    let mut text = format!("{} ({})", visible_line(name), visible_line(&property.placeholder()));
    if let Some(description) = property.description() {
        text += &format!(": {}", visible(description));
    }
    if let Some(default) = property.default_value() {
        text += &format!(" [{}]", visible_line(&shown(default)));
    }
    text
}

/// Completes the values that a property may have.
struct Values {
    values: Vec<String>,
    secret: bool,
}

impl Values {
    fn of(property: Option<Schema<'_>>) -> Self {
        let values = property.map(Schema::choices).unwrap_or_default().into_iter().map(shown).collect();
        Self { values, secret: property.is_some_and(Schema::is_secret) }
    }
}

impl LineAid for Values {
    fn complete(&self, line: &str, cursor: usize) -> (usize, Vec<Candidate>) {
        let before = line.get(..cursor).unwrap_or(line);
        let fits = |value: &&String| value.starts_with(before) && !value.contains(char::is_control);
        let candidate = |value: &String| Candidate { text: value.clone(), about: String::new() };
        (0, self.values.iter().filter(fits).map(candidate).collect())
    }

    fn colored<'a>(&self, line: &'a str) -> std::borrow::Cow<'a, str> {
        if self.secret { "*".repeat(crate::render::plain::width(line)).into() } else { line.into() }
    }
}
