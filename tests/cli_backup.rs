//! `backstay backup …`, the real program on a real server.

mod common;

use common::command_line::{CommandLine, SECRET};

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backstay::event::LineId;
use backstay::journal::{Entry, Journal};
use backstay::pg::ConnInfo;
use backstay::store::{Directory, Store};
use backstay::window::admin::{Admin, Patience};
use serde_json::json;

/// A shop with a few rows and settings of its own.
async fn shop() -> CommandLine {
    let project = CommandLine::new("").await;
    let name = &project.database;
    let sql = format!(
        "CREATE TABLE users (id int PRIMARY KEY, name text); \
         INSERT INTO users SELECT i, 'user ' || i FROM generate_series(1, 1000) i; \
         CREATE TABLE \"Odd \"\"name\"\"\" (v text); INSERT INTO \"Odd \"\"name\"\"\" VALUES ('x'); \
         ALTER DATABASE {name} SET work_mem = '5MB'"
    );
    project.session().await.batch_execute(&sql).await.expect("a shop");
    project
}

/// Takes a backup; gives its id.
fn create(p: &CommandLine) -> String {
    p.json(0, &["backup", "create"])["backup"].as_str().expect("an id").to_string()
}

/// The file that holds the rows of `table`.
fn rows_of(p: &CommandLine, backup: &str, table: &str) -> PathBuf {
    let shown = p.json(0, &["backup", "show", backup]);
    let tables = shown["manifest"]["tables"].as_array().expect("tables").clone();
    let found = tables.iter().find(|t| t["table"]["name"] == table).expect("the table");
    let object = found["chunks"][0]["object"].as_str().expect("an object");
    p.path().join("backstay-store/backups/test").join(backup).join(object)
}

#[tokio::test]
async fn a_backup_is_taken_listed_shown_and_proven() {
    let p = shop().await;
    let none = p.expect(0, &["backup", "list"]).stdout;
    assert!(none.starts_with("no backups of test in file://"), "{none}");
    let made = p.expect(0, &["backup", "create"]);
    assert!(made.stdout.contains(": 2 tables, 1001 rows, "), "{}", made.stdout);
    let id = made.stdout.split(':').next().expect("an id");
    made.says(&["not proven yet", &format!("backstay backup verify {id} --level restore -e test")]);

    let listed = p.expect(0, &["backup", "list"]).stdout;
    assert!(listed.starts_with("backup ") && listed.contains("not verified"), "{listed}");
    for level in ["manifest", "read", "restore"] {
        let proven = p.expect(0, &["backup", "verify", "latest", "--level", level]).stdout;
        assert!(proven.starts_with(&format!("{id} is good: ")), "{proven}");
        assert!(proven.contains(&format!("(level {level}, ")), "{proven}");
    }
    assert_eq!(p.ask("SELECT count(*) FROM pg_database WHERE datname LIKE '%\\_\\_s\\_%'").await, "0");
    let entry = p.json(0, &["backup", "list"])["backups"][0].clone();
    assert_eq!((&entry["id"], &entry["verified"]), (&json!(id), &json!("restore")));

    let shown = p.expect(0, &["backup", "show", &id[..12]]).stdout;
    for text in ["2 tables, 1001 rows", "\"public\".\"users\"", &p.database, "verified    restore"] {
        assert!(shown.contains(text), "no {text} in {shown}");
    }
    let document = p.json(0, &["backup", "verify", id]);
    assert_eq!((&document["level"], &document["rows"]), (&json!("read"), &json!(1001)));
}

