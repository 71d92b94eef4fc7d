//! The tokens for one server, for all who use it.

use std::{sync::Arc, time::SystemTime};

use async_trait::async_trait;
use mcp_transport::{AuthorizeError, Authorizer, Refusal};
use secrecy::SecretString;
use tokio::sync::OwnedMutexGuard;
use url::Url;

use crate::{
    Browser, Client, OAuthError, Settings,
    flow::union,
    grant::Grant,
    keeper::{Asked, Keeper},
};

/// How often the same rights are asked for, when having them does not help.
const MAX_STEPS: usize = 2;

/// The tokens for one server: got, kept, renewed and given back. Clones are the same one.
///
/// As an [`Authorizer`] it sends the token that is kept, refreshes it before it expires and when the server refuses it, and
/// lets the user log in where the settings have a browser. One such exchange is under way at a time, for all users and all
/// processes that keep their tokens in the same folder.
#[derive(Clone)]
pub struct Authorization(Arc<Keeper>);

/// Who logged in where.
#[derive(Debug, Clone)]
pub struct Login {
    /// The authorization server; older ones do not say who they are.
    pub issuer: Option<String>,
    /// The rights that were granted.
    pub scopes: Vec<String>,
    /// When the token must be refreshed, if that is known.
    pub expires_at: Option<SystemTime>,
}

/// What came of a logout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logout {
    /// There were tokens. They are gone now.
    pub was_logged_in: bool,
    /// The authorization server knows it too. Not all offer that.
    pub revoked: bool,
}

impl Authorization {
    /// Nothing is read or sent before it is needed.
    ///
    /// # Errors
    /// When the settings cannot be used.
    pub fn new(settings: Settings) -> Result<Self, OAuthError> {
        let mut server = settings.server.clone();
        // These schemes and parts can be set for every URL with a host; see `Url`.
        let _ = match server.scheme() {
            "ws" => server.set_scheme("http"),
            "wss" => server.set_scheme("https"),
            _ => Ok(()),
        };
        let _ = server.set_username("");
        let _ = server.set_password(None);
        server.set_fragment(None);
        if !matches!(server.scheme(), "http" | "https") || server.host().is_none() {
            return Err(OAuthError::Setup("the server must be an http or https URL"));
        }
        if let Client::Unregistered { metadata_url: Some(url) } = &settings.client
            && (url.scheme() != "https" || url.path() == "/")
        {
            return Err(OAuthError::Setup("the client's metadata must be at an https URL with a path"));
        }
        Ok(Self(Arc::new(Keeper::new(settings, server))))
    }

    /// Lets the user log in, and keeps the tokens. What was kept is replaced. Dropping the future gives up.
    ///
    /// # Errors
    /// Why nobody is logged in now.
    pub async fn login(&self, browser: &dyn Browser) -> Result<Login, OAuthError> {
        let asked = self.0.gate.clone().lock_owned().await;
        let kept = self.0.slot.load()?;
        let wanted = match kept {
            Some(kept) if !kept.wanted.is_empty() => union(&kept.scopes, &kept.wanted),
            _ => Vec::new(),
        };
        // It may be the registration that went wrong, so there is a new one.
        let grant = self.0.flow()?.log_in(asked.challenge.as_deref(), None, &wanted, browser).await?;
        self.0.keep(&grant).await?;
        Ok(Login::from(&grant))
    }

    /// Forgets the tokens, and asks the authorization server to forget them too, if it offers that.
    ///
    /// # Errors
    /// When the tokens cannot be removed.
    pub async fn logout(&self) -> Result<Logout, OAuthError> {
        let _asked = self.0.gate.clone().lock_owned().await;
        let lock = self.0.slot.lock().await?;
        let grants = self.0.slot.clear()?;
        self.0.remember(None);
        drop(lock);
        let Some(grant) = grants.first() else { return Ok(Logout { was_logged_in: false, revoked: false }) };
        let revoked = self.0.flow()?.revoke(grant).await;
        if let Err(error) = &revoked {
            tracing::debug!(%error, "the tokens were not revoked");
        }
        Ok(Logout { was_logged_in: true, revoked: revoked.unwrap_or(false) })
    }

    /// Who is logged in, as far as is known here.
    ///
    /// # Errors
    /// When the tokens cannot be read.
    pub fn logged_in(&self) -> Result<Option<Login>, OAuthError> {
        Ok(self.0.known()?.as_ref().map(Login::from))
    }

    /// Does it to the end, also when nobody waits any more: a refresh token that was sent is used up.
    async fn exchange<F>(&self, asked: OwnedMutexGuard<Asked>, exchange: F) -> Result<Grant, OAuthError>
    where
        F: Future<Output = Result<Grant, OAuthError>> + Send + 'static,
    {
        let exchange = async move {
            let outcome = exchange.await;
            drop(asked);
            outcome
        };
        let stopped = |_| Err(OAuthError::Unreachable("the exchange of tokens was stopped".to_owned()));
        tokio::spawn(exchange).await.unwrap_or_else(stopped)
    }

    async fn refresh(&self, asked: OwnedMutexGuard<Asked>, old: Grant) -> Result<Grant, OAuthError> {
        let inner = self.0.clone();
        self.exchange(asked, async move { inner.refresh(old).await }).await
    }

