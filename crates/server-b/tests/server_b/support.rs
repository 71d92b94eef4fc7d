//! A real server-b in an empty folder, and clients of both of its faces.

use std::{path::PathBuf, process::Stdio, time::Duration};

use reqwest::Url;
use rmcp::{
    ClientHandler, RoleClient, ServiceExt as _,
    model::{CallToolRequestParams, ProgressNotificationParam},
    service::{NotificationContext, RunningService},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, BufReader},
    process::{Child, Command},
    sync::{mpsc, watch},
    time::timeout,
};

/// Longest wait for anything that the program does. A test that hits it has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server-b that runs; dropping it kills it.
pub struct ServerB {
    pub child: Child,
    /// What it has logged so far.
    log: watch::Receiver<String>,
    folder: TempDir,
}

/// Starts server-b with these words on its command line, a free port, a mock that answers at once, and nothing else in its
/// environment but `variables`.
pub fn start(words: &[&str], variables: &[(&str, &str)]) -> ServerB {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_server-b"))
        .args(words)
        .env_clear()
        .envs([("HTTP_PORT", "0"), ("MCP_PORT_B", "0"), ("MOCK_DELAY_MS", "0"), ("MOCK_CHUNK_DELAY_MS", "0")])
        .env("DATABASE_URL", format!("sqlite://{}/ledger.db", folder.path().display()))
        .envs(variables.iter().copied())
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let (text, log) = watch::channel(String::new());
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            text.send_modify(|text| *text += &format!("{line}\n"));
        }
    });
    ServerB { child, log, folder }
}

impl ServerB {
    /// Waits for a line of the log that has `text` in it, and gives that line.
    pub async fn logged(&self, text: &str) -> String {
        let mut log = self.log.clone();
        let found = timeout(PATIENCE, log.wait_for(|log| log.contains(text))).await;
        let log = found.unwrap().unwrap().clone();
        log.lines().find(|line| line.contains(text)).unwrap().to_owned()
    }

    /// Everything it has logged, when it has ended.
    pub async fn whole_log(&self) -> String {
        let mut log = self.log.clone();
        // An error means that there will be no more.
        let _ = timeout(PATIENCE, log.wait_for(|_| false)).await.unwrap();
        log.borrow().clone()
    }

    async fn address(&self, text: &str) -> String {
        let line = self.logged(text).await;
        line.split_once("address=").unwrap().1.to_owned()
    }

    /// The REST API.
    pub async fn rest(&self) -> Rest {
        let base = format!("http://{}", self.address("listening address").await);
        Rest { http: reqwest::Client::new(), base: base.parse().unwrap() }
    }

    /// Where MCP is on the network.
    pub async fn mcp_url(&self) -> String {
        format!("http://{}/mcp", self.address("listening for MCP").await)
    }

    /// An MCP client on its standard input and output.
    pub async fn client(&mut self) -> Client {
        let streams = (self.child.stdout.take().unwrap(), self.child.stdin.take().unwrap());
        Client::over(streams.0, streams.1).await
    }

    /// Sends `-TERM` or `-INT`.
    pub async fn signal(&self, signal: &str) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("/bin/kill").args([signal, &id]).status().await.unwrap().success());
    }

    /// Waits for the end, and gives the exit code.
    pub async fn code(&mut self) -> Option<i32> {
        timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap().code()
    }

    pub fn ledger(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }
}

/// A client of the REST API.
pub struct Rest {
    http: reqwest::Client,
    base: Url,
}

impl Rest {
    pub async fn get(&self, path: &str) -> Value {
        self.http.get(self.base.join(path).unwrap()).send().await.unwrap().json().await.unwrap()
    }

    pub async fn text(&self, path: &str) -> String {
        self.http.get(self.base.join(path).unwrap()).send().await.unwrap().text().await.unwrap()
    }

    pub async fn process(&self, body: Value) -> Value {
        let url = self.base.join("/process").unwrap();
        self.http.post(url).json(&body).send().await.unwrap().json().await.unwrap()
    }
}

/// An MCP client that keeps the progress it is told.
pub struct Client {
    pub service: RunningService<RoleClient, Listener>,
    pub progress: mpsc::UnboundedReceiver<ProgressNotificationParam>,
}

pub struct Listener(mpsc::UnboundedSender<ProgressNotificationParam>);

impl Listener {
    pub fn new() -> (Self, mpsc::UnboundedReceiver<ProgressNotificationParam>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }
}

impl ClientHandler for Listener {
    async fn on_progress(&self, progress: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        let _ = self.0.send(progress);
    }
}

impl Client {
    pub async fn over<R, W>(input: R, output: W) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let (listener, progress) = Listener::new();
        Self { service: listener.serve((input, output)).await.unwrap(), progress }
    }

    /// The result of a tool call, as JSON.
    pub async fn call(&self, tool: &str, arguments: Value) -> Value {
        let request = request(tool, arguments);
        let result = timeout(PATIENCE, self.service.call_tool(request)).await.unwrap().unwrap();
        serde_json::to_value(result).unwrap()
    }

    /// What a tool call that succeeds gives.
    pub async fn result(&self, tool: &str, arguments: Value) -> Value {
        let mut result = self.call(tool, arguments).await;
        assert_eq!(result["isError"], false, "{tool}: {result}");
        assert_eq!(text(&result), result["structuredContent"], "{tool}");
        result["structuredContent"].take()
    }

    /// Why a tool call fails.
    pub async fn failure(&self, tool: &str, arguments: Value) -> Value {
        let mut result = self.call(tool, arguments).await;
        assert_eq!(result["isError"], true, "{tool}: {result}");
        assert_eq!(text(&result), result["structuredContent"], "{tool}");
        let failure = result["structuredContent"].take();
        assert_eq!(failure["success"], false);
        for field in ["error", "detail", "hint", "code"] {
            assert!(!failure[field].as_str().unwrap().is_empty(), "{tool}: {field}");
        }
        failure
    }

    /// The page of received messages that has `count` of them, as soon as there is one.
    pub async fn received(&self, count: usize) -> Value {
        let page = async {
            loop {
                let page = self.result("get_received_messages", json!({})).await;
                if page["messages"].as_array().unwrap().len() >= count {
                    return page;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, page).await.unwrap()
    }
}

pub fn request(tool: &str, arguments: Value) -> CallToolRequestParams {
    let arguments = arguments.as_object().cloned().unwrap();
    CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments)
}

fn text(result: &Value) -> Value {
    serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap()
}
