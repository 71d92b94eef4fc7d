//! Our side of one connection: hears what the server tells, and passes on what it asks.

use std::{collections::BTreeMap, sync::Arc};

use rmcp::{
    ClientHandler,
    model::{
        ClientCapabilities, ClientConfig, CreateMessageRequestMethod, CreateMessageRequestParams,
        CreateMessageResult, ElicitRequestParams, ElicitResult, ElicitationCapability,
        ElicitationCreateRequestMethod, ErrorData, FormElicitationCapability, Implementation,
        ListRootsRequestMethod, ListRootsResult, RootsCapabilities, SamplingCapability, ServerNotification,
        TASKS_EXTENSION_ID, UrlElicitationCapability,
    },
    service::{RequestContext, RoleClient},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{Abilities, desk::Desk, progress::Routes};

/// Questions of one server that are open at the same time; more are refused.
const MAX_QUESTIONS: usize = 16;

/// Our side of one connection.
pub(crate) struct Handler {
    desk: Arc<Desk>,
    client: Implementation,
    abilities: Abilities,
    /// How many questions of the server are open.
    pub(crate) questions: watch::Sender<usize>,
    pub(crate) progress: Routes,
    /// The connection has ended: nobody waits for answers any more.
    pub(crate) end: CancellationToken,
}

impl Handler {
    pub(crate) fn new(desk: Arc<Desk>, client: Implementation) -> Self {
        let abilities = desk.host.abilities();
        let (questions, progress) = (watch::Sender::default(), Routes::default());
        Self { desk, client, abilities, questions, progress, end: CancellationToken::new() }
    }

    /// The server tells something. This is how notifications are heard, in their order, and not by [`ClientHandler`].
    pub(crate) fn told(&self, notification: &ServerNotification) {
        match notification {
            ServerNotification::ProgressNotification(report) => self.progress.heard(report.params.clone()),
            other => self.desk.heard(other),
        }
    }

    pub(crate) async fn elicit(&self, request: ElicitRequestParams) -> Result<ElicitResult, ErrorData> {
        let offered = match &request {
            ElicitRequestParams::FormElicitationParams { .. } => self.abilities.elicit_forms,
            ElicitRequestParams::UrlElicitationParams { .. } => self.abilities.elicit_urls,
            _ => false,
        };
        if !offered {
            return Err(ErrorData::method_not_found::<ElicitationCreateRequestMethod>());
        }
        self.desk.host.elicit(&self.desk.name, request).await
    }

    pub(crate) async fn sample(
        &self,
        request: CreateMessageRequestParams,
    ) -> Result<CreateMessageResult, ErrorData> {
        if !self.abilities.sampling {
            return Err(ErrorData::method_not_found::<CreateMessageRequestMethod>());
        }
        self.desk.host.sample(&self.desk.name, request).await
    }

    pub(crate) async fn roots(&self) -> Result<ListRootsResult, ErrorData> {
        if !self.abilities.roots {
            return Err(ErrorData::method_not_found::<ListRootsRequestMethod>());
        }
        self.desk.host.roots(&self.desk.name).await
    }

    /// Waits for the answer to a question that the server asked by itself, until it or the connection gives up on it.
    async fn open<T>(
        &self,
        context: RequestContext<RoleClient>,
        answer: impl Future<Output = Result<T, ErrorData>>,
    ) -> Result<T, ErrorData> {
        let place = self.questions.send_if_modified(|open| {
            let free = *open < MAX_QUESTIONS;
            *open += usize::from(free);
            free
        });
        if !place {
            return Err(ErrorData::internal_error("too many questions are open", None));
        }
        let _open = Open(&self.questions);
        tokio::select! {
            answer = answer => answer,
            () = context.ct.cancelled() => Err(ErrorData::internal_error("the question was withdrawn", None)),
            () = self.end.cancelled() => Err(ErrorData::internal_error("the connection has ended", None)),
        }
    }
}

/// A question that is open until this is dropped.
struct Open<'a>(&'a watch::Sender<usize>);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(capabilities(self.abilities), self.client.clone())
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        self.open(context, self.elicit(request)).await
    }

    async fn create_message(
        &self,
        request: CreateMessageRequestParams,
        context: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        self.open(context, self.sample(request)).await
    }

    async fn list_roots(&self, context: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        self.open(context, self.roots()).await
    }
}

/// What is declared to servers: what the host can do, and tasks, which need no host.
fn capabilities(abilities: Abilities) -> ClientCapabilities {
    let Abilities { elicit_forms, elicit_urls, sampling, roots } = abilities;
    let mut elicitation = ElicitationCapability::new();
    elicitation.form = elicit_forms.then(FormElicitationCapability::new);
    elicitation.url = elicit_urls.then(UrlElicitationCapability::new);
    let mut capabilities = ClientCapabilities::default();
    capabilities.elicitation = (elicit_forms || elicit_urls).then_some(elicitation);
    capabilities.sampling = sampling.then(SamplingCapability::default);
    capabilities.roots = roots.then(RootsCapabilities::default);
    capabilities.extensions = Some(BTreeMap::from([(TASKS_EXTENSION_ID.to_owned(), Default::default())]));
    capabilities
}
