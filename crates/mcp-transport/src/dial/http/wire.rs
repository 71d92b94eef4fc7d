//! The HTTP requests to one server: with the headers that all of them have, and with the credentials that it wants.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use reqwest::{Body, Client, Request, Response};
use url::Url;

use super::headers::{LAST_EVENT_ID, SESSION_ID};
use crate::{
    ConnectError, ConnectOptions,
    connect::{
        address::without_userinfo,
        authorizer::Authorization,
        http_client::{self, authorized, challenge},
        link::LinkError,
    },
};

/// What the transport itself says.
const RESERVED: [HeaderName; 4] = [ACCEPT, CONTENT_TYPE, SESSION_ID, LAST_EVENT_ID];

/// Sends HTTP requests to one URL.
pub(super) struct Wire {
    client: Client,
    url: Url,
    authorization: Authorization,
    headers: HeaderMap,
}

impl Wire {
    /// Nothing is sent yet.
    pub(super) fn new(url: &Url, options: &ConnectOptions) -> Result<Self, ConnectError> {
        let headers = http_client::headers(url, options)?;
        if RESERVED.iter().any(|name| headers.contains_key(name)) {
            return Err(ConnectError::Setup("a header is MCP's own and cannot be set"));
        }
        let client = http_client::client(url, options)?;
        let authorization = Authorization::new(url, options)?;
        Ok(Self { client, url: without_userinfo(url), authorization, headers })
    }

    /// What every request begins with.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Sends a request, and again with another token when it is refused. 401 and 403 are errors, no other status is.
    pub(super) async fn send(
        &self,
        method: Method,
        headers: HeaderMap,
        body: Option<Bytes>,
    ) -> Result<Response, LinkError> {
        match self.authorization {
            Authorization::Fixed => unless_refused(self.send_once(method, headers, body).await?),
            // It is large, and would have a place in the future of everybody who sends.
            _ => Box::pin(self.send_authorized(method, headers, body)).await,
        }
    }

    async fn send_authorized(
        &self,
        method: Method,
        mut headers: HeaderMap,
        body: Option<Bytes>,
    ) -> Result<Response, LinkError> {
        let mut attempts = self.authorization.attempts().await?;
        loop {
            headers = authorized(headers, attempts.credential());
            let sent = self.send_once(method.clone(), headers.clone(), body.clone()).await;
            if let Some(outcome) = attempts.settle(sent.and_then(unless_refused)).await {
                return outcome;
            }
        }
    }

    async fn send_once(
        &self,
        method: Method,
        headers: HeaderMap,
        body: Option<Bytes>,
    ) -> Result<Response, LinkError> {
        let mut request = Request::new(method, self.url.clone());
        *request.headers_mut() = headers;
        *request.body_mut() = body.map(Body::from);
        // The query of the URL may hold a key.
        self.client.execute(request).await.map_err(|error| LinkError::Http(error.without_url()))
    }
}

fn unless_refused(response: Response) -> Result<Response, LinkError> {
    let status = response.status();
    if !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return Ok(response);
    }
    let challenge = challenge(response.headers()).map(str::to_owned);
    Err(LinkError::Status { status, challenge, retry_after: None })
}

/// The value of a header as text.
pub(super) fn text(value: Option<&HeaderValue>) -> Option<&str> {
    value.and_then(|value| value.to_str().ok())
}
