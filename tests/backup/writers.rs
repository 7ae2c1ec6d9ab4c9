//! Backups beside writers, and beside whoever changes tables.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use backstay::backup::{self, Level, Place};
use backstay::failure::Failure;

use crate::common;
use crate::world::{World, count, next, small};

/// Transfers between accounts, at full speed: in any snapshot the balances add up to zero, every transfer is in the
/// book of its time, and its large object says the same.
#[tokio::test]
async fn a_backup_under_writers_is_one_moment() {
    let world = World::new(
        "CREATE TABLE a (id integer PRIMARY KEY, v bigint, pad text); \
         CREATE TABLE b (id integer PRIMARY KEY, v bigint, pad text); \
         CREATE TABLE book (id bigserial PRIMARY KEY, amount bigint, at timestamptz DEFAULT clock_timestamp()); \
         CREATE TABLE rewritten (n bigint); INSERT INTO rewritten VALUES (0), (0); \
         INSERT INTO a SELECT n, 0, repeat('x', 200) FROM generate_series(1, 3000) n; \
         INSERT INTO b SELECT n, 0, repeat('y', 200) FROM generate_series(1, 3000) n; \
         SELECT lo_from_bytea(n, int8send(0)) FROM generate_series(1, 4) n; \
         CREATE TABLE written (writer oid PRIMARY KEY, total bigint); INSERT INTO written SELECT n, 0 FROM generate_series(1, 4) n",
    )
    .await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 1..=4u64 {
        let (url, stop) = (world.url.clone(), stop.clone());
        writers.spawn(async move { transfer(&url, writer, &stop).await });
    }
    let (url, stopped) = (world.url.clone(), stop.clone());
    let rewriter = tokio::spawn(async move { rewrite(&url, &stopped).await });
    let before = common::session(&world.url).await;
    while count(&before, "SELECT count(*) FROM book").await < 100 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    for _ in 0..3 {
        let committed = count(&before, "SELECT max(id) FROM book").await;
        let transfers = count(&before, "SELECT count(*) FROM book").await;
        let (place, manifest) = world.write(&small()).await;
        assert!(manifest.tables.iter().filter(|t| t.rows == 3000 && t.chunks.len() > 5).count() == 2);
        let name = common::fresh_name("moment");
        world.restore(&manifest, &name).await.unwrap_or_else(|e| panic!("{}", Failure::from(e)));
        let session = common::session(&common::cluster().url("postgres", &name)).await;
        for (sql, wanted) in [
            ("SELECT ((SELECT sum(v) FROM a) + (SELECT sum(v) FROM b))::bigint", 0),
            ("SELECT count(*) FROM a JOIN b USING (id) WHERE a.v + b.v <> 0", 0),
            ("SELECT ((SELECT sum(v) FROM b) - (SELECT sum(amount) FROM book))::bigint", 0),
            ("SELECT ((SELECT sum(total) FROM written) - (SELECT sum(amount) FROM book))::bigint", 0),
            // A truncated table that is filled again is never seen empty, nor half rewritten.
            ("SELECT count(*) FROM rewritten", 2),
            ("SELECT count(DISTINCT n) FROM rewritten", 1),
            (
                "SELECT count(*) FROM written WHERE total <> ('x' || encode(lo_get(writer), 'hex'))::bit(64)::bigint",
                0,
            ),
            // A sequence has no snapshot: never behind the rows that took their numbers from it.
            ("SELECT ((SELECT max(id) FROM book) > (SELECT last_value FROM book_id_seq))::int::bigint", 0),
        ] {
            assert_eq!(count(&session, sql).await, wanted, "{sql}");
        }
        // What was committed before the backup began is there.
        assert!(count(&session, "SELECT count(*) FROM book").await >= transfers);
        assert!(count(&session, "SELECT max(id) FROM book").await >= committed);
        assert_eq!(world.verify(&place, Level::Restore).await.mismatches, []);
    }
    stop.store(true, Relaxed);
    assert!(writers.join_all().await.into_iter().sum::<u64>() > 100);
    rewriter.await.unwrap();
}

/// Transfers until it is stopped; gives how many.
async fn transfer(url: &str, writer: u64, stop: &AtomicBool) -> u64 {
    let session = common::session(url).await;
    let (mut seed, mut done) = (writer, 0);
    while !stop.load(Relaxed) {
        seed = next(seed);
        let (id, amount) = (seed % 3000 + 1, (seed >> 20) % 100);
        // Rows move, too: an update writes a new version elsewhere in the heap.
        let sql = format!(
            "BEGIN; UPDATE a SET v = v - {amount} WHERE id = {id}; UPDATE b SET v = v + {amount} WHERE id = {id}; \
             INSERT INTO book (amount) VALUES ({amount}); \
             UPDATE written SET total = total + {amount} WHERE writer = {writer}; \
             SELECT lo_put({writer}, 0, int8send(total)) FROM written WHERE writer = {writer}; COMMIT"
        );
        session.batch_execute(&sql).await.unwrap();
        done += 1;
    }
    done
}

/// What no snapshot of rows is safe from, until it is stopped: `TRUNCATE`, rewrites, other DDL beside.
async fn rewrite(url: &str, stop: &AtomicBool) {
    let session = common::session(url).await;
    session.batch_execute("SET lock_timeout = '20ms'").await.unwrap();
    let mut n = 0;
    while !stop.load(Relaxed) {
        n += 1;
        for sql in [
            format!("BEGIN; TRUNCATE rewritten; INSERT INTO rewritten VALUES ({n}), ({n}); COMMIT"),
            "ALTER TABLE rewritten ALTER n TYPE bigint USING n + 0".to_string(),
            "CREATE INDEX IF NOT EXISTS b_v ON book (amount); DROP INDEX b_v".to_string(),
        ] {
            // A backup that holds its locks lets it wait: it tries again.
            if session.batch_execute(&sql).await.is_err() {
                let _ = session.batch_execute("ROLLBACK").await;
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(15)).await;
    }
}

/// Tables come and go all the time: the backup waits for a quiet moment and holds exactly one.
#[tokio::test]
async fn tables_that_come_and_go_do_not_matter() {
    let world = World::new("CREATE TABLE stays AS SELECT generate_series(1, 1000) AS x").await;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (url, stopped) = (world.url.clone(), stop.clone());
    let churn = tokio::spawn(async move {
        let session = common::session(&url).await;
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            session.batch_execute("CREATE TABLE passing (x integer)").await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(40)).await;
            session.batch_execute("DROP TABLE passing").await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(40)).await;
        }
    });
    for _ in 0..3 {
        let (place, _) = world.write(&small()).await;
        assert_eq!(world.verify(&place, Level::Restore).await.mismatches, []);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    churn.await.unwrap();
}

/// The tables are locked before the snapshot is taken, and whoever holds them is not waited for for ever.
#[tokio::test]
async fn a_table_that_someone_locks_is_named() {
    let world = World::new("CREATE TABLE held (x integer)").await;
    let session = common::session(&world.url).await;
    session.batch_execute("BEGIN; LOCK TABLE held").await.unwrap();
    let options =
        backup::write::Options { lock_timeout: std::time::Duration::from_millis(200), ..Default::default() };
    let place = Place::fresh("production");
    let failure = Failure::from(world.try_write(&place, &options).await.unwrap_err());
    assert!(
        failure.to_string().contains("lock timeout") && failure.next[0].contains("who holds"),
        "{failure:?}"
    );
    session.batch_execute("COMMIT").await.unwrap();
    world.write(&options).await;
}
