//! Migrations that fail: the first cause, what is committed, what to do.

use std::time::Duration;

use crate::backend::{self, ENV, eleven_tables, migration, tables};
use crate::common::command_line::CommandLine;

const GOOD: (&str, &str) = ("op.execute('CREATE TABLE good (id int)')", "op.execute('DROP TABLE good')");

async fn with_a_bad_one(env: &str) -> CommandLine {
    let p = eleven_tables("").await;
    p.write("backend/alembic/env.py", env);
    migration(&p, "bbbb00000002", "'c08085465bad'", GOOD.0, GOOD.1);
    migration(
        &p,
        "cccc00000003",
        "'bbbb00000002'",
        "op.add_column('nowhere', sa.Column('x', sa.Integer()))",
        "pass",
    );
    p
}

#[tokio::test]
async fn all_or_nothing_in_one_transaction() {
    let p = with_a_bad_one(ENV).await;
    let failed = p.expect(3, &["migrate", "upgrade", "head"]);
    failed.says(&[
        "could not upgrade cccc00000003 at alembic/versions/cccc00000003_about.py:",
        "relation \"nowhere\" does not exist",
        "the database is at base",
        "mend alembic/versions/cccc00000003_about.py",
    ]);
    assert_eq!(tables(&p).await, "0");
    let document = p.json(3, &["migrate", "upgrade", "head"]);
    assert_eq!(document["verdict"], "refused");
}

#[tokio::test]
async fn what_is_committed_before_is_told() {
    let p = with_a_bad_one(&ENV.replace("dict()", "dict(transaction_per_migration=True)")).await;
    let failed = p.expect(7, &["migrate", "upgrade", "head"]);
    failed.says(&["the database is at bbbb00000002", "committed before it: c08085465bad, bbbb00000002"]);
    assert_eq!(p.expect(0, &["migrate", "current"]).stdout, "bbbb00000002\n");
    migration(
        &p,
        "cccc00000003",
        "'bbbb00000002'",
        "op.add_column('good', sa.Column('x', sa.Integer()))",
        "op.drop_column('good', 'x')",
    );
    let up = p.expect(0, &["migrate", "upgrade", "head"]);
    assert!(up.stdout.starts_with("applied cccc00000003 in "), "{}", up.stdout);
}

#[tokio::test]
async fn a_part_that_commits_by_itself_is_told() {
    let p = eleven_tables("").await;
    p.expect(0, &["migrate", "upgrade", "head"]);
    migration(
        &p,
        "bbbb00000002",
        "'c08085465bad'",
        "with op.get_context().autocommit_block():\n    op.execute('CREATE INDEX CONCURRENTLY i ON users (note)')\n\
         op.execute('SELECT 1 / 0')",
        "op.execute('DROP INDEX i')",
    );
    let failed = p.expect(7, &["migrate", "upgrade", "head"]);
    failed.says(&["division by zero", "bbbb00000002 commits parts of itself", "undo by hand"]);
    assert_eq!(p.ask("SELECT count(*) FROM pg_class WHERE relname = 'i'").await, "1");
}

/// With SQLAlchemy 2 nothing is committed by itself.
#[tokio::test]
async fn an_env_py_that_never_commits_is_found_out() {
    let p = eleven_tables("").await;
    p.write(
        "backend/alembic/env.py",
        &ENV.replace(
            "        with context.begin_transaction():\n            context.run_migrations()\n\n\nif",
            "        connection.begin()\n        context.run_migrations()\n\n\nif",
        ),
    );
    let failed = p.expect(3, &["migrate", "upgrade", "head"]);
    failed
        .says(&["it ended well, but the version table is not where upgrade leads", "env.py does not commit"]);
    assert_eq!(tables(&p).await, "0");
}

#[tokio::test]
async fn who_is_in_the_way_is_named_and_it_is_tried_again() {
    let p = eleven_tables("lock_timeout = \"300ms\"\nlock_retries = 1").await;
    p.expect(0, &["migrate", "upgrade", "head"]);
    migration(
        &p,
        "bbbb00000002",
        "'c08085465bad'",
        "op.add_column('users', sa.Column('x', sa.Integer()))",
        "op.drop_column('users', 'x')",
    );
    let mut other = p.session().await;
    let held = other.transaction().await.expect("a transaction");
    held.batch_execute("SET application_name = 'a report'; SELECT * FROM users").await.expect("a lock");
    let failed = p.expect(3, &["migrate", "upgrade", "head"]);
    failed.says(&[
        "canceling statement due to lock timeout",
        "tried 2 times",
        "it waited for pid ",
        "application a report",
        "retry 1 of 1",
    ]);
    held.rollback().await.expect("an end");
    drop(other);
    p.expect(0, &["migrate", "upgrade", "head"]);
}

/// Ctrl-C and a run's death: nothing goes on behind our back.
#[tokio::test]
async fn a_broken_off_upgrade_leaves_nothing_running() {
    let p = backend::empty("timeout = \"15s\"").await;
    migration(
        &p,
        "aaaa00000001",
        "None",
        "op.execute('CREATE TABLE a (id int)')\nop.execute('SELECT pg_sleep(600)')",
        "pass",
    );
    let failed = p.expect(3, &["migrate", "upgrade", "head"]);
    failed.says(&["could not upgrade aaaa00000001", "it did not end within 15", "the database is at base"]);
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid() AND datname = current_database()";
    for _ in 0..50 {
        if p.ask(sleeping).await == "0" {
            break;
        }
        // Nobody tells us of the end of another's session.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(tables(&p).await, "0");
    assert_eq!(p.expect(0, &["migrate", "current"]).stdout, "");
}

#[tokio::test]
async fn a_header_that_is_computed_is_named() {
    let p = eleven_tables("").await;
    p.write("backend/alembic/versions/odd.py", "revision = make()\ndown_revision = 'c08085465bad'\n");
    p.expect(2, &["migrate", "history"])
        .says(&["alembic/versions/odd.py:1: `revision` is computed", "write it as a literal"]);
    p.write("backend/alembic/versions/odd.py", "revision = 'c08085465bad'\ndown_revision = None\n");
    p.expect(2, &["migrate", "current"]).says(&["revision c08085465bad is in two files", "odd.py"]);
}

/// Killed in the middle: Alembic goes on alone, and whoever comes next waits for it.
#[tokio::test]
async fn an_alembic_whose_master_died_is_waited_for() {
    let p = backend::empty("").await;
    let slow = "op.execute('CREATE TABLE a (id int)')\nop.execute('SELECT pg_sleep(5)')";
    migration(&p, "aaaa00000001", "None", slow, "op.execute('DROP TABLE a')");
    let mut first = p
        .command(&["migrate", "upgrade", "head"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("a process");
    let asleep = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(5)' AND datname = current_database()";
    while p.ask(asleep).await == "0" {
        assert!(first.try_wait().expect("a state").is_none(), "it ended before its migration ran");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    first.kill().expect("a kill");
    first.wait().expect("an end");
    let second = p.expect(0, &["migrate", "upgrade", "head"]);
    second.says(&["waiting for pid ", "an Alembic whose master died"]);
    assert_eq!(second.stdout, "nothing to upgrade\n");
    assert_eq!(p.expect(0, &["migrate", "current"]).stdout, "aaaa00000001 (head)\n");
}
