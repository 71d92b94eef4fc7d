//! The list of conversations, on real files.

use std::path::Path;

use cost_calculator::{Cost, Provenance, Usage, Usd};
use jiff::Timestamp;
use ledger::{
    BEGINNING_CHARS, ConversationsPage, ConversationsQuery, Exchange, Ledger, Location, Options, Outcome,
    Owner,
};
use models::FinishReason;

fn said(conversation: &str, message: &str) -> Exchange {
    Exchange {
        at: Timestamp::from_millisecond(1_780_000_000_123).expect("a valid time"),
        conversation: Some(conversation.to_owned()),
        message: message.to_owned(),
        answer: "an answer".to_owned(),
        outcome: Outcome::Answered { finish_reason: FinishReason::Stop },
        model: "mock-model".to_owned(),
        usage: Usage::default(),
        cost: Cost { amount: Usd::ZERO, provenance: Provenance::Exact },
        duration: std::time::Duration::ZERO,
    }
}

fn open(path: &Path, max_exchanges: u64) -> Ledger {
    let options = Options { owner: Owner::ServerA, max_exchanges };
    Ledger::open(&Location::File(path.to_owned()), options).expect("the ledger opens")
}

async fn page(ledger: &Ledger, prefix: &str, before: Option<i64>, limit: usize) -> ConversationsPage {
    let query = ConversationsQuery { id_prefix: prefix.to_owned(), before, limit };
    ledger.conversations(query).await.expect("the ledger can be read")
}

fn ids(page: &ConversationsPage) -> Vec<&str> {
    page.conversations.iter().map(|conversation| conversation.id.as_str()).collect()
}

#[tokio::test]
async fn the_conversation_that_went_on_last_is_first() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("ledger.db"), 0);
    for (conversation, message) in [("a", "first of a"), ("b", "first of b"), ("a", "second of a")] {
        ledger.record(said(conversation, message)).await.unwrap();
    }
    ledger.record(Exchange { conversation: None, ..said("", "of none") }).await.unwrap();

    let all = page(&ledger, "", None, 10).await;

    assert_eq!((ids(&all), all.more), (vec!["a", "b"], false));
    let newest = &all.conversations[0];
    assert_eq!((newest.exchanges, newest.beginning.as_str()), (2, "first of a"));
    assert_eq!(newest.last_at, Timestamp::from_millisecond(1_780_000_000_123).unwrap());
    assert_eq!(ledger.conversation("b".to_owned()).await.unwrap().as_ref(), Some(&all.conversations[1]));
    assert_eq!(ledger.conversation("c".to_owned()).await.unwrap(), None);
}

#[tokio::test]
async fn pages_join_to_the_whole_list_although_new_conversations_begin_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("ledger.db"), 0);
    for n in 0..7 {
        ledger.record(said(&format!("c{n}"), "a")).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let part = page(&ledger, "", before, 3).await;
        seen.extend(ids(&part).into_iter().map(str::to_owned));
        before = part.conversations.last().map(|conversation| conversation.last_id);
        if !part.more {
            break;
        }
        ledger.record(said(&format!("new {}", seen.len()), "a")).await.unwrap();
    }
    assert_eq!(seen, ["c6", "c5", "c4", "c3", "c2", "c1", "c0"]);
}

#[tokio::test]
async fn ids_are_found_by_how_they_begin() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("ledger.db"), 0);
    for id in ["ab", "abc", "a%", "a_", "b", "A", "ü1", "ü2"] {
        ledger.record(said(id, "a")).await.unwrap();
    }
    for (prefix, expected) in [
        ("a", vec!["abc", "ab", "a_", "a%"]),
        ("ab", vec!["abc", "ab"]),
        ("a%", vec!["a%"]),
        ("ü", vec!["ü2", "ü1"]),
        ("x", vec![]),
    ] {
        assert_eq!(ids(&page(&ledger, prefix, None, 10).await), expected, "{prefix}");
        let count = ledger.count_conversations(prefix.to_owned(), 10).await.unwrap();
        assert_eq!(count, Some(expected.len()), "{prefix}");
    }
    assert_eq!(ledger.count_conversations(String::new(), 8).await.unwrap(), Some(8));
    assert_eq!(ledger.count_conversations(String::new(), 7).await.unwrap(), None, "more than was asked for");
}

#[tokio::test]
async fn a_long_message_shows_only_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("ledger.db"), 0);
    ledger.record(said("a", &"é".repeat(BEGINNING_CHARS + 1))).await.unwrap();
    let found = ledger.conversation("a".to_owned()).await.unwrap().unwrap();
    assert_eq!(found.beginning, "é".repeat(BEGINNING_CHARS));
}

#[tokio::test]
async fn an_announced_exchange_counts_when_it_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("ledger.db"), 0);
    let ledger::Claim::New(id) = ledger.begin(said("a", "a"), None).await.unwrap() else {
        panic!("there is no key")
    };
    assert_eq!(ledger.conversation("a".to_owned()).await.unwrap(), None);
    ledger.finish(Some(id), said("a", "a")).await.unwrap();
    assert_eq!(ledger.conversation("a".to_owned()).await.unwrap().unwrap().exchanges, 1);
}

#[tokio::test]
async fn a_conversation_goes_with_its_last_exchange() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("ledger.db"), 10);
    ledger.record(said("old", "a")).await.unwrap();
    for _ in 0..600 {
        ledger.record(said("long", "a")).await.unwrap();
    }
    let all = page(&ledger, "", None, 10).await;
    assert_eq!(ids(&all), ["long"]);
    let query = ledger::HistoryQuery { limit: 1_000, ..Default::default() };
    let kept = ledger.history(query).await.unwrap().exchanges.len() as u64;
    assert_eq!(all.conversations[0].exchanges, kept);
}

#[tokio::test]
async fn a_file_of_an_older_version_gets_its_list() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = open(&path, 0);
    for (conversation, message) in [("a", "1"), ("b", "2"), ("a", "3")] {
        ledger.record(said(conversation, message)).await.unwrap();
    }
    let before = page(&ledger, "", None, 10).await;
    drop(ledger);
    let older = "DROP TRIGGER conversation_goes_on; DROP TRIGGER conversation_is_answered; \
                 DROP TRIGGER conversation_is_cut; DROP TABLE conversations; \
                 DROP TABLE runs; DROP TABLE run_calls; PRAGMA user_version = 1";
    rusqlite::Connection::open(&path).unwrap().execute_batch(older).unwrap();

    let ledger = open(&path, 0);

    assert_eq!(page(&ledger, "", None, 10).await, before);
    ledger.record(said("b", "4")).await.unwrap();
    assert_eq!(ids(&page(&ledger, "", None, 10).await), ["b", "a"]);
}

#[tokio::test]
async fn each_owner_has_its_own_conversations() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let server_a = open(&path, 0);
    let options = Options { owner: Owner::ServerB, max_exchanges: 0 };
    let server_b = Ledger::open(&Location::File(path), options).unwrap();
    server_a.record(said("shared name", "of a")).await.unwrap();
    server_b.record(said("shared name", "of b")).await.unwrap();
    assert_eq!(page(&server_a, "", None, 10).await.conversations[0].beginning, "of a");
    assert_eq!(server_b.count_conversations(String::new(), 10).await.unwrap(), Some(1));
}
