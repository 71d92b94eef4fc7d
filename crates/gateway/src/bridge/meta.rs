//! `_meta` of requests on their way to an upstream.

use json_rpc::{Members, Raw};

use super::{
    client::Client,
    revision::{CAPABILITIES, CLIENT_INFO, LOG_LEVEL, VERSION},
};
use crate::identity::identity;

/// Sets `_meta` of these parameters as an upstream is to get it, whose connection speaks this revision if it is of the newer
/// era. `meta` is the client's, without what was for the gateway alone.
pub(crate) fn onward(params: &mut Members, meta: &Members, client: &Client, modern: Option<&str>) {
    match modern {
        Some(version) => params.set("_meta", with_era(meta.clone(), client, version)),
        // Between peers of the older era nothing is for the gateway.
        None if !client.is_modern => {}
        None if meta.is_empty() => drop(params.remove("_meta")),
        None => params.set("_meta", meta.to_raw()),
    }
}

/// What every request of the newer era says.
fn with_era(mut meta: Members, client: &Client, version: &str) -> Raw {
    meta.set(VERSION, Raw::text(version));
    meta.set(CLIENT_INFO, identity());
    meta.set(CAPABILITIES, client.capabilities.clone());
    if let Some(level) = client.log_level {
        meta.set(LOG_LEVEL, Raw::text(level.name()));
    }
    meta.to_raw()
}
