//! Tokens that are got, and renewed, while a connection is used.

use std::{error::Error, sync::Arc};

use async_trait::async_trait;
use http::{HeaderValue, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::{ConnectError, ConnectOptions, address::as_http, http_client::is_loopback};

/// How often one request is sent again with another token. A server may first want any, then one for more.
const MAX_RENEWALS: usize = 3;

const INSECURE: &str = "tokens are sent over https only, unless the server is on this machine";

type Cause = Box<dyn Error + Send + Sync>;

/// Whoever gets the tokens for one server. Clones of a connection's options share it.
#[async_trait]
pub trait Authorizer: Send + Sync + 'static {
    /// The server that the tokens are for, as `http(s)`. They are sent to its origin and nowhere else.
    fn server(&self) -> &Url;

    /// The token to send with a request now, refreshed if it is about to expire. `None`: there is none yet, and the request
    /// is sent without.
    async fn token(&self) -> Result<Option<SecretString>, AuthorizeError>;

    /// Another token, as the server has refused a request. The request, which was not carried out, is sent again with it; at
    /// most three times.
    async fn renew(&self, refusal: &Refusal) -> Result<SecretString, AuthorizeError>;
}

/// How a server refused a request.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// 401, or 403 with the challenge `insufficient_scope`.
    pub status: u16,
    /// The header `WWW-Authenticate` of the answer.
    pub challenge: Option<String>,
    /// The token that the request was sent with.
    pub token: Option<SecretString>,
    /// How often this request has got another token before.
    pub renewals: usize,
}

/// Why there is no token. Its text says what to do, and holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizeError {
    /// Somebody must do something: log in, for instance.
    #[error(transparent)]
    Denied(Cause),
    /// Whoever issues tokens cannot be reached, or fails. Trying again later may help.
    #[error(transparent)]
    Unavailable(Cause),
}

/// A server wants other credentials, and there are none.
#[derive(Debug, thiserror::Error)]
#[error("the server needs other credentials (HTTP {status}): {reason}")]
pub(crate) struct NotAuthorized {
    pub(crate) status: StatusCode,
    pub(crate) challenge: Option<String>,
    pub(crate) reason: AuthorizeError,
}

impl NotAuthorized {
    /// Without a refusal the request was not even sent.
    fn new(refusal: Option<Refusal>, reason: AuthorizeError) -> Self {
        let status = refusal.as_ref().and_then(|refusal| StatusCode::from_u16(refusal.status).ok());
        let challenge = refusal.and_then(|refusal| refusal.challenge);
        Self { status: status.unwrap_or(StatusCode::UNAUTHORIZED), challenge, reason }
    }
}

/// Why a request failed, as far as authorization is concerned.
pub(crate) trait Failure: From<NotAuthorized> + Send {
    /// The status and the challenge, if the server refused.
    fn refused(&self) -> Option<(StatusCode, Option<&str>)>;
}

/// What requests to one server are authorized with.
#[derive(Clone, Default)]
pub(crate) enum Authorization {
    /// The headers of the options.
    #[default]
    Fixed,
    With(Arc<dyn Authorizer>),
    /// Tokens would be sent over plain HTTP to another machine, and are not.
    Insecure,
}

impl Authorization {
    /// None, if the options have no authorizer, or a key that is to be used.
    pub(crate) fn new(url: &Url, options: &ConnectOptions) -> Result<Self, ConnectError> {
        let Some(authorizer) = options.authorizer.clone().filter(|_| options.bearer.is_none()) else {
            return Ok(Self::Fixed);
        };
        let url = as_http(url);
        if url.origin() != as_http(authorizer.server()).origin() {
            return Err(ConnectError::Setup("the authorizer is for another server"));
        }
        let is_secure = url.scheme() == "https" || is_loopback(&url);
        Ok(if is_secure { Self::With(authorizer) } else { Self::Insecure })
    }

    /// The attempts at one request. Before the first, the token is got.
    pub(crate) async fn attempts(&self) -> Result<Attempts, NotAuthorized> {
        let mut attempts = Attempts { authorization: self.clone(), ..Attempts::default() };
        if let Self::With(authorizer) = self {
            attempts.set(authorizer.token().await.map_err(|reason| NotAuthorized::new(None, reason))?)?;
        }
        Ok(attempts)
    }
}

/// One request, sent until it is not refused for want of another token.
#[derive(Default)]
pub(crate) struct Attempts {
    authorization: Authorization,
    renewals: usize,
    token: Option<SecretString>,
    credential: Option<HeaderValue>,
}

impl Attempts {
    /// What to send in the header `Authorization`.
    pub(crate) fn credential(&self) -> Option<HeaderValue> {
        self.credential.clone()
    }

    /// What came of an attempt; `None`: send the request again, there is another credential now.
    pub(crate) async fn settle<T, E: Failure>(&mut self, outcome: Result<T, E>) -> Option<Result<T, E>> {
        let failure = match outcome {
            Err(failure) if self.renewals < MAX_RENEWALS => failure,
            outcome => return Some(outcome),
        };
        let Some(refusal) = self.renewable(&failure) else { return Some(Err(failure)) };
        let renewed = match &self.authorization {
            Authorization::Fixed => return Some(Err(failure)),
            Authorization::With(authorizer) => authorizer.renew(&refusal).await,
            Authorization::Insecure => Err(AuthorizeError::Denied(INSECURE.into())),
        };
        self.renewals += 1;
        match renewed {
            Ok(token) => self.set(Some(token)).err().map(|error| Err(error.into())),
            Err(reason) => Some(Err(NotAuthorized::new(Some(refusal), reason).into())),
        }
    }

