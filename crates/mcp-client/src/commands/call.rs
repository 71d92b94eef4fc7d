//! `call`: one tool of one server.

use std::{
    fs,
    io::{self, IsTerminal as _, Read},
    sync::Arc,
};

use rmcp::model::{CallToolResult, ContentBlock, ErrorCode, JsonObject, Tool};
use serde_json::json;
use upstream::{CallError, CallOptions, Upstream};

use crate::{
    Exit, arguments,
    command_line::CallArgs,
    output::{Stop, with_server},
    progress::{Events, Line},
    render::{Failure, schema},
    session::Session,
};

/// Most that is read from standard input or a file, in bytes.
const MAX_BYTES: u64 = 16 << 20;
/// The codes with which servers refuse wrong names and wrong arguments.
const WRONG: [i32; 2] = [-32601, -32602];
/// Most names of tools that an error lists.
const MAX_NAMES: usize = 12;

pub(crate) async fn run(session: &Session, args: &CallArgs) -> Result<Exit, Stop> {
    let output = &session.output;
    if args.raw && io::stdout().is_terminal() {
        return Err(Stop::usage("--raw is not for a terminal: write to a file or a pipe"));
    }
    let call = Call { tool: args.tool.clone(), arguments: Arguments::of(&args.arguments)? };
    let server = session.server(&args.server)?;
    let line = Line::on_stderr(&args.tool, args.progress && !output.json);
    let events =
        (args.progress && output.json).then(|| Events::new(output.clone(), server.name(), &args.tool));
    let progress = match &events {
        Some(events) => Some(events.hearer()),
        None => line.hearer(),
    };
    let answer = call.on(&server, CallOptions { progress, ..CallOptions::default() }).await;
    drop(line);
    let about = json!({"tool": args.tool});
    let answer = match answer {
        Ok(answer) => answer,
        Err(failure) => return output.failure(server.name(), &failure, about),
    };
    if output.json {
        output.document(&with_server(server.name(), about, json!({"result": answer.result})))?;
    } else if args.raw {
        output.bytes(raw(&answer.result).as_bytes())?;
    } else {
        output.text(&output.renderer.tool_result(&answer.result))?;
    }
    if let Some(hint) = &answer.hint {
        output.say(&output.renderer.note(hint));
    }
    Ok(exit(&answer.result))
}

pub(crate) fn exit(result: &CallToolResult) -> Exit {
    if result.is_error == Some(true) { Exit::ToolError } else { Exit::Success }
}

