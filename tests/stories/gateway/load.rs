//! Calls to upstreams that are well, all the time.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use anyhow::{Context as _, ensure};
use tokio::{sync::Notify, task::JoinSet};

use crate::client::Client;

/// Clients that keep calling. The first call that fails ends the load, and the test.
pub struct Load {
    state: Arc<State>,
    clients: JoinSet<anyhow::Result<()>>,
}

#[derive(Default)]
struct State {
    stop: AtomicBool,
    answered: AtomicUsize,
    more: Notify,
}

impl Load {
    /// One client for each of these, which call these tools in turn.
    pub fn start(clients: Vec<Client>, tools: &'static [&'static str]) -> Self {
        let state = Arc::new(State::default());
        let clients = clients.into_iter().map(|client| keep_calling(client, tools, state.clone())).collect();
        Self { state, clients }
    }

    /// Waits for so many more answers, or for a call that fails.
    pub async fn answers(&mut self, more: usize) -> anyhow::Result<()> {
        let enough = self.state.answered.load(Ordering::SeqCst) + more;
        let answered = async {
            while self.state.answered.load(Ordering::SeqCst) < enough {
                self.state.more.notified().await;
            }
        };
        tokio::select! {
            () = answered => Ok(()),
            Some(ended) = self.clients.join_next() => ended?.and_then(|()| anyhow::bail!("a client stopped")),
        }
    }

    /// Ends it. Every call was answered as it should be.
    pub async fn stop(mut self) -> anyhow::Result<usize> {
        self.state.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.clients.join_next().await {
            ended??;
        }
        Ok(self.state.answered.load(Ordering::SeqCst))
    }
}

async fn keep_calling(
    client: Client,
    tools: &'static [&'static str],
    state: Arc<State>,
) -> anyhow::Result<()> {
    for (number, tool) in (0_usize..).zip(tools.iter().cycle()) {
        if state.stop.load(Ordering::SeqCst) {
            break;
        }
        let message = format!("number {number}");
        let answer = client.call(tool, &message).await.with_context(|| format!("call {number} of {tool}"))?;
        let result = answer.map_err(|(code, message)| anyhow::anyhow!("{tool}: {code}: {message}"))?;
        ensure!(
            result["content"][0]["text"].as_str().is_some_and(|text| text.ends_with(&message)),
            "{result}"
        );
        state.answered.fetch_add(1, Ordering::SeqCst);
        state.more.notify_one();
    }
    Ok(())
}
