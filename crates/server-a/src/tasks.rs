//! Messages whose answers are fetched later: the tasks extension of 2026-07-28.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::FutureExt as _;
use jiff::Timestamp;
use mcp_transport::Caller;
use rmcp::{
    ErrorData,
    model::{DetailedTask, JsonObject, Task, TaskPayload, TaskStatus},
};
use tokio::time::{Instant, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::results::rfc3339;

/// Tasks that are kept, running and finished ones together.
const MAX_TASKS: usize = 256;
/// How long a task is kept after it began. One that still runs then is cut off.
const TTL: Duration = Duration::from_secs(60 * 60);
/// How often a client should ask.
const POLL_INTERVAL_MS: u64 = 1_000;
/// Time for running tasks to finish when the program ends.
const GRACE: Duration = Duration::from_secs(5);

/// The tasks of one process. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Tasks(Arc<Inner>);

#[derive(Default)]
struct Inner {
    kept: Mutex<HashMap<String, Kept>>,
    running: TaskTracker,
    stopping: CancellationToken,
}

struct Kept {
    owner: Option<Caller>,
    task: Task,
    began: Instant,
    cancelled: CancellationToken,
    /// `None` while it runs.
    end: Option<TaskPayload>,
}

/// What the work of a task knows of it.
pub(crate) struct Handle {
    id: String,
    tasks: Tasks,
    /// Calls the work off.
    pub(crate) cancelled: CancellationToken,
}

impl Handle {
    /// Says how far it is.
    pub(crate) fn status(&self, message: String) {
        if let Some(kept) = self.tasks.kept().get_mut(&self.id) {
            kept.task.status_message = Some(message);
            kept.task.last_updated_at = now();
        }
    }
}

/// How the work of a task ended.
pub(crate) enum End {
    /// With a result: a good one, or the tool's failure.
    Result(JsonObject),
    /// Its client called it off.
    Cancelled,
}

impl Tasks {
    /// Begins a task of this caller, to whom alone it belongs, unless there are too many. Its work must be [run](Tasks::run) then.
    pub(crate) fn begin(&self, owner: Option<Caller>) -> Option<(Task, Handle)> {
        let mut kept = self.kept();
        if kept.len() >= MAX_TASKS || self.0.running.is_closed() {
            return None;
        }
        let (id, cancelled) = (Uuid::new_v4().to_string(), self.0.stopping.child_token());
        let handle = Handle { id: id.clone(), tasks: self.clone(), cancelled: cancelled.clone() };
        let at = now();
        let task = Task::new(&id, TaskStatus::Working, &at, &at)
            .with_ttl_ms(u64::try_from(TTL.as_millis()).unwrap_or(u64::MAX))
            .with_poll_interval_ms(POLL_INTERVAL_MS);
        kept.insert(id, Kept { owner, task: task.clone(), began: Instant::now(), cancelled, end: None });
        Some((task, handle))
    }

    /// Runs the work of a task to its end, whatever becomes of the request that began it.
    pub(crate) fn run<F>(&self, task: Handle, work: impl FnOnce(Handle) -> F)
    where
        F: Future<Output = End> + Send + 'static,
    {
        let (tasks, id) = (self.clone(), task.id.clone());
        // Its panic is in the log already, with its message and place.
        let work = AssertUnwindSafe(timeout(TTL, work(task))).catch_unwind();
        self.0.running.spawn(async move {
            let end = match work.await {
                Ok(Ok(End::Result(result))) => TaskPayload::Completed { result },
                Ok(Ok(End::Cancelled)) => TaskPayload::Cancelled,
                Ok(Err(_)) => failed("the task took too long"),
                Err(_) => failed("the server failed on this task; its log says why"),
            };
            tasks.end(&id, end);
        });
    }

    /// How a task is, and its result if it has one (`tasks/get`).
    ///
    /// # Errors
    /// When there is no such task, or not any more.
    pub(crate) fn get(&self, id: &str, caller: Option<Caller>) -> Result<DetailedTask, ErrorData> {
        let kept = self.kept();
        let found = own(&kept, id, caller)?;
        Ok(DetailedTask::new(found.task.clone(), found.end.clone().unwrap_or(TaskPayload::Working)))
    }

    /// Takes answers to questions of a task (`tasks/update`): it asks none, so there is nothing to do.
    ///
    /// # Errors
    /// When there is no such task, or not any more.
    pub(crate) fn update(&self, id: &str, caller: Option<Caller>) -> Result<(), ErrorData> {
        own(&self.kept(), id, caller).map(drop)
    }

    /// Calls a task off (`tasks/cancel`). One that is over stays as it is.
    ///
    /// # Errors
    /// When there is no such task, or not any more.
    pub(crate) fn cancel(&self, id: &str, caller: Option<Caller>) -> Result<(), ErrorData> {
        own(&self.kept(), id, caller).map(|kept| kept.cancelled.cancel())
    }

    /// Lets running tasks finish, for a while, and then calls them off. None begins any more.
    pub(crate) async fn stop(&self) {
        self.0.running.close();
        if timeout(GRACE, self.0.running.wait()).await.is_err() {
            tracing::warn!(tasks = self.0.running.len(), "tasks are cancelled: the grace period is over");
            self.0.stopping.cancel();
            self.0.running.wait().await;
        }
    }

    fn end(&self, id: &str, end: TaskPayload) {
        if let Some(kept) = self.kept().get_mut(id) {
            kept.task.status_message = None;
            kept.task.last_updated_at = now();
            kept.end = Some(end);
        }
    }

    /// The tasks, without those whose time is over. Nothing panics while this lock is held, so what it guards is whole.
    fn kept(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, kept| kept.began.elapsed() < TTL);
        kept
    }
}