    /// For machines.
    async fn prove(&self, asked: OwnedMutexGuard<Asked>, more: Vec<String>) -> Result<Grant, OAuthError> {
        let inner = self.0.clone();
        let challenge = asked.challenge.clone();
        self.exchange(asked, async move { inner.prove(challenge.as_deref(), &more).await }).await
    }

    /// The server wants more rights than the token has.
    async fn step_up(
        &self,
        mut asked: OwnedMutexGuard<Asked>,
        grant: Option<Grant>,
        wanted: Vec<String>,
    ) -> Result<Grant, OAuthError> {
        let (last, times) = &asked.step;
        let times = if *last == wanted { times + 1 } else { 1 };
        let names = wanted.join(" ");
        if times > MAX_STEPS {
            let why = format!("the server wants more rights again, though they were granted ({names})");
            return Err(self.0.login_needed(why));
        }
        asked.step = (wanted.clone(), times);
        if let Client::Machine { .. } = self.0.settings.client {
            return self.prove(asked, wanted).await;
        }
        let Some(browser) = self.0.settings.browser.clone() else {
            // Whoever logs in next is asked for them, in another process too.
            if let Some(mut grant) = grant {
                grant.wanted = union(&grant.wanted, &wanted);
                self.0.keep(&grant).await?;
            }
            return Err(self.0.login_needed(format!("more rights are needed ({names})")));
        };
        self.log_in(asked, grant, wanted, &*browser).await
    }

    async fn log_in(
        &self,
        asked: OwnedMutexGuard<Asked>,
        grant: Option<Grant>,
        more: Vec<String>,
        browser: &dyn Browser,
    ) -> Result<Grant, OAuthError> {
        let challenge = asked.challenge.as_deref();
        let grant = self.0.flow()?.log_in(challenge, grant.as_ref(), &more, browser).await?;
        self.0.keep(&grant).await?;
        Ok(grant)
    }

    async fn renewed(&self, refusal: &Refusal) -> Result<Grant, OAuthError> {
        let mut asked = self.0.gate.clone().lock_owned().await;
        asked.challenge.clone_from(&refusal.challenge);
        let grant = self.0.read()?;
        // Somebody else may have got a token while this one was on its way.
        if let Some(grant) = &grant
            && !grant.has_access(refusal.token.as_ref())
            && !grant.is_expired()
        {
            return Ok(grant.clone());
        }
        let scopes = self.0.challenged(refusal);
        if refusal.status == 403 {
            return self.step_up(asked, grant, scopes).await;
        }
        if let Client::Machine { .. } = self.0.settings.client {
            return self.prove(asked, Vec::new()).await;
        }
        let mut why = "nobody is logged in";
        if let Some(grant) = grant {
            why = "the login has ended";
            // A new token that is refused as well does not become better.
            if grant.refresh.is_some() && refusal.renewals == 0 {
                match self.refresh(asked, grant).await {
                    Err(OAuthError::LoginNeeded { .. }) if self.0.settings.browser.is_some() => {}
                    outcome => return outcome,
                }
                asked = self.0.gate.clone().lock_owned().await;
            }
        }
        match self.0.settings.browser.clone() {
            Some(browser) => self.log_in(asked, None, Vec::new(), &*browser).await,
            None => Err(self.0.login_needed(why)),
        }
    }

    async fn current(&self) -> Result<Option<Grant>, OAuthError> {
        let is_machine = matches!(self.0.settings.client, Client::Machine { .. });
        let grant = match self.0.known()? {
            Some(grant) if grant.is_old() => grant,
            None if is_machine => {
                let asked = self.0.gate.clone().lock_owned().await;
                return match self.0.known()? {
                    Some(grant) => Ok(Some(grant)),
                    None => self.prove(asked, Vec::new()).await.map(Some),
                };
            }
            fresh => return Ok(fresh),
        };
        let asked = self.0.gate.clone().lock_owned().await;
        let renewed = if is_machine {
            self.prove(asked, Vec::new()).await
        } else if grant.refresh.is_some() {
            self.refresh(asked, grant.clone()).await
        } else {
            return Ok(Some(grant)); // the server's refusal says who gives another
        };
        match renewed {
            Ok(grant) => Ok(Some(grant)),
            Err(error) if !grant.is_expired() => {
                tracing::debug!(%error, "the token is about to expire, and was not refreshed");
                Ok(Some(grant))
            }
            Err(OAuthError::LoginNeeded { .. }) if self.0.settings.browser.is_some() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Authorizer for Authorization {
    fn server(&self) -> &Url {
        &self.0.server
    }

    async fn token(&self) -> Result<Option<SecretString>, AuthorizeError> {
        Ok(self.current().await?.map(|grant| grant.access))
    }

    async fn renew(&self, refusal: &Refusal) -> Result<SecretString, AuthorizeError> {
        Ok(self.renewed(refusal).await?.access)
    }
}

impl From<&Grant> for Login {
    fn from(grant: &Grant) -> Self {
        Self { issuer: grant.issuer.clone(), scopes: grant.scopes.clone(), expires_at: grant.expires_at() }
    }
}
