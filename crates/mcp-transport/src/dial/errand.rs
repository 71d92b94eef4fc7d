//! A request under way on a connection that carries many, and what comes for it.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Poll,
};

use futures_util::task::AtomicWaker;
use json_rpc::{Id, Notification, Outcome, Raw};

use super::token::{PROGRESS, Token};
use crate::connect::link::{Fate, LinkError};

/// Notifications that wait until the party takes them, as many as may be told of different things; then some go, see
/// [`Mail::make_room`].
const MAX_TOLD: usize = 1024;
/// The same in bytes. One is kept whatever its size.
const MAX_TOLD_BYTES: usize = 1 << 20;
/// Questions of the server that wait for an answer, for one request.
const MAX_ASKED: usize = 64;

/// What is heard, and answered, of what a server says because of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hearing {
    /// Nothing: it has no party.
    Nothing,
    /// What names it, and no more: it listens to a subscription, for as long as the connection lives perhaps.
    Named,
    /// Everything.
    Everything,
}

/// A request under way.
pub(super) struct Errand {
    pub(super) number: u64,
    /// What is heard of what the server says because of it.
    pub(super) hearing: Hearing,
    /// The party's progress token.
    pub(super) token: Option<Token>,
    mail: Mutex<Mail>,
    reader: AtomicWaker,
}

#[derive(Default)]
struct Mail {
    letters: VecDeque<Letter>,
    told: usize,
    told_bytes: usize,
    /// The server's questions that nobody has answered yet.
    asked: Vec<Id>,
    stage: Stage,
}

/// How far the request has come.
#[derive(Default)]
enum Stage {
    #[default]
    Queued,
    /// It is being written.
    Begun,
    /// It is being written to a connection that has ended: soon it is known whether all of it was.
    Severed,
    /// The server may have it.
    Written,
    /// It has come to this, which nobody has read yet.
    Settled(Result<Outcome, LinkError>),
    /// Nobody waits for it any more.
    Over,
}

/// What comes for a request.
pub(super) enum Letter {
    Told(Notification),
    Asked {
        id: Id,
        method: String,
        params: Option<Raw>,
    },
    /// The server does not want the answer to this question any more.
    Withdrawn(Id),
    Settled(Result<Outcome, LinkError>),
}

/// What is left of a request that nobody waits for any more.
pub(super) struct Remains {
    /// The server may be working on it.
    pub(super) is_begun: bool,
    /// What the server asked and nobody answered.
    pub(super) asked: Vec<Id>,
}

impl Errand {
    pub(super) fn new(number: u64, hearing: Hearing, token: Option<Token>) -> Self {
        Self { number, hearing, token, mail: Mutex::default(), reader: AtomicWaker::new() }
    }

