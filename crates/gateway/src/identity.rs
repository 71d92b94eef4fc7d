//! Who the gateway says it is.

use std::sync::LazyLock;

use bytes::Bytes;
use json_rpc::Raw;

static IDENTITY: LazyLock<Raw> = LazyLock::new(|| {
    let text = concat!(r#"{"name":"mcp-gateway","version":""#, env!("CARGO_PKG_VERSION"), r#""}"#);
    Raw::read(Bytes::from_static(text.as_bytes())).expect("a name and a version are JSON")
});

/// The gateway's `serverInfo` to clients, and its `clientInfo` to upstreams.
pub(crate) fn identity() -> Raw {
    IDENTITY.clone()
}
