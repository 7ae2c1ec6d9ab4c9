//! Backups beside writers, and beside whoever changes tables.

use backstay::backup::{self, Level, Place};
use backstay::failure::Failure;

use crate::common;
use crate::world::{World, count, next, small};

/// Transfers between accounts: in any snapshot the balances add up to zero.
#[tokio::test]
async fn a_backup_under_writers_is_one_moment() {
    let world = World::new(
        "CREATE TABLE a (id integer PRIMARY KEY, v bigint, pad text); \
         CREATE TABLE b (id integer PRIMARY KEY, v bigint, pad text); \
         INSERT INTO a SELECT n, 0, repeat('x', 200) FROM generate_series(1, 3000) n; \
         INSERT INTO b SELECT n, 0, repeat('y', 200) FROM generate_series(1, 3000) n;",
    )
    .await;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4u64 {
        let (url, stop) = (world.url.clone(), stop.clone());
        writers.spawn(async move {
            let session = common::session(&url).await;
            let (mut seed, mut done) = (writer, 0u64);
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                seed = next(seed);
                let (id, amount) = (seed % 3000 + 1, (seed >> 20) % 100);
                // Rows move, too: an update writes a new version elsewhere in the heap.
                let sql = format!(
                    "BEGIN; UPDATE a SET v = v - {amount} WHERE id = {id}; \
                     UPDATE b SET v = v + {amount} WHERE id = {id}; COMMIT"
                );
                session.batch_execute(&sql).await.unwrap();
                done += 1;
            }
            done
        });
    }
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    for _ in 0..3 {
        let (_, manifest) = world.write(&small()).await;
        assert!(manifest.tables.iter().all(|t| t.rows == 3000 && t.chunks.len() > 5));
        let name = common::fresh_name("moment");
        world.restore(&manifest, &name).await.unwrap();
        let url = common::cluster().url("postgres", &name);
        let session = common::session(&url).await;
        let sum = "SELECT ((SELECT sum(v) FROM a) + (SELECT sum(v) FROM b))::bigint";
        assert_eq!(count(&session, sum).await, 0);
        assert_ne!(count(&session, "SELECT sum(v)::bigint FROM b").await, 0);
        assert_eq!(count(&session, "SELECT count(*) FROM a JOIN b USING (id) WHERE a.v + b.v <> 0").await, 0);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(writers.join_all().await.into_iter().sum::<u64>() > 100);
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
