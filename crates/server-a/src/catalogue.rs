//! The models of server-b, as they were a moment ago: completions and questions need them often.

use std::{sync::Arc, time::Duration};

use models::ModelsResponse;
use responder_client::ResponderClient;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

/// How long a list is good, and how long a failure is believed.
const GOOD_FOR: Duration = Duration::from_secs(30);
const BAD_FOR: Duration = Duration::from_secs(3);
/// Longest wait for the list: what needs it can do without.
const PATIENCE: Duration = Duration::from_secs(3);

/// The list of models that server-b gave last.
#[derive(Default)]
pub(crate) struct Catalogue {
    /// Whoever needs it while it is being fetched waits for that.
    last: Mutex<Option<Last>>,
}

struct Last {
    models: Option<Arc<ModelsResponse>>,
    good_until: Instant,
}

impl Catalogue {
    /// The models; `None` when server-b does not tell.
    pub(crate) async fn models(&self, responder: &ResponderClient) -> Option<Arc<ModelsResponse>> {
        let mut last = self.last.lock().await;
        if let Some(last) = last.as_ref().filter(|last| Instant::now() < last.good_until) {
            return last.models.clone();
        }
        let answer = timeout(PATIENCE, responder.models()).await;
        let models = answer.ok().and_then(Result::ok).map(Arc::new);
        let good_until = Instant::now() + if models.is_some() { GOOD_FOR } else { BAD_FOR };
        *last = Some(Last { models: models.clone(), good_until });
        models
    }
}
