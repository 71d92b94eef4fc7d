//! The stages of a run, one after the other.

use std::{
    collections::HashMap,
    io,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures_util::{
    future::try_join_all,
    stream::{self, StreamExt as _},
};
use ledger::{KnownCall, Runs};
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use crate::{
    Entry, Failure, OnError, Pipeline, Stage, Step, Tools,
    check::Parts,
    log::{Log, cut},
    plan::told,
    template::{Context, Template},
    values::{self, Budget},
};

/// Items that one `for_each` may have.
const MOST_ITEMS: usize = 1_000;

/// Most bytes that templates may make of the arguments of a call, or of a list of items.
const MOST_BYTES: usize = 4 << 20;

/// Ends of a part that are no failures of its tools: whatever `on_error` says, the run ends with it and can be resumed.
const MUST_BE_RESUMED: [&str; 4] =
    ["DELIVERY_UNKNOWN", "JOURNAL_FAILED", "PIPELINE_CHANGED", "RUN_IS_RUNNING"];

/// Characters of an error that are kept.
const MOST_REASON_CHARS: usize = 2_000;

/// Why a run ends before its last stage.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) code: &'static str,
    pub(crate) reason: String,
    /// Whether the run can be resumed: then it is not over.
    pub(crate) is_resumable: bool,
}

impl Stop {
    pub(crate) fn new(code: &'static str, reason: String) -> Self {
        Self { code, reason, is_resumable: false }
    }

    pub(crate) fn resumable(code: &'static str, reason: String) -> Self {
        Self { code, reason, is_resumable: true }
    }
}

/// The stages of one run.
pub(crate) struct Stages<'r> {
    pipeline: &'r Pipeline,
    runs: &'r Runs,
    run_id: &'r str,
    /// Calls that had begun before, by stage and item: those that have a result are not made again.
    known: HashMap<(String, Option<u32>), KnownCall>,
    log: &'r Log,
    tools: &'r dyn Tools,
    /// Stages that are done; held while that is told, so that it only ever grows.
    done: Mutex<usize>,
    total: usize,
}

/// One call of a stage.
#[derive(Clone, Copy)]
struct Call<'s> {
    stage: &'s Stage,
    parts: &'s Parts,
    item: Option<usize>,
    /// Bytes of results that the stage has so far.
    spent: &'s AtomicUsize,
}

/// What a call came to: a result with its JSON, or why there is none.
type End = Result<(Value, String), Why>;

struct Why {
    code: &'static str,
    reason: String,
    left: Left,
}

/// What a call without a result leaves behind.
#[derive(PartialEq, Eq)]
enum Left {
    /// Nothing: it is over.
    Nothing,
    /// It was surely not carried out, and can be made later.
    Undone,
    /// It may have been carried out.
    Unknown,
    /// A part that goes on when the run is resumed.
    Part,
    /// A part that can only be resumed: to go on without it would be to lose it.
    NeededPart,
}

impl Why {
    fn new(code: &'static str, reason: String) -> Self {
        Self { code, reason, left: Left::Nothing }
    }

    fn unknown(code: &'static str, reason: String) -> Self {
        Self { code, reason, left: Left::Unknown }
    }

    fn of(failure: Failure) -> Self {
        let (code, reason, left) = match failure {
            Failure::Failed(reason) => ("TOOL_EXECUTION_ERROR", reason, Left::Nothing),
            Failure::Unknown(reason) => ("DELIVERY_UNKNOWN", reason, Left::Unknown),
            Failure::NotDelivered { code, reason } => (code, reason, Left::Undone),
            Failure::PartIsOpen { code, reason } if MUST_BE_RESUMED.contains(&code) => {
                (code, reason, Left::NeededPart)
            }
            Failure::PartIsOpen { code, reason } => (code, reason, Left::Part),
        };
        Self { code, reason: cut(reason, MOST_REASON_CHARS), left }
    }
}

impl<'r> Stages<'r> {
    pub(crate) fn new(
        pipeline: &'r Pipeline,
        runs: &'r Runs,
        run_id: &'r str,
        known: HashMap<(String, Option<u32>), KnownCall>,
        log: &'r Log,
        tools: &'r dyn Tools,
    ) -> Self {
        let total = pipeline.definition().stages().count();
        Self { pipeline, runs, run_id, known, log, tools, done: Mutex::default(), total }
    }

