//! The requests that came last: as many as there is room for.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use uuid::Uuid;

use super::{End, Trail};

/// Requests that are remembered.
const MOST: usize = 1024;

/// Memory that they may take, in bytes.
const MOST_BYTES: usize = 2 << 20;

/// What a request takes beside its texts, in bytes, about.
const FRAME: usize = 512;

#[derive(Default)]
pub(super) struct Memory(Mutex<Recent>);

#[derive(Default)]
struct Recent {
    trails: VecDeque<(Arc<Trail>, usize)>,
    bytes: usize,
}

impl Memory {
    /// Remembers a request that has come to its end.
    pub(super) fn keep(&self, trail: &Arc<Trail>) {
        let bytes = trail.size() + FRAME;
        let mut recent = self.recent();
        recent.bytes += bytes;
        recent.trails.push_back((trail.clone(), bytes));
        while recent.trails.len() > MOST || recent.bytes > MOST_BYTES {
            let Some((_, bytes)) = recent.trails.pop_front() else { break };
            recent.bytes -= bytes;
        }
    }

    pub(super) fn find(&self, id: Uuid) -> Option<Arc<Trail>> {
        let recent = self.recent();
        recent.trails.iter().rev().find(|(trail, _)| trail.id == id).map(|(trail, _)| trail.clone())
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trail {
    /// How long its texts are, in bytes.
    fn size(&self) -> usize {
        let story = self.story();
        let steps: usize = story.steps.iter().map(|step| step.len()).sum();
        let end = match &story.end {
            Some((End::Ours { message, .. }, _)) => message.len(),
            _ => 0,
        };
        story.target.len() + 16 * story.parts.len() + steps + end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(number: u128) -> Arc<Trail> {
        Arc::new(Trail::new(Uuid::from_u128(number), "tools/call".into(), None))
    }

    #[test]
    fn the_requests_that_came_last_are_remembered() {
        let memory = Memory::default();
        let numbers = 0..=MOST as u128;
        numbers.for_each(|number| memory.keep(&trail(number)));
        assert!(memory.find(Uuid::from_u128(0)).is_none());
        assert_eq!(memory.find(Uuid::from_u128(1)).unwrap().id, Uuid::from_u128(1));
        assert!(memory.find(Uuid::from_u128(MOST as u128)).is_some());
    }

    #[test]
    fn long_stories_take_the_place_of_many() {
        let memory = Memory::default();
        for number in 0..MOST as u128 {
            let trail = trail(number);
            (0..100).for_each(|_| trail.note("x".repeat(1 << 10)));
            memory.keep(&trail);
        }
        let recent = memory.recent();
        assert!(recent.bytes <= MOST_BYTES && recent.trails.len() < MOST / 2);
        let kept: usize = recent.trails.iter().map(|(trail, _)| trail.size() + FRAME).sum();
        assert_eq!(recent.bytes, kept);
        assert!(!recent.trails.is_empty());
    }
}
