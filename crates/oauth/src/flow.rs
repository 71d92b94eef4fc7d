//! The ways to a token. The protocol is rmcp's; what is here gives it what it needs, and keeps what it gets.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rmcp::transport::auth::{
    AuthError, AuthorizationManager, AuthorizationMetadata, ClientCredentialsConfig, CredentialStore,
    OAuthClientConfig, StoredCredentials,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{runtime::Handle, time::timeout};
use tracing::{instrument::WithSubscriber as _, subscriber::NoSubscriber};
use url::Url;

use crate::{
    Browser, Client, OAuthError, Proof, Settings,
    address_guard::AddressGuard,
    callback::Callback,
    grant::{ClientRecord, Grant},
    http::Http,
};

const OFFLINE_ACCESS: &str = "offline_access";

/// What every way to a token needs.
pub(crate) struct Flow {
    pub(crate) settings: Settings,
    /// The MCP server, as `http(s)`.
    pub(crate) server: Url,
    pub(crate) guard: Arc<AddressGuard>,
    pub(crate) http: Arc<Http>,
}

/// The authorization server, found, and rmcp's state for it.
struct Found {
    manager: AuthorizationManager,
    metadata: AuthorizationMetadata,
    kept: Kept,
}

/// Where rmcp keeps what it has got.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Option<StoredCredentials>>>);

impl Flow {
    /// Lets a user log in. `challenge` is what the server asked for, `more` are rights that are needed besides.
    pub(crate) async fn log_in(
        &self,
        challenge: Option<&str>,
        known: Option<&Grant>,
        more: &[String],
        browser: &dyn Browser,
    ) -> Result<Grant, OAuthError> {
        if matches!(self.settings.client, Client::Machine { .. }) {
            return Err(OAuthError::Setup("this client has credentials of its own: nobody needs to log in"));
        }
        let mut found = self.find(challenge).await?;
        let known = known.filter(|known| known.issuer == found.metadata.issuer);
        let scopes = self.scopes(&found, known, more).await;
        let (callback, client) = self.client(&mut found, known, &scopes).await?;
        let names: Vec<_> = scopes.iter().map(String::as_str).collect();
        let page =
            quiet(found.manager.get_authorization_url(&names)).await.map_err(|error| self.failed(error))?;
        let page = Url::parse(&page).map_err(|_| not_a_page())?;
        self.guard.check(&page).map_err(|forbidden| OAuthError::Untrusted(forbidden.to_string()))?;
        let state = parameter(&page, "state").ok_or_else(not_a_page)?;

        let opened = async { browser.open(&page).await.map_err(OAuthError::Browser) };
        let answer = async {
            let answer = callback.code(&state);
            tokio::pin!(answer);
            tokio::select! {
                answer = &mut answer => answer,
                opened = opened => match opened {
                    Ok(()) => answer.await,
                    Err(error) => Err(error),
                },
            }
        };
        let limit = self.settings.login_timeout;
        let code = timeout(limit, answer).await.map_err(|_| OAuthError::TimedOut(limit))??;
        let exchange =
            found.manager.exchange_code_for_token_with_issuer(&code.code, &state, code.issuer.as_deref());
        quiet(exchange).await.map_err(|error| self.failed(error))?;
        found.grant(client)
    }

    /// Exchanges the refresh token of a grant for new tokens, if its authorization server is still the server's.
    pub(crate) async fn refresh(&self, grant: &Grant) -> Result<Grant, OAuthError> {
        let mut found = self.find(None).await?;
        if found.metadata.issuer != grant.issuer {
            return Err(self.login_needed("the server has another authorization server now"));
        }
        let client = grant.client.clone();
        found.configure(&client, self.server.as_str())?;
        found.kept.put(grant.stored());
        match quiet(found.manager.refresh_token()).await {
            Ok(_) => found.grant(client),
            Err(error) => match self.failed(error) {
                OAuthError::Refused { code } if is_transient(&code) => {
                    Err(OAuthError::Unreachable(format!("it refuses for now ({code})")))
                }
                OAuthError::Refused { .. } => Err(self.login_needed("the login has ended")),
                other => Err(other),
            },
        }
    }

