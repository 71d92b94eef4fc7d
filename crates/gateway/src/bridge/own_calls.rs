//! Calls of the gateway's own tools, and the calls that these make.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use json_rpc::{Members, Raw};
use mcp_transport::Link;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::{
    call::Again,
    client::Client,
    exchange::Exchange,
    glance::mentions,
    input::Input,
    methods::Incoming,
    named, results,
    sealed::{Purpose, State},
    states,
    tasks::EXTENSION,
};
use crate::{
    errors::{self, Answer, Fault},
    own::{Bounds, OwnTool, Within},
    relay::Relay,
    trail::Trail,
};

/// What of a request's `_meta` is for its parts too: which trace they belong to (SEP-414).
const TRACE: [&str; 3] = ["traceparent", "tracestate", "baggage"];

/// A call of one of the gateway's own tools.
struct OwnCall {
    tool: Arc<dyn OwnTool>,
    arguments: Members,
    meta: Members,
    trail: Arc<Trail>,
}

/// Calls one of the gateway's own tools.
pub(super) async fn run(relay: &Arc<Relay>, incoming: Incoming, tool: Arc<dyn OwnTool>) -> Answer {
    let Incoming { client, link, method: _, mut params, meta, trail, whole } = incoming;
    if !client.is_modern && params.get("task").is_some_and(|task| !task.is_null()) {
        return Err(errors::method_not_found("this tool is done at once: call it without \"task\"").into());
    }
    let input = Input::take(&mut params);
    let arguments = match params.remove("arguments").filter(|arguments| !arguments.is_null()) {
        Some(arguments) => Members::of(&arguments)
            .map_err(|wrong| errors::invalid_params(format!("arguments are wrong: {wrong}")))?,
        None => Members::default(),
    };
    let call = OwnCall { tool, arguments, meta, trail };
    if let Some(whole) = whole {
        let name = call.tool.name();
        if whole.path().iter().any(|outer| outer == name) {
            return Err(errors::within_itself(name).into());
        }
        let exchange = Exchange::own_within(&whole, name);
        return call.run(relay, exchange.into()).await;
    }
    let client = without_tasks(client);
    if client.is_modern {
        return for_newer(relay, client, link, call, input).await;
    }
    let token = call.meta.get("progressToken").cloned();
    let exchange = Exchange::own(client, call.tool.name(), link, token, relay);
    call.run(relay, exchange.into()).await
}

/// A client of the newer era is told what a part of the call needs, and comes again; the call waits for it, whole.
async fn for_newer(
    relay: &Arc<Relay>,
    client: Client,
    link: Link,
    call: OwnCall,
    mut input: Input,
) -> Answer {
    let tool = call.tool.clone();
    let purpose = Purpose { owner: client.owner(), method: "tools/call", target: tool.name() };
    match states::returned(&relay.seal, purpose, &mut input)? {
        Some(State::Parked(number)) => {
            let again = Again { client, link, meta: &call.meta, trail: &call.trail };
            return again.resume(relay, number, purpose, &input).await;
        }
        Some(State::Theirs(_)) => return Err(states::foreign().into()),
        None => {}
    }
    let token = call.meta.get("progressToken").cloned();
    let exchange = Exchange::own(client, tool.name(), link, token, relay);
    let exchange = Arc::new(exchange.noted(&call.trail));
    let running = by_itself(call.run(relay, exchange.clone()));
    relay.parked.run(purpose, exchange, running).await
}

/// The call goes on while nobody polls it, until this is dropped: its other parts come to their ends while its client is away.
fn by_itself(call: impl Future<Output = Answer> + Send + 'static) -> BoxFuture<'static, Answer> {
    let running = AbortOnDropHandle::new(tokio::spawn(call));
    Box::pin(async move {
        running.await.unwrap_or_else(|lost| match lost.is_panic() {
            true => Err(errors::broken().into()),
            false => Err(errors::stopped().into()),
        })
    })
}

impl OwnCall {
    /// Outlives the request that made it when it must wait for answers, and does not keep the gateway alive.
    fn run(self, relay: &Arc<Relay>, exchange: Arc<Exchange>) -> impl Future<Output = Answer> + Send + use<> {
        let Self { tool, arguments, mut meta, trail } = self;
        let trace = TRACE.into_iter().filter_map(|name| Some((name, meta.remove(name)?)));
        let is_modern = exchange.client.is_modern;
        let is_outermost = exchange.path().len() == 1;
        let within = Within::new(relay, exchange, trail, trace.collect());
        async move {
            let _over = is_outermost.then(|| within.exchange().until_over());
            let result = tool.call(&within, arguments).await?;
            results::onward("tools/call", Ok(result), is_modern).map_err(Fault::Theirs)
        }
    }
}

/// Calls a tool for one of the gateway's own.
pub(crate) async fn call_within(
    relay: &Arc<Relay>,
    within: &Within,
    (name, arguments): (&str, Option<Raw>),
    bounds: &Bounds,
) -> Answer {
    let mut params = Members::default();
    params.set("name", Raw::text(name));
    if let Some(arguments) = arguments {
        params.set("arguments", arguments);
    }
    let mut meta = within.trace().clone();
    // What it reports is a sign of life, though nobody is told.
    meta.set("progressToken", Raw::text(&Uuid::new_v4().to_string()));
    params.set("_meta", meta.to_raw());
    let whole = within.exchange();
    let begun = relay.trails.part(within.trail(), &whole.client, &params);
    begun.trail().is_about(name);
    let incoming = Incoming {
        client: whole.client.clone(),
        link: whole.link(),
        method: "tools/call".into(),
        params,
        meta,
        trail: begun.trail().clone(),
        whole: Some(whole.clone()),
    };
    let answer = if bounds.late.is_cancelled() {
        Err(errors::part_not_begun().into())
    } else {
        tokio::select! {
            biased;
            answer = named::call_tool(relay, incoming) => bounds.fit(answer),
            () = bounds.late.cancelled() => Err(errors::part_stopped().into()),
        }
    };
    begun.end(answer)
}

/// The client as it is for a part of its request, which waits for a result: one that comes later is of no use there.
fn without_tasks(mut client: Client) -> Client {
    if !mentions(&client.capabilities, EXTENSION) {
        return client;
    }
    let Ok(mut capabilities) = Members::of(&client.capabilities) else { return client };
    let Some(Ok(mut extensions)) = capabilities.get("extensions").map(Members::of) else { return client };
    if extensions.remove(EXTENSION).is_some() {
        capabilities.set("extensions", extensions);
        client.capabilities = capabilities.to_raw();
    }
    client
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_call_that_panics_comes_to_an_error_of_ours() {
        let answer = by_itself(async { panic!("a call breaks") }).await;

        let Err(Fault::Ours(refusal)) = answer else { panic!("{answer:?}") };
        assert_eq!(refusal.code(), "INTERNAL_ERROR");
        assert!(refusal.message().contains("look before you repeat"), "{}", refusal.message());
    }

    #[tokio::test]
    async fn a_call_goes_on_while_nobody_polls_it_and_ends_when_nobody_has_it() {
        let (begun, has_begun) = oneshot::channel();
        let (alive, is_dropped) = oneshot::channel::<()>();
        let call = by_itself(async move {
            let _alive = alive;
            begun.send(()).unwrap();
            std::future::pending().await
        });
        has_begun.await.unwrap();

        drop(call);

        is_dropped.await.unwrap_err();
    }
}
