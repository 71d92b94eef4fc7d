//! The resources: what the server is, and what it has done.

use rmcp::{
    ErrorData,
    model::{CacheScope, ReadResourceResult, Resource, ResourceContents},
};
use serde::Serialize;
use serde_json::json;

use crate::statistics::Statistics;

const INFO: &str = "server://info";
const STATS: &str = "server://stats";
const JSON: &str = "application/json";
/// How long a client may keep what never changes while the server runs.
const INFO_TTL_MS: u64 = 5 * 60 * 1_000;

/// What `server://info` shows.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Info<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) enabled_tools: Vec<String>,
}

/// All resources, as `resources/list` shows them.
pub(crate) fn all() -> [Resource; 2] {
    [
        Resource::new(INFO, "info")
            .with_title("Server information")
            .with_description("Name, version and enabled tools of this server")
            .with_mime_type(JSON),
        Resource::new(STATS, "stats")
            .with_title("Server statistics")
            .with_description(
                "Uptime, memory, requests, calls of each tool, and errors since this server started",
            )
            .with_mime_type(JSON),
    ]
}

/// Reads one resource.
///
/// # Errors
/// When there is none with this address.
pub(crate) fn read(
    uri: &str,
    info: &Info<'_>,
    statistics: &Statistics,
) -> Result<ReadResourceResult, ErrorData> {
    match uri {
        INFO => {
            let mut result = as_json(uri, info)?;
            (result.ttl_ms, result.cache_scope) = (Some(INFO_TTL_MS), Some(CacheScope::Public));
            Ok(result)
        }
        // What a client may keep is nothing unless the server says so, which is right for this one.
        STATS => as_json(uri, &statistics.snapshot()),
        _ => {
            let message = "no such resource: resources/list has those that there are";
            Err(ErrorData::resource_not_found(message, Some(json!({ "uri": uri }))))
        }
    }
}

fn as_json(uri: &str, value: &impl Serialize) -> Result<ReadResourceResult, ErrorData> {
    let text = serde_json::to_string_pretty(value).map_err(|error| {
        tracing::error!(%error, "a resource is not JSON");
        ErrorData::internal_error("the resource could not be written", None)
    })?;
    Ok(ReadResourceResult::new(vec![ResourceContents::text(text, uri).with_mime_type(JSON)]))
}
