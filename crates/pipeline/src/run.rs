//! Runs a pipeline.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use ledger::{Hold, KnownCall, KnownRun, LedgerError, NewRun, Resumption, Runs};
use serde_json::{Map, Value};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    Pipeline, Report,
    log::{self, Log, Logged},
    plan::told,
    stages::{Stages, Stop},
};

/// Calls of unknown outcome that an error names.
const MOST_TOLD: usize = 5;

/// What calls tools for a pipeline.
#[async_trait]
pub trait Tools: Send + Sync {
    /// Calls a tool, and gives its result as templates know it: `structured` (its structured content), `text` (its texts, one
    /// after the other), `content` (all of it). Dropping the future cancels the call.
    async fn call(&self, call: Call<'_>) -> Result<Value, Failure>;

    /// Whether the tool may be called again when it is not known whether it was. A pipeline may be: its run goes on where it was.
    fn is_repeatable(&self, tool: &str) -> bool;

    /// The pipeline of this name, if the tool is one: its runs are parts (`Run::part`) with the id that `NewRun::part_id` makes.
    fn pipeline(&self, _tool: &str) -> Option<&Pipeline> {
        None
    }

    /// Tells whoever waits how far the run has come.
    async fn progress(&self, done: usize, total: usize, message: String);

    /// Comes to its end when so much time has passed, but for that in which somebody was asked something.
    async fn over(&self, limit: Duration) {
        tokio::time::sleep(limit).await;
    }
}

/// One call of a stage.
#[derive(Debug)]
pub struct Call<'c> {
    /// The run that it is a part of.
    pub run_id: &'c str,
    /// The stage.
    pub stage: &'c str,
    /// The item of `for_each`, from 0.
    pub item: Option<usize>,
    /// The tool.
    pub tool: &'c str,
    /// Its arguments.
    pub arguments: Map<String, Value>,
}

/// Why a call of a tool has no result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// The tool says so, or the call was refused: nothing is left open.
    #[error("{0}")]
    Failed(String),
    /// It is not known whether it was carried out.
    #[error("{0}")]
    Unknown(String),
    /// It was surely not carried out, for a reason that may pass: it can be called later.
    #[error("{reason}")]
    NotDelivered {
        /// What kind of reason.
        code: &'static str,
        /// The reason.
        reason: String,
    },
    /// It is a run that is a part of this one, and that can be resumed (`Report::is_resumable`).
    #[error("{reason}")]
    PartIsOpen {
        /// Its `Report::error_code`.
        code: &'static str,
        /// Its `Report::error`.
        reason: String,
    },
}

/// One run of a pipeline. Dropping its future cancels the calls that go on; the journal keeps it as one that can be resumed.
pub struct Run {
    pipeline: Arc<Pipeline>,
    runs: Runs,
    owner: u64,
}

impl Run {
    /// Runs of this pipeline are kept there, and are this owner's (`Caller::fingerprint`).
    #[must_use]
    pub fn of(pipeline: Arc<Pipeline>, runs: Runs, owner: u64) -> Self {
        Self { pipeline, runs, owner }
    }

    /// Begins a run with this input and brings it to its end.
    pub async fn begin(self, input: Map<String, Value>, tools: &dyn Tools) -> Report {
        self.begin_as(Uuid::now_v7().to_string(), input, tools).await
    }

    async fn begin_as(self, id: String, input: Map<String, Value>, tools: &dyn Tools) -> Report {
        let began = Instant::now();
        let input = match self.pipeline.check_input(input) {
            Ok(input) => input,
            Err(reason) => {
                return ended(None, Err(Stop::new("INVALID_INPUT", reason)), Logged::default(), began);
            }
        };
        let run = NewRun {
            id: id.clone(),
            pipeline: self.pipeline.name().to_owned(),
            digest: self.pipeline.digest(),
            owner: self.owner,
            input: Value::Object(input.clone()).to_string(),
        };
        match self.runs.begin(run).await {
            Ok(hold) => {
                self.go(Begun { id, input, known: HashMap::new(), hold: Some(hold), began }, tools).await
            }
            Err(error) => ended(None, Err(Stop::unwritten(&error)), Logged::default(), began),
        }
    }