    /// Gets a token for a program with credentials of its own.
    pub(crate) async fn prove(
        &self,
        id: &str,
        proof: &Proof,
        challenge: Option<&str>,
        more: &[String],
    ) -> Result<Grant, OAuthError> {
        let mut found = self.find(challenge).await?;
        let mut scopes = self.scopes(&found, None, more).await;
        scopes.retain(|scope| scope != OFFLINE_ACCESS); // there is nobody who could be away
        let resource = Some(found.resource(self.server.as_str()).await);
        let client_id = id.to_owned();
        let config = match proof {
            Proof::Secret(secret) => ClientCredentialsConfig::ClientSecret {
                client_id,
                client_secret: secret.expose_secret().to_owned(),
                scopes,
                resource,
            },
            Proof::Key { pem, algorithm } => ClientCredentialsConfig::PrivateKeyJwt {
                client_id,
                signing_key: pem.expose_secret().as_bytes().to_vec(),
                signing_algorithm: (*algorithm).into(),
                token_endpoint_audience: None,
                scopes,
                resource,
            },
        };
        let manager = &mut found.manager;
        let ready = manager
            .validate_client_credentials_metadata(&config)
            .and_then(|()| manager.configure_client_credentials(&config));
        ready.map_err(|error| self.failed(error))?;
        // rmcp's future cannot move between threads.
        let runtime = Handle::current();
        let exchange = move || {
            let outcome = runtime.block_on(quiet(found.manager.exchange_client_credentials(&config)));
            outcome.map(|_| found)
        };
        let exchanged = tokio::task::spawn_blocking(exchange).await;
        let exchanged = exchanged.unwrap_or_else(|_| Err(AuthError::InternalError(String::new())));
        let found = exchanged.map_err(|error| self.failed(error))?;
        found.grant(ClientRecord { id: id.to_owned(), secret: None, redirect_uri: None })
    }

    /// What the server's authorization server says of itself.
    pub(crate) async fn metadata(&self) -> Result<AuthorizationMetadata, OAuthError> {
        Ok(self.find(None).await?.metadata)
    }

    pub(crate) fn login_needed(&self, why: impl Into<String>) -> OAuthError {
        OAuthError::LoginNeeded { why: why.into(), advice: self.settings.advice.clone() }
    }

    async fn find(&self, challenge: Option<&str>) -> Result<Found, OAuthError> {
        let http = self.http.clone();
        let failed = |error| self.failed(error);
        let manager = AuthorizationManager::new_with_oauth_http_client(self.server.clone(), http).await;
        let mut manager = manager.map_err(failed)?;
        let resolution = match challenge {
            Some(challenge) => quiet(manager.resolve_metadata_from_challenge(Some(challenge))).await,
            None => quiet(manager.resolve_metadata()).await,
        };
        let metadata = resolution.map_err(failed)?.metadata;
        let kept = Kept::default();
        manager.set_credential_store(kept.clone());
        manager.set_metadata(metadata.clone());
        Ok(Found { manager, metadata, kept })
    }

    /// The rights to ask for: those of the settings, or those that the server says it needs; and never fewer than before.
    async fn scopes(&self, found: &Found, known: Option<&Grant>, more: &[String]) -> Vec<String> {
        let mut scopes = self.settings.scopes.clone();
        match known {
            Some(known) => scopes.extend_from_slice(&known.scopes),
            None if scopes.is_empty() => scopes = found.manager.select_initial_scopes(&[]).await,
            None => {}
        }
        scopes.extend_from_slice(more);
        let offered = found.metadata.scopes_supported.as_deref().unwrap_or_default();
        if !scopes.is_empty() && offered.iter().any(|scope| scope == OFFLINE_ACCESS) {
            scopes.push(OFFLINE_ACCESS.to_owned());
        }
        union(&scopes, &[])
    }

    /// Who we are for this authorization server, and the port to which its pages come back.
    async fn client(
        &self,
        found: &mut Found,
        known: Option<&Grant>,
        scopes: &[String],
    ) -> Result<(Callback, ClientRecord), OAuthError> {
        // Who is logged in already has registered with a port, which may still be free.
        if let Some(known) = known
            && let Some((port, uri)) = known.client.redirect_uri.as_deref().and_then(port)
            && let Ok(callback) = Callback::bind(port).await
            && callback.redirect_uri() == uri
        {
            found.configure(&known.client, uri)?;
            return Ok((callback, known.client.clone()));
        }
        let callback = Callback::bind(self.settings.callback_port).await?;
        let redirect_uri = callback.redirect_uri();
        let (id, secret) = match &self.settings.client {
            Client::Registered { id, secret } => (id.clone(), secret.clone()),
            Client::Unregistered { metadata_url: Some(url) } if found.reads_client_documents() => {
                (url.to_string(), None)
            }
            _ => {
                let names: Vec<_> = scopes.iter().map(String::as_str).collect();
                let registering =
                    found.manager.register_client(&self.settings.client_name, &redirect_uri, &names);
                let registered = quiet(registering).await.map_err(|error| self.not_registered(error))?;
                let (id, secret) = (registered.client_id, registered.client_secret.map(SecretString::from));
                return Ok((callback, ClientRecord { id, secret, redirect_uri: Some(redirect_uri) }));
            }
        };
        let client = ClientRecord { id, secret, redirect_uri: None };
        found.configure(&client, &redirect_uri)?;
        Ok((callback, client))
    }

