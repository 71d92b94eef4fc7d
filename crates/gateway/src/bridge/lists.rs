//! Lists of what all upstreams offer.

use std::sync::Arc;

use super::methods::Incoming;
use crate::{
    catalogue::Kind,
    errors::{self, Answer},
    relay::Relay,
};

/// Answers a list request.
pub(super) async fn list(relay: &Arc<Relay>, kind: Kind, incoming: &Incoming) -> Answer {
    let cursor = incoming.params.get("cursor").filter(|cursor| !cursor.is_null());
    let cursor = cursor.map(|cursor| cursor.parse::<String>()).transpose();
    let cursor = cursor.map_err(|_| errors::invalid_params("the cursor must be a text"))?;
    relay.known().await;
    let list = relay.view().catalogue.list(kind, cursor.as_deref(), incoming.client.is_modern);
    Ok(list
        .map_err(|_| errors::invalid_params("this list did not give this cursor: begin again without one"))?)
}
