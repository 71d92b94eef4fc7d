//! A host that answers what it was told to, and remembers what it heard.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use rmcp::model::{
    CreateMessageRequestParams, CreateMessageResult, ElicitRequestParams, ElicitResult, ElicitationAction,
    ErrorData, ListRootsResult, Root, SamplingMessage,
};
use serde_json::json;
use tokio::{
    sync::{Notify, mpsc},
    time::timeout,
};
use upstream::{Abilities, Host, Notice, Status};

use crate::support::soon;

/// A host for tests.
pub struct Person {
    pub abilities: Abilities,
    /// Answers wait for this, if they must.
    pub thinks: Option<Notify>,
    pub asked: AtomicUsize,
    /// It was asked something.
    pub question: Notify,
    notices: mpsc::UnboundedSender<Notice>,
}

/// What a host has heard.
pub struct Heard(mpsc::UnboundedReceiver<Notice>);

impl Heard {
    /// The next notice of this kind; others are skipped.
    pub async fn next<T>(&mut self, wanted: impl Fn(Notice) -> Option<T>) -> T {
        loop {
            let notice = soon(self.0.recv()).await.unwrap();
            if let Some(found) = wanted(notice) {
                return found;
            }
        }
    }

    /// The next notice of this kind, which `provoke` brings about. A server of the newer era begins to tell of changes a moment
    /// after it has agreed to, so it may take more than one.
    pub async fn provoked<T>(&mut self, wanted: impl Fn(Notice) -> Option<T>, provoke: impl AsyncFn()) -> T {
        let heard = async {
            loop {
                provoke().await;
                if let Ok(found) = timeout(AGAIN, self.next(&wanted)).await {
                    return found;
                }
            }
        };
        soon(heard).await
    }

    pub async fn disconnected(&mut self) -> String {
        let of = |notice| match notice {
            Notice::Status(Status::Disconnected(error)) => Some(error.to_string()),
            _ => None,
        };
        self.next(of).await
    }

    pub async fn connected(&mut self) {
        self.next(|notice| matches!(notice, Notice::Status(Status::Connected(_))).then_some(())).await;
    }

    pub async fn tools_changed(&mut self) {
        self.next(tools_changed).await;
    }

    /// What was heard so far.
    pub fn so_far(&mut self) -> Vec<Notice> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}

/// How long a change is waited for before there is another one.
const AGAIN: Duration = Duration::from_millis(100);

pub fn tools_changed(notice: Notice) -> Option<()> {
    matches!(notice, Notice::ToolsChanged).then_some(())
}

/// The resource that changed.
pub fn updated(notice: Notice) -> Option<String> {
    match notice {
        Notice::ResourceUpdated(uri) => Some(uri),
        _ => None,
    }
}

pub const ALL: Abilities = Abilities { elicit_forms: true, elicit_urls: true, sampling: true, roots: true };

pub fn person(abilities: Abilities) -> (Arc<Person>, Heard) {
    make(abilities, None)
}

/// One whose answers wait until it is told.
pub fn slow_person() -> (Arc<Person>, Heard) {
    make(ALL, Some(Notify::new()))
}

fn make(abilities: Abilities, thinks: Option<Notify>) -> (Arc<Person>, Heard) {
    let (notices, heard) = mpsc::unbounded_channel();
    let (asked, question) = (AtomicUsize::new(0), Notify::new());
    (Arc::new(Person { abilities, thinks, asked, question, notices }), Heard(heard))
}

impl Person {
    async fn think(&self) {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.question.notify_one();
        if let Some(thinks) = &self.thinks {
            thinks.notified().await;
        }
    }
}

#[async_trait]
impl Host for Person {
    fn abilities(&self) -> Abilities {
        self.abilities
    }

    async fn elicit(&self, server: &str, request: ElicitRequestParams) -> Result<ElicitResult, ErrorData> {
        self.think().await;
        let message = match request {
            ElicitRequestParams::FormElicitationParams { message, .. }
            | ElicitRequestParams::UrlElicitationParams { message, .. } => message,
            other => panic!("{other:?}"),
        };
        if message == "refuse" {
            return Err(ErrorData::internal_error("nobody is here", None));
        }
        let content = json!({"name": format!("{server} asks {message}")});
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(content))
    }

    async fn sample(
        &self,
        _: &str,
        request: CreateMessageRequestParams,
    ) -> Result<CreateMessageResult, ErrorData> {
        self.think().await;
        let text = format!("an answer of {} tokens", request.max_tokens);
        Ok(CreateMessageResult::new(SamplingMessage::assistant_text(text), "model".to_owned()))
    }

    async fn roots(&self, _: &str) -> Result<ListRootsResult, ErrorData> {
        self.think().await;
        Ok(ListRootsResult::new(vec![Root::new("file:///work")]))
    }

    fn notice(&self, _: &str, notice: Notice) {
        let _ = self.notices.send(notice); // the test may not listen
    }
}
