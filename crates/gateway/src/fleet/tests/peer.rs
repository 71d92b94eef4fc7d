//! A server in memory that does what a test wants.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use json_rpc::{Error, Id, Members, Message, Notification, Raw, Request, Response};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, split},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

use super::lock;
use crate::{InMemory, Reach};

/// A server in memory. Its tools: `echo` answers the number of the connection; `die` ends the connection when it is called, `late`
/// answers when it is told to; all others never answer.
#[derive(Clone)]
pub(super) struct Peer(Arc<Inner>);

struct Inner {
    speaks: Speaks,
    name: &'static str,
    is_up: AtomicBool,
    answers_pings: AtomicBool,
    answers_legacy: AtomicBool,
    dies_of_lists: AtomicBool,
    connections: AtomicUsize,
    calls: AtomicUsize,
    lists: AtomicUsize,
    tools: Mutex<Vec<&'static str>>,
    live: Mutex<Vec<Live>>,
    /// Methods in the order in which they came.
    heard: mpsc::UnboundedSender<String>,
    hears: Mutex<Option<mpsc::UnboundedReceiver<String>>>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Speaks {
    Legacy,
    Modern,
    Both,
}

struct Live {
    cut: CancellationToken,
    outbox: mpsc::UnboundedSender<Message>,
    is_legacy: Arc<AtomicBool>,
}

impl Peer {
    pub(super) fn new(speaks: Speaks) -> Self {
        Self::named("peer", speaks)
    }

    pub(super) fn named(name: &'static str, speaks: Speaks) -> Self {
        let (heard, hears) = mpsc::unbounded_channel();
        Self(Arc::new(Inner {
            speaks,
            name,
            is_up: AtomicBool::new(true),
            answers_pings: AtomicBool::new(true),
            answers_legacy: AtomicBool::new(true),
            dies_of_lists: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            lists: AtomicUsize::new(0),
            tools: Mutex::new(vec!["echo"]),
            live: Mutex::default(),
            heard,
            hears: Mutex::new(Some(hears)),
        }))
    }

    pub(super) fn reach(&self) -> Reach {
        let inner = self.0.clone();
        Reach::InMemory(InMemory::new(move || {
            if !inner.is_up.load(Ordering::SeqCst) {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let (ours, theirs) = tokio::io::duplex(1 << 16);
            let number = inner.connections.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(inner.clone(), ours, number));
            Ok(theirs)
        }))
    }

    /// Methods as they come.
    pub(super) fn hears(&self) -> mpsc::UnboundedReceiver<String> {
        lock(&self.0.hears).take().expect("they are asked for once")
    }

    pub(super) fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    pub(super) fn connections(&self) -> usize {
        self.0.connections.load(Ordering::SeqCst)
    }

    pub(super) fn lists(&self) -> usize {
        self.0.lists.load(Ordering::SeqCst)
    }

    pub(super) fn live(&self) -> usize {
        lock(&self.0.live).iter().filter(|live| !live.outbox.is_closed()).count()
    }

