//! WebSocket: one message per text frame, subprotocol `mcp`. It is no part of the specification, but a common custom.
//! Proxies are not used.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use http::{HeaderMap, HeaderValue, header::SEC_WEBSOCKET_PROTOCOL};
use tokio::{
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{
        self, Error, Message, Utf8Bytes,
        client::IntoClientRequest as _,
        error::{ProtocolError, SubProtocolError},
        protocol::WebSocketConfig,
    },
};
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use super::{
    ConnectError, ConnectOptions,
    address::without_userinfo,
    authorizer::Authorization,
    carrier::Carrier,
    http_client,
    incoming::Incoming,
    link::{LinkError, Outbox, Queue},
};

/// Longest wait for the other side's part of the goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A connection over WebSocket.
pub(crate) struct WebSocket {
    incoming: SplitStream<Socket>,
    outbox: Outbox,
    heard: Heard,
    writer: Option<JoinHandle<()>>,
    /// The writer gave up.
    gone: CancellationToken,
    /// Tells the writer to say goodbye.
    stop: CancellationToken,
    _stop: DropGuard,
    broken: Option<&'static str>,
}

/// What connecting begins with.
pub(crate) struct Handshake {
    headers: HeaderMap,
    authorization: Authorization,
}

impl Handshake {
    pub(crate) fn new(url: &Url, options: &ConnectOptions) -> Result<Self, ConnectError> {
        let headers = http_client::headers(url, options)?;
        Ok(Self { headers, authorization: Authorization::new(url, options)? })
    }

    async fn shake(&self, url: &Url, options: &ConnectOptions) -> Result<Socket, LinkError> {
        let mut attempts = self.authorization.attempts().await?;
        loop {
            let headers = http_client::authorized(self.headers.clone(), attempts.credential());
            let socket = match connect(url, &headers, true, options).await {
                // Not every server knows the subprotocol.
                Err(Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(
                    SubProtocolError::NoSubProtocol,
                ))) => connect(url, &headers, false, options).await,
                outcome => outcome,
            };
            let socket = socket.map_err(|error| LinkError::WebSocket(Box::new(error)));
            if let Some(outcome) = attempts.settle(socket).await {
                return outcome;
            }
        }
    }
}

/// When the server was heard last.
#[derive(Clone)]
struct Heard(Arc<Mutex<Instant>>);

impl Heard {
    fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn silence(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

impl WebSocket {
    /// Connects.
    pub(crate) async fn open(
        url: &Url,
        handshake: Handshake,
        options: &ConnectOptions,
    ) -> Result<Self, LinkError> {
        let socket = handshake.shake(url, options).await?;
        let (sink, incoming) = socket.split();
        let (outbox, queue) = Outbox::new();
        let (gone, stop) = (CancellationToken::new(), CancellationToken::new());
        let heard = Heard(Arc::new(Mutex::new(Instant::now())));
        let writer =
            Writer { sink, heard: heard.clone(), stop: stop.clone(), keep_alive: options.keep_alive };
        let guard = gone.clone().drop_guard();
        let writer = tokio::spawn(async move {
            let _gone = guard;
            writer.run(queue).await;
        });
        Ok(Self {
            incoming,
            outbox,
            heard,
            writer: Some(writer),
            gone,
            _stop: stop.clone().drop_guard(),
            stop,
            broken: None,
        })
    }
}

async fn connect(
    url: &Url,
    headers: &HeaderMap,
    subprotocol: bool,
    options: &ConnectOptions,
) -> Result<Socket, Error> {
    let mut request = without_userinfo(url).as_str().into_client_request()?;
    request.headers_mut().extend(headers.clone());
    if subprotocol {
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("mcp"));
    }
    let config = WebSocketConfig::default()
        .max_message_size(Some(options.message_bytes))
        .max_frame_size(Some(options.message_bytes));
    let no_delay = true;
    Ok(connect_async_with_config(request, Some(config), no_delay).await?.0)
}

impl Carrier for WebSocket {
    fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    async fn next(&mut self) -> Option<Incoming> {
        loop {
            let frame = tokio::select! {
                biased;
                () = self.gone.cancelled() => return None,
                frame = self.incoming.next() => frame?,
            };
            self.heard.now();
            match frame {
                Ok(Message::Text(text)) => return Some(Incoming::Message(text.into())),
                Ok(Message::Binary(bytes)) => {
                    tracing::warn!(
                        message.bytes = bytes.len(),
                        "the server sent a binary frame, which is no message"
                    );
                }
                Ok(_) => {} // pings are answered and a goodbye is returned underneath
                Err(error) => {
                    self.broken = log(&error);
                    return None;
                }
            }
        }
    }

