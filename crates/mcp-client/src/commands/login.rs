//! `login` and `logout`: OAuth, through the browser.

use jiff::Timestamp;
use oauth::{Authorization, Kind, OAuthError, SystemBrowser};
use serde_json::json;
use upstream::Upstream;
use url::Url;

use crate::{
    Exit,
    command_line::{LoginArgs, LogoutArgs},
    output::{Stop, with_server},
    render::{Failure, plain},
    session::Session,
};

pub(super) async fn login(session: &Session, args: &LoginArgs) -> Result<Exit, Stop> {
    let output = &session.output;
    let server = session.server(&args.server)?;
    let authorization = authorization(session, &server)?;
    let teller = output.clone();
    let browser = SystemBrowser::new(!args.no_browser, move |url: &Url| {
        teller.say(&format!("open this page to log in:\n  {}", plain::visible_line(url.as_str())));
    });
    // What the server says when it refuses tells where to log in, and which rights are needed. Otherwise it is found out.
    let _ = server.connect().await;
    let login = match authorization.login(&browser).await {
        Ok(login) => login,
        Err(error) => return output.failure(server.name(), &failure(&error), json!({})),
    };
    let expires_at =
        login.expires_at.and_then(|time| Timestamp::try_from(time).ok()).map(|time| format!("{time:.0}"));
    if output.json {
        let outcome = json!({"issuer": login.issuer, "scopes": login.scopes, "expires_at": expires_at});
        output.document(&with_server(server.name(), json!({"logged_in": true}), outcome))?;
    } else {
        let issuer = login.issuer.map(|issuer| format!(" at {issuer}")).unwrap_or_default();
        let scopes = if login.scopes.is_empty() {
            String::new()
        } else {
            format!(", with {}", login.scopes.join(" "))
        };
        let text = format!("logged in to {}{issuer}{scopes}", server.name());
        output.text(&plain::visible_line(&text))?;
    }
    Ok(Exit::Success)
}

pub(super) async fn logout(session: &Session, args: &LogoutArgs) -> Result<Exit, Stop> {
    let output = &session.output;
    let server = session.server(&args.server)?;
    let authorization = authorization(session, &server)?;
    let logout = match authorization.logout().await {
        Ok(logout) => logout,
        Err(error) => return output.failure(server.name(), &failure(&error), json!({})),
    };
    if output.json {
        let outcome = json!({"was_logged_in": logout.was_logged_in, "revoked": logout.revoked});
        output.document(&with_server(server.name(), json!({}), outcome))?;
        return Ok(Exit::Success);
    }
    output.text(match (logout.was_logged_in, logout.revoked) {
        (false, _) => "there was no login",
        (true, true) => "logged out; the authorization server knows it too",
        (true, false) => "logged out here; the authorization server was not told",
    })?;
    Ok(Exit::Success)
}

fn authorization(session: &Session, server: &Upstream) -> Result<Authorization, Stop> {
    let url = server.address().server_url();
    let url = url.ok_or_else(|| {
        Stop::usage("a program on this machine needs no login: its credentials are in its environment")
    })?;
    session.logins.of(server.name(), url).map_err(|error| Stop::usage(error.to_string()))
}

fn failure(error: &OAuthError) -> Failure {
    let (exit, kind) = match error.kind() {
        Kind::Usage => (Exit::Usage, "usage"),
        Kind::Unreachable => (Exit::Unreachable, "unreachable"),
        Kind::Denied => (Exit::NeedsCredentials, "needs_credentials"),
        Kind::Protocol => (Exit::Protocol, "protocol"),
    };
    Failure::new(exit, kind, crate::render::with_causes(error))
}
