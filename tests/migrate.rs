//! Migrating real databases, as an owner without superuser rights.

mod common;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use backstay::event::{Event, Events, LineId, Progress};
use backstay::failure::{Failure, Kind};
use backstay::migrate::graph::Direction;
use backstay::migrate::{self, Applied, MigrateError, Migrations, Options, Reason, State};
use backstay::pg::{ConnInfo, Session};

use common::{cluster, fresh_database, session};

/// A folder of migrations; `texts` are bodies after `-- revision: …` and so on.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        files.iter().for_each(|(name, text)| folder.write(name, text));
        folder
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    fn load(&self) -> Migrations {
        Migrations::load(self.0.path()).unwrap()
    }
}

fn shop() -> Migrations {
    Migrations::load(Path::new("migrations")).unwrap()
}

/// Fails fast, so that tests do.
fn options() -> Options {
    Options {
        lock_timeout: Duration::from_millis(200),
        lock_retries: 1,
        lock_wait: Duration::from_secs(20),
        run: Some("r1".to_string()),
        ..Options::default()
    }
}

async fn up(session: &mut Session, migrations: &Migrations, target: &str) -> Result<Applied, MigrateError> {
    migrate::upgrade(session, migrations, target, &options(), &Progress::none()).await
}

async fn down(session: &mut Session, migrations: &Migrations, target: &str) -> Result<Applied, MigrateError> {
    migrate::downgrade(session, migrations, target, &options(), &Progress::none()).await
}

/// What `--sql` prints for a range.
fn sql_of(
    migrations: &Migrations,
    direction: Direction,
    range: &str,
    options: &Options,
) -> Result<String, MigrateError> {
    let (from, target) = migrations.graph().offline_range(direction, range)?;
    match direction {
        Direction::Up => migrate::preview::upgrade(migrations, &from, target, options),
        Direction::Down => migrate::preview::downgrade(migrations, &from, target, options),
    }
}

fn ids(applied: &Applied) -> Vec<&str> {
    applied.revisions.iter().map(|r| r.revision.as_str()).collect()
}

async fn rows(session: &Session, migrations: &Migrations) -> Vec<String> {
    let current = migrate::current(session, migrations.chain(), &options()).await.unwrap();
    current.revisions.into_iter().collect()
}

/// The failure as a person reads it.
fn lines(error: MigrateError) -> String {
    let failure = Failure::from(error);
    let mut text = failure.to_string();
    for line in failure.state.iter().chain(&failure.next) {
        text.push('\n');
        text.push_str(line);
    }
    assert!(text.lines().count() <= 10, "{text}");
    text
}

fn dump(url: &str) -> String {
    let output = Command::new(cluster().binaries().join("pg_dump")).args(["-s", "-d", url]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    // Random keys since 15.14.
    text.lines()
        .filter(|l| !l.starts_with("\\restrict") && !l.starts_with("\\unrestrict"))
        .collect::<Vec<_>>()
        .join("\n")
}

async fn pid(session: &Session) -> i32 {
    session.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0)
}