    fn reason(&self) -> Option<String> {
        self.broken.map(str::to_owned)
    }

    async fn close(&mut self) {
        self.stop.cancel();
        let goodbye = async { while let Some(Ok(_)) = self.incoming.next().await {} };
        if !self.gone.is_cancelled() {
            let _ = timeout(GOODBYE, goodbye).await; // a server need not return it
        }
        if let Some(writer) = self.writer.take() {
            let _ = writer.await; // it panics never, and is not aborted
        }
    }
}

/// The text of some errors repeats what the server sent.
fn log(error: &Error) -> Option<&'static str> {
    let reason = match error {
        Error::Capacity(_) => "it sent a message that is too large",
        Error::Io(_) => "the network failed",
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => "it left without a goodbye",
        Error::ConnectionClosed | Error::AlreadyClosed => return None,
        _ => "it does not keep to the protocol",
    };
    tracing::warn!(reason, "the connection to the server broke");
    Some(reason)
}

/// Writes what is queued, pings, and says goodbye.
struct Writer {
    sink: SplitSink<Socket, Message>,
    heard: Heard,
    stop: CancellationToken,
    keep_alive: Duration,
}

impl Writer {
    async fn run(mut self, mut queue: Queue) {
        let stop = self.stop.clone();
        if stop.run_until_cancelled(self.write(&mut queue)).await.is_none() {
            // Nobody waits longer than this for the goodbye to be written.
            let _ = timeout(GOODBYE, self.sink.close()).await;
        }
    }

    /// Returns when the server is gone.
    async fn write(&mut self, queue: &mut Queue) {
        let longest_silence = self.keep_alive * 2;
        let mut ticks = interval_at(Instant::now() + self.keep_alive, self.keep_alive);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let frame = tokio::select! {
                _ = ticks.tick() => None,
                frame = queue.next() => match frame {
                    Some(frame) => Some(frame),
                    None => return,
                },
            };
            if self.heard.silence() > longest_silence {
                tracing::warn!(silent_ms = longest_silence.as_millis(), "the server is silent and given up");
                if let Some(frame) = frame {
                    frame.settle(Err(LinkError::Closed)); // not a byte of it was written
                }
                return;
            }
            let message = match frame.as_ref().map(|frame| Utf8Bytes::try_from(frame.text().clone())) {
                None => Message::Ping(tungstenite::Bytes::new()),
                Some(Ok(text)) => Message::Text(text),
                Some(Err(_)) => continue, // messages are JSON, and so UTF-8
            };
            let sent = match timeout(longest_silence, self.sink.send(message)).await {
                Ok(sent) => sent.map_err(unsent),
                Err(_) => Err(LinkError::Stalled),
            };
            let failed = sent.is_err();
            if let Some(frame) = frame {
                frame.settle(sent);
            }
            if failed {
                return;
            }
        }
    }
}

/// Why a message was not sent.
fn unsent(error: Error) -> LinkError {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(ProtocolError::SendAfterClosing) => {
            LinkError::Closed
        }
        error => LinkError::WebSocket(Box::new(error)),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::net::TcpListener;
    use tungstenite::protocol::Role;

    use super::*;
    use crate::connect::link::Kind;

    #[tokio::test]
    async fn what_is_not_written_because_the_server_is_silent_is_not_delivered() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let socket =
            WebSocketStream::from_raw_socket(MaybeTlsStream::Plain(stream), Role::Client, None).await;
        let keep_alive = Duration::from_secs(1);
        let long_ago = Instant::now().checked_sub(keep_alive * 3).unwrap();
        let (heard, stop) = (Heard(Arc::new(Mutex::new(long_ago))), CancellationToken::new());
        let mut writer = Writer { sink: socket.split().0, heard, stop, keep_alive };
        let (outbox, mut queue) = Outbox::new();
        let sent = outbox.send(Bytes::from_static(b"{}"), Kind::Request(1));
        writer.write(&mut queue).await;
        assert!(matches!(sent.await, Err(LinkError::Closed)));
    }
}
