//! The revisions of MCP, and what requests say about theirs.

/// The revision without a handshake.
pub(crate) const MODERN: &str = "2026-07-28";

/// Revisions that begin with `initialize`, the newest first.
pub(crate) const LEGACY: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/// Says in a request's `_meta` which revision it speaks.
pub(crate) const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// Says who sends it.
pub(crate) const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// Says what the sender can do.
pub(crate) const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// Says which log messages the sender wants.
pub(crate) const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// Says in a result's `_meta` who answers.
pub(crate) const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// What `initialize` answers to a client that asks for `wanted`.
pub(crate) fn negotiate(wanted: &str) -> &'static str {
    LEGACY.into_iter().find(|known| *known == wanted).unwrap_or(LEGACY[0])
}

/// All that a client may choose from.
pub(crate) fn all() -> impl Iterator<Item = &'static str> {
    std::iter::once(MODERN).chain(LEGACY)
}