/// Waits until the session with this pid runs a query that contains `part`.
async fn until_runs(watcher: &Session, pid: i32, part: &str) {
    for _ in 0..200 {
        let query = "SELECT coalesce(bool_or(state = 'active' AND query LIKE '%' || $2 || '%'), false) \
                     FROM pg_stat_activity WHERE pid = $1";
        if watcher.query_one(query, &[&pid, &part]).await.unwrap().get(0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{part} never ran");
}

#[tokio::test]
async fn the_shop_goes_up_and_down() {
    let url = fresh_database().await;
    let (mut db, shop) = (session(&url).await, shop());
    let current = migrate::current(&db, shop.chain(), &options()).await.unwrap();
    assert_eq!(current.state, State::Missing);
    let empty = dump(&url);

    assert_eq!(migrate::pending(&db, shop.chain(), "head", &options()).await.unwrap().len(), 3);
    assert_eq!(dump(&url), empty, "looking changes nothing");
    let applied = up(&mut db, &shop, "head").await.unwrap();
    assert_eq!(ids(&applied), ["5f2a9c41d07e", "989ceebf408f", "c08085465bad"]);
    assert_eq!(applied.revisions[2].description, "Add priority to orders");
    assert_eq!(rows(&db, &shop).await, ["c08085465bad"]);
    assert_eq!(up(&mut db, &shop, "head").await.unwrap(), Applied::default());
    let at_head = dump(&url);

    assert_eq!(ids(&down(&mut db, &shop, "-1").await.unwrap()), ["c08085465bad"]);
    assert_eq!(rows(&db, &shop).await, ["989ceebf408f"]);
    assert_eq!(ids(&down(&mut db, &shop, "base").await.unwrap()), ["989ceebf408f", "5f2a9c41d07e"]);
    assert_eq!(rows(&db, &shop).await, [""; 0]);
    let current = migrate::current(&db, shop.chain(), &options()).await.unwrap();
    assert_eq!(current.state, State::Missing, "its own two tables are no user's tables");
    up(&mut db, &shop, "+3").await.unwrap();
    assert_eq!(dump(&url), at_head, "a round trip leaves the same schema");

    let entries = migrate::entries(&db, &options()).await.unwrap();
    assert_eq!(entries.len(), 9);
    assert_eq!((entries[0].revision.as_str(), entries[0].direction.as_str()), ("c08085465bad", "upgrade"));
    assert!(
        entries.iter().all(|e| e.state == "done" && e.applied_at.is_some() && e.run.as_deref() == Some("r1"))
    );
}

#[tokio::test]
async fn the_shops_downgrades_lose_nothing() {
    let url = fresh_database().await;
    let (mut db, shop) = (session(&url).await, shop());
    up(&mut db, &shop, "head").await.unwrap();
    db.batch_execute("INSERT INTO customers (name, email) VALUES ('A', 'a@x'); INSERT INTO orders (customer_id, priority) VALUES (1, 3)")
        .await
        .unwrap();
    let error = lines(down(&mut db, &shop, "-1").await.unwrap_err());
    assert!(
        error.contains("ERROR P0001: orders have priorities") && error.contains("HINT: Keep them"),
        "{error}"
    );
    assert_eq!(rows(&db, &shop).await, ["c08085465bad"]);
    db.batch_execute("UPDATE orders SET priority = 0").await.unwrap();
    let error = down(&mut db, &shop, "base").await.unwrap_err();
    assert_eq!(error.committed, ["c08085465bad", "989ceebf408f"]);
    assert!(error.changed_anything());
    assert!(lines(error).contains("committed before it: c08085465bad, 989ceebf408f"));
}

#[tokio::test]
async fn a_script_that_fails_leaves_no_trace() {
    let url = fresh_database().await;
    let mut db = session(&url).await;
    let folder = Folder::new(&[(
        "1.sql",
        "-- revision: a\n-- First\n-- upgrade\nCREATE TABLE t (x int);\nINSERT INTO t VALUES (1);\n\nSELECT 1 / 0 FROM t;\n",
    )]);
    let before = dump(&url);
    let error = up(&mut db, &folder.load(), "head").await.unwrap_err();
    assert!(!error.changed_anything());
    let text = lines(error);
    let path = folder.0.path().join("1.sql");
    let place = format!(
        "could not upgrade a at {}:7 (statement 3 of 3): ERROR 22012: division by zero",
        path.display()
    );
    assert!(text.starts_with(&place), "{text}");
    assert!(text.contains("nothing of a is left: it was rolled back"), "{text}");
    assert_eq!(dump(&url), before, "not even a version table");

    // A first script that is good stays.
    folder.write("0.sql", "-- revision: z\n-- upgrade\nCREATE TABLE z ();\n");
    folder
        .write("1.sql", "-- revision: a\n-- revises: z\n-- upgrade\nCREATE TABLE t ();\nCREATE TABLE t ();");
    let error = up(&mut db, &folder.load(), "head").await.unwrap_err();
    assert_eq!(error.committed, ["z"]);
    assert_eq!(rows(&db, &folder.load()).await, ["z"]);
    let found =
        db.query_one("SELECT to_regclass('t') IS NULL AND to_regclass('z') IS NOT NULL", &[]).await.unwrap();
    assert!(found.get::<_, bool>(0));
}

#[tokio::test]
async fn a_statement_may_not_take_longer_than_allowed() {
    let url = fresh_database().await;
    let mut db = session(&url).await;
    let hasty = Options { statement_timeout: Duration::from_millis(100), ..options() };
    for off in ["", "-- transaction: off\n"] {
        let text = format!("-- revision: a\n{off}-- upgrade\nDO 'BEGIN PERFORM pg_sleep(20); END';");
        let folder = Folder::new(&[("1.sql", &text)]);
        let result = migrate::upgrade(&mut db, &folder.load(), "head", &hasty, &Progress::none()).await;
        let text = lines(result.unwrap_err());
        assert!(text.contains("ERROR 57014: canceling statement due to statement timeout"), "{text}");
    }
    let row = db.query_one("SHOW statement_timeout", &[]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), "0");
}

#[tokio::test]
async fn a_commit_that_is_refused_leaves_no_trace() {
    let url = fresh_database().await;
    let mut db = session(&url).await;
    let folder = Folder::new(&[(
        "1.sql",
        "-- revision: a\n-- upgrade\nCREATE TABLE p (id int PRIMARY KEY);\nCREATE TABLE c (p int REFERENCES p DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO c VALUES (1);\n",
    )]);
    let before = dump(&url);
    let text = lines(up(&mut db, &folder.load(), "head").await.unwrap_err());
    assert!(text.contains("at the end of") && text.contains("ERROR 23503"), "{text}");
    assert_eq!(dump(&url), before);
}

#[tokio::test]
async fn a_session_that_dies_in_mid_migration_leaves_no_trace() {
    let url = fresh_database().await;
    let (mut db, killer) = (session(&url).await, session(&url).await);
    let body = "CREATE TABLE t ();\nSELECT pg_sleep(30);";
    let folder = Folder::new(&[("1.sql", &format!("-- revision: a\n-- upgrade\n{body}"))]);
    let before = dump(&url);
    let victim = pid(&db).await;
    let migrations = folder.load();
    let run = up(&mut db, &migrations, "head");
    let kill = async {
        until_runs(&killer, victim, "pg_sleep(30)").await;
        killer.query("SELECT pg_terminate_backend($1)", &[&victim]).await.unwrap();
    };
    let (result, ()) = tokio::join!(run, kill);
    let error = result.unwrap_err();
    assert!(!error.changed_anything());
    assert!(lines(error).contains("FATAL 57P01"));
    assert_eq!(dump(&url), before);

    // The lock went with the session.
    folder.write("1.sql", "-- revision: a\n-- upgrade\nCREATE TABLE t ();");
    let mut again = session(&url).await;
    assert_eq!(ids(&up(&mut again, &folder.load(), "head").await.unwrap()), ["a"]);
}

#[tokio::test]
async fn who_holds_the_lock_is_named() {
    let url = fresh_database().await;
    let (mut db, blocker) = (session(&url).await, session(&url).await);
    db.batch_execute("CREATE TABLE t (x int)").await.unwrap();
    let blocking = pid(&blocker).await;
    blocker.batch_execute("SET application_name = 'nightly report'; BEGIN; LOCK TABLE t").await.unwrap();
    let folder = Folder::new(&[("1.sql", "-- revision: a\n-- upgrade\nALTER TABLE t ADD y int;")]);
    let migrations = folder.load();
    let observed = Options { observer: Some(ConnInfo::parse(&url).unwrap()), ..options() };
    for options in [options(), observed] {
        let result = migrate::upgrade(&mut db, &migrations, "head", &options, &Progress::none()).await;
        let text = lines(result.unwrap_err());
        for part in [
            "ERROR 55P03",
            "tried 2 times",
            &format!(
                "it waited for pid {blocking} (user app_1, application nightly report, idle in transaction, for"
            ),
            "LOCK TABLE t",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    // Once it goes, a retry gets through.
    let patient = Options { lock_retries: 20, ..options() };
    let silent = Progress::none();
    let run = migrate::upgrade(&mut db, &migrations, "head", &patient, &silent);
    let release = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        blocker.batch_execute("COMMIT").await.unwrap();
    };
    let (result, ()) = tokio::join!(run, release);
    assert_eq!(ids(&result.unwrap()), ["a"]);
}

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
async fn an_invalid_index_is_named() {
    let url = fresh_database().await;
    let mut db = session(&url).await;
    let folder = Folder::new(&[
        ("1.sql", "-- revision: a\n-- upgrade\nCREATE TABLE t (x int);\nINSERT INTO t VALUES (1), (1);\n"),
        (
            "2.sql",
            "-- revision: b\n-- revises: a\n-- transaction: off\n-- upgrade\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS \"T x\" ON t (x);",
        ),
    ]);
    let error = up(&mut db, &folder.load(), "head").await.unwrap_err();
    assert!(error.changed_anything());
    let text = lines(error);
    assert!(
        text.contains("none of the 1 statements of b took effect; it left the INVALID index public.\"T x\""),
        "{text}"
    );
    assert!(text.contains("\nDROP INDEX CONCURRENTLY public.\"T x\";\n"), "{text}");
    // IF NOT EXISTS must not take it for a good one.
    db.batch_execute("DELETE FROM t").await.unwrap();
    let text = lines(up(&mut db, &folder.load(), "head").await.unwrap_err());
    assert!(text.contains("an INVALID index public.\"T x\" of an earlier try is in the way"), "{text}");
    db.batch_execute("DROP INDEX CONCURRENTLY public.\"T x\"").await.unwrap();
    assert_eq!(ids(&up(&mut db, &folder.load(), "head").await.unwrap()), ["b"]);
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
async fn an_edited_applied_file_is_refused_by_name() {
    let url = fresh_database().await;
    let mut db = session(&url).await;
    let second = "-- revision: b\n-- revises: a\n-- upgrade\nCREATE TABLE u ();";
    let folder =
        Folder::new(&[("1.sql", "-- revision: a\n-- upgrade\nCREATE TABLE t ();\n"), ("2.sql", second)]);
    up(&mut db, &folder.load(), "a").await.unwrap();
    folder.write("1.sql", "-- revision: a\r\n-- upgrade\r\nCREATE TABLE t ();  \r\n\r\n");
    up(&mut db, &folder.load(), "a").await.expect("line ends and trailing blanks are no edit");
    folder.write("1.sql", "-- revision: a\n-- upgrade\nCREATE TABLE t (x int);\n");
    let before = dump(&url);
    let error = up(&mut db, &folder.load(), "head").await.unwrap_err();
    assert!(matches!(&*error.reason, Reason::Edited { revisions, .. } if revisions == &["a"]));
    let text = lines(error);
    assert!(text.contains("1.sql (a)") && text.contains("backstay migrate stamp a"), "{text}");
    assert_eq!(dump(&url), before);
    assert!(down(&mut db, &folder.load(), "base").await.is_err());
    migrate::stamp(&mut db, &folder.load(), "a", false, &options(), &Progress::none()).await.unwrap();
    assert_eq!(ids(&up(&mut db, &folder.load(), "head").await.unwrap()), ["b"]);
}

#[tokio::test]
async fn alembics_rows_are_taken_as_they_are() {
    let url = fresh_database().await;
    let (mut db, shop) = (session(&url).await, shop());
    db.batch_execute(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)); \
         CREATE TABLE orders (id int)",
    )
    .await
    .unwrap();
    let current = migrate::current(&db, shop.chain(), &options()).await.unwrap();
    assert_eq!(current.state, State::Unversioned);
    db.batch_execute("INSERT INTO alembic_version VALUES ('c08085465bad')").await.unwrap();
    assert_eq!(up(&mut db, &shop, "head").await.unwrap(), Applied::default());

    db.batch_execute("UPDATE alembic_version SET version_num = 'feedfacecafe'").await.unwrap();
    let error = up(&mut db, &shop, "head").await.unwrap_err();
    assert_eq!(Failure::from(error).kind, Kind::Refused);
    let text = lines(down(&mut db, &shop, "base").await.unwrap_err());
    assert!(text.contains(
        "can't locate revision feedfacecafe: public.alembic_version has it, but no file in migrations"
    ));
    assert!(text.contains("stamp --purge"), "{text}");
    let stamp = migrate::stamp(&mut db, &shop, "head", false, &options(), &Progress::none()).await;
    assert!(stamp.is_err(), "only --purge drops what no file has");
    migrate::stamp(&mut db, &shop, "head", true, &options(), &Progress::none()).await.unwrap();
    assert_eq!(rows(&db, &shop).await, ["c08085465bad"]);
}

#[tokio::test]
async fn eight_upgrades_at_once_apply_each_once() {
    let url = fresh_database().await;
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let mut db = session(&url).await;
        tasks.push(tokio::spawn(async move { up(&mut db, &shop(), "head").await.unwrap().revisions.len() }));
    }
    let mut applied = 0;
    for task in tasks {
        applied += task.await.unwrap();
    }
    assert_eq!(applied, 3);
    let db = session(&url).await;
    assert_eq!(migrate::entries(&db, &options()).await.unwrap().len(), 3);
}

