//! What the newer era wants results to carry, for those whose handler left it open.

use rmcp::model::{
    CacheScope, CallToolResponse, CompleteResult, CustomResult, DiscoverResult, GetPromptResponse,
    GetSkillResult, GetTaskResult, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
    ListSkillsResult, ListToolsResult, MetaObject, ReadResourceResponse,
};
use serde_json::{Map, Value};

/// How long a client may keep a result, and for whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hints {
    ttl_ms: u64,
    scope: CacheScope,
}

impl Hints {
    /// What changes only with the program.
    pub(crate) const FIXED: Self = Self { ttl_ms: 5 * 60 * 1_000, scope: CacheScope::Public };
    /// What may change at any time, and may be different for each caller.
    pub(crate) const FRESH: Self = Self { ttl_ms: 0, scope: CacheScope::Private };
    /// For results that are not cached.
    pub(crate) const NONE: Self = Self::FRESH;

    /// Sets what the handler left open.
    fn fill(self, ttl_ms: &mut Option<u64>, scope: &mut Option<CacheScope>) {
        if ttl_ms.is_none() && scope.is_none() {
            *ttl_ms = Some(self.ttl_ms);
            *scope = Some(self.scope);
        }
    }
}

/// A result that can say who made it.
pub(crate) trait Stamp {
    fn stamp(&mut self, identity: &MetaObject, hints: Hints);
}

/// What the handler put there stays.
fn sign(meta: &mut Option<MetaObject>, identity: &MetaObject) {
    let meta = meta.get_or_insert_with(MetaObject::new);
    for (key, value) in identity.iter() {
        meta.entry(key.clone()).or_insert_with(|| value.clone());
    }
}

macro_rules! cacheable {
    ($($result:ty),*) => {
        $(impl Stamp for $result {
            fn stamp(&mut self, identity: &MetaObject, hints: Hints) {
                sign(&mut self.meta, identity);
                hints.fill(&mut self.ttl_ms, &mut self.cache_scope);
            }
        })*
    };
}
cacheable!(
    ListToolsResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListSkillsResult,
    GetSkillResult
);

macro_rules! signed {
    ($($result:ty),*) => {
        $(impl Stamp for $result {
            fn stamp(&mut self, identity: &MetaObject, _: Hints) {
                sign(&mut self.meta, identity);
            }
        })*
    };
}
signed!(CompleteResult, GetTaskResult);

impl Stamp for CustomResult {
    fn stamp(&mut self, identity: &MetaObject, _: Hints) {
        if let Value::Object(result) = &mut self.0
            && let Value::Object(meta) = result.entry("_meta").or_insert_with(|| Value::Object(Map::new()))
        {
            for (key, value) in identity.iter() {
                meta.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
    }
}

impl Stamp for DiscoverResult {
    fn stamp(&mut self, identity: &MetaObject, hints: Hints) {
        sign(&mut self.meta, identity);
        if self.ttl_ms == 0 {
            self.ttl_ms = hints.ttl_ms;
            self.cache_scope = hints.scope;
        }
    }
}

impl Stamp for CallToolResponse {
    fn stamp(&mut self, identity: &MetaObject, _: Hints) {
        match self {
            Self::Complete(result) => sign(&mut result.meta, identity),
            Self::InputRequired(result) => sign(&mut result.meta, identity),
            Self::Task(result) => sign(&mut result.meta, identity),
            _ => {} // kinds that a later protocol may add
        }
    }
}

impl Stamp for GetPromptResponse {
    fn stamp(&mut self, identity: &MetaObject, _: Hints) {
        match self {
            Self::Complete(result) => sign(&mut result.meta, identity),
            Self::InputRequired(result) => sign(&mut result.meta, identity),
            _ => {}
        }
    }
}

impl Stamp for ReadResourceResponse {
    fn stamp(&mut self, identity: &MetaObject, hints: Hints) {
        match self {
            Self::Complete(result) => {
                sign(&mut result.meta, identity);
                hints.fill(&mut result.ttl_ms, &mut result.cache_scope);
            }
            Self::InputRequired(result) => sign(&mut result.meta, identity),
            _ => {}
        }
    }
}
