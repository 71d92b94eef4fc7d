//! A protected MCP server, its authorization server, and users.

mod gate;
mod issuer;

use std::{
    error::Error,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use clap::Parser;
use mcp_transport::{
    Address, Client, ConnectError, ConnectOptions, Era, FailedRequest, NetworkServer, NetworkSettings,
    connect,
};
use oauth::{Authorization, Browser, Settings, TokenStore};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ServerCapabilities,
        ServerConfig,
    },
    service::{RequestContext, ServiceError},
};
use tempfile::TempDir;
use tokio::time::timeout;
use url::Url;

pub use issuer::Issuer;

/// Longest wait for anything that must happen. Nothing takes nearly as long.
const PATIENCE: Duration = Duration::from_secs(60);
pub const ADVICE: &str = "run `mcp-client login notes`";

/// Waits for what must happen.
pub async fn soon<T>(event: impl Future<Output = T>) -> T {
    timeout(PATIENCE, event).await.expect("this should have happened long ago")
}

#[derive(Clone)]
struct Echo;

impl ServerHandler for Echo {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        Ok(CallToolResult::success(vec![ContentBlock::text(request.name.to_string())]).into())
    }
}

#[derive(Parser)]
struct Config {
    #[command(flatten)]
    network: NetworkSettings,
}

/// A server that wants tokens, whoever issues them, and a folder to keep them in.
pub struct World {
    pub issuer: Issuer,
    port: u16,
    pub folder: TempDir,
}

impl World {
    pub async fn start() -> Self {
        let settings = Config::parse_from(["server"]).network;
        let server = NetworkServer::bind(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, &settings).await.unwrap();
        let behind = server.local_addr();
        tokio::spawn(server.serve(|| Echo, std::future::pending()));
        let issuer = Issuer::start().await;
        let port = gate::start(behind, issuer.clone()).await;
        Self { issuer, port, folder: tempfile::tempdir().unwrap() }
    }

    /// The three ways to reach the server.
    pub fn addresses(&self) -> [Address; 3] {
        ["http", "sse", "websocket"].map(|transport| {
            let address: Address = format!("127.0.0.1:{}", self.port).parse().unwrap();
            address.with_transport(transport.parse().unwrap())
        })
    }

    pub fn address(&self) -> Address {
        let [address, ..] = self.addresses();
        address
    }

    /// Where tokens are kept.
    pub fn tokens(&self) -> std::path::PathBuf {
        self.folder.path().join("tokens")
    }

    pub fn settings(&self, address: &Address) -> Settings {
        let mut settings = Settings::new(address.server_url().unwrap());
        settings.store = TokenStore::folder(self.tokens());
        settings.advice = ADVICE.to_owned();
        settings
    }

    /// Whoever uses the server, without a browser.
    pub fn user(&self, address: &Address) -> Authorization {
        Authorization::new(self.settings(address)).unwrap()
    }

    /// The same with a browser that is used whenever it is needed.
    pub fn user_with_browser(&self, address: &Address) -> Authorization {
        let mut settings = self.settings(address);
        settings.browser = Some(Arc::new(Headless));
        Authorization::new(settings).unwrap()
    }
}

pub fn options(authorization: &Authorization, era: Era) -> ConnectOptions {
    ConnectOptions { authorizer: Some(Arc::new(authorization.clone())), era, ..ConnectOptions::default() }
}

pub async fn connected(address: &Address, user: &Authorization) -> Result<Client<()>, ConnectError> {
    soon(connect(address, (), &options(user, Era::Auto))).await
}

/// Calls a tool, whose answer is its name.
pub async fn call(client: &Client<()>, tool: &'static str) -> Result<String, ServiceError> {
    let answer = soon(client.service().call_tool(CallToolRequestParams::new(tool))).await?;
    Ok(answer.content[0].as_text().unwrap().text.clone())
}

/// Why a call failed for want of a token.
pub fn denied(address: &Address, error: ServiceError) -> String {
    let ServiceError::TransportSend(error) = error else { panic!("{error:?}") };
    match FailedRequest::new(address, error).error {
        ConnectError::NeedsCredentials { reason: Some(reason), .. } => reason.to_string(),
        error => panic!("{error:?}"),
    }
}

/// Goes where the page leads.
pub struct Headless;

#[async_trait]
impl Browser for Headless {
    async fn open(&self, url: &Url) -> Result<(), Box<dyn Error + Send + Sync>> {
        visit(url.clone()).await;
        Ok(())
    }
}

/// Status and text of the page to which a URL leads.
pub async fn visit(url: Url) -> (u16, String) {
    let answer = soon(reqwest::Client::new().get(url).send()).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// The redirect of an authorization page, not followed.
pub async fn redirect(url: &Url) -> Url {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = soon(client.get(url.clone()).send()).await.unwrap();
    answer.headers()["location"].to_str().unwrap().parse().unwrap()
}

/// A browser that remembers where it was sent, and goes nowhere.
#[derive(Clone, Default)]
pub struct Closed(pub Arc<Mutex<Vec<Url>>>);

#[async_trait]
impl Browser for Closed {
    async fn open(&self, url: &Url) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.0.lock().unwrap().push(url.clone());
        Ok(())
    }
}

/// The only file with tokens in this folder.
pub fn token_file(folder: &Path) -> std::path::PathBuf {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let file = files.next().unwrap();
    assert!(files.next().is_none());
    file
}
