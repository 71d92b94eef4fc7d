//! Which lists of a server have to be read again.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::catalogue::Kind;

/// All that can be listed.
pub(super) const EVERYTHING: [Kind; 4] = [Kind::Tools, Kind::Prompts, Kind::Resources, Kind::Templates];

/// Which lists of a server have to be read again.
#[derive(Default)]
pub(super) struct Changes {
    kinds: Mutex<Vec<Kind>>,
    news: Notify,
}

impl Changes {
    /// The lists that this notification says have changed; `None` when it is about something else.
    pub(super) fn named_by(method: &str) -> Option<&'static [Kind]> {
        match method {
            "notifications/tools/list_changed" => Some(&[Kind::Tools]),
            "notifications/prompts/list_changed" => Some(&[Kind::Prompts]),
            "notifications/resources/list_changed" => Some(&[Kind::Resources, Kind::Templates]),
            _ => None,
        }
    }

    /// These have changed, or may have.
    pub(super) fn note(&self, changed: &[Kind]) {
        let mut kinds = self.kinds();
        for kind in changed {
            if !kinds.contains(kind) {
                kinds.push(*kind);
            }
        }
        self.news.notify_one();
    }

    /// Those that have changed since this was asked last.
    pub(super) fn take(&self) -> Vec<Kind> {
        std::mem::take(&mut self.kinds())
    }

    /// Waits until something has changed.
    pub(super) async fn come(&self) {
        while self.kinds().is_empty() {
            self.news.notified().await;
        }
    }

    fn kinds(&self) -> MutexGuard<'_, Vec<Kind>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
