//! Commands about what servers offer.

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use rmcp::model::{ArgumentInfo, CompleteRequestParams, LoggingLevel, Prompt, Tool};
use serde_json::{Value, json};
use upstream::{CallError, CallOptions, Upstream};

use super::{
    commands::LEVELS,
    complete::reference,
    operator::{Operator, Stop},
    resolve::named,
};
use crate::{
    Exit,
    arguments::{self, nearest, split_first},
    render::{is_modern, plain::visible_line},
};

impl Operator {
    pub(super) async fn tools(&self, rest: &str) -> Result<(), Stop> {
        self.of_each(rest, async |server: &Upstream| {
            let tools = server.tools().await?;
            Ok(self.renderer.tools(server.name(), &tools))
        })
        .await
    }

    pub(super) async fn resources(&self, rest: &str) -> Result<(), Stop> {
        self.of_each(rest, async |server: &Upstream| {
            let (resources, templates) = tokio::join!(server.resources(), server.resource_templates());
            // Templates are often not implemented where resources are.
            let (resources, templates) = (resources?, templates.unwrap_or_default());
            Ok(self.renderer.resources(server.name(), &resources, &templates))
        })
        .await
    }

    pub(super) async fn prompts(&self, rest: &str) -> Result<(), Stop> {
        self.of_each(rest, async |server: &Upstream| {
            let prompts = server.prompts().await?;
            Ok(self.renderer.prompts(server.name(), &prompts))
        })
        .await
    }

    pub(super) async fn info(&self, rest: &str) -> Result<(), Stop> {
        self.of_each(rest, async |server: &Upstream| {
            let introduction = server.connect().await?;
            Ok(self.renderer.introduction(server, &introduction))
        })
        .await
    }

    pub(super) async fn ping(&self, rest: &str) -> Result<(), Stop> {
        self.of_each(rest, async |server: &Upstream| {
            let took = server.ping().await?;
            Ok(format!("{}: {:.1} ms", visible_line(server.name()), took.as_secs_f64() * 1_000.0))
        })
        .await
    }

    /// Asks all servers at once, and shows the answers as they come: none waits for a slower one.
    async fn of_each(
        &self,
        rest: &str,
        ask: impl AsyncFn(&Upstream) -> Result<String, CallError>,
    ) -> Result<(), Stop> {
        let servers = self.servers_named(rest)?;
        if servers.is_empty() {
            return Err(Stop::usage("there are no servers: `add NAME ADDRESS` adds one"));
        }
        let ask = &ask;
        let mut asked: FuturesUnordered<_> =
            servers.iter().map(|server| async move { (server, ask(server).await) }).collect();
        let mut worst = Exit::Success;
        let name = if let [only] = servers.as_slice() { only.name() } else { "servers" };
        while let Some((server, answer)) = self.patiently(name, asked.next()).await {
            match answer {
                Ok(text) => self.screen.print(&text),
                Err(error) => {
                    self.screen.remark(&self.renderer.call_error(server.name(), &error));
                    worst = worst.max(crate::render::Failure::of_call(&error).exit);
                }
            }
        }
        if worst == Exit::Success { Ok(()) } else { Err(Stop::Shown(worst)) }
    }

    pub(super) async fn tool(&self, rest: &str) -> Result<(), Stop> {
        if rest.is_empty() {
            return Err(Stop::usage("usage: tool [NAME] TOOL"));
        }
        let (server, name, _) = self.tool_first(rest).await?;
        let tools = self.patiently(server.name(), server.tools()).await;
        let tools = tools.map_err(|error| Stop::call(&server, &error))?;
        let tool = named(&tools, &name).ok_or_else(|| no_tool(&server, &name, &tools))?;
        self.screen.print(&self.renderer.tool(tool));
        self.screen.print(&self.renderer.note(&format!("call {} {}", server.name(), arguments::usage(tool))));
        Ok(())
    }

    pub(super) async fn read(&self, rest: &str) -> Result<(), Stop> {
        const USAGE: &str = "read [NAME] URI";
        let (server, rest) = self.server_first(rest, USAGE)?;
        let (uri, _) = split_first(rest).ok_or_else(|| Stop::usage(format!("usage: {USAGE}")))?;
        let read = self.patiently(server.name(), server.read_resource(&uri, CallOptions::default())).await;
        let read = read.map_err(|error| Stop::call(&server, &error))?;
        self.screen.print(&self.renderer.resource(&read));
        Ok(())
    }

    pub(super) async fn subscribe(&self, rest: &str, wanted: bool) -> Result<(), Stop> {
        let usage = if wanted { "subscribe [NAME] URI" } else { "unsubscribe [NAME] URI" };
        let (server, rest) = self.server_first(rest, usage)?;
        let (uri, _) = split_first(rest).ok_or_else(|| Stop::usage(format!("usage: {usage}")))?;
        let done = self
            .patiently(server.name(), async {
                if wanted { server.subscribe(&uri).await } else { server.unsubscribe(&uri).await }
            })
            .await;
        done.map_err(|error| Stop::call(&server, &error))?;
        let words = if wanted { "you will hear when it changes" } else { "you will not hear of it any more" };
        self.screen.print(&format!("{}: {words}: {}", visible_line(server.name()), visible_line(&uri)));
        Ok(())
    }

