//! What is known and kept of the tokens for one server.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use mcp_transport::Refusal;
use rmcp::transport::auth::WWWAuthenticateParams;
use url::Url;

use crate::{
    Client, OAuthError, Settings, address_guard::AddressGuard, flow::Flow, grant::Grant, http::Http,
    token_store::Slot,
};

/// The tokens for one server, and what is needed to get others.
pub(crate) struct Keeper {
    pub(crate) settings: Settings,
    pub(crate) server: Url,
    pub(crate) slot: Slot,
    known: Mutex<Known>,
    flow: OnceLock<Arc<Flow>>,
    /// One exchange at a time.
    pub(crate) gate: Arc<tokio::sync::Mutex<Asked>>,
}

/// What is known of the tokens that are kept.
#[derive(Clone)]
enum Known {
    /// They were not looked at yet.
    Unread,
    Read(Option<Grant>),
}

/// What the server has asked for.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) challenge: Option<String>,
    /// The rights that were asked for last because the server wanted more, and how often.
    pub(crate) step: (Vec<String>, usize),
}

impl Keeper {
    /// `server` is `http(s)`.
    pub(crate) fn new(settings: Settings, server: Url) -> Self {
        let slot = settings.store.of(&server);
        let (known, flow, gate) = (Mutex::new(Known::Unread), OnceLock::new(), Arc::default());
        Self { settings, server, slot, known, flow, gate }
    }

    pub(crate) fn flow(&self) -> Result<Arc<Flow>, OAuthError> {
        if let Some(flow) = self.flow.get() {
            return Ok(flow.clone());
        }
        let guard = Arc::new(AddressGuard::new(&self.server, self.settings.private_addresses));
        let http = Arc::new(Http::new(&self.server, guard.clone())?);
        let (settings, server) = (self.settings.clone(), self.server.clone());
        Ok(self.flow.get_or_init(|| Arc::new(Flow { settings, server, guard, http })).clone())
    }

    /// As it was when it was read or got last.
    pub(crate) fn known(&self) -> Result<Option<Grant>, OAuthError> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Known::Read(grant) => Ok(grant),
            Known::Unread => self.read(),
        }
    }

    /// As it is kept now: another process may have changed it.
    pub(crate) fn read(&self) -> Result<Option<Grant>, OAuthError> {
        let grant = self.slot.load()?;
        self.remember(grant.clone());
        Ok(grant)
    }

    pub(crate) fn remember(&self, grant: Option<Grant>) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Known::Read(grant);
    }

    pub(crate) async fn keep(&self, grant: &Grant) -> Result<(), OAuthError> {
        let _lock = self.slot.lock().await?;
        self.slot.save(grant)?;
        self.remember(Some(grant.clone()));
        Ok(())
    }

    pub(crate) async fn refresh(&self, old: Grant) -> Result<Grant, OAuthError> {
        let _lock = self.slot.lock().await?;
        let grant = match self.read()? {
            Some(kept) if !kept.has_access(Some(&old.access)) && !kept.is_old() => return Ok(kept),
            Some(kept) => kept,
            None => return Err(self.login_needed("somebody has logged out")),
        };
        match self.flow()?.refresh(&grant).await {
            Ok(new) => {
                self.slot.save(&new)?;
                self.remember(Some(new.clone()));
                tracing::debug!("the token was refreshed");
                Ok(new)
            }
            Err(error @ OAuthError::LoginNeeded { .. }) => {
                self.slot.forget(&grant)?;
                self.remember(None);
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn prove(&self, challenge: Option<&str>, more: &[String]) -> Result<Grant, OAuthError> {
        let Client::Machine { id, proof } = &self.settings.client else {
            return Err(OAuthError::Setup("this client has no credentials of its own"));
        };
        let grant = self.flow()?.prove(id, proof, challenge, more).await?;
        self.keep(&grant).await?;
        Ok(grant)
    }

    pub(crate) fn login_needed(&self, why: impl Into<String>) -> OAuthError {
        OAuthError::LoginNeeded { why: why.into(), advice: self.settings.advice.clone() }
    }

    /// The rights that a challenge names.
    pub(crate) fn challenged(&self, refusal: &Refusal) -> Vec<String> {
        let Some(challenge) = &refusal.challenge else { return Vec::new() };
        let scope = WWWAuthenticateParams::parse(challenge, &self.server).scope.unwrap_or_default();
        scope.split_whitespace().map(str::to_owned).collect()
    }
}
