//! Tasks: calls whose results are fetched later. Their ids leave sealed, so that they lead back to their upstream, and are of use
//! to their owner only.

use std::sync::Arc;

use auth::Caller;
use json_rpc::{Error, Members, Notification, Raw};

use super::{
    call,
    client::Client,
    forward::Forward,
    glance::{at, mentions},
    known_tasks::{KnownTasks, Whose},
    methods::Incoming,
    sealed::{Seal, Theirs},
    task_lists,
};
use crate::{
    errors::{self, Answer, Refusal},
    fleet::Place,
    relay::Relay,
};

/// The key of `_meta` that says which task something belongs to, before 2026-07-28.
const RELATED: &str = "io.modelcontextprotocol/related-task";

/// The extension of the newer era.
pub(super) const EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// Where the tasks of a message live, and whose they are.
#[derive(Clone, Copy)]
pub(crate) struct Tasks<'a> {
    pub(crate) seal: &'a Seal,
    pub(crate) owner: Caller,
    pub(crate) upstream: &'a Arc<str>,
    /// The replica, if it is known.
    pub(crate) place: Option<Place>,
    pub(crate) known: &'a KnownTasks,
}

impl<'a> Tasks<'a> {
    /// The tasks of this owner at this upstream.
    pub(crate) fn of(relay: &'a Relay, owner: Caller, upstream: &'a Arc<str>, place: Option<Place>) -> Self {
        Self { seal: &relay.seal, owner, upstream, place, known: &relay.tasks }
    }

    /// A result as the client is to get it.
    pub(crate) fn result(&self, method: &str, result: Raw) -> Raw {
        change(result, |members| {
            let kind = members.get("resultType").map(Raw::as_bytes);
            let inner = if method.starts_with("tasks/") || kind == Some(br#""task""#) {
                self.whole(members)
            } else if members.get("content").is_none() {
                // The older era's answer to a call that is to be a task.
                inside(members, "task", |task| self.rename(task))
            } else {
                false
            };
            self.related(members) | inner
        })
    }

    /// One of the tasks of a list.
    pub(crate) fn listed(&self, task: Raw) -> Raw {
        change(task, |task| self.rename(task))
    }

    /// A notification as the client is to get it.
    pub(crate) fn notification(&self, notification: Notification) -> Notification {
        let is_status = notification.method.starts_with("notifications/tasks");
        let change =
            |params| change(params, |members| (is_status && self.whole(members)) | self.related(members));
        Notification { params: notification.params.map(change), ..notification }
    }

    /// The parameters of a question as the client is to get them.
    pub(crate) fn question(&self, params: Raw) -> Raw {
        change(params, |members| self.related(members))
    }

    /// This id as the client is to know it.
    pub(crate) fn id(&self, id: &Raw) -> String {
        let known = || Some(self.known.whose(self.upstream, None, id)?.place);
        let place = self.place.or_else(known).map(|place| place.0.into());
        self.seal.task(&Theirs { upstream: self.upstream.clone(), place, value: id.clone() }, self.owner)
    }

    /// A task with what it came to.
    fn whole(&self, task: &mut Members) -> bool {
        self.rename(task) | inside(task, "result", |result| self.related(result))
    }

    fn rename(&self, task: &mut Members) -> bool {
        let Some(id) = task.get("taskId") else { return false };
        let id = self.id(id);
        task.set("taskId", Raw::text(&id));
        true
    }

    fn related(&self, members: &mut Members) -> bool {
        inside(members, "_meta", |meta| inside(meta, RELATED, |related| self.rename(related)))
    }
}

/// The task that a question is about, as the upstream knows it.
pub(crate) fn asked_about(params: &Raw) -> Option<Raw> {
    names_tasks(params).then(|| at(params, &["_meta", RELATED, "taskId"])).flatten()
}

/// The object after this change, which says whether it changes anything. One that names no task stays as it is.
fn change(object: Raw, change: impl FnOnce(&mut Members) -> bool) -> Raw {
    if !names_tasks(&object) {
        return object;
    }
    let Ok(mut members) = Members::of(&object) else { return object };
    if change(&mut members) { members.to_raw() } else { object }
}

/// Changes the object that is the member of this name.
fn inside(members: &mut Members, name: &str, change: impl FnOnce(&mut Members) -> bool) -> bool {
    let Some(Ok(mut inner)) = members.get(name).map(Members::of) else { return false };
    let is_changed = change(&mut inner);
    if is_changed {
        members.set(name, inner);
    }
    is_changed
}

/// Whether this may name a task. Most messages do not, and looking for the text is quick.
fn names_tasks(object: &Raw) -> bool {
    mentions(object, "\"taskId\"")
}

/// A result on its way to the client, which is remembered as the owner of a task that has begun.
pub(crate) fn onward(relay: &Relay, client: &Client, forward: &Forward, place: Place, result: Raw) -> Raw {
    if !names_tasks(&result) {
        return result;
    }
    let (owner, upstream) = (client.owner(), forward.upstream.name());
    if let Some(id) = begun(&forward.method, &result) {
        relay.tasks.belongs(upstream, &id, Whose { owner, session: client.session.number, place });
    }
    Tasks::of(relay, owner, upstream, Some(place)).result(&forward.method, result)
}

/// The id of the task that a call has become, as the upstream knows it.
fn begun(method: &str, result: &Raw) -> Option<Raw> {
    if method != "tools/call" {
        return None;
    }
    let result = Members::of(result).ok()?;
    if result.get("resultType").is_some_and(|kind| kind.as_bytes() == br#""task""#) {
        return result.get("taskId").cloned();
    }
    let task = result.get("task").filter(|_| result.get("content").is_none())?;
    Members::of(task).ok()?.get("taskId").cloned()
}

