//! Asking a client of the older era what an upstream wants to know.

use std::sync::Arc;

use json_rpc::{Outcome, Raw};
use mcp_transport::Link;

use super::{
    known_tasks::Whose,
    questions::{allowed, without_progress},
    tasks::{self, Tasks},
};
use crate::{errors, relay::Relay, session::Session};

/// Asks the client of this session over this link, if it has declared that it may be asked this. What is about a task is asked
/// of whoever has the task, whichever client's call it came with.
pub(crate) async fn ask(
    relay: &Relay,
    session: &Session,
    link: &Link,
    upstream: &Arc<str>,
    (method, params): (&str, Option<Raw>),
) -> Outcome {
    let whose = whose(relay, upstream, params.as_ref())?;
    let other = match whose.filter(|whose| whose.session != session.number) {
        Some(whose) => {
            let other = relay.session(whose.session);
            Some(other.ok_or_else(|| errors::not_answered("the client that the task belongs to has left"))?)
        }
        None => None,
    };
    let (session, link) = other.as_ref().map_or((session, link), |other| (other, &other.link));
    let Some(introduction) = session.introduction() else {
        return Err(errors::not_answered("clients of the newer era can be asked during their requests only"));
    };
    allowed(method, params.as_ref(), &introduction.capabilities)?;
    let tasks = Tasks::of(relay, session.caller, upstream, whose.map(|whose| whose.place));
    let params = params.map(|params| without_progress(tasks.question(params)));
    let answer = link.ask(method, params).await;
    answer.unwrap_or_else(|_gone| Err(errors::not_answered("the client has left, or cannot be asked")))
}

/// Whose task a question is about, if it is about one.
pub(super) fn whose(relay: &Relay, upstream: &Arc<str>, params: Option<&Raw>) -> Result<Option<Whose>, Raw> {
    let Some(id) = params.and_then(tasks::asked_about) else { return Ok(None) };
    let whose = relay.tasks.whose(upstream, None, &id);
    whose.map(Some).ok_or_else(|| errors::not_answered("it is not known which client the task belongs to"))
}
