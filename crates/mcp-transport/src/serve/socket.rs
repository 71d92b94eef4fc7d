//! WebSocket: each text frame one message, subprotocol `mcp`. No part of the specification, but widely understood.

use std::{
    error::Error as _,
    future::pending,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use auth::Caller;
use axum::{
    Error, Extension,
    extract::{
        State, WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code, rejection::WebSocketUpgradeRejection},
    },
    response::Response,
};
use bytes::Bytes;
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, MissedTickBehavior, interval_at},
};
use tokio_tungstenite::tungstenite;

use super::{
    channel::{Ends, channel},
    decode::{Heard, invalid, refused_text, too_large},
    mount::{Answers, Mount},
    outgoing::{Outflow, Outgoing},
    reply::{full, refuse},
};

/// A socket keeps a buffer of this size while it is idle.
const READ_BUFFER: usize = 4 * 1024;

/// Opens a WebSocket (`GET /ws`).
pub(crate) async fn open<A: Answers>(
    State(mount): State<Arc<Mount<A>>>,
    Extension(caller): Extension<Caller>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(refused) => return refuse(refused.status(), &refused.body_text()),
    };
    let Some(place) = mount.place() else { return full() };
    let limit = mount.max_message;
    // Counted from here on, so that a stop waits for a session that is just beginning.
    let counted = mount.lifetime.open.token();
    upgrade
        .protocols(["mcp"])
        .max_message_size(limit)
        .max_frame_size(limit)
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0) // each message leaves at once
        .on_upgrade(move |socket| async move {
            mount.lifetime.cut.run_until_cancelled(converse(socket, &mount, caller, place)).await;
            drop(counted);
        })
}

/// Carries the messages of one session, until either side ends it.
async fn converse<A: Answers>(
    socket: WebSocket,
    mount: &Mount<A>,
    caller: Caller,
    place: OwnedSemaphorePermit,
) {
    let (mut sink, stream) = socket.split();
    let (channel, Ends { incoming, outflow, refusals }) = channel();
    let line = Line { caller, heard: Mutex::new(Instant::now()), closing: OnceLock::new() };
    // When reading ends, the session ends; when the session has ended and its last message is sent, writing ends.
    let session = async {
        A::serve(mount, channel, caller, place).await;
        pending().await
    };
    let read = async {
        line.read(stream, incoming, &refusals, mount.max_message).await;
        pending().await
    };
    tokio::select! {
        () = line.write(&mut sink, outflow, mount.timing.ping) => {}
        () = read => {}
        () = session => {}
    }
    let code = if mount.lifetime.stopping.is_cancelled() { close_code::AWAY } else { close_code::NORMAL };
    let (code, reason) = line.closing.into_inner().unwrap_or((code, ""));
    let goodbye = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
    let _ = sink.send(goodbye).await; // the client may have gone
}

/// What both directions of a connection know.
struct Line {
    caller: Caller,
    heard: Mutex<Instant>,
    /// Why it is closed, if not because somebody wanted it.
    closing: OnceLock<(u16, &'static str)>,
}

impl Line {
    /// Passes messages on until the client ends the connection or breaks its rules.
    async fn read<M: Heard>(
        &self,
        mut stream: SplitStream<WebSocket>,
        incoming: mpsc::Sender<Box<M>>,
        refusals: &Outgoing,
        limit: usize,
    ) {
        let refuse = async |refused| {
            let _ = refusals.push(refused).await; // the session may have ended
        };
        while let Some(frame) = stream.next().await {
            *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            let message = match frame {
                Ok(Message::Text(text)) => M::read(Bytes::from(text), self.caller),
                Ok(Message::Binary(_)) => {
                    Err(refused_text(&invalid(None, "messages come in text frames, not binary ones")))
                }
                Ok(Message::Ping(_) | Message::Pong(_)) => continue, // answered already
                Ok(Message::Close(_)) => return,
                Err(error) if is_too_large(&error) => {
                    let _ = self.closing.set((close_code::SIZE, "the message is too large"));
                    return refuse(refused_text(&too_large(limit))).await;
                }
                Err(_) => return,
            };
            match message {
                Ok(message) => {
                    if incoming.send(Box::new(message)).await.is_err() {
                        return;
                    }
                }
                Err(refused) => refuse(refused).await,
            }
        }
    }

    /// Sends messages until the session ends, the client is silent for too long, or the connection breaks.
    async fn write(&self, sink: &mut SplitSink<WebSocket, Message>, mut outflow: Outflow, ping: Duration) {
        let mut pings = interval_at(Instant::now() + ping, ping);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let frame = tokio::select! {
                text = outflow.next() => match text.and_then(|text| Utf8Bytes::try_from(text.freeze()).ok()) {
                    Some(text) => Message::Text(text),
                    None => return,
                },
                _ = pings.tick() => {
                    let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
                    if heard.elapsed() >= 2 * ping {
                        tracing::debug!("a WebSocket whose client is silent is closed");
                        return;
                    }
                    Message::Ping(Default::default())
                }
            };
            if sink.send(frame).await.is_err() {
                return;
            }
        }
    }
}

fn is_too_large(error: &Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<tungstenite::Error>());
    matches!(source, Some(tungstenite::Error::Capacity(_)))
}
