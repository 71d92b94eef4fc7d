//! From the arguments of a call to a type of the tool's own.

use std::borrow::Cow;

use rmcp::{
    ErrorData,
    handler::server::{common::FromContextPart, tool::ToolCallContext},
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// A tool's arguments. Like the type of this name in rmcp, whose macros look for the name; but a refusal says which argument
/// it is about.
pub(crate) struct Parameters<P>(pub(crate) P);

/// The schema of what is in it.
impl<P: JsonSchema> JsonSchema for Parameters<P> {
    fn schema_name() -> Cow<'static, str> {
        P::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        P::json_schema(generator)
    }
}

/// The arguments of a tool that takes none.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("properties" = {}))]
pub(crate) struct NoArguments {}

impl<S, P: DeserializeOwned> FromContextPart<ToolCallContext<'_, S>> for Parameters<P> {
    fn from_context_part(context: &mut ToolCallContext<'_, S>) -> Result<Self, ErrorData> {
        let given = Value::Object(context.arguments.take().unwrap_or_default());
        serde_path_to_error::deserialize(given).map(Self).map_err(|error| {
            let argument = error.path().to_string();
            let reason = error.into_inner();
            let text = match argument.as_str() {
                "." => format!("wrong arguments: {reason}"),
                argument => format!("wrong argument `{argument}`: {reason}"),
            };
            ErrorData::invalid_params(text, None)
        })
    }
}
