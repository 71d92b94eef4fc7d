//! Clients that can be told something at any time.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use json_rpc::{Members, Notification};
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

use super::{
    level::Level,
    mailbox::{Mailbox, News, addressed, bare},
    wishes::{Hearer, Topic, Wishes},
};
use crate::{catalogue::Kind, session::Session};

/// Most things that one client may follow.
pub(crate) const MOST_TOPICS: usize = 1024;

/// Which lists a client wants to hear of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lists {
    pub(crate) tools: bool,
    pub(crate) prompts: bool,
    pub(crate) resources: bool,
}

impl Lists {
    const ALL: Self = Self { tools: true, prompts: true, resources: true };

    fn holds(self, kind: Kind) -> bool {
        match kind {
            Kind::Tools => self.tools,
            Kind::Prompts => self.prompts,
            Kind::Resources | Kind::Templates => self.resources,
        }
    }
}

/// Clients that can be told something at any time: sessions of the older era, and streams of the newer.
#[derive(Default)]
pub(crate) struct Audience {
    members: Mutex<HashMap<Hearer, Member>>,
    streams: AtomicU64,
    /// What tells sessions, while there is something to tell.
    tellers: TaskTracker,
}

struct Member {
    mailbox: Arc<Mailbox>,
    lists: Lists,
    topics: Vec<Followed>,
    session: Option<Weak<Session>>,
    teller: Option<AbortHandle>,
}

/// What a client follows.
struct Followed {
    wishes: Arc<Wishes>,
    topic: Topic,
    /// The name by which the client knows it.
    here: Arc<str>,
}

/// A stream of a client of the newer era; it ends when this is dropped.
pub(crate) struct Stream<'a> {
    audience: &'a Audience,
    pub(crate) hearer: Hearer,
    pub(crate) mailbox: Arc<Mailbox>,
}

impl Audience {
    /// A session of the older era has begun: it hears of all lists.
    pub(crate) fn joined(&self, session: &Arc<Session>) {
        let member = Member::new(Lists::ALL, Some(Arc::downgrade(session)));
        self.members().entry(Hearer::Session(session.number)).or_insert(member);
    }

    /// A stream of the newer era has begun.
    pub(crate) fn stream(&self, lists: Lists) -> Stream<'_> {
        let hearer = Hearer::Stream(self.streams.fetch_add(1, Ordering::Relaxed));
        let member = Member::new(lists, None);
        let mailbox = member.mailbox.clone();
        self.members().insert(hearer, member);
        Stream { audience: self, hearer, mailbox }
    }

    /// A client has left, and follows nothing any more.
    pub(crate) fn left(&self, hearer: Hearer) {
        let Some(member) = self.members().remove(&hearer) else { return };
        for followed in member.topics {
            followed.wishes.remove(&followed.topic, hearer);
        }
        if let Some(teller) = member.teller {
            teller.abort();
        }
    }

    /// Notes that a client follows this. Whether it may.
    pub(crate) fn follow(&self, hearer: Hearer, wishes: &Arc<Wishes>, topic: &Topic, here: &str) -> bool {
        let mut members = self.members();
        let Some(member) = members.get_mut(&hearer).filter(|member| member.topics.len() < MOST_TOPICS) else {
            return false;
        };
        if !member.topics.iter().any(|known| known.is(wishes, topic)) {
            member.topics.push(Followed { wishes: wishes.clone(), topic: topic.clone(), here: here.into() });
        }
        wishes.add(topic.clone(), hearer, here.into());
        true
    }

    /// Notes that a client does not follow what it knows by this name any more.
    pub(crate) fn unfollow(&self, hearer: Hearer, here: &str) {
        let left: Vec<_> = match self.members().get_mut(&hearer) {
            Some(member) => member.topics.extract_if(.., |known| *known.here == *here).collect(),
            None => return,
        };
        for followed in left {
            followed.wishes.remove(&followed.topic, hearer);
        }
    }

    /// Tells who wants it that lists have changed.
    pub(crate) fn lists_changed(&self, kinds: &[Kind]) {
        for kind in kinds {
            let method = match kind {
                Kind::Tools => "notifications/tools/list_changed",
                Kind::Prompts => "notifications/prompts/list_changed",
                Kind::Resources | Kind::Templates => "notifications/resources/list_changed",
            };
            let news = News::about(method, bare(method));
            self.tell(|member| member.lists.holds(*kind).then(|| news.clone()));
        }
    }

    /// Tells all sessions of the older era.
    pub(crate) fn tell_sessions(&self, news: &News) {
        self.tell(|member| member.session.is_some().then(|| news.clone()));
    }

    /// Tells one client.
    pub(crate) fn tell_one(&self, hearer: Hearer, news: News) {
        let mut session = None;
        if let Some(member) = self.members().get_mut(&hearer) {
            session = self.put(member, news);
        }
        drop(session);
    }

    /// Tells sessions of the older era of a log message, those that want it: this one, or all.
    pub(crate) fn tell_log(&self, session: Option<u64>, notification: &Notification) {
        let level = notification
            .params
            .as_ref()
            .and_then(|params| Level::read(Members::of(params).ok()?.get("level")?));
        let Some(level) = level else { return };
        for known in self.sessions() {
            if session.is_none_or(|session| session == known.number) && known.level() <= level {
                let news = News::once(notification.clone());
                self.tell_one(Hearer::Session(known.number), news);
            }
        }
    }

    /// The least log messages that any session wants; `None` without sessions.
    pub(crate) fn least_level(&self) -> Option<Level> {
        self.sessions().iter().map(|session| session.level()).min()
    }

    /// Ends all that tells clients.
    pub(crate) async fn close(&self) {
        for member in self.members().values_mut() {
            if let Some(teller) = member.teller.take() {
                teller.abort();
            }
        }
        self.tellers.close();
        self.tellers.wait().await;
    }

    fn tell(&self, news: impl Fn(&Member) -> Option<News>) {
        let mut sessions = Vec::new();
        for member in self.members().values_mut() {
            if let Some(news) = news(member) {
                sessions.push(self.put(member, news));
            }
        }
    }

    /// Puts news into the mailbox of a member, and sees to it that it is told. The session must be dropped after the lock is free:
    /// it may be the last one to hold it, and its end wants the lock.
    fn put(&self, member: &mut Member, news: News) -> Option<Arc<Session>> {
        if !member.mailbox.put(news) {
            return None;
        }
        let session = member.session.as_ref()?.upgrade()?;
        let (mailbox, link) = (member.mailbox.clone(), session.link.clone());
        let teller = self.tellers.spawn(async move {
            while let Some(notification) = mailbox.take() {
                // One that cannot be told now may listen again later.
                let _ = link.tell(addressed(notification, None)).await;
            }
        });
        member.teller = Some(teller.abort_handle());
        Some(session)
    }

    /// All sessions of the older era.
    fn sessions(&self) -> Vec<Arc<Session>> {
        let members = self.members();
        members.values().filter_map(|member| member.session.as_ref()?.upgrade()).collect()
    }

    fn members(&self) -> MutexGuard<'_, HashMap<Hearer, Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    fn new(lists: Lists, session: Option<Weak<Session>>) -> Self {
        Self { mailbox: Arc::default(), lists, topics: Vec::new(), session, teller: None }
    }
}

impl Followed {
    fn is(&self, wishes: &Arc<Wishes>, topic: &Topic) -> bool {
        Arc::ptr_eq(&self.wishes, wishes) && self.topic == *topic
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        self.audience.left(self.hearer);
    }
}