/// Answers a request about tasks.
pub(crate) async fn answer(relay: &Arc<Relay>, mut incoming: Incoming) -> Answer {
    match incoming.method.as_ref() {
        "tasks/list" => return task_lists::list(relay, incoming).await,
        "tasks/get" | "tasks/result" | "tasks/update" | "tasks/cancel" => {}
        _ => return Err(errors::method_not_found("the gateway knows no such method").into()),
    }
    if incoming.client.is_modern {
        permitted(relay, &incoming)?;
    }
    let id = incoming.text("taskId")?;
    let task = relay.seal.open_task(&id, incoming.client.owner()).map_err(|_| unknown_task())?;
    let view = relay.view();
    let member = view.members.get(&task.upstream).ok_or_else(unknown_task)?;
    let stay = task.place();
    remember(relay, &incoming.client, &task);
    incoming.params.set("taskId", task.value);
    let is_look = incoming.method == "tasks/get";
    let (forward, client, link) = Forward::of(incoming, member.upstream.clone(), id);
    // What the task changed, others may have read before.
    let changes = (!is_look).then(|| relay.cache.changing(&task.upstream));
    let answer = call::carry(relay, client, link, Forward { stay, ..forward }).await;
    if let Some(changes) = changes {
        changes.answered(&answer);
    }
    if is_look && answer.as_ref().is_ok_and(|task| at(task, &["status"]) != Some(Raw::text("working"))) {
        relay.cache.forget(&task.upstream);
    }
    answer
}

/// Whoever has the id of a task may be asked what the task needs to know, after a restart and in another session too.
fn remember(relay: &Relay, client: &Client, task: &Theirs) {
    let Some(place) = task.place() else { return };
    let session = &client.session;
    if !session.is_brief || relay.tasks.whose(&task.upstream, Some(place), &task.value).is_none() {
        let whose = Whose { owner: session.caller, session: session.number, place };
        relay.tasks.belongs(&task.upstream, &task.value, whose);
    }
}

/// Whether a client of the newer era may speak of tasks: as a server must, the gateway asks for the extension.
fn permitted(relay: &Relay, incoming: &Incoming) -> Result<(), Refusal> {
    let declares = |capabilities: &Raw| at(capabilities, &["extensions", EXTENSION]).map(|_| ());
    if declares(&relay.view().catalogue.capabilities(true)).is_none() {
        return Err(errors::method_not_found("no upstream offers tasks to clients of this revision"));
    }
    declares(&incoming.client.capabilities).ok_or_else(errors::missing_tasks_capability)
}

fn unknown_task() -> Refusal {
    let message = "there is no such task of this client: use the id that the gateway gave";
    Refusal::new(Error::INVALID_PARAMS, "TASK_NOT_FOUND", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_tasks(check: impl Fn(Tasks<'_>)) {
        let owner = auth::Keys::new(&[]).caller(&http::HeaderMap::new()).unwrap();
        let (seal, upstream, known) = (Seal::new(None), Arc::from("jobs"), KnownTasks::default());
        check(Tasks { seal: &seal, owner, upstream: &upstream, place: Some(Place(1)), known: &known });
    }

    fn raw(text: &str) -> Raw {
        Raw::read(text.to_owned()).unwrap()
    }

    #[test]
    fn ids_of_tasks_are_sealed_wherever_they_are() {
        with_tasks(|tasks| {
            for (method, result) in [
                ("tools/call", r#"{"resultType":"task","taskId":"7","ttlMs":1.0,"status":"working"}"#),
                ("tools/call", r#"{"task":{"taskId":"7","status":"working","x":1.0},"_meta":{"y":1}}"#),
                (
                    "tools/call",
                    r#"{"content":[],"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"7"}}}"#,
                ),
                ("tasks/get", r#"{"resultType":"complete","taskId":"7","status":"working"}"#),
            ] {
                let sealed = tasks.result(method, raw(result));
                let id = Raw::text(&tasks.id(&Raw::text("7")));
                assert_eq!(sealed.as_str().replace(id.as_str(), r#""7""#), result);
                assert_ne!(sealed.as_str(), result);
            }
        });
    }

    #[test]
    fn what_a_tool_says_of_tasks_stays_as_it_is() {
        with_tasks(|tasks| {
            for result in [
                r#"{ "content":[], "structuredContent":{"taskId":"7"}, "taskId":"7", "task":{"taskId":"7"} }"#,
                r#"{ "content":[{"type":"text","text":"\"taskId\""}] }"#,
            ] {
                assert_eq!(tasks.result("tools/call", raw(result)).as_str(), result);
                assert!(begun("tools/call", &raw(result)).is_none());
            }
        });
    }

    #[test]
    fn a_call_that_became_a_task_is_known_by_its_id() {
        let newer = raw(r#"{"resultType":"task","taskId":"7"}"#);
        let older = raw(r#"{"task":{"taskId":"8"}}"#);
        assert_eq!(begun("tools/call", &newer), Some(Raw::text("7")));
        assert_eq!(begun("tools/call", &older), Some(Raw::text("8")));
        assert_eq!(begun("tasks/get", &newer), None);
    }

    #[test]
    fn status_and_progress_name_the_task_as_the_client_knows_it() {
        with_tasks(|tasks| {
            let id = Raw::text(&tasks.id(&Raw::text("7")));
            let related = r#"{"progress":1,"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"7"}}}"#;
            for (method, params) in
                [("notifications/tasks/status", r#"{"taskId":"7"}"#), ("notifications/progress", related)]
            {
                let sealed = tasks.notification(Notification::new(method, Some(raw(params))));
                assert_eq!(sealed.params.unwrap().as_str().replace(id.as_str(), r#""7""#), params);
            }
        });
    }
}
