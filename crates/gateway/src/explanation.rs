//! Why a name is there, or is not.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// How much of what an upstream offers is kept from clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WithheldCount {
    /// The upstream.
    pub upstream: String,
    /// What it is, as the configuration calls it: `tools`, `prompts`, `resources` or `templates`.
    pub kind: &'static str,
    /// Refused by rules.
    pub by_rules: usize,
    /// Not as they were approved, or never approved.
    pub by_pins: usize,
}

/// What is known of a name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Explanation {
    /// The name that was asked for.
    pub name: String,
    /// What it is: `tool`, `prompt`, `resource` or `resource template`; `None` when it is nothing.
    pub kind: Option<Cow<'static, str>>,
    /// The upstream that it leads to.
    pub upstream: Option<String>,
    /// Its name there.
    pub name_there: Option<String>,
    /// Why it is there, or is not; and what to do.
    pub reasons: Vec<String>,
}