    fn failed(&self, error: AuthError) -> OAuthError {
        OAuthError::from_rmcp(error, self.http.refused())
    }

    /// A server without metadata may have endpoints all the same, at the places of 2025-03-26; most have not.
    fn not_registered(&self, error: AuthError) -> OAuthError {
        match self.failed(error) {
            OAuthError::Refused { code } => OAuthError::Unsupported(format!(
                "the authorization server does not let this client register ({}): give a client id",
                crate::error::words(&code)
            )),
            other => other,
        }
    }
}

impl Found {
    fn configure(&mut self, client: &ClientRecord, redirect_uri: &str) -> Result<(), OAuthError> {
        let mut config = OAuthClientConfig::new(&client.id, redirect_uri);
        if let Some(secret) = &client.secret {
            config = config.with_client_secret(secret.expose_secret());
        }
        self.manager.configure_client(config).map_err(|error| OAuthError::from_rmcp(error, None))
    }

    fn reads_client_documents(&self) -> bool {
        let supported = self.metadata.additional_fields.get("client_id_metadata_document_supported");
        supported.and_then(serde_json::Value::as_bool).unwrap_or(false)
    }

    /// The server's name for itself, which tokens are asked for. rmcp tells it in its page for users only.
    async fn resource(&mut self, server: &str) -> String {
        let mut metadata = self.metadata.clone();
        (metadata.response_types_supported, metadata.code_challenge_methods_supported) = (None, None);
        self.manager.set_metadata(metadata);
        let nobody = ClientRecord { id: String::new(), secret: None, redirect_uri: None };
        let page = match self.configure(&nobody, server) {
            Ok(()) => quiet(self.manager.get_authorization_url(&[])).await.ok(),
            Err(_) => None,
        };
        self.manager.set_metadata(self.metadata.clone());
        let resource = page.and_then(|page| parameter(&Url::parse(&page).ok()?, "resource"));
        resource.unwrap_or_else(|| server.to_owned())
    }

    fn grant(&self, client: ClientRecord) -> Result<Grant, OAuthError> {
        let grant = self.kept.take().and_then(|stored| Grant::new(stored, client));
        grant.ok_or_else(|| {
            OAuthError::Unsupported("the authorization server did not answer with a token".to_owned())
        })
    }
}

impl Kept {
    fn put(&self, stored: Option<StoredCredentials>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stored;
    }

    fn take(&self) -> Option<StoredCredentials> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[async_trait]
impl CredentialStore for Kept {
    async fn load(&self) -> Result<Option<StoredCredentials>, AuthError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn save(&self, credentials: StoredCredentials) -> Result<(), AuthError> {
        self.put(Some(credentials));
        Ok(())
    }

    async fn clear(&self) -> Result<(), AuthError> {
        self.put(None);
        Ok(())
    }
}

/// rmcp logs codes and what servers sent.
fn quiet<F: Future>(future: F) -> impl Future<Output = F::Output> {
    future.with_subscriber(NoSubscriber::default())
}

/// Both, each once, in their order.
pub(crate) fn union(first: &[String], second: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for scope in first.iter().chain(second) {
        if !all.contains(scope) {
            all.push(scope.clone());
        }
    }
    all
}

/// What an authorization server says when it is not the request that is wrong.
fn is_transient(code: &str) -> bool {
    matches!(code, "temporarily_unavailable" | "server_error" | "slow_down")
}

fn port(redirect_uri: &str) -> Option<(u16, &str)> {
    Some((Url::parse(redirect_uri).ok()?.port()?, redirect_uri))
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn not_a_page() -> OAuthError {
    OAuthError::Unsupported("the authorization server's page is not a URL".to_owned())
}