    /// Runs all stages, and gives what the pipeline comes to.
    pub(crate) async fn run(&self, input: &Map<String, Value>) -> Result<Value, Stop> {
        let mut context = Context::from([("input".to_owned(), values::shown_object(input))]);
        let mut last = Value::Null;
        for (step, parts) in self.pipeline.definition().steps.iter().zip(&self.pipeline.parts) {
            let stages = step.stages();
            let results = try_join_all(
                stages.iter().zip(parts).map(|(stage, parts)| self.stage(stage, parts, &context)),
            )
            .await?;
            for (stage, result) in stages.iter().zip(&results) {
                context.insert(stage.name.clone(), values::shown(result));
            }
            let mut named = stages.iter().map(|stage| stage.name.clone()).zip(results);
            last = match step {
                Step::Stage(_) => named.next().map(|(_, result)| result).unwrap_or_default(),
                Step::Parallel(_) => Value::Object(named.collect()),
            };
        }
        let Some(output) = &self.pipeline.output else { return Ok(last) };
        output
            .render(&context, &mut Budget::of(self.pipeline.definition().max_output_bytes))
            .map_err(|reason| Stop::new("TEMPLATE_ERROR", format!("the output could not be made: {reason}")))
    }

    async fn stage(&self, stage: &Stage, parts: &Parts, context: &Context) -> Result<Value, Stop> {
        let call = Call { stage, parts, item: None, spent: &AtomicUsize::new(0) };
        let result = match &parts.for_each {
            None => self.call(call, context).await?,
            Some(list) => match items(list, context) {
                Ok(items) => self.each(call, items, context).await?,
                Err(reason) => self.not_called(call, reason)?,
            },
        };
        let mut done = self.done.lock().await;
        *done += 1;
        self.tools.progress(*done, self.total, format!("stage `{}` is done", stage.name)).await;
        Ok(result)
    }

    /// Calls the tool once for each item, and keeps the order of the items.
    async fn each(&self, call: Call<'_>, items: Vec<Value>, context: &Context) -> Result<Value, Stop> {
        let mut results = vec![Value::Null; items.len()];
        let calls = items.into_iter().enumerate().map(|(at, item)| self.item(call, at, item, context));
        let mut calls = stream::iter(calls).buffer_unordered(call.stage.concurrency);
        while let Some(ended) = calls.next().await {
            let (at, result) = ended?;
            results[at] = result;
        }
        Ok(Value::Array(results))
    }

    async fn item(
        &self,
        call: Call<'_>,
        at: usize,
        item: Value,
        context: &Context,
    ) -> Result<(usize, Value), Stop> {
        let mut context = context.clone();
        context.insert("item".to_owned(), values::shown(&item));
        self.call(Call { item: Some(at), ..call }, &context).await.map(|result| (at, result))
    }

    async fn call(&self, call: Call<'_>, context: &Context) -> Result<Value, Stop> {
        let arguments = match call.parts.arguments.render(context, &mut Budget::of(MOST_BYTES)) {
            Ok(Value::Object(arguments)) => arguments,
            Ok(_) => Map::new(), // arguments are read as an object
            Err(reason) => return self.not_called(call, reason),
        };
        let entry = Entry { input_bytes: json_bytes(&arguments), ..call.entry() };
        let known = self.known.get(&(call.stage.name.clone(), call.item_number()));
        if let Some((known, json)) = known.and_then(|known| Some((known, known.result.clone()?))) {
            return self.known(call, entry, known.is_failure, json);
        }
        let Stage { name, tool, .. } = call.stage;
        self.runs
            .call_begins(self.run_id, name, call.item_number(), tool)
            .await
            .map_err(|error| Stop::unwritten(&error))?;
        let underway = self.log.begin(entry);
        let end = self.carried_out(call, arguments).await;
        // One that is too large is written too: resumed, it is too large again, and the call is not made twice.
        let written = end.as_ref().map(|(_, json)| json.clone()).map_err(|why| why.reason.clone());
        let (end, output_bytes) = self.within_limit(call, end);
        let duration_ms = underway.ended(output_bytes, end.as_ref().err().map(|why| why.reason.as_str()));
        if let Err(why) = &end
            && why.left != Left::Nothing
            && (why.left == Left::NeededPart || call.stage.on_error == OnError::Stop)
        {
            return Err(self.left_open(call, why, known.is_some()).await);
        }
        self.write(call, written, duration_ms).await?;
        self.gone_on(call, end)
    }

    /// Ends the run so that it can be resumed with this call. As after a crash, the journal knows that it began.
    async fn left_open(&self, call: Call<'_>, why: &Why, had_begun: bool) -> Stop {
        let failed = call.failed(why);
        let reason = match why.left {
            Left::Unknown => format!("{failed}; look whether it was carried out, then resume the run"),
            Left::Undone => format!("{failed}; resume the run when it can be called"),
            Left::Part | Left::NeededPart | Left::Nothing => failed,
        };
        // Of one that had begun before too, it is still not known what came of it then.
        if why.left == Left::Undone && !had_begun {
            let undone = self.runs.call_taken_back(self.run_id, &call.stage.name, call.item_number());
            if let Err(error) = undone.await {
                return Stop::unwritten(&error);
            }
        }
        Stop::resumable(why.code, reason)
    }

