//! What has to be known to get tokens for one server.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use secrecy::SecretString;
use url::Url;

use rmcp::transport::auth::JwtSigningAlgorithm;

use crate::{Browser, OAuthError, TokenStore};

/// How to get tokens for one server. [`Settings::new`] fits most.
#[derive(Clone)]
pub struct Settings {
    /// The MCP server. A `ws(s)` URL means the `http(s)` one.
    pub server: Url,
    /// Who asks for tokens.
    pub client: Client,
    /// How the client is called, where it registers itself: `mcp-client`.
    pub client_name: String,
    /// The rights to ask for. Empty: those that the server says it needs.
    pub scopes: Vec<String>,
    /// Where tokens are kept: in memory.
    pub store: TokenStore,
    /// Where users log in whenever the server asks for it. `None`: only with
    /// [`Authorization::login`](crate::Authorization::login). While connecting, the time for that must be long enough.
    pub browser: Option<Arc<dyn Browser>>,
    /// What people should do when they must log in, for messages.
    pub advice: String,
    /// The port of 127.0.0.1 that the browser comes back to. 0: any that is free, which nearly all authorization servers allow.
    pub callback_port: u16,
    /// How long a user may take to log in: 5 minutes.
    pub login_timeout: Duration,
    /// Whether the authorization server may have a private address, such as 10.0.0.9: no. An address of this machine is used
    /// only when the MCP server is on this machine too.
    pub private_addresses: bool,
}

/// Who asks for tokens.
#[derive(Debug, Clone)]
pub enum Client {
    /// Nobody that the authorization server knows yet: it is told the URL of a document that describes the client, when it
    /// reads these (client id metadata documents) and there is one, or else the client registers itself.
    Unregistered {
        /// Where the document is: an `https` URL with a path.
        metadata_url: Option<Url>,
    },
    /// Somebody whom the authorization server knows already.
    Registered {
        /// The name that it gave.
        id: String,
        /// The password that goes with it, if there is one.
        secret: Option<SecretString>,
    },
    /// A program that has rights of its own: nobody logs in (client credentials).
    Machine {
        /// The name that the authorization server gave.
        id: String,
        /// What shows who it is.
        proof: Proof,
    },
}

/// What shows who a program is.
#[derive(Clone)]
pub enum Proof {
    /// A password.
    Secret(SecretString),
    /// The private key for a key that the authorization server knows (`private_key_jwt`).
    Key {
        /// The key, as PEM.
        pem: SecretString,
        /// How it signs.
        algorithm: Algorithm,
    },
}

/// How a key signs: RSA with SHA-2, or ECDSA on the curve of the same size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the standard's own")]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Es256,
    Es384,
}

impl FromStr for Algorithm {
    type Err = OAuthError;

    /// From the standard's name, such as `ES256`.
    fn from_str(name: &str) -> Result<Self, OAuthError> {
        Ok(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            _ => return Err(OAuthError::Setup("algorithms are RS256, RS384, RS512, ES256 and ES384")),
        })
    }
}

impl From<Algorithm> for JwtSigningAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Rs256 => Self::RS256,
            Algorithm::Rs384 => Self::RS384,
            Algorithm::Rs512 => Self::RS512,
            Algorithm::Es256 => Self::ES256,
            Algorithm::Es384 => Self::ES384,
        }
    }
}

impl Settings {
    /// The defaults for this server.
    #[must_use]
    pub fn new(server: Url) -> Self {
        Self {
            server,
            client: Client::Unregistered { metadata_url: None },
            client_name: "mcp-client".to_owned(),
            scopes: Vec::new(),
            store: TokenStore::memory(),
            browser: None,
            advice: "log in".to_owned(),
            callback_port: 0,
            login_timeout: Duration::from_secs(300),
            private_addresses: false,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("server", &self.server.host_str())
            .field("client", &self.client)
            .field("scopes", &self.scopes)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(_) => f.write_str("Secret(…)"),
            Self::Key { algorithm, .. } => write!(f, "Key(…, {algorithm:?})"),
        }
    }
}
