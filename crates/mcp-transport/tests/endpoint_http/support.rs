//! An endpoint that does on demand what endpoints do, and servers of it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, routing::get};
use json_rpc::{Error, Members, Notification, Outcome, Raw, Request};
use mcp_transport::{Arrival, Endpoint, Gone, Link, Mirrored, NetworkServer, NetworkSettings, Timing};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// More than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that must happen.
pub async fn within<T>(event: impl Future<Output = T>) -> T {
    timeout(PATIENCE, event).await.expect("it did not happen in time")
}

/// Waits until a count is as it should be.
pub async fn reaches(count: &watch::Sender<usize>, expected: usize) {
    within(count.subscribe().wait_for(|count| *count == expected)).await.unwrap();
}

/// What happens in the endpoint, and what makes it happen.
pub struct Fixture {
    /// Sessions that exist.
    pub sessions: watch::Sender<usize>,
    /// Requests that are being answered.
    pub running: watch::Sender<usize>,
    /// Requests that were answered to their end.
    pub finished: watch::Sender<usize>,
    /// Notifications that were sent by `flood`.
    pub flooded: watch::Sender<usize>,
    /// Methods of the notifications that were heard.
    pub heard: watch::Sender<Vec<String>>,
    /// Lets one `wait` answer, or one `ask` lose its interest.
    pub release: Semaphore,
    /// What the last question came to.
    pub asked: Mutex<Option<Result<Outcome, Gone>>>,
    /// Links of the sessions, and of the requests that keep theirs.
    pub links: Mutex<Vec<Link>>,
    /// Whether the last client was here for one request only.
    pub is_brief: watch::Sender<Option<bool>>,
}

/// A client, for as long as it is known.
pub struct Session {
    pub link: Link,
    _counted: Counted,
}

struct Counted(watch::Sender<usize>);