    async fn carried_out(&self, call: Call<'_>, arguments: Map<String, Value>) -> End {
        let Call { stage, item, .. } = call;
        let called = self.tools.call(crate::Call {
            run_id: self.run_id,
            stage: &stage.name,
            item,
            tool: &stage.tool,
            arguments,
        });
        let came = match stage.timeout {
            Some(most) => tokio::select! {
                biased;
                came = called => Ok(came),
                () = self.tools.over(most) => Err(most),
            },
            None => Ok(called.await),
        };
        match came {
            Ok(Ok(result)) => {
                let json = result.to_string();
                Ok((result, json))
            }
            Ok(Err(failure)) => Err(Why::of(failure)),
            Err(most) => Err(Why::unknown("TIMEOUT", format!("there was no answer within {}", told(most)))),
        }
    }

    /// Refuses a result with which the stage has more than it may; gives the size of the result too.
    fn within_limit(&self, call: Call<'_>, end: End) -> (End, usize) {
        let Ok((result, json)) = end else { return (end, 0) };
        let (bytes, most) = (json.len(), self.pipeline.definition().max_output_bytes);
        let spent = call.spent.fetch_add(bytes, Ordering::Relaxed);
        if spent.saturating_add(bytes) <= most {
            return (Ok((result, json)), bytes);
        }
        let what = if call.item.is_some() { "the results of its items have" } else { "its result has" };
        let reason = format!("{what} more than {most} bytes: ask for less, or raise max_output_bytes");
        (Err(Why::new("OUTPUT_TOO_LARGE", reason)), bytes)
    }

    async fn write(&self, call: Call<'_>, end: Result<String, String>, duration_ms: u64) -> Result<(), Stop> {
        let is_failure = end.is_err();
        let (Ok(result) | Err(result)) = end;
        let ended = KnownCall {
            stage: call.stage.name.clone(),
            item: call.item_number(),
            tool: call.stage.tool.clone(),
            result: Some(result),
            is_failure,
            duration_ms,
        };
        self.runs.call_ended(self.run_id, ended).await.map_err(|error| Stop::unwritten(&error))
    }

    /// A call whose result is known from before.
    fn known(&self, call: Call<'_>, entry: Entry, is_failure: bool, json: String) -> Result<Value, Stop> {
        let end = if is_failure {
            Err(Why::new("TOOL_EXECUTION_ERROR", json))
        } else {
            let result = serde_json::from_str(&json).map_err(|_| Stop::unreadable())?;
            Ok((result, json))
        };
        let (end, output_bytes) = self.within_limit(call, end);
        let error = end.as_ref().err().map(|why| why.reason.clone());
        self.log.add(Entry { success: error.is_none(), resumed: true, output_bytes, error, ..entry });
        self.gone_on(call, end)
    }

    /// A call that cannot be made, because there is nothing to make it of.
    fn not_called(&self, call: Call<'_>, reason: String) -> Result<Value, Stop> {
        let reason = cut(reason, MOST_REASON_CHARS);
        self.log.add(Entry { error: Some(reason.clone()), ..call.entry() });
        self.gone_on(call, Err(Why::new("TEMPLATE_ERROR", reason)))
    }

    fn gone_on(&self, call: Call<'_>, end: End) -> Result<Value, Stop> {
        match end {
            Ok((result, _)) => Ok(result),
            // A limit guards the gateway: the run does not go on beyond it.
            Err(why) if call.stage.on_error == OnError::Continue && why.code != "OUTPUT_TOO_LARGE" => {
                Ok(Value::Null)
            }
            Err(why) => Err(Stop::new(why.code, call.failed(&why))),
        }
    }
}

impl Call<'_> {
    fn item_number(&self) -> Option<u32> {
        self.item.and_then(|item| u32::try_from(item).ok()) // there are never more than `MOST_ITEMS`
    }

    fn entry(&self) -> Entry {
        Entry {
            stage: self.stage.name.clone(),
            item: self.item,
            tool: self.stage.tool.clone(),
            duration_ms: 0,
            success: false,
            input_bytes: 0,
            output_bytes: 0,
            resumed: false,
            error: None,
        }
    }

    fn failed(&self, why: &Why) -> String {
        let Stage { name, tool, .. } = self.stage;
        match self.item {
            Some(item) => format!("stage `{name}`, item {item} (tool `{tool}`) failed: {}", why.reason),
            None => format!("stage `{name}` (tool `{tool}`) failed: {}", why.reason),
        }
    }
}

fn items(list: &Template, context: &Context) -> Result<Vec<Value>, String> {
    match list.render(context, &mut Budget::of(MOST_BYTES))? {
        Value::Array(items) if items.len() <= MOST_ITEMS => Ok(items),
        Value::Array(items) => {
            Err(format!("`{}` has {} items, and may have {MOST_ITEMS}", list.excerpt(), items.len()))
        }
        _ => Err(format!("`{}` is no list, so that there are no items", list.excerpt())),
    }
}

/// How many bytes a value has as JSON.
fn json_bytes(value: &Map<String, Value>) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Neither JSON values nor a counter can fail.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}
