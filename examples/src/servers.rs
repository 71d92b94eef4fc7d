//! Small servers, each with little more than one thing to offer.

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    handler::server::wrapper::Parameters,
    model::{
        ListResourcesResult, PaginatedRequestParams, PromptMessage, ReadResourceRequestParams,
        ReadResourceResponse, ReadResourceResult, Resource, ResourceContents, Role, ServerCapabilities,
        ServerConfig,
    },
    prompt, prompt_handler, prompt_router,
    service::RequestContext,
    tool, tool_handler, tool_router,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Says what it is told.
pub struct Echo;

/// Knows the weather.
pub struct Weather;

/// Knows the news.
pub struct News;

/// Knows what shares cost.
pub struct Stocks;

/// Has one document, and no tools.
pub struct Documents;

/// Has a tool, and a prompt.
pub struct Assistant;

#[derive(Deserialize, JsonSchema)]
struct Message {
    message: String,
}

#[derive(Deserialize, JsonSchema)]
struct City {
    city: String,
}

#[derive(Deserialize, JsonSchema)]
struct Share {
    symbol: String,
}

#[derive(Deserialize, JsonSchema)]
struct Text {
    text: String,
}

#[tool_router(server_handler)]
impl Echo {
    /// Echoes the message.
    #[tool(annotations(read_only_hint = true))]
    fn echo(&self, Parameters(Message { message }): Parameters<Message>) -> String {
        format!("Echo: {message}")
    }
}

#[tool_router(server_handler)]
impl Weather {
    /// Tells tomorrow's weather in a city.
    #[tool(annotations(read_only_hint = true))]
    fn forecast(&self, Parameters(City { city }): Parameters<City>) -> String {
        format!("{city}: sunny, 21 °C")
    }
}

#[tool_router(server_handler)]
impl News {
    /// Tells what is new.
    #[tool(annotations(read_only_hint = true))]
    fn headlines(&self) -> String {
        "Gateway opens".to_owned()
    }
}

#[tool_router(server_handler)]
impl Stocks {
    /// Tells the price of a share.
    #[tool(annotations(read_only_hint = true))]
    fn quote(&self, Parameters(Share { symbol }): Parameters<Share>) -> String {
        format!("{symbol}: 42.00 USD")
    }
}

impl Documents {
    const HANDBOOK: &str = "docs:handbook";
}

impl ServerHandler for Documents {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_resources().build())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(vec![Resource::new(Self::HANDBOOK, "handbook")]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        if request.uri != Self::HANDBOOK {
            return Err(ErrorData::resource_not_found("there is no such document", None));
        }
        let text = "Be kind to servers.";
        Ok(ReadResourceResult::new(vec![ResourceContents::text(text, request.uri)]).into())
    }
}

#[tool_router]
impl Assistant {
    /// Counts the words of a text.
    #[tool(annotations(read_only_hint = true))]
    fn count_words(&self, Parameters(Text { text }): Parameters<Text>) -> String {
        text.split_whitespace().count().to_string()
    }
}

#[prompt_router]
#[expect(missing_docs, reason = "the macro adds a function without a comment")]
impl Assistant {
    /// Asks for a summary of a text.
    #[prompt(name = "summarise")]
    fn summarise(&self, Parameters(Text { text }): Parameters<Text>) -> Vec<PromptMessage> {
        vec![PromptMessage::new_text(Role::User, format!("Summarise this in one sentence: {text}"))]
    }
}

#[tool_handler]
#[prompt_handler]
impl ServerHandler for Assistant {}