#[tokio::test]
async fn a_broken_backup_is_named_with_object_and_table() {
    let p = shop().await;
    let id = create(&p);
    let file = rows_of(&p, &id, "users");
    let object = format!("data/{}", file.file_name().and_then(|n| n.to_str()).expect("a name"));
    let good = std::fs::read(&file).expect("bytes");
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    std::fs::write(&file, &bad).expect("written");
    p.expect(0, &["backup", "verify", &id, "--level", "manifest"]);
    for level in ["read", "restore"] {
        let answer = p.expect(3, &["backup", "verify", &id, "--level", level]);
        answer.says(&[&object, "\"public\".\"users\"", "do not rely on this backup"]);
    }
    std::fs::write(&file, &good[..middle]).expect("written");
    p.expect(3, &["backup", "verify", &id, "--level", "manifest"]).says(&[
        &object,
        "bytes, not",
        "\"users\"",
    ]);
    std::fs::remove_file(&file).expect("removed");
    let missing = p.json(3, &["backup", "verify", &id]);
    assert_eq!(missing["exit"], 3);
    assert!(missing["error"]["causes"][0].as_str().is_some_and(|c| c.contains("is missing")), "{missing}");
    p.expect(3, &["backup", "restore", &id, "--as", &format!("{}_side", p.database)]).says(&["users"]);
    assert_eq!(p.ask("SELECT count(*) FROM pg_database WHERE datname LIKE '%\\_side'").await, "0");
    // Only what was proven counts.
    assert_eq!(p.json(0, &["backup", "list"])["backups"][0]["verified"], "manifest");
    std::fs::write(file.parent().and_then(|d| d.parent()).expect("a folder").join("manifest.json"), "{}")
        .expect("written");
    p.expect(3, &["backup", "verify", &id]).says(&["the manifest is refused"]);
}

#[tokio::test]
async fn restored_to_a_side_database_and_never_into_one_that_is_there() {
    let p = shop().await;
    let id = create(&p);
    let side = format!("{}_side", p.database);
    p.session().await.batch_execute("DELETE FROM users").await.expect("deleted");
    let restored = p.expect(0, &["backup", "restore", &id, "--as", &side]);
    assert!(
        restored.stdout.contains(&format!("restored {id} as {side} on 127.0.0.1:")),
        "{}",
        restored.stdout
    );
    assert!(restored.stdout.contains("1001 rows") && restored.stdout.contains("compared table by table"));
    let info = ConnInfo::parse(&p.url).expect("a URL").with_database(&side);
    let session = backstay::pg::connect(&info, &Default::default()).await.expect("a session");
    let count = session.query_one("SELECT count(*), current_setting('work_mem') FROM users", &[]).await;
    let count = count.expect("a count");
    assert_eq!((count.get::<_, i64>(0), count.get::<_, String>(1)), (1000, "5MB".to_string()));
    assert_eq!(p.ask("SELECT count(*) FROM users").await, "0");

    p.expect(3, &["backup", "restore", &id, "--as", &side]).says(&["it is there already", "name another"]);
    p.expect(3, &["backup", "restore", &id, "--as", &p.database]).says(&["it is there already"]);
    p.expect(2, &["backup", "restore", &id]).says(&["--as"]);
    p.expect(2, &["backup", "restore", &id, "--as", &"x".repeat(64)]).says(&["1 to 63 bytes"]);
    let guard = format!("{}__g_20261120t230205z-k3f9_1", p.database);
    p.expect(2, &["backup", "restore", &id, "--as", &guard]).says(&["belong to runs"]);
    p.expect(3, &["backup", "restore", "2001", "--as", "x"]).says(&["\"2001\"", "no backup has an id"]);
    let other = p.url.replace(&format!("/{}", p.database), "/postgres");
    let document = p.json(0, &["backup", "restore", "latest", "--as", "Odd \"side\"", "--server", &other]);
    assert_eq!((&document["database"], &document["rows"]), (&json!("Odd \"side\""), &json!(1001)));
    let nowhere = format!("postgresql://x:{SECRET}@127.0.0.1:1/x").replace('$', "%24");
    p.expect(3, &["backup", "restore", &id, "--as", "x", "--server", &nowhere]).says(&["127.0.0.1:1"]);
    p.expect(2, &["backup", "restore", &id, "--as", "x", "--server", "mysql://x"]);
}

#[tokio::test]
async fn a_lost_database_comes_back_but_not_beside_its_fence() {
    let p = shop().await;
    let id = create(&p);
    let admin = common::session(&common::cluster().url("postgres", "postgres")).await;
    let fenced = format!("{}__w_20261120t230205z-k3f9_1", p.database);
    let rename = |from: &str, to: &str| format!("ALTER DATABASE \"{from}\" RENAME TO \"{to}\"");
    admin.batch_execute(&rename(&p.database, &fenced)).await.expect("renamed");
    let restore = ["backup", "restore", &id, "--as", &p.database];
    p.expect(3, &restore).says(&["fenced by run 20261120t230205z-k3f9", "backstay resume"]);
    admin.batch_execute(&format!("DROP DATABASE \"{fenced}\"")).await.expect("dropped");
    let info = ConnInfo::parse(&p.url).expect("a URL").with_database("postgres");
    let lock = Admin::acquire(info, Default::default(), &p.database, Patience::of(Duration::ZERO))
        .await
        .expect("the lock");
    p.expect(3, &restore).says(&["take the lock"]);
    drop(lock);
    tokio::time::sleep(Duration::from_millis(300)).await;
    p.expect(0, &restore);
    assert_eq!(p.ask("SELECT count(*) FROM users").await, "1000");
}

