//! Streamable HTTP: a POST request for each message, read by whoever waits for the answer.
//!
//! In the older era there is also a stream on which the server asks and tells outside of any request, a session that it can
//! forget, and answers that can be read on after their stream broke.

mod answer;
mod exchange;
pub(super) mod fate;
mod headers;
mod listening;
mod questions;
mod reading;
mod wire;

#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use json_rpc::{Id, Members, Message, Notification, Outcome, Raw, Request};
use reqwest::Response;
use tokio::{runtime::Handle, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use super::{LineHost, Outgoing, Party, RequestError};
use crate::{ConnectError, ConnectOptions};
use answer::{Answer, Asked};
use exchange::{Exchange, Hearer};
use fate::Fate;
pub(super) use fate::HttpError;
use headers::{Manner, SESSION_ID, Stage};
use questions::Questions;
use wire::Wire;

/// Longest wait for the stream on which a server of the older era asks and tells: some open it with its first message.
const HEARD: Duration = Duration::from_millis(500);
/// Longest wait until a server has taken what it is told while nobody waits: that a request was cancelled, or a session left.
const FAREWELL: Duration = Duration::from_secs(5);
/// Most cancellations that are told at the same time, with all else that goes on in the background. A server that takes no
/// more than that does not heed them either.
const MAX_FAREWELLS: usize = 512;

/// A line over Streamable HTTP. Dropping it closes it in the background; [`HttpLine::close`] waits for that.
pub(super) struct HttpLine(Arc<Inner>);

struct Inner {
    wire: Wire,
    host: Arc<dyn LineHost>,
    before: Manner,
    agreed: OnceLock<Manner>,
    /// What the server calls the session.
    session: Mutex<Option<HeaderValue>>,
    last_id: AtomicU64,
    /// Largest message that is accepted, in bytes.
    limit: usize,
    questions: Questions,
    ended: CancellationToken,
    why_ended: OnceLock<String>,
    closed: CancellationToken,
    tasks: TaskTracker,
}

impl HttpLine {
    /// A line to the server at this URL. Nothing is sent yet.
    pub(super) fn new(
        url: &Url,
        host: Arc<dyn LineHost>,
        options: &ConnectOptions,
    ) -> Result<Self, ConnectError> {
        let wire = Wire::new(url, options)?;
        Ok(Self(Arc::new(Inner {
            before: Manner::before(wire.headers()),
            wire,
            host,
            agreed: OnceLock::new(),
            session: Mutex::default(),
            last_id: AtomicU64::new(0),
            limit: options.message_bytes,
            questions: Questions::default(),
            ended: CancellationToken::new(),
            why_ended: OnceLock::new(),
            closed: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })))
    }

    /// Sends a request of the handshake: in the newer era with the `version` that it says, in the older one without.
    pub(super) async fn introduce(
        &self,
        request: Outgoing,
        version: Option<&str>,
    ) -> Result<Outcome, HttpError> {
        let modern = version.map(|version| Manner::modern(self.0.wire.headers(), version));
        let manner = modern.as_ref().unwrap_or(&self.0.before);
        self.0.send(manner, request, Hearer::Host(&self.0.host)).await
    }

    /// Says which version both have agreed on. All that is sent from now on says so too.
    pub(super) fn agree(&self, version: &str, is_modern: bool) {
        let common = self.0.wire.headers();
        let _ = self.0.agreed.set(if is_modern {
            Manner::modern(common, version)
        } else {
            Manner::legacy(common, version, self.0.session())
        }); // it is agreed on once
    }

    /// Opens the stream on which a server of the older era asks and tells, and waits a little until it is open.
    pub(super) async fn listen(&self) {
        if self.0.manner().has_session() {
            let heard = CancellationToken::new();
            self.0.tasks.spawn(listening::listen(self.0.clone(), heard.clone()));
            // What some servers ask before the stream is open, in a call for instance, nobody ever hears.
            let _ = timeout(HEARD, heard.cancelled()).await;
        }
    }

    /// Sends a request and waits for its outcome. Dropping the future cancels the request at the server.
    pub(super) async fn request(
        &self,
        request: Outgoing,
        party: Option<Arc<dyn Party>>,
    ) -> Result<Outcome, RequestError> {
        if self.is_ended() {
            return Err(HttpError::closed(Fate::NotDelivered).into());
        }
        let hearer = party.as_ref().map_or(Hearer::Host(&self.0.host), Hearer::Party);
        let sent = self.0.closed.run_until_cancelled(self.0.send(self.0.manner(), request, hearer)).await;
        let outcome = sent.unwrap_or_else(|| Err(HttpError::closed(Fate::Lost)));
        outcome.map_err(|error| self.0.noted(error).into())
    }

    /// Sends a notification.
    pub(super) async fn notify(&self, notification: Notification) -> Result<(), RequestError> {
        if self.is_ended() {
            return Err(HttpError::closed(Fate::NotDelivered).into());
        }
        let told = self.0.closed.run_until_cancelled(self.0.tell(notification.into())).await;
        let told = told.unwrap_or_else(|| Err(HttpError::closed(Fate::Lost)));
        told.map_err(|error| self.0.noted(error).into())
    }

    /// Waits until the server has forgotten the session or is gone, or the line is closed.
    pub(super) async fn ended(&self) {
        self.0.ended.cancelled().await;
    }

    pub(super) fn is_ended(&self) -> bool {
        self.0.ended.is_cancelled()
    }

    /// What the server did, if that ended the line.
    pub(super) fn why_ended(&self) -> Option<String> {
        self.0.why_ended.get().cloned()
    }

    /// Leaves the session, and waits until nothing of the line is left. Requests under way end without an outcome.
    pub(super) async fn close(&self) {
        self.leave();
        self.0.tasks.wait().await;
    }

    fn leave(&self) {
        self.0.ended.cancel();
        self.0.closed.cancel();
        if self.0.tasks.close()
            && let Ok(runtime) = Handle::try_current()
        {
            let inner = self.0.clone();
            self.0.tasks.spawn_on(async move { inner.leave_session().await }, &runtime);
        }
    }
}

impl Drop for HttpLine {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Inner {
    fn manner(&self) -> &Manner {
        self.agreed.get().unwrap_or(&self.before)
    }

    fn session(&self) -> Option<HeaderValue> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn send(
        self: &Arc<Self>,
        manner: &Manner,
        request: Outgoing,
        hearer: Hearer<'_>,
    ) -> Result<Outcome, HttpError> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let asked = Asked { id, in_session: manner.has_session(), limit: self.limit };
        let headers = manner.of_request(&request);
        let Outgoing { method, params, .. } = request;
        let body = Message::from(Request { id: id.into(), method, params }).to_bytes();
        let mut unanswered = Unanswered { inner: self, id, is_told: manner.stage() == Stage::Legacy };
        let outcome = async {
            let response = self.post(headers, body).await?;
            if manner.stage() == Stage::Before {
                self.note_session(&response);
            }
            match asked.read(response).await? {
                Answer::Outcome(outcome) => Ok(outcome),
                Answer::Events(events) => {
                    // It is large, and many servers answer without.
                    let exchange = Exchange { inner: self, asked, manner, hearer };
                    Box::pin(exchange.outcome(*events)).await
                }
            }
        }
        .await;
        unanswered.is_told = false;
        outcome
    }

    fn note_session(&self, response: &Response) {
        // A copy: the header is a part of all that was read with it.
        let session = response.headers().get(SESSION_ID);
        let session = session.and_then(|session| HeaderValue::from_bytes(session.as_bytes()).ok());
        if let Some(mut session) = session {
            session.set_sensitive(true);
            *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
        }
    }

    async fn post(&self, headers: HeaderMap, body: Bytes) -> Result<Response, HttpError> {
        Ok(self.wire.send(Method::POST, headers, Some(body)).await?)
    }

    /// Sends a notification or a response. It may arrive twice: an answer that met the end of an idle connection would be
    /// waited for in vain.
    async fn tell(&self, message: Message) -> Result<(), HttpError> {
        let manner = self.manner();
        let method = match &message {
            Message::Notification(notification) => Some(&*notification.method),
            _ => None,
        };
        let (headers, body) = (manner.of_message(method), message.to_bytes());
        let response = match self.post(headers.clone(), body.clone()).await {
            Err(error) if error.is_broken_connection() => self.post(headers, body).await?,
            posted => posted?,
        };
        if response.status().is_success() {
            return Ok(());
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let asked = Asked { id: 0, in_session: manner.has_session(), limit: self.limit };
        // A JSON-RPC error says why.
        let refused = |_| HttpError::status(Fate::NotDelivered, status, &headers);
        asked.refusal(response).await?.map(|_| ()).map_err(refused)
    }

    /// Ends the line if the error says so.
    fn noted(&self, error: HttpError) -> HttpError {
        if error.fate() == Fate::Forgotten {
            self.gone("the server has forgotten the session");
        }
        error
    }

    fn gone(&self, reason: &'static str) {
        tracing::debug!(reason, "the session has ended");
        let _ = self.why_ended.set(reason.to_owned()); // there is one already
        self.ended.cancel();
    }

    async fn cancel(&self, id: u64) {
        let params = Members::from_iter([("requestId", Id::from(id).into_raw())]).to_raw();
        let cancelled = Notification::new("notifications/cancelled", Some(params));
        let told = self.closed.run_until_cancelled(timeout(FAREWELL, self.tell(cancelled.into()))).await;
        if !matches!(told, None | Some(Ok(Ok(())))) {
            tracing::debug!("the server was not told that a request was cancelled");
        }
    }

    async fn leave_session(&self) {
        let (Some(session), None) = (self.session(), self.why_ended.get()) else { return };
        let mut headers = self.manner().of_stream(None);
        headers.insert(SESSION_ID, session);
        // A server may not support it, and whatever happens, nobody needs the session any more.
        let _ = timeout(FAREWELL, self.wire.send(Method::DELETE, headers, None)).await;
    }
}

/// A request that was sent. If nobody waits for its answer any more, the server is told.
struct Unanswered<'i> {
    inner: &'i Arc<Inner>,
    id: u64,
    is_told: bool,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if self.is_told
            && !self.inner.closed.is_cancelled()
            && self.inner.tasks.len() < MAX_FAREWELLS
            && let Ok(runtime) = Handle::try_current()
        {
            let (inner, id) = (self.inner.clone(), self.id);
            self.inner.tasks.spawn_on(async move { inner.cancel(id).await }, &runtime);
        }
    }
}

/// What answers a `ping`.
fn pong() -> Outcome {
    Ok(Raw::empty_object())
}
