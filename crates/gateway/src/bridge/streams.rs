//! Streams of the newer era on which clients listen: `subscriptions/listen`.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use json_rpc::{Members, Notification, Raw};
use tokio::time::timeout;

use super::{
    audience::{Lists, MOST_TOPICS},
    glance::at,
    mailbox::{SUBSCRIPTION, addressed},
    methods::Incoming,
    subscriptions::{Followed, Inner},
    wishes::Topic,
};
use crate::{
    errors::{self, Answer, Refusal},
    fleet::Place,
    relay::Relay,
};

/// Longest wait for upstreams before the client is told what it will hear.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a client asks for.
struct Filter {
    lists: Lists,
    uris: Vec<String>,
    tasks: Vec<String>,
}

/// Something that a client follows, as it knows it.
struct Wanted {
    what: Followed,
    here: String,
}

/// Tells a client what it wants to hear until it is dropped, or the client has left.
pub(super) async fn listen(inner: &Arc<Inner>, relay: &Arc<Relay>, incoming: &Incoming) -> Answer {
    let Some(id) = incoming.link.request().map(|id| id.as_raw().clone()) else {
        return Err(errors::invalid_request("listening needs a request with an id").into());
    };
    let filter = Filter::of(&incoming.params)?;
    relay.known().await;
    let lists = filter.lists.offered(&relay.view().catalogue.capabilities(true));
    let stream = inner.audience.stream(lists);
    let mut wanted = Vec::new();
    for uri in filter.uris {
        match inner.resource(relay, &uri).await {
            Ok(what) => wanted.push(Wanted { what, here: uri }),
            Err(refusal) if refusal.is_denial() => incoming.trail.withholds(&uri, refusal.message()),
            Err(refusal) => incoming.trail.note(format!("{uri:?} is not followed: {}", refusal.message())),
        }
    }
    for id in filter.tasks {
        if let Ok(task) = relay.seal.open_task(&id, incoming.client.owner())
            && let Ok(there) = task.value.parse::<String>()
        {
            if let Some(member) = relay.view().members.get(&task.upstream) {
                member.upstream.wake();
            }
            let (wishes, place) = (inner.wishes(&task.upstream), task.place().unwrap_or(Place(0)));
            let topic = Topic::Task(place, there.into());
            wanted.push(Wanted { what: Followed { upstream: task.upstream, wishes, topic }, here: id });
        }
    }
    for Wanted { what, here } in &wanted {
        inner.audience.follow(stream.hearer, &what.wishes, &what.topic, here);
    }
    let mut upstreams = wanted.iter().map(|wanted| &wanted.what.upstream);
    if let Some(upstream) = upstreams.next()
        && upstreams.all(|other| other == upstream)
    {
        incoming.trail.leads_to(upstream);
    }
    let agreed = agreed(&wanted).await;
    let told =
        Notification::new("notifications/subscriptions/acknowledged", Some(acknowledgement(lists, &agreed)));
    let mut next = addressed(told, Some(&id));
    for refused in wanted.iter().filter(|wanted| !agreed.iter().any(|agreed| std::ptr::eq(*agreed, *wanted)))
    {
        incoming.trail.note(format!("{:?} is not followed: its upstream refused", refused.here));
        inner.audience.unfollow(stream.hearer, &refused.here);
    }
    while incoming.link.tell(next).await.is_ok() {
        next = addressed(stream.mailbox.next().await, Some(&id));
    }
    let meta = Members::from_iter([(SUBSCRIPTION, id)]);
    Ok(Members::from_iter([("resultType", Raw::text("complete")), ("_meta", meta.to_raw())]).to_raw())
}

/// What upstreams agreed to tell of. One that does not answer yet may do so later.
async fn agreed(wanted: &[Wanted]) -> Vec<&Wanted> {
    let settled = join_all(wanted.iter().map(|wanted| async move {
        let settled = timeout(PATIENCE, wanted.what.wishes.settled(&wanted.what.topic)).await;
        settled.unwrap_or(Ok(())).is_ok().then_some(wanted)
    }));
    settled.await.into_iter().flatten().collect()
}