#[tokio::test]
async fn pruning_asks_and_keeps_the_best() {
    let p = shop().await;
    let ids: Vec<String> = (0..3).map(|_| create(&p)).collect();
    p.expect(0, &["backup", "verify", &ids[0], "--level", "read"]);
    let folder = p.path().join("backstay-store/backups/test");
    let old = "20200101t000000z-abcd";
    std::fs::create_dir_all(folder.join(old)).expect("a folder");
    std::fs::write(folder.join(old).join("globals.sql.gz"), "x").expect("a file");
    let listed = p.expect(0, &["backup", "list"]).stdout;
    assert!(listed.contains("leftover ") && listed.contains(old), "{listed}");
    assert!(listed.contains("-> backstay backup prune -e test"), "{listed}");
    let list = p.json(0, &["backup", "list"]);
    assert_eq!(
        (list["backups"].as_array().map(Vec::len), &list["incomplete"][0]["id"]),
        (Some(3), &json!(old))
    );

    let asked = p.expect(2, &["backup", "prune", "--keep", "1"]);
    asked.says(&[&format!("to remove  {}", ids[1]), "leftover", "there is no terminal", "give --yes"]);
    assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 4);
    let pruned = p.json(0, &["backup", "prune", "--keep", "1", "--yes"]);
    assert_eq!(pruned["removed"], json!([ids[1], old]));
    let nothing = p.expect(0, &["backup", "prune", "--older-than", "1h"]).stdout;
    assert_eq!(nothing, "kept 2 backups\n");
    p.expect(3, &["backup", "show", &ids[1]]).says(&["no backup has an id that begins so"]);
    p.expect(2, &["backup", "prune", "--older-than", "soon"]).says(&["no duration"]);
}

#[tokio::test]
async fn what_an_unfinished_run_needs_is_kept() {
    let p = shop().await;
    let ids: Vec<String> = (0..3).map(|_| create(&p)).collect();
    let store: Arc<dyn Store> = Arc::new(Directory::new(p.path().join("backstay-store")));
    let mut journal = Journal::begin(store, backstay::id::fresh(backstay::time::now()));
    let entry = Entry::Finished {
        line: LineId::Line(2),
        summary: "a backup".into(),
        facts: json!({ "backup": ids[0] }),
        millis: 1,
        probed: false,
    };
    journal.append(entry).await.expect("a record");
    let pruned = p.json(0, &["backup", "prune", "--keep", "1", "--yes"]);
    assert_eq!((&pruned["removed"], &pruned["kept"]), (&json!([ids[1]]), &json!([ids[0], ids[2]])));
}

#[tokio::test]
async fn what_cannot_be_backed_up_or_stored_says_so() {
    let p = shop().await;
    let nowhere = p.url.replacen(&format!(":{}/", common::cluster().port()), ":1/", 1);
    let answer = p.run_with(&nowhere, &["backup", "create"]);
    assert_eq!(answer.code, 3, "{answer:?}");
    answer.says(&["127.0.0.1:1"]);
    p.expect(2, &["backup", "verify", "latest", "--level", "hard"]).says(&["manifest, read, restore"]);
    p.expect(3, &["backup", "verify", "latest"]).says(&["there is no backup yet"]);
    p.write("backstay-store", "a file, no folder");
    p.expect(3, &["backup", "create"]).says(&["backstay-store"]);
    assert_eq!(p.expect(3, &["backup", "list"]).stdout, "");
}

#[tokio::test]
async fn verbose_shows_the_statements_of_a_backup() {
    let p = shop().await;
    let answer = p.expect(0, &["backup", "create", "-v"]);
    answer.says(&["sql: ", "pg_export_snapshot", "COPY"]);
    assert_eq!(answer.stdout.lines().count(), 1, "{}", answer.stdout);
}
