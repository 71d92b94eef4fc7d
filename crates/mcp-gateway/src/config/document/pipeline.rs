//! One pipeline as it is written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Text, Time};
use crate::config::values::{At, Json};

/// A tool that calls other tools in stages.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct PipelineDocument {
    /// What models read.
    pub(in crate::config) description: Text,
    /// JSON schemas of the input, by name; what has no `default` is required. Default: what the templates name.
    pub(in crate::config) input: Option<At<BTreeMap<String, Json>>>,
    /// Longest time for all of it. Default: 10m.
    pub(in crate::config) timeout: Option<Time>,
    /// Largest result of one stage as JSON, all items together. Default: 1048576.
    pub(in crate::config) max_output_bytes: Option<At<u32>>,
    /// The result: texts in it are templates. Default: the result of the last stage.
    pub(in crate::config) output: Option<At<Json>>,
    /// What is done, in this order.
    pub(in crate::config) stage: At<Vec<At<StageDocument>>>,
}

/// A call of a tool, or one for each item of a list; or several stages side by side.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct StageDocument {
    /// What later templates call its result.
    pub(in crate::config) name: Option<Text>,
    /// The tool, as clients know it.
    pub(in crate::config) tool: Option<Text>,
    /// The arguments: texts in it are templates such as `{{ input.topic }}` or `{{ hits.structured.items }}`.
    pub(in crate::config) arguments: Option<At<BTreeMap<String, Json>>>,
    /// Template of a list: the tool is called once for each item, which its arguments call `item`.
    pub(in crate::config) for_each: Option<Text>,
    /// Calls at the same time, for `for_each`. Default: 4.
    pub(in crate::config) concurrency: Option<At<u32>>,
    /// Longest time for each call. Default: what the upstream has.
    pub(in crate::config) timeout: Option<Time>,
    /// What happens when a call fails. Default: stop.
    pub(in crate::config) on_error: Option<OnErrorDocument>,
    /// Several stages side by side, in place of a tool. None of them sees another's result.
    pub(in crate::config) parallel: Option<At<Vec<At<StageDocument>>>>,
}

/// What happens when a call fails.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum OnErrorDocument {
    /// The pipeline ends, with an error that says which stage it was.
    Stop,
    /// Its result is null, and the pipeline goes on.
    Continue,
}
