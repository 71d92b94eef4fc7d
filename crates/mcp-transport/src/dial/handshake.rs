//! The handshake: which era a server speaks, and which version of it.

use std::{
    pin::{Pin, pin},
    time::Duration,
};

use json_rpc::{Error, Members, Outcome, Raw};
use tokio::time::{Instant, timeout};

use super::{
    ClientCard, Outgoing,
    way::{Refusal, Way},
};
use crate::{ConnectError, Era, connect::error::words};

/// The version of the newer era that we speak.
pub(super) const MODERN: &str = "2026-07-28";
/// The versions of the older era that we speak, the one that we ask for first.
const LEGACY: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
/// Longest wait for the answer to the question for the era.
const LONGEST_PROBE: Duration = Duration::from_secs(9);

/// The newer era's errors; see its section on versions.
const HEADER_MISMATCH: i64 = -32_020;
const MISSING_CAPABILITY: i64 = -32_021;
const UNSUPPORTED_VERSION: i64 = -32_022;

pub(super) const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
pub(super) const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
pub(super) const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// What both sides agreed on.
pub(super) struct Agreement {
    pub(super) is_modern: bool,
    pub(super) version: String,
    /// What the server said of itself.
    pub(super) introduction: Raw,
}

/// How the question for the era was answered.
enum Probed {
    Modern(Raw),
    /// It speaks the older era, as far as can be told.
    Older,
}

/// Who shakes hands with whom.
pub(super) struct Handshake<'a> {
    pub(super) way: &'a Way,
    pub(super) card: &'a ClientCard,
    pub(super) address: &'a str,
    /// When everything must be over.
    pub(super) deadline: Instant,
}

