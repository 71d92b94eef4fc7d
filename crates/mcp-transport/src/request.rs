//! What a request tells beside its parameters: the era of its protocol, and who sent it.

use auth::Caller;
use http::request::Parts;
use rmcp::{RoleServer, model::ProtocolVersion, service::RequestContext};

/// Whether this request speaks 2026-07-28 or later.
#[must_use]
pub fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
}

/// Who sent this request, as far as keys tell: what one caller began is nobody else's. `None` over standard input and output,
/// where there is one caller only.
#[must_use]
pub fn caller(context: &RequestContext<RoleServer>) -> Option<Caller> {
    let extensions = &context.extensions;
    let over_http = || extensions.get::<Parts>()?.extensions.get::<Caller>();
    extensions.get::<Caller>().or_else(over_http).copied()
}
