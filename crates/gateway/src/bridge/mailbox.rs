//! What a client is to be told outside of its calls, until it has time to hear it.

use std::{
    borrow::Cow,
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use json_rpc::{Members, Notification, Raw};
use tokio::sync::Notify;

/// Most messages that wait, beside those about lists and what was subscribed to. Of more the oldest are dropped.
const MOST_MESSAGES: usize = 256;

/// Most parts of what the client follows of which it is told one by one: there is no end of them.
const MOST_PARTS: usize = 256;

/// The key of `_meta` under which the newer era says which subscription a notification belongs to.
pub(crate) const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// Something to tell.
#[derive(Debug, Clone)]
pub(crate) struct News {
    /// What it is about: newer news of the same replace older. `None` for what must not be replaced.
    pub(crate) about: Option<Arc<str>>,
    /// What the client follows that this is a part of, if it does not follow just this.
    pub(crate) whole: Option<Arc<str>>,
    pub(crate) notification: Notification,
}

impl News {
    /// What must be told as it is.
    pub(crate) fn once(notification: Notification) -> Self {
        Self { about: None, whole: None, notification }
    }

    /// What replaces older news about the same.
    pub(crate) fn about(what: impl Into<Arc<str>>, notification: Notification) -> Self {
        Self { about: Some(what.into()), whole: None, notification }
    }

    /// News about the whole instead of a part.
    fn of_the_whole(self) -> Self {
        let Some(whole) = self.whole else { return self };
        let params = Members::from_iter([("uri", Raw::text(&whole))]).to_raw();
        Self::about(whole, Notification { params: Some(params), ..self.notification })
    }
}

/// What one client is to be told, in the order in which it came.
#[derive(Default)]
pub(crate) struct Mailbox {
    inside: Mutex<Inside>,
    has_come: Notify,
}

#[derive(Default)]
struct Inside {
    news: VecDeque<News>,
    messages: usize,
    /// News about parts of what the client follows.
    parts: usize,
    /// Whether somebody tells the client already.
    is_attended: bool,
}

impl Mailbox {
    /// Puts news in. Whether nobody attends to the mailbox: the caller must, then.
    pub(crate) fn put(&self, news: News) -> bool {
        let mut inside = self.inside();
        inside.put(news);
        let was_attended = std::mem::replace(&mut inside.is_attended, true);
        drop(inside);
        self.has_come.notify_one();
        !was_attended
    }

    /// Takes the next news out. Nobody attends to the mailbox any more once there is none.
    pub(crate) fn take(&self) -> Option<Notification> {
        let mut inside = self.inside();
        let next = inside.take();
        inside.is_attended = next.is_some();
        next
    }

    /// Waits for the next news: for one who attends to the mailbox all the time.
    pub(crate) async fn next(&self) -> Notification {
        loop {
            let next = {
                let mut inside = self.inside();
                inside.is_attended = true;
                inside.take()
            };
            match next {
                Some(next) => return next,
                None => self.has_come.notified().await,
            }
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn put(&mut self, news: News) {
        let is_old = |old: &News, news: &News| old.about == news.about;
        if news.whole.is_some() && !self.news.iter().any(|old| is_old(old, &news)) {
            if self.parts == MOST_PARTS {
                return self.put(news.of_the_whole());
            }
            self.parts += 1;
        }
        if news.about.is_none() {
            self.messages += 1;
            if self.messages > MOST_MESSAGES {
                self.messages -= 1;
                let oldest = self.news.iter().position(|old| old.about.is_none());
                oldest.and_then(|oldest| self.news.remove(oldest));
            }
        } else if let Some(old) = self.news.iter_mut().find(|old| is_old(old, &news)) {
            old.notification = news.notification;
            return;
        }
        self.news.push_back(news);
    }

    fn take(&mut self) -> Option<Notification> {
        let next = self.news.pop_front()?;
        self.messages -= usize::from(next.about.is_none());
        self.parts -= usize::from(next.whole.is_some());
        Some(next.notification)
    }
}

/// A notification as this subscription of the newer era carries it, or outside of any in the older.
pub(crate) fn addressed(mut notification: Notification, subscription: Option<&Raw>) -> Notification {
    let mut params = match &notification.params {
        Some(params) => Members::of(params).unwrap_or_default(),
        None => Members::default(),
    };
    let mut meta = params.get("_meta").and_then(|meta| Members::of(meta).ok()).unwrap_or_default();
    match subscription {
        Some(subscription) => meta.set(SUBSCRIPTION, subscription.clone()),
        None if meta.remove(SUBSCRIPTION).is_none() => return notification,
        None => {}
    }
    if meta.is_empty() {
        params.remove("_meta");
    } else {
        params.set("_meta", meta);
    }
    notification.params = (!params.is_empty()).then(|| params.to_raw());
    notification
}

/// A notification without parameters.
pub(crate) fn bare(method: impl Into<Cow<'static, str>>) -> Notification {
    Notification::new(method, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: String) -> News {
        News::once(Notification::new("notifications/message", Some(Raw::text(&text))))
    }

    fn update(uri: &str, text: &str) -> News {
        let notification = Notification::new("notifications/resources/updated", Some(Raw::text(text)));
        News::about(uri, notification)
    }

    fn texts(mailbox: &Mailbox) -> Vec<String> {
        std::iter::from_fn(|| mailbox.take()).map(|news| news.params.unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn newer_news_of_the_same_replace_older_in_their_place() {
        let mailbox = Mailbox::default();

        assert!(mailbox.put(update("a", "a1")));
        for news in [update("b", "b1"), message("m".to_owned()), update("a", "a2")] {
            assert!(!mailbox.put(news));
        }

        assert_eq!(texts(&mailbox), ["a2", "b1", "m"]);
        assert!(mailbox.put(update("a", "a3")), "nobody attends to an empty mailbox");
    }

    #[test]
    fn a_client_that_does_not_listen_loses_the_oldest_messages_only() {
        let mailbox = Mailbox::default();
        mailbox.put(update("a", "a1"));

        for number in 0..MOST_MESSAGES + 2 {
            mailbox.put(message(number.to_string()));
        }

        let texts = texts(&mailbox);
        assert_eq!((texts[0].as_str(), texts[1].as_str(), texts.len()), ("a1", "2", MOST_MESSAGES + 1));
    }

    #[test]
    fn a_client_is_told_of_the_whole_when_too_many_parts_of_it_change() {
        let mailbox = Mailbox::default();
        let part = |number: usize| News {
            whole: Some("file:///a/".into()),
            ..update(&format!("file:///a/{number}"), &number.to_string())
        };

        for number in (0..MOST_PARTS + 2).chain([1]) {
            mailbox.put(part(number));
        }

        let told: Vec<_> = std::iter::from_fn(|| mailbox.take()).map(|news| news.params.unwrap()).collect();
        assert_eq!(told.len(), MOST_PARTS + 1);
        assert_eq!(told[MOST_PARTS].as_str(), r#"{"uri":"file:///a/"}"#);
        mailbox.put(part(7));
        assert_eq!(texts(&mailbox), ["7"], "there is room again");
    }

    #[test]
    fn a_notification_names_the_subscription_that_it_belongs_to() {
        let notification = |text: &'static str| {
            Notification::new("notifications/resources/updated", Some(Raw::read(text).unwrap()))
        };
        let said = |notification: Notification| notification.params.map(|params| params.as_str().to_owned());
        let theirs = r#"{"uri":"u","_meta":{"io.modelcontextprotocol/subscriptionId":7,"x":1.0}}"#;

        let newer = addressed(notification(theirs), Some(&Raw::text("s")));
        let older = addressed(notification(theirs), None);

        let expected = r#"{"uri":"u","_meta":{"io.modelcontextprotocol/subscriptionId":"s","x":1.0}}"#;
        assert_eq!(said(newer).unwrap(), expected);
        assert_eq!(said(older).unwrap(), r#"{"uri":"u","_meta":{"x":1.0}}"#);
        assert_eq!(said(addressed(bare("notifications/tools/list_changed"), None)), None);
    }
}
