//! Following what clients wish on a connection of the older era.

use std::{collections::BTreeSet, time::Duration};

use json_rpc::{Members, Outcome, Raw};
use mcp_transport::{Line, Outgoing};
use tokio::time::timeout;

use super::{
    glance::at,
    level::Level,
    wishes::{Source, Topic, Wishes},
};
use crate::{errors::Fault, fleet::Place};

/// Longest wait for an answer, and pause after there was none.
const PATIENCE: Duration = Duration::from_secs(10);

/// Follows the wishes for as long as it is awaited. What is subscribed to matters on the main connection only.
pub(crate) async fn follow(wishes: &Wishes, place: Place, line: &Line, is_main: bool) {
    let mut changes = wishes.changes();
    let mut feed = Feed { line, held: BTreeSet::new(), level: None };
    let ear = feed.has_logs().then(|| Ear::new(wishes));
    let source = (is_main && feed.has_subscriptions()).then(|| wishes.source(place));
    loop {
        changes.borrow_and_update();
        let mut outcome = Ok(());
        if let Some(ear) = &ear {
            outcome = feed.follow_level(wishes, ear).await;
        }
        if let Some(source) = &source
            && outcome.is_ok()
        {
            outcome = feed.follow_topics(source).await;
        }
        // The sender of changes lives as long as the wishes.
        let changed = changes.changed();
        let _ = match outcome {
            Ok(()) => changed.await.ok(),
            Err(Unanswered) => timeout(PATIENCE, changed).await.ok().and_then(Result::ok),
        };
    }
}

/// The server gave no answer. If its connection has ended, that is somebody else's care.
struct Unanswered;

/// A connection that must be told the level, for as long as it lives.
struct Ear<'a> {
    wishes: &'a Wishes,
    number: u64,
}

impl<'a> Ear<'a> {
    fn new(wishes: &'a Wishes) -> Self {
        Self { wishes, number: wishes.connected() }
    }
}

impl Drop for Ear<'_> {
    fn drop(&mut self) {
        self.wishes.disconnected(self.number);
    }
}

struct Feed<'a> {
    line: &'a Line,
    held: BTreeSet<Topic>,
    level: Option<Level>,
}

impl Feed<'_> {
    async fn follow_level(&mut self, wishes: &Wishes, ear: &Ear<'_>) -> Result<(), Unanswered> {
        let Some(wanted) = wishes.level().filter(|wanted| self.level != Some(*wanted)) else { return Ok(()) };
        // A server that refuses says what it says; there is nothing more to ask of it.
        let _ = self.request("logging/setLevel", ("level", Raw::text(wanted.name()))).await?;
        self.level = Some(wanted);
        wishes.told(ear.number, wanted);
        Ok(())
    }

    async fn follow_topics(&mut self, source: &Source<'_>) -> Result<(), Unanswered> {
        let wanted = source.wanted();
        let new: Vec<_> = wanted.difference(&self.held).cloned().collect();
        for topic in new {
            let Topic::Resource(uri) = &topic else { continue };
            let answer = self.request("resources/subscribe", ("uri", Raw::text(uri))).await?;
            source.settle(&topic, answer.map(|_| ()).map_err(Fault::Theirs));
            self.held.insert(topic);
        }
        let old: Vec<_> = self.held.difference(&wanted).cloned().collect();
        for topic in old {
            if let Topic::Resource(uri) = &topic {
                // The server may have refused it, or have forgotten it already.
                let _ = self.request("resources/unsubscribe", ("uri", Raw::text(uri))).await?;
            }
            self.held.remove(&topic);
        }
        Ok(())
    }

    async fn request(&self, method: &'static str, param: (&'static str, Raw)) -> Result<Outcome, Unanswered> {
        let params = Some(Members::from_iter([param]).to_raw());
        let request = Outgoing { method: method.into(), params, mirrored: Vec::new() };
        match timeout(PATIENCE, self.line.request(request, None)).await {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(_)) | Err(_) => Err(Unanswered),
        }
    }

    fn has_logs(&self) -> bool {
        self.capability(&["logging"]).is_some()
    }

    fn has_subscriptions(&self) -> bool {
        self.capability(&["resources", "subscribe"]) == Some(true.into())
    }

    fn capability(&self, path: &[&str]) -> Option<Raw> {
        at(&at(self.line.introduction(), &["capabilities"])?, path)
    }
}
