//! What the server knows of itself.

use jiff::Timestamp;
use models::{AiStatus, HealthResponse, HealthStatus, ModelsResponse};

use crate::{app::App, error::ApiError, exchange::rfc3339};

const SERVER: &str = "Server B (AI Responder)";

impl App {
    /// Whether the server and its provider can do their work, with every detail.
    pub(crate) async fn health(&self) -> HealthResponse {
        let ai = self.provider_health.get().await;
        let ledger = if self.ledger.is_healthy() { AiStatus::Healthy } else { AiStatus::Unhealthy };
        let healthy = ai.configured && ai.status != AiStatus::Unhealthy && ledger == AiStatus::Healthy;
        HealthResponse {
            status: if healthy { HealthStatus::Healthy } else { HealthStatus::Degraded },
            server: SERVER.to_owned(),
            timestamp: rfc3339(Timestamp::now()),
            provider: Some(self.defaults.config().provider),
            messages_processed: Some(self.responder.answered()),
            ai: Some(ai),
            ledger: Some(ledger),
        }
    }

    /// The models that a request may name.
    ///
    /// # Errors
    /// When there is no place for the call, or the provider does not give its list.
    pub(crate) async fn models(&self) -> Result<ModelsResponse, ApiError> {
        let _slot = self.slot()?; // it is a call to the provider like any other
        let models = self.provider.models().await?;
        let config = self.defaults.config();
        let note = match config.provider.as_str() {
            "bedrock" => {
                Some("models with a listed price; any other model id of your region works too".to_owned())
            }
            "openai" => Some("the provider's own list, chat models only".to_owned()),
            _ => None,
        };
        Ok(ModelsResponse { provider: config.provider, models, default: config.default_model, note })
    }
}
