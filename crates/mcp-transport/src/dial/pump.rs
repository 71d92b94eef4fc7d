//! Reads what a server sends in one stream, and brings each message to whom it belongs.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use json_rpc::{Error, Id, Members, Message, Notification, Raw, ReadError, Request, Response};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    errand::Hearing,
    mux::Shared,
    questions::Questions,
    token::{PROGRESS, mentions, reported},
};
use crate::connect::{
    carrier::{Carrier, FAREWELL},
    incoming::Incoming,
    link::LinkError,
    message,
    watched::End,
};
use crate::our_id::number;

/// What a server may ask outside of any request, before we have answered.
const MAX_QUESTIONS: usize = 64;
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// Reads until the connection ends, or is told to.
pub(super) async fn run(
    carrier: impl Carrier,
    shared: Arc<Shared>,
    stop: CancellationToken,
    cut: CancellationToken,
    end: End,
) {
    let _over = end.over.clone().drop_guard();
    let mut carrier = carrier; // is gone before that is said
    let ended = Ended { shared: &shared, end: &end };
    let mut pump = Pump { shared: &shared, questions: Questions::default() };
    let is_cut = tokio::select! {
        biased;
        () = cut.cancelled() => true,
        () = stop.cancelled() => false,
        () = pump.read(&mut carrier) => false,
    };
    drop(pump); // what was asked is answered nowhere
    if let Some(reason) = carrier.reason() {
        let _ = end.reason.set(reason); // there is one already
    }
    drop(ended);
    if !is_cut {
        let _ = cut.run_until_cancelled(carrier.close()).await;
    }
}

/// Ends the connection for all who use it, whatever happens.
struct Ended<'a> {
    shared: &'a Shared,
    end: &'a End,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.end.begun.cancel();
        self.shared.end();
    }
}

struct Pump<'a> {
    shared: &'a Shared,
    /// Those that no request answers.
    questions: Questions,
}