    pub(super) async fn log(&self, rest: &str) -> Result<(), Stop> {
        let usage = "log [NAME] LEVEL";
        let (server, rest) = self.server_first(rest, usage)?;
        let (level, _) = split_first(rest).ok_or_else(|| Stop::usage(format!("usage: {usage}")))?;
        let parsed: Option<LoggingLevel> = match level.as_str() {
            "off" => None,
            name => Some(serde_json::from_value(json!(name)).map_err(|_| {
                Stop::usage(format!("there is no level `{name}`; there are: {}", LEVELS.join(", ")))
            })?),
        };
        let done = self.patiently(server.name(), async {
            let introduction = server.connect().await?;
            if introduction.capabilities.logging.is_some() {
                server.set_log_level(parsed).await?;
            }
            Ok(introduction)
        });
        let introduction = done.await.map_err(|error| Stop::call(&server, &error))?;
        let words = match (&introduction.capabilities.logging, parsed) {
            (None, _) => "it says that it has no log, so nothing will be heard",
            (Some(_), None) => "its log is not heard any more",
            (Some(_), Some(_)) if is_modern(&introduction) => {
                &format!("its log is heard from here on, while it is called: {level}")
            }
            (Some(_), Some(_)) => &format!("its log is heard from here on: {level}"),
        };
        self.screen.print(&format!("{}: {words}", visible_line(server.name())));
        Ok(())
    }

    pub(super) async fn prompt(&self, rest: &str) -> Result<(), Stop> {
        const USAGE: &str = "prompt [NAME] PROMPT [ARGS]";
        let (server, rest) = self.server_first(rest, USAGE)?;
        let (name, text) = split_first(rest).ok_or_else(|| Stop::usage(format!("usage: {USAGE}")))?;
        let prompts = self.patiently(server.name(), server.prompts()).await;
        let prompts = prompts.map_err(|error| Stop::call(&server, &error))?;
        let Some(prompt) = prompts.iter().find(|prompt| prompt.name == name) else {
            let hint = match nearest(&name, prompts.iter().map(|prompt| prompt.name.as_str())) {
                Some(near) => format!("do you mean `{near}`?"),
                None => format!("`prompts {}` lists them", server.name()),
            };
            return Err(Stop::usage(format!("{} has no prompt `{name}`; {hint}", server.name())));
        };
        let arguments = self.arguments(&as_tool(prompt), text).await?;
        let got =
            self.patiently(server.name(), server.prompt(&name, arguments, CallOptions::default())).await;
        let got = got.map_err(|error| Stop::call(&server, &error))?;
        self.screen.print(&self.renderer.prompt(&got));
        Ok(())
    }

    pub(super) async fn complete(&self, rest: &str) -> Result<(), Stop> {
        const USAGE: &str = "complete NAME PROMPT|TEMPLATE ARGUMENT [START]";
        let usage = || Stop::usage(format!("usage: {USAGE}"));
        let (server, rest) = self.server_first(rest, USAGE)?;
        let (subject, rest) = split_first(rest).ok_or_else(usage)?;
        let (argument, rest) = split_first(rest).ok_or_else(usage)?;
        let start = split_first(rest).map(|(start, _)| start).unwrap_or_default();
        let templates = server.resource_templates().await.unwrap_or_default();
        let params =
            CompleteRequestParams::new(reference(&subject, &templates), ArgumentInfo::new(argument, start));
        let completion = self.patiently(server.name(), server.complete(params)).await;
        let completion = completion.map_err(|error| Stop::call(&server, &error))?;
        let mut lines: Vec<String> =
            completion.values.iter().map(|value| visible_line(value).into_owned()).collect();
        if lines.is_empty() {
            lines.push(self.renderer.note("it proposes nothing"));
        } else if completion.has_more == Some(true) {
            lines.push("…".to_owned());
        }
        self.screen.print(&lines.join("\n"));
        Ok(())
    }
}

/// What to say when a server does not list a tool.
pub(super) fn no_tool(server: &Upstream, name: &str, tools: &[Tool]) -> Stop {
    let hint = match nearest(name, tools.iter().map(|tool| tool.name.as_ref())) {
        Some(near) => format!("do you mean `{near}`?"),
        None => format!("`tools {}` lists them", server.name()),
    };
    Stop::usage(format!("{} has no tool `{name}`; {hint}", server.name()))
}

/// A prompt's arguments are texts; else they are written as a tool's.
fn as_tool(prompt: &Prompt) -> Tool {
    let mut properties = serde_json::Map::new();
    let mut required = Vec::new();
    for argument in prompt.arguments.iter().flatten() {
        let mut schema = json!({"type": "string"});
        if let Some(description) = &argument.description {
            schema["description"] = json!(description);
        }
        properties.insert(argument.name.clone(), schema);
        if argument.required == Some(true) {
            required.push(argument.name.clone());
        }
    }
    let schema = match json!({"type": "object", "properties": properties, "required": required}) {
        Value::Object(schema) => schema,
        _ => serde_json::Map::new(),
    };
    Tool::new(prompt.name.clone(), "", std::sync::Arc::new(schema))
}