    /// Goes on with a run that a crash cut off: finished calls keep their results. A call that had begun is made again only if its
    /// tool may be; else the run stays as it is, with an error that says so, unless `repeat` says that it shall be made again.
    pub async fn resume(self, run_id: &str, repeat: bool, tools: &dyn Tools) -> Report {
        let began = Instant::now();
        match self.take(run_id).await {
            Ok(Resumption::Taken(run, hold)) => self.go_on(*run, hold, repeat, tools).await,
            Ok(Resumption::Over(run)) => refused(run_id, over(&run), began),
            Ok(Resumption::Running) => refused(run_id, running(), began),
            Ok(Resumption::Unknown) => {
                let reason = "there is no such run of yours: look at its id";
                refused(run_id, Stop::new("RUN_NOT_FOUND", reason.into()), began)
            }
            Err(stop) => refused(run_id, stop, began),
        }
    }

    /// Brings the run of this id to its end, which is a part of another and may have begun before a crash: begins it, goes on with it as
    /// `resume` does, or, when it is over, gives what it came to.
    pub async fn part(
        self,
        run_id: &str,
        repeat: bool,
        input: Map<String, Value>,
        tools: &dyn Tools,
    ) -> Report {
        let began = Instant::now();
        match self.take(run_id).await {
            Ok(Resumption::Unknown) => self.begin_as(run_id.to_owned(), input, tools).await,
            Ok(Resumption::Taken(run, hold)) => self.go_on(*run, hold, repeat, tools).await,
            Ok(Resumption::Over(run)) => match &run.error {
                Some(error) => refused(run_id, Stop::new("TOOL_EXECUTION_ERROR", error.clone()), began),
                None => self.replay(*run, None, tools).await,
            },
            Ok(Resumption::Running) => refused(run_id, running(), began),
            Err(stop) => refused(run_id, stop, began),
        }
    }

    async fn go_on(self, run: KnownRun, hold: Hold, repeat: bool, tools: &dyn Tools) -> Report {
        match self.check_open(&run.run.id, repeat, tools).await {
            Ok(()) => self.replay(run, Some(hold), tools).await,
            Err(stop) => refused(&run.run.id, stop, Instant::now()),
        }
    }

    /// Refuses a run that cannot go on because of one of its open calls or, before anything else begins, of one of its parts'.
    async fn check_open(&self, run_id: &str, repeat: bool, tools: &dyn Tools) -> Result<(), Stop> {
        let open = self.runs.open_calls(run_id).await.map_err(|error| Stop::unwritten(&error))?;
        let open: HashMap<_, _> = open.iter().map(|run| (run.run.id.as_str(), run)).collect();
        let mut unknown = Vec::new();
        // A part whose call has an end is not asked for: it is not called again.
        let mut left = vec![run_id.to_owned()];
        while let Some(known) = left.pop().and_then(|id| open.get(id.as_str())) {
            for call in &known.calls {
                let part = NewRun::part_id(&known.run.id, &call.stage, call.item.map(|item| item as usize));
                if let (Some(pipeline), Some(known)) = (tools.pipeline(&call.tool), open.get(part.as_str())) {
                    if known.run.digest != pipeline.digest() {
                        return Err(changed());
                    }
                    left.push(part);
                } else if !repeat && !tools.is_repeatable(&call.tool) {
                    unknown.push(call);
                }
            }
        }
        if unknown.is_empty() { Ok(()) } else { Err(delivery_unknown(&unknown)) }
    }

    /// Runs the stages anew, but for the calls whose results are known. When nobody holds the run, nothing else can be called.
    async fn replay(self, run: KnownRun, hold: Option<Hold>, tools: &dyn Tools) -> Report {
        let began = Instant::now();
        let Ok(input) = serde_json::from_str(&run.run.input) else {
            return refused(&run.run.id, Stop::unreadable(), began);
        };
        let known = run.calls.into_iter().map(|call| ((call.stage.clone(), call.item), call)).collect();
        self.go(Begun { id: run.run.id, input, known, hold, began }, tools).await
    }

    /// Takes up a run, if it is one of this pipeline as it is now.
    async fn take(&self, run_id: &str) -> Result<Resumption, Stop> {
        let resumption =
            self.runs.resume(run_id, self.owner).await.map_err(|error| Stop::unwritten(&error))?;
        let (Resumption::Taken(known, _) | Resumption::Over(known)) = &resumption else {
            return Ok(resumption);
        };
        if known.run.pipeline != self.pipeline.name() {
            let reason = format!("it is a run of the pipeline `{}`", known.run.pipeline);
            return Err(Stop::new("RUN_NOT_FOUND", reason));
        }
        if known.run.digest != self.pipeline.digest() {
            return Err(changed());
        }
        Ok(resumption)
    }

