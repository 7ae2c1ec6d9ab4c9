//! Scripts outside a transaction: what took effect, what a death leaves, how it goes on.

use std::time::Duration;

use super::*;

const SINGLY: &str = "-- revision: b\n-- revises: a\n-- transaction: off\n-- upgrade\n\
    CREATE INDEX CONCURRENTLY t_x ON t (x);\nINSERT INTO t VALUES (2);\n";

#[tokio::test]
async fn a_script_outside_a_transaction_says_what_took_effect_and_goes_on() {
    let url = fresh_database().await;
    let mut db = session(&url).await;
    let folder = Folder::new(&[
        ("1.sql", "-- revision: a\n-- upgrade\nCREATE TABLE t (x int);\nINSERT INTO t VALUES (1), (1);\n"),
        ("2.sql", &format!("{SINGLY}SELECT nothing;\nINSERT INTO t VALUES (3);")),
    ]);
    let error = up(&mut db, &folder.load(), "head").await.unwrap_err();
    assert_eq!(error.committed, ["a"]);
    let text = lines(error);
    assert!(text.contains("2.sql:7 (statement 3 of 4): ERROR 42703"), "{text}");
    assert!(text.contains("statements 1–2 of 4 of b took effect"), "{text}");
    assert_eq!(rows(&db, &folder.load()).await, ["a"], "never recorded as applied");
    let current = migrate::current(&db, folder.load().chain(), &options()).await.unwrap();
    assert_eq!(current.unfinished[0].extent(), "statements 1–2 of 4 took effect");
    assert!(current.unfinished[0].failed);

    // Going elsewhere first is refused; so is going on when what took effect was edited.
    let text = lines(down(&mut db, &folder.load(), "base").await.unwrap_err());
    assert!(text.contains("upgrade of b was broken off: statements 1–2 of 4 took effect"), "{text}");
    folder.write("2.sql", &format!("{}SELECT 1;", SINGLY.replace("(2)", "(22)")));
    let text = lines(up(&mut db, &folder.load(), "head").await.unwrap_err());
    assert!(text.contains("those statements were edited since"), "{text}");

    // Mended behind them, it goes on and repeats nothing.
    folder.write("2.sql", &format!("{SINGLY}SELECT 1;\nINSERT INTO t VALUES (3);"));
    assert_eq!(ids(&up(&mut db, &folder.load(), "head").await.unwrap()), ["b"]);
    let sum = db.query_one("SELECT sum(x)::int FROM t", &[]).await.unwrap();
    assert_eq!(sum.get::<_, i32>(0), 1 + 1 + 2 + 3);
    let current = migrate::current(&db, folder.load().chain(), &options()).await.unwrap();
    assert!(current.unfinished.is_empty() && current.edited.is_empty());
}

#[tokio::test]
async fn a_death_between_statements_is_survived() {
    let url = fresh_database().await;
    let (mut db, killer) = (session(&url).await, session(&url).await);
    let folder = Folder::new(&[(
        "1.sql",
        "-- revision: a\n-- transaction: off\n-- upgrade\nCREATE TABLE t (x int);\nINSERT INTO t SELECT 1 FROM pg_sleep(coalesce(current_setting('app.nap', true)::int, 30));\nCREATE INDEX CONCURRENTLY t_x ON t (x);",
    )]);
    let migrations = folder.load();
    let victim = pid(&db).await;
    let kill = async {
        until_runs(&killer, victim, "pg_sleep").await;
        killer.query("SELECT pg_terminate_backend($1)", &[&victim]).await.unwrap();
    };
    let (result, ()) = tokio::join!(up(&mut db, &migrations, "head"), kill);
    assert!(lines(result.unwrap_err()).contains("statement 1 of 3 of a took effect"));
    let mut db = session(&url).await;
    let current = migrate::current(&db, migrations.chain(), &options()).await.unwrap();
    assert!(!current.unfinished[0].failed && current.unfinished[0].done == 1);
    // It died behind the index, before it was counted.
    db.batch_execute("INSERT INTO t VALUES (1); CREATE INDEX t_x ON t (x); UPDATE backstay_history SET statements_done = 2")
        .await
        .unwrap();
    let text = lines(up(&mut db, &migrations, "head").await.unwrap_err());
    assert!(text.contains("those statements were edited since"), "the count alone is not believed: {text}");
    db.batch_execute(
        "DROP INDEX t_x; DELETE FROM t; UPDATE backstay_history SET statements_done = 1; SET app.nap = 0",
    )
    .await
    .unwrap();
    assert_eq!(ids(&up(&mut db, &migrations, "head").await.unwrap()), ["a"]);
    let count = db.query_one("SELECT count(*) FROM t", &[]).await.unwrap();
    assert_eq!(count.get::<_, i64>(0), 1);
}

#[tokio::test]
async fn a_finished_index_is_not_built_again() {
    let url = fresh_database().await;
    let mut db = session(&url).await;
    let text = "-- revision: a\n-- transaction: off\n-- upgrade\nCREATE INDEX CONCURRENTLY t_x ON t (x);\nSELECT nothing;";
    let folder = Folder::new(&[("1.sql", text)]);
    db.batch_execute("CREATE TABLE t (x int)").await.unwrap();
    up(&mut db, &folder.load(), "head").await.unwrap_err();
    // As if it had died right behind the index.
    db.batch_execute(
        "UPDATE backstay_history SET state = 'started', statements_done = 0, done_checksum = NULL",
    )
    .await
    .unwrap();
    folder.write("1.sql", &text.replace("nothing", "1"));
    assert_eq!(ids(&up(&mut db, &folder.load(), "head").await.unwrap()), ["a"]);
}

