//! Results of tools as both of their forms: structured content, and the same JSON as text.

use rmcp::model::{CallToolResult, ContentBlock};
use serde::Serialize;
use serde_json::Value;

/// A result in both of its forms.
#[derive(Debug, Default)]
pub struct Reply {
    value: Value,
    text: String,
}

impl Reply {
    /// Both forms of `result`.
    ///
    /// # Errors
    /// When it is not JSON: a map without string keys, for instance.
    pub fn of(result: &impl Serialize) -> serde_json::Result<Self> {
        Ok(Self { value: serde_json::to_value(result)?, text: serde_json::to_string(result)? })
    }

    /// The tool has done its work.
    #[must_use]
    pub fn success(self) -> CallToolResult {
        self.result(false)
    }

    /// The tool has failed, and this says why.
    #[must_use]
    pub fn failure(self) -> CallToolResult {
        self.result(true)
    }

    fn result(self, failed: bool) -> CallToolResult {
        let mut result = CallToolResult::success(vec![ContentBlock::text(self.text)]);
        result.structured_content = Some(self.value);
        result.is_error = Some(failed);
        result
    }
}
