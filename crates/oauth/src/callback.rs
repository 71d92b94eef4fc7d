//! The end of a login: the browser comes back to a port of this machine.

use std::net::Ipv4Addr;

use axum::{
    Router,
    extract::{Query, State},
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use tokio::{net::TcpListener, sync::mpsc};

use crate::{OAuthError, error::words};

/// Answers to other logins, or forged ones, before this one is given up.
const MAX_STRAYS: usize = 16;
const PATH: &str = "/callback";

/// A port that waits for the browser.
pub(crate) struct Callback {
    listener: TcpListener,
    port: u16,
}

/// What the authorization server answered.
#[derive(Deserialize)]
pub(crate) struct Answer {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

/// A code to be exchanged for tokens.
pub(crate) struct Code {
    pub(crate) code: String,
    /// Who says that it has issued it.
    pub(crate) issuer: Option<String>,
}

impl Callback {
    /// Port 0 is any that is free.
    pub(crate) async fn bind(port: u16) -> Result<Self, OAuthError> {
        let unfit =
            |_| OAuthError::Setup("the port for the browser's return is taken: choose another, or 0 for any");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(unfit)?;
        let port = listener.local_addr().map_err(unfit)?.port();
        Ok(Self { listener, port })
    }

    pub(crate) fn redirect_uri(&self) -> String {
        format!("http://127.0.0.1:{}{PATH}", self.port)
    }

    /// Waits for the answer with this `state`. Others are not for this login, whoever sent them.
    pub(crate) async fn code(self, state: &str) -> Result<Code, OAuthError> {
        let (sender, mut answers) = mpsc::channel(1);
        let expected = state.to_owned();
        let app = Router::new().route(PATH, get(answer)).with_state((expected.into(), sender));
        let serving = async { axum::serve(self.listener, app).await };
        let waiting = async {
            for _ in 0..MAX_STRAYS {
                match answers.recv().await {
                    Some(Some(answer)) => return read(answer),
                    Some(None) => {}
                    None => break,
                }
            }
            Err(OAuthError::Untrusted("the browser came back with answers to other logins".to_owned()))
        };
        tokio::select! {
            outcome = waiting => outcome,
            _ = serving => Err(OAuthError::Setup("the port for the browser's return cannot be used")),
        }
    }
}

type Waiting = (std::sync::Arc<str>, mpsc::Sender<Option<Answer>>);

async fn answer(State((expected, answers)): State<Waiting>, Query(answer): Query<Answer>) -> Response {
    let belongs = answer.state.as_deref() == Some(&*expected);
    let refused = answer.error.is_some() || answer.code.is_none();
    let told = answers.send(belongs.then_some(answer)).await.is_ok();
    match (belongs && told, refused) {
        (false, _) => page(StatusCode::BAD_REQUEST, "This answer is not for a login that is under way."),
        (true, true) => page(StatusCode::OK, "The login was refused. You can close this window."),
        (true, false) => page(StatusCode::OK, "You can close this window and go back to the program."),
    }
}

/// Nothing of the request is in it, and nothing is loaded by it.
fn page(status: StatusCode, text: &'static str) -> Response {
    let body = format!("<!doctype html><meta charset=utf-8><title>mcp-client</title><p>{text}\n");
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (CONNECTION, "close"),
    ];
    (status, headers, body).into_response()
}

fn read(answer: Answer) -> Result<Code, OAuthError> {
    match (answer.error, answer.code) {
        (Some(code), _) => Err(OAuthError::Refused { code: words(&code) }),
        (None, Some(code)) => Ok(Code { code, issuer: answer.iss }),
        (None, None) => Err(OAuthError::Untrusted("the browser came back without a code".to_owned())),
    }
}
