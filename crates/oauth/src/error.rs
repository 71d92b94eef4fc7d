//! Why there is no token, by what can be done about it.

use std::{error::Error, time::Duration};

use mcp_transport::AuthorizeError;
use rmcp::transport::auth::AuthError;

use crate::{StoreError, address_guard::Forbidden};

/// Most characters of a server's own words in an error.
const MAX_WORDS: usize = 200;

/// Why there is no token. It holds no secrets, and what others have written only in part.
#[derive(Debug, thiserror::Error)]
pub enum OAuthError {
    /// Nobody is logged in, or not any more, or with too few rights.
    #[error("{why}: {advice}")]
    LoginNeeded {
        /// What is the matter.
        why: String,
        /// What to do about it.
        advice: String,
    },
    /// The user, or the authorization server, said no.
    #[error("the authorization server refuses ({})", words(.code))]
    Refused {
        /// Its word for it, such as `access_denied` or `invalid_client`.
        code: String,
    },
    /// Nobody logged in in time.
    #[error("nobody logged in within {0:?}")]
    TimedOut(Duration),
    /// What the servers say of themselves does not fit together, or is not safe: going on could give tokens to somebody else.
    #[error("this cannot be trusted: {0}")]
    Untrusted(String),
    /// The server, or its authorization server, cannot do what is needed.
    #[error("{0}")]
    Unsupported(String),
    /// A server that is needed cannot be reached, or fails. Trying again later may help.
    #[error("the authorization server cannot be reached: {0}")]
    Unreachable(String),
    /// The tokens cannot be kept, or what was kept cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The browser could not be brought to the authorization server.
    #[error("the browser cannot be used: {0}")]
    Browser(Box<dyn Error + Send + Sync>),
    /// The settings cannot be used.
    #[error("{0}")]
    Setup(&'static str),
}

/// What an error means for whoever called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The settings are wrong, or the file with the tokens cannot be used.
    Usage,
    /// Trying again later may help.
    Unreachable,
    /// Somebody must log in, or has not, or is not allowed to.
    Denied,
    /// The servers do not do what they should.
    Protocol,
}

impl OAuthError {
    /// What it means for whoever called.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::LoginNeeded { .. } | Self::Refused { .. } | Self::TimedOut(_) => Kind::Denied,
            Self::Untrusted(_) | Self::Unsupported(_) => Kind::Protocol,
            Self::Unreachable(_) => Kind::Unreachable,
            Self::Store(_) | Self::Browser(_) | Self::Setup(_) => Kind::Usage,
        }
    }

    /// From an error of rmcp's, whose texts may repeat what a server sent. `code` is the authorization server's own word, if
    /// it answered with one.
    pub(crate) fn from_rmcp(error: AuthError, code: Option<String>) -> Self {
        use AuthError as Fault;
        match error {
            Fault::DiscoveryRequestFailed { source, .. } => Self::from_request(&*source),
            Fault::ProtectedResourceMetadataInvalid { reason, .. } => Self::Untrusted(format!(
                "the server's metadata is not its own: {}",
                words(&reason.to_string())
            )),
            Fault::AuthorizationServerMismatch { expected_issuer, received_issuer } => {
                Self::Untrusted(format!(
                    "the authorization server should be {}, and says that it is {}",
                    words(&expected_issuer),
                    words(&received_issuer)
                ))
            }
            Fault::AuthorizationServerMissingIssuer { .. } => {
                Self::Untrusted("the authorization server does not say who it is (iss)".to_owned())
            }
            Fault::AuthorizationServersUnavailable { authorization_servers, .. } => {
                let servers = words(&authorization_servers.join(" "));
                Self::Unsupported(format!("the authorization server publishes no metadata: {servers}"))
            }
            Fault::PkceUnsupported => {
                Self::Unsupported("the authorization server does not offer PKCE with S256".to_owned())
            }
            Fault::JwtSigningError(_) => {
                Self::Setup("the private key does not fit its algorithm, or is no PEM")
            }
            _ if code.is_some() => Self::Refused { code: code.unwrap_or_default() },
            Fault::RegistrationFailed(_) => Self::Unsupported(
                "the authorization server does not let unknown clients register: give a client id".to_owned(),
            ),
            Fault::TokenExchangeFailed(_)
            | Fault::TokenRefreshFailed(_)
            | Fault::TokenRefreshRejected(_)
            | Fault::HttpError(_) => Self::Unreachable("it did not answer with a token".to_owned()),
            Fault::ClientCredentialsError(text) if text.contains("does not support") => Self::Unsupported(
                "the authorization server does not take this kind of credentials".to_owned(),
            ),
            Fault::ClientCredentialsError(text) if text.contains("HTTPS is required") => {
                Self::Untrusted("the authorization server is not reached over https".to_owned())
            }
            Fault::ClientCredentialsError(_) => {
                Self::Unreachable("it did not answer with a token".to_owned())
            }
            Fault::AuthorizationFailed(_) => {
                Self::Untrusted("the answer does not come from the authorization server".to_owned())
            }
            Fault::InvalidScope(_) => {
                Self::Unsupported("the authorization server does not offer the code flow".to_owned())
            }
            _ => Self::Unsupported("the server's way of authorization is not understood".to_owned()),
        }
    }

    /// From a request that failed.
    pub(crate) fn from_request(error: &(dyn Error + 'static)) -> Self {
        let mut cause = error;
        loop {
            if let Some(forbidden) = cause.downcast_ref::<Forbidden>() {
                return Self::Untrusted(forbidden.to_string());
            }
            match cause.source() {
                Some(source) => cause = source,
                None => return Self::Unreachable(words(&cause.to_string())),
            }
        }
    }
}

impl From<OAuthError> for AuthorizeError {
    fn from(error: OAuthError) -> Self {
        match error.kind() {
            Kind::Unreachable => Self::Unavailable(error.into()),
            _ => Self::Denied(error.into()),
        }
    }
}

/// The start of somebody's own words, on one line.
pub(crate) fn words(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(MAX_WORDS).collect()
}