/// The task, if it is this caller's.
fn own<'k>(kept: &'k HashMap<String, Kept>, id: &str, caller: Option<Caller>) -> Result<&'k Kept, ErrorData> {
    kept.get(id).filter(|kept| kept.owner == caller).ok_or_else(unknown)
}

fn now() -> String {
    rfc3339(Timestamp::now())
}

fn failed(why: &'static str) -> TaskPayload {
    let error = serde_json::to_value(ErrorData::internal_error(why, None)).unwrap_or_default();
    TaskPayload::Failed { error: error.as_object().cloned().unwrap_or_default() }
}

/// Like every error it repeats nothing of the request: rmcp logs it.
fn unknown() -> ErrorData {
    ErrorData::invalid_params("there is no such task: it never was, or its time is over", None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Begins a task whose work is this.
    fn begin<F>(tasks: &Tasks, work: impl FnOnce(Handle) -> F) -> Option<String>
    where
        F: Future<Output = End> + Send + 'static,
    {
        let (task, handle) = tasks.begin(None)?;
        tasks.run(handle, work);
        Some(task.task_id)
    }

    async fn done(_: Handle) -> End {
        End::Result(JsonObject::new())
    }

    fn status(tasks: &Tasks, id: &str) -> Option<TaskStatus> {
        tasks.get(id, None).ok().map(|task| task.status())
    }

    #[tokio::test]
    async fn a_task_is_nobody_elses() {
        let (one, two) = (callers("one"), callers("two"));
        let tasks = Tasks::default();
        let (task, _handle) = tasks.begin(one).unwrap();
        assert!(tasks.get(&task.task_id, one).is_ok());
        for stranger in [two, None] {
            assert!(tasks.get(&task.task_id, stranger).is_err());
            assert!(tasks.update(&task.task_id, stranger).is_err());
            assert!(tasks.cancel(&task.task_id, stranger).is_err());
        }
    }

    /// The caller with this key, of two.
    fn callers(key: &str) -> Option<Caller> {
        let keys = auth::Keys::new(&["one".into(), "two".into()]);
        let shown = format!("Bearer {key}").parse().unwrap();
        keys.caller(&[(http::header::AUTHORIZATION, shown)].into_iter().collect())
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_is_forgotten_when_its_time_is_over() {
        let tasks = Tasks::default();
        let id = begin(&tasks, done).unwrap();
        tokio::task::yield_now().await;
        tokio::time::advance(TTL - Duration::from_millis(1)).await;
        assert_eq!(status(&tasks, &id), Some(TaskStatus::Completed));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(status(&tasks, &id), None);
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_no_more_tasks_than_there_is_room_for() {
        let tasks = Tasks::default();
        for _ in 0..MAX_TASKS {
            assert!(begin(&tasks, done).is_some());
        }
        assert!(begin(&tasks, done).is_none());
        tokio::time::advance(TTL).await;
        assert!(begin(&tasks, done).is_some(), "there is room again");
    }

    #[tokio::test]
    async fn a_task_that_panics_has_failed() {
        let tasks = Tasks::default();
        let id = begin(&tasks, |_| async { panic!("on purpose") }).unwrap();
        tasks.stop().await;
        assert_eq!(status(&tasks, &id), Some(TaskStatus::Failed));
    }

    #[tokio::test(start_paused = true)]
    async fn what_still_runs_after_the_grace_period_is_called_off() {
        let tasks = Tasks::default();
        let work = async |handle: Handle| {
            handle.cancelled.cancelled().await;
            End::Cancelled
        };
        let id = begin(&tasks, work).unwrap();
        tasks.stop().await;
        assert_eq!(status(&tasks, &id), Some(TaskStatus::Cancelled));
        assert!(begin(&tasks, done).is_none(), "nothing begins any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_takes_too_long_is_cut_off() {
        let tasks = Tasks::default();
        begin(&tasks, |_| std::future::pending()).unwrap();
        tasks.0.running.close();
        tasks.0.running.wait().await; // an hour passes at once
        assert!(tasks.kept().is_empty());
    }
}
