//! What is wanted of a server over all its connections.

use std::{collections::BTreeSet, sync::Arc};

use mcp_transport::ConnectError;
use rmcp::model::{
    ClientRequest, ErrorCode, ErrorData, LoggingLevel, SetLevelRequest, SetLevelRequestMethod,
    SetLevelRequestParams, SubscribeRequest, SubscribeRequestParams, UnsubscribeRequest,
    UnsubscribeRequestParams,
};
use tokio::time::timeout;

use crate::{
    CallError, CallOptions, calls::Call, connection::Connection, listening::Agreed, session::Session,
};

/// Most resources whose changes are heard.
const MAX_RESOURCES: usize = 256;

/// What is wanted of a server, whichever connection it is reached by.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Wishes {
    pub(crate) log: Log,
    /// Resources whose changes are heard.
    pub(crate) resources: BTreeSet<String>,
}

/// Which lines of a server's log are heard.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) enum Log {
    /// Whatever it sends by itself.
    #[default]
    Unasked,
    From(LoggingLevel),
    Off,
}

impl Log {
    /// What the server is told. There is no word for silence: the fewest lines are asked for then, and left out.
    pub(crate) fn told(self) -> Option<LoggingLevel> {
        match self {
            Self::Unasked => None,
            Self::From(level) => Some(level),
            Self::Off => Some(LoggingLevel::Emergency),
        }
    }
}

impl Connection {
    /// Wants another log. A server that is not connected is told when it is.
    pub(crate) async fn set_log(&self, log: Log) -> Result<(), CallError> {
        if let Some(session) = self.connected().filter(|session| session.is_live()) {
            if session.introduction.capabilities.logging.is_none() {
                return Err(CallError::Refused(ErrorData::method_not_found::<SetLevelRequestMethod>()));
            }
            if let Some(level) = log.told().filter(|_| !session.is_modern()) {
                self.say(session, SetLevelRequest::new(SetLevelRequestParams::new(level)).into()).await?;
            }
        }
        self.desk.wishes.send_modify(|wishes| wishes.log = log);
        Ok(())
    }

    /// Wants to hear of this resource.
    pub(crate) async fn subscribe(self: &Arc<Self>, uri: &str) -> Result<(), CallError> {
        let session = self.session().await?;
        if !session.is_modern() {
            self.room(uri)?;
            let request = SubscribeRequest::new(SubscribeRequestParams::new(uri));
            self.say(session, request.into()).await?;
        }
        self.room(uri)?;
        self.desk.wishes.send_modify(|wishes| {
            wishes.resources.insert(uri.to_owned());
        });
        let session = self.session().await?;
        let heard = if session.is_modern() { self.agreed(&session, uri).await } else { Ok(()) };
        if heard.is_err() {
            self.forget(uri);
        }
        heard
    }

    /// Does not want to hear of it any more.
    pub(crate) async fn unsubscribe(&self, uri: &str) -> Result<(), CallError> {
        self.forget(uri);
        match self.connected().filter(|session| session.is_live() && !session.is_modern()) {
            Some(session) => {
                let request = UnsubscribeRequest::new(UnsubscribeRequestParams::new(uri));
                self.say(session, request.into()).await
            }
            None => Ok(()),
        }
    }

    fn room(&self, uri: &str) -> Result<(), CallError> {
        let resources = &self.desk.wishes.borrow().resources;
        if resources.len() < MAX_RESOURCES || resources.contains(uri) {
            return Ok(());
        }
        let full =
            ConnectError::Setup("256 resources are subscribed to, more cannot be: unsubscribe from one");
        Err(CallError::Connect(Arc::new(full)))
    }

    fn forget(&self, uri: &str) {
        self.desk.wishes.send_if_modified(|wishes| wishes.resources.remove(uri));
    }

    async fn say(&self, session: Arc<Session>, request: ClientRequest) -> Result<(), CallError> {
        Call::new(session, &CallOptions::default(), self.options.limits).ask(request).await?;
        Ok(())
    }

    /// Waits until the server has answered whether it tells of this resource.
    async fn agreed(&self, session: &Session, uri: &str) -> Result<(), CallError> {
        let limit = self.options.limits.idle;
        let mut agreed = session.agreed.subscribe();
        let answered = async {
            let asked =
                |agreed: &Option<Agreed>| agreed.as_ref().is_some_and(|agreed| agreed.asked.contains(uri));
            agreed.wait_for(asked).await.ok().and_then(|agreed| agreed.clone())
        };
        let answered = tokio::select! {
            answered = timeout(limit, answered) => answered.map_err(|_| CallError::TimedOut(limit))?,
            _ = session.ended() => None,
        };
        let outcome = answered.map(|agreed| agreed.outcome);
        let accepted = outcome.unwrap_or_else(|| Err(session.lost()))?;
        if accepted.contains(uri) {
            return Ok(());
        }
        let refused = "it does not tell when this resource changes";
        Err(CallError::Refused(ErrorData::new(ErrorCode::INVALID_PARAMS, refused, None)))
    }
}
