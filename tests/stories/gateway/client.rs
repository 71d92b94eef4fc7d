//! A client of the gateway: one POST for each request, and what it answered.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, bail, ensure};
use e2e::programs::PATIENCE;
use reqwest::Response;
use serde_json::{Value, json};

/// How a request was answered: its result, or the error's `data.code` with its message and all of `data`.
pub type Answer = Result<Value, (String, String)>;

/// A client of the newer era, which needs no session.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
}

impl Client {
    /// One that keeps its connections.
    pub fn new(address: SocketAddr) -> anyhow::Result<Self> {
        Self::of(reqwest::Client::builder(), address)
    }

    /// One that makes a new connection for each request.
    pub fn forgetful(address: SocketAddr) -> anyhow::Result<Self> {
        Self::of(reqwest::Client::builder().pool_max_idle_per_host(0), address)
    }

    fn of(builder: reqwest::ClientBuilder, address: SocketAddr) -> anyhow::Result<Self> {
        let http = builder.no_proxy().tls_certs_only([]).timeout(PATIENCE).build()?;
        Ok(Self { http, url: format!("http://{address}") })
    }

    /// Calls a tool with a message.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub async fn call(&self, tool: &str, message: &str) -> anyhow::Result<Answer> {
        self.call_with(tool, json!({"message": message})).await
    }

    /// Calls a tool.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub async fn call_with(&self, tool: &str, arguments: Value) -> anyhow::Result<Answer> {
        let params = json!({"name": tool, "arguments": arguments});
        let message = self.ask("tools/call", Some(tool), params).await?;
        if let Some(result) = message.get("result") {
            return Ok(Ok(result.clone()));
        }
        let error = message.get("error").with_context(|| format!("no outcome: {message}"))?;
        let code = error["data"]["code"].as_str().unwrap_or_default();
        let message = error["message"].as_str().unwrap_or_default();
        Ok(Err((code.to_owned(), format!("{message} {}", error["data"]))))
    }

    /// The names of all tools.
    pub async fn tools(&self) -> anyhow::Result<Vec<String>> {
        let message = self.ask("tools/list", None, json!({})).await?;
        let tools = message["result"]["tools"].as_array().with_context(|| format!("no list: {message}"))?;
        Ok(tools.iter().filter_map(|tool| tool["name"].as_str()).map(str::to_owned).collect())
    }

    /// How one upstream is.
    pub async fn health(&self, upstream: &str) -> anyhow::Result<Value> {
        let health: Value = self.http.get(format!("{}/health", self.url)).send().await?.json().await?;
        let upstreams = health["upstreams"].as_array().with_context(|| format!("no health: {health}"))?;
        let found = upstreams.iter().find(|known| known["name"] == upstream);
        found.cloned().with_context(|| format!("{upstream} is not there: {health}"))
    }

    /// Why a name leads where it does.
    pub async fn explain(&self, name: &str) -> anyhow::Result<String> {
        let url = reqwest::Url::parse_with_params(&format!("{}/explain", self.url), [("name", name)])?;
        Ok(self.http.get(url).send().await?.text().await?)
    }

    /// Listens for changes of the list of tools.
    pub async fn listen(&self) -> anyhow::Result<Listening> {
        let wanted = json!({"notifications": {"toolsListChanged": true}});
        let response = self.post("subscriptions/listen", None, wanted, None).await?;
        let mut listening = Listening { response, text: String::new() };
        listening.wait_for("notifications/subscriptions/acknowledged").await?;
        Ok(listening)
    }

    async fn ask(&self, method: &str, name: Option<&str>, params: Value) -> anyhow::Result<Value> {
        let response = self.post(method, name, params, Some(PATIENCE)).await?;
        let status = response.status();
        let text = response.text().await.context("the answer was cut")?;
        // An answer that took a while comes as the last event of a stream.
        let json = text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().unwrap_or(&text);
        let message: Value =
            serde_json::from_str(json).with_context(|| format!("{status}, not whole: {text:?}"))?;
        ensure!(message["id"] == 1, "{status}, no answer to what was asked: {text}");
        Ok(message)
    }

    async fn post(
        &self,
        method: &str,
        name: Option<&str>,
        mut params: Value,
        limit: Option<Duration>,
    ) -> anyhow::Result<Response> {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "story", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut request = self
            .http
            .post(format!("{}/mcp", self.url))
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", method)
            .body(body.to_string());
        request = request.timeout(limit.unwrap_or(10 * PATIENCE));
        if let Some(name) = name {
            request = request.header("mcp-name", name);
        }
        request.send().await.context("no answer")
    }
}

/// A stream of news.
pub struct Listening {
    response: Response,
    text: String,
}

impl Listening {
    /// Waits until this has been told once more.
    pub async fn wait_for(&mut self, method: &str) -> anyhow::Result<()> {
        let waiting = async {
            loop {
                if let Some(place) = self.text.find(method) {
                    self.text.drain(..place + method.len());
                    return Ok(());
                }
                let Some(chunk) = self.response.chunk().await? else {
                    bail!("the stream ended without {method}: {}", self.text)
                };
                self.text.push_str(&String::from_utf8_lossy(&chunk));
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.with_context(|| format!("nobody told {method}"))?
    }
}
