//! The tasks extension of the newer era: a server may answer a call with a task, which is asked for until it has ended.

use std::{collections::HashSet, sync::Arc, time::Duration};

use rmcp::model::{
    CallToolResult, CancelTaskParams, ClientRequest, ErrorCode, ErrorData, GetTaskParams, GetTaskRequest,
    InputRequests, ServerResult, Task, TaskPayload, UpdateTaskParams, UpdateTaskRequest,
};
use serde_json::Value;

use crate::{CallError, Progress, calls::Call, session::Session};

/// How often a task is asked for when the server does not say.
const USUAL_WAIT: Duration = Duration::from_secs(1);
const SHORTEST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Questions of one task, all together.
const MAX_QUESTIONS: usize = 256;

impl Call {
    /// Waits for the end of a task. The server is told to cancel it when this is dropped, or takes too long.
    pub(crate) async fn task(&mut self, task: Task) -> Result<CallToolResult, CallError> {
        let mut running = Running { session: self.session.clone(), id: task.task_id.clone(), ended: false };
        self.follow(task, &mut running).await
    }

    async fn follow(&mut self, mut task: Task, running: &mut Running) -> Result<CallToolResult, CallError> {
        let mut answered = HashSet::new();
        let mut told = Told::default();
        loop {
            told.tell(self, &mut task);
            let wait = task.poll_interval_ms.map_or(USUAL_WAIT, Duration::from_millis);
            if let Some(limit) = self.clock.sleep(wait.clamp(SHORTEST_WAIT, LONGEST_WAIT)).await {
                return Err(CallError::TimedOut(limit));
            }
            let question = GetTaskRequest::new(GetTaskParams::new(task.task_id.clone()));
            let answer = self.ask(ClientRequest::GetTaskRequest(question)).await.map_err(CallError::from);
            running.ended = answer.as_ref().is_err_and(is_unknown);
            let ServerResult::GetTaskResult(state) = answer? else {
                return Err(CallError::Protocol("it is not the state of a task".to_owned()));
            };
            let id = task.task_id;
            task = state.task.task;
            task.task_id = id;
            running.ended = matches!(
                state.task.payload,
                TaskPayload::Completed { .. } | TaskPayload::Failed { .. } | TaskPayload::Cancelled
            );
            match state.task.payload {
                TaskPayload::Working => {}
                TaskPayload::InputRequired { mut input_requests } => {
                    // Until the server has seen an answer it shows its question.
                    input_requests.retain(|key, _| !answered.contains(key));
                    answered.extend(input_requests.keys().cloned());
                    if answered.len() > MAX_QUESTIONS {
                        return Err(CallError::Protocol("its task asks without end".to_owned()));
                    }
                    self.update(&task.task_id, input_requests).await?;
                }
                TaskPayload::Completed { result } => {
                    return serde_json::from_value(Value::Object(result)).map_err(|_| {
                        CallError::Protocol("the result of its task is none of a tool".to_owned())
                    });
                }
                TaskPayload::Failed { error } => {
                    let error: Result<ErrorData, _> = serde_json::from_value(Value::Object(error));
                    return Err(match error {
                        Ok(error) => CallError::Refused(error),
                        Err(_) => CallError::Protocol("its task failed without a reason".to_owned()),
                    });
                }
                TaskPayload::Cancelled => {
                    let cancelled = ErrorData::internal_error("the server cancelled the task", None);
                    return Err(CallError::Refused(cancelled));
                }
                _ => return Err(CallError::Protocol("its task is in an unknown state".to_owned())),
            }
        }
    }

    async fn update(&mut self, task: &str, questions: InputRequests) -> Result<(), CallError> {
        if questions.is_empty() {
            return Ok(());
        }
        let answers = self.answers(questions).await?;
        let update = UpdateTaskRequest::new(UpdateTaskParams::new(task, answers));
        self.ask(ClientRequest::UpdateTaskRequest(update)).await?;
        Ok(())
    }
}

/// Whether the server has no such task (any more): only for that may it refuse to tell of one as invalid.
fn is_unknown(error: &CallError) -> bool {
    matches!(error, CallError::Refused(error) if error.code == ErrorCode::INVALID_PARAMS)
}

/// What the server says of its task's state, as progress: it counts what is new.
#[derive(Default)]
struct Told {
    last: Option<String>,
    count: u32,
}

impl Told {
    fn tell(&mut self, call: &Call, task: &mut Task) {
        let Some(message) = task.status_message.take() else { return };
        if self.last.as_ref() != Some(&message)
            && let Some(listener) = &call.progress
        {
            self.count += 1;
            listener(Progress { progress: self.count.into(), total: None, message: Some(message.clone()) });
            self.last = Some(message);
        }
    }
}

/// A task that is cancelled when this is dropped before its end.
struct Running {
    session: Arc<Session>,
    id: String,
    ended: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            let (peer, params) = (self.session.peer().clone(), CancelTaskParams::new(self.id.clone()));
            self.session.say(async move {
                let _ = peer.cancel_task(params).await; // it may have ended
            });
        }
    }
}
