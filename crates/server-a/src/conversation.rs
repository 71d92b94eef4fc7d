//! Conversations: their ids, and the turns that go along with the next message.

use ledger::{HistoryQuery, Ledger, LedgerError, Outcome, Recorded};
use models::{HISTORY_MAX_TURNS, Role, TURN_MAX_CHARS, Turn};
use uuid::Uuid;

/// Longest id, in characters.
pub(crate) const ID_MAX_CHARS: usize = 128;
/// Most characters of all earlier turns together. More would not fit the models' contexts, nor server-b's limits.
const BUDGET_CHARS: usize = 400_000;
/// An exchange is two turns.
const MAX_EXCHANGES: usize = HISTORY_MAX_TURNS / 2;
/// Exchanges to look through: failed ones have no answer and do not count.
const LOOK_BACK: usize = 2 * MAX_EXCHANGES;

/// A new id. Ids sort by the time they were made.
pub(crate) fn new_id() -> String {
    Uuid::now_v7().to_string()
}

/// Whether `id` has 1 to 128 visible characters.
pub(crate) fn is_id(id: &str) -> bool {
    let visible = |character: char| !character.is_control() && !character.is_whitespace();
    !id.is_empty() && id.chars().count() <= ID_MAX_CHARS && id.chars().all(visible)
}

/// What was said before in a conversation.
pub(crate) struct Earlier {
    /// The answered messages with their answers, oldest first, as far back as they fit.
    pub(crate) turns: Vec<Turn>,
    /// Whether nothing was said yet, not even in vain.
    pub(crate) begins: bool,
}

/// What was said before in the conversation `id`.
pub(crate) async fn earlier(ledger: &Ledger, id: &str) -> Result<Earlier, LedgerError> {
    let query = HistoryQuery { conversation: Some(id.to_owned()), before: None, limit: LOOK_BACK };
    let exchanges = ledger.history(query).await?.exchanges;
    let begins = exchanges.is_empty();
    Ok(Earlier { turns: turns_that_fit(exchanges), begins })
}

/// `exchanges` are newest first.
fn turns_that_fit(exchanges: Vec<Recorded>) -> Vec<Turn> {
    let mut left = BUDGET_CHARS;
    let mut turns = Vec::new();
    let answered = exchanges.into_iter().map(|recorded| recorded.exchange).filter(|exchange| {
        let fits = |text: &str| (1..=TURN_MAX_CHARS).contains(&text.chars().count());
        matches!(exchange.outcome, Outcome::Answered { .. })
            && fits(&exchange.message)
            && fits(&exchange.answer)
    });
    for exchange in answered.take(MAX_EXCHANGES) {
        let size = exchange.message.chars().count() + exchange.answer.chars().count();
        let Some(rest) = left.checked_sub(size) else { break };
        left = rest;
        turns.push(Turn { role: Role::Assistant, content: exchange.answer });
        turns.push(Turn { role: Role::User, content: exchange.message });
    }
    turns.reverse();
    turns
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cost_calculator::{Cost, Provenance, Usage, Usd};
    use jiff::Timestamp;
    use ledger::Exchange;
    use models::FinishReason;

    use super::*;

    fn exchange(id: i64, message: &str, answer: String) -> Recorded {
        let exchange = Exchange {
            at: Timestamp::UNIX_EPOCH,
            conversation: None,
            message: message.to_owned(),
            answer,
            outcome: Outcome::Answered { finish_reason: FinishReason::Stop },
            model: "mock-model".to_owned(),
            usage: Usage::default(),
            cost: Cost { amount: Usd::ZERO, provenance: Provenance::Exact },
            duration: Duration::ZERO,
        };
        Recorded { id, exchange }
    }

    fn failed(id: i64) -> Recorded {
        let mut failed = exchange(id, "lost", String::new());
        failed.exchange.outcome = Outcome::Failed { code: "timed_out".to_owned() };
        failed
    }

    #[test]
    fn turns_are_oldest_first_and_only_answered_ones_count() {
        let turns =
            turns_that_fit(vec![exchange(3, "c", "C".into()), failed(2), exchange(1, "a", "A".into())]);
        let said: Vec<_> = turns.iter().map(|turn| (turn.role, turn.content.as_str())).collect();
        use Role::{Assistant, User};
        assert_eq!(said, [(User, "a"), (Assistant, "A"), (User, "c"), (Assistant, "C")]);
    }

    #[test]
    fn the_newest_turns_are_kept_when_not_all_fit() {
        let many = (1..=300).rev().map(|id| exchange(id, &format!("m{id}"), "answer".into())).collect();
        let turns = turns_that_fit(many);
        assert_eq!(turns.len(), HISTORY_MAX_TURNS);
        assert_eq!(turns.last().unwrap().role, Role::Assistant);
        assert_eq!(turns[HISTORY_MAX_TURNS - 2].content, "m300");

        let long = (1..=6).rev().map(|id| exchange(id, "m", "é".repeat(99_000))).collect();
        assert_eq!(turns_that_fit(long).len(), 2 * 4);
    }

    #[test]
    fn an_answer_that_no_turn_can_carry_is_left_out() {
        let turns = turns_that_fit(vec![
            exchange(3, "c", String::new()),
            exchange(2, "b", "x".repeat(TURN_MAX_CHARS + 1)),
            exchange(1, "a", "A".into()),
        ]);
        assert_eq!(turns.len(), 2);
    }

    #[test]
    fn an_id_has_1_to_128_visible_characters() {
        assert!(is_id("a") && is_id(&"é".repeat(128)) && is_id(&new_id()));
        for wrong in ["", "a b", "a\n", "\u{7f}"] {
            assert!(!is_id(wrong), "{wrong:?}");
        }
        assert!(!is_id(&"a".repeat(129)));
    }
}
