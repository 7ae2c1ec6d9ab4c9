//! The real program, started several times at once, and killed.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::*;

#[tokio::test]
async fn eight_replicas_migrate_an_empty_database_as_they_start() {
    let p = CommandLine::new("").await;
    p.write("migrations/1.sql", "-- revision: a\n-- upgrade\nCREATE TABLE t (x int);\nSELECT pg_sleep(2);\n");
    let two = "-- revision: b\n-- revises: a\n-- transaction: off\n-- upgrade\nCREATE INDEX CONCURRENTLY t_x ON t (x);\n";
    p.write("migrations/2.sql", two);
    let start = |_| {
        let mut command = p.upgrade();
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let replicas: Vec<Child> = (0..8).map(start).collect();
    let mut applied = 0;
    let mut waited = 0;
    for replica in replicas {
        let output = replica.wait_with_output().unwrap();
        let (stdout, stderr) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success(), "{stdout}{stderr}");
        applied += usize::from(stdout.starts_with("applied a, b in "));
        waited += usize::from(stderr.contains("another migrates this database; waiting for pid "));
    }
    assert_eq!(applied, 1, "each migration once, and by one");
    assert!(waited > 0, "somebody must have waited, and said for whom");
    assert_eq!(p.ask("SELECT count(*) FROM backstay_history WHERE state = 'done'").await, "2");
}

/// Starts an upgrade, kills it once its backend runs `part`, and gives how long the backend outlives it.
async fn killed_at(p: &CommandLine, part: &str) -> Duration {
    let watcher = super::session(&super::cluster().url("postgres", "postgres")).await;
    let query = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND query LIKE '%{part}%' AND state = 'active'",
        p.database
    );
    let running = async || watcher.query_one(&query, &[]).await.unwrap().get::<_, i64>(0) > 0;
    let mut child = p.upgrade().stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while !running().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "{part} never ran");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let killed = Instant::now();
    while running().await {
        assert!(killed.elapsed() < Duration::from_secs(20), "{part} goes on without its client");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    killed.elapsed()
}

#[tokio::test]
async fn a_killed_programs_statements_end_with_it() {
    // The server looks for its client since 14.
    if super::common::version() < 140_000 {
        return;
    }
    let p = CommandLine::new("[migrations]\nlock_timeout = \"10m\"\n").await;
    p.session().await.batch_execute("CREATE TABLE t (x int)").await.unwrap();
    p.write("migrations/1.sql", "-- revision: a\n-- upgrade\nSELECT pg_sleep(600);\n");
    let slept = killed_at(&p, "pg_sleep(600)").await;
    assert!(slept < Duration::from_secs(3), "{slept:?}");
    // Waiting for a lock too: the dead one must not stand before the application for ten minutes.
    p.write("migrations/1.sql", "-- revision: a\n-- upgrade\nALTER TABLE t ADD y int;\n");
    let old = p.session().await;
    old.batch_execute("BEGIN; SELECT count(*) FROM t").await.unwrap();
    let waited = killed_at(&p, "ALTER TABLE t ADD y").await;
    assert!(waited < Duration::from_secs(3), "{waited:?}");
    old.batch_execute("COMMIT").await.unwrap();
    p.expect(0, &["migrate", "upgrade", "head"]);
}
