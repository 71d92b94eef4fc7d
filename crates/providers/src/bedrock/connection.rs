//! The SDK's client, and the credentials that it uses.

use std::{sync::Arc, time::Duration};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_bedrockruntime::{
    Client,
    config::{Builder, StalledStreamProtectionConfig},
};
use aws_types::service_config::ServiceConfigKey;
use secrecy::{ExposeSecret as _, SecretString};

use crate::redact::Redactor;

const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// A client and what it signs with.
pub(super) struct Connection {
    pub(super) client: Client,
    /// `None` when the SDK was given none.
    pub(super) credentials: Option<SharedCredentialsProvider>,
    /// Whether a Bedrock API key (`AWS_BEARER_TOKEN_BEDROCK`) takes the place of credentials.
    pub(super) has_api_key: bool,
}

impl Connection {
    /// A client that sends every request once and leaves all limits but the one for connecting to the caller: a model
    /// may think for minutes, which the SDK's protection against stalled streams would take for a failure.
    pub(super) fn new(sdk: &SdkConfig, redactor: &Arc<Redactor>) -> Self {
        let api_key = api_key(sdk);
        if let Some(key) = &api_key {
            redactor.remember(key.expose_secret());
        }
        let credentials = sdk
            .credentials_provider()
            .map(|inner| SharedCredentialsProvider::new(Watched { inner, redactor: Arc::clone(redactor) }));
        let mut builder = Builder::from(sdk)
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_LIMIT).build())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        builder.set_credentials_provider(credentials.clone());
        Self { client: Client::from_conf(builder.build()), credentials, has_api_key: api_key.is_some() }
    }
}

/// What the environment says: credentials, profile and, in `AWS_ENDPOINT_URL_BEDROCK_RUNTIME`, another address.
pub(super) async fn from_environment(region: String) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::v2026_01_12()).region(Region::new(region)).load().await
}

fn api_key(sdk: &SdkConfig) -> Option<SecretString> {
    // The names that the SDK itself asks for; the environment is read by it and not by us.
    let key =
        ServiceConfigKey::builder().service_id("bedrock").env("AWS_BEARER_TOKEN").profile("").build().ok()?;
    sdk.service_config()?.load_config(key).map(SecretString::from)
}

/// Passes credentials on and remembers them as secrets, because errors may repeat them.
#[derive(Debug)]
struct Watched {
    inner: SharedCredentialsProvider,
    redactor: Arc<Redactor>,
}

impl ProvideCredentials for Watched {
    fn provide_credentials<'a>(&'a self) -> provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        provider::future::ProvideCredentials::new(async {
            let credentials = self.inner.provide_credentials().await?;
            self.redactor.remember(credentials.access_key_id());
            self.redactor.remember(credentials.secret_access_key());
            if let Some(token) = credentials.session_token() {
                self.redactor.remember(token);
            }
            Ok(credentials)
        })
    }

    fn fallback_on_interrupt(&self) -> Option<aws_credential_types::Credentials> {
        self.inner.fallback_on_interrupt()
    }
}
