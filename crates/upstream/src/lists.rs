//! What a server offers: lists of several pages, remembered until they change.

use std::{
    collections::HashSet,
    io,
    sync::Arc,
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};
use rmcp::model::{
    ClientRequest, ListPromptsRequest, ListResourceTemplatesRequest, ListResourcesRequest, ListToolsRequest,
    PaginatedRequestParams, Prompt, Resource, ResourceTemplate, ServerCapabilities, ServerResult, Tool,
};
use serde::Serialize;

use crate::{
    CallError,
    calls::{Call, Failure},
};

const MAX_PAGES: usize = 256;
const MAX_ITEMS: usize = 20_000;
/// As JSON.
const MAX_BYTES: usize = 64 << 20;

/// All lists of one server.
#[derive(Default)]
pub(crate) struct Lists {
    pub(crate) tools: Remembered<Tool>,
    pub(crate) prompts: Remembered<Prompt>,
    pub(crate) resources: Remembered<Resource>,
    pub(crate) templates: Remembered<ResourceTemplate>,
}

impl Lists {
    pub(crate) fn clear(&self) {
        self.tools.clear();
        self.prompts.clear();
        self.resources.clear();
        self.templates.clear();
    }
}

pub(crate) type Listed<T> = Result<Arc<Vec<T>>, CallError>;
type Asking<T> = Shared<BoxFuture<'static, Listed<T>>>;

/// One list, if it is known. Whoever wants it while it is asked for shares the answer.
pub(crate) struct Remembered<T>(Mutex<Memory<T>>);

struct Memory<T> {
    list: Option<Arc<Vec<T>>>,
    /// It ends when all who want it are gone.
    asking: Option<WeakShared<BoxFuture<'static, Listed<T>>>>,
    /// Grows when the list is forgotten: an answer to an older question is not remembered.
    version: u64,
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self(Mutex::new(Memory { list: None, asking: None, version: 0 }))
    }
}

impl<T: Send + Sync + 'static> Remembered<T> {
    pub(crate) fn clear(&self) {
        let mut memory = self.memory();
        memory.list = None;
        memory.asking = None;
        memory.version += 1;
    }

    /// The list; `ask` is called when it is not known and nobody asks for it yet.
    pub(crate) async fn get<F>(&self, ask: impl FnOnce() -> F) -> Listed<T>
    where
        F: Future<Output = Listed<T>> + Send + 'static,
    {
        let (asking, version) = {
            let mut memory = self.memory();
            if let Some(list) = &memory.list {
                return Ok(list.clone());
            }
            let asking = memory.asking.as_ref().and_then(WeakShared::upgrade);
            let asking: Asking<T> = asking.unwrap_or_else(|| ask().boxed().shared());
            memory.asking = asking.downgrade();
            (asking, memory.version)
        };
        let listed = asking.await;
        let mut memory = self.memory();
        if memory.version == version {
            memory.asking = None;
            memory.list = listed.as_ref().ok().cloned();
        }
        listed
    }

    fn memory(&self) -> MutexGuard<'_, Memory<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What servers list.
pub(crate) trait Item: Serialize + Clone + Send + Sync + Sized + 'static {
    /// What they are called.
    const NAME: &str;

    /// Whether the server says that it has any.
    fn offered(capabilities: &ServerCapabilities) -> bool;

    fn request(page: PaginatedRequestParams) -> ClientRequest;

    /// A page, and where the next one begins.
    fn page(answer: ServerResult) -> Option<(Vec<Self>, Option<String>)>;
}

macro_rules! item {
    ($item:ty, $name:literal, $capability:ident, $request:ident, $result:ident, $field:ident) => {
        impl Item for $item {
            const NAME: &str = $name;

            fn offered(capabilities: &ServerCapabilities) -> bool {
                capabilities.$capability.is_some()
            }

            fn request(page: PaginatedRequestParams) -> ClientRequest {
                ClientRequest::$request($request::with_param(page))
            }

            fn page(answer: ServerResult) -> Option<(Vec<Self>, Option<String>)> {
                match answer {
                    ServerResult::$result(page) => Some((page.$field, page.next_cursor)),
                    _ => None,
                }
            }
        }
    };
}

item!(Tool, "tools", tools, ListToolsRequest, ListToolsResult, tools);
item!(Prompt, "prompts", prompts, ListPromptsRequest, ListPromptsResult, prompts);
item!(Resource, "resources", resources, ListResourcesRequest, ListResourcesResult, resources);
item!(
    ResourceTemplate,
    "resource templates",
    resources,
    ListResourceTemplatesRequest,
    ListResourceTemplatesResult,
    resource_templates
);

impl Call {
    /// All pages of a list, within the limits of one call.
    pub(crate) async fn list<T: Item>(&mut self) -> Result<Vec<T>, Failure> {
        if !T::offered(&self.session.introduction.capabilities) {
            return Ok(Vec::new());
        }
        let (mut items, mut cursors, mut cursor) = (Vec::new(), HashSet::new(), None);
        let mut size = Size(0);
        let endless = |what: String| {
            Failure::Sent(CallError::Protocol(format!("its list of {} has no end: {what}", T::NAME)))
        };
        for _ in 0..MAX_PAGES {
            let page = PaginatedRequestParams::default().with_cursor(cursor.take());
            let answer = self.ask(T::request(page)).await?;
            let Some((page, next)) = T::page(answer) else {
                let strange = format!("it does not list {}", T::NAME);
                return Err(Failure::Sent(CallError::Protocol(strange)));
            };
            if items.len() + page.len() > MAX_ITEMS {
                return Err(endless(format!("more than {MAX_ITEMS}")));
            }
            if serde_json::to_writer(&mut size, &page).is_err() {
                return Err(endless(format!("more than {} MiB", MAX_BYTES >> 20)));
            }
            items.extend(page);
            // Some servers end with an empty cursor instead of none.
            let Some(next) = next.filter(|next| !next.is_empty()) else { return Ok(items) };
            if !cursors.insert(next.clone()) {
                return Err(endless("a page comes again".to_owned()));
            }
            cursor = Some(next);
        }
        Err(endless(format!("more than {MAX_PAGES} pages")))
    }
}

/// Counts what is written, and fails when it is too much.
struct Size(usize);

impl io::Write for Size {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        if self.0 > MAX_BYTES { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