impl Counted {
    fn new(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

pub fn raw(text: impl Into<String>) -> Raw {
    Raw::read(text.into()).unwrap()
}

pub fn log(data: impl std::fmt::Display) -> Notification {
    Notification::new("notifications/message", Some(raw(format!(r#"{{"data":"{data}"}}"#))))
}

impl Fixture {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            sessions: watch::Sender::new(0),
            running: watch::Sender::new(0),
            finished: watch::Sender::new(0),
            flooded: watch::Sender::new(0),
            heard: watch::Sender::new(Vec::new()),
            release: Semaphore::new(0),
            asked: Mutex::default(),
            links: Mutex::default(),
            is_brief: watch::Sender::new(None),
        })
    }

    async fn tool(&self, name: &str, request: Request, link: Link) -> Outcome {
        match name {
            "echo" => return Ok(request.params.unwrap_or_default()),
            "panic" => panic!("on purpose"),
            "fail" => return Err(raw(r#"{"code":7,"message":"as it came","data":{"z":1.50},"extra":null}"#)),
            "wait" => self.release.acquire().await.unwrap().forget(),
            "tell" => {
                for count in 0..3 {
                    link.tell(log(count)).await.map_err(|_| Raw::empty_object())?;
                }
            }
            "tell and wait" => {
                link.tell(log("first")).await.map_err(|_| Raw::empty_object())?;
                self.release.acquire().await.unwrap().forget();
                link.tell(log("second")).await.map_err(|_| Raw::empty_object())?;
            }
            "keep" => self.links.lock().unwrap().push(link),
            "flood" => {
                let text = "x".repeat(50_000);
                while *self.flooded.borrow() < 1_000 && link.tell(log(&text)).await.is_ok() {
                    self.flooded.send_modify(|count| *count += 1);
                }
            }
            "ask" => return self.ask(&link).await,
            _ => {}
        }
        Ok(raw(r#"{"resultType":"complete","content":[{"type":"text","text":"done"}]}"#))
    }

    /// Asks, until it is told to lose its interest.
    async fn ask(&self, link: &Link) -> Outcome {
        let answer = tokio::select! {
            answer = link.ask("roots/list", None) => answer,
            permit = self.release.acquire() => {
                permit.unwrap().forget();
                return Ok(Raw::text("never mind"));
            }
        };
        *self.asked.lock().unwrap() = Some(answer.clone());
        answer.unwrap_or_else(|gone| Err(Error::new(1, gone.to_string()).into()))
    }
}

impl Endpoint for Fixture {
    type Session = Session;

    fn open(&self, arrival: Arrival) -> Session {
        self.is_brief.send_replace(Some(arrival.is_brief));
        Session { link: arrival.link, _counted: Counted::new(&self.sessions) }
    }

    async fn answer(&self, session: Arc<Session>, request: Request, link: Link) -> Outcome {
        let _running = Counted::new(&self.running);
        assert_eq!(link.request(), Some(&request.id));
        let params = request.params.as_ref().map(|params| Members::of(params).unwrap()).unwrap_or_default();
        let outcome = match &*request.method {
            "initialize" => self.initialize(&session, &params, &link).await,
            "server/discover" => Ok(introduction("supportedVersions", "[\"2026-07-28\"]")),
            "tools/list" => Ok(raw(TOOLS)),
            "tools/call" => {
                let name: String = params.get("name").unwrap().parse().unwrap();
                self.tool(&name, request, link).await
            }
            "prompts/get" | "resources/read" | "tasks/get" | "ping" => Ok(Raw::empty_object()),
            "version" => Err(Error::new(-32_022, "this version is not spoken").into()),
            "capability" => Err(Error::new(-32_021, "this needs more of the client").into()),
            "invalid" => Err(Error::new(Error::INVALID_PARAMS, "these are wrong").into()),
            "subscriptions/listen" => {
                let acknowledged = Notification::new("notifications/subscriptions/acknowledged", None);
                let _ = link.tell(acknowledged).await;
                std::future::pending().await
            }
            _ => Err(Error::new(Error::METHOD_NOT_FOUND, "there is no such method").into()),
        };
        self.finished.send_modify(|count| *count += 1);
        outcome
    }

    fn hear(&self, session: &Arc<Session>, notification: Notification) {
        assert_ne!(notification.method, "notifications/panic", "on purpose");
        if notification.method == "notifications/initialized" {
            self.links.lock().unwrap().push(session.link.clone());
        }
        self.heard.send_modify(|heard| heard.push(notification.method.into_owned()));
    }

    fn mirrored(&self, _: &Arc<Session>, tool: &str) -> Vec<Mirrored> {
        let mirror = |header: &str, path: &[&str]| Mirrored {
            header: header.to_owned(),
            path: path.iter().map(|step| (*step).to_owned()).collect(),
        };
        if tool == "mirrored" {
            vec![mirror("Region", &["region"]), mirror("Count", &["deep", "count"])]
        } else {
            Vec::new()
        }
    }
}

impl Fixture {
    async fn initialize(&self, session: &Session, params: &Members, link: &Link) -> Outcome {
        let client = params.get("clientInfo").map(|client| Members::of(client).unwrap()).unwrap_or_default();
        let name: String = client.get("name").map(|name| name.parse().unwrap()).unwrap_or_default();
        assert!(link.ask("roots/list", None).await.is_err(), "it has not shaken hands yet");
        match &*name {
            "unwanted" => return Err(Error::new(Error::INVALID_REQUEST, "not wanted").into()),
            "slow" => self.release.acquire().await.unwrap().forget(),
            "kept" => self.links.lock().unwrap().push(session.link.clone()),
            _ => {}
        }
        let wanted = params.get("protocolVersion").map_or("\"2025-11-25\"", |version| version.as_str());
        let version = if wanted > "\"2025-11-25\"" { "\"2025-11-25\"" } else { wanted };
        Ok(introduction("protocolVersion", version))
    }
}

const TOOLS: &str = r#"{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":[{"name":"tell","inputSchema":{"type":"object"}}]}"#;

fn introduction(name: &'static str, version: &str) -> Raw {
    let texts = [
        (name, version),
        ("resultType", "\"complete\""),
        ("ttlMs", "0"),
        ("cacheScope", "\"private\""),
        ("capabilities", r#"{"tools":{}}"#),
        ("serverInfo", r#"{"name":"fixture","version":"1"}"#),
    ];
    texts.map(|(name, text)| (name, raw(text))).into_iter().collect::<Members>().into()
}

/// A server on a free port of this machine.
pub struct Server {
    pub address: SocketAddr,
    pub fixture: Arc<Fixture>,
    pub stop: CancellationToken,
    /// Each server has its own: a connection that another test's runtime began would end with it.
    pub http: reqwest::Client,
    served: JoinHandle<()>,
}

/// What tests change.
pub struct Options {
    pub settings: NetworkSettings,
    pub timing: Timing,
}

impl Server {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let settings = NetworkSettings {
            mcp_api_key: None,
            mcp_allowed_hosts: vec![],
            mcp_allowed_origins: vec![],
            mcp_max_sessions: 100,
            mcp_max_connections: 100,
            mcp_session_idle_seconds: 300.0,
            mcp_max_message_bytes: 64 * 1024,
        };
        let mut options = Options { settings, timing: Timing::default() };
        change(&mut options);
        let bound = NetworkServer::bind([127, 0, 0, 1].into(), 0, &options.settings).await.unwrap();
        let (address, stop, fixture) = (bound.local_addr(), CancellationToken::new(), Fixture::new());
        let more = Router::new().route("/more", get(async || "more"));
        let stopped = stop.clone().cancelled_owned();
        let serving = bound.with_timing(options.timing).serve_endpoint(fixture.clone(), more, stopped);
        let http = reqwest::Client::builder().no_proxy().pool_idle_timeout(Duration::ZERO).build().unwrap();
        Self { address, fixture, stop, http, served: tokio::spawn(serving) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Stops it and waits until it has stopped.
    pub async fn end(self) -> Arc<Fixture> {
        self.stop.cancel();
        within(self.served).await.unwrap();
        self.fixture
    }
}
