//! AWS Bedrock, through its Converse calls, which are the same for every model.

mod connection;
mod errors;
mod pieces;
mod wire;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sdk_bedrockruntime::types::ConverseOutput as Output;
use tokio::{sync::OnceCell, time::timeout};

use self::{connection::Connection, pieces::Pieces};
use crate::{
    Check, CheckStatus, Completion, CompletionStream, Prompt, Provider, ProviderError, ending::Ending,
    redact::Redactor,
};

const CHECK_LIMIT: Duration = Duration::from_secs(3);

/// Where to ask, and for what. Credentials are found by the AWS SDK's own chain.
#[derive(Debug, Clone)]
pub struct BedrockSettings {
    /// AWS region, for instance `us-east-1`.
    pub region: String,
    /// What [`Provider::models`] lists: Bedrock has no list of its own that is free and right for every account.
    pub model_names: Vec<String>,
}

/// The Converse and ConverseStream calls. Nothing is read from the environment, and no credential is missed, before the
/// first call; every call is one request.
pub struct Bedrock {
    source: Source,
    model_names: Vec<String>,
    connection: OnceCell<Connection>,
    redactor: Arc<Redactor>,
}

enum Source {
    Environment { region: String },
    Given(Box<SdkConfig>),
}

impl Bedrock {
    /// A provider that finds its credentials, and whatever else the SDK is told, in the environment.
    #[must_use]
    pub fn new(settings: BedrockSettings) -> Self {
        Self::from_source(Source::Environment { region: settings.region }, settings.model_names)
    }

    /// A provider with this region, address and these credentials, whatever the environment says. Retries and limits
    /// are ours nevertheless.
    #[must_use]
    pub fn with_config(config: SdkConfig, model_names: Vec<String>) -> Self {
        Self::from_source(Source::Given(Box::new(config)), model_names)
    }

    fn from_source(source: Source, mut model_names: Vec<String>) -> Self {
        model_names.sort_unstable();
        Self { source, model_names, connection: OnceCell::new(), redactor: Arc::default() }
    }

    async fn connection(&self) -> &Connection {
        self.connection
            .get_or_init(|| async {
                match &self.source {
                    Source::Environment { region } => {
                        let sdk = connection::from_environment(region.clone()).await;
                        Connection::new(&sdk, &self.redactor)
                    }
                    Source::Given(sdk) => Connection::new(sdk, &self.redactor),
                }
            })
            .await
    }
}

/// Sets what both calls have in common. They share no type, only the names of their methods.
macro_rules! request {
    ($call:expr, $prompt:expr) => {{
        let parent = $prompt.trace_parent.clone();
        $call
            .model_id(&$prompt.model)
            .set_system(wire::system($prompt))
            .set_messages(Some(wire::messages($prompt)?))
            .inference_config(wire::limits($prompt))
            .customize()
            .mutate_request(move |request| {
                if let Some(parent) = parent.clone() {
                    // A trace that cannot be continued is no reason to fail a call.
                    let _ = request.headers_mut().try_insert("traceparent", parent);
                }
            })
    }};
}

#[async_trait]
impl Provider for Bedrock {
    async fn complete(&self, prompt: &Prompt) -> Result<Completion, ProviderError> {
        let connection = self.connection().await;
        let started = Instant::now();
        let answer = request!(connection.client.converse(), prompt)
            .send()
            .await
            .map_err(|error| errors::of_call(error, started.elapsed(), &self.redactor))?;
        let Some(Output::Message(message)) = answer.output else {
            return Err(ProviderError::AnswerLost { message: "it has no message".to_owned() });
        };
        let text = wire::text(message);
        let ending = Ending {
            has_text: !text.is_empty(),
            finish_reason: Some(wire::finish_reason(&answer.stop_reason)),
            usage: answer.usage.as_ref().and_then(wire::usage),
            model: None,
        };
        Ok(Completion { text, end: ending.of_answer()? })
    }

    async fn stream(&self, prompt: &Prompt) -> Result<CompletionStream, ProviderError> {
        let connection = self.connection().await;
        let started = Instant::now();
        let answer = request!(connection.client.converse_stream(), prompt)
            .send()
            .await
            .map_err(|error| errors::of_call(error, started.elapsed(), &self.redactor))?;
        Ok(Pieces::new(answer, Arc::clone(&self.redactor)).into_stream())
    }

    async fn models(&self) -> Result<Vec<String>, ProviderError> {
        Ok(self.model_names.clone())
    }

    /// Looks for credentials, at most 3 s. There is no call that is free and proves more.
    async fn check(&self) -> Check {
        let missing = |hint| Check { configured: false, status: CheckStatus::Unhealthy(hint), note: None };
        let present = |note: &str| Check {
            configured: true,
            status: CheckStatus::Unknown,
            note: Some(format!("{note}; whether Bedrock accepts it shows with the first message")),
        };
        let connection = self.connection().await;
        if connection.has_api_key {
            return present("an API key is set");
        }
        let Some(credentials) = &connection.credentials else {
            return missing(errors::NO_CREDENTIALS.to_owned());
        };
        match timeout(CHECK_LIMIT, credentials.provide_credentials()).await {
            Ok(Ok(_)) => present("a credential was found"),
            Ok(Err(error)) => missing(errors::credentials_hint(&error, &self.redactor)),
            Err(_) => missing(format!("{} (gave up after 3 s)", errors::NO_CREDENTIALS)),
        }
    }
}