/// The texts alone.
fn raw(result: &CallToolResult) -> String {
    let texts = result.content.iter().filter_map(|block| match block {
        ContentBlock::Text(text) => Some(text.text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// A call that can be made of several servers.
pub(crate) struct Call {
    pub(crate) tool: String,
    pub(crate) arguments: Arguments,
}

/// Arguments as they were written.
pub(crate) enum Arguments {
    /// They need no schema.
    Ready(JsonObject),
    /// Their types are the schema's.
    Words(Vec<String>),
}

/// What a tool answered.
pub(crate) struct Answer {
    pub(crate) result: CallToolResult,
    /// Why it may have failed.
    pub(crate) hint: Option<String>,
}

impl Arguments {
    /// `-` is standard input, `@FILE` a file; both hold JSON.
    pub(crate) fn of(words: &[String]) -> Result<Self, Stop> {
        match words {
            [] => Ok(Self::Ready(JsonObject::new())),
            [only] if only == "-" => Self::read(io::stdin().lock(), "standard input"),
            [only] if only.len() > 1 && only.starts_with('@') => {
                let file = fs::File::open(&only[1..]);
                let file =
                    file.map_err(|error| Stop::usage(format!("{} cannot be read: {error}", &only[1..])))?;
                Self::read(file, &only[1..])
            }
            // What is no JSON is refused when the tool is known: the error shows the place and the usage.
            [only] if only.trim_start().starts_with('{') => Ok(match serde_json::from_str(only) {
                Ok(object) => Self::Ready(object),
                Err(_) => Self::Words(words.to_vec()),
            }),
            _ => Ok(Self::Words(words.to_vec())),
        }
    }

    fn read(from: impl Read, name: &str) -> Result<Self, Stop> {
        let mut bytes = Vec::new();
        let read = from.take(MAX_BYTES + 1).read_to_end(&mut bytes);
        read.map_err(|error| Stop::usage(format!("{name} cannot be read: {error}")))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(Stop::usage(format!("{name} has more than 16 MiB")));
        }
        let object = serde_json::from_slice(&bytes);
        object.map(Self::Ready).map_err(|error| Stop::usage(format!("{name} is not a JSON object: {error}")))
    }
}

impl Call {
    /// Calls the tool. Its schema is looked at only when it is needed: for arguments that are not JSON, and to explain a refusal.
    pub(crate) async fn on(&self, server: &Upstream, options: CallOptions) -> Result<Answer, Failure> {
        let arguments = match &self.arguments {
            Arguments::Ready(object) => object.clone(),
            Arguments::Words(words) => self.typed(server, words).await?,
        };
        let mut answer = server.call_tool(&self.tool, arguments.clone(), options.clone()).await;
        // Some arguments are wanted as headers too, which only the schema tells. Nothing was carried out yet.
        if matches!(&answer, Err(CallError::Refused(error)) if error.code == ErrorCode::HEADER_MISMATCH) {
            server.tools().await.map_err(|error| Failure::of_call(&error))?;
            answer = server.call_tool(&self.tool, arguments.clone(), options).await;
        }
        match answer {
            Ok(result) => {
                let failed = result.is_error == Some(true);
                let hint = if failed { self.lacking(server, &arguments).await } else { None };
                Ok(Answer { result, hint })
            }
            Err(error) => Err(self.explained(server, &arguments, &error).await),
        }
    }

    /// The arguments as the tool's schema wants them.
    pub(crate) async fn typed(&self, server: &Upstream, words: &[String]) -> Result<JsonObject, Failure> {
        let tools = server.tools().await.map_err(|error| Failure::of_call(&error))?;
        let tool = find(&tools, &self.tool).ok_or_else(|| unknown(&self.tool, &tools))?;
        let arguments = arguments::parse_words(tool, words);
        let arguments = arguments.map_err(|error| Failure::usage(error.to_string()))?;
        match lacking(tool, &arguments) {
            Some(missing) => Err(Failure::usage(missing).with_hint(Some(usage(tool)))),
            None => Ok(arguments),
        }
    }

    /// Required arguments that are missing, in words. Nothing if the list cannot be had: there is another error to show.
    async fn lacking(&self, server: &Upstream, arguments: &JsonObject) -> Option<String> {
        let tools = server.tools().await.ok()?;
        lacking(find(&tools, &self.tool)?, arguments)
    }

    async fn explained(&self, server: &Upstream, arguments: &JsonObject, error: &CallError) -> Failure {
        let failure = Failure::of_call(error);
        if !failure.code.is_some_and(|code| WRONG.contains(&code)) {
            return failure;
        }
        let Ok(tools) = server.tools().await else { return failure };
        match find(&tools, &self.tool) {
            None => unknown(&self.tool, &tools),
            Some(tool) => {
                let missing = lacking(tool, arguments).unwrap_or_else(|| usage(tool));
                failure.with_hint(Some(missing))
            }
        }
    }
}

fn find<'a>(tools: &'a [Tool], name: &str) -> Option<&'a Tool> {
    tools.iter().find(|tool| tool.name == name)
}

fn usage(tool: &Tool) -> String {
    format!("usage: {}", arguments::usage(tool))
}

/// `missing: message (string: What to send back)`
fn lacking(tool: &Tool, given: &JsonObject) -> Option<String> {
    let missing = arguments::missing(tool, given);
    let known = schema::arguments(tool);
    let words: Vec<_> = missing
        .iter()
        .map(|name| match known.iter().find(|argument| argument.name == name) {
            Some(argument) => format!("{name} ({})", argument.kind),
            None => name.clone(),
        })
        .collect();
    (!words.is_empty()).then(|| format!("missing: {}", words.join(", ")))
}

fn unknown(name: &str, tools: &[Tool]) -> Failure {
    let nearest = arguments::nearest(name, tools.iter().map(|tool| &*tool.name));
    let hint = match nearest {
        Some(nearest) => format!("did you mean {nearest}?"),
        None if tools.is_empty() => "it has no tools".to_owned(),
        None => {
            let names: Vec<_> = tools.iter().take(MAX_NAMES).map(|tool| &*tool.name).collect();
            let more = if tools.len() > MAX_NAMES { ", …" } else { "" };
            format!("it has {}{more}", names.join(", "))
        }
    };
    let mut failure = Failure::usage(format!("there is no tool {name:?}")).with_hint(Some(hint));
    failure.kind = "unknown_tool";
    failure
}

/// So that the closure of a call's options can be shared.
pub(crate) type Hearer = Arc<dyn Fn(upstream::Progress) + Send + Sync>;
