//! What the gateway's own tools have in common.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use json_rpc::{Members, Raw};
use ledger::Runs;
use pipeline::Pipeline;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{batch::Batch, pipelines, search};
use crate::{
    BatchSettings, Expose,
    bridge::{self, Exchange},
    catalogue::Hints,
    errors::{self, Answer, Fault},
    relay::Relay,
    trail::Trail,
};

/// A tool of the gateway itself.
#[async_trait]
pub(crate) trait OwnTool: Send + Sync {
    /// The name by which clients know it.
    fn name(&self) -> &str;

    /// The tool as lists show it, and what it says of itself. `hints` knows the tools that it may call, as far as they are there.
    fn definition(&self, hints: &dyn Fn(&str) -> Option<Hints>) -> (Raw, Hints);

    /// Calls it.
    async fn call(&self, within: &Within, arguments: Members) -> Answer;
}

/// The gateway's own tools. One that calls others comes after them, unless it calls whatever it is told to.
#[derive(Clone, Default)]
pub(crate) struct OwnTools(Vec<Arc<dyn OwnTool>>);

impl FromIterator<Arc<dyn OwnTool>> for OwnTools {
    fn from_iter<I: IntoIterator<Item = Arc<dyn OwnTool>>>(tools: I) -> Self {
        Self(tools.into_iter().collect())
    }
}

impl OwnTools {
    /// Those that these settings ask for.
    pub(crate) fn of(
        expose: Expose,
        batch: Option<BatchSettings>,
        pipelines: Vec<Arc<Pipeline>>,
        runs: Option<Runs>,
    ) -> Self {
        let mut tools = Vec::new();
        if expose == Expose::Search {
            tools.extend(search::tools());
        }
        if let Some(settings) = batch {
            tools.push(Arc::new(Batch::new(settings)) as Arc<dyn OwnTool>);
        }
        tools.extend(pipelines::tools(inner_first(pipelines), runs));
        Self(tools)
    }

    /// The tool of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<dyn OwnTool>> {
        self.0.iter().find(|tool| tool.name() == name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<dyn OwnTool>> {
        self.0.iter()
    }
}

/// The pipelines in another order: one that calls others comes after them.
fn inner_first(mut pipelines: Vec<Arc<Pipeline>>) -> Vec<Arc<Pipeline>> {
    let mut sorted = Vec::with_capacity(pipelines.len());
    while !pipelines.is_empty() {
        let waits = |pipeline: &Arc<Pipeline>| {
            let calls = pipeline.tools();
            pipelines.iter().any(|other| other.name() != pipeline.name() && calls.contains(&other.name()))
        };
        // Two that call each other are refused when they are called; until then either may be the first.
        let next = pipelines.iter().position(|pipeline| !waits(pipeline)).unwrap_or(0);
        sorted.push(pipelines.remove(next));
    }
    sorted
}

/// A call of one of the gateway's own tools while it runs: leads to other tools and to the client.
pub(crate) struct Within {
    relay: Weak<Relay>,
    exchange: Arc<Exchange>,
    trail: Arc<Trail>,
    /// Members of `_meta` for all its parts.
    trace: Members,
    /// Whether it is what the client called itself.
    is_outermost: bool,
}

/// What all parts of a call may take together.
#[derive(Debug)]
pub(crate) struct Bounds {
    /// Their time is over: what is under way is told to stop, and no other begins.
    pub(crate) late: CancellationToken,
    /// Bytes that are left for their answers.
    pub(crate) room: AtomicUsize,
}

impl Default for Bounds {
    /// None.
    fn default() -> Self {
        Self { late: CancellationToken::new(), room: AtomicUsize::new(usize::MAX) }
    }
}

impl Bounds {
    /// The answer, if there is room for it.
    pub(crate) fn fit(&self, answer: Answer) -> Answer {
        let size = match &answer {
            Ok(text) | Err(Fault::Theirs(text)) => text.as_bytes().len(),
            Err(Fault::Ours(_)) => return answer,
        };
        let take = |room: usize| room.checked_sub(size);
        let taken = self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.map_or_else(|_| Err(errors::part_too_large(size).into()), |_| answer)
    }
}

impl Within {
    pub(crate) fn new(
        relay: &Arc<Relay>,
        exchange: Arc<Exchange>,
        trail: Arc<Trail>,
        trace: Members,
    ) -> Self {
        let is_outermost = exchange.path().len() == 1;
        Self { relay: Arc::downgrade(relay), exchange, trail, trace, is_outermost }
    }

