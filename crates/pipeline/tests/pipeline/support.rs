//! Tools that do what a test says, and pipelines in few words.

use std::{
    future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use ledger::{Location, Runs};
use pipeline::{Call, Definition, Failure, OnError, Pipeline, Problem, Report, Run, Stage, Step, Tools};
use serde_json::{Map, Value, json};
use tokio::sync::{Barrier, Notify};

pub const OWNER: u64 = 7;

/// What a scripted tool does when it is called.
pub enum Act {
    /// Gives this as its structured content.
    Give(Value),
    /// Gives this after a time, which passes at once.
    GiveAfter(Duration, Value),
    /// Does this once as many calls as the barrier is for go on.
    Together(Arc<Barrier>, Box<Act>),
    Fail(Failure),
    /// Never ends.
    Hang,
    /// Never ends, and lets time pass until it is dropped.
    HangOutOfTime,
    /// Never ends, and says that it began.
    HangAfterTelling(Arc<Notify>),
}

type Script = dyn Fn(&str, &Value) -> Act + Send + Sync;

/// Tools that do what a script says.
pub struct Scripted {
    script: Box<Script>,
    /// The tool that may be called again.
    repeatable: Option<&'static str>,
    /// After how many stages nothing goes on, and who is told.
    stuck_after: Option<(usize, Arc<Notify>)>,
    calls: Mutex<Vec<(String, Value)>>,
    progress: Mutex<Vec<(usize, usize, String)>>,
    clock: Clock,
    underway: AtomicUsize,
    most_underway: AtomicUsize,
    dropped: AtomicUsize,
}

impl Scripted {
    pub fn new(script: impl Fn(&str, &Value) -> Act + Send + Sync + 'static) -> Self {
        Self {
            script: Box::new(script),
            repeatable: None,
            stuck_after: None,
            calls: Mutex::default(),
            progress: Mutex::default(),
            clock: Clock::default(),
            underway: AtomicUsize::new(0),
            most_underway: AtomicUsize::new(0),
            dropped: AtomicUsize::new(0),
        }
    }

    /// This tool may be called again.
    pub fn repeatable(self, tool: &'static str) -> Self {
        Self { repeatable: Some(tool), ..self }
    }

    /// Nothing goes on once so many stages are done, and this is told.
    pub fn stuck_after(self, stages: usize, told: Arc<Notify>) -> Self {
        Self { stuck_after: Some((stages, told)), ..self }
    }

    /// The calls, as they began.
    pub fn calls(&self) -> Vec<(String, Value)> {
        locked(&self.calls).clone()
    }

    /// The tools that were called, as the calls began.
    pub fn called(&self) -> Vec<String> {
        self.calls().into_iter().map(|(tool, _)| tool).collect()
    }

    pub fn progress(&self) -> Vec<(usize, usize, String)> {
        locked(&self.progress).clone()
    }

    /// The most calls that went on at the same time.
    pub fn most_underway(&self) -> usize {
        self.most_underway.load(Ordering::SeqCst)
    }

    /// Calls that were dropped before they ended.
    pub fn dropped(&self) -> usize {
        self.dropped.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Tools for Scripted {
    async fn call(&self, call: Call<'_>) -> Result<Value, Failure> {
        let Call { tool, arguments, .. } = call;
        let arguments = Value::Object(arguments);
        let mut act = (self.script)(tool, &arguments);
        locked(&self.calls).push((tool.to_owned(), arguments));
        let underway = self.underway.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_underway.fetch_max(underway, Ordering::SeqCst);
        let mut going = Going { tools: self, has_ended: false };
        while let Act::Together(barrier, then) = act {
            barrier.wait().await;
            act = *then;
        }
        let result = match act {
            Act::Together(..) => unreachable!("they were waited for"),
            Act::Give(value) => Ok(result(value)),
            Act::GiveAfter(time, value) => {
                let _still = self.clock.stand_still();
                tokio::time::sleep(time).await;
                Ok(result(value))
            }
            Act::Fail(failure) => Err(failure),
            Act::Hang => future::pending().await,
            Act::HangOutOfTime => {
                let _still = self.clock.stand_still();
                future::pending().await
            }
            Act::HangAfterTelling(began) => {
                began.notify_one();
                future::pending().await
            }
        };
        going.has_ended = true;
        result
    }

    fn is_repeatable(&self, tool: &str) -> bool {
        self.repeatable == Some(tool)
    }

    async fn progress(&self, done: usize, total: usize, message: String) {
        locked(&self.progress).push((done, total, message));
        if let Some((_, told)) = self.stuck_after.as_ref().filter(|(after, _)| *after == done) {
            told.notify_one();
            future::pending::<()>().await;
        }
    }
}

struct Going<'t> {
    tools: &'t Scripted,
    has_ended: bool,
}

impl Drop for Going<'_> {
    fn drop(&mut self) {
        self.tools.underway.fetch_sub(1, Ordering::SeqCst);
        self.tools.dropped.fetch_add(usize::from(!self.has_ended), Ordering::SeqCst);
    }
}

/// Lets the clock stand still only while a tool waits: the journal is written by a thread of its own, which a clock that stands
/// still all the time would not wait for.
#[derive(Default)]
struct Clock(Mutex<usize>);

impl Clock {
    fn stand_still(&self) -> Still<'_> {
        let mut count = locked(&self.0);
        if *count == 0 {
            tokio::time::pause();
        }
        *count += 1;
        Still(self)
    }
}