#[tokio::test]
async fn nothing_that_took_no_effect_is_kept() {
    let url = fresh_database().await;
    let mut db = session(&url).await;
    let folder =
        Folder::new(&[("1.sql", "-- revision: a\n-- transaction: off\n-- upgrade\nSELECT nothing;")]);
    let error = up(&mut db, &folder.load(), "head").await.unwrap_err();
    assert!(!error.changed_anything());
    assert!(lines(error).contains("none of the 1 statements of a took effect"));
    assert_eq!(migrate::entries(&db, &options()).await.unwrap(), []);
}

#[tokio::test]
async fn what_nobody_could_tell_after_a_death_is_refused_before_anything_runs() {
    let url = fresh_database().await;
    let mut db = session(&url).await;
    db.batch_execute("CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN COMMIT; END'; CREATE TABLE t (x int)")
        .await
        .unwrap();
    let script =
        |text: &str| format!("-- revision: b\n-- revises: a\n-- transaction: off\n-- upgrade\n{text}");
    let folder = Folder::new(&[("1.sql", "-- revision: a\n-- upgrade\nCREATE TABLE u ();\n")]);
    for (text, what) in [
        ("SELECT 1;\nCALL p();", "2.sql:6: if its driver dies, nothing tells whether CALL took effect"),
        (
            "CREATE INDEX CONCURRENTLY ON t (x);",
            "2.sql:5: if its driver dies, nothing tells whether CREATE INDEX",
        ),
    ] {
        folder.write("2.sql", &script(text));
        let error = up(&mut db, &folder.load(), "head").await.unwrap_err();
        assert!(error.committed.is_empty());
        let text = lines(error);
        assert!(text.contains(what) && text.contains("-- idempotent"), "{text}");
        assert_eq!(rows(&db, &folder.load()).await, [""; 0], "not even what comes before it");
    }
    folder.write("2.sql", &script("-- idempotent: it only commits\nCALL p();"));
    assert_eq!(ids(&up(&mut db, &folder.load(), "head").await.unwrap()), ["a", "b"]);
}

/// Runs the folder until the server runs `part`, and ends the session there.
pub(super) async fn die_at(url: &str, migrations: &Migrations, part: &str) {
    let (mut db, killer) = (session(url).await, session(url).await);
    let victim = pid(&db).await;
    let kill = async {
        until_runs(&killer, victim, part).await;
        killer.query("SELECT pg_terminate_backend($1)", &[&victim]).await.unwrap();
    };
    let (result, ()) = tokio::join!(up(&mut db, migrations, "head"), kill);
    result.unwrap_err();
    let query = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1";
    while killer.query_one(query, &[&victim]).await.unwrap().get::<_, i64>(0) > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// As if the driver had died right behind the first statement, before it was counted.
async fn forget_the_first(db: &Session) {
    let forget = "UPDATE backstay_history SET state = 'started', statements_done = 0, done_checksum = NULL \
                  WHERE state = 'failed'";
    assert_eq!(db.execute(forget, &[]).await.unwrap(), 1);
}

#[tokio::test]
async fn what_is_found_in_the_catalog_is_not_done_again() {
    let url = fresh_database().await;
    let mut db = session(&url).await;
    let name = common::fresh_name("made by a migration");
    let text = format!(
        "-- revision: a\n-- transaction: off\n-- upgrade\nCREATE DATABASE \"{name}\";\nSELECT nothing;"
    );
    let folder = Folder::new(&[("1.sql", &text)]);
    let said = lines(up(&mut db, &folder.load(), "head").await.unwrap_err());
    assert!(said.contains("statement 1 of 2 of a took effect"), "{said}");
    forget_the_first(&db).await;
    folder.write("1.sql", &text.replace("nothing", "1"));
    assert_eq!(ids(&up(&mut db, &folder.load(), "head").await.unwrap()), ["a"]);
}

#[tokio::test]
async fn a_partition_that_is_half_detached_is_detached() {
    let url = fresh_database().await;
    let (mut db, reader) = (session(&url).await, session(&url).await);
    db.batch_execute(
        "CREATE TABLE t (x int) PARTITION BY LIST (x); CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1)",
    )
    .await
    .unwrap();
    let text =
        "-- revision: a\n-- transaction: off\n-- upgrade\nALTER TABLE t DETACH PARTITION t1 CONCURRENTLY;";
    let folder = Folder::new(&[("1.sql", text)]);
    reader.batch_execute("BEGIN; SELECT * FROM t").await.unwrap();
    // Its first transaction is committed when it waits.
    let pending = async {
        let watcher = session(&url).await;
        let query = "SELECT count(*) FROM pg_inherits WHERE inhdetachpending";
        while watcher.query_one(query, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let migrations = folder.load();
    let (mut dying, killer) = (session(&url).await, session(&url).await);
    let victim = pid(&dying).await;
    let kill = async {
        pending.await;
        killer.query("SELECT pg_terminate_backend($1)", &[&victim]).await.unwrap();
    };
    let (result, ()) = tokio::join!(up(&mut dying, &migrations, "head"), kill);
    result.unwrap_err();
    reader.batch_execute("COMMIT").await.unwrap();
    assert_eq!(ids(&up(&mut db, &migrations, "head").await.unwrap()), ["a"]);
    let left = db.query_one("SELECT count(*) FROM pg_inherits", &[]).await.unwrap();
    assert_eq!(left.get::<_, i64>(0), 0);
}
