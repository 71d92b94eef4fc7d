//! Reports of progress, and whose call they are about.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rmcp::model::{ProgressNotificationParam, ProgressToken};
use tokio::sync::Notify;

use crate::Progress;

/// A server may report before we know which of its requests this token belongs to.
const MAX_EARLY: usize = 32;

pub(crate) type Listener = Arc<dyn Fn(Progress) + Send + Sync>;

/// The calls of one connection that are under way, by their tokens.
#[derive(Default)]
pub(crate) struct Routes(Mutex<Table>);

#[derive(Default)]
struct Table {
    routes: HashMap<ProgressToken, Arc<Route>>,
    early: VecDeque<ProgressNotificationParam>,
}

/// Where the reports of one request go.
#[derive(Default)]
pub(crate) struct Route {
    /// Each report is one.
    pub(crate) signs: Notify,
    listener: Mutex<Option<Listening>>,
}

struct Listening {
    listener: Listener,
    last: f64,
}

impl Routes {
    /// Reports with this token go to `listener`, until what this returns is dropped.
    pub(crate) fn follow(&self, token: ProgressToken, listener: Option<Listener>) -> Followed<'_> {
        let listening = listener.map(|listener| Listening { listener, last: f64::NEG_INFINITY });
        let route = Arc::new(Route { signs: Notify::new(), listener: Mutex::new(listening) });
        let early: VecDeque<_> = {
            let mut table = self.table();
            table.routes.insert(token.clone(), route.clone());
            let early = std::mem::take(&mut table.early);
            let (ours, others) = early.into_iter().partition(|report| report.progress_token == token);
            table.early = others;
            ours
        };
        early.into_iter().for_each(|report| route.report(report));
        Followed { routes: self, token, route }
    }

    /// A server reports.
    pub(crate) fn heard(&self, report: ProgressNotificationParam) {
        let route = {
            let mut table = self.table();
            let Some(route) = table.routes.get(&report.progress_token).cloned() else {
                if table.early.len() == MAX_EARLY {
                    table.early.pop_front();
                }
                return table.early.push_back(report);
            };
            route
        };
        route.report(report);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Route {
    /// What does not grow is a sign of life, but no progress.
    fn report(&self, report: ProgressNotificationParam) {
        self.signs.notify_one();
        // Locked while it is told, so that it is told in order and not after the call's end.
        if let Some(listening) = &mut *self.listener()
            && report.progress > listening.last
        {
            listening.last = report.progress;
            let ProgressNotificationParam { progress, total, message, .. } = report;
            (listening.listener)(Progress { progress, total, message });
        }
    }

    fn listener(&self) -> MutexGuard<'_, Option<Listening>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request whose reports are heard until this is dropped.
pub(crate) struct Followed<'a> {
    routes: &'a Routes,
    token: ProgressToken,
    pub(crate) route: Arc<Route>,
}

impl Drop for Followed<'_> {
    fn drop(&mut self) {
        self.routes.table().routes.remove(&self.token);
        *self.route.listener() = None;
    }
}

#[cfg(test)]
mod tests {
    use rmcp::model::NumberOrString;

    use super::*;

    fn token(number: i64) -> ProgressToken {
        ProgressToken(NumberOrString::Number(number))
    }

    fn listener() -> (Listener, Arc<Mutex<Vec<f64>>>) {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tells = told.clone();
        (Arc::new(move |progress: Progress| tells.lock().unwrap().push(progress.progress)), told)
    }

    #[test]
    fn what_a_server_reports_before_its_token_is_known_is_not_lost() {
        let (routes, (listener, told)) = (Routes::default(), listener());
        routes.heard(ProgressNotificationParam::new(token(1), 1.0));
        routes.heard(ProgressNotificationParam::new(token(2), 5.0));
        let _followed = routes.follow(token(1), Some(listener));
        routes.heard(ProgressNotificationParam::new(token(1), 2.0));
        assert_eq!(*told.lock().unwrap(), [1.0, 2.0]);
    }

    #[test]
    fn what_does_not_grow_is_left_out_and_after_the_end_nothing_is_told() {
        let (routes, (listener, told)) = (Routes::default(), listener());
        let followed = routes.follow(token(1), Some(listener));
        for progress in [1.0, 1.0, 0.5, f64::NAN, 3.0] {
            routes.heard(ProgressNotificationParam::new(token(1), progress));
        }
        drop(followed);
        routes.heard(ProgressNotificationParam::new(token(1), 4.0));
        assert_eq!(*told.lock().unwrap(), [1.0, 3.0]);
    }

    #[test]
    fn reports_for_nobody_are_not_kept_for_ever() {
        let routes = Routes::default();
        for number in 0..1_000 {
            routes.heard(ProgressNotificationParam::new(token(number), 1.0));
        }
        assert_eq!(routes.table().early.len(), MAX_EARLY);
    }
}
