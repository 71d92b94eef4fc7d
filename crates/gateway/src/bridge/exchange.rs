//! A client's request while an upstream works on it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use json_rpc::{Members, Notification, Outcome, Raw};
use mcp_transport::{Gone, Link, Party};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::{
    asking,
    client::Client,
    input::Question,
    level::Level,
    parked::Asked,
    questions::{Questions, allowed},
    tasks::Tasks,
    uris,
    waits::Waits,
};
use crate::{errors, fleet::LONGEST_QUESTION, own::GATEWAY, relay::Relay, trail::Trail};

/// A client's request while an upstream works on it: what the upstream says and asks meanwhile is for that client.
pub(crate) struct Exchange {
    pub(crate) client: Client,
    upstream: Arc<str>,
    waiter: Arc<Waiter>,
    relay: Weak<Relay>,
    /// What happens to the call is noted there, whichever request of the client waits for it.
    trail: Option<Arc<Trail>>,
    /// The gateway's own tools that it is a part of, the outermost first.
    path: Vec<String>,
}

/// Whoever waits for the answer: all parts of a request have the same.
struct Waiter {
    present: Mutex<Present>,
    /// What a client of the newer era is asked, which is told with a result.
    questions: Questions,
    waits: Waits,
    /// What its parts have in common, if it is a call of an own tool.
    whole: Option<Uuid>,
    /// Nobody waits any more.
    is_over: CancellationToken,
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
        Self::waiting((client, upstream), (link, Token::AsSent), None, relay)
    }

    /// A call of one of the gateway's own tools, by a request with this progress token.
    pub(crate) fn own(
        client: Client,
        tool: &str,
        link: Link,
        token: Option<Raw>,
        relay: &Arc<Relay>,
    ) -> Self {
        let whole = Some(Uuid::new_v4());
        let waiting = Self::waiting((client, GATEWAY.into()), (link, Token::Replaced(token)), whole, relay);
        Self { path: vec![tool.to_owned()], ..waiting }
    }

    /// A call of this upstream that is a part of a call of one of the gateway's own tools.
    pub(crate) fn within(whole: &Self, client: Client, upstream: Arc<str>) -> Self {
        let (waiter, relay, path) = (whole.waiter.clone(), whole.relay.clone(), whole.path.clone());
        Self { client, upstream, waiter, relay, trail: None, path }
    }

    /// A call of one of the gateway's own tools that is a part of a call of another.
    pub(crate) fn own_within(whole: &Self, tool: &str) -> Self {
        let mut part = Self::within(whole, whole.client.clone(), GATEWAY.into());
        part.path.push(tool.to_owned());
        part
    }

    fn waiting(
        (client, upstream): (Client, Arc<str>),
        (link, token): (Link, Token),
        whole: Option<Uuid>,
        relay: &Arc<Relay>,
    ) -> Self {
        let present = Mutex::new(Present { link, token, log_level: client.log_level });
        let waiter = Waiter {
            present,
            questions: Questions::default(),
            waits: Waits::default(),
            whole,
            is_over: CancellationToken::new(),
        };
        let (waiter, relay) = (waiter.into(), Arc::downgrade(relay));
        Self { client, upstream, waiter, relay, trail: None, path: Vec::new() }
    }

    /// The same, of a call whose request is noted there.
    pub(crate) fn noted(self, trail: &Arc<Trail>) -> Self {
        Self { trail: Some(trail.clone()), ..self }
    }

    /// Where it is noted what happens to the call.
    pub(crate) fn trail(&self) -> Option<&Arc<Trail>> {
        self.trail.as_ref()
    }

    /// The gateway's own tools that it is a part of, the outermost first.
    pub(crate) fn path(&self) -> &[String] {
        &self.path
    }

    /// What all parts of a call of an own tool have in common.
    pub(crate) fn whole(&self) -> Option<Uuid> {
        self.waiter.whole
    }

    /// When this is dropped, nobody waits any more for what is asked.
    pub(crate) fn until_over(&self) -> DropGuard {
        self.waiter.is_over.clone().drop_guard()
    }

    /// When the client is waited for.
    pub(crate) fn waits(&self) -> &Waits {
        &self.waiter.waits
    }

    /// Asks the client for what an upstream of the newer era needs.
    pub(crate) async fn ask(&self, question: Question) -> Result<Outcome, Gone> {
        if let Some(relay) = self.relay.upgrade() {
            relay.cache.asked(&self.upstream);
        }
        let _waiting = self.waiter.waits.begin();
        if self.client.is_modern {
            return Ok(self.waiter.questions.ask(&question.method, question.params).await);
        }
        let link = self.link();
        // Others than the client wait for it, too.
        timeout(LONGEST_QUESTION, link.ask(&question.method, question.params)).await.unwrap_or(Err(Gone))
    }

    /// Tells the client how far its request has come, if it wants to know.
    pub(crate) async fn report(&self, mut progress: Members) {
        let (link, token) = match &*self.present() {
            Present { link, token: Token::Replaced(Some(token)), .. } => (link.clone(), token.clone()),
            _ => return,
        };
        progress.set("progressToken", token);
        // A client that has left is noticed by whoever awaits the answer.
        let _ = link.tell(Notification::new("notifications/progress", Some(progress.to_raw()))).await;
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
        self.waiter.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The notification as the client's present request is to get it, if it is.
    fn translate(&self, notification: Notification) -> Option<Notification> {
        match notification.method.as_ref() {
            // What a part reports is not how far the whole has come.
            "notifications/progress" if !self.path.is_empty() => None,
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

impl Exchange {
    /// The notification, unless it is about a resource that is kept from clients.
    fn permitted(&self, relay: &Relay, notification: Notification) -> Option<Notification> {
        if notification.method != "notifications/resources/updated" {
            return Some(notification);
        }
        let view = relay.view();
        let (refusal, public) = (
            |uri: &str| view.catalogue.refusal(&self.upstream, uri),
            |uri: &str| view.catalogue.public_uri(&self.upstream, uri),
        );
        uris::updated(notification, refusal, public)
    }
}

impl Asked for Exchange {
    fn questions(&self) -> &Questions {
        &self.waiter.questions
    }

    fn pause(&self) {
        let mut present = self.present();
        (present.token, present.log_level) = (Token::Replaced(None), None);
    }
}

#[async_trait]
impl Party for Exchange {
    async fn told(&self, notification: Notification) {
        if let Some(notification) = self.translate(notification) {
            let Some(relay) = self.relay.upgrade() else { return };
            let notification =
                Tasks::of(&relay, self.client.owner(), &self.upstream, None).notification(notification);
            let Some(notification) = self.permitted(&relay, notification) else { return };
            let link = self.link();
            // A client that has left is noticed by whoever awaits the answer.
            let _ = link.tell(notification).await;
        }
    }

    async fn asked(&self, method: &str, params: Option<Raw>) -> Outcome {
        let asked = self.waiter.is_over.run_until_cancelled(self.ask_for_upstream(method, params));
        asked.await.unwrap_or_else(|| Err(errors::not_answered("nobody waits for the call any more")))
    }
}

impl Exchange {
    /// Asks the client what an upstream of the older era wants to know.
    async fn ask_for_upstream(&self, method: &str, params: Option<Raw>) -> Outcome {
        if method == "ping" {
            return Ok(Raw::empty_object());
        }
        let Some(relay) = self.relay.upgrade() else { return Err(errors::stopped().told([])) };
        relay.cache.asked(&self.upstream);
        let _waiting = self.waiter.waits.begin();
        let session = &self.client.session;
        if self.client.is_modern {
            let whose = asking::whose(&relay, &self.upstream, params.as_ref())?;
            if whose.is_none_or(|whose| whose.session == session.number) {
                allowed(method, params.as_ref(), &self.client.capabilities)?;
                let place = whose.map(|whose| whose.place);
                let tasks = Tasks::of(&relay, session.caller, &self.upstream, place);
                let params = params.map(|params| tasks.question(params));
                drop(relay);
                return self.waiter.questions.ask(method, params).await;
            }
        }
        asking::ask(&relay, session, &self.link(), &self.upstream, (method, params)).await
    }
}
