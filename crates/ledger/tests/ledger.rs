//! The ledger on real files.

use std::{path::Path, time::Duration};

use cost_calculator::{Cost, Provenance, Usage, Usd};
use jiff::Timestamp;
use ledger::{
    Claim, Exchange, HistoryQuery, IdempotencyKey, Ledger, LedgerError, Location, Options, Outcome, Owner,
};
use models::FinishReason;
use tempfile::TempDir;

const ANSWERED: Outcome = Outcome::Answered { finish_reason: FinishReason::Stop };

fn exchange(message: &str) -> Exchange {
    Exchange {
        at: Timestamp::from_millisecond(1_780_000_000_123).expect("a valid time"),
        conversation: None,
        message: message.to_owned(),
        answer: format!("answer to {message}"),
        outcome: ANSWERED,
        model: "gpt-4o-mini".to_owned(),
        usage: Usage {
            prompt_tokens: 12,
            completion_tokens: 30,
            cached_prompt_tokens: Some(4),
            ..Usage::default()
        },
        cost: Cost { amount: Usd::from_picodollars(19_800_000), provenance: Provenance::Exact },
        duration: Duration::from_micros(1_234_567),
    }
}

fn key(key: &str, byte: u8) -> Option<IdempotencyKey> {
    Some(IdempotencyKey { key: key.to_owned(), fingerprint: [byte; 32] })
}

fn open_for(owner: Owner, path: &Path) -> Result<Ledger, LedgerError> {
    Ledger::open(&Location::File(path.to_owned()), Options { owner, max_exchanges: 0 })
}

/// Opens a ledger whose previous handle was just dropped: its lock is free once its last handle is gone.
fn open(path: &Path) -> Ledger {
    open_for(Owner::ServerB, path).expect("the ledger opens")
}

fn everything() -> HistoryQuery {
    HistoryQuery { limit: 1_000, ..HistoryQuery::default() }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder for the test")
}

#[tokio::test]
async fn what_was_recorded_is_there_after_a_restart_in_every_detail() {
    let folder = folder();
    let path = folder.path().join("new/folder/ledger.db");
    let mut written = exchange("unicode ❤ and \0 survive");
    written.conversation = Some("c1".to_owned());
    let id = open(&path).record(written.clone()).await.unwrap();

    let ledger = open(&path);
    let page = ledger.history(everything()).await.unwrap();

    assert_eq!(page.exchanges.len(), 1);
    assert_eq!((page.exchanges[0].id, &page.exchanges[0].exchange), (id, &written));
    let sums = ledger.totals().await.unwrap().all();
    assert_eq!((sums.requests, sums.answered, sums.usage), (1, 1, written.usage));
    assert_eq!((sums.cost, sums.last_at), (written.cost.amount, Some(written.at)));
    assert_eq!(sums.answered_duration, written.duration);
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    let path = folder.path().join("ledger.db");
    open(&path).record(exchange("secret")).await.unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}