#[tokio::test]
async fn whoever_holds_the_lock_of_the_migrators_is_named() {
    let url = fresh_database().await;
    let (mut db, mut other) = (session(&url).await, session(&url).await);
    other.batch_execute("SET application_name = 'replica 3'").await.unwrap();
    let folder = Folder::new(&[("1.sql", "-- revision: a\n-- upgrade\nSELECT pg_sleep(2.5);")]);
    let (migrations, holder) = (folder.load(), pid(&other).await);
    let impatient = Options { lock_wait: Duration::from_millis(900), ..options() };
    let (events, mut heard) = Events::channel();
    let progress = events.progress(LineId::Line(1));
    let second = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        migrate::upgrade(&mut db, &migrations, "head", &impatient, &progress).await
    };
    let (first, second) = tokio::join!(up(&mut other, &migrations, "head"), second);
    assert_eq!(ids(&first.unwrap()), ["a"]);
    let text = lines(second.unwrap_err());
    assert!(text.contains(&format!("pid {holder} (user app_1, application replica 3, active")), "{text}");
    let said = heard.recv().await.unwrap();
    assert!(matches!(said, Event::Note { text, .. } if text.contains("waiting for pid")));
}

#[tokio::test]
async fn hostile_names_are_names() {
    let url = fresh_database().await;
    let mut db = session(&url).await;
    let long = "ü".repeat(31) + "x";
    for (schema, table) in [("we\"ird; sch'ema \\", "ver\"sion'; --"), ("übergröße", long.as_str())] {
        db.batch_execute(&format!("CREATE SCHEMA {}", backstay::pg::quote_ident(schema))).await.unwrap();
        let options = Options {
            schema: Some(schema.to_string()),
            version_table: table.to_string(),
            run: Some("it's \\ a \"run\"".to_string()),
            ..options()
        };
        let folder = Folder::new(&[(
            "it's.sql",
            "-- revision: é_1\n-- It's a \\ \"text\" with 'quotes'\n-- upgrade\nSELECT 'a\\';\n-- downgrade\nSELECT 1;",
        )]);
        let migrations = folder.load();
        let done = migrate::upgrade(&mut db, &migrations, "head", &options, &Progress::none()).await.unwrap();
        assert_eq!(ids(&done), ["é_1"]);
        let current = migrate::current(&db, migrations.chain(), &options).await.unwrap();
        assert_eq!(current.revisions.len(), 1);
        assert!(current.edited.is_empty());
        let entries = migrate::entries(&db, &options).await.unwrap();
        assert_eq!(entries[0].run.as_deref(), Some("it's \\ a \"run\""));
        migrate::downgrade(&mut db, &migrations, "base", &options, &Progress::none()).await.unwrap();
    }
    let options = Options { version_table: "x".repeat(64), ..options() };
    let error = migrate::current(&db, shop().chain(), &options).await.unwrap_err();
    assert_eq!(Failure::from(error).kind, Kind::Usage);
}

