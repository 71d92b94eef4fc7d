//! Lists of what there is.

use rmcp::model::{Prompt, Resource, ResourceTemplate, ServerCapabilities, Tool, ToolAnnotations};
use serde_json::Value;
use upstream::{Introduction, Status, Upstream};

use super::{
    Renderer, json, media,
    paint::Ink,
    plain, schema,
    table::{Cell, Table},
};

pub(super) fn servers(renderer: &Renderer, servers: &[(Upstream, Status)]) -> String {
    if servers.is_empty() {
        return renderer.note("no servers");
    }
    let mut table = Table::new(["name", "status", "server", "mcp", "address"]);
    for (upstream, status) in servers {
        let (word, ink) = status_word(status);
        let mut state = Cell::new(word, ink);
        if let Status::Disconnected(error) = status {
            state.push(plain::visible(&renderer.hide(&super::Failure::of_connect(error).message)), Ink::Dim);
        }
        let introduction = match status {
            Status::Connected(introduction) => Some(introduction),
            _ => None,
        };
        let about = introduction.and_then(|introduction| introduction.server.as_ref());
        let about = about.map(|server| {
            format!("{} {}", plain::visible_line(&server.name), plain::visible_line(&server.version))
        });
        let version = introduction
            .map(|introduction| plain::visible_line(introduction.protocol_version.as_str()).into_owned());
        table.row([
            Cell::new(plain::visible_line(upstream.name()), Ink::Bold),
            state,
            Cell::new(about.unwrap_or_default(), Ink::Plain),
            Cell::new(version.unwrap_or_default(), Ink::Plain),
            Cell::new(address(renderer, upstream), Ink::Plain),
        ]);
    }
    table.show(renderer.width, renderer.color)
}

fn address(renderer: &Renderer, upstream: &Upstream) -> String {
    plain::shorten(&plain::visible_line(&renderer.address(upstream)), 60)
}

const fn status_word(status: &Status) -> (&'static str, Ink) {
    match status {
        Status::Idle => ("idle", Ink::Dim),
        Status::Connecting => ("connecting", Ink::Yellow),
        Status::Connected(_) => ("connected", Ink::Green),
        Status::Disconnected(_) => ("disconnected", Ink::Red),
        Status::Closed => ("closed", Ink::Dim),
    }
}

pub(super) fn introduction(renderer: &Renderer, upstream: &Upstream, introduction: &Introduction) -> String {
    let mut lines = vec![renderer.title(upstream.name(), &address(renderer, upstream))];
    let mut say = |name: &str, value: &str| {
        lines.push(format!("  {} {}", renderer.ink(Ink::Dim, &format!("{name:<12}")), plain::visible(value)));
    };
    if let Some(server) = &introduction.server {
        say("server", &format!("{} {}", server.name, server.version));
        for (name, value) in
            [("title", &server.title), ("about", &server.description), ("website", &server.website_url)]
        {
            if let Some(value) = value {
                say(name, value);
            }
        }
    }
    let version = introduction.protocol_version.as_str();
    say(
        "protocol",
        &format!(
            "MCP {version} ({})",
            if is_modern(introduction) { "stateless" } else { "with a handshake" }
        ),
    );
    say("offers", &offers(&introduction.capabilities));
    if let Some(text) = &introduction.instructions {
        let room = renderer.width.saturating_sub(15).max(20);
        say("instructions", &plain::wrap(&plain::visible(text), room).join("\n               "));
    }
    lines.join("\n")
}

/// Whether the server speaks the newer era.
pub(crate) fn is_modern(introduction: &Introduction) -> bool {
    introduction.protocol_version.as_str() >= rmcp::model::ProtocolVersion::V_2026_07_28.as_str()
}

fn offers(capabilities: &ServerCapabilities) -> String {
    // The wire form names everything, also what a newer version adds.
    let Ok(Value::Object(all)) = serde_json::to_value(capabilities) else { return String::new() };
    let words: Vec<_> = all
        .iter()
        .map(|(name, value)| {
            let inside: Vec<_> = value
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(_, value)| **value != Value::Bool(false))
                .map(|(name, _)| name.as_str())
                .collect();
            if inside.is_empty() { name.clone() } else { format!("{name} ({})", inside.join(", ")) }
        })
        .collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

pub(super) fn tools(renderer: &Renderer, server: &str, tools: &[Tool]) -> String {
    let title = renderer.title(server, &count(tools.len(), "tool"));
    if tools.is_empty() {
        return title;
    }
    let mut table = Table::new(["tool", "arguments", "description"]);
    for tool in tools {
        let mut name = Cell::new(plain::visible_line(&tool.name), Ink::Bold);
        for (hint, ink) in hints(tool.annotations.as_ref()) {
            name.push(hint, ink);
        }
        let mut arguments = Cell::default();
        for argument in schema::arguments(tool) {
            arguments.push(plain::visible_line(&words(&argument)), Ink::Plain);
        }
        let description = tool.description.as_deref().or(tool.title.as_deref()).unwrap_or_default();
        table.row([name, arguments, Cell::new(plain::visible(description.trim()), Ink::Plain)]);
    }
    format!("{title}\n{}", table.show(renderer.width, renderer.color))
}