    fn mail(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What comes next; [`Letter::Settled`] is the last. May be dropped at any time.
    pub(super) async fn next(&self) -> Letter {
        poll_fn(|context| {
            self.reader.register(context.waker());
            self.mail().take().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Something for the party to hear.
    pub(super) fn tell(&self, notification: Notification) {
        let mut mail = self.mail();
        if mail.make_room(&notification) {
            mail.told += 1;
            mail.told_bytes += size(&notification);
            mail.letters.push_back(Letter::Told(notification));
        }
        drop(mail);
        self.reader.wake();
    }

    /// Something for the party to answer; `Err` when it has too many questions already, or is gone.
    pub(super) fn ask(&self, id: Id, method: String, params: Option<Raw>) -> Result<(), Id> {
        let mut mail = self.mail();
        if mail.asked.len() == MAX_ASKED || matches!(mail.stage, Stage::Settled(_) | Stage::Over) {
            return Err(id);
        }
        mail.asked.push(id.clone());
        mail.letters.push_back(Letter::Asked { id, method, params });
        drop(mail);
        self.reader.wake();
        Ok(())
    }

    /// Whether this question was open. From now on its answer is nobody's concern.
    pub(super) fn answers(&self, question: &Id) -> bool {
        let mut mail = self.mail();
        let place = mail.asked.iter().position(|asked| asked == question);
        place.map(|place| mail.asked.swap_remove(place)).is_some()
    }

    /// Whether this question was open. The party is stopped.
    pub(super) fn withdraw(&self, question: &Id) -> bool {
        let is_ours = self.answers(question);
        if is_ours {
            let mut mail = self.mail();
            mail.letters.retain(|letter| !matches!(letter, Letter::Asked { id, .. } if id == question));
            mail.letters.push_back(Letter::Withdrawn(question.clone()));
            drop(mail);
            self.reader.wake();
        }
        is_ours
    }

    /// What the request has come to.
    pub(super) fn settle(&self, result: Result<Outcome, LinkError>) {
        let mut mail = self.mail();
        if !matches!(mail.stage, Stage::Settled(_) | Stage::Over) {
            mail.stage = Stage::Settled(result);
        }
        drop(mail);
        self.reader.wake();
    }

    /// The connection has ended.
    pub(super) fn lose(&self) {
        let error = {
            let mut mail = self.mail();
            match mail.stage {
                Stage::Queued => LinkError::Closed,
                Stage::Begun => {
                    mail.stage = Stage::Severed;
                    return;
                }
                _ => LinkError::Unanswered,
            }
        };
        self.settle(Err(error));
    }

    /// Nobody waits any more.
    pub(super) fn leave(&self) -> Remains {
        let mut mail = self.mail();
        let is_begun = matches!(mail.stage, Stage::Begun | Stage::Written);
        mail.stage = Stage::Over;
        mail.letters.clear();
        (mail.told, mail.told_bytes) = (0, 0);
        Remains { is_begun, asked: std::mem::take(&mut mail.asked) }
    }
}

impl Mail {
    /// Makes room for one more notification, if the party has fallen behind: what matters least goes, and of that the oldest.
    /// Returns whether it is to be kept: not when it says that something changed, and the same is waiting already.
    fn make_room(&mut self, coming: &Notification) -> bool {
        let is_full = |mail: &Self| {
            mail.told >= MAX_TOLD || mail.told > 0 && mail.told_bytes + size(coming) > MAX_TOLD_BYTES
        };
        if !is_full(self) {
            return true;
        }
        let is_same = |letter: &Letter| matches!(letter, Letter::Told(told) if is_same(told, coming));
        if self.letters.iter().any(is_same) {
            return false;
        }
        while is_full(self) {
            let told = self.letters.iter().enumerate().filter_map(|(place, letter)| match letter {
                Letter::Told(told) => Some((place, told)),
                _ => None,
            });
            let Some((place, method)) =
                told.min_by_key(|(_, told)| worth(told)).map(|(place, told)| (place, told.method.clone()))
            else {
                break;
            };
            if method == PROGRESS {
                tracing::debug!("nobody takes what the server says about a request: progress is dropped");
            } else {
                tracing::warn!(
                    method = &*method,
                    "nobody takes what the server says: a notification is dropped"
                );
            }
            if let Some(Letter::Told(dropped)) = self.letters.remove(place) {
                self.told -= 1;
                self.told_bytes -= size(&dropped);
            }
        }
        true
    }

    fn take(&mut self) -> Option<Letter> {
        if let Some(letter) = self.letters.pop_front() {
            if let Letter::Told(told) = &letter {
                self.told -= 1;
                self.told_bytes -= size(told);
            }
            return Some(letter);
        }
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Settled(result) => Some(Letter::Settled(result)),
            stage => {
                self.stage = stage;
                None
            }
        }
    }
}

/// How much is lost with it: progress only ever gets better, and without its beginning a subscription is none.
fn worth(told: &Notification) -> u8 {
    match &*told.method {
        PROGRESS => 0,
        "notifications/message" => 1,
        "notifications/subscriptions/acknowledged" => 3,
        _ => 2,
    }
}

fn size(told: &Notification) -> usize {
    told.method.len() + told.params.as_ref().map_or(0, |params| params.as_bytes().len())
}

/// Whether both say that the same has changed, and no more.
fn is_same(one: &Notification, other: &Notification) -> bool {
    let is_change = one.method.ends_with("/list_changed") || one.method == "notifications/resources/updated";
    is_change && one.method == other.method && one.params == other.params
}

impl Fate for Errand {
    fn begins(&self) -> bool {
        let mut mail = self.mail();
        let is_wanted = matches!(mail.stage, Stage::Queued);
        if is_wanted {
            mail.stage = Stage::Begun;
        }
        is_wanted
    }

    fn settled(&self, outcome: Result<(), LinkError>) {
        let error = {
            let mut mail = self.mail();
            match (outcome, &mail.stage) {
                (Err(error), _) => error,
                (Ok(()), Stage::Severed) => LinkError::Unanswered,
                (Ok(()), Stage::Begun) => {
                    mail.stage = Stage::Written;
                    return;
                }
                (Ok(()), _) => return, // the answer was faster, or nobody waits for it
            }
        };
        self.settle(Err(error));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn told(method: &'static str, text: impl std::fmt::Display) -> Notification {
        Notification::new(method, Some(Raw::text(&text.to_string())))
    }

    fn heard(errand: &Errand) -> Vec<(String, String)> {
        let letters = std::iter::from_fn(|| errand.next().now_or_never());
        let told = letters.filter_map(|letter| match letter {
            Letter::Told(told) => Some((told.method.into_owned(), told.params.unwrap().parse().unwrap())),
            _ => None,
        });
        told.collect()
    }

    fn count(heard: &[(String, String)], method: &str) -> usize {
        heard.iter().filter(|(heard, _)| heard == method).count()
    }

    const UPDATED: &str = "notifications/resources/updated";
    const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";

    #[test]
    fn who_falls_behind_loses_progress_first_and_is_told_nothing_twice() {
        let errand = Errand::new(1, Hearing::Everything, None);
        errand.tell(told(ACKNOWLEDGED, ""));
        for number in 0..MAX_TOLD {
            errand.tell(told(PROGRESS, number));
        }
        for _ in 0..2 {
            for number in 0..MAX_TOLD - 10 {
                errand.tell(told(UPDATED, number));
            }
        }
        let heard = heard(&errand);
        assert_eq!(heard[0].0, ACKNOWLEDGED);
        assert_eq!(count(&heard, UPDATED), MAX_TOLD - 10);
        assert_eq!(heard[1], (PROGRESS.to_owned(), (MAX_TOLD - 9).to_string()));
        assert_eq!(heard.len(), MAX_TOLD);
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_too_and_one_message_is_always_kept() {
        let errand = Errand::new(1, Hearing::Everything, None);
        let long = "x".repeat(MAX_TOLD_BYTES / 4);
        for number in 0..20 {
            errand.tell(told(UPDATED, format!("{number}{long}")));
        }
        assert_eq!(heard(&errand).len(), 3);
        errand.tell(told(UPDATED, long.repeat(10)));
        assert_eq!(heard(&errand).len(), 1);
        assert!(heard(&errand).is_empty());
    }
}
