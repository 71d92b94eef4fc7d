//! The stream on which a server of the older era asks and tells outside of any request.

use std::sync::Arc;

use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use json_rpc::Message;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    Inner,
    exchange::Hearer,
    reading::{Closed, Place, message},
};
use crate::connect::events::Events;

/// Listens until the line ends. `heard` is told when the server can ask and tell, or does not want to.
pub(super) async fn listen(inner: Arc<Inner>, heard: CancellationToken) {
    let _heard = heard.clone().drop_guard();
    inner.ended.run_until_cancelled(inner.listen(&heard)).await;
}

impl Inner {
    async fn listen(&self, heard: &CancellationToken) {
        let mut place = Place::default();
        loop {
            match self.open(self.manner(), &place).await {
                Ok(mut events) => {
                    heard.cancel();
                    self.hear(&mut events, &mut place).await;
                    place.left(&events);
                }
                // A stream of the session was open once: refusing another one means that the session is gone.
                Err(Closed::Refused | Closed::Forgotten) if heard.is_cancelled() => {
                    return self.gone("the server has forgotten the session");
                }
                Err(Closed::Refused | Closed::Forgotten) => return,
                // It could be heard before. Calls that are under way may still get their answers.
                Err(Closed::Unreachable) if heard.is_cancelled() => {
                    return self.gone("the server cannot be reached any more");
                }
                Err(Closed::Unreachable | Closed::Busy) => {}
            }
            sleep(place.wait()).await;
        }
    }

    /// Hears and answers until the stream ends.
    async fn hear(&self, events: &mut Events, place: &mut Place) {
        let mut questions = FuturesUnordered::new();
        loop {
            let read = tokio::select! {
                read = events.next() => read,
                Some(()) = questions.next() => continue,
            };
            let event = match read {
                Ok(Some(event)) => event,
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!(?error, "the server's stream of events broke");
                    return;
                }
            };
            place.moved();
            match message(&event).unwrap_or_default() {
                Some(Message::Notification(told)) if self.questions.cancel(&told) => {}
                Some(Message::Notification(told)) => self.host.told(told),
                Some(Message::Request(question)) => {
                    questions.push(self.answer(question, Hearer::Host(&self.host)).boxed());
                }
                Some(Message::Response(_)) | None => {} // nobody waits for it
            }
        }
    }
}
