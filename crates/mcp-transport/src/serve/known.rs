//! The methods of the protocol.

use rmcp::model::ServerCapabilities;

/// Whether a server with these capabilities serves `method` in this era. rmcp takes a request of a method that it knows, with
/// parameters of another shape, for one of a method that it does not know.
pub(crate) fn is_served(method: &str, capabilities: &ServerCapabilities, modern: bool) -> bool {
    let resources = capabilities.resources.as_ref();
    match method {
        "initialize" | "ping" => !modern,
        "server/discover" | "subscriptions/listen" => modern,
        "logging/setLevel" => !modern && capabilities.logging.is_some(),
        "completion/complete" => capabilities.completions.is_some(),
        "tools/list" | "tools/call" => capabilities.tools.is_some(),
        "prompts/list" | "prompts/get" => capabilities.prompts.is_some(),
        "resources/list" | "resources/templates/list" | "resources/read" => resources.is_some(),
        "resources/subscribe" | "resources/unsubscribe" => {
            !modern && resources.is_some_and(|resources| resources.subscribe == Some(true))
        }
        "resources/directory/read" => capabilities.supports_directory_read(),
        "tasks/get" | "tasks/update" | "tasks/cancel" => modern && capabilities.supports_tasks(),
        "skills/list" | "skills/get" => capabilities.supports_skills(),
        _ => false,
    }
}
