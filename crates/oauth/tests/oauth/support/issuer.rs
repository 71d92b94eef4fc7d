//! An authorization server. Everything secret that it makes starts with `canary`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Semaphore};
use url::Url;

type Parameters = HashMap<String, String>;

#[derive(Clone)]
pub struct Issuer(Arc<Inner>);

struct Inner {
    url: String,
    book: Mutex<Book>,
    /// Requests for tokens wait here.
    door: Semaphore,
    asked: tokio::sync::Notify,
}

#[derive(Default)]
struct Book {
    number: usize,
    /// Code, and what was asked for with it.
    codes: HashMap<String, Parameters>,
    /// Access tokens that are good, and their scopes.
    access: HashMap<String, String>,
    /// Refresh tokens that are good, and their scopes.
    refresh: HashMap<String, String>,
    behaviour: Behaviour,
    counts: Counts,
}

/// What it does.
#[derive(Clone, Default)]
pub struct Behaviour {
    /// Seconds that tokens are said to be valid.
    pub lifetime: Option<u64>,
    /// What it answers to requests for a refresh.
    pub refuses_refresh: Option<(u16, &'static str)>,
    /// What it says instead of giving a code.
    pub denies: Option<&'static str>,
    /// Who it says that it is when the user comes back.
    pub iss: Option<&'static str>,
    /// The gate refuses the next request with this method, whatever its token.
    pub refuses_next: Option<&'static str>,
    /// Clients are not registered.
    pub refuses_registration: bool,
}

/// What happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    pub registrations: usize,
    pub logins: usize,
    pub refreshes: usize,
    pub machines: usize,
    /// Requests that the gate refused because of their token.
    pub refused: usize,
    pub revoked: Vec<String>,
    /// The scopes that were asked for last.
    pub scope: String,
    /// The servers that tokens were asked for.
    pub resources: Vec<String>,
}

impl Issuer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let (book, asked) = (Mutex::default(), tokio::sync::Notify::new());
        let issuer = Self(Arc::new(Inner { url, book, door: Semaphore::new(1), asked }));
        let app = Router::new()
            .route("/.well-known/oauth-authorization-server", get(metadata))
            .route("/register", post(register))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/revoke", post(revoke))
            .with_state(issuer.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        issuer
    }

    pub fn url(&self) -> &str {
        &self.0.url
    }

    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.book().behaviour);
    }

    pub fn counts(&self) -> Counts {
        self.book().counts.clone()
    }

    /// No access token is good any more.
    pub fn expire(&self) {
        self.book().access.clear();
    }

    /// Neither are refresh tokens.
    pub fn forget(&self) {
        self.expire();
        self.book().refresh.clear();
    }

    /// Requests for tokens wait until the guard is dropped.
    pub async fn hold(&self) -> tokio::sync::SemaphorePermit<'_> {
        self.0.door.acquire().await.unwrap()
    }

    /// A request for tokens has come.
    pub async fn asked(&self) {
        super::soon(self.0.asked.notified()).await;
    }

    pub fn scopes_of(&self, token: Option<&str>) -> Option<String> {
        self.book().access.get(token?).cloned()
    }

    pub fn refuses(&self, method: &str) -> bool {
        self.book().behaviour.refuses_next.take_if(|refused| *refused == method).is_some()
    }

    pub fn refused(&self) {
        self.book().counts.refused += 1;
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.0.book.lock().unwrap()
    }
}

impl Book {
    fn next(&mut self, kind: &str) -> String {
        self.number += 1;
        format!("canary-{kind}-{}", self.number)
    }

    fn tokens(&mut self, scope: &str, with_refresh: bool) -> Value {
        let access = self.next("access");
        self.access.insert(access.clone(), scope.to_owned());
        let mut answer =
            json!({"access_token": access, "token_type": "Bearer", "scope": scope, "id_token": "canary-id"});
        if with_refresh {
            let refresh = self.next("refresh");
            self.refresh.insert(refresh.clone(), scope.to_owned());
            answer["refresh_token"] = refresh.into();
        }
        if let Some(lifetime) = self.behaviour.lifetime {
            answer["expires_in"] = lifetime.into();
        }
        answer
    }
}

