//! `batch`: many calls at once.

mod queue;

use std::{
    pin::pin,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{Fuse, FusedFuture as _},
    stream::FuturesUnordered,
};
use json_rpc::{Members, Raw};
use serde::Deserialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use self::queue::Queue;
use super::{
    Bounds, OwnTool, Within,
    search::{self, CALL_TOOL},
    wrong,
};
use crate::{
    catalogue::{Hints, Kind},
    errors::Answer,
};

/// Most bytes of all results and errors of one batch together. The answer has them twice, the second time as a text, and clients
/// commonly take messages of up to 16 MiB.
const MAX_BYTES: usize = 4 << 20;

/// How many calls one batch may have, and how long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSettings {
    /// Calls in one batch: 100.
    pub max_calls: usize,
    /// Calls at the same time: 32.
    pub concurrency: usize,
    /// Longest time for all calls together, counted from the begin of the batch: 30 s. It stands still while the client is asked
    /// something. What has no answer by then is told as a time-out.
    pub timeout: Duration,
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self { max_calls: 100, concurrency: 32, timeout: Duration::from_secs(30) }
    }
}

/// The tool `batch`.
pub(super) struct Batch {
    settings: BatchSettings,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    calls: Vec<Call>,
    timeout_seconds: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    tool: String,
    arguments: Option<Raw>,
}

impl Batch {
    pub(super) fn new(settings: BatchSettings) -> Self {
        Self { settings }
    }

    /// What is wanted, and how long it may take.
    ///
    /// # Errors
    /// What is wrong with it, for whoever wrote it.
    fn read(&self, arguments: &Members) -> Result<(Vec<Call>, Duration), String> {
        let Wanted { calls, timeout_seconds } = arguments
            .to_raw()
            .parse()
            .map_err(|wrong: serde_json::Error| format!("the arguments of batch are wrong: {wrong}"))?;
        let BatchSettings { max_calls, timeout, .. } = self.settings;
        if calls.is_empty() {
            return Err("calls is empty: name at least one tool".to_owned());
        }
        if calls.len() > max_calls {
            let count = calls.len();
            return Err(format!(
                "calls has {count} members, but {max_calls} is the most: make several batches"
            ));
        }
        let Some(seconds) = timeout_seconds else { return Ok((calls, timeout)) };
        let limit = Duration::try_from_secs_f64(seconds).ok();
        match limit.filter(|limit| !limit.is_zero() && *limit <= timeout) {
            Some(limit) => Ok((calls, limit)),
            None => {
                let most = timeout.as_secs_f64();
                Err(format!("timeout_seconds must be more than 0, and {most} at most"))
            }
        }
    }

    /// Makes the calls, and gives what each came to, in their order.
    async fn make(&self, within: &Within, calls: Vec<Call>, limit: Duration) -> Vec<Answer> {
        let bounds = Bounds { late: CancellationToken::new(), room: AtomicUsize::new(MAX_BYTES) };
        let mut queue = Queue::new(calls.iter().map(|call| home(within, call)));
        let mut answers: Vec<_> = calls.iter().map(|_| None).collect();
        let total = calls.len();
        let mut done = 0;
        let mut waiting: Vec<_> = calls.into_iter().map(Some).collect();
        let mut running = FuturesUnordered::new();
        let mut over = pin!(within.over(limit));
        let mut report = pin!(Fuse::terminated());
        loop {
            while running.len() < self.settings.concurrency.max(1)
                && let Some(place) = queue.next()
                && let Some(call) = waiting[place].take()
            {
                let bounds = &bounds;
                running.push(async move {
                    (place, within.call_tool_in(&call.tool, call.arguments, bounds).await)
                });
            }
            if running.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                () = &mut report, if !report.is_terminated() => {}
                Some((place, answer)) = running.next() => {
                    queue.left(place);
                    answers[place] = Some(answer);
                    done += 1;
                    // A client that is slow to read is told less often, and holds up nothing.
                    if report.is_terminated() {
                        report.set(within.progress(done, total, "calls made").fuse());
                    }
                }
                () = &mut over, if !bounds.late.is_cancelled() => bounds.late.cancel(),
            }
        }
        // Of the last one too, unless the client is slow.
        let _ = report.now_or_never();
        answers.into_iter().flatten().collect()
    }
}