    /// The same as a call of this tool, which cannot be called within it then.
    pub(crate) fn under(&self, tool: &str) -> Self {
        Self {
            relay: self.relay.clone(),
            exchange: Exchange::own_within(&self.exchange, tool).into(),
            trail: self.trail.clone(),
            trace: self.trace.clone(),
            is_outermost: self.is_outermost,
        }
    }

    /// The gateway, unless it has stopped.
    pub(crate) fn relay(&self) -> Result<Arc<Relay>, Fault> {
        self.relay.upgrade().ok_or_else(|| errors::stopped().into())
    }

    /// The request that the call belongs to, as far as it is noted.
    pub(crate) fn trail(&self) -> &Arc<Trail> {
        &self.trail
    }

    /// Who calls.
    pub(crate) fn client(&self) -> &bridge::Client {
        &self.exchange.client
    }

    /// The own tools that this call is a part of, the outermost first, and itself.
    pub(crate) fn path(&self) -> &[String] {
        self.exchange.path()
    }

    /// Calls a tool as the client could. What its server asks, the client is asked. Dropping the future cancels the call.
    pub(crate) async fn call_tool(&self, name: &str, arguments: Option<Raw>) -> Answer {
        self.call_tool_in(name, arguments, &Bounds::default()).await
    }

    /// Calls a tool within the bounds of all parts together.
    pub(crate) async fn call_tool_in(&self, name: &str, arguments: Option<Raw>, bounds: &Bounds) -> Answer {
        let relay = self.relay()?;
        // Boxed: one call leads to another.
        Box::pin(bridge::call_within(&relay, self, (name, arguments), bounds)).await
    }

    /// Comes to its end when so much time has passed, but for that in which the client was asked something.
    pub(crate) async fn over(&self, limit: Duration) {
        self.exchange.waits().over(limit).await;
    }

    /// Tells the client how far the call has come, if it wants to know. Parts tell nothing: they are not the whole.
    pub(crate) async fn progress(&self, done: usize, total: usize, message: &str) {
        if !self.is_outermost {
            return;
        }
        let mut params = Members::default();
        params.set("progress", done as u64);
        params.set("total", total as u64);
        params.set("message", Raw::text(message));
        self.exchange.report(params).await;
    }

    pub(crate) fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }

    pub(crate) fn trace(&self) -> &Members {
        &self.trace
    }
}

/// The arguments of an own tool are not as they must be: a result, so that a model reads it and does better.
pub(crate) fn wrong(why: &str) -> Raw {
    let result = json!({"content": [{"type": "text", "text": why}], "isError": true});
    Raw::of(&result).expect("a JSON value is always JSON")
}

#[cfg(test)]
mod tests {
    use pipeline::{Definition, OnError, Stage, Step};

    use super::*;

    fn pipeline(name: &str, tool: &str) -> Arc<Pipeline> {
        let stage = Stage {
            name: "s".to_owned(),
            tool: tool.to_owned(),
            arguments: serde_json::Map::new(),
            for_each: None,
            concurrency: 1,
            timeout: None,
            on_error: OnError::Stop,
        };
        let definition = Definition {
            name: name.to_owned(),
            description: String::new(),
            input: None,
            steps: vec![Step::Stage(stage)],
            output: None,
            timeout: Duration::from_secs(1),
            max_output_bytes: 1_024,
        };
        Arc::new(Pipeline::new(definition).unwrap())
    }

    #[test]
    fn a_pipeline_comes_after_those_that_it_calls() {
        let order = |pipelines: &[(&str, &str)]| {
            let pipelines = pipelines.iter().map(|(name, tool)| pipeline(name, tool)).collect();
            let sorted = inner_first(pipelines);
            sorted.iter().map(|pipeline| pipeline.name().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(order(&[("a", "b"), ("b", "c"), ("c", "u__t"), ("d", "u__t")]), ["c", "b", "a", "d"]);
        assert_eq!(order(&[("a", "b"), ("b", "a")]).len(), 2, "a circle does not stop it");
    }
}
