//! In which order the calls of a batch begin.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// Calls that have not begun, by where they go. The next is one of the place with the fewest under way: a place that hangs keeps what
/// it has, and the others go on.
pub(super) struct Queue {
    homes: Vec<Home>,
    /// Of each call, its home.
    homes_of: Vec<usize>,
}

#[derive(Default)]
struct Home {
    waiting: VecDeque<usize>,
    active: usize,
}

impl Queue {
    /// Calls that go there.
    pub(super) fn new(places: impl Iterator<Item = Arc<str>>) -> Self {
        let (mut homes, mut numbers) = (Vec::<Home>::new(), HashMap::new());
        let number = |(call, place)| {
            let number = *numbers.entry(place).or_insert_with(|| {
                homes.push(Home::default());
                homes.len() - 1
            });
            homes[number].waiting.push_back(call);
            number
        };
        let homes_of = places.enumerate().map(number).collect();
        Self { homes, homes_of }
    }

    /// The call that begins now, if one is left.
    pub(super) fn next(&mut self) -> Option<usize> {
        let waiting = self.homes.iter_mut().filter(|home| !home.waiting.is_empty());
        let home = waiting.min_by_key(|home| (home.active, home.waiting.front().copied()))?;
        home.active += 1;
        home.waiting.pop_front()
    }

    /// This call is not under way any more.
    pub(super) fn left(&mut self, call: usize) {
        self.homes[self.homes_of[call]].active -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(places: &[&str]) -> Queue {
        Queue::new(places.iter().map(|place| Arc::from(*place)))
    }

    #[test]
    fn calls_to_one_place_begin_in_their_order() {
        let mut queue = queue(&["a", "a", "a"]);
        assert_eq!([(); 4].map(|()| queue.next()), [Some(0), Some(1), Some(2), None]);
    }

    #[test]
    fn a_place_that_hangs_leaves_room_for_the_others() {
        let mut queue = queue(&["hangs", "hangs", "hangs", "hangs", "a", "a", "b", "a"]);
        let begun = [(); 3].map(|()| queue.next().unwrap());
        assert_eq!(begun, [0, 4, 6]);
        // Three at a time, and none of those that hang ever ends.
        queue.left(4);
        assert_eq!(queue.next(), Some(5));
        queue.left(6);
        queue.left(5);
        assert_eq!(queue.next(), Some(7));
        queue.left(7);
        assert_eq!([(); 4].map(|()| queue.next()), [Some(1), Some(2), Some(3), None]);
    }
}
