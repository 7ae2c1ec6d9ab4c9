//! Indexes that are built concurrently, and what a failed or killed build leaves.

use std::time::Duration;

use backstay::event::{Event, Events, LineId, Progress};
use backstay::migrate::{self, Options};

use super::singly::die_at;
use super::*;

const TABLE: &str = "CREATE TABLE t (x int, y int); INSERT INTO t VALUES (1), (1)";
const BUILD: &str = "-- revision: b\n-- transaction: off\n-- upgrade\n\
    CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS \"T x\" ON t (x) WHERE y IS NULL;";

/// The invalid indexes, and the valid ones.
async fn indexes(db: &Session) -> (Vec<String>, Vec<String>) {
    let query = "SELECT indexrelid::regclass::text FROM pg_index WHERE indisvalid = $1 AND indexrelid > 16383 \
                 AND indrelid = 't'::regclass ORDER BY 1";
    let mut found = Vec::new();
    for valid in [false, true] {
        let rows = db.query(query, &[&valid]).await.unwrap();
        found.push(rows.iter().map(|row| row.get(0)).collect());
    }
    let valid = found.pop().unwrap();
    (found.pop().unwrap(), valid)
}

/// Applies all, and gives what was remarked.
async fn up_with_notes(url: &str, migrations: &Migrations) -> (Result<Applied, MigrateError>, String) {
    let mut db = session(url).await;
    let (events, mut heard) = Events::channel();
    let progress = events.progress(LineId::Line(1));
    let result = migrate::upgrade(&mut db, migrations, "head", &options(), &progress).await;
    drop((events, progress));
    let mut notes = String::new();
    while let Some(event) = heard.recv().await {
        if let Event::Note { text, .. } = event {
            notes.push_str(&text);
            notes.push('\n');
        }
    }
    (result, notes)
}

#[tokio::test]
async fn a_build_that_fails_leaves_no_invalid_index() {
    let url = fresh_database().await;
    let mut db = session(&url).await;
    db.batch_execute(TABLE).await.unwrap();
    let folder = Folder::new(&[("1.sql", BUILD)]);
    let error = up(&mut db, &folder.load(), "head").await.unwrap_err();
    assert!(!error.changed_anything());
    let text = lines(error);
    assert!(
        text.contains("ERROR 23505") && text.contains("none of the 1 statements of b took effect"),
        "{text}"
    );
    assert!(!text.contains("INVALID"), "{text}");
    assert_eq!(indexes(&db).await, (vec![], vec![]));
    assert_eq!(migrate::entries(&db, &options()).await.unwrap(), [], "nothing is left, so nothing is kept");
    db.batch_execute("DELETE FROM t").await.unwrap();
    assert_eq!(ids(&up(&mut db, &folder.load(), "head").await.unwrap()), ["b"]);
    assert_eq!(indexes(&db).await.1, ["\"T x\""]);
}

#[tokio::test]
async fn an_invalid_index_of_somebody_else_is_refused_by_name() {
    let url = fresh_database().await;
    let mut db = session(&url).await;
    db.batch_execute(TABLE).await.unwrap();
    db.batch_execute("CREATE UNIQUE INDEX CONCURRENTLY \"T x\" ON t (x)").await.unwrap_err();
    db.batch_execute("DELETE FROM t").await.unwrap();
    let folder = Folder::new(&[("1.sql", BUILD)]);
    for _ in 0..2 {
        // IF NOT EXISTS must not take it for a good one, and nobody may drop what is not ours.
        let text = lines(up(&mut db, &folder.load(), "head").await.unwrap_err());
        assert!(
            text.contains("an INVALID index public.\"T x\" that is not of this attempt is in the way"),
            "{text}"
        );
        assert!(text.contains("\nDROP INDEX CONCURRENTLY public.\"T x\";\n"), "{text}");
        assert_eq!(indexes(&db).await.0, ["\"T x\""]);
    }
    db.batch_execute("DROP INDEX CONCURRENTLY public.\"T x\"").await.unwrap();
    assert_eq!(ids(&up(&mut db, &folder.load(), "head").await.unwrap()), ["b"]);
}

