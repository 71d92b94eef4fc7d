//! What servers offer, as far as it is known: completion reads it while somebody types, so it never waits for a server for long.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::Duration,
};

use futures_util::future::join_all;
use rmcp::model::{CompleteRequestParams, Prompt, Resource, ResourceTemplate, Tool};
use tokio::runtime::Handle;
use upstream::{Notice, Status, Upstream};

use crate::servers::Servers;

/// How long a key may wait for an answer that is on its way. Nobody notices it, and most servers need less.
const PATIENCE: Duration = Duration::from_millis(150);
/// How long a server that changes all the time is left alone.
const CALM: Duration = Duration::from_secs(1);
/// Most values that are kept of what servers proposed.
const MAX_VALUES: usize = 256;

/// What servers offer, as far as it is known.
pub(super) struct Catalogue {
    servers: Arc<Servers>,
    runtime: Handle,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    lists: HashMap<(String, What), List>,
    values: HashMap<String, Option<Vec<String>>>,
    /// Servers that are being asked for everything; whether they changed meanwhile.
    asked: HashMap<String, bool>,
}

/// What can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum What {
    Tools,
    Resources,
    Templates,
    Prompts,
}

#[derive(Clone)]
enum List {
    Tools(Arc<Vec<Tool>>),
    Resources(Arc<Vec<Resource>>),
    Templates(Arc<Vec<ResourceTemplate>>),
    Prompts(Arc<Vec<Prompt>>),
    /// It is being asked for, or there is none.
    Nothing,
}

impl Catalogue {
    /// Must be called within the runtime.
    pub(super) fn new(servers: Arc<Servers>) -> Arc<Self> {
        Arc::new(Self { servers, runtime: Handle::current(), known: Mutex::default() })
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.servers.all().iter().map(|server| server.name().to_owned()).collect()
    }

    /// The tools of a server, or of all of them.
    pub(super) fn tools(self: &Arc<Self>, server: Option<&str>) -> Vec<Tool> {
        let lists = self.of(server, What::Tools).into_iter().map(|list| match list {
            List::Tools(tools) => tools.to_vec(),
            _ => Vec::new(),
        });
        lists.flatten().collect()
    }