/// What the client will hear of.
fn acknowledgement(lists: Lists, agreed: &[&Wanted]) -> Raw {
    let mut notifications = Members::default();
    let changes = [
        ("toolsListChanged", lists.tools),
        ("promptsListChanged", lists.prompts),
        ("resourcesListChanged", lists.resources),
    ];
    for (name, _) in changes.into_iter().filter(|(_, is_told)| *is_told) {
        notifications.set(name, true);
    }
    let (uris, tasks): (Vec<&Wanted>, Vec<&Wanted>) =
        agreed.iter().partition(|wanted| matches!(wanted.what.topic, Topic::Resource(_)));
    for (name, wanted) in [("resourceSubscriptions", uris), ("taskIds", tasks)] {
        if !wanted.is_empty() {
            let names: Vec<_> = wanted.iter().map(|wanted| &wanted.here).collect();
            notifications.set(name, Raw::of(&names).expect("texts are always JSON"));
        }
    }
    Members::from_iter([("notifications", notifications.to_raw())]).to_raw()
}

impl Filter {
    fn of(params: &Members) -> Result<Self, Refusal> {
        let wrong =
            || errors::invalid_params("notifications must say what to tell: flags, and lists of texts");
        let filter = params.get("notifications").and_then(|filter| Members::of(filter).ok());
        let filter = filter.ok_or_else(wrong)?;
        let given = |name| filter.get(name).filter(|value| !value.is_null());
        let flag = |name| given(name).map_or(Ok(false), |flag| flag.parse().map_err(|_| wrong()));
        let list = |name| given(name).map_or(Ok(Vec::new()), |list| list.parse().map_err(|_| wrong()));
        let lists = Lists {
            tools: flag("toolsListChanged")?,
            prompts: flag("promptsListChanged")?,
            resources: flag("resourcesListChanged")?,
        };
        let (uris, tasks): (Vec<String>, Vec<String>) = (list("resourceSubscriptions")?, list("taskIds")?);
        if uris.len() + tasks.len() > MOST_TOPICS {
            return Err(errors::invalid_params(format!(
                "at most {MOST_TOPICS} resources and tasks can be followed"
            )));
        }
        Ok(Self { lists, uris, tasks })
    }
}

impl Lists {
    /// Those of them that there are, with these capabilities.
    fn offered(self, capabilities: &Raw) -> Self {
        let tells = |name| at(capabilities, &[name, "listChanged"]) == Some(true.into());
        Self {
            tools: self.tools && tells("tools"),
            prompts: self.prompts && tells("prompts"),
            resources: self.resources && tells("resources"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &'static str) -> Members {
        Members::of(&Raw::read(text).unwrap()).unwrap()
    }

    #[test]
    fn a_filter_is_what_it_must_be() {
        for wrong in [
            "{}",
            r#"{"notifications":[]}"#,
            r#"{"notifications":{"toolsListChanged":"yes"}}"#,
            r#"{"notifications":{"resourceSubscriptions":"a:b"}}"#,
            r#"{"notifications":{"resourceSubscriptions":[1]}}"#,
        ] {
            assert!(Filter::of(&members(wrong)).is_err(), "{wrong}");
        }
        let filter = r#"{"notifications":{"toolsListChanged":true,"promptsListChanged":null,"resourceSubscriptions":["a:b"],"x":1}}"#;

        let filter = Filter::of(&members(filter)).unwrap();

        assert_eq!(filter.lists, Lists { tools: true, ..Lists::default() });
        assert_eq!(filter.uris, ["a:b"]);
    }

    #[test]
    fn a_client_is_told_what_it_will_hear_and_nothing_else() {
        let lists = Lists { tools: true, prompts: true, resources: false };
        let capabilities = Raw::read(r#"{"tools":{"listChanged":true},"prompts":{},"x":1}"#).unwrap();
        let wanted = Wanted {
            what: Followed {
                upstream: "far".into(),
                wishes: Arc::default(),
                topic: Topic::Task(Place(0), "7".into()),
            },
            here: "sealed".to_owned(),
        };

        let told = acknowledgement(lists.offered(&capabilities), &[&wanted]);

        assert_eq!(told.as_str(), r#"{"notifications":{"toolsListChanged":true,"taskIds":["sealed"]}}"#);
    }
}
