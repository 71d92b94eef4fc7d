//! A user who accepts whatever a server proposes.

use async_trait::async_trait;
use rmcp::model::{
    CreateMessageRequestParams, CreateMessageResult, ElicitRequestParams, ElicitResult, ElicitationAction,
    ErrorData, ListRootsResult, Role, SamplingMessage, SamplingMessageContentBlock,
};
use serde_json::{Value, json};
use upstream::{Abilities, Host, Notice};

/// Accepts forms with their defaults, and agrees where there is none.
pub(crate) struct Defaults;

#[async_trait]
impl Host for Defaults {
    fn abilities(&self) -> Abilities {
        Abilities { elicit_forms: true, elicit_urls: false, sampling: true, roots: true }
    }

    async fn elicit(&self, _: &str, request: ElicitRequestParams) -> Result<ElicitResult, ErrorData> {
        let ElicitRequestParams::FormElicitationParams { requested_schema, .. } = request else {
            return Ok(ElicitResult::new(ElicitationAction::Decline));
        };
        let schema = serde_json::to_value(requested_schema).unwrap_or_default();
        let fields = schema["properties"].as_object().into_iter().flatten();
        let content: Value = fields
            .map(|(name, field)| (name.clone(), answer(field)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(content))
    }

    async fn sample(&self, _: &str, _: CreateMessageRequestParams) -> Result<CreateMessageResult, ErrorData> {
        let message = SamplingMessage::new(Role::Assistant, SamplingMessageContentBlock::text("an answer"));
        Ok(CreateMessageResult::new(message, "mock-model".into()))
    }

    async fn roots(&self, _: &str) -> Result<ListRootsResult, ErrorData> {
        Ok(ListRootsResult::new(Vec::new()))
    }

    fn notice(&self, server: &str, notice: Notice) {
        tracing::debug!(server, ?notice, "heard");
    }
}

fn answer(field: &Value) -> Value {
    if let Some(default) = field.get("default") {
        return default.clone();
    }
    match field["type"].as_str() {
        Some("boolean") => json!(true),
        Some("integer" | "number") => json!(1),
        Some("array") => json!([]),
        _ => field["enum"].get(0).cloned().unwrap_or_else(|| json!("test")),
    }
}
