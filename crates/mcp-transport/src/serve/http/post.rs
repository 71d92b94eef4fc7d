//! Messages of clients (`POST`).

use std::sync::Arc;

use auth::Caller;
use axum::{
    extract,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use json_rpc::{Error, Id, Message, Notification, Request, Response as Answer};

use super::{
    super::{
        body::{self, Part},
        reply::full,
    },
    Http, NO_SESSION, accepts, answer,
    call::{Call, answering},
    client::{Client, MAX_REQUESTS, Refused},
    eras::{self, Era, Facts, Params, are_mirrored, primes},
    kinds, mirror,
    reader::Reader,
    refusal::{Refusal, json, status},
    sessions::{Found, Known, Named, SESSION_ID},
    unknown,
};
use crate::{Arrival, Endpoint, Link, TransportKind};

impl<E: Endpoint> Http<E> {
    /// Takes a message, and answers it if it is a request.
    pub(super) async fn post(&self, request: extract::Request, caller: Caller) -> Result<Response, Refusal> {
        let (parts, body) = request.into_parts();
        let headers = &parts.headers;
        let named = self.sessions.named(headers, caller)?;
        if !kinds(headers, header::CONTENT_TYPE).any(|kind| kind.eq_ignore_ascii_case("application/json")) {
            let why = "Content-Type must be application/json";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, None, why));
        }
        let mount = &self.mount;
        let body = match body::read(body, mount.max_message, mount.timing.idle, &mount.bodies).await {
            Ok(body) => body,
            Err(refused) => return Ok(refused),
        };
        let message = Message::read(&body.bytes);
        if !accepts(headers, "application/json") || !accepts(headers, "text/event-stream") {
            let why = "answers are application/json or text/event-stream: Accept must have both";
            let id = message.as_ref().ok().and_then(eras::id);
            return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, id, why));
        }
        match message? {
            Message::Request(request) => self.request(headers, request, body.part, named, caller).await,
            Message::Notification(notification) => self.notification(headers, notification, named),
            Message::Response(response) => self.response(headers, response, named),
        }
    }

    async fn request(
        &self,
        headers: &HeaderMap,
        request: Request,
        part: Part,
        named: Named<E::Session>,
        caller: Caller,
    ) -> Result<Response, Refusal> {
        let facts = Facts::of(&request)?;
        if facts.era(headers, &request)? == Era::Modern {
            let is_complete = facts.are_complete();
            let (reader, session) = self.brief(headers, &request, &facts, caller)?;
            let link = Link::new(reader.lane.clone(), Some(request.id.clone()));
            let call = self.call(request, link, session, &reader).with(part);
            return Ok(answer::brief(call, reader, is_complete).await);
        }
        match named {
            Named::Known(found) => self.in_session(request, part, found).await,
            Named::Unknown => Err(unknown(Some(&request.id))),
            Named::None if request.method == "initialize" => {
                if are_mirrored(headers) {
                    mirror::check_handshake(headers, &request.id)?;
                }
                self.initialize(request, caller).await
            }
            Named::None => Err(Refusal::bad(Some(&request.id), Error::INVALID_REQUEST, NO_SESSION)),
        }
    }

    /// A client that is here for one request, if its headers repeat that rightly.
    fn brief(
        &self,
        headers: &HeaderMap,
        request: &Request,
        facts: &Facts<'_>,
        caller: Caller,
    ) -> Result<(Reader, Arc<E::Session>), Refusal> {
        let Request { id, method, .. } = request;
        let params = &facts.params;
        let are_mirrored = are_mirrored(headers);
        if are_mirrored {
            mirror::check(headers, Some(id), method, params)?;
        }
        let reader = Reader::alone();
        let link = Link::new(reader.lane.clone(), None);
        let arrival = Arrival { caller, transport: TransportKind::Http, is_brief: true, link };
        let session = Arc::new(self.mount.answers.open(arrival));
        if are_mirrored
            && method == "tools/call"
            && let Some(tool) = params.name.and_then(eras::text)
        {
            let mirrored = self.mount.answers.mirrored(&session, &tool);
            mirror::check_arguments(headers, id, &mirrored, params.arguments)?;
        }
        Ok((reader, session))
    }

    async fn in_session(
        &self,
        request: Request,
        part: Part,
        found: Found<E::Session>,
    ) -> Result<Response, Refusal> {
        let Found { client, session, .. } = found;
        let reader = client.request(&request.id).map_err(|refused| match refused {
            Refused::Gone => unknown(Some(&request.id)),
            Refused::TooMany => Refusal::overloaded(&request.id, MAX_REQUESTS),
            Refused::Twice => {
                let why = "a request with this id is in flight already";
                Refusal::new(StatusCode::OK, Some(&request.id), why)
            }
        })?;
        let link = Link::new(reader.lane.clone(), Some(request.id.clone()));
        let call = self.call(request, link, session, &reader).with(part);
        Ok(answer::in_session(call, reader).await)
    }

    fn call(&self, request: Request, link: Link, session: Arc<E::Session>, reader: &Reader) -> Call {
        let id = request.id.clone();
        let answering = answering(self.mount.answers.clone(), session, request, link, self.stopping());
        Call::new(id, reader.lane.clone(), reader.client.clone(), answering)
    }

    /// Opens a session. There is none when its client does not wait for the answer, or the answer is an error.
    async fn initialize(&self, request: Request, caller: Caller) -> Result<Response, Refusal> {
        let Some(place) = self.mount.place() else { return Ok(full()) };
        let client = Client::new(self.grace.clone());
        let id = request.id.clone();
        let link = Link::new(client.clone(), None);
        let arrival = Arrival { caller, transport: TransportKind::Http, is_brief: false, link };
        let session = Arc::new(self.mount.answers.open(arrival));
        let known = Known { owner: caller, client: client.clone(), session: session.clone(), _place: place };
        let link = Link::new(client.clone(), Some(id.clone()));
        let outcome = answering(self.mount.answers.clone(), session, request, link, self.stopping()).await;
        let (status, named) = match &outcome {
            Ok(result) => {
                client.begin(primes(result));
                (StatusCode::OK, HeaderValue::try_from(self.sessions.keep(known).to_string()).ok())
            }
            Err(error) => (status(error, false), None),
        };
        let mut response = json(status, Message::from(Answer::new(id, outcome)).to_bytes());
        if let Some(named) = named {
            response.headers_mut().insert(SESSION_ID, named);
        }
        Ok(response)
    }

    fn notification(
        &self,
        headers: &HeaderMap,
        notification: Notification,
        named: Named<E::Session>,
    ) -> Result<Response, Refusal> {
        if eras::era(headers)? == Era::Modern {
            // Whom it could concern is here for another request only. Closing that one's response cancels it.
            mirror::check(headers, None, &notification.method, &Params::default())?;
            return Ok(StatusCode::ACCEPTED.into_response());
        }
        let Found { client, session, .. } = begun(named)?;
        client.used();
        if !is_cancellation(&client, &notification) {
            self.mount.answers.hear(&session, notification);
        }
        Ok(StatusCode::ACCEPTED.into_response())
    }

    fn response(
        &self,
        headers: &HeaderMap,
        response: Answer,
        named: Named<E::Session>,
    ) -> Result<Response, Refusal> {
        if eras::era(headers)? == Era::Modern {
            let why = "nothing is asked in this era: there is no request that this could answer";
            return Err(Refusal::bad(None, Error::INVALID_REQUEST, why));
        }
        let Found { client, .. } = begun(named)?;
        client.used();
        if let Some(id) = response.id {
            client.questions.answered(&id, response.outcome);
        }
        Ok(StatusCode::ACCEPTED.into_response())
    }
}

fn begun<S>(named: Named<S>) -> Result<Found<S>, Refusal> {
    match named {
        Named::Known(found) => Ok(found),
        Named::Unknown => Err(unknown(None)),
        Named::None => Err(Refusal::bad(None, Error::INVALID_REQUEST, NO_SESSION)),
    }
}

/// Cancels the request that the notification is about, if it is being answered.
fn is_cancellation(client: &Client, notification: &Notification) -> bool {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Cancelled {
        request_id: Id,
    }
    notification.method == "notifications/cancelled"
        && notification
            .params
            .as_ref()
            .and_then(|params| params.parse::<Cancelled>().ok())
            .is_some_and(|cancelled| client.cancel(&cancelled.request_id))
}