async fn metadata(State(issuer): State<Issuer>) -> Json<Value> {
    let url = issuer.url();
    Json(json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "registration_endpoint": format!("{url}/register"),
        "revocation_endpoint": format!("{url}/revoke"),
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "token_endpoint_auth_methods_supported": ["client_secret_post", "none"],
    }))
}

async fn register(State(issuer): State<Issuer>, Json(client): Json<Value>) -> Response {
    let mut book = issuer.book();
    if book.behaviour.refuses_registration {
        return refuse(403, "access_denied");
    }
    book.counts.registrations += 1;
    let redirects = client["redirect_uris"].clone();
    let answer =
        json!({"client_id": "somebody", "client_secret": "canary-secret", "redirect_uris": redirects});
    (StatusCode::CREATED, Json(answer)).into_response()
}

async fn authorize(State(issuer): State<Issuer>, Query(asked): Query<Parameters>) -> Redirect {
    let mut book = issuer.book();
    assert_eq!(asked["code_challenge_method"], "S256");
    book.counts.logins += 1;
    book.counts.scope = asked.get("scope").cloned().unwrap_or_default();
    book.counts.resources.push(asked["resource"].clone());
    let mut back: Url = asked["redirect_uri"].parse().unwrap();
    back.query_pairs_mut().append_pair("state", &asked["state"]);
    back.query_pairs_mut().append_pair("iss", book.behaviour.iss.unwrap_or(issuer.url()));
    match book.behaviour.denies {
        Some(error) => drop(back.query_pairs_mut().append_pair("error", error)),
        None => {
            let code = book.next("code");
            book.codes.insert(code.clone(), asked);
            back.query_pairs_mut().append_pair("code", &code);
        }
    };
    Redirect::to(back.as_str())
}

async fn token(State(issuer): State<Issuer>, headers: HeaderMap, form: String) -> Response {
    let asked = read(&form);
    issuer.0.asked.notify_one();
    let _turn = issuer.0.door.acquire().await.unwrap();
    let mut book = issuer.book();
    book.counts.resources.push(asked["resource"].clone());
    let secret = asked.get("client_secret").map(String::as_str);
    if secret != Some("canary-secret") || headers.contains_key("authorization") {
        return refuse(401, "invalid_client");
    }
    match asked["grant_type"].as_str() {
        "authorization_code" => match book.codes.remove(&asked["code"]) {
            Some(first) if first["resource"] == asked["resource"] => {
                assert!(asked.contains_key("code_verifier"));
                let scope = first.get("scope").cloned().unwrap_or_default();
                Json(book.tokens(&scope, true)).into_response()
            }
            _ => refuse(400, "invalid_grant"),
        },
        "refresh_token" => {
            book.counts.refreshes += 1;
            if let Some((status, error)) = book.behaviour.refuses_refresh {
                return refuse(status, error);
            }
            // Good for one use.
            match book.refresh.remove(&asked["refresh_token"]) {
                Some(scope) => Json(book.tokens(&scope, true)).into_response(),
                None => refuse(400, "invalid_grant"),
            }
        }
        "client_credentials" => {
            book.counts.machines += 1;
            let scope = asked.get("scope").cloned().unwrap_or_default();
            Json(book.tokens(&scope, false)).into_response()
        }
        other => panic!("{other}"),
    }
}

async fn revoke(State(issuer): State<Issuer>, form: String) -> StatusCode {
    let asked = read(&form);
    assert_eq!(asked["client_secret"], "canary-secret");
    let mut book = issuer.book();
    let token = asked["token"].clone();
    book.access.remove(&token);
    book.refresh.remove(&token);
    book.counts.revoked.push(token);
    StatusCode::OK
}

fn refuse(status: u16, error: &str) -> Response {
    let answer = json!({"error": error, "error_description": "canary-description"});
    (StatusCode::from_u16(status).unwrap(), Json(answer)).into_response()
}

fn read(form: &str) -> Parameters {
    url::form_urlencoded::parse(form.as_bytes()).into_owned().collect()
}