    /// The URIs of a server's resources and of their templates.
    pub(super) fn resources(self: &Arc<Self>, server: Option<&str>) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for list in self.of(server, What::Resources).into_iter().chain(self.of(server, What::Templates)) {
            match list {
                List::Resources(list) => {
                    found.extend(list.iter().map(|one| (one.uri.clone(), one.name.clone())))
                }
                List::Templates(list) => {
                    found.extend(list.iter().map(|one| (one.uri_template.clone(), one.name.clone())));
                }
                _ => {}
            }
        }
        found
    }

    pub(super) fn prompts(self: &Arc<Self>, server: Option<&str>) -> Vec<Prompt> {
        let lists = self.of(server, What::Prompts).into_iter().map(|list| match list {
            List::Prompts(prompts) => prompts.to_vec(),
            _ => Vec::new(),
        });
        lists.flatten().collect()
    }

    /// Values that a server proposes.
    pub(super) fn values(self: &Arc<Self>, server: &str, params: CompleteRequestParams) -> Vec<String> {
        let Ok(upstream) = self.servers.get(server) else { return Vec::new() };
        let key = format!("{server}\n{}", serde_json::to_string(&params).unwrap_or_default());
        if let Some(known) = self.known().values.get(&key) {
            return known.clone().unwrap_or_default();
        }
        let catalogue = Arc::clone(self);
        let kept = key.clone();
        self.wait_for(async move {
            {
                let mut known = catalogue.known();
                if known.values.len() >= MAX_VALUES {
                    known.values.clear();
                }
                known.values.insert(kept.clone(), None);
            }
            let values = upstream.complete(params).await.ok().map(|completion| completion.values);
            let mut known = catalogue.known();
            match values {
                Some(values) => drop(known.values.insert(kept, Some(values))),
                None => drop(known.values.remove(&kept)), // another attempt may do better
            }
        });
        self.known().values.get(&key).cloned().flatten().unwrap_or_default()
    }

    /// Asks in the background for all that will be completed. A server that tells of one change after the other is asked again
    /// once they are over, and not for each.
    pub(super) fn prepare(self: &Arc<Self>, server: &Upstream) {
        let name = server.name().to_owned();
        if let Some(again) = self.known().asked.get_mut(&name) {
            *again = true;
            return;
        }
        self.known().asked.insert(name.clone(), false);
        let (catalogue, server) = (Arc::clone(self), server.clone());
        // It ends with its requests, which have time limits.
        self.runtime.spawn(async move {
            loop {
                let all = [What::Tools, What::Prompts, What::Resources, What::Templates];
                join_all(all.map(|what| fetch(Arc::clone(&catalogue), server.clone(), what))).await;
                if !catalogue.changed_meanwhile(&name) {
                    break;
                }
                tokio::time::sleep(CALM).await;
            }
        });
    }

    /// Whether a server has to be asked again; if not, it is not being asked any more.
    fn changed_meanwhile(&self, server: &str) -> bool {
        let mut known = self.known();
        let again = known.asked.get_mut(server).is_some_and(std::mem::take);
        if !again {
            known.asked.remove(server);
        }
        again
    }

    /// What a server told: some of what is known may not be so any more.
    pub(super) fn heard(self: &Arc<Self>, server: &str, notice: &Notice) {
        match notice {
            Notice::ToolsChanged
            | Notice::PromptsChanged
            | Notice::ResourcesChanged
            | Notice::Status(Status::Connected(_)) => {
                self.known().values.clear();
                if let Ok(upstream) = self.servers.get(server) {
                    self.prepare(&upstream);
                }
            }
            Notice::Status(Status::Closed) => self.known().lists.retain(|(name, _), _| name != server),
            _ => {}
        }
    }

    /// What a server would have answered.
    #[cfg(test)]
    pub(super) fn learn(
        &self,
        server: &str,
        tools: Vec<Tool>,
        resources: Vec<Resource>,
        prompts: Vec<Prompt>,
    ) {
        let mut known = self.known();
        let mut learn = |what, list| drop(known.lists.insert((server.to_owned(), what), list));
        learn(What::Tools, List::Tools(Arc::new(tools)));
        learn(What::Resources, List::Resources(Arc::new(resources)));
        learn(What::Prompts, List::Prompts(Arc::new(prompts)));
    }

    fn of(self: &Arc<Self>, server: Option<&str>, what: What) -> Vec<List> {
        let servers = match server {
            Some(name) => self.servers.get(name).into_iter().collect(),
            None => self.servers.all(),
        };
        let unknown: Vec<Upstream> = {
            let mut known = self.known();
            let mut is_unknown = |server: &&Upstream| {
                let key = (server.name().to_owned(), what);
                let unknown = is_up(server) && !known.lists.contains_key(&key);
                if unknown {
                    known.lists.insert(key, List::Nothing); // the next key does not wait again
                }
                unknown
            };
            servers.iter().filter(|server| is_unknown(server)).cloned().collect()
        };
        if !unknown.is_empty() {
            let catalogue = Arc::clone(self);
            let fetches = unknown.into_iter().map(move |server| fetch(Arc::clone(&catalogue), server, what));
            let fetches: Vec<_> = fetches.collect();
            self.wait_for(async move { drop(join_all(fetches).await) });
        }
        let known = self.known();
        servers
            .iter()
            .filter_map(|server| known.lists.get(&(server.name().to_owned(), what)).cloned())
            .collect()
    }

    /// Lets it be done in the background, and waits a moment for it. The task ends with the request that it makes, which has
    /// time limits of its own.
    fn wait_for(&self, work: impl Future<Output = ()> + Send + 'static) {
        let (done, waiting) = mpsc::channel();
        self.runtime.spawn(async move {
            work.await;
            let _ = done.send(());
        });
        let _ = waiting.recv_timeout(PATIENCE);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Completing a line connects to nothing.
fn is_up(server: &Upstream) -> bool {
    matches!(*server.status().borrow(), Status::Connected(_))
}

async fn fetch(catalogue: Arc<Catalogue>, server: Upstream, what: What) {
    let capabilities = match &*server.status().borrow() {
        Status::Connected(introduction) => introduction.capabilities.clone(),
        _ => return,
    };
    let offered = match what {
        What::Tools => capabilities.tools.is_some(),
        What::Prompts => capabilities.prompts.is_some(),
        What::Resources | What::Templates => capabilities.resources.is_some(),
    };
    let key = (server.name().to_owned(), what);
    if !offered {
        catalogue.known().lists.insert(key, List::Nothing);
        return;
    }
    let list = match what {
        What::Tools => server.tools().await.map(List::Tools),
        What::Resources => server.resources().await.map(List::Resources),
        What::Templates => server.resource_templates().await.map(List::Templates),
        What::Prompts => server.prompts().await.map(List::Prompts),
    };
    let mut known = catalogue.known();
    match list {
        Ok(list) => drop(known.lists.insert(key, list)),
        Err(_) if matches!(known.lists.get(&key), Some(List::Nothing)) => drop(known.lists.remove(&key)),
        Err(_) => {} // what was known last is better than nothing
    }
}