    fn set(&mut self, token: Option<SecretString>) -> Result<(), NotAuthorized> {
        let credential = token.as_ref().map(credential).transpose();
        self.credential = credential.map_err(|reason| NotAuthorized::new(None, reason))?;
        self.token = token;
        Ok(())
    }

    /// HTTP 403 alone says that the user may not, whatever the token.
    fn renewable(&self, failure: &impl Failure) -> Option<Refusal> {
        let (status, challenge) = failure.refused()?;
        let wants_scope = challenge.is_some_and(|challenge| challenge.contains("insufficient_scope"));
        (status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN && wants_scope).then(|| {
            Refusal {
                status: status.as_u16(),
                challenge: challenge.map(str::to_owned),
                token: self.token.clone(),
                renewals: self.renewals,
            }
        })
    }
}

fn credential(token: &SecretString) -> Result<HeaderValue, AuthorizeError> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
        .map_err(|_| AuthorizeError::Denied("the token is not made of visible ASCII characters".into()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::link::LinkError;

    /// Has a token for every server.
    struct Generous(Url);

    #[async_trait]
    impl Authorizer for Generous {
        fn server(&self) -> &Url {
            &self.0
        }

        async fn token(&self) -> Result<Option<SecretString>, AuthorizeError> {
            Ok(Some(SecretString::from("token")))
        }

        async fn renew(&self, _: &Refusal) -> Result<SecretString, AuthorizeError> {
            Ok(SecretString::from("another"))
        }
    }

    fn authorization(server: &str, url: &str, bearer: Option<&str>) -> Result<Authorization, ConnectError> {
        let authorizer: Arc<dyn Authorizer> = Arc::new(Generous(server.parse().unwrap()));
        let bearer = bearer.map(SecretString::from);
        let options = ConnectOptions { authorizer: Some(authorizer), bearer, ..ConnectOptions::default() };
        Authorization::new(&url.parse().unwrap(), &options)
    }

    fn refused(status: u16, challenge: &str) -> Result<(), LinkError> {
        let status = StatusCode::from_u16(status).unwrap();
        Err(LinkError::Status { status, challenge: Some(challenge.to_owned()), retry_after: None })
    }

    #[tokio::test]
    async fn a_token_is_sent_to_its_server_alone_and_never_in_the_clear_over_a_network() {
        for (server, url, sent) in [
            ("https://host/mcp", "https://host/other", true),
            ("https://host/mcp", "wss://host/ws", true),
            ("http://127.0.0.1:1/mcp", "ws://127.0.0.1:1/ws", true),
            ("http://localhost:1/mcp", "http://localhost:1/mcp", true),
            ("http://host/mcp", "http://host/mcp", false),
            ("http://10.0.0.1/mcp", "ws://10.0.0.1/ws", false),
        ] {
            let attempts = authorization(server, url, None).unwrap().attempts().await.unwrap();
            assert_eq!(attempts.credential().is_some(), sent, "{url}");
        }
        for url in ["https://other/mcp", "http://host/mcp", "https://host:8443/mcp", "https://host.evil/"] {
            assert!(authorization("https://host/mcp", url, None).is_err(), "{url}");
        }
    }

    #[tokio::test]
    async fn a_server_in_the_clear_that_wants_a_token_is_told_apart() {
        let mut attempts =
            authorization("http://host/", "http://host/", None).unwrap().attempts().await.unwrap();
        let error = attempts.settle(refused(401, "Bearer")).await.unwrap().unwrap_err();
        assert!(error.to_string().contains(INSECURE), "{error}");
    }

    #[tokio::test]
    async fn a_request_is_sent_again_a_few_times_and_only_when_another_token_may_help() {
        let authorization = authorization("https://host/", "https://host/", None).unwrap();
        let mut attempts = authorization.attempts().await.unwrap();
        for _ in 0..MAX_RENEWALS {
            assert!(attempts.settle(refused(401, "Bearer")).await.is_none());
            assert_eq!(attempts.credential().unwrap(), "Bearer another");
        }
        assert!(attempts.settle(refused(401, "Bearer")).await.is_some());

        for (status, challenge, again) in [
            (403, "Bearer error=\"insufficient_scope\"", true),
            (403, "Bearer", false),
            (404, "Bearer", false),
            (500, "insufficient_scope", false),
        ] {
            let mut attempts = authorization.attempts().await.unwrap();
            assert_eq!(
                attempts.settle(refused(status, challenge)).await.is_none(),
                again,
                "{status} {challenge}"
            );
        }
    }

    #[tokio::test]
    async fn a_key_of_the_options_goes_before() {
        let attempts = authorization("https://host/", "https://host/", Some("key")).unwrap().attempts().await;
        assert!(attempts.unwrap().credential().is_none()); // it is in the headers
    }
}
