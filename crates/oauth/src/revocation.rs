//! Taking tokens back (RFC 7009).

use http::{
    HeaderValue, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use rmcp::transport::auth::AuthorizationMetadata;
use secrecy::{ExposeSecret as _, SecretString};
use url::{Url, form_urlencoded::Serializer};

use crate::{
    OAuthError,
    flow::Flow,
    grant::{ClientRecord, Grant},
    http::Request,
};

impl Flow {
    /// Tells the authorization server that the tokens are not used any more. `false`: it does not want to know.
    pub(crate) async fn revoke(&self, grant: &Grant) -> Result<bool, OAuthError> {
        let metadata = self.metadata().await?;
        let endpoint = metadata.additional_fields.get("revocation_endpoint").and_then(|url| url.as_str());
        let Some(endpoint) = endpoint.filter(|_| metadata.issuer == grant.issuer) else { return Ok(false) };
        // The tokens that follow from a refresh token end with it, in most places.
        let tokens = grant.refresh.iter().map(|token| (token, "refresh_token"));
        for (token, kind) in tokens.chain([(&grant.access, "access_token")]) {
            let request = request(endpoint, token, kind, &grant.client, &metadata)?;
            let answer = self.http.send(request).await.map_err(|error| OAuthError::from_request(&*error))?;
            if answer.status() != StatusCode::OK {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn request(
    endpoint: &str,
    token: &SecretString,
    kind: &str,
    client: &ClientRecord,
    metadata: &AuthorizationMetadata,
) -> Result<Request, OAuthError> {
    let unfit = || OAuthError::Unsupported("the place where tokens are taken back is no URL".to_owned());
    let mut form = Serializer::new(String::new());
    form.append_pair("token", token.expose_secret()).append_pair("token_type_hint", kind);
    let mut request = Request::default();
    match &client.secret {
        Some(secret) if !wants_secret_in_body(metadata) => {
            request.headers_mut().insert(AUTHORIZATION, basic(&client.id, secret).ok_or_else(unfit)?);
        }
        secret => {
            form.append_pair("client_id", &client.id);
            if let Some(secret) = secret {
                form.append_pair("client_secret", secret.expose_secret());
            }
        }
    }
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = endpoint.parse().map_err(|_| unfit())?;
    let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert(CONTENT_TYPE, form_type);
    *request.body_mut() = form.finish().into_bytes();
    Ok(request)
}

/// As rmcp decides it for tokens.
fn wants_secret_in_body(metadata: &AuthorizationMetadata) -> bool {
    let methods = metadata.additional_fields.get("token_endpoint_auth_methods_supported");
    let methods = methods.and_then(|methods| methods.as_array()).map(Vec::as_slice).unwrap_or_default();
    let has = |name: &str| methods.iter().any(|method| method.as_str() == Some(name));
    has("client_secret_post") && !has("client_secret_basic")
}

/// RFC 6749 wants both parts encoded as in a form.
fn basic(id: &str, secret: &SecretString) -> Option<HeaderValue> {
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    // reqwest knows the rest.
    let (id, secret) = (encoded(id), encoded(secret.expose_secret()));
    let any = Url::parse("http://localhost").ok()?;
    let request = reqwest::Client::new().get(any).basic_auth(id, Some(secret)).build().ok()?;
    request.headers().get(AUTHORIZATION).cloned()
}
