//! HTTP/2 streams whose reader takes nothing. TCP does not show them: the connection is alive, and one stream is not read.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, sleep_until};

tokio::task_local! {
    /// The watch over the stream that this task answers.
    static WATCH: Arc<Watch>;
}

/// Since when the last piece of a body has not been taken: hyper asks for another only when there is room for it.
#[derive(Default)]
struct Watch(Mutex<Option<Instant>>);

impl Watch {
    fn given(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers one stream; `false` when it was given up, because its reader took nothing for this long.
pub(crate) async fn watch(answering: impl Future, stall: Duration) -> bool {
    let watch = Arc::<Watch>::default();
    let mut answering = pin!(WATCH.scope(watch.clone(), answering));
    let mut alarm = pin!(sleep_until(Instant::now()));
    poll_fn(|context| {
        if answering.as_mut().poll(context).is_ready() {
            return Poll::Ready(true);
        }
        let Some(given) = *watch.given() else { return Poll::Pending };
        if alarm.deadline() != given + stall {
            alarm.as_mut().reset(given + stall);
        }
        alarm.as_mut().poll(context).map(|()| false)
    })
    .await
}

/// A body that tells the watch over its stream when a piece of it is asked for, and given.
pub(crate) struct Watched<B>(pub(crate) B);

impl<B: Body<Data = Bytes> + Unpin> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.0).poll_frame(context);
        let given = matches!(polled, Poll::Ready(Some(Ok(_)))).then(Instant::now);
        // Outside of a task with a watch, nobody watches.
        let _ = WATCH.try_with(|watch| *watch.given() = given);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
