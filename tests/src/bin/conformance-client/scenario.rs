//! The scenarios, as far as they want more than that everything is used that there is.

use std::{str::FromStr, sync::Arc};

use anyhow::Context as _;
use mcp_transport::{Address, ConnectOptions, Era};
use rmcp::model::{Implementation, JsonObject};
use serde::Deserialize;
use serde_json::Value;
use upstream::{CallOptions, Options, Upstream};

use crate::{
    host::Defaults,
    login::authorization,
    visit::{call_tools, use_everything},
};

/// The tools of `json-schema-2020-12-preservation`: one whose schema is to be given to the other.
const WITH_SCHEMA: &str = "json_schema_2020_12_tool";
const ECHO_OF_SCHEMAS: &str = "json_schema_echo";

/// What the suite tells a client beforehand.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Context {
    /// The scenario's name, once more.
    #[serde(rename = "name")]
    pub(crate) scenario: String,
    #[serde(rename = "toolCalls")]
    pub(crate) tool_calls: Vec<ToolCall>,
    pub(crate) client_id: Option<String>,
    pub(crate) client_secret: Option<String>,
    pub(crate) private_key_pem: Option<String>,
    pub(crate) signing_algorithm: Option<String>,
}

/// A call that the suite wants.
#[derive(Clone, Deserialize)]
pub(crate) struct ToolCall {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) arguments: JsonObject,
}

impl FromStr for Context {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text)
    }
}

/// One run.
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) server: String,
    pub(crate) context: Context,
    pub(crate) era: Era,
}

impl Scenario {
    pub(crate) async fn play(&self) -> anyhow::Result<()> {
        let server = self.upstream()?;
        let played = self.play_with(&server).await;
        server.close().await;
        played
    }

    async fn play_with(&self, server: &Upstream) -> anyhow::Result<()> {
        server.connect().await?;
        match self.name.as_str() {
            // When the session's own stream is opened late, the first call is answered there, and nothing is resumed.
            "sse-retry" => {
                use_everything(server).await?;
                use_everything(server).await
            }
            // Its server knows nothing but the list: what is tested is what a client does with the schemas in it.
            "json-schema-ref-no-deref" => server.tools().await.map(drop).map_err(Into::into),
            "json-schema-2020-12-preservation" => give_back_the_schema(server).await,
            _ if !self.context.tool_calls.is_empty() => call_tools(server, &self.context.tool_calls).await,
            _ => use_everything(server).await,
        }
    }

    fn upstream(&self) -> anyhow::Result<Upstream> {
        let address: Address = self.server.parse().context("the suite gives no URL")?;
        let mut connect = ConnectOptions { era: self.era, ..ConnectOptions::default() };
        if let Some(url) = address.server_url() {
            connect.authorizer = Some(Arc::new(authorization(&url, &self.context)?));
        }
        let client = Implementation::new("conformance-client", env!("CARGO_PKG_VERSION"));
        let options = Options { connect, client, ..Options::default() };
        Ok(Upstream::new("suite", address, options, Arc::new(Defaults)))
    }
}

async fn give_back_the_schema(server: &Upstream) -> anyhow::Result<()> {
    let tools = server.tools().await?;
    let tool = tools.iter().find(|tool| tool.name == WITH_SCHEMA).context("the tool is not listed")?;
    let schema = Value::Object(tool.input_schema.as_ref().clone());
    let arguments = JsonObject::from_iter([("schema".to_owned(), schema)]);
    server.call_tool(ECHO_OF_SCHEMAS, arguments, CallOptions::default()).await?;
    Ok(())
}
