//! The journal of runs on real files.

use std::path::Path;

use ledger::{Hold, KnownCall, KnownRun, LedgerError, Location, NewRun, Resumption, Runs};
use rusqlite::{Connection, params};
use tempfile::TempDir;

const ALICE: u64 = u64::MAX - 1;
const BOB: u64 = 7;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder for the test")
}

fn open(path: &Path) -> Runs {
    Runs::open(&Location::File(path.to_owned())).expect("the journal opens")
}

fn run(id: &str) -> NewRun {
    NewRun {
        id: id.to_owned(),
        pipeline: "research".to_owned(),
        digest: "d1".to_owned(),
        owner: ALICE,
        input: r#"{"topic":"❤"}"#.to_owned(),
    }
}

fn call(stage: &str, item: Option<u32>, result: Option<&str>) -> KnownCall {
    KnownCall {
        stage: stage.to_owned(),
        item,
        tool: "search__query".to_owned(),
        result: result.map(str::to_owned),
        is_failure: false,
        duration_ms: if result.is_some() { 12 } else { 0 },
    }
}

async fn known(runs: &Runs, id: &str) -> KnownRun {
    runs.find(id).await.expect("the journal is read").expect("the run is known")
}

async fn taken(runs: &Runs, id: &str) -> (KnownRun, Hold) {
    match runs.resume(id, ALICE).await.expect("the journal is written") {
        Resumption::Taken(run, hold) => (*run, hold),
        other => panic!("not to be resumed: {other:?}"),
    }
}

async fn unfinished(runs: &Runs, owner: Option<u64>) -> Vec<String> {
    let runs = runs.unfinished(owner, 100).await.expect("the journal is read");
    runs.into_iter().map(|run| run.run.id).collect()
}

