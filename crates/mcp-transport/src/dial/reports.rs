//! Streamable HTTP with progress tokens of our own. Some servers report on the stream of the request, others on the one on which they
//! tell everything else.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use json_rpc::{Notification, Outcome, Raw};
use url::Url;

use super::{
    LineHost, Outgoing, Party, RequestError,
    errand::{Errand, Hearing, Letter},
    http::HttpLine,
    token::{Token, reported},
};
use crate::{ConnectError, ConnectOptions};

/// A line over Streamable HTTP.
pub(super) struct HttpWay {
    pub(super) line: HttpLine,
    reports: Arc<Reports>,
    tokens: AtomicU64,
}

/// Whoever waits for progress that is not reported on the stream of its request.
#[derive(Default)]
struct Reports(Mutex<HashMap<u64, Arc<Errand>>>);

impl HttpWay {
    /// A line to the server at this URL. Nothing is sent yet.
    pub(super) fn new(
        url: &Url,
        host: Arc<dyn LineHost>,
        options: &ConnectOptions,
    ) -> Result<Self, ConnectError> {
        let reports = Arc::<Reports>::default();
        let line = HttpLine::new(url, Arc::new(Sorter { host, reports: reports.clone() }), options)?;
        Ok(Self { line, reports, tokens: AtomicU64::new(1) })
    }

    /// Sends a request and waits for its outcome. Dropping the future cancels it.
    pub(super) async fn request(
        &self,
        mut request: Outgoing,
        party: Option<Arc<dyn Party>>,
    ) -> Result<Outcome, RequestError> {
        let Some(party) = party else { return self.line.request(request, None).await };
        let ours = self.tokens.fetch_add(1, Ordering::Relaxed);
        match Token::replace(&mut request.params, ours) {
            Some(token) => self.report(request, ours, Arc::new(Reporter { party, token })).await,
            None => self.line.request(request, Some(party)).await,
        }
    }

    async fn report(
        &self,
        request: Outgoing,
        ours: u64,
        reporter: Arc<Reporter>,
    ) -> Result<Outcome, RequestError> {
        let errand = Arc::new(Errand::new(ours, Hearing::Everything, None));
        self.reports.open().insert(ours, errand.clone());
        let _reported = Reported { reports: &self.reports, ours };
        let mut outcome = std::pin::pin!(self.line.request(request, Some(reporter.clone())));
        let outcome = loop {
            tokio::select! {
                outcome = &mut outcome => break outcome,
                letter = errand.next() => reporter.report(letter).await,
            }
        };
        while let Some(letter) = errand.next().now_or_never() {
            reporter.report(letter).await;
        }
        outcome
    }
}

impl Reports {
    fn open(&self) -> MutexGuard<'_, HashMap<u64, Arc<Errand>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits for progress, until it is dropped.
struct Reported<'r> {
    reports: &'r Reports,
    ours: u64,
}

impl Drop for Reported<'_> {
    fn drop(&mut self) {
        self.reports.open().remove(&self.ours);
    }
}

/// A host that does not hear of progress: that belongs to requests.
struct Sorter {
    host: Arc<dyn LineHost>,
    reports: Arc<Reports>,
}

#[async_trait]
impl LineHost for Sorter {
    fn told(&self, notification: Notification) {
        match reported(&notification) {
            None => self.host.told(notification),
            Some(ours) => {
                let errand = self.reports.open().get(&ours).cloned();
                if let Some(errand) = errand {
                    errand.tell(notification);
                }
            }
        }
    }

    async fn asked(&self, method: &str, params: Option<Raw>) -> Outcome {
        self.host.asked(method, params).await
    }
}

/// A party that hears of progress under its own token.
struct Reporter {
    party: Arc<dyn Party>,
    token: Token,
}

impl Reporter {
    async fn report(&self, letter: Letter) {
        if let Letter::Told(notification) = letter {
            self.told(notification).await;
        }
    }
}

#[async_trait]
impl Party for Reporter {
    async fn told(&self, notification: Notification) {
        let notification = match reported(&notification) {
            Some(ours) if ours == self.token.ours => self.token.give_back(notification),
            _ => notification,
        };
        self.party.told(notification).await;
    }

    async fn asked(&self, method: &str, params: Option<Raw>) -> Outcome {
        self.party.asked(method, params).await
    }
}
