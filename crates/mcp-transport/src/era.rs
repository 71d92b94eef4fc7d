//! The two eras of the protocol: with a handshake and sessions, or stateless since 2026-07-28.

use rmcp::{RoleServer, model::ProtocolVersion, service::RequestContext};

/// Whether this request speaks 2026-07-28 or later.
#[must_use]
pub fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
}
