//! Migrating real databases, as an owner without superuser rights.

#[path = "../common/mod.rs"]
mod common;

mod batches;
mod indexes;
mod killed;
mod lexing;
mod locks;
mod preview;
mod random;
mod replicas;
mod singly;
mod whole;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use backstay::event::Progress;
use backstay::failure::{Failure, Kind};
use backstay::migrate::{self, Applied, MigrateError, Migrations, Options, Reason, State};
use backstay::pg::{ConnInfo, Session};

use common::command_line::CommandLine;
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

fn ids(applied: &Applied) -> Vec<&str> {
    applied.revisions.iter().map(|r| r.revision.as_str()).collect()
}

async fn rows(session: &Session, migrations: &Migrations) -> Vec<String> {
    let current = migrate::current(session, migrations.chain(), &options()).await.unwrap();
    current.revisions.into_iter().collect()
}

impl CommandLine {
    /// The real program, to be started.
    fn upgrade(&self) -> Command {
        let mut command = self.command(&["migrate", "upgrade", "head"]);
        command.env("DATABASE_URL", &self.url);
        command
    }
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