struct Still<'c>(&'c Clock);

impl Drop for Still<'_> {
    fn drop(&mut self) {
        let mut count = locked(&self.0.0);
        *count -= 1;
        if *count == 0 {
            tokio::time::resume();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A tool's result as templates know it.
pub fn result(structured: Value) -> Value {
    let text = structured.as_str().map_or_else(|| structured.to_string(), str::to_owned);
    json!({"structured": structured, "text": text, "content": [{"type": "text", "text": text}]})
}

/// Does this once as many calls as the barrier is for go on.
pub fn together(barrier: &Arc<Barrier>, act: Act) -> Act {
    Act::Together(Arc::clone(barrier), Box::new(act))
}

pub fn failed(reason: &str) -> Act {
    Act::Fail(Failure::Failed(reason.to_owned()))
}

/// A stage that calls the tool of its own name.
pub fn stage(name: &str, arguments: Value) -> Stage {
    let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
    Stage {
        name: name.to_owned(),
        tool: name.to_owned(),
        arguments,
        for_each: None,
        concurrency: 4,
        timeout: None,
        on_error: OnError::Stop,
    }
}

pub fn each(name: &str, list: &str, arguments: Value) -> Stage {
    Stage { for_each: Some(list.to_owned()), ..stage(name, arguments) }
}

pub fn goes_on(stage: Stage) -> Stage {
    Stage { on_error: OnError::Continue, ..stage }
}

pub fn one(stage: Stage) -> Step {
    Step::Stage(stage)
}

pub fn definition(steps: impl IntoIterator<Item = Step>) -> Definition {
    Definition {
        name: "work".to_owned(),
        description: "Does the work".to_owned(),
        input: None,
        steps: steps.into_iter().collect(),
        output: None,
        timeout: Duration::from_secs(600),
        max_output_bytes: 1 << 20,
    }
}

pub fn pipeline(definition: Definition) -> Arc<Pipeline> {
    Arc::new(Pipeline::new(definition).expect("the pipeline has no mistake"))
}

pub fn problems(definition: Definition) -> Vec<Problem> {
    Pipeline::new(definition).err().unwrap_or_default()
}

pub fn members(value: Value) -> Map<String, Value> {
    let Value::Object(members) = value else { panic!("an object") };
    members
}

pub fn journal() -> Runs {
    Runs::open(&Location::Memory).expect("a journal in memory")
}

pub async fn run(definition: Definition, input: Value, tools: &Scripted) -> Report {
    Run::of(pipeline(definition), journal(), OWNER).begin(members(input), tools).await
}
