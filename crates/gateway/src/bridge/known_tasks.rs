//! Whose tasks are whose.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use auth::Caller;
use json_rpc::Raw;

use crate::fleet::Place;

/// Most tasks that are remembered. Forgotten ones can still be fetched by their ids.
const MOST_TASKS: usize = 4096;

/// Longest id of a task that is remembered, in bytes.
const LONGEST_ID: usize = 1024;

/// Which tasks were begun by whom.
#[derive(Default)]
pub(crate) struct KnownTasks(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// Replicas count their tasks each by itself, so that there can be several of one id.
    tasks: HashMap<Key, Vec<Whose>>,
    /// The oldest first.
    order: VecDeque<(Key, Place)>,
}

/// The upstream, and the id there.
type Key = (Arc<str>, Raw);

/// Who began a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Whose {
    pub(crate) owner: Caller,
    /// The session that had to do with it last.
    pub(crate) session: u64,
    pub(crate) place: Place,
}

impl Whose {
    /// Whether it is a task of this client. Without keys all clients are one caller, and their sessions tell them apart.
    pub(crate) fn is_of(&self, owner: Caller, session: u64) -> bool {
        self.owner == owner && (self.session == session || owner.number() != 0)
    }
}

impl KnownTasks {
    /// A call has become this task, or its owner asks for it.
    pub(crate) fn belongs(&self, upstream: &Arc<str>, id: &Raw, whose: Whose) {
        if id.as_bytes().len() > LONGEST_ID {
            return;
        }
        let mut known = self.known();
        let key = (upstream.clone(), id.clone());
        if let Some(tasks) = known.tasks.get_mut(&key)
            && let Some(task) = tasks.iter_mut().find(|task| task.place == whose.place)
        {
            *task = whose;
            return;
        }
        // What is remembered must not keep the whole message in memory that it came in.
        let id = Raw::read(id.as_bytes().to_vec()).expect("what was JSON is JSON");
        let key = (upstream.clone(), id);
        known.tasks.entry(key.clone()).or_default().push(whose);
        known.order.push_back((key, whose.place));
        if known.order.len() > MOST_TASKS {
            known.forget_oldest();
        }
    }

    /// Who began this task; without a place only if there is no doubt.
    pub(crate) fn whose(&self, upstream: &Arc<str>, place: Option<Place>, id: &Raw) -> Option<Whose> {
        let known = self.known();
        let tasks = known.tasks.get(&(upstream.clone(), id.clone()))?;
        match (place, &tasks[..]) {
            (Some(place), tasks) => tasks.iter().find(|task| task.place == place).copied(),
            (None, [task]) => Some(*task),
            (None, _) => None,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn forget_oldest(&mut self) {
        let Some((key, place)) = self.order.pop_front() else { return };
        let Some(tasks) = self.tasks.get_mut(&key) else { return };
        tasks.retain(|task| task.place != place);
        if tasks.is_empty() {
            self.tasks.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose(session: u64, place: u16) -> Whose {
        let owner = auth::Keys::new(&[]).caller(&http::HeaderMap::new()).unwrap();
        Whose { owner, session, place: Place(place) }
    }

    #[test]
    fn the_oldest_tasks_are_forgotten_first() {
        let (known, upstream) = (KnownTasks::default(), Arc::from("u"));

        for number in 0..=MOST_TASKS as u64 {
            known.belongs(&upstream, &number.into(), whose(number, 0));
        }

        assert_eq!(known.whose(&upstream, None, &0.into()), None);
        assert_eq!(known.whose(&upstream, None, &1.into()), Some(whose(1, 0)));
        assert_eq!(known.whose(&"another".into(), None, &1.into()), None);
    }

    #[test]
    fn tasks_of_replicas_that_count_alike_are_not_mixed_up() {
        let (known, upstream) = (KnownTasks::default(), Arc::from("u"));
        known.belongs(&upstream, &1.into(), whose(7, 0));
        assert_eq!(known.whose(&upstream, None, &1.into()), Some(whose(7, 0)));

        known.belongs(&upstream, &1.into(), whose(8, 1));

        assert_eq!(known.whose(&upstream, Some(Place(0)), &1.into()), Some(whose(7, 0)));
        assert_eq!(known.whose(&upstream, Some(Place(1)), &1.into()), Some(whose(8, 1)));
        assert_eq!(known.whose(&upstream, None, &1.into()), None, "whose that is cannot be told");
    }

    #[test]
    fn where_no_keys_tell_clients_apart_their_sessions_do() {
        let task = whose(7, 0);
        assert!(task.is_of(task.owner, 7));
        assert!(!task.is_of(task.owner, 8));
    }

    #[test]
    fn what_is_remembered_keeps_no_message_in_memory() {
        let (known, upstream) = (KnownTasks::default(), Arc::from("u"));
        let result = Raw::read(format!(r#"{{"taskId":"7","x":"{}"}}"#, "x".repeat(10_000))).unwrap();
        let id = json_rpc::Members::of(&result).unwrap().remove("taskId").unwrap();

        known.belongs(&upstream, &id, whose(7, 0));

        let kept = known.known().tasks.keys().next().unwrap().1.clone();
        drop((result, id));
        known.known().tasks.clear();
        known.known().order.clear();
        assert!(kept.into_bytes().is_unique(), "it is a copy");
    }

    #[test]
    fn ids_beyond_measure_are_not_remembered() {
        let (known, upstream) = (KnownTasks::default(), Arc::from("u"));
        let id = Raw::text(&"x".repeat(LONGEST_ID));
        known.belongs(&upstream, &id, whose(7, 0));
        assert_eq!(known.whose(&upstream, None, &id), None);
    }
}
