//! Requests under the same key that arrive together share one call.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{error::ApiError, exchange::Answer};

type Outcome = Result<Answer, ApiError>;

/// The keyed calls that are being answered. Bounded by the limit on concurrent requests.
#[derive(Default)]
pub(crate) struct InFlight {
    calls: Mutex<HashMap<String, Arc<Call>>>,
    tasks: TaskTracker,
}

struct Call {
    fingerprint: [u8; 32],
    outcome: watch::Receiver<Option<Outcome>>,
    waiting: Mutex<usize>,
    abandoned: CancellationToken,
}

/// One caller that waits for a call. When the last one goes away, the call is cancelled.
struct Waiting(Arc<Call>);

impl InFlight {
    /// The outcome of the call under `key`: the one that is under way, or a new one made by `start`.
    ///
    /// # Errors
    /// Those of the call; `KeyMismatch` when the key is being answered for another request.
    pub(crate) async fn join<F>(
        self: &Arc<Self>,
        key: &str,
        fingerprint: [u8; 32],
        start: impl Fn() -> F,
    ) -> Outcome
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        loop {
            let waiting = self.enter(key, fingerprint, &start)?;
            let mut outcome = waiting.0.outcome.clone();
            let result = match outcome.wait_for(Option::is_some).await {
                Ok(result) => result.clone().unwrap_or(Err(ApiError::Internal)),
                Err(_) => Err(ApiError::Internal), // the task panicked
            };
            match result {
                // The others left just before we came: their call is over, ours begins.
                Err(ApiError::Cancelled) => continue,
                other => return other,
            }
        }
    }

    /// Waits until every call has ended.
    pub(crate) async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn enter<F>(
        self: &Arc<Self>,
        key: &str,
        fingerprint: [u8; 32],
        start: &impl Fn() -> F,
    ) -> Result<Waiting, ApiError>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(call) = calls.get(key) {
            if call.fingerprint != fingerprint {
                return Err(ApiError::KeyMismatch);
            }
            *call.waiting.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            tracing::debug!("a request joined the call that is under way for its idempotency key");
            return Ok(Waiting(call.clone()));
        }
        let (report, outcome) = watch::channel(None);
        let abandoned = CancellationToken::new();
        let call =
            Arc::new(Call { fingerprint, outcome, waiting: Mutex::new(1), abandoned: abandoned.clone() });
        calls.insert(key.to_owned(), call.clone());
        let (this, key, work) = (self.clone(), key.to_owned(), start());
        self.tasks.spawn(async move {
            let leave = Leave { calls: this, key };
            let result = tokio::select! {
                result = work => result,
                () = abandoned.cancelled() => Err(ApiError::Cancelled),
            };
            // First off the list: who still joins this call would hear of it again and again.
            drop(leave);
            report.send_replace(Some(result));
        });
        Ok(Waiting(call))
    }
}

/// Takes a call off the list when its task ends, also by a panic. The answer is in the ledger by then.
struct Leave {
    calls: Arc<InFlight>,
    key: String,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.calls.calls.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        *waiting -= 1;
        if *waiting == 0 {
            self.0.abandoned.cancel();
        }
    }
}
