//! A client's request while an upstream works on it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use json_rpc::{Members, Notification, Outcome, Raw};
use mcp_transport::{Link, Party};

use super::{
    asking,
    client::Client,
    level::Level,
    parked::Asked,
    questions::{Questions, allowed},
    tasks::Tasks,
};
use crate::{errors, relay::Relay};

/// A client's request while an upstream works on it: what the upstream says and asks meanwhile is for that client.
pub(crate) struct Exchange {
    pub(crate) client: Client,
    upstream: Arc<str>,
    present: Mutex<Present>,
    /// What the upstream asks a client of the newer era, which is told with a result.
    questions: Questions,
    relay: Weak<Relay>,
}

/// The request of the client that waits at present: a call that was parked outlives the first.
struct Present {
    link: Link,
    /// The progress token of this request; what an upstream reports bears the first one's.
    token: Token,
    log_level: Option<Level>,
}

enum Token {
    AsSent,
    Replaced(Option<Raw>),
}

impl Exchange {
    pub(crate) fn new(client: Client, upstream: Arc<str>, link: Link, relay: &Arc<Relay>) -> Self {
        let present = Present { link, token: Token::AsSent, log_level: client.log_level };
        let relay = Arc::downgrade(relay);
        Self { client, upstream, present: Mutex::new(present), questions: Questions::default(), relay }
    }

    /// Leads to the client's present request.
    pub(crate) fn link(&self) -> Link {
        self.present().link.clone()
    }

    /// Another request of the client waits for the answer from now on.
    pub(crate) fn switch(&self, link: Link, token: Option<Raw>, log_level: Option<Level>) {
        *self.present() = Present { link, token: Token::Replaced(token), log_level };
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The notification as the client's present request is to get it, if it is.
    fn translate(&self, notification: Notification) -> Option<Notification> {
        match notification.method.as_ref() {
            "notifications/progress" => match &self.present().token {
                Token::AsSent => Some(notification),
                Token::Replaced(token) => {
                    let mut params = Members::of(notification.params.as_ref()?).ok()?;
                    params.set("progressToken", token.clone()?);
                    Some(Notification { params: Some(params.to_raw()), ..notification })
                }
            },
            "notifications/message" => {
                let least = self.present().log_level?;
                let params = Members::of(notification.params.as_ref()?).ok()?;
                (Level::read(params.get("level")?)? >= least).then_some(notification)
            }
            // The newer era has no such notification: a client learns it from the next answer.
            "notifications/elicitation/complete" if self.client.is_modern => None,
            _ => Some(notification),
        }
    }
}

impl Asked for Exchange {
    fn questions(&self) -> &Questions {
        &self.questions
    }
}

#[async_trait]
impl Party for Exchange {
    async fn told(&self, notification: Notification) {
        if let Some(notification) = self.translate(notification) {
            let Some(relay) = self.relay.upgrade() else { return };
            let notification =
                Tasks::of(&relay, self.client.owner(), &self.upstream, None).notification(notification);
            let link = self.link();
            // A client that has left is noticed by whoever awaits the answer.
            let _ = link.tell(notification).await;
        }
    }

    async fn asked(&self, method: &str, params: Option<Raw>) -> Outcome {
        if method == "ping" {
            return Ok(Raw::empty_object());
        }
        let Some(relay) = self.relay.upgrade() else { return Err(errors::stopped()) };
        let session = &self.client.session;
        if self.client.is_modern {
            let whose = asking::whose(&relay, &self.upstream, params.as_ref())?;
            if whose.is_none_or(|whose| whose.session == session.number) {
                allowed(method, params.as_ref(), &self.client.capabilities)?;
                let place = whose.map(|whose| whose.place);
                let tasks = Tasks::of(&relay, session.caller, &self.upstream, place);
                let params = params.map(|params| tasks.question(params));
                drop(relay);
                return self.questions.ask(method, params).await;
            }
        }
        asking::ask(&relay, session, &self.link(), &self.upstream, (method, params)).await
    }
}
