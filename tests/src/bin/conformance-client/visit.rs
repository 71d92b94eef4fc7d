//! Using whatever a server offers.

use rmcp::model::{JsonObject, Prompt, Tool};
use serde_json::{Value, json};
use upstream::{CallOptions, Upstream};

use crate::scenario::ToolCall;

/// Lists all there is, and uses each once: tools with arguments that fit their schemas.
pub(crate) async fn use_everything(server: &Upstream) -> anyhow::Result<()> {
    for tool in server.tools().await?.iter() {
        server.call_tool(&tool.name, arguments_of(tool), CallOptions::default()).await?;
    }
    for prompt in server.prompts().await?.iter() {
        server.prompt(&prompt.name, arguments_of_prompt(prompt), CallOptions::default()).await?;
    }
    for resource in server.resources().await?.iter() {
        server.read_resource(&resource.uri, CallOptions::default()).await?;
    }
    Ok(())
}

/// Makes the calls that the suite wants. The tools are listed first: their schemas say what goes into headers.
pub(crate) async fn call_tools(server: &Upstream, calls: &[ToolCall]) -> anyhow::Result<()> {
    server.tools().await?;
    for call in calls {
        server.call_tool(&call.name, call.arguments.clone(), CallOptions::default()).await?;
    }
    Ok(())
}

fn arguments_of(tool: &Tool) -> JsonObject {
    let required = tool.input_schema.get("required").and_then(Value::as_array);
    let properties = tool.input_schema.get("properties").and_then(Value::as_object);
    let name_and_value = |name: &Value| {
        let name = name.as_str()?;
        Some((name.to_owned(), value_of(properties?.get(name)?)))
    };
    required.into_iter().flatten().filter_map(name_and_value).collect()
}

fn value_of(schema: &Value) -> Value {
    match schema["type"].as_str() {
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(true),
        Some("object") => json!({}),
        Some("array") => json!([]),
        _ => json!("test"),
    }
}

fn arguments_of_prompt(prompt: &Prompt) -> JsonObject {
    let arguments = prompt.arguments.iter().flatten();
    arguments.map(|argument| (argument.name.clone(), json!("test"))).collect()
}
