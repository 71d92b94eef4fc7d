//! The endpoints and their documentation, declared together.

mod about;
mod process;
mod stream;

use std::sync::Arc;

use axum::Router;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        self,
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::app::App;

#[derive(OpenApi)]
#[openapi(
    info(title = "server-b, the AI responder", description = "Answers messages through a model provider. Errors are RFC 9457 problem documents whose `code` is stable and whose `detail` says what to do.", license(name = "MIT", identifier = "MIT")),
    tags((name = "messages", description = "Ask the model"), (name = "about", description = "What the server says about itself")),
    components(schemas(models::Problem, models::StreamEvent)),
    security((), ("key" = [])),
    modifiers(&KeyScheme)
)]
struct Documentation;

struct KeyScheme;

impl Modify for KeyScheme {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let scheme = SecurityScheme::Http(
            Http::builder()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some("A key of SERVER_B_API_KEY, where one is set"))
                .build(),
        );
        document.components.get_or_insert_default().add_security_scheme("key", scheme);
    }
}

/// The routes that are open to everybody, and those that need a key where one is set.
pub(crate) fn all() -> (Router<Arc<App>>, Router<Arc<App>>) {
    let (guarded, mut document) = OpenApiRouter::with_openapi(Documentation::openapi())
        .routes(routes!(process::process))
        .routes(routes!(stream::stream))
        .routes(routes!(about::models))
        .routes(routes!(about::config))
        .routes(routes!(about::metrics))
        .split_for_parts();
    let (open, health) = OpenApiRouter::new().routes(routes!(about::health)).split_for_parts();
    document.merge(health);
    // No validator: the page must not send anything anywhere.
    let settings = Config::default().validator_url("none");
    let docs = SwaggerUi::new("/docs").config(settings).url("/openapi.json", document);
    (open.merge(docs), guarded)
}
