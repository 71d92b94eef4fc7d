//! One request that is being answered, in the task of its connection for as long as that is there.

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::FutureExt as _;
use json_rpc::{Error, Id, Message, Outcome, Request, Response};
use tokio::runtime;
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        body::Part,
        farewell::{LISTEN, farewell},
    },
    client::Client,
    lane::Lane,
    refusal::BROKEN,
};
use crate::{Endpoint, Link};

/// An answer in the making.
pub(super) type Answering = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Begins to answer a request. A panic is an error; it is in the log already, with its message and place, and the client is not
/// told them.
pub(super) fn answering<E: Endpoint>(
    endpoint: Arc<E>,
    session: Arc<E::Session>,
    request: Request,
    link: Link,
    stopping: &CancellationToken,
) -> Answering {
    let listening = (request.method == LISTEN).then(|| (request.id.clone(), stopping.clone()));
    let answering = async move {
        AssertUnwindSafe(async { endpoint.answer(session, request, link).await })
            .catch_unwind()
            .await
            .unwrap_or_else(|_| Err(Error::new(Error::INTERNAL_ERROR, BROKEN).into()))
    };
    match listening {
        None => Box::pin(answering),
        Some((id, stopping)) => {
            Box::pin(
                async move { stopping.run_until_cancelled(answering).await.unwrap_or_else(|| farewell(&id)) },
            )
        }
    }
}

/// A request and its answer in the making. Dropping it leaves a request of a session to a task, for a connection that broke
/// cancels nothing in the older era.
pub(super) struct Call {
    id: Id,
    lane: Arc<Lane>,
    client: Option<Arc<Client>>,
    /// `None` when it has ended.
    answering: Option<Answering>,
    is_alone: bool,
    /// The request is a part of its body.
    body: Part,
}

impl Call {
    pub(super) fn new(id: Id, lane: Arc<Lane>, client: Option<Arc<Client>>, answering: Answering) -> Self {
        Self { id, lane, client, answering: Some(answering), is_alone: false, body: Part::default() }
    }

    /// The same, with what its body takes of the budget.
    pub(super) fn with(mut self, body: Part) -> Self {
        self.body = body;
        self
    }

    /// The response, when it is there; `None` when nobody wants it any more.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Outcome>> {
        let Some(answering) = &mut self.answering else { return Poll::Ready(None) };
        let ended = if self.lane.poll_cancelled(context).is_ready() {
            None
        } else {
            Some(ready!(answering.as_mut().poll(context)))
        };
        self.answering = None;
        if let Some(client) = &self.client {
            client.answered(&self.id, &self.lane);
        }
        Poll::Ready(ended)
    }

    /// The text of the response.
    pub(super) fn response(&self, outcome: Outcome) -> bytes::Bytes {
        Message::from(Response::new(self.id.clone(), outcome)).to_bytes()
    }

    /// Puts the response behind what was told before.
    pub(super) fn finish(&self, ended: Option<Outcome>) {
        self.lane.finish(ended.map(|outcome| self.response(outcome)));
        if let Some(client) = &self.client {
            client.settle(&self.lane);
        }
    }

    /// Answers without a connection, for as long as the server lets it.
    async fn alone(mut self) {
        let Some(client) = self.client.clone() else { return };
        let grace = &client.grace;
        let answered = std::future::poll_fn(|context| self.poll(context));
        tokio::select! {
            ended = answered => self.finish(ended),
            () = grace.over() => {}
            () = grace.lifetime.cut.cancelled() => {}
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let Some(answering) = self.answering.take() else { return };
        let Some(client) = &self.client else { return };
        if self.is_alone || client.grace.is_over() || runtime::Handle::try_current().is_err() {
            client.answered(&self.id, &self.lane);
            self.lane.cancel();
            return;
        }
        let (id, lane) = (self.id.clone(), self.lane.clone());
        let (client, body) = (client.clone(), std::mem::take(&mut self.body));
        let call =
            Self { id, lane, client: Some(client.clone()), answering: Some(answering), is_alone: true, body };
        client.grace.lifetime.open.spawn(call.alone());
    }
}