    async fn go(self, begun: Begun, tools: &dyn Tools) -> Report {
        let Begun { id, input, known, hold, began } = begun;
        let log = Log::default();
        let most = self.pipeline.definition().timeout;
        let stages = Stages::new(&self.pipeline, &self.runs, &id, known, &log, tools);
        let came = tokio::select! {
            biased;
            came = stages.run(&input) => came,
            () = tools.over(most) => {
                let reason = format!("the pipeline took longer than {}: the run can be resumed", told(most));
                Err(Stop::resumable("TIMEOUT", reason))
            }
        };
        drop(stages);
        if hold.is_some()
            && came.as_ref().err().is_none_or(|stop| !stop.is_resumable)
            && let Err(error) =
                self.runs.ended(&id, came.as_ref().err().map(|stop| stop.reason.clone())).await
        {
            // All that was done is written down: resumed, the run comes to the same.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                run.id = id,
                "the end of a run could not be written"
            );
        }
        drop(hold);
        ended(Some(id), came, log.into_logged(), began)
    }
}

/// A run that goes on.
struct Begun {
    id: String,
    input: Map<String, Value>,
    /// Calls that had begun before, by stage and item.
    known: HashMap<(String, Option<u32>), KnownCall>,
    /// `None` for a run that is over.
    hold: Option<Hold>,
    began: Instant,
}

fn ended(run_id: Option<String>, came: Result<Value, Stop>, logged: Logged, began: Instant) -> Report {
    let (result, stop) = match came {
        Ok(result) => (result, None),
        Err(stop) => (Value::Null, Some(stop)),
    };
    let is_resumable = stop.as_ref().is_some_and(|stop| stop.is_resumable);
    let (error_code, error) = stop.map(|stop| (stop.code, stop.reason)).unzip();
    Report {
        run_id,
        result,
        execution_log: logged.entries,
        log_entries_left_out: logged.left_out,
        total_duration_ms: log::milliseconds_since(began),
        error,
        error_code,
        is_resumable,
    }
}

fn refused(run_id: &str, stop: Stop, began: Instant) -> Report {
    ended(Some(run_id.to_owned()), Err(stop), Logged::default(), began)
}

fn running() -> Stop {
    Stop::resumable("RUN_IS_RUNNING", "the run still goes on: wait for it to end".into())
}

fn changed() -> Stop {
    let reason = "the pipeline was changed since the run began: begin a new one, or restore the pipeline";
    Stop::resumable("PIPELINE_CHANGED", reason.into())
}

fn over(run: &KnownRun) -> Stop {
    let reason = match &run.error {
        Some(error) => format!("the run is over, and failed: {error}"),
        None => "the run is over, and ended well: begin a new one".to_owned(),
    };
    Stop::new("RUN_IS_OVER", reason)
}

fn delivery_unknown(calls: &[&KnownCall]) -> Stop {
    let mut told: Vec<_> = calls
        .iter()
        .take(MOST_TOLD)
        .map(|call| match call.item {
            Some(item) => format!("stage `{}`, item {item} (tool `{}`)", call.stage, call.tool),
            None => format!("stage `{}` (tool `{}`)", call.stage, call.tool),
        })
        .collect();
    told.extend((calls.len() > MOST_TOLD).then(|| format!("{} more", calls.len() - MOST_TOLD)));
    let reason = format!(
        "it is not known whether this was carried out: {}; look there, then resume with `repeat` to call it again",
        told.join(", ")
    );
    Stop::resumable("DELIVERY_UNKNOWN", reason)
}

impl Stop {
    /// The journal cannot be written: nothing more is called, and the run can be resumed.
    pub(crate) fn unwritten(error: &LedgerError) -> Self {
        tracing::error!(error = error as &dyn std::error::Error, "the journal of runs failed");
        let reason = "the journal of runs cannot be written, so that no tool is called: the log of the gateway says why";
        Self::resumable("JOURNAL_FAILED", reason.into())
    }

    /// What the journal has is not what was written there.
    pub(crate) fn unreadable() -> Self {
        let reason = "what the journal has of the run cannot be read: begin a new one";
        Self::resumable("JOURNAL_FAILED", reason.into())
    }
}