#[tokio::test]
async fn a_run_and_its_calls_are_there_after_a_restart_in_the_order_in_which_they_began() {
    let folder = folder();
    let path = folder.path().join("new/folder/runs.db");
    let runs = open(&path);
    let hold = runs.begin(run("r1")).await.unwrap();
    for (stage, item) in [("hits", None), ("each", Some(1)), ("each", Some(0))] {
        runs.call_begins("r1", stage, item, "search__query").await.unwrap();
    }
    runs.call_ended("r1", call("each", Some(0), Some(r#"{"text":"zero"}"#))).await.unwrap();
    let failed = KnownCall { is_failure: true, ..call("hits", None, Some("no such thing")) };
    runs.call_ended("r1", failed.clone()).await.unwrap();
    drop((hold, runs));

    let found = known(&open(&path), "r1").await;

    assert_eq!(found.run, run("r1"));
    assert!(found.began_at_ms > 1_700_000_000_000);
    assert!(!found.is_over && found.error.is_none());
    let third = call("each", Some(0), Some(r#"{"text":"zero"}"#));
    assert_eq!(found.calls, [failed, call("each", Some(1), None), third]);
}

#[tokio::test]
async fn a_call_that_begins_again_is_unknown_again_and_keeps_its_place() {
    let runs = Runs::open(&Location::Memory).unwrap();
    let _hold = runs.begin(run("r1")).await.unwrap();
    for stage in ["a", "b"] {
        runs.call_begins("r1", stage, None, "search__query").await.unwrap();
    }
    runs.call_ended("r1", call("a", None, Some("1"))).await.unwrap();
    runs.call_begins("r1", "a", None, "search__query").await.unwrap();

    assert_eq!(known(&runs, "r1").await.calls, [call("a", None, None), call("b", None, None)]);
}

#[tokio::test]
async fn a_run_is_resumed_by_one_at_a_time_also_among_those_who_share_the_file() {
    let folder = folder();
    let path = folder.path().join("runs.db");
    let (one, other) = (open(&path), open(&path));
    let hold = one.begin(run("r1")).await.unwrap();
    for runs in [&one, &other] {
        assert!(matches!(runs.resume("r1", ALICE).await.unwrap(), Resumption::Running));
        assert_eq!(unfinished(runs, None).await, [""; 0]);
    }
    drop(hold);
    assert_eq!(unfinished(&one, None).await, ["r1"]);

    let (_, hold) = taken(&other, "r1").await;

    for runs in [&one, &other] {
        assert!(matches!(runs.resume("r1", ALICE).await.unwrap(), Resumption::Running));
    }
    drop(hold);
    let hold = taken(&other, "r1").await.1;
    one.ended("r1", None).await.unwrap();
    // A hold that comes too late takes nothing from anybody.
    drop(hold);
    assert!(matches!(one.resume("r1", ALICE).await.unwrap(), Resumption::Over(run) if run.is_over));
}

#[tokio::test]
async fn two_who_resume_at_the_same_moment_are_told_apart() {
    let folder = folder();
    let path = folder.path().join("runs.db");
    let journals: Vec<_> = (0..4).map(|_| open(&path)).collect();
    drop(journals[0].begin(run("r1")).await.unwrap());
    assert_eq!(unfinished(&journals[0], None).await, ["r1"]);
    let resuming = (0..40).map(|n| {
        let runs = journals[n % 4].clone();
        tokio::spawn(async move { runs.resume("r1", ALICE).await.unwrap() })
    });
    let mut resumptions = Vec::new();
    for resumption in resuming.collect::<Vec<_>>() {
        resumptions.push(resumption.await.unwrap());
    }

    let taken = resumptions.iter().filter(|resumption| matches!(resumption, Resumption::Taken(..))).count();

    assert_eq!(taken, 1);
}

#[tokio::test]
async fn a_run_that_could_not_be_let_go_of_in_the_file_can_be_resumed_by_those_who_had_it() {
    for failure in ["ABORT", "ROLLBACK"] {
        let folder = folder();
        let path = folder.path().join("runs.db");
        let runs = open(&path);
        let (hold, other) = (runs.begin(run("r1")).await.unwrap(), runs.begin(run("r2")).await.unwrap());
        let beside = Connection::open(&path).unwrap();
        let no_release = format!(
            "CREATE TRIGGER no_release BEFORE UPDATE OF holder ON runs WHEN new.holder IS NULL \
             BEGIN SELECT RAISE({failure}, 'the disk is full'); END"
        );
        beside.execute_batch(&no_release).unwrap();
        drop(hold);
        let _ = runs.find("r1").await; // fails too where it shares the transaction that is rolled back
        assert_eq!(unfinished(&runs, None).await, ["r1"], "{failure}: the other one is held");
        let held: i64 = beside
            .query_row("SELECT count(*) FROM runs WHERE holder IS NOT NULL", [], |row| row.get(0))
            .unwrap();
        assert_eq!(held, 2, "{failure}: it could not be written");
        beside.execute_batch("DROP TRIGGER no_release").unwrap();

        let (_, hold) = taken(&runs, "r1").await;

        assert!(matches!(runs.resume("r1", ALICE).await.unwrap(), Resumption::Running));
        assert_eq!(unfinished(&runs, None).await, [""; 0]);
        drop((hold, other));
        assert_eq!(unfinished(&runs, None).await, ["r2", "r1"]);
    }
}

#[tokio::test]
async fn a_run_belongs_to_its_owner() {
    let runs = Runs::open(&Location::Memory).unwrap();
    drop(runs.begin(run("alices")).await.unwrap());
    drop(runs.begin(NewRun { owner: BOB, ..run("bobs") }).await.unwrap());

    assert!(matches!(runs.resume("alices", BOB).await.unwrap(), Resumption::Unknown));
    assert!(matches!(runs.resume("nobodys", BOB).await.unwrap(), Resumption::Unknown));
    assert_eq!(unfinished(&runs, Some(BOB)).await, ["bobs"]);
    assert_eq!(unfinished(&runs, None).await, ["bobs", "alices"]);
    assert_eq!(runs.unfinished(None, 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_part_of_another_run_is_not_listed_and_can_be_resumed() {
    let runs = Runs::open(&Location::Memory).unwrap();
    let part = NewRun::part_id("r1", "stage", Some(3));
    for id in ["r1", &part] {
        drop(runs.begin(run(id)).await.unwrap());
    }

    assert_eq!(unfinished(&runs, None).await, ["r1"]);
    let (taken, _hold) = taken(&runs, &part).await;
    assert_eq!(taken.run.whole_id(), Some("r1"));
}

#[tokio::test]
async fn nothing_is_added_to_a_run_that_is_over_or_unknown() {
    let runs = Runs::open(&Location::Memory).unwrap();
    let _hold = runs.begin(run("r1")).await.unwrap();
    runs.ended("r1", Some("stage a failed".to_owned())).await.unwrap();

    for id in ["r1", "r2"] {
        let begun = runs.call_begins(id, "a", None, "x").await;
        assert!(matches!(begun, Err(LedgerError::NoRun { .. })), "{begun:?}");
        assert!(matches!(runs.ended(id, None).await, Err(LedgerError::NoRun { .. })));
    }
    let found = known(&runs, "r1").await;
    assert_eq!((found.is_over, found.error.as_deref()), (true, Some("stage a failed")));
    assert!(matches!(runs.begin(run("r1")).await, Err(LedgerError::Database(_))), "an id twice");
}

#[tokio::test]
async fn what_nobody_waits_for_is_written_all_the_same() {
    let runs = Runs::open(&Location::Memory).unwrap();
    let _hold = runs.begin(run("r1")).await.unwrap();
    runs.call_begins("r1", "a", None, "search__query").await.unwrap();
    drop(runs.call_ended("r1", call("a", None, Some("1"))));

    assert_eq!(known(&runs, "r1").await.calls, [call("a", None, Some("1"))]);
}

#[tokio::test]
async fn old_runs_go_with_their_calls_and_those_that_run_stay() {
    let folder = folder();
    let path = folder.path().join("runs.db");
    let runs = open(&path);
    for id in ["over", "fresh", "cut off", "running"] {
        let hold = runs.begin(run(id)).await.unwrap();
        runs.call_begins(id, "a", None, "x").await.unwrap();
        match id {
            "over" | "fresh" => runs.ended(id, None).await.unwrap(),
            "running" => std::mem::forget(hold),
            _ => drop(hold),
        }
    }
    let day_ms = 24 * 60 * 60 * 1_000;
    let beside = Connection::open(&path).unwrap();
    let age = |id: &str, days: i64| {
        let sql = "UPDATE runs SET began_at_ms = began_at_ms - ?2, ended_at_ms = ended_at_ms - ?2 WHERE run_id = ?1";
        beside.execute(sql, params![id, days * day_ms]).unwrap();
    };
    for (id, days) in [("over", 8), ("fresh", 6), ("cut off", 31), ("running", 31)] {
        age(id, days);
    }

    // Each life deletes with its first write.
    let later = open(&path);
    drop(later.begin(run("new")).await.unwrap());

    let mut left = Vec::new();
    for id in ["over", "fresh", "cut off", "running", "new"] {
        left.extend(later.find(id).await.unwrap().map(|run| run.run.id));
    }
    assert_eq!(left, ["fresh", "running", "new"]);
    let calls: i64 = beside.query_row("SELECT count(*) FROM run_calls", [], |row| row.get(0)).unwrap();
    assert_eq!(calls, 1, "that of the run that goes on");
}

#[tokio::test]
async fn a_part_stays_as_long_as_its_whole_can_be_resumed_and_goes_with_it() {
    let folder = folder();
    let path = folder.path().join("runs.db");
    let runs = open(&path);
    for whole in ["young", "old"] {
        drop(runs.begin(run(whole)).await.unwrap());
        let part = NewRun::part_id(whole, "stage", Some(0));
        drop(runs.begin(run(&part)).await.unwrap());
        runs.call_begins(&part, "a", None, "x").await.unwrap();
        runs.ended(&part, None).await.unwrap();
    }
    drop(runs);
    let beside = Connection::open(&path).unwrap();
    beside
        .execute_batch(
            "UPDATE runs SET began_at_ms = began_at_ms - 864000000, ended_at_ms = ended_at_ms - 864000000;
             UPDATE runs SET began_at_ms = began_at_ms - 2592000000 WHERE run_id = 'old';
             WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1200)
             INSERT INTO runs (run_id, pipeline, digest, owner, input, began_at_ms, ended_at_ms)
             SELECT n, 'p', 'd', 0, '', unixepoch() * 1000, unixepoch() * 1000 FROM n",
        )
        .unwrap();

    let later = open(&path);
    drop(later.begin(run("new")).await.unwrap());

    assert_eq!(known(&later, "young/stage/0").await.calls, [call_of("a", "x")]);
    for gone in ["old", "old/stage/0", "1"] {
        assert_eq!(later.find(gone).await.unwrap(), None, "{gone}");
    }
}

fn call_of(stage: &str, tool: &str) -> KnownCall {
    KnownCall { tool: tool.to_owned(), ..call(stage, None, None) }
}

#[tokio::test]
async fn of_a_run_that_is_over_only_how_it_ended_is_kept() {
    let folder = folder();
    let path = folder.path().join("runs.db");
    let runs = open(&path);
    for id in ["r1", "r1/part", "r1/part/7", "r10", "r10/part"] {
        drop(runs.begin(run(id)).await.unwrap());
        runs.call_ended(id, call("a", None, Some("1"))).await.unwrap();
    }
    runs.ended("r1/part", None).await.unwrap();
    assert_eq!(known(&runs, "r1/part").await.calls, [call("a", None, Some("1"))], "the whole needs it");

    runs.ended("r1", Some("no".to_owned())).await.unwrap();

    let over = known(&runs, "r1").await;
    assert_eq!((over.error.as_deref(), over.run.input.as_str(), over.calls.len()), (Some("no"), "", 0));
    let rows =
        |sql: &str| -> i64 { Connection::open(&path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap() };
    assert_eq!(rows("SELECT count(*) FROM runs"), 3, "those of r10 too");
    assert_eq!(rows("SELECT count(*) FROM run_calls"), 2);
}

#[tokio::test]
async fn open_calls_are_those_of_the_parts_too_and_can_be_taken_back() {
    let runs = Runs::open(&Location::Memory).unwrap();
    for id in ["r1", "r1/part", "r1/over", "r2"] {
        drop(runs.begin(run(id)).await.unwrap());
        runs.call_ended(id, call("done", None, Some("1"))).await.unwrap();
        runs.call_begins(id, "open", Some(3), "search__query").await.unwrap();
    }
    runs.ended("r1/over", None).await.unwrap();
    let open = async || {
        let runs = runs.open_calls("r1").await.unwrap().into_iter();
        runs.map(|run| (run.run.id, run.calls)).collect::<Vec<_>>()
    };
    let left = vec![call("open", Some(3), None)];
    assert_eq!(open().await, [("r1".to_owned(), left.clone()), ("r1/part".to_owned(), left)]);

    runs.call_taken_back("r1/part", "open", Some(3)).await.unwrap();

    assert_eq!(open().await[1], ("r1/part".to_owned(), vec![]));
    let known = runs.call_taken_back("r1", "done", None).await;
    assert!(matches!(known, Err(LedgerError::NoRun { .. })), "{known:?}");
}

#[tokio::test]
async fn no_more_than_a_thousand_runs_of_either_kind_are_kept() {
    let folder = folder();
    let path = folder.path().join("runs.db");
    drop(open(&path));
    Connection::open(&path)
        .unwrap()
        .execute_batch(
            "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2400)
             INSERT INTO runs (run_id, pipeline, digest, owner, input, began_at_ms, ended_at_ms)
             SELECT n, 'p', 'd', 0, '{}', unixepoch() * 1000, iif(n % 2, unixepoch() * 1000, NULL) FROM n",
        )
        .unwrap();

    let runs = open(&path);
    let _running = runs.begin(run("new")).await.unwrap();

    let kept = runs.unfinished(None, 5_000).await.unwrap();
    assert_eq!((kept.len(), kept[0].run.id.as_str()), (1_000, "2400"));
    assert!(runs.find("2399").await.unwrap().is_some(), "the latest that is over");
    assert!(runs.find("1").await.unwrap().is_none(), "the first that is over");
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_and_its_locks_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    let runs = open(&folder.path().join("runs.db"));
    let _hold = runs.begin(run("r1")).await.unwrap();
    let mut files = 0;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} {mode:o}", file.file_name());
        files += 1;
    }
    assert!(files >= 3, "the database, its log and a lock: {files}");
}

#[tokio::test]
async fn a_lock_that_cannot_be_opened_is_passed_over() {
    let folder = folder();
    let path = folder.path().join("runs.db");
    // As good as a file of another user: it can be opened by nobody.
    std::fs::create_dir(folder.path().join("runs.db.runs-0.lock")).unwrap();

    let (one, other) = (open(&path), open(&path));

    let _hold = one.begin(run("r1")).await.unwrap();
    assert!(matches!(other.resume("r1", ALICE).await.unwrap(), Resumption::Running));
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_is_one_also_under_another_name() {
    let folder = folder();
    let path = folder.path().join("runs.db");
    let runs = open(&path);
    let hold = runs.begin(run("r1")).await.unwrap();
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();

    let other = open(&link);

    assert!(matches!(other.resume("r1", ALICE).await.unwrap(), Resumption::Running));
    drop(hold);
}

#[tokio::test]
async fn a_file_of_an_older_version_gets_the_journal() {
    let folder = folder();
    let path = folder.path().join("old.db");
    drop(open(&path));
    let old = Connection::open(&path).unwrap();
    old.execute_batch("DROP TABLE runs; DROP TABLE run_calls; PRAGMA user_version = 2").unwrap();
    drop(old);

    let runs = open(&path);

    drop(runs.begin(run("r1")).await.unwrap());
    assert_eq!(unfinished(&runs, Some(ALICE)).await, ["r1"]);
}
