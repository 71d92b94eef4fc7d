//! The requests to authorization servers.

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::StreamExt as _;
use http::header::CONTENT_TYPE;
use reqwest::redirect;
use rmcp::transport::auth::{OAuthHttpClient, OAuthHttpClientFuture, OAuthHttpRequest};
use serde::Deserialize;
use url::Url;

use crate::{
    OAuthError,
    address_guard::{AddressGuard, GuardedResolver},
};

/// Longest time for one request.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer, in bytes.
const MAX_BODY: usize = 1 << 20;

type Cause = Box<dyn Error + Send + Sync>;
pub(crate) type Request = http::Request<Vec<u8>>;
pub(crate) type Response = http::Response<Vec<u8>>;

/// Sends requests where they may go, and remembers what the last one was refused for.
pub(crate) struct Http {
    client: reqwest::Client,
    guard: Arc<AddressGuard>,
    refused: Mutex<Option<String>>,
}

/// The answer of an authorization server that refuses.
#[derive(Deserialize)]
struct Refused {
    error: String,
}

impl Http {
    pub(crate) fn new(server: &Url, guard: Arc<AddressGuard>) -> Result<Self, OAuthError> {
        let mut client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none()) // rmcp follows those of metadata, within their origin
            .dns_resolver(Arc::new(GuardedResolver(guard.clone())));
        if server.scheme() == "http" {
            client = client.no_proxy(); // this machine: a proxy elsewhere cannot reach it
        }
        let client = client.build().map_err(|_| OAuthError::Setup("the HTTP client cannot be set up"))?;
        Ok(Self { client, guard, refused: Mutex::default() })
    }

    /// The word of the authorization server that refused the last request (`error`).
    pub(crate) fn refused(&self) -> Option<String> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) async fn send(&self, request: Request) -> Result<Response, Cause> {
        let request = reqwest::Request::try_from(request)?;
        self.guard.admit(request.url())?;
        self.refused();
        let response = self.client.execute(request).await.map_err(reqwest::Error::without_url)?;
        let mut answer = Response::default();
        *answer.status_mut() = response.status();
        *answer.headers_mut() = response.headers().clone();
        // Some servers answer a question for their metadata with their stream of messages, which has no end.
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
            *answer.body_mut() = body(response).await?;
        }
        if !answer.status().is_success() {
            let refused = serde_json::from_slice::<Refused>(answer.body()).ok();
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) =
                refused.map(|refused| refused.error);
        }
        Ok(answer)
    }
}

async fn body(response: reqwest::Response) -> Result<Vec<u8>, Cause> {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        body.extend_from_slice(&chunk.map_err(reqwest::Error::without_url)?);
        if body.len() > MAX_BODY {
            return Err(format!("its answer has more than {MAX_BODY} bytes").into());
        }
    }
    Ok(body)
}

impl OAuthHttpClient for Http {
    fn execute(&self, request: OAuthHttpRequest) -> OAuthHttpClientFuture<'_> {
        Box::pin(self.send(request.request))
    }
}