    pub(super) fn set_tools(&self, tools: &[&'static str]) {
        *lock(&self.0.tools) = tools.to_vec();
    }

    /// It goes away: connections end, and new ones are refused.
    pub(super) fn go(&self) {
        self.0.is_up.store(false, Ordering::SeqCst);
        self.cut();
    }

    pub(super) fn come(&self) {
        self.0.is_up.store(true, Ordering::SeqCst);
    }

    /// From now on it does not answer pings, or does.
    pub(super) fn answer_pings(&self, yes: bool) {
        self.0.answers_pings.store(yes, Ordering::SeqCst);
    }

    /// From now on it does not answer those who begin in the older era, or does.
    pub(super) fn answer_legacy(&self, yes: bool) {
        self.0.answers_legacy.store(yes, Ordering::SeqCst);
    }

    /// From now on each connection ends when a list is asked for.
    pub(super) fn die_of_lists(&self) {
        self.0.dies_of_lists.store(true, Ordering::SeqCst);
    }

    /// Ends all connections.
    pub(super) fn cut(&self) {
        lock(&self.0.live).drain(..).for_each(|live| live.cut.cancel());
    }

    /// Tells all connections of this era.
    pub(super) fn tell(&self, to_legacy: bool, notification: Notification) {
        for live in lock(&self.0.live).iter() {
            if live.is_legacy.load(Ordering::SeqCst) == to_legacy {
                live.outbox.send(notification.clone().into()).unwrap();
            }
        }
    }

    /// Asks all connections.
    pub(super) fn ask(&self, method: &'static str) {
        for live in lock(&self.0.live).iter() {
            let request = Request { id: Id::from(77), method: method.into(), params: None };
            live.outbox.send(request.into()).unwrap();
        }
    }
}

async fn serve(peer: Arc<Inner>, stream: DuplexStream, number: usize) {
    let (reader, mut writer) = split(stream);
    let (outbox, mut queue) = mpsc::unbounded_channel::<Message>();
    let cut = CancellationToken::new();
    let is_legacy = Arc::new(AtomicBool::new(false));
    lock(&peer.live).push(Live { cut: cut.clone(), outbox: outbox.clone(), is_legacy: is_legacy.clone() });
    let writing = async {
        while let Some(message) = queue.recv().await {
            let mut line = message.to_bytes().to_vec();
            line.push(b'\n');
            if writer.write_all(&line).await.is_err() {
                break;
            }
        }
    };
    let reading = async {
        let mut lines = BufReader::new(reader).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            match Message::read(&line.into()).unwrap() {
                Message::Request(request) => {
                    let _ = peer.heard.send(request.method.to_string());
                    if request.method == "initialize" {
                        is_legacy.store(true, Ordering::SeqCst);
                    }
                    answer(&peer, number, request, &outbox, &cut);
                }
                Message::Notification(notification) => {
                    let _ = peer.heard.send(notification.method.to_string());
                }
                Message::Response(response) => {
                    let kind = if response.outcome.is_ok() { "answer" } else { "refusal" };
                    let _ = peer.heard.send(kind.to_owned());
                }
            }
        }
    };
    tokio::select! {
        () = cut.cancelled() => {}
        () = async { tokio::join!(writing) ; std::future::pending().await } => {}
        () = reading => {}
    }
}

fn answer(
    peer: &Inner,
    number: usize,
    request: Request,
    outbox: &mpsc::UnboundedSender<Message>,
    cut: &CancellationToken,
) {
    let Request { id, method, params } = request;
    let unknown = || Err(Error::new(Error::METHOD_NOT_FOUND, "no such method").to_raw());
    let capabilities = r#""capabilities":{"tools":{"listChanged":true},"logging":{}}"#;
    let outcome = match &*method {
        "initialize" if !peer.answers_legacy.load(Ordering::SeqCst) => return,
        "initialize" if peer.speaks != Speaks::Modern => Ok(format!(
            r#"{{"protocolVersion":"2025-11-25",{capabilities},"serverInfo":{{"name":"peer","version":"1"}}}}"#
        )),
        "server/discover" if peer.speaks == Speaks::Legacy => return reply(outbox, id, unknown()),
        "server/discover" | "ping" if !peer.answers_pings.load(Ordering::SeqCst) => return,
        "server/discover" => Ok(format!(
            r#"{{"resultType":"complete","supportedVersions":["2026-07-28"],{capabilities},"ttlMs":0,"cacheScope":"private"}}"#
        )),
        "ping" if peer.speaks != Speaks::Modern => Ok("{}".to_owned()),
        "tools/list" if peer.dies_of_lists.load(Ordering::SeqCst) => return cut.cancel(),
        "tools/list" => {
            peer.lists.fetch_add(1, Ordering::SeqCst);
            let tools: Vec<_> =
                lock(&peer.tools).iter().map(|name| format!(r#"{{"name":"{name}"}}"#)).collect();
            Ok(format!(r#"{{"tools":[{}]}}"#, tools.join(",")))
        }
        "tools/call" => {
            peer.calls.fetch_add(1, Ordering::SeqCst);
            let name = Members::of(&params.unwrap()).unwrap().get("name").unwrap().clone();
            match name.parse::<&str>().unwrap() {
                "echo" => Ok(format!(r#"{{"text":"{} {number}"}}"#, peer.name)),
                "die" => return cut.cancel(),
                _ => return, // it never answers
            }
        }
        "subscriptions/listen" => {
            let told = Notification::new("notifications/subscriptions/acknowledged", tagged(&id));
            outbox.send(told.into()).unwrap();
            return;
        }
        _ => return reply(outbox, id, unknown()),
    };
    reply(outbox, id, outcome.map(|text: String| Raw::read(text).unwrap()));
}

/// Parameters that say which subscription they belong to.
pub(super) fn tagged(id: &Id) -> Option<Raw> {
    let text = format!(
        r#"{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{}}},"notifications":{{"toolsListChanged":true}}}}"#,
        id.as_raw().as_str()
    );
    Some(Raw::read(text).unwrap())
}

fn reply(outbox: &mpsc::UnboundedSender<Message>, id: Id, outcome: json_rpc::Outcome) {
    let _ = outbox.send(Response::new(id, outcome).into()); // the connection may be over
}
