//! What an authorization server has granted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rmcp::transport::auth::{OAuthTokenResponse, StoredCredentials};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A token is refreshed so long before it expires, or after nine tenths of its life.
const MARGIN: Duration = Duration::from_secs(30);

/// Tokens for one server from one authorization server, and who got them.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    /// The authorization server; older ones do not say who they are.
    pub(crate) issuer: Option<String>,
    pub(crate) client: ClientRecord,
    pub(crate) access: SecretString,
    pub(crate) refresh: Option<SecretString>,
    pub(crate) obtained_at: SystemTime,
    /// For how long the access token is valid, if the authorization server says so.
    pub(crate) lifetime: Option<Duration>,
    pub(crate) scopes: Vec<String>,
    /// More rights that the server has asked for since.
    pub(crate) wanted: Vec<String>,
}

/// Who the client is for this authorization server.
#[derive(Debug, Clone)]
pub(crate) struct ClientRecord {
    pub(crate) id: String,
    pub(crate) secret: Option<SecretString>,
    /// Where the browser comes back to, as it was registered.
    pub(crate) redirect_uri: Option<String>,
}

/// What is read of an answer with tokens.
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    refresh_token: Option<String>,
    expires_in: Option<u64>,
}

impl Grant {
    /// What rmcp has got; `None` when it is no token after all.
    pub(crate) fn new(stored: StoredCredentials, client: ClientRecord) -> Option<Self> {
        let answer = serde_json::to_value(stored.token_response?).ok()?;
        let answer: Answer = serde_json::from_value(answer).ok()?;
        Some(Self {
            issuer: stored.issuer,
            client,
            access: answer.access_token.into(),
            refresh: answer.refresh_token.map(SecretString::from),
            obtained_at: SystemTime::now(),
            lifetime: answer.expires_in.map(Duration::from_secs),
            scopes: stored.granted_scopes,
            wanted: Vec::new(),
        })
    }

    /// The same for rmcp.
    pub(crate) fn stored(&self) -> Option<StoredCredentials> {
        let answer = json!({
            "access_token": self.access.expose_secret(),
            "token_type": "bearer",
            "refresh_token": self.refresh.as_ref().map(|refresh| refresh.expose_secret()),
        });
        let answer: OAuthTokenResponse = serde_json::from_value(answer).ok()?;
        let (id, scopes) = (self.client.id.clone(), self.scopes.clone());
        Some(StoredCredentials::new(id, Some(answer), scopes, None).with_issuer(self.issuer.clone()))
    }

    pub(crate) fn expires_at(&self) -> Option<SystemTime> {
        self.obtained_at.checked_add(self.lifetime?)
    }

    /// Whether the access token is about to expire, or has.
    pub(crate) fn is_old(&self) -> bool {
        let margin = self.lifetime.map_or(MARGIN, |lifetime| MARGIN.min(lifetime / 10));
        self.expires_within(margin)
    }

    pub(crate) fn is_expired(&self) -> bool {
        self.expires_within(Duration::ZERO)
    }

    fn expires_within(&self, margin: Duration) -> bool {
        self.expires_at().is_some_and(|end| SystemTime::now() + margin >= end)
    }

    pub(crate) fn has_access(&self, token: Option<&SecretString>) -> bool {
        token.is_some_and(|token| token.expose_secret() == self.access.expose_secret())
    }
}

/// How a grant is written to a file.
#[derive(Serialize, Deserialize)]
pub(crate) struct Written {
    issuer: Option<String>,
    client_id: String,
    client_secret: Option<String>,
    redirect_uri: Option<String>,
    access_token: String,
    refresh_token: Option<String>,
    /// Seconds since 1970.
    obtained_at: u64,
    lifetime_seconds: Option<u64>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    wanted: Vec<String>,
}

impl From<&Grant> for Written {
    fn from(grant: &Grant) -> Self {
        let exposed = |secret: &Option<SecretString>| Some(secret.as_ref()?.expose_secret().to_owned());
        let since_1970 = grant.obtained_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            issuer: grant.issuer.clone(),
            client_id: grant.client.id.clone(),
            client_secret: exposed(&grant.client.secret),
            redirect_uri: grant.client.redirect_uri.clone(),
            access_token: grant.access.expose_secret().to_owned(),
            refresh_token: exposed(&grant.refresh),
            obtained_at: since_1970.as_secs(),
            lifetime_seconds: grant.lifetime.map(|lifetime| lifetime.as_secs()),
            scopes: grant.scopes.clone(),
            wanted: grant.wanted.clone(),
        }
    }
}

impl From<Written> for Grant {
    fn from(written: Written) -> Self {
        let client = ClientRecord {
            id: written.client_id,
            secret: written.client_secret.map(SecretString::from),
            redirect_uri: written.redirect_uri,
        };
        let obtained_at = UNIX_EPOCH.checked_add(Duration::from_secs(written.obtained_at));
        Self {
            issuer: written.issuer,
            client,
            access: written.access_token.into(),
            refresh: written.refresh_token.map(SecretString::from),
            obtained_at: obtained_at.unwrap_or(UNIX_EPOCH),
            lifetime: written.lifetime_seconds.map(Duration::from_secs),
            scopes: written.scopes,
            wanted: written.wanted,
        }
    }
}
