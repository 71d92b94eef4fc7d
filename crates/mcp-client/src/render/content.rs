//! What calls give: texts, JSON, media, links.

use rmcp::model::{
    CallToolResult, ContentBlock, GetPromptResult, ReadResourceResult, Resource, ResourceContents, Role,
};
use serde_json::Value;

use super::{Renderer, json, media, paint::Ink, plain};

pub(super) fn tool_result(renderer: &Renderer, result: &CallToolResult) -> String {
    let structured = result.structured_content.as_ref();
    let mut parts = Vec::new();
    let mut shown = false;
    for block in &result.content {
        // Servers repeat structured content as text, for older clients.
        match (block, structured) {
            (ContentBlock::Text(text), Some(value)) if same(&text.text, value) => {
                shown = true;
                parts.push(self::json(renderer, &text.text));
            }
            _ => parts.push(self::block(renderer, block)),
        }
    }
    if let Some(value) = structured.filter(|_| !shown) {
        parts.push(json::of_value(value, renderer.color));
    }
    if parts.is_empty() {
        parts.push(renderer.note("(an empty result)"));
    }
    let text = parts.join("\n");
    if result.is_error == Some(true) {
        format!("{} {text}", renderer.ink(Ink::Red, "the tool failed:"))
    } else {
        text
    }
}

/// Whether a text is this value as JSON.
fn same(text: &str, value: &Value) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|parsed| parsed == *value)
}

fn block(renderer: &Renderer, block: &ContentBlock) -> String {
    match block {
        ContentBlock::Text(text) => self::text(renderer, &text.text),
        ContentBlock::Image(image) => saved(renderer, "image", Some(&image.mime_type), &image.data),
        ContentBlock::Audio(audio) => saved(renderer, "audio", Some(&audio.mime_type), &audio.data),
        ContentBlock::Resource(embedded) => contents(renderer, &embedded.resource, true),
        ContentBlock::ResourceLink(link) => self::link(renderer, link),
        // A newer version's.
        other => serde_json::to_value(other)
            .map(|value| json::of_value(&value, renderer.color))
            .unwrap_or_default(),
    }
}

/// As it is; JSON indented where a person reads it.
fn text(renderer: &Renderer, text: &str) -> String {
    let indented = renderer.color.then(|| json::of_text(text, true)).flatten();
    indented.unwrap_or_else(|| plain::visible(text.trim_end_matches('\n')).into_owned())
}

fn json(renderer: &Renderer, text: &str) -> String {
    json::of_text(text, renderer.color).unwrap_or_else(|| self::text(renderer, text))
}

fn saved(renderer: &Renderer, what: &str, mime: Option<&str>, base64: &str) -> String {
    let mime_shown = plain::visible_line(mime.unwrap_or("unknown type"));
    match media::save(&renderer.media, mime, base64) {
        Ok((path, length)) => {
            let about = renderer.ink(Ink::Dim, &format!("[{what} {mime_shown}, {}]", media::size(length)));
            format!("{about} {}", renderer.ink(Ink::Cyan, &path.display().to_string()))
        }
        Err(reason) => renderer.problem(&format!("{what} {mime_shown} cannot be saved: {reason}")),
    }
}

fn link(renderer: &Renderer, link: &Resource) -> String {
    let name = plain::visible_line(link.title.as_deref().unwrap_or(&link.name));
    let uri = renderer.ink(Ink::Cyan, &plain::visible_line(&link.uri));
    let mut line = format!("→ {} {uri}", renderer.ink(Ink::Bold, &name));
    if let Some(mime) = &link.mime_type {
        line += &renderer.ink(Ink::Dim, &format!(" ({})", plain::visible_line(mime)));
    }
    if let Some(description) = &link.description {
        line += &format!("\n  {}", plain::visible(description).replace('\n', "\n  "));
    }
    line
}

pub(super) fn resource(renderer: &Renderer, result: &ReadResourceResult) -> String {
    let titled = result.contents.len() > 1;
    let parts: Vec<_> = result.contents.iter().map(|part| contents(renderer, part, titled)).collect();
    if parts.is_empty() { renderer.note("(nothing is in it)") } else { parts.join("\n") }
}

fn contents(renderer: &Renderer, contents: &ResourceContents, titled: bool) -> String {
    let (uri, body) = match contents {
        ResourceContents::TextResourceContents { uri, text, .. } => (uri, self::text(renderer, text)),
        ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
            (uri, saved(renderer, "file", mime_type.as_deref(), blob))
        }
        // A newer version's.
        other => {
            return serde_json::to_value(other)
                .map(|value| json::of_value(&value, renderer.color))
                .unwrap_or_default();
        }
    };
    if titled {
        format!("{}\n{body}", renderer.ink(Ink::Dim, &format!("[{}]", plain::visible_line(uri))))
    } else {
        body
    }
}

pub(super) fn prompt(renderer: &Renderer, result: &GetPromptResult) -> String {
    let description = result.description.iter().map(|text| renderer.note(text));
    let messages = result.messages.iter().map(|message| {
        let role = match message.role {
            Role::User => "user:",
            Role::Assistant => "assistant:",
        };
        format!("{} {}", renderer.ink(Ink::Bold, role), block(renderer, &message.content))
    });
    let parts: Vec<_> = description.chain(messages).collect();
    if parts.is_empty() { renderer.note("(no messages)") } else { parts.join("\n") }
}
