//! A server of raw messages in memory.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use gateway::InMemory;
use json_rpc::{Message, Notification, Outcome, Raw, Request, Response};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, duplex, split},
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};

use crate::support::raw;

type Answer = Arc<dyn Fn(Request, Voice) -> BoxFuture<'static, Outcome> + Send + Sync>;

/// What a server is to be.
#[derive(Clone)]
pub struct Script {
    is_modern: bool,
    capabilities: Value,
    tools: Value,
    resources: Value,
    templates: Value,
    prompts: Value,
    answer: Answer,
    heard: mpsc::UnboundedSender<Message>,
    /// Counts how often the server hung up.
    ends: watch::Sender<u64>,
}

/// Everything that a server heard but its introduction and lists.
pub type Heard = mpsc::UnboundedReceiver<Message>;

impl Script {
    /// A server of this era that answers what is not about itself so. It has the tool `echo`.
    pub fn new<F>(
        is_modern: bool,
        answer: impl Fn(Request, Voice) -> F + Send + Sync + 'static,
    ) -> (Self, Heard)
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let (heard, hears) = mpsc::unbounded_channel();
        let script = Self {
            is_modern,
            capabilities: json!({"tools": {}, "prompts": {}, "resources": {}, "completions": {}, "logging": {}}),
            tools: json!([{"name": "echo", "inputSchema": {"type": "object"}}]),
            resources: json!([]),
            templates: json!([]),
            prompts: json!([]),
            answer: Arc::new(move |request, voice| Box::pin(answer(request, voice))),
            heard,
            ends: watch::Sender::new(0),
        };
        (script, hears)
    }

    pub fn capabilities(mut self, capabilities: Value) -> Self {
        self.capabilities = capabilities;
        self
    }

    pub fn tools(mut self, tools: Value) -> Self {
        self.tools = tools;
        self
    }

    pub fn resources(mut self, resources: Value) -> Self {
        self.resources = resources;
        self
    }

    pub fn templates(mut self, templates: Value) -> Self {
        self.templates = templates;
        self
    }

    pub fn prompts(mut self, prompts: Value) -> Self {
        self.prompts = prompts;
        self
    }

    /// Ends all connections that there are, when it is called.
    pub fn hang_up(&self) -> impl Fn() + use<> {
        let ends = self.ends.clone();
        move || ends.send_modify(|count| *count += 1)
    }

    /// The server, started anew for each connection.
    pub fn start(self) -> InMemory {
        self.start_slowly(Duration::ZERO)
    }

    /// A server that needs this long until it reads anything.
    pub fn start_slowly(self, wait: Duration) -> InMemory {
        InMemory::new(move || {
            let (near, far) = duplex(1 << 16);
            let script = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                serve(script, far).await;
            });
            Ok(near)
        })
    }
}

/// What a server says while it answers.
#[derive(Clone)]
pub struct Voice {
    out: mpsc::UnboundedSender<Message>,
    asked: Arc<Mutex<HashMap<u64, oneshot::Sender<Outcome>>>>,
    next: Arc<AtomicU64>,
    /// `_meta` of what is told to whoever listens.
    listening: Arc<Mutex<Value>>,
}

impl Voice {
    pub fn tell(&self, method: &'static str, params: &Value) {
        let _ = self.out.send(Notification::new(method, Some(raw(params))).into());
    }

    /// From now on updates are told with this `_meta`.
    pub fn listens(&self, meta: Value) {
        *self.listening.lock().unwrap() = meta;
    }

    /// Tells of a change of a resource.
    pub fn update(&self, update: &Value) {
        let (mut update, meta) = (update.clone(), self.listening.lock().unwrap().clone());
        if !meta.is_null() {
            update["_meta"] = meta;
        }
        self.tell("notifications/resources/updated", &update);
    }

    pub async fn ask(&self, method: &'static str, params: &Value) -> Outcome {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let (answer, answered) = oneshot::channel();
        self.asked.lock().unwrap().insert(number, answer);
        let request = Request { id: number.into(), method: method.into(), params: Some(raw(params)) };
        let _ = self.out.send(request.into());
        answered.await.unwrap_or_else(|_| Err(raw(&json!({"code": 0, "message": "no answer"}))))
    }
}