#[tokio::test]
async fn many_callers_at_once_are_all_recorded_and_the_sums_add_up() {
    let folder = folder();
    let ledger = open(&folder.path().join("ledger.db"));
    let calls: Vec<_> = (0..500)
        .map(|n| {
            tokio::spawn({
                let ledger = ledger.clone();
                async move { ledger.record(exchange(&n.to_string())).await }
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let page = ledger.history(HistoryQuery { limit: 100, ..HistoryQuery::default() }).await.unwrap();
    assert_eq!((page.exchanges.len(), page.more), (100, true));
    let oldest = page.exchanges.last().unwrap().id;
    let rest = HistoryQuery { before: Some(oldest), limit: 1_000, conversation: None };
    assert_eq!(ledger.history(rest).await.unwrap().exchanges.len(), 400);
    let sums = page.totals.all();
    assert_eq!((sums.requests, sums.cost.to_string().as_str()), (500, "0.0099"));
    assert_eq!(sums.usage.cached_prompt_tokens, Some(2_000));
    assert_eq!(sums.usage.reasoning_tokens, None);
}

#[tokio::test]
async fn a_key_is_answered_once_also_after_a_restart() {
    let folder = folder();
    let path = folder.path().join("ledger.db");
    let ledger = open(&path);
    let Claim::New(id) =
        ledger.begin(Exchange { outcome: Outcome::Open, ..exchange("a") }, key("k", 1)).await.unwrap()
    else {
        panic!("a new key is new")
    };
    assert_eq!(ledger.begin(exchange("a"), key("k", 1)).await.unwrap(), Claim::Open);
    assert!(
        ledger.history(everything()).await.unwrap().exchanges.is_empty(),
        "open exchanges are not history"
    );
    ledger.finish(Some(id), exchange("a")).await.unwrap();
    drop(ledger);

    let ledger = open(&path);
    let Claim::Answered(recorded) = ledger.begin(exchange("a"), key("k", 1)).await.unwrap() else {
        panic!("the key has an answer")
    };
    assert_eq!(recorded.exchange, exchange("a"));
    assert_eq!(ledger.begin(exchange("b"), key("k", 2)).await.unwrap(), Claim::Mismatch);
    assert_eq!(ledger.totals().await.unwrap().all().requests, 1);
}

#[tokio::test]
async fn a_key_is_free_again_when_there_was_no_answer() {
    let folder = folder();
    let ledger = open(&folder.path().join("ledger.db"));
    for outcome in [Outcome::Failed { code: "rate_limited".to_owned() }, Outcome::Cancelled] {
        let Claim::New(id) = ledger.begin(exchange("a"), key("k", 1)).await.unwrap() else {
            panic!("the key is free")
        };
        ledger.finish(Some(id), Exchange { outcome, ..exchange("a") }).await.unwrap();
    }
    let sums = ledger.totals().await.unwrap().all();
    assert_eq!((sums.requests, sums.answered), (2, 0));
}

#[tokio::test]
async fn a_claim_that_nobody_waits_for_is_withdrawn() {
    let folder = folder();
    let ledger = open(&folder.path().join("ledger.db"));
    for _ in 0..200 {
        let claim = ledger.begin(exchange("a"), key("k", 1));
        // Polled once, so that it is on its way, and then dropped at whatever point it has reached.
        tokio::select! {
            biased;
            claim = claim => assert!(matches!(claim.unwrap(), Claim::New(_)), "the key is free"),
            () = std::future::ready(()) => {}
        }
    }
    ledger.flush().await.unwrap();
    assert!(matches!(ledger.begin(exchange("a"), key("k", 1)).await.unwrap(), Claim::New(_)));
}

#[tokio::test]
async fn what_a_crash_cut_off_is_on_the_bill_as_interrupted_and_its_key_is_free() {
    let folder = folder();
    let path = folder.path().join("ledger.db");
    let started = Exchange { outcome: Outcome::Open, answer: String::new(), ..exchange("a") };
    open(&path).begin(started, key("k", 1)).await.unwrap();

    let ledger = open(&path);

    let page = ledger.history(everything()).await.unwrap();
    assert_eq!(page.exchanges[0].exchange.outcome, Outcome::Interrupted);
    let sums = page.totals.all();
    assert_eq!((sums.requests, sums.answered, sums.cost.to_string().as_str()), (1, 0, "0.0000198"));
    assert!(matches!(ledger.begin(exchange("a"), key("k", 1)).await.unwrap(), Claim::New(_)));
    drop(ledger);
    assert_eq!(open(&path).totals().await.unwrap().all().requests, 2, "settled once each");
}

#[tokio::test]
async fn old_exchanges_go_and_their_sums_stay() {
    let folder = folder();
    let options = Options { owner: Owner::ServerB, max_exchanges: 10 };
    let ledger = Ledger::open(&Location::File(folder.path().join("ledger.db")), options).unwrap();
    for n in 0..600 {
        ledger.record(exchange(&n.to_string())).await.unwrap();
    }
    let page = ledger.history(everything()).await.unwrap();
    assert!(page.exchanges.len() < 300, "{} are left", page.exchanges.len());
    assert_eq!(page.exchanges[0].exchange.message, "599");
    assert_eq!(page.totals.all().requests, 600);
}

#[tokio::test]
async fn the_limit_holds_over_many_short_lives() {
    let folder = folder();
    let location = Location::File(folder.path().join("ledger.db"));
    let options = Options { owner: Owner::ServerA, max_exchanges: 1 };
    let mut left = Vec::new();
    for life in 0..4 {
        let ledger = Ledger::open(&location, options).unwrap();
        for message in ["first", "last"] {
            ledger.record(exchange(&format!("{message} of life {life}"))).await.unwrap();
        }
        left = ledger.history(everything()).await.unwrap().exchanges;
    }
    assert!(left.len() <= 2, "{} are left", left.len());
    assert_eq!(left[0].exchange.message, "last of life 3");
}

#[tokio::test]
async fn the_limit_of_one_owner_leaves_the_other_owners_exchanges_alone() {
    let folder = folder();
    let path = folder.path().join("ledger.db");
    let keeps_all = open(&path);
    let options = Options { owner: Owner::ServerA, max_exchanges: 1 };
    let keeps_one = Ledger::open(&Location::File(path), options).unwrap();
    keeps_all.record(exchange("early")).await.unwrap();
    for n in 0..600 {
        keeps_one.record(exchange(&n.to_string())).await.unwrap();
    }
    keeps_all.record(exchange("late")).await.unwrap();

    let kept = keeps_all.history(everything()).await.unwrap().exchanges;

    let messages: Vec<_> = kept.iter().map(|recorded| recorded.exchange.message.as_str()).collect();
    assert_eq!(messages, ["late", "early"]);
    assert!(keeps_one.history(everything()).await.unwrap().exchanges.len() < 300);
}

#[tokio::test]
async fn a_conversation_has_its_own_history_and_sums() {
    let ledger =
        Ledger::open(&Location::Memory, Options { owner: Owner::ServerA, max_exchanges: 0 }).unwrap();
    for (conversation, message) in [(Some("x"), "1"), (Some("y"), "2"), (Some("x"), "3"), (None, "4")] {
        let conversation = conversation.map(str::to_owned);
        ledger.record(Exchange { conversation, ..exchange(message) }).await.unwrap();
    }
    let query = HistoryQuery { conversation: Some("x".to_owned()), ..everything() };
    let page = ledger.history(query).await.unwrap();
    let messages: Vec<_> = page.exchanges.iter().map(|recorded| recorded.exchange.message.as_str()).collect();
    assert_eq!(messages, ["3", "1"]);
    assert_eq!(page.totals.all().requests, 2);
}

#[tokio::test]
async fn one_server_b_has_its_file_to_itself_and_several_server_a_share_it() {
    let folder = folder();
    let path = folder.path().join("ledger.db");
    let server_b = open(&path);
    assert!(matches!(open_for(Owner::ServerB, &path), Err(LedgerError::InUse { .. })));

    let first = open_for(Owner::ServerA, &path).unwrap();
    let second = open_for(Owner::ServerA, &path).unwrap();
    let many = (0..50).map(|n| {
        let ledger = if n % 2 == 0 { first.clone() } else { second.clone() };
        tokio::spawn(async move { ledger.record(exchange("shared")).await })
    });
    for call in many.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    server_b.record(exchange("own")).await.unwrap();

    assert_eq!(second.totals().await.unwrap().all().requests, 50);
    assert_eq!(server_b.totals().await.unwrap().all().requests, 1);
    assert_eq!(server_b.history(everything()).await.unwrap().exchanges.len(), 1);
}

#[tokio::test]
async fn programs_that_make_the_file_at_the_same_moment_all_succeed() {
    let folder = folder();
    let path = folder.path().join("ledger.db");
    let opened: Vec<_> = std::thread::scope(|scope| {
        let openers: Vec<_> = (0..8).map(|_| scope.spawn(|| open_for(Owner::ServerA, &path))).collect();
        openers.into_iter().map(|opener| opener.join().unwrap()).collect()
    });
    for ledger in opened {
        ledger.unwrap().record(exchange("hello")).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_refused_and_left_alone() {
    let folder = folder();
    let path = folder.path().join("notes.txt");
    std::fs::write(
        &path,
        "these are my notes, not a database; they are long enough to have a header".repeat(20),
    )
    .unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(open_for(Owner::ServerA, &path), Err(LedgerError::Database(_))));
    assert_eq!(std::fs::read(&path).unwrap(), before);

    let newer = folder.path().join("newer.db");
    rusqlite::Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = open_for(Owner::ServerA, &newer).err().unwrap();
    assert!(matches!(error, LedgerError::Newer { found: 99, .. }), "{error}");

    let error = open_for(Owner::ServerA, &folder.path().join("notes.txt/ledger.db")).err().unwrap();
    assert!(error.to_string().contains("DATABASE_URL"), "{error}");
}
