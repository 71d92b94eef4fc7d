//! Who we are for servers that want an OAuth login.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use clap::Args;
use mcp_transport::{Address, ConnectOptions};
use oauth::{Algorithm, Authorization, Client, OAuthError, Proof, Settings, TokenStore};
use secrecy::SecretString;
use url::Url;

use crate::output::Stop;

/// Most of a private key's file that is read, in bytes.
const MAX_KEY: u64 = 64 << 10;

/// Settings of logins. Most servers need none of them.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "OAuth (most servers need none of these)")]
pub(crate) struct OAuthOptions {
    /// Name that the authorization server gave this client, if it did.
    #[arg(long, global = true, value_name = "ID", hide_short_help = true)]
    oauth_client_id: Option<String>,
    /// The password that goes with it. Others can see a command line: set the variable instead.
    #[arg(
        long,
        global = true,
        env = "MCP_CLIENT_OAUTH_SECRET",
        hide_env_values = true,
        value_name = "SECRET",
        hide_short_help = true
    )]
    oauth_client_secret: Option<String>,
    /// The client has rights of its own: nobody logs in (client credentials).
    #[arg(long, global = true, requires = "oauth_client_id", hide_short_help = true)]
    oauth_machine: bool,
    /// File with the private key (PEM) that shows who the client is, in place of a password; implies --oauth-machine.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        requires = "oauth_client_id",
        conflicts_with = "oauth_client_secret",
        hide_short_help = true
    )]
    oauth_key: Option<PathBuf>,
    /// How that key signs: RS256, RS384, RS512, ES256 or ES384.
    #[arg(long, global = true, value_name = "NAME", default_value = "ES256", hide_short_help = true)]
    oauth_algorithm: String,
    /// URL of a document that describes this client, for authorization servers that read these.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        conflicts_with = "oauth_client_id",
        hide_short_help = true
    )]
    oauth_client_metadata: Option<Url>,
    /// A right to ask for, instead of what the server says; can be given several times.
    #[arg(long, global = true, value_name = "SCOPE", hide_short_help = true)]
    oauth_scope: Vec<String>,
    /// Port of 127.0.0.1 that the browser comes back to; 0 is any.
    #[arg(long, global = true, value_name = "PORT", default_value_t = 0, hide_short_help = true)]
    oauth_callback_port: u16,
    /// The authorization server may have a private address, such as 10.0.0.9.
    #[arg(long, global = true, hide_short_help = true)]
    oauth_allow_private: bool,
}

impl OAuthOptions {
    /// What must not be shown.
    pub(crate) fn secret(&self) -> Option<&str> {
        self.oauth_client_secret.as_deref()
    }
}

/// Makes authorizations for servers. They read and send nothing before it is needed.
pub(crate) struct Logins {
    options: OAuthOptions,
    client: Client,
    store: TokenStore,
    /// One for each server: `login` knows what the server said when it refused.
    known: Mutex<HashMap<(String, Url), Authorization>>,
}

impl Logins {
    pub(crate) fn new(options: &OAuthOptions) -> Result<Self, Stop> {
        // Without a folder of the user's tokens last as long as the program.
        let store = TokenStore::user().unwrap_or_else(|_| TokenStore::memory());
        Ok(Self { options: options.clone(), client: client(options)?, store, known: Mutex::default() })
    }

    /// The authorization for a server on the network.
    pub(crate) fn of(&self, name: &str, server: Url) -> Result<Authorization, OAuthError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name.to_owned(), server.clone());
        if let Some(authorization) = known.get(&key) {
            return Ok(authorization.clone());
        }
        let settings = Settings {
            client: self.client.clone(),
            scopes: self.options.oauth_scope.clone(),
            store: self.store.clone(),
            advice: format!("run: mcp-client login {name}"),
            callback_port: self.options.oauth_callback_port,
            private_addresses: self.options.oauth_allow_private,
            ..Settings::new(server)
        };
        let authorization = Authorization::new(settings)?;
        known.insert(key, authorization.clone());
        Ok(authorization)
    }

    /// The same options, with a login for a server that is given no other credentials.
    pub(crate) fn add(&self, name: &str, address: &Address, connect: ConnectOptions) -> ConnectOptions {
        let has_own = connect.bearer.is_some() || connect.headers.contains_key(http::header::AUTHORIZATION);
        let server = address.server_url().filter(|_| !has_own);
        // Settings that cannot be used are told by `login`.
        match server.and_then(|server| self.of(name, server).ok()) {
            Some(authorization) => ConnectOptions { authorizer: Some(Arc::new(authorization)), ..connect },
            None => connect,
        }
    }
}

fn client(options: &OAuthOptions) -> Result<Client, Stop> {
    let secret =
        options.oauth_client_secret.as_deref().filter(|secret| !secret.is_empty()).map(SecretString::from);
    let Some(id) = options.oauth_client_id.clone() else {
        return Ok(Client::Unregistered { metadata_url: options.oauth_client_metadata.clone() });
    };
    if let Some(path) = &options.oauth_key {
        let unreadable =
            |reason: String| Stop::usage(format!("{} cannot be used as a key: {reason}", path.display()));
        let size = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
        if size > MAX_KEY {
            return Err(unreadable("it is too large".to_owned()));
        }
        let pem = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
        let algorithm: Algorithm =
            options.oauth_algorithm.parse().map_err(|error: OAuthError| Stop::usage(error.to_string()))?;
        return Ok(Client::Machine { id, proof: Proof::Key { pem: pem.into(), algorithm } });
    }
    match (options.oauth_machine, secret) {
        (true, Some(secret)) => Ok(Client::Machine { id, proof: Proof::Secret(secret) }),
        (true, None) => Err(Stop::usage("--oauth-machine needs MCP_CLIENT_OAUTH_SECRET or --oauth-key")),
        (false, secret) => Ok(Client::Registered { id, secret }),
    }
}
