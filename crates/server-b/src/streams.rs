//! Streamed answers on their way to their readers.

use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use tokio::{pin, sync::mpsc, time::timeout};
use tokio_util::task::TaskTracker;

use crate::{app::Slot, responder::StreamedItem};

/// Pieces that wait for a slow reader, beside what the connection holds.
const AHEAD: usize = 16;

/// Carries answers from the provider to their readers, and gives readers up that stopped reading: otherwise such a one
/// would hold its place, and the provider, for ever.
pub(crate) struct Streams {
    tasks: TaskTracker,
    stall: Duration,
}

impl Streams {
    /// Readers may take up to `stall` for the next piece.
    pub(crate) fn new(stall: Duration) -> Self {
        Self { tasks: TaskTracker::new(), stall }
    }

    /// How long a reader may take for the next piece.
    pub(crate) fn stall(&self) -> Duration {
        self.stall
    }

    /// Starts to carry `items`, whose place is `slot`. Dropping what this returns drops `items`, which cancels the call to
    /// the provider; so does a stall.
    pub(crate) fn carry<S>(&self, items: S, slot: Slot) -> impl Stream<Item = StreamedItem> + Send + use<S>
    where
        S: Stream<Item = StreamedItem> + Send + 'static,
    {
        let (pieces, taken) = mpsc::channel(AHEAD);
        let stall = self.stall;
        self.tasks.spawn(async move {
            tokio::select! {
                () = carry(items, &pieces, stall) => {}
                () = pieces.closed() => {}
            }
            drop(slot);
        });
        stream::unfold(taken, async |mut taken| Some((taken.recv().await?, taken)))
    }

    /// Waits until every stream has ended.
    pub(crate) async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn carry(
    items: impl Stream<Item = StreamedItem>,
    pieces: &mpsc::Sender<StreamedItem>,
    stall: Duration,
) {
    pin!(items);
    while let Some(item) = items.next().await {
        match timeout(stall, pieces.send(item)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => {
                tracing::info!(
                    stall_seconds = stall.as_secs_f64(),
                    "the reader of a stream stopped reading: given up"
                );
                return;
            }
        }
    }
}
