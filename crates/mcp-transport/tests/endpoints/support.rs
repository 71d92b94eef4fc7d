//! An endpoint that does on demand what endpoints do, and servers of it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::Router;
use futures_util::future::join_all;
use json_rpc::{Error, Members, Notification, Outcome, Raw, Request};
use mcp_transport::{Arrival, Endpoint, Link, Mirrored, NetworkServer, NetworkSettings, Timing};
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
    /// Notifications that were sent by `flood`.
    pub flooded: watch::Sender<usize>,
    /// Methods of the notifications that were heard, and of the requests that were begun.
    pub heard: watch::Sender<Vec<String>>,
    /// Lets one `wait` answer.
    pub release: Semaphore,
    /// How the clients came, in the order in which they did.
    pub arrivals: Mutex<Vec<String>>,
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

fn notification(method: &'static str, params: &str) -> Notification {
    Notification::new(method, Some(Raw::read(params.to_owned()).unwrap()))
}

impl Fixture {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            sessions: watch::Sender::new(0),
            running: watch::Sender::new(0),
            flooded: watch::Sender::new(0),
            heard: watch::Sender::new(Vec::new()),
            release: Semaphore::new(0),
            arrivals: Mutex::default(),
        })
    }

    async fn flood(&self, link: &Link) -> Outcome {
        let text = format!(r#"{{"data":"{}"}}"#, "x".repeat(50_000));
        while link.tell(notification("notifications/message", &text)).await.is_ok() {
            self.flooded.send_modify(|count| *count += 1);
        }
        Ok(Raw::empty_object())
    }

    async fn count(&self, link: &Link) -> Outcome {
        for count in 0..100 {
            let told = link.tell(notification("notifications/message", &format!(r#"{{"data":{count}}}"#)));
            told.await.map_err(|_| Raw::empty_object())?;
        }
        Ok(Raw::empty_object())
    }

    /// Asks, until it is told to lose its interest.
    async fn ask(&self, link: &Link, params: Option<Raw>) -> Outcome {
        let answer = tokio::select! {
            answer = link.ask("roots/list", params) => answer,
            permit = self.release.acquire() => {
                permit.unwrap().forget();
                return Ok(Raw::text("never mind"));
            }
        };
        answer.unwrap_or_else(|gone| Err(Error::new(1, gone.to_string()).into()))
    }
}

impl Endpoint for Fixture {
    type Session = Session;

    fn open(&self, arrival: Arrival) -> Session {
        let came = format!("{:?}, brief: {}", arrival.transport, arrival.is_brief);
        self.arrivals.lock().unwrap().push(came);
        Session { link: arrival.link, _counted: Counted::new(&self.sessions) }
    }

    async fn answer(&self, session: Arc<Session>, request: Request, link: Link) -> Outcome {
        let _running = Counted::new(&self.running);
        self.heard.send_modify(|heard| heard.push(request.method.to_string()));
        assert_eq!(link.request(), Some(&request.id));
        match &*request.method {
            "initialize" => Ok(introduction("protocolVersion", "\"2025-11-25\"")),
            "server/discover" => Ok(introduction("supportedVersions", "[\"2026-07-28\"]")),
            "tools/list" => Ok(Raw::read(TOOLS).unwrap()),
            "tools/call" => {
                Ok(Raw::read(r#"{"resultType":"complete","content":[{"type":"text","text":"called"}]}"#)
                    .unwrap())
            }
            "echo" => Ok(request.params.unwrap_or_default()),
            "fail" => {
                Err(Raw::read(r#"{"code":7,"message":"as it came","data":{"z":1.50},"extra":null}"#).unwrap())
            }
            "panic" => panic!("on purpose"),
            "wait" => {
                self.release.acquire().await.unwrap().forget();
                Ok(Raw::text("released"))
            }
            "count" => self.count(&link).await,
            "flood" => self.flood(&link).await,
            "ask" => self.ask(&link, request.params).await,
            "ask often" => {
                #[derive(serde::Deserialize)]
                struct Often {
                    times: u64,
                }
                let often: Often = request.params.unwrap().parse().unwrap();
                let answers = join_all((0..often.times).map(|_| link.ask("roots/list", None))).await;
                Ok((answers.iter().filter(|answer| answer.is_err()).count() as u64).into())
            }
            "tell outside" => {
                let told = session.link.tell(notification("notifications/outside", "{}")).await;
                told.map(|()| Raw::empty_object()).map_err(|_| Raw::empty_object())
            }
            "subscriptions/listen" => {
                let _ = link.tell(notification("notifications/subscriptions/acknowledged", "{}")).await;
                std::future::pending().await
            }
            _ => Err(Error::new(Error::METHOD_NOT_FOUND, "there is no such method").into()),
        }
    }

    fn hear(&self, _: &Arc<Session>, notification: Notification) {
        assert_ne!(notification.method, "notifications/panic", "on purpose");
        self.heard.send_modify(|heard| heard.push(notification.method.into_owned()));
    }

    fn mirrored(&self, _: &Arc<Session>, _: &str) -> Vec<Mirrored> {
        Vec::new()
    }
}

const TOOLS: &str = r#"{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":[{"name":"t","inputSchema":{"type":"object"}}]}"#;

fn introduction(name: &'static str, version: &str) -> Raw {
    let texts = [
        (name, version),
        ("resultType", "\"complete\""),
        ("ttlMs", "0"),
        ("cacheScope", "\"private\""),
        ("capabilities", r#"{"tools":{}}"#),
        ("serverInfo", r#"{"name":"fixture","version":"1"}"#),
    ];
    texts
        .map(|(name, text)| (name, Raw::read(text.to_owned()).unwrap()))
        .into_iter()
        .collect::<Members>()
        .into()
}

/// A server on a free port of this machine.
pub struct Server {
    pub address: SocketAddr,
    pub fixture: Arc<Fixture>,
    pub stop: CancellationToken,
    pub grace: Duration,
    pub served: JoinHandle<()>,
}

impl Server {
    pub async fn start() -> Self {
        Self::with(Timing::default(), |_| {}).await
    }

    pub async fn with(timing: Timing, change: impl FnOnce(&mut NetworkSettings)) -> Self {
        let mut settings = NetworkSettings {
            mcp_api_key: None,
            mcp_allowed_hosts: vec![],
            mcp_allowed_origins: vec![],
            mcp_max_sessions: 100,
            mcp_max_connections: 100,
            mcp_session_idle_seconds: 300.0,
            mcp_max_message_bytes: 64 * 1024,
        };
        change(&mut settings);
        let bound = NetworkServer::bind([127, 0, 0, 1].into(), 0, &settings).await.unwrap();
        let (address, stop, fixture) = (bound.local_addr(), CancellationToken::new(), Fixture::new());
        let serving = bound.with_timing(timing).serve_endpoint(
            fixture.clone(),
            Router::new(),
            stop.clone().cancelled_owned(),
        );
        Self { address, fixture, stop, grace: timing.grace, served: tokio::spawn(serving) }
    }

    /// Stops it and waits until it has stopped.
    pub async fn end(self) -> Arc<Fixture> {
        self.stop.cancel();
        within(self.served).await.unwrap();
        self.fixture
    }
}
