//! A request on its way to an upstream.

use std::{borrow::Cow, sync::Arc};

use json_rpc::{Members, Raw};
use mcp_transport::{Line, Link, Mirrored, Outgoing};

use super::{client::Client, exchange::Exchange, input::Input, meta, methods::Incoming, sought::Lead};
use crate::{
    fleet::{Answered, CallError, Place, Repeat, Upstream},
    trail::Trail,
};

/// A request on its way to an upstream. It owns what it needs, so that it can outlive the request that it came from.
pub(crate) struct Forward {
    /// Where it goes.
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) method: Cow<'static, str>,
    /// As the client sent them, but for names, which are those of the upstream. `_meta` is replaced on the way.
    pub(crate) params: Members,
    /// The client's `_meta` without what was for the gateway alone.
    pub(crate) meta: Members,
    pub(crate) repeat: Repeat,
    /// What headers repeat of the arguments.
    pub(crate) mirrored: Arc<[Mirrored]>,
    /// How it was found, if by a name: what clients may use is looked up again before it is sent.
    pub(crate) lead: Option<Lead>,
    /// Which of the upstream's replicas it must go to, if that matters.
    pub(crate) stay: Option<Place>,
    /// What it is about, as the client calls it.
    pub(crate) target: String,
    /// What happens to it is noted there.
    pub(crate) trail: Arc<Trail>,
    /// The client's request that it is a part of, when one of the gateway's own tools makes it.
    pub(crate) whole: Option<Arc<Exchange>>,
}

impl Forward {
    /// A request as it came, to this upstream, never to be repeated; and who made it.
    pub(crate) fn of(incoming: Incoming, upstream: Arc<Upstream>, target: String) -> (Self, Client, Link) {
        let Incoming { client, link, method, params, meta, trail, whole } = incoming;
        let (repeat, mirrored) = (Repeat::Never, Arc::default());
        let (lead, stay) = (None, None);
        let forward =
            Self { upstream, method, params, meta, repeat, mirrored, lead, stay, target, trail, whole };
        (forward, client, link)
    }

    /// Asks the upstream once: with what the client answered to its questions, if it asked any.
    pub(crate) async fn send(&self, exchange: &Arc<Exchange>, input: &Input) -> Result<Answered, CallError> {
        let client = &exchange.client;
        let behalf = client.behalf(self.stay, self.trail.clone(), exchange.whole());
        let is_new = input.responses.is_none() && input.state.is_none();
        let refusal = || self.lead.as_ref()?.refusal(&self.trail, is_new);
        let build = |line: &Line| match refusal() {
            Some(refusal) => Err(refusal),
            None => Ok(self.outgoing(client, line, input)),
        };
        self.upstream.call(&behalf, self.repeat, Some(exchange.clone() as _), &build).await
    }

    /// The request as this connection carries it.
    fn outgoing(&self, client: &Client, line: &Line, input: &Input) -> Outgoing {
        let modern = line.is_modern().then(|| line.version());
        let mut params = self.params.clone();
        meta::onward(&mut params, &self.meta, client, modern);
        input.clone().put(&mut params);
        let mirrored = if line.is_modern() { self.mirrored_values() } else { Vec::new() };
        let params = (!params.is_empty()).then(|| params.to_raw());
        Outgoing { method: self.method.clone(), params, mirrored }
    }

    /// Headers and values, of the arguments that are there.
    fn mirrored_values(&self) -> Vec<(String, String)> {
        let value = |mirrored: &Mirrored| {
            let value = argument(self.params.get("arguments")?, &mirrored.path)?;
            Some((mirrored.header.clone(), value))
        };
        self.mirrored.iter().filter_map(value).collect()
    }
}

/// The argument at this path as a header says it; `None` when it is not there, or nothing that a header can say.
fn argument(arguments: &Raw, path: &[String]) -> Option<String> {
    let mut value = arguments.clone();
    for name in path {
        value = Members::of(&value).ok()?.get(name)?.clone();
    }
    match value.as_bytes().first()? {
        b'"' => value.parse().ok(),
        b'{' | b'[' | b'n' => None,
        _ => Some(value.as_str().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_mirrored_when_a_header_can_say_it() {
        let arguments = Raw::read(r#"{"a":{"b":"Grüße \n"},"n":7.50,"t":true,"x":null,"l":[1]}"#).unwrap();
        let said = |path: &[&str]| {
            argument(&arguments, &path.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(said(&["a", "b"]).as_deref(), Some("Grüße \n"));
        assert_eq!(said(&["n"]).as_deref(), Some("7.50"));
        assert_eq!(said(&["t"]).as_deref(), Some("true"));
        for nothing in [&["x"][..], &["l"], &["a"], &["a", "c"], &["n", "b"], &["missing"]] {
            assert_eq!(said(nothing), None, "{nothing:?}");
        }
    }
}