/// A database in which our build died, waiting for a transaction that is over now.
async fn after_a_death(migrations: &Migrations) -> (String, Session) {
    let url = fresh_database().await;
    let (db, old) = (session(&url).await, session(&url).await);
    db.batch_execute(TABLE).await.unwrap();
    db.batch_execute("DELETE FROM t").await.unwrap();
    old.batch_execute("BEGIN; INSERT INTO t VALUES (7)").await.unwrap();
    let dies = async {
        let built = "SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass AND NOT indisvalid";
        let watcher = session(&url).await;
        while watcher.query_one(built, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::join!(dies, die_at(&url, migrations, "CREATE UNIQUE INDEX CONCURRENTLY"));
    old.batch_execute("COMMIT").await.unwrap();
    (url, db)
}

#[tokio::test]
async fn an_invalid_index_of_our_own_is_dropped_and_built_again() {
    let folder = Folder::new(&[("1.sql", BUILD)]);
    let (url, db) = after_a_death(&folder.load()).await;
    assert_eq!(indexes(&db).await.0, ["\"T x\""]);
    let current = migrate::current(&db, folder.load().chain(), &options()).await.unwrap();
    assert!(!current.unfinished[0].failed && current.unfinished[0].done == 0);
    // It goes although the statement that left it was mended.
    folder.write("1.sql", &BUILD.replace("UNIQUE ", ""));
    let (result, notes) = up_with_notes(&url, &folder.load()).await;
    assert_eq!(ids(&result.unwrap()), ["b"]);
    assert!(notes.contains("dropping the INVALID index public.\"T x\""), "{notes}");
    assert_eq!(indexes(&db).await, (vec![], vec!["\"T x\"".to_string()]));
}

#[tokio::test]
async fn an_orphan_that_still_builds_is_waited_for() {
    let folder = Folder::new(&[("1.sql", BUILD)]);
    let (url, db) = after_a_death(&folder.load()).await;
    db.batch_execute("DROP INDEX \"T x\"").await.unwrap();
    // What the dead one's backend would do, were it alive: it waits for an old transaction, and so may not be waited
    // for with a lock or a snapshot in hand.
    let (old, orphan, migrations) = (session(&url).await, session(&url).await, folder.load());
    old.batch_execute("BEGIN; INSERT INTO t VALUES (8)").await.unwrap();
    let build = async {
        orphan
            .batch_execute("CREATE UNIQUE INDEX CONCURRENTLY \"T x\" ON t (x) WHERE y IS NULL")
            .await
            .unwrap();
    };
    let ends = async {
        tokio::time::sleep(Duration::from_millis(900)).await;
        old.batch_execute("COMMIT").await.unwrap();
    };
    let again = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        up_with_notes(&url, &migrations).await
    };
    let all = async { tokio::join!(build, ends, again).2 };
    let (result, notes) = tokio::time::timeout(Duration::from_secs(20), all).await.expect("no deadlock");
    assert_eq!(ids(&result.unwrap()), ["b"]);
    assert!(notes.contains("waiting for the build of public.\"T x\" by pid "), "{notes}");
    assert!(!notes.contains("dropping"), "what the other finished is good: {notes}");
    assert_eq!(indexes(&db).await, (vec![], vec!["\"T x\"".to_string()]));
}

#[tokio::test]
async fn a_finished_index_must_be_the_one_that_was_meant() {
    let folder = Folder::new(&[("1.sql", BUILD)]);
    for (made, same) in [
        ("CREATE UNIQUE INDEX \"T x\" ON t USING btree (x) WHERE (y IS NULL)", true),
        ("CREATE UNIQUE INDEX \"T x\" ON t (x)", false),
        ("CREATE INDEX \"T x\" ON t (x) WHERE y IS NULL", false),
        ("CREATE UNIQUE INDEX \"T x\" ON t (x DESC) WHERE y IS NULL", false),
    ] {
        let (url, db) = after_a_death(&folder.load()).await;
        db.batch_execute(&format!("DROP INDEX \"T x\"; {made}")).await.unwrap();
        let (result, _) = up_with_notes(&url, &folder.load()).await;
        if same {
            assert_eq!(ids(&result.unwrap()), ["b"], "{made}");
            continue;
        }
        let text = lines(result.unwrap_err());
        assert!(
            text.contains("there is an index public.\"T x\", but not the one that the statement makes"),
            "{text}"
        );
        assert!(text.contains("DROP INDEX CONCURRENTLY public.\"T x\";"), "{text}");
        let probes = "SELECT count(*) FROM pg_class WHERE relname LIKE 'backstay_index_probe%'";
        assert_eq!(db.query_one(probes, &[]).await.unwrap().get::<_, i64>(0), 0);
    }
}

#[tokio::test]
async fn what_reindex_leaves_is_named() {
    let url = fresh_database().await;
    let (mut db, old) = (session(&url).await, session(&url).await);
    db.batch_execute("CREATE TABLE t (x int); CREATE INDEX t_x ON t (x)").await.unwrap();
    let text = "-- revision: a\n-- transaction: off\n-- upgrade\nREINDEX INDEX CONCURRENTLY t_x;";
    let folder = Folder::new(&[("1.sql", text)]);
    old.batch_execute("BEGIN; INSERT INTO t VALUES (1)").await.unwrap();
    let hasty = Options { statement_timeout: Duration::from_millis(500), ..options() };
    let result = migrate::upgrade(&mut db, &folder.load(), "head", &hasty, &Progress::none()).await;
    let text = lines(result.unwrap_err());
    assert!(
        text.contains("ERROR 57014") && text.contains("it left the INVALID index public.t_x_ccnew"),
        "{text}"
    );
    assert!(text.contains("\nDROP INDEX CONCURRENTLY public.t_x_ccnew;\n"), "{text}");
    old.batch_execute("COMMIT").await.unwrap();
    let (result, notes) = up_with_notes(&url, &folder.load()).await;
    assert_eq!(ids(&result.unwrap()), ["a"]);
    assert!(notes.contains("DROP INDEX CONCURRENTLY public.t_x_ccnew;"), "{notes}");
}

#[tokio::test]
async fn a_build_tells_how_far_it_is() {
    let url = fresh_database().await;
    let (mut db, old) = (session(&url).await, session(&url).await);
    db.batch_execute("CREATE TABLE t (x int)").await.unwrap();
    old.batch_execute("SET application_name = 'nightly report'; BEGIN; INSERT INTO t VALUES (1)")
        .await
        .unwrap();
    let text = "-- revision: a\n-- transaction: off\n-- upgrade\nCREATE INDEX CONCURRENTLY t_x ON t (x);";
    let folder = Folder::new(&[("1.sql", text)]);
    let (events, mut heard) = Events::channel();
    let progress = events.progress(LineId::Line(1));
    let observed = Options { observer: Some(ConnInfo::parse(&url).unwrap()), ..options() };
    let migrations = folder.load();
    let ends = async {
        tokio::time::sleep(Duration::from_millis(2500)).await;
        old.batch_execute("COMMIT").await.unwrap();
    };
    let run = migrate::upgrade(&mut db, &migrations, "head", &observed, &progress);
    let (result, ()) = tokio::join!(run, ends);
    result.unwrap();
    drop((events, progress));
    let mut said = String::new();
    while let Some(event) = heard.recv().await {
        match event {
            Event::Note { text, .. } => said.push_str(&format!("note {text}\n")),
            Event::Progress { note, .. } => said.push_str(&format!("at {note}\n")),
            _ => {}
        }
    }
    assert!(said.contains("note waiting for pid ") && said.contains("application nightly report"), "{said}");
    assert!(
        said.contains("statement 1 of 1: CREATE INDEX CONCURRENTLY, waiting for writers before build, "),
        "{said}"
    );
}
