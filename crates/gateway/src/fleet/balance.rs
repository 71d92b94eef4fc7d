//! Which replica gets a call.

use crate::Balance;

/// How a replica stands to one call.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standing {
    /// The call was tried there already.
    pub(super) tried: bool,
    /// The client's session lives there.
    pub(super) is_home: bool,
    /// It did not answer when it was asked last.
    pub(super) sick: bool,
    /// Calls that are under way there.
    pub(super) active: usize,
}

/// The replicas in the order in which a call tries them; `turn` counts calls.
pub(super) fn order(standings: &[Standing], balance: Balance, turn: usize) -> Vec<usize> {
    let count = standings.len();
    let mut order: Vec<_> = (0..count).map(|step| (turn + step) % count).collect();
    // The sort is stable: of those that are alike the next one in turn is the first.
    order.sort_by_key(|&index| {
        let Standing { tried, is_home, sick, active } = standings[index];
        let busy = if balance == Balance::LeastBusy { active } else { 0 };
        (tried, !is_home, sick, busy)
    });
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Standing = Standing { tried: false, is_home: false, sick: false, active: 0 };

    #[test]
    fn one_comes_after_the_other() {
        let standings = [Standing { active: 9, ..FREE }, FREE, FREE];
        let firsts: Vec<_> = (0..6).map(|turn| order(&standings, Balance::RoundRobin, turn)[0]).collect();
        assert_eq!(firsts, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn the_least_busy_comes_first_and_equals_in_turn() {
        let standings = [Standing { active: 2, ..FREE }, FREE, FREE];
        assert_eq!(order(&standings, Balance::LeastBusy, 0), [1, 2, 0]);
        assert_eq!(order(&standings, Balance::LeastBusy, 2), [2, 1, 0]);
    }

    #[test]
    fn sick_ones_come_last_but_for_those_that_were_tried() {
        let sick = Standing { sick: true, ..FREE };
        let tried = Standing { tried: true, ..FREE };
        assert_eq!(order(&[tried, sick, FREE], Balance::RoundRobin, 0), [2, 1, 0]);
    }

    #[test]
    fn a_session_stays_where_it_lives_even_if_others_are_free() {
        let home = Standing { is_home: true, active: 9, sick: true, ..FREE };
        assert_eq!(order(&[FREE, home], Balance::LeastBusy, 0), [1, 0]);
        let tried = Standing { tried: true, ..home };
        assert_eq!(order(&[FREE, tried], Balance::LeastBusy, 0), [0, 1]);
    }
}
