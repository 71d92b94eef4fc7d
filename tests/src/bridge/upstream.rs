//! One connection to the server behind the bridge, as two queues of messages.

use std::{fmt, process::Stdio, str::FromStr};

use anyhow::{Context as _, ensure};
use eventsource_stream::Eventsource as _;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::Command,
    sync::mpsc,
};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};
use tokio_util::task::AbortOnDropHandle;

const CAPACITY: usize = 64;

/// Where the server is, and how to talk to it.
#[derive(Debug, Clone)]
pub enum Target {
    /// A program that is started for each connection.
    Stdio(Vec<String>),
    /// `http://…/sse`
    Sse(reqwest::Url),
    /// `ws://…`
    WebSocket(String),
}

/// A connection; dropping it closes it.
pub struct Upstream {
    /// Messages to the server.
    pub to_server: mpsc::Sender<Value>,
    /// Messages of the server, until it ends the connection.
    pub from_server: mpsc::Receiver<Value>,
    /// Ends with this.
    _carrier: AbortOnDropHandle<()>,
}

impl Target {
    /// Opens a connection.
    ///
    /// # Errors
    /// When the server cannot be reached or started.
    pub async fn open(&self) -> anyhow::Result<Upstream> {
        let (to_server, outgoing) = mpsc::channel(CAPACITY);
        let (incoming, from_server) = mpsc::channel(CAPACITY);
        let carrier = match self {
            Self::Stdio(command) => tokio::spawn(stdio(start(command)?, outgoing, incoming)),
            Self::Sse(url) => {
                let stream = reqwest::get(url.clone()).await?.error_for_status()?;
                tokio::spawn(report(sse(stream, url.clone(), outgoing, incoming)))
            }
            Self::WebSocket(url) => {
                let mut request = url.into_client_request()?;
                request.headers_mut().insert("sec-websocket-protocol", "mcp".parse()?);
                let (socket, _) = tokio_tungstenite::connect_async(request).await?;
                tokio::spawn(report(web_socket(socket, outgoing, incoming)))
            }
        };
        Ok(Upstream { to_server, from_server, _carrier: AbortOnDropHandle::new(carrier) })
    }
}

impl FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        if let Some(command) = text.strip_prefix("stdio:") {
            let words: Vec<_> = command.split_whitespace().map(str::to_owned).collect();
            ensure!(!words.is_empty(), "the command is missing");
            return Ok(Self::Stdio(words));
        }
        if text.starts_with("ws://") {
            return Ok(Self::WebSocket(text.to_owned()));
        }
        text.parse().map(Self::Sse).context("must be stdio:COMMAND, ws://… or http://…/sse")
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdio(command) => write!(formatter, "stdio:{}", command.join(" ")),
            Self::Sse(url) => url.fmt(formatter),
            Self::WebSocket(url) => url.fmt(formatter),
        }
    }
}

fn start(command: &[String]) -> anyhow::Result<tokio::process::Child> {
    let mut child = Command::new(&command[0]);
    child.args(&command[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    child.spawn().with_context(|| format!("{} cannot be started", command[0]))
}

async fn stdio(
    mut child: tokio::process::Child,
    mut outgoing: mpsc::Receiver<Value>,
    incoming: mpsc::Sender<Value>,
) {
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else { return };
    let mut lines = BufReader::new(output).lines();
    let read = async {
        while let Ok(Some(line)) = lines.next_line().await {
            let Ok(message) = serde_json::from_str(&line) else { return };
            if incoming.send(message).await.is_err() {
                return;
            }
        }
    };
    let write = async {
        while let Some(message) = outgoing.recv().await {
            let line = format!("{message}\n");
            if input.write_all(line.as_bytes()).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = read => {}
        () = write => {}
    }
}

async fn sse(
    stream: reqwest::Response,
    url: reqwest::Url,
    mut outgoing: mpsc::Receiver<Value>,
    incoming: mpsc::Sender<Value>,
) -> anyhow::Result<()> {
    let mut events = stream.bytes_stream().eventsource();
    let first = events.next().await.context("no endpoint")??;
    ensure!(first.event == "endpoint", "the stream begins with {}", first.event);
    let endpoint = url.join(&first.data)?;
    let http = reqwest::Client::new();
    let read = async {
        while let Some(event) = events.next().await {
            incoming.send(serde_json::from_str(&event?.data)?).await?;
        }
        Ok(())
    };
    let write = async {
        while let Some(message) = outgoing.recv().await {
            http.post(endpoint.clone()).json(&message).send().await?.error_for_status()?;
        }
        Ok(())
    };
    tokio::select! {
        read = read => read,
        write = write => write,
    }
}

async fn web_socket<S>(
    socket: tokio_tungstenite::WebSocketStream<S>,
    mut outgoing: mpsc::Receiver<Value>,
    incoming: mpsc::Sender<Value>,
) -> anyhow::Result<()>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let (mut sink, mut stream) = socket.split();
    let read = async {
        while let Some(frame) = stream.next().await {
            if let Message::Text(text) = frame? {
                incoming.send(serde_json::from_str(&text)?).await?;
            }
        }
        Ok(())
    };
    let write = async {
        while let Some(message) = outgoing.recv().await {
            sink.send(Message::text(message.to_string())).await?;
        }
        Ok(())
    };
    tokio::select! {
        read = read => read,
        write = write => write,
    }
}

async fn report(carried: impl Future<Output = anyhow::Result<()>>) {
    if let Err(error) = carried.await {
        tracing::warn!(%error, "the connection to the server broke");
    }
}
