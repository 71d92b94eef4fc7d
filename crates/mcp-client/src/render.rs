//! How results read in a terminal. Text of servers never reaches it with its control characters.

mod content;
mod errors;
pub(crate) mod json;
mod lists;
pub(crate) mod media;
pub(crate) mod paint;
pub(crate) mod plain;
pub(crate) mod schema;
pub(crate) mod table;

use std::{borrow::Cow, path::PathBuf};

use rmcp::model::{
    CallToolResult, GetPromptResult, Prompt, ReadResourceResult, Resource, ResourceTemplate, Tool,
};
use serde_json::Value;
use upstream::{CallError, Introduction, Status, Upstream};

pub(crate) use errors::{Failure, with_causes};
pub(crate) use lists::is_modern;

use paint::Ink;
use server_files::Secrets;

/// How results are shown. What it returns ends without a line feed.
#[derive(Debug, Clone)]
pub(crate) struct Renderer {
    /// Colours may be used.
    pub(crate) color: bool,
    /// Characters in a line.
    pub(crate) width: usize,
    /// Where images and audio are saved.
    pub(crate) media: PathBuf,
    /// What is hidden in what it shows, except in results.
    secrets: Secrets,
}

impl Renderer {
    pub(crate) fn new(color: bool, width: usize, media: PathBuf) -> Self {
        Self { color, width, media, secrets: Secrets::default() }
    }

    /// The same, hiding these wherever servers and errors are shown.
    pub(crate) fn hiding(mut self, secrets: &Secrets) -> Self {
        self.secrets.extend(secrets);
        self
    }

    /// All servers, as a table.
    pub(crate) fn servers(&self, servers: &[(Upstream, Status)]) -> String {
        lists::servers(self, servers)
    }

    /// What a server says of itself.
    pub(crate) fn introduction(&self, upstream: &Upstream, introduction: &Introduction) -> String {
        lists::introduction(self, upstream, introduction)
    }

    pub(crate) fn tools(&self, server: &str, tools: &[Tool]) -> String {
        lists::tools(self, server, tools)
    }

    /// One tool with all that is known of it.
    pub(crate) fn tool(&self, tool: &Tool) -> String {
        lists::tool(self, tool)
    }

    pub(crate) fn resources(
        &self,
        server: &str,
        resources: &[Resource],
        templates: &[ResourceTemplate],
    ) -> String {
        lists::resources(self, server, resources, templates)
    }

    pub(crate) fn prompts(&self, server: &str, prompts: &[Prompt]) -> String {
        lists::prompts(self, server, prompts)
    }

    /// Saves media, and shows where.
    pub(crate) fn tool_result(&self, result: &CallToolResult) -> String {
        content::tool_result(self, result)
    }

    pub(crate) fn resource(&self, result: &ReadResourceResult) -> String {
        content::resource(self, result)
    }

    pub(crate) fn prompt(&self, result: &GetPromptResult) -> String {
        content::prompt(self, result)
    }

    /// What went wrong, and what to do about it.
    pub(crate) fn call_error(&self, server: &str, error: &CallError) -> String {
        self.failure(server, &Failure::of_call(error))
    }

    /// The same of anything that went wrong with a server.
    pub(crate) fn failure(&self, server: &str, failure: &Failure) -> String {
        let message = self.secrets.hide(&failure.message);
        let problem = self.problem(&format!("{}: {message}", plain::visible_line(server)));
        match &failure.hint {
            Some(hint) => {
                let hint = self.secrets.hide(hint);
                let hint = plain::visible(&hint); // it names what the server calls its own
                format!("{problem}\n{}", self.ink(Ink::Dim, &format!("       {hint}")))
            }
            None => problem,
        }
    }

    /// A line of our own, in red.
    pub(crate) fn problem(&self, text: &str) -> String {
        let text = plain::visible(text);
        format!("{} {text}", self.ink(Ink::Red, "error:"))
    }

    /// Something that a person should know, but not an error.
    pub(crate) fn note(&self, text: &str) -> String {
        self.ink(Ink::Dim, &plain::visible(text))
    }

    /// A text with secrets hidden.
    pub(crate) fn hide(&self, text: &str) -> String {
        self.secrets.hide(text)
    }

    /// A document with secrets hidden.
    pub(crate) fn hide_in(&self, value: Value) -> Value {
        self.secrets.hide_in(value)
    }

    /// Where a server is, with secrets hidden, those in a program's arguments too.
    pub(crate) fn address(&self, upstream: &Upstream) -> String {
        let address = upstream.address().to_string();
        let mut arguments = Secrets::default();
        if let Some(words) = address.strip_prefix("stdio:").and_then(shlex::split) {
            arguments.add_arguments(&words);
        }
        self.hide(&arguments.hide(&address))
    }

    pub(crate) fn ink(&self, ink: Ink, text: &str) -> String {
        ink.paint(text, self.color)
    }

    /// A title above something of a server.
    fn title(&self, server: &str, what: &str) -> String {
        let server: Cow<'_, str> = plain::visible_line(server);
        format!("{} {}", self.ink(Ink::Bold, &server), self.ink(Ink::Dim, &format!("· {what}")))
    }
}

#[cfg(test)]
#[path = "render/tests.rs"]
mod tests;