#[async_trait]
impl OwnTool for Batch {
    fn name(&self) -> &'static str {
        "batch"
    }

    fn definition(&self, _hints: &dyn Fn(&str) -> Option<Hints>) -> (Raw, Hints) {
        let BatchSettings { max_calls, timeout, .. } = self.settings;
        let seconds = timeout.as_secs_f64();
        let definition = json!({
            "name": self.name(),
            "title": "Batch of calls",
            "description": format!(
                "Calls up to {max_calls} tools at once and gives, in the order of `calls`, the result or the error of each. For calls \
                 that do not need each other's results: one that fails does not stop the others. All of it takes {seconds} s at \
                 most: a call without an answer by then has an error with the code TIMEOUT. A batch cannot be in a batch."
            ),
            "inputSchema": {
                "type": "object",
                "properties": {
                    "calls": {
                        "type": "array", "minItems": 1, "maxItems": max_calls,
                        "items": {
                            "type": "object",
                            "properties": {
                                "tool": {"type": "string", "description": "Name of the tool, as it is listed"},
                                "arguments": {"type": "object", "description": "As the tool's own schema wants them"},
                            },
                            "required": ["tool"], "additionalProperties": false,
                        },
                    },
                    "timeout_seconds": {
                        "type": "number", "exclusiveMinimum": 0, "maximum": seconds, "default": seconds,
                        "description": "Longest time for all calls together",
                    },
                },
                "required": ["calls"], "additionalProperties": false,
            },
            "outputSchema": {
                "type": "object",
                "properties": {
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "tool": {"type": "string"},
                                "result": {"type": "object", "description": "The tool's result, which may say isError"},
                                "error": {"type": "object", "description": "Why there is no result: code, message, data"},
                            },
                            "required": ["tool"],
                            "oneOf": [{"required": ["result"]}, {"required": ["error"]}],
                        },
                    },
                },
                "required": ["results"],
            },
            // It does whatever the tools do that it is told to call.
            "annotations": {
                "readOnlyHint": false, "destructiveHint": true, "idempotentHint": false, "openWorldHint": true,
            },
        });
        (Raw::of(&definition).expect("a JSON value is always JSON"), Hints::default())
    }

    async fn call(&self, within: &Within, arguments: Members) -> Answer {
        let (calls, limit) = match self.read(&arguments) {
            Ok(wanted) => wanted,
            Err(why) => return Ok(wrong(&why)),
        };
        let tools: Vec<_> = calls.iter().map(|call| Raw::text(&call.tool)).collect();
        let answers = self.make(within, calls, limit).await;
        let results = tools.into_iter().zip(answers).map(|(tool, answer)| {
            let outcome = match answer {
                Ok(result) => ("result", result),
                Err(fault) => ("error", fault.told()),
            };
            [("tool", tool), outcome].into_iter().collect::<Members>().to_raw()
        });
        Ok(result(&results.collect::<Vec<_>>()))
    }
}

/// The result of a batch: structured, and as a text for clients that do not read that.
fn result(results: &[Raw]) -> Raw {
    let results = Raw::of(results).expect("JSON values are always JSON");
    let structured = [("results", results)].into_iter().collect::<Members>().to_raw();
    let text = [("type", Raw::text("text")), ("text", Raw::text(structured.as_str()))];
    let content = Raw::of(&[text.into_iter().collect::<Members>().to_raw()]);
    let content = content.expect("JSON values are always JSON");
    [("content", content), ("structuredContent", structured)].into_iter().collect::<Members>().to_raw()
}

/// Where this call goes, as far as is known: one of the gateway's own tools is a place of its own, unless it calls another.
fn home(within: &Within, call: &Call) -> Arc<str> {
    let Ok(relay) = within.relay() else { return "".into() };
    let view = relay.view();
    let is_call_tool = call.tool == CALL_TOOL && view.own.get(CALL_TOOL).is_some();
    let called = if is_call_tool { search::called(call.arguments.as_ref()) } else { None };
    let tool = called.as_deref().unwrap_or(&call.tool);
    if view.own.get(tool).is_some() {
        return tool.into();
    }
    view.catalogue.route(Kind::Tools, tool).map_or_else(|| "".into(), |route| route.upstream.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn read(arguments: &Value) -> Result<(usize, Duration), String> {
        let settings = BatchSettings { max_calls: 2, ..BatchSettings::default() };
        let arguments = Members::of(&Raw::of(arguments).unwrap()).unwrap();
        Batch::new(settings).read(&arguments).map(|(calls, limit)| (calls.len(), limit))
    }

    #[test]
    fn wrong_arguments_are_told_with_what_is_wrong() {
        let call = json!({"tool": "a"});
        for (arguments, why) in [
            (json!({}), "missing field `calls`"),
            (json!({"calls": []}), "calls is empty"),
            (json!({"calls": [call, call, call]}), "3 members, but 2 is the most"),
            (json!({"calls": [{"name": "a"}]}), "unknown field `name`"),
            (json!({"calls": [call], "timeout": 3}), "unknown field `timeout`"),
            (json!({"calls": [call], "timeout_seconds": 0}), "more than 0, and 30 at most"),
            (json!({"calls": [call], "timeout_seconds": -1}), "more than 0, and 30 at most"),
            (json!({"calls": [call], "timeout_seconds": 30.5}), "more than 0, and 30 at most"),
        ] {
            let told = read(&arguments).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
    }

    #[test]
    fn a_batch_may_be_given_less_time_than_the_settings_allow() {
        let call = json!({"tool": "a", "arguments": {"x": 1}});
        assert_eq!(read(&json!({"calls": [call]})), Ok((1, Duration::from_secs(30))));
        let half = json!({"calls": [call, call], "timeout_seconds": 0.5});
        assert_eq!(read(&half), Ok((2, Duration::from_millis(500))));
    }
}
