//! What each method means to the gateway.

use std::sync::Arc;

use json_rpc::{Members, MembersError, Raw, Request};
use mcp_transport::Link;

use super::{
    call, client::Client, exchange::Exchange, forward::Forward, introductions, lists, named, sought::Sought,
    tasks,
};
use crate::{
    catalogue::Kind,
    errors::{self, Answer, Refusal},
    relay::Relay,
    session::Session,
    trail::Trail,
};

/// The eras that have a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Eras {
    Both,
    Older,
    Newer,
}

/// Methods that mean something to the gateway; besides these all that begin with [`TASKS`].
const KNOWN: [(&str, Eras); 18] = [
    ("tools/call", Eras::Both),
    ("prompts/get", Eras::Both),
    ("resources/read", Eras::Both),
    ("completion/complete", Eras::Both),
    ("tools/list", Eras::Both),
    ("prompts/list", Eras::Both),
    ("resources/list", Eras::Both),
    ("resources/templates/list", Eras::Both),
    ("initialize", Eras::Older),
    ("ping", Eras::Older),
    ("logging/setLevel", Eras::Older),
    ("resources/subscribe", Eras::Older),
    ("resources/unsubscribe", Eras::Older),
    ("tasks/list", Eras::Older),
    ("tasks/result", Eras::Older),
    ("server/discover", Eras::Newer),
    ("subscriptions/listen", Eras::Newer),
    ("tasks/update", Eras::Newer),
];
const TASKS: &str = "tasks/";

/// Whether the gateway answers this method itself, or knows where its names and URIs lead. The `methods` of
/// [`Rules`](crate::Rules) are about the others.
#[must_use]
pub fn knows_method(method: &str) -> bool {
    method.starts_with(TASKS) || KNOWN.iter().any(|(known, _)| *known == method)
}

/// One request of a client, read as far as all methods need it.
pub(crate) struct Incoming {
    pub(crate) client: Client,
    pub(crate) link: Link,
    pub(crate) method: std::borrow::Cow<'static, str>,
    /// The parameters as they came; those that the call of a method needs are read from them.
    pub(crate) params: Members,
    /// `_meta` without what is between the client and the gateway alone.
    pub(crate) meta: Members,
    /// What happens to it is noted there.
    pub(crate) trail: Arc<Trail>,
    /// The client's request that it is a part of, when one of the gateway's own tools makes it.
    pub(crate) whole: Option<Arc<Exchange>>,
}

impl Incoming {
    /// A parameter that must be a text.
    pub(super) fn text(&self, name: &str) -> Result<String, Refusal> {
        let text = self.params.get(name).and_then(|text| text.parse().ok());
        text.ok_or_else(|| errors::invalid_params(format!("{name} must be a text")))
    }
}

/// Answers one request.
pub(crate) async fn answer(
    relay: &Arc<Relay>,
    session: &Arc<Session>,
    request: Request,
    link: Link,
    trail: Arc<Trail>,
) -> Answer {
    let params = members(request.params.as_ref(), "params")?;
    let mut meta = members(params.get("_meta"), "_meta")?;
    let client = Client::of(session, &request.method, &mut meta)?;
    trail.asks(client.is_modern, &params);
    let incoming = Incoming { client, link, method: request.method, params, meta, trail, whole: None };
    let other = if incoming.client.is_modern { Eras::Older } else { Eras::Newer };
    if KNOWN.iter().any(|(method, eras)| *method == incoming.method && *eras == other) {
        return Err(errors::method_not_found("the revision of this request has no such method").into());
    }
    match incoming.method.as_ref() {
        "tools/call" => named::call_tool(relay, incoming).await,
        "prompts/get" => named::get_prompt(relay, incoming).await,
        "resources/read" => named::read_resource(relay, incoming).await,
        "completion/complete" => named::complete(relay, incoming).await,
        "tools/list" => lists::list(relay, Kind::Tools, &incoming).await,
        "prompts/list" => lists::list(relay, Kind::Prompts, &incoming).await,
        "resources/list" => lists::list(relay, Kind::Resources, &incoming).await,
        "resources/templates/list" => lists::list(relay, Kind::Templates, &incoming).await,
        "initialize" => introductions::initialize(relay, session, &incoming.params).await,
        "server/discover" => introductions::discover(relay).await,
        "ping" => Ok(Raw::empty_object()),
        "logging/setLevel" => relay.subscriptions.set_level(&incoming).await,
        "resources/subscribe" => relay.subscriptions.subscribe(relay, &incoming).await,
        "resources/unsubscribe" => relay.subscriptions.unsubscribe(relay, &incoming),
        "subscriptions/listen" => relay.subscriptions.listen(relay, &incoming).await,
        method if method.starts_with(TASKS) => tasks::answer(relay, incoming).await,
        _ => unknown(relay, incoming).await,
    }
}

/// A method that the gateway does not know goes to the upstream whose rules say so, or else to the only one that there is.
async fn unknown(relay: &Arc<Relay>, incoming: Incoming) -> Answer {
    let found = Sought::Method(incoming.method.to_string()).find(relay, &incoming.trail).await?;
    let changes = relay.cache.changing(found.member.upstream.name()); // perhaps
    let (forward, client, link) = Forward::of(incoming, found.member.upstream, String::new());
    let answer = call::carry(relay, client, link, Forward { lead: Some(found.lead), ..forward }).await;
    changes.answered(&answer);
    answer
}

fn members(object: Option<&Raw>, what: &str) -> Result<Members, Refusal> {
    let members = object.map_or_else(|| Ok(Members::default()), Members::of);
    members.map_err(|wrong: MembersError| errors::invalid_params(format!("{what} is wrong: {wrong}")))
}