impl Pump<'_> {
    /// Returns when the connection has ended.
    async fn read(&mut self, carrier: &mut impl Carrier) {
        let outbox = self.shared.outbox.clone();
        let mut deaf = std::pin::pin!(async move {
            outbox.closed().await;
            // What it has said already is still heard.
            sleep(FAREWELL).await;
        });
        loop {
            let incoming = tokio::select! {
                incoming = carrier.next() => incoming,
                (question, outcome) = self.questions.answered() => {
                    self.shared.respond(question, outcome);
                    continue;
                }
                () = &mut deaf => None,
            };
            match incoming {
                Some(Incoming::Message(text)) => self.take(&text),
                Some(Incoming::TooLong { limit, answers }) => self.too_long(limit, answers.as_ref()),
                None => return,
            }
        }
    }

    fn take(&mut self, text: &Bytes) {
        match Message::read(text) {
            Ok(Message::Response(response)) => self.answered(response),
            Ok(Message::Notification(notification)) => self.told(notification),
            Ok(Message::Request(request)) => self.asked(request),
            Err(error) => self.unreadable(text, error),
        }
    }

    fn answered(&self, Response { id, outcome }: Response) {
        let errand = match &id {
            Some(id) => number(id).and_then(|number| self.shared.settle(number)),
            // It could not read the id. Of the handshake there is one message at a time; later it may be about a notification, or
            // an answer of ours, as well.
            None if self.shared.is_agreed() => {
                tracing::warn!("the server answers without saying which request");
                return;
            }
            None => match &*self.shared.errands() {
                [errand] => self.shared.settle(errand.number),
                _ => None,
            },
        };
        match errand {
            Some(errand) => errand.settle(Ok(outcome)),
            None => tracing::debug!("the server answers a request that nobody waits for"),
        }
    }

    fn told(&mut self, notification: Notification) {
        let errand = match &*notification.method {
            PROGRESS => {
                let Some(errand) = reported(&notification).and_then(|number| self.shared.errand(number))
                else {
                    return; // the request is over, or nobody wants to hear of it
                };
                if let Some(token) = &errand.token {
                    errand.tell(token.give_back(notification));
                }
                return;
            }
            "notifications/cancelled" => return self.withdrawn(&notification),
            "notifications/message" => self.shared.sole(),
            _ => None,
        };
        let subscription = || {
            let members = Members::of(notification.params.as_ref()?).ok()?;
            let meta = Members::of(members.get("_meta")?).ok()?;
            self.shared.errand(number(&Id::new(meta.get(SUBSCRIPTION)?.clone())?)?)
        };
        let is_tagged = |params: &Raw| mentions(params, SUBSCRIPTION);
        let is_subscribed = self.is_modern() && notification.params.as_ref().is_some_and(is_tagged);
        let errand = if is_subscribed { subscription().or(errand) } else { errand };
        match errand.filter(|errand| errand.hearing != Hearing::Nothing) {
            Some(errand) => errand.tell(notification),
            None => self.shared.host.told(notification),
        }
    }

    /// In the older era a server takes back what it asked; in the newer one it ends what listens.
    fn withdrawn(&mut self, notification: &Notification) {
        let members = notification.params.as_ref().and_then(|params| Members::of(params).ok());
        let id = members.as_ref().and_then(|members| Id::new(members.get("requestId")?.clone()));
        let Some(id) = id else { return };
        if self.is_modern() {
            if let Some(errand) = number(&id).and_then(|number| self.shared.settle(number)) {
                errand.settle(Err(LinkError::Protocol("the server has ended the request".to_owned())));
            }
        } else if !self.questions.withdraw(&id) {
            let _ = self.shared.errands().iter().any(|errand| errand.withdraw(&id)); // or it is answered already
        }
    }

    fn asked(&mut self, Request { id, method, params }: Request) {
        let refuse = |id, code, why: &'static str| self.shared.respond(id, Err(Error::new(code, why).into()));
        if method == "ping" {
            return self.shared.respond(id, Ok(Raw::empty_object()));
        }
        if self.is_modern() {
            let why = "servers make no requests in this version of the protocol";
            return refuse(id, Error::METHOD_NOT_FOUND, why);
        }
        let crowded = "too many requests are unanswered: wait for some of them";
        let method = method.into_owned();
        if let Some(errand) = self.shared.sole() {
            if let Err(id) = errand.ask(id, method, params) {
                refuse(id, Error::INTERNAL_ERROR, crowded);
            }
            return;
        }
        if self.questions.len() == MAX_QUESTIONS {
            return refuse(id, Error::INTERNAL_ERROR, crowded);
        }
        let host = self.shared.host.clone();
        self.questions.add(id, Box::pin(async move { host.asked(&method, params).await }));
    }

    fn unreadable(&self, text: &Bytes, ReadError { id, error }: ReadError) {
        let answered = message::answered(text);
        tracing::warn!(
            message.bytes = text.len(),
            message.answers = answered.is_some(),
            "a message of the server cannot be read"
        );
        let errand = answered.as_ref().and_then(number).and_then(|number| self.shared.settle(number));
        match (errand, id) {
            (Some(errand), _) => {
                errand.settle(Err(LinkError::Protocol("the server's answer cannot be read".to_owned())));
            }
            // A request: an answer to no request of ours needs none.
            (None, Some(id)) if answered.is_none() => self.shared.respond(id, Err(error.into())),
            (None, _) => {}
        }
    }

    /// Only the request that it answers is lost with a message that was not kept.
    fn too_long(&self, limit: usize, answers: Option<&Id>) {
        if let Some(errand) = answers.and_then(number).and_then(|number| self.shared.settle(number)) {
            let reason = format!("its answer has more than {limit} bytes");
            errand.settle(Err(LinkError::TooLarge(reason)));
        }
    }

    fn is_modern(&self) -> bool {
        self.shared.is_modern.load(Ordering::Relaxed)
    }
}
