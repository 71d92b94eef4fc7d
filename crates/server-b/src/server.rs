//! From settings to a listening server, and from a signal to a clean end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use auth::Keys;
use http_server::{Connections, Limits};
use ledger::{Ledger, Options, Owner};
use providers::{Deadline, Mock, OpenAi, OpenAiSettings, Provider, ProviderKind};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, app::App, defaults::Defaults, exchange::Books, face::Face, health::ProviderHealth,
    mcp::ResponderServer, metrics::Metrics, responder::Responder, router::router, streams::Streams,
};

/// A server that listens and does not answer yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    app: Arc<App>,
    limits: Limits,
    /// The MCP tools, where they are wanted.
    face: Option<Face>,
}

impl Server {
    /// Checks the settings, opens the ledger and binds the addresses. No provider is contacted.
    ///
    /// # Errors
    /// When a setting makes no sense, or the ledger, the price file or the address cannot be had.
    pub async fn bind(config: Config) -> anyhow::Result<Self> {
        config.check()?;
        let prices = Arc::new(config.prices()?);
        let options = Options { owner: Owner::ServerB, max_exchanges: config.history_max_messages };
        let ledger = Ledger::open(&config.location()?, options)?;
        let answered = ledger.totals().await?.all().answered;
        let listener = TcpListener::bind((config.host, config.port)).await.with_context(|| {
            format!("{}:{} cannot be bound: set HTTP_HOST or HTTP_PORT to another", config.host, config.port)
        })?;
        let face = Face::bind(&config).await?;
        warn_about(&config);

        let kind = config.provider();
        let provider = provider(&config, &prices)?;
        let metrics = Arc::new(Metrics::new(kind));
        let books = Books { ledger: ledger.clone(), prices: prices.clone(), metrics: metrics.clone() };
        let app = Arc::new(App {
            ledger,
            responder: Arc::new(Responder::new(provider.clone(), kind, books, answered)),
            provider_health: ProviderHealth::new(provider.clone()),
            provider,
            defaults: Defaults::new(&config, prices),
            metrics,
            keys: Keys::new(&config.api_keys()),
            streams: Streams::new(config.stream_stall()),
            slots: Arc::new(Semaphore::new(config.max_concurrent_requests as usize)),
        });
        Ok(Self { address: listener.local_addr()?, listener, app, limits: config.connection_limits(), face })
    }

    /// The address that is really bound.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The address for MCP that is really bound, where the tools are offered over the network.
    #[must_use]
    pub fn mcp_addr(&self) -> Option<SocketAddr> {
        self.face.as_ref().and_then(Face::local_addr)
    }

    /// Answers requests until `shutdown`, or until the MCP client on standard input has gone; then accepts nothing new,
    /// gives what is in flight the grace period, and returns when everything is recorded.
    ///
    /// # Errors
    /// When the session on standard input and output ends badly, or the ledger cannot be brought to disk.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        let stopping = CancellationToken::new();
        let connections = Connections::new(router(self.app.clone()), self.limits);
        let rest = connections.serve(self.listener, stopping.clone().cancelled_owned());
        let mcp = serve_mcp(self.face, self.app.clone(), stopping.clone());
        let serving = async { tokio::join!(rest, mcp).1 };
        let stop = async {
            shutdown.await;
            stopping.cancel();
            std::future::pending().await
        };
        let served = tokio::select! {
            served = serving => served,
            never = stop => never,
        };
        self.app.responder.drain().await;
        self.app.streams.drain().await;
        self.app.ledger.flush().await?;
        tracing::info!("stopped");
        served
    }
}

/// Offers the tools, where they are wanted. However that ends, the whole server ends with it.
async fn serve_mcp(face: Option<Face>, app: Arc<App>, stopping: CancellationToken) -> anyhow::Result<()> {
    let Some(face) = face else { return Ok(()) };
    let _ends_all = stopping.clone().drop_guard();
    face.serve(ResponderServer::new(app), stopping.cancelled()).await
}

fn provider(config: &Config, prices: &cost_calculator::PriceList) -> anyhow::Result<Arc<dyn Provider>> {
    let provider: Arc<dyn Provider> = match config.provider() {
        ProviderKind::Mock => {
            let delay = Duration::from_millis(config.mock_delay_ms);
            Arc::new(Mock::new(delay, Duration::from_millis(config.mock_chunk_delay_ms)))
        }
        ProviderKind::OpenAi => Arc::new(OpenAi::new(OpenAiSettings {
            api_key: config.openai_api_key.clone(),
            base_url: config.openai_base_url.as_ref().map(ToString::to_string),
        })),
        ProviderKind::Bedrock => bedrock(config, prices)?,
    };
    Ok(Arc::new(Deadline::new(provider, config.provider_timeout())))
}

#[cfg(feature = "bedrock")]
fn bedrock(config: &Config, prices: &cost_calculator::PriceList) -> anyhow::Result<Arc<dyn Provider>> {
    use providers::{Bedrock, BedrockSettings};
    let model_names = prices.names(ProviderKind::Bedrock.as_str());
    Ok(Arc::new(Bedrock::new(BedrockSettings { region: config.aws_region.clone(), model_names })))
}

#[cfg(not(feature = "bedrock"))]
fn bedrock(_: &Config, _: &cost_calculator::PriceList) -> anyhow::Result<Arc<dyn Provider>> {
    anyhow::bail!(
        "AI_PROVIDER is bedrock, but this program was built without it: build it with --features bedrock"
    )
}

fn warn_about(config: &Config) {
    if config.ai_provider.is_none() && config.provider() == ProviderKind::Mock {
        tracing::warn!(
            "neither AI_PROVIDER nor OPENAI_API_KEY is set: the mock provider answers, no model does"
        );
    }
    if !config.host.is_loopback() && config.api_keys().is_empty() {
        tracing::warn!(
            host = %config.host,
            "everybody who reaches this address can spend your money: set SERVER_B_API_KEY"
        );
    }
}
