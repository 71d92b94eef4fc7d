//! One request within its time limits.

use std::sync::Arc;

use rmcp::{
    model::{ClientRequest, ServerResult},
    service::{RequestHandle, RoleClient, ServiceError},
};
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::{CallError, CallOptions, Limits, clock::Clock, progress::Listener, session::Session};

/// One call, which may take several requests: they share its limits.
pub(crate) struct Call {
    pub(crate) session: Arc<Session>,
    pub(crate) clock: Clock,
    pub(crate) progress: Option<Listener>,
    _in_use: TaskTrackerToken,
}

/// Why a request has no answer.
pub(crate) enum Failure {
    /// It never left: it may be sent again.
    Unsent(CallError),
    /// It may have been carried out.
    Sent(CallError),
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        let (Failure::Unsent(error) | Failure::Sent(error)) = failure;
        error
    }
}

impl Call {
    pub(crate) fn new(session: Arc<Session>, options: &CallOptions, limits: Limits) -> Self {
        let clock = Clock::start(options.limits.unwrap_or(limits));
        Self { clock, progress: options.progress.clone(), _in_use: session.in_use(), session }
    }

    /// Sends one request and waits for its answer. The server is told to stop when this is dropped, or takes too long.
    pub(crate) async fn ask(&mut self, request: ClientRequest) -> Result<ServerResult, Failure> {
        let session = &*self.session;
        let mut questions = session.handler.questions.subscribe();
        self.clock.sign_of_life();
        let sending = session.peer().send_cancellable_request(request, session.request_options());
        let never = tokio::sync::Notify::new();
        let sent = tokio::select! {
            sent = sending => sent,
            limit = self.clock.exceeded(&never, &mut questions) => {
                return Err(Failure::Unsent(CallError::TimedOut(limit)));
            }
        };
        let sent = sent.map_err(|error| Failure::Unsent(session.failure(error)))?;
        let followed = session.handler.progress.follow(sent.progress_token.clone(), self.progress.clone());
        let mut waiting = Waiting { session, request: Some(sent), reason: "nobody waits for it any more" };
        let answered = tokio::select! {
            biased;
            answered = waiting.answer() => answered,
            limit = self.clock.exceeded(&followed.route.signs, &mut questions) => {
                waiting.reason = "it took too long";
                return Err(Failure::Sent(CallError::TimedOut(limit)));
            }
        };
        self.clock.sign_of_life();
        answered.map_err(|error| Failure::Sent(session.failure(error)))
    }
}

/// A request that is under way. The server is told to stop when this is dropped before the answer.
struct Waiting<'a> {
    session: &'a Session,
    request: Option<RequestHandle<RoleClient>>,
    reason: &'static str,
}

impl Waiting<'_> {
    async fn answer(&mut self) -> Result<ServerResult, ServiceError> {
        let Some(request) = &mut self.request else { return Err(ServiceError::TransportClosed) };
        let answer = (&mut request.rx).await.unwrap_or(Err(ServiceError::TransportClosed));
        self.request = None;
        answer
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            self.session.give_up(request, self.reason);
        }
    }
}