/// `name: string`, `limit?: integer = 10`.
fn words(argument: &schema::Argument<'_>) -> String {
    let optional = if argument.required { "" } else { "?" };
    let default = argument.default.map(|value| format!(" = {}", plain::shorten(&value.to_string(), 24)));
    format!("{}{optional}: {}{}", argument.name, argument.kind, default.unwrap_or_default())
}

/// What a tool says it does to the world. Only a hint: a server may lie.
fn hints(annotations: Option<&ToolAnnotations>) -> Vec<(&'static str, Ink)> {
    let Some(annotations) = annotations else { return Vec::new() };
    let mut hints = Vec::new();
    match (annotations.read_only_hint, annotations.destructive_hint) {
        (Some(true), _) => hints.push(("read-only", Ink::Green)),
        (_, Some(true)) => hints.push(("destructive", Ink::Red)),
        (Some(false), Some(false)) => hints.push(("changes things", Ink::Yellow)),
        _ => {}
    }
    hints
}

pub(super) fn tool(renderer: &Renderer, tool: &Tool) -> String {
    let mut lines = vec![renderer.ink(Ink::Bold, &plain::visible_line(&tool.name))];
    if let Some(title) = &tool.title {
        lines[0] += &renderer.ink(Ink::Dim, &format!(" · {}", plain::visible_line(title)));
    }
    for (hint, ink) in hints(tool.annotations.as_ref()) {
        lines[0] += &format!(" {}", renderer.ink(ink, hint));
    }
    if let Some(description) = &tool.description {
        lines.extend(plain::wrap(&plain::visible(description.trim()), renderer.width));
    }
    let arguments = schema::arguments(tool);
    if !arguments.is_empty() {
        let mut table = Table::new(["argument", "type", "description"]);
        for argument in &arguments {
            let name = format!("{}{}", argument.name, if argument.required { "" } else { "?" });
            let mut about = Cell::new(plain::visible(argument.description.unwrap_or_default()), Ink::Plain);
            if let Some(default) = argument.default {
                about.push(format!("default: {}", plain::visible_line(&default.to_string())), Ink::Dim);
            }
            table.row([
                Cell::new(plain::visible_line(&name), Ink::Bold),
                Cell::new(plain::visible_line(&argument.kind), Ink::Cyan),
                about,
            ]);
        }
        lines.push(table.show(renderer.width, renderer.color));
    }
    if let Some(schema) = &tool.output_schema {
        let schema = Value::Object(schema.as_ref().clone());
        lines.push(renderer.ink(Ink::Dim, "answers with"));
        lines.push(json::of_value(&schema, renderer.color));
    }
    lines.join("\n")
}

pub(super) fn resources(
    renderer: &Renderer,
    server: &str,
    resources: &[Resource],
    templates: &[ResourceTemplate],
) -> String {
    let mut what = count(resources.len(), "resource");
    if !templates.is_empty() {
        what += &format!(", {}", count(templates.len(), "template"));
    }
    let title = renderer.title(server, &what);
    if resources.is_empty() && templates.is_empty() {
        return title;
    }
    let mut table = Table::new(["uri", "type", "description"]);
    for resource in resources {
        let mut kind =
            Cell::new(plain::visible_line(resource.mime_type.as_deref().unwrap_or_default()), Ink::Plain);
        if let Some(size) = resource.size {
            kind.push(media::size(usize::try_from(size).unwrap_or(usize::MAX)), Ink::Dim);
        }
        table.row([
            Cell::new(plain::visible_line(&resource.uri), Ink::Cyan),
            kind,
            about(resource.title.as_deref().unwrap_or(&resource.name), resource.description.as_deref()),
        ]);
    }
    for template in templates {
        table.row([
            Cell::new(plain::visible_line(&template.uri_template), Ink::Cyan),
            Cell::new(plain::visible_line(template.mime_type.as_deref().unwrap_or_default()), Ink::Plain),
            about(template.title.as_deref().unwrap_or(&template.name), template.description.as_deref()),
        ]);
    }
    format!("{title}\n{}", table.show(renderer.width, renderer.color))
}

pub(super) fn prompts(renderer: &Renderer, server: &str, prompts: &[Prompt]) -> String {
    let title = renderer.title(server, &count(prompts.len(), "prompt"));
    if prompts.is_empty() {
        return title;
    }
    let mut table = Table::new(["prompt", "arguments", "description"]);
    for prompt in prompts {
        let mut arguments = Cell::default();
        for argument in prompt.arguments.iter().flatten() {
            let optional = if argument.required == Some(true) { "" } else { "?" };
            arguments.push(format!("{}{optional}", plain::visible_line(&argument.name)), Ink::Plain);
        }
        let description = prompt.description.as_deref().or(prompt.title.as_deref()).unwrap_or_default();
        table.row([
            Cell::new(plain::visible_line(&prompt.name), Ink::Bold),
            arguments,
            Cell::new(plain::visible(description.trim()), Ink::Plain),
        ]);
    }
    format!("{title}\n{}", table.show(renderer.width, renderer.color))
}

fn about(name: &str, description: Option<&str>) -> Cell {
    let mut cell = Cell::new(plain::visible_line(name), Ink::Plain);
    if let Some(description) = description.map(str::trim).filter(|text| !text.is_empty()) {
        cell.push(plain::visible(description), Ink::Dim);
    }
    cell
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
