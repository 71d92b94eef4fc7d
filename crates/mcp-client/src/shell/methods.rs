//! Methods of MCP itself, written where a tool would stand: `call NAME resources/read {"uri": …}`.

use std::sync::Arc;

use rmcp::model::{JsonObject, Tool};
use serde_json::{Value, json};
use upstream::{CallOptions, Upstream};

use super::operator::{Operator, Stop};

impl Operator {
    pub(super) async fn method(&self, server: &Upstream, method: &str, text: &str) -> Result<(), Stop> {
        let given = self.arguments(&wants(method), text).await?;
        let word = |name: &str| given.get(name).and_then(Value::as_str).unwrap_or_default();
        let renderer = &self.renderer;
        let name = server.name();
        let work = async {
            Ok(match method {
                "tools/list" => renderer.tools(name, &server.tools().await?),
                "resources/list" => renderer.resources(name, &server.resources().await?, &[]),
                "resources/templates/list" => {
                    renderer.resources(name, &[], &server.resource_templates().await?)
                }
                "resources/read" => {
                    renderer.resource(&server.read_resource(word("uri"), CallOptions::default()).await?)
                }
                "prompts/list" => renderer.prompts(name, &server.prompts().await?),
                "prompts/get" => {
                    let arguments =
                        given.get("arguments").and_then(Value::as_object).cloned().unwrap_or_default();
                    renderer.prompt(&server.prompt(word("name"), arguments, CallOptions::default()).await?)
                }
                _ => format!("{:.1} ms", server.ping().await?.as_secs_f64() * 1_000.0),
            })
        };
        let shown = self.patiently(name, work).await.map_err(|error| Stop::call(server, &error))?;
        self.screen.print(&shown);
        Ok(())
    }
}

/// What a method wants, as if it were a tool.
fn wants(method: &str) -> Tool {
    let schema = match method {
        "resources/read" => {
            json!({"type": "object", "required": ["uri"], "properties": {"uri": {"type": "string"}}})
        }
        "prompts/get" => json!({"type": "object", "required": ["name"],
            "properties": {"name": {"type": "string"}, "arguments": {"type": "object"}}}),
        _ => json!({"type": "object"}),
    };
    let schema = match schema {
        Value::Object(schema) => schema,
        _ => JsonObject::new(),
    };
    Tool::new(method.to_owned(), "", Arc::new(schema))
}
