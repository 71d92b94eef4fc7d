//! Of which era a request is, and whether its headers and its message agree on that.

use std::borrow::Cow;

use axum::http::HeaderMap;
use json_rpc::{Error, Id, Message, Raw, Request};
use rmcp::model::ProtocolVersion;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    mirror::sole,
    refusal::{HEADER_MISMATCH, Refusal},
};

const VERSION: &str = "mcp-protocol-version";
/// What each request of the newer era says of itself.
const REQUIRED: [&str; 2] =
    ["io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientCapabilities"];

/// The two ways to speak the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Era {
    /// With a handshake, and sessions.
    Legacy,
    /// Each request says it all.
    Modern,
}

/// The parameters that the rules of HTTP are about.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Params<'a> {
    #[serde(borrow, default, rename = "_meta")]
    meta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) uri: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) task_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) arguments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    protocol_version: Option<&'a RawValue>,
}

/// What a request says of itself.
#[derive(Default, Deserialize)]
struct Meta<'a> {
    #[serde(borrow, default, rename = "io.modelcontextprotocol/protocolVersion")]
    version: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "io.modelcontextprotocol/clientCapabilities")]
    capabilities: Option<&'a RawValue>,
}

/// A request as far as the rules of HTTP are about it.
pub(super) struct Facts<'a> {
    pub(super) params: Params<'a>,
    /// The version that it says it is of.
    version: Option<Cow<'a, str>>,
    has_capabilities: bool,
}

impl<'a> Facts<'a> {
    pub(super) fn of(request: &'a Request) -> Result<Self, Refusal> {
        let params: Params<'a> = match &request.params {
            None => Params::default(),
            Some(params) => params.parse().map_err(|_| {
                let why = "the parameters name a member twice";
                Refusal::bad(Some(&request.id), Error::INVALID_PARAMS, why)
            })?,
        };
        let meta = params.meta.and_then(|meta| serde_json::from_str::<Meta<'a>>(meta.get()).ok());
        let meta = meta.unwrap_or_default();
        let has_capabilities = meta.capabilities.is_some_and(|value| value.get().starts_with('{'));
        Ok(Self { params, version: meta.version.and_then(text), has_capabilities })
    }

    /// Whether it says all that a request of the newer era must say.
    pub(super) fn are_complete(&self) -> bool {
        self.version.is_some() && self.has_capabilities
    }

    /// The era of the request that these are of.
    pub(super) fn era(&self, headers: &HeaderMap, request: &Request) -> Result<Era, Refusal> {
        let id = Some(&request.id);
        let header = self.header(headers, id)?;
        if request.method == "initialize" {
            // The handshake exists in the older era only, whatever version it names.
            let version = self.params.protocol_version.and_then(text);
            return match (header, version) {
                (Some(header), Some(version)) if header != version => {
                    let why = "the MCP-Protocol-Version header does not match params.protocolVersion";
                    Err(Refusal::bad(id, Error::INVALID_REQUEST, why))
                }
                _ => Ok(Era::Legacy),
            };
        }
        let is_discovery = request.method == "server/discover";
        let Some(version) = self.version.as_deref() else {
            return if is_discovery || header.is_some_and(is_modern) {
                Err(self.incomplete(id))
            } else {
                Ok(Era::Legacy)
            };
        };
        match header {
            None => {
                let why =
                    "a request with a protocolVersion in its _meta needs an MCP-Protocol-Version header";
                Err(Refusal::bad(id, HEADER_MISMATCH, why))
            }
            Some(header) if header != version => {
                let why = "the MCP-Protocol-Version header does not match the protocolVersion in _meta";
                Err(Refusal::bad(id, HEADER_MISMATCH, why))
            }
            _ if is_discovery || self.are_complete() || is_modern(version) => Ok(Era::Modern),
            _ => Ok(Era::Legacy),
        }
    }

    /// A version that the message does not name itself must be one that is known.
    fn header<'h>(&self, headers: &'h HeaderMap, id: Option<&Id>) -> Result<Option<&'h str>, Refusal> {
        version(headers, id, self.version.is_some())
    }

    fn incomplete(&self, id: Option<&Id>) -> Refusal {
        let has = [self.version.is_some(), self.has_capabilities];
        let missing: Vec<_> =
            REQUIRED.into_iter().zip(has).filter_map(|(key, has)| (!has).then_some(key)).collect();
        let why = format!("the request's _meta is missing or has malformed {}", missing.join(", "));
        Refusal::bad(id, Error::INVALID_PARAMS, why)
    }
}

/// The era of what is no request, or has no message: only its headers tell.
pub(super) fn era(headers: &HeaderMap) -> Result<Era, Refusal> {
    let version = version(headers, None, false)?;
    Ok(if version.is_some_and(is_modern) { Era::Modern } else { Era::Legacy })
}

/// Whether headers must repeat what the message says.
pub(super) fn are_mirrored(headers: &HeaderMap) -> bool {
    headers.get(VERSION).and_then(|version| version.to_str().ok()).is_some_and(is_modern)
}

/// Whether a client that shook hands for this version knows events without a message.
pub(super) fn primes(result: &Raw) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Initialized<'a> {
        #[serde(borrow)]
        protocol_version: &'a RawValue,
    }
    let result = result.parse::<Initialized<'_>>().ok();
    let version = result.and_then(|result| text(result.protocol_version));
    version.is_some_and(|version| *version >= *ProtocolVersion::V_2025_11_25.as_str())
}

fn version<'h>(
    headers: &'h HeaderMap,
    id: Option<&Id>,
    allows_unknown: bool,
) -> Result<Option<&'h str>, Refusal> {
    let Some(version) = sole(headers, VERSION, id)? else { return Ok(None) };
    let known = |version: &&str| {
        allows_unknown || ProtocolVersion::KNOWN_VERSIONS.iter().any(|known| known.as_str() == *version)
    };
    match Some(version).filter(known) {
        Some(version) => Ok(Some(version)),
        None => {
            let why = "the MCP-Protocol-Version header names no version that is spoken here";
            Err(Refusal::bad(id, Error::INVALID_REQUEST, why))
        }
    }
}

fn is_modern(version: &str) -> bool {
    version >= ProtocolVersion::V_2026_07_28.as_str()
}

/// What a JSON text says, if it is one.
pub(super) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    let inner = value.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(value.get()).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// Whom an error about this message is for.
pub(super) fn id(message: &Message) -> Option<&Id> {
    match message {
        Message::Request(request) => Some(&request.id),
        _ => None,
    }
}