#[tokio::test]
async fn two_roots_in_one_schema_have_one_history() {
    let url = fresh_database().await;
    let (mut one, mut two) = (session(&url).await, session(&url).await);
    let ai = Options { version_table: "alembic_version_ai".to_string(), ..options() };
    let first = Folder::new(&[("1.sql", "-- revision: a\n-- upgrade\nSELECT pg_sleep(0.3);")]);
    let second = Folder::new(&[("1.sql", "-- revision: a\n-- upgrade\nSELECT pg_sleep(0.3), 2;")]);
    let (first, second, silent) = (first.load(), second.load(), Progress::none());
    let (a, b) =
        tokio::join!(up(&mut one, &first, "head"), migrate::upgrade(&mut two, &second, "head", &ai, &silent));
    assert_eq!((ids(&a.unwrap()), ids(&b.unwrap())), (vec!["a"], vec!["a"]));
    let current = migrate::current(&two, second.chain(), &ai).await.unwrap();
    assert!(current.edited.is_empty(), "the other root's revision of that id is another");
    assert_eq!(migrate::entries(&two, &ai).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_a_script_sets_does_not_outlive_it() {
    let url = fresh_database().await;
    let mut db = session(&url).await;
    let folder = Folder::new(&[
        (
            "1.sql",
            "-- revision: a\n-- upgrade\nSELECT pg_catalog.set_config('search_path', '', false);\nSET lock_timeout = 0; SET standard_conforming_strings = off; SET ROLE pg_database_owner;\nCREATE TABLE public.t ();\n",
        ),
        (
            "2.sql",
            "-- revision: b\n-- revises: a\n-- transaction: off\n-- upgrade\nSET search_path = pg_catalog;\nCREATE TABLE u ();\n",
        ),
        ("3.sql", "-- revision: c\n-- revises: b\n-- upgrade\nSELECT 'a\\' AS b; CREATE TABLE v ();"),
    ]);
    up(&mut db, &folder.load(), "head").await.unwrap();
    let row = db.query_one("SELECT to_regclass('public.v') IS NOT NULL, current_setting('search_path'), current_setting('lock_timeout'), current_user = session_user", &[]).await.unwrap();
    assert!(row.get::<_, bool>(0) && row.get::<_, bool>(3));
    assert_eq!(row.get::<_, String>(1), "\"$user\", public");
}

#[tokio::test]
async fn the_preview_is_what_is_done() {
    let folder = Folder::new(&[
        (
            "1.sql",
            "-- revision: a\n-- It's the \\ first\n-- upgrade\nSET search_path = '';\nCREATE TABLE public.t (x int);\nCREATE FUNCTION public.f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END;\n-- downgrade\nDROP FUNCTION f; DROP TABLE t",
        ),
        (
            "2.sql",
            "-- revision: b1\n-- revises: a\n-- transaction: off\n-- upgrade\nCREATE INDEX CONCURRENTLY t_x ON t (x); -- done\nVACUUM t;\n-- downgrade\nDROP INDEX CONCURRENTLY t_x -- no semicolon",
        ),
        (
            "3.sql",
            "-- revision: b2\n-- revises: a\n-- upgrade\nCOMMENT ON TABLE t IS 'a;\n-- downgrade\n b';\n-- downgrade\nCOMMENT ON TABLE t IS NULL;",
        ),
        ("4.sql", "-- revision: m\n-- revises: b1, b2\n-- Merge\n-- upgrade\n-- downgrade\n"),
    ]);
    let migrations = folder.load();
    let (ran, fed) = (fresh_database().await, fresh_database().await);
    let (mut ran_db, fed_db) = (session(&ran).await, session(&fed).await);
    let history = "SELECT string_agg(concat_ws(' ', revision, direction, state, checksum, description, run), E'\\n' ORDER BY id) FROM backstay_history";
    for (direction, range, target) in [
        (Direction::Up, "head", "head"),
        (Direction::Down, "m:a", "a"),
        (Direction::Up, "a:m", "head"),
        (Direction::Down, "m:base", "base"),
    ] {
        let sql = sql_of(&migrations, direction, range, &options()).unwrap();
        psql(&fed, &sql);
        match direction {
            Direction::Up => up(&mut ran_db, &migrations, target).await.unwrap(),
            Direction::Down => down(&mut ran_db, &migrations, target).await.unwrap(),
        };
        let owner = |url: &str| dump(url).replace("app_1", "app").replace("app_2", "app");
        assert_eq!(owner(&ran), owner(&fed), "after {range}:\n{sql}");
        assert_eq!(rows(&ran_db, &migrations).await, rows(&fed_db, &migrations).await);
        let recorded = |row: tokio_postgres::Row| row.get::<_, String>(0);
        let (ran, fed) =
            (ran_db.query_one(history, &[]).await.unwrap(), fed_db.query_one(history, &[]).await.unwrap());
        assert_eq!(recorded(ran), recorded(fed));
    }
    let sql = sql_of(&migrations, Direction::Up, "base:+1", &options()).unwrap();
    assert!(sql.starts_with("BEGIN;\n\n-- Running upgrade  -> a\n\n"), "{sql}");
    assert!(sql_of(&migrations, Direction::Down, "base", &options()).is_err());
}

fn psql(url: &str, sql: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), sql).unwrap();
    let mut command = Command::new(cluster().binaries().join("psql"));
    command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-f"]).arg(file.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}\n{sql}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn broken_folders_are_refused_before_a_connection() {
    let error = |files: &[(&str, &str)]| {
        let folder = Folder::new(files);
        let failure = Failure::from(Migrations::load(folder.0.path()).unwrap_err());
        assert_eq!(failure.kind, Kind::Usage);
        failure.to_string().replace(&folder.0.path().display().to_string(), "m")
    };
    let good = "-- revision: a\n-- upgrade\n";
    assert_eq!(
        error(&[("1.sql", good), ("2.sql", good)]),
        "could not read the migrations: m: revision a is in two files: 1.sql and 2.sql"
    );
    assert_eq!(
        error(&[("1.sql", "-- revision: b\n-- revises: a\n-- upgrade\n")]),
        "could not read the migrations: m: there is a gap in the chain: b (1.sql) revises a, which no file has"
    );
    assert_eq!(
        error(&[("1.sql", "-- revision: a\n-- upgrade\nSELECT 1;\nVACUUM;")]),
        "could not read the migrations: m/1.sql:4: VACUUM can't run inside a transaction; add `-- transaction: off` to the header"
    );
    let folder = Folder::new(&[]);
    std::fs::write(folder.0.path().join("1.sql"), b"-- revision: a\n-- \xff\n").unwrap();
    let text = Migrations::load(folder.0.path()).unwrap_err().to_string();
    assert!(text.ends_with("1.sql:2: the file is not UTF-8 from here on"), "{text}");
    let failure = Failure::from(Migrations::load(Path::new("/nonexistent/migrations")).unwrap_err());
    assert!(failure.to_string().contains("read /nonexistent/migrations: No such file or directory"));
}