impl Handshake<'_> {
    /// Agrees with the server on an era and a version.
    pub(super) async fn shake(&self, era: Era) -> Result<Agreement, ConnectError> {
        let agreement = match era {
            Era::Legacy => self.initialize().await?,
            Era::Modern => match self.discover(era).await? {
                Probed::Modern(introduction) => modern(introduction),
                Probed::Older => return Err(self.wrong("it knows only the older era of the protocol")),
            },
            Era::Auto => {
                let left = self.deadline.saturating_duration_since(Instant::now());
                let mut probe = pin!(self.discover(era));
                // Some servers of the older era say nothing to what they do not know.
                match timeout((left / 2).min(LONGEST_PROBE), &mut probe).await {
                    Ok(probed) => match probed? {
                        Probed::Modern(introduction) => modern(introduction),
                        Probed::Older => self.initialize().await?,
                    },
                    Err(_) => {
                        tracing::debug!(
                            "server/discover was not answered: this may be a server of the older era"
                        );
                        self.initialize_beside(probe).await?
                    }
                }
            }
        };
        self.way.agree(&agreement.version, agreement.is_modern);
        if !agreement.is_modern {
            self.way.initialized().await.map_err(|refusal| self.failed(refusal))?;
            self.way.listen().await;
        }
        Ok(agreement)
    }

    /// The question for the era has no answer yet. The one to `initialize` decides: a server that was only slow to start answers
    /// both, and refuses this one if it knows only the newer era, or keeps to the first that it was asked for.
    async fn initialize_beside(
        &self,
        mut probe: Pin<&mut impl Future<Output = Result<Probed, ConnectError>>>,
    ) -> Result<Agreement, ConnectError> {
        let mut initialize = pin!(self.initialize());
        let mut probed = None;
        let initialized = loop {
            tokio::select! {
                answer = &mut probe, if probed.is_none() => probed = Some(answer),
                answer = &mut initialize => break answer,
            }
        };
        let Err(refusal) = initialized else { return initialized };
        if probed.is_none() {
            let left = self.deadline.saturating_duration_since(Instant::now());
            probed = timeout(left / 2, probe).await.ok();
        }
        match probed {
            Some(Ok(Probed::Modern(introduction))) => Ok(modern(introduction)),
            _ => Err(refusal),
        }
    }

    async fn discover(&self, era: Era) -> Result<Probed, ConnectError> {
        let mut is_again = false;
        loop {
            let params: Members = [("_meta", meta(self.card).to_raw())].into_iter().collect();
            let error = match self.introduce("server/discover", params, Some(MODERN), era).await? {
                None => return Ok(Probed::Older),
                Some(Ok(result)) => return self.versions(era, result),
                Some(Err(error)) => error,
            };
            let Ok(read) = error.parse::<Error>() else {
                return Ok(Probed::Older); // it does not keep to JSON-RPC; perhaps it does in the older era
            };
            match read.code {
                UNSUPPORTED_VERSION => {
                    let data = read.data.as_ref().and_then(|data| Members::of(data).ok());
                    let supported = data.as_ref().and_then(|data| data.get("supported"));
                    let supported = supported.and_then(|all| all.parse::<Vec<String>>().ok());
                    let supported = supported.unwrap_or_default();
                    // A server may have to be told twice while it is being replaced by a newer one.
                    if !std::mem::replace(&mut is_again, true) && supported.iter().any(|one| one == MODERN) {
                        continue;
                    }
                    return self.older(era, &supported);
                }
                HEADER_MISMATCH | MISSING_CAPABILITY => return Err(self.refused(&read)),
                _ if era == Era::Modern => return Err(self.refused(&read)),
                _ => return Ok(Probed::Older),
            }
        }
    }

    /// Whether a server that has introduced itself speaks our version.
    fn versions(&self, era: Era, result: Raw) -> Result<Probed, ConnectError> {
        let members = Members::of(&result).ok();
        let supported = members.as_ref().and_then(|members| members.get("supportedVersions"));
        let supported = supported.and_then(|all| all.parse::<Vec<String>>().ok());
        let Some(supported) = supported else {
            return Err(self.wrong("it does not keep to the handshake"));
        };
        if supported.iter().any(|version| version == MODERN) {
            return Ok(Probed::Modern(result));
        }
        self.older(era, &supported)
    }

    /// A server of these versions, none of which is of the newer era that we speak.
    fn older(&self, era: Era, supported: &[String]) -> Result<Probed, ConnectError> {
        if era == Era::Auto && supported.iter().any(|version| LEGACY.contains(&version.as_str())) {
            return Ok(Probed::Older);
        }
        let known: Vec<_> = supported.iter().take(8).map(|version| words(version)).collect();
        Err(self.wrong(format!("it speaks none of our versions of MCP, only {}", known.join(" "))))
    }

    async fn initialize(&self) -> Result<Agreement, ConnectError> {
        let params = [
            ("protocolVersion", Raw::text(LEGACY[0])),
            ("capabilities", self.card.capabilities.clone()),
            ("clientInfo", self.card.info.clone()),
        ];
        let params = params.into_iter().collect();
        let introduction = match self.introduce("initialize", params, None, Era::Legacy).await? {
            Some(Ok(introduction)) => introduction,
            Some(Err(error)) => {
                let error = error.parse::<Error>();
                return Err(error.map_or_else(
                    |_| self.wrong("it refused without a reason"),
                    |error| self.refused(&error),
                ));
            }
            None => return Err(self.wrong("it does not keep to the handshake")),
        };
        let members = Members::of(&introduction).ok();
        let version = members.as_ref().and_then(|members| members.get("protocolVersion"));
        let Some(version) = version.and_then(|version| version.parse::<String>().ok()) else {
            return Err(self.wrong("it does not keep to the handshake"));
        };
        if !LEGACY.contains(&version.as_str()) {
            let version = words(&version);
            return Err(self.wrong(format!("it speaks none of our versions of MCP, only {version}")));
        }
        Ok(Agreement { is_modern: false, version, introduction })
    }

    /// `None`: the server refused in a way that says that it does not know the question.
    async fn introduce(
        &self,
        method: &'static str,
        params: Members,
        version: Option<&str>,
        era: Era,
    ) -> Result<Option<Outcome>, ConnectError> {
        let request = Outgoing { method: method.into(), params: Some(params.to_raw()), mirrored: Vec::new() };
        match self.way.introduce(request, version).await {
            Ok(outcome) => Ok(Some(outcome)),
            Err(refusal) if era == Era::Auto && refusal.is_older_era() => Ok(None),
            Err(refusal) => Err(self.failed(refusal)),
        }
    }

    fn refused(&self, error: &Error) -> ConnectError {
        self.wrong(format!("it refused with error {}, {}", error.code, words(&error.message)))
    }

    fn wrong(&self, reason: impl Into<String>) -> ConnectError {
        ConnectError::Protocol { address: self.address.to_owned(), reason: reason.into() }
    }

    fn failed(&self, refusal: Refusal) -> ConnectError {
        refusal.into_connect_error(self.address.to_owned())
    }
}

fn modern(introduction: Raw) -> Agreement {
    Agreement { is_modern: true, version: MODERN.to_owned(), introduction }
}

/// What every request of the newer era says.
pub(super) fn meta(card: &ClientCard) -> Members {
    let members = [
        (PROTOCOL_VERSION, Raw::text(MODERN)),
        (CLIENT_INFO, card.info.clone()),
        (CLIENT_CAPABILITIES, card.capabilities.clone()),
    ];
    members.into_iter().collect()
}
