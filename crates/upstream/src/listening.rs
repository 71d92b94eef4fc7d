//! Hearing what a server tells: in the newer era it must be asked to, in the older one it tells by itself.

use std::{collections::BTreeSet, future::pending, num::NonZeroUsize, sync::Arc, time::Duration};

use mcp_transport::ConnectError;
use rmcp::{
    model::{
        ClientRequest, ErrorCode, ServerCapabilities, SetLevelRequest, SetLevelRequestParams,
        SubscribeRequest, SubscribeRequestParams, SubscriptionFilter,
    },
    service::{ServiceError, Subscription},
};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use crate::{CallError, CallOptions, Options, calls::Call, desk::Desk, session::Session, wishes::Wishes};

/// Notifications that wait to be heard. A server that sends them faster is asked anew, and taken to have changed everything.
const BACKLOG: NonZeroUsize = NonZeroUsize::new(256).expect("it is not zero");
/// A stream that lived for longer was a good one.
const STABLE: Duration = Duration::from_secs(5);
/// How often it is tried when credentials are missing.
const PATIENT: Duration = Duration::from_secs(60);

/// What the server was asked to tell of last, and what it agreed to.
#[derive(Debug, Clone)]
pub(crate) struct Agreed {
    pub(crate) asked: BTreeSet<String>,
    pub(crate) outcome: Result<BTreeSet<String>, CallError>,
}

/// Listens for as long as it can be done. Gives the reason when nobody is there any more.
pub(crate) async fn listen(session: &Arc<Session>, desk: &Desk, options: &Options) -> Arc<ConnectError> {
    if session.is_modern() {
        Listener { session, desk, options, wishes: desk.wishes.subscribe() }.run().await;
    } else {
        restore(session, desk, options).await;
    }
    pending().await
}

/// A server of the older era is told again what it was told before. That it refuses now is nobody's call's failure.
async fn restore(session: &Arc<Session>, desk: &Desk, options: &Options) {
    let Wishes { log, resources } = desk.wishes.borrow().clone();
    let level = log.told().filter(|_| session.introduction.capabilities.logging.is_some());
    let level = level.map(|level| SetLevelRequest::new(SetLevelRequestParams::new(level)).into());
    let resources = resources.into_iter().map(|uri| {
        let request: ClientRequest = SubscribeRequest::new(SubscribeRequestParams::new(uri)).into();
        request
    });
    for request in level.into_iter().chain(resources) {
        let mut call = Call::new(session.clone(), &CallOptions::default(), options.limits);
        if call.ask(request).await.is_err() {
            tracing::debug!(
                upstream.name = desk.name,
                "the server does not tell any more what it told before"
            );
        }
    }
}

struct Listener<'a> {
    session: &'a Session,
    desk: &'a Desk,
    options: &'a Options,
    wishes: watch::Receiver<Wishes>,
}

/// Why nothing is heard.
enum Deaf {
    /// Something else is wanted now.
    Changed,
    /// The server does not tell such things.
    Refused,
    /// The server wants credentials, or other ones. Whoever gets them may have to ask the user.
    Unauthorized,
    /// The server or the network ended it, or there was too much: something may have been missed.
    Broken,
}

impl Listener<'_> {
    async fn run(mut self) {
        let (mut failures, mut missed, mut last) = (0, false, None);
        loop {
            let uris = self.wishes.borrow_and_update().resources.clone();
            let opened = Instant::now();
            let deaf = match self.open(&uris).await {
                Ok(mut stream) => {
                    if std::mem::take(&mut missed) {
                        self.desk.all_changed(&self.session.introduction.capabilities);
                    }
                    drop(last.take()); // only now, so that nothing is missed in between
                    let deaf = self.hear(&mut stream, &uris).await;
                    last = Some(stream);
                    deaf
                }
                Err(deaf) => deaf,
            };
            match deaf {
                Deaf::Changed => {}
                Deaf::Refused => {
                    drop(last.take());
                    changed(&mut self.wishes, &uris).await;
                }
                Deaf::Unauthorized => {
                    drop(last.take());
                    missed = true;
                    let _ = timeout(PATIENT, changed(&mut self.wishes, &uris)).await;
                }
                Deaf::Broken => {
                    drop(last.take());
                    missed = true;
                    failures = if opened.elapsed() > STABLE { 1 } else { failures + 1 };
                    let wait = self.options.wait_after(failures);
                    let _ = timeout(wait, changed(&mut self.wishes, &uris)).await;
                }
            }
        }
    }

    /// Asks the server to tell what it can, and of these resources.
    async fn open(&self, uris: &BTreeSet<String>) -> Result<Subscription, Deaf> {
        let filter = filter(&self.session.introduction.capabilities, uris);
        if filter == SubscriptionFilter::default() {
            self.agreed(uris, Ok(BTreeSet::new()));
            return Err(Deaf::Refused);
        }
        let limit = self.options.connect.timeout;
        let (deaf, error) =
            match timeout(limit, self.session.peer().listen_with_capacity(filter, BACKLOG)).await {
                Ok(Ok(stream)) => {
                    let accepted = stream.acknowledged().resource_subscriptions.clone().unwrap_or_default();
                    self.agreed(uris, Ok(accepted.into_iter().collect()));
                    return Ok(stream);
                }
                Ok(Err(ServiceError::McpError(error))) if error.code != ErrorCode::INTERNAL_ERROR => {
                    (Deaf::Refused, CallError::Refused(error))
                }
                Ok(Err(error)) => match self.session.failure(error) {
                    error @ CallError::NeedsCredentials(_) => (Deaf::Unauthorized, error),
                    error => (Deaf::Broken, error),
                },
                Err(_) => (Deaf::Broken, CallError::TimedOut(limit)),
            };
        tracing::debug!(upstream.name = self.desk.name, "the server does not let itself be listened to");
        self.agreed(uris, Err(error));
        Err(deaf)
    }

    async fn hear(&mut self, stream: &mut Subscription, uris: &BTreeSet<String>) -> Deaf {
        loop {
            tokio::select! {
                heard = stream.next() => match heard {
                    Ok(Some(_)) => {} // the handler has heard it already
                    Ok(None) | Err(_) => return Deaf::Broken,
                },
                () = changed(&mut self.wishes, uris) => return Deaf::Changed,
            }
        }
    }

    fn agreed(&self, uris: &BTreeSet<String>, outcome: Result<BTreeSet<String>, CallError>) {
        self.session.agreed.send_replace(Some(Agreed { asked: uris.clone(), outcome }));
    }
}

/// Waits until other resources are wanted than these.
async fn changed(wishes: &mut watch::Receiver<Wishes>, uris: &BTreeSet<String>) {
    if wishes.wait_for(|wishes| wishes.resources != *uris).await.is_err() {
        pending().await // nobody can wish any more
    }
}

fn filter(capabilities: &ServerCapabilities, uris: &BTreeSet<String>) -> SubscriptionFilter {
    let ServerCapabilities { tools, prompts, resources, .. } = capabilities;
    let mut filter = SubscriptionFilter::new();
    filter.tools_list_changed =
        tools.as_ref().and_then(|tools| tools.list_changed).filter(|changes| *changes);
    filter.prompts_list_changed =
        prompts.as_ref().and_then(|prompts| prompts.list_changed).filter(|changes| *changes);
    filter.resources_list_changed =
        resources.as_ref().and_then(|resources| resources.list_changed).filter(|changes| *changes);
    filter.resource_subscriptions = (!uris.is_empty()).then(|| uris.iter().cloned().collect());
    filter
}