async fn serve(script: Script, stream: DuplexStream) {
    let (reader, mut writer) = split(stream);
    let (out, mut outbox) = mpsc::unbounded_channel::<Message>();
    let mut handlers = JoinSet::new();
    handlers.spawn(async move {
        while let Some(message) = outbox.recv().await {
            let mut line = message.to_bytes().to_vec();
            line.push(b'\n');
            if writer.write_all(&line).await.is_err() {
                return;
            }
        }
    });
    let voice = Voice {
        out: out.clone(),
        asked: Arc::default(),
        next: Arc::new(1.into()),
        listening: Arc::default(),
    };
    let mut lines = BufReader::new(reader).lines();
    let mut ends = script.ends.subscribe();
    loop {
        let line = tokio::select! {
            line = lines.next_line() => line,
            _ = ends.changed() => return,
        };
        let Ok(Some(line)) = line else { return };
        match Message::read(&line.into()).unwrap() {
            Message::Request(request) if is_about_lists(&request) => {
                let meta = json!({"io.modelcontextprotocol/subscriptionId": request.id.number()});
                let agreed = json!({"_meta": meta, "notifications": params(&request)["notifications"]});
                voice.tell("notifications/subscriptions/acknowledged", &agreed);
            }
            Message::Request(request) => match script.itself(&request) {
                Some(outcome) => out.send(Response::new(request.id, outcome).into()).unwrap_or_default(),
                None => {
                    let _ = script.heard.send(request.clone().into());
                    let (id, out) = (request.id.clone(), out.clone());
                    let answer = (script.answer)(request, voice.clone());
                    handlers.spawn(async move {
                        let _ = out.send(Response::new(id, answer.await).into());
                    });
                }
            },
            Message::Response(response) => {
                let number = response.id.and_then(|id| id.number()).unwrap();
                if let Some(asked) = voice.asked.lock().unwrap().remove(&number) {
                    let _ = asked.send(response.outcome);
                }
            }
            notification => drop(script.heard.send(notification)),
        }
    }
}

impl Script {
    /// The answers about the server itself.
    fn itself(&self, request: &Request) -> Option<Outcome> {
        let unknown = || Err(raw(&json!({"code": -32601, "message": "no such method"})));
        let info = json!({"name": "scripted", "version": "1"});
        let result = match (request.method.as_ref(), self.is_modern) {
            ("initialize", false) => {
                let params: Value = request.params.as_ref().unwrap().parse().unwrap();
                json!({"protocolVersion": params["protocolVersion"], "capabilities": self.capabilities, "serverInfo": info})
            }
            ("server/discover", true) => json!({
                "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": self.capabilities,
                "ttlMs": 0, "cacheScope": "public", "_meta": {"io.modelcontextprotocol/serverInfo": info},
            }),
            ("initialize" | "server/discover", _) => return Some(unknown()),
            ("tools/list", _) => self.list("tools", &self.tools),
            ("resources/list", _) => self.list("resources", &self.resources),
            ("resources/templates/list", _) => self.list("resourceTemplates", &self.templates),
            ("prompts/list", _) => self.list("prompts", &self.prompts),
            ("ping", false) => json!({}),
            _ => return None,
        };
        Some(Ok(raw(&result)))
    }

    fn list(&self, name: &str, items: &Value) -> Value {
        if self.is_modern {
            json!({name: items, "resultType": "complete", "ttlMs": 1000, "cacheScope": "public"})
        } else {
            json!({name: items})
        }
    }
}

/// Whether a request wants to hear of changes of lists and of nothing else: so each gateway does.
fn is_about_lists(request: &Request) -> bool {
    let wants = |name: &str| !params(request)["notifications"][name].is_null();
    request.method == "subscriptions/listen" && !wants("resourceSubscriptions") && !wants("taskIds")
}

/// A request's parameters.
pub fn params(request: &Request) -> Value {
    request.params.as_ref().map_or(Value::Null, |params: &Raw| params.parse().unwrap())
}
