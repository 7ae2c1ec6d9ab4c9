//! `backstay backup …`, the real program on a real server.

mod common;

use common::command_line::{CommandLine, SECRET};

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backstay::backup::proof::expect_proven;
use backstay::backup::{BackupError, Level, Place};
use backstay::event::LineId;
use backstay::journal::{Entry, Journal};
use backstay::pg::ConnInfo;
use backstay::store::{Directory, Store};
use backstay::window::admin::Admin;
use serde_json::{Value, json};

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
    assert!(listed.starts_with("backup ") && listed.contains("not proven"), "{listed}");
    for level in ["manifest", "read", "restore"] {
        let proven = p.expect(0, &["backup", "verify", "latest", "--level", level]).stdout;
        assert!(proven.starts_with(&format!("{id} is good: ")), "{proven}");
        assert!(proven.contains(&format!("(level {level}, ")), "{proven}");
    }
    assert_eq!(p.ask("SELECT count(*) FROM pg_database WHERE datname LIKE '%\\_\\_s\\_%'").await, "0");
    let entry = p.json(0, &["backup", "list"])["backups"][0].clone();
    assert_eq!((&entry["id"], &entry["verified"]), (&json!(id), &json!("restore")));
    assert_eq!((&entry["database"], &entry["tables"]), (&json!(p.database), &json!(2)));
    assert_eq!((&entry["rows"], &entry["damaged_at"]), (&json!(1001), &json!(null)));
    assert!(entry["restore_millis"].as_u64().is_some_and(|took| took > 0), "{entry}");
    let listed = p.expect(0, &["backup", "list"]).stdout;
    assert!(listed.contains(&p.database) && listed.contains("  restore, "), "{listed}");

    let shown = p.expect(0, &["backup", "show", &id[..12]]).stdout;
    for text in ["2 tables, 1001 rows", "\"public\".\"users\"", &p.database, "proofs      restore, "] {
        assert!(shown.contains(text), "no {text} in {shown}");
    }
    for text in
        [" restored in ", "gzip, level", &format!("restore {id} --as DATABASE"), "restore.sh in file://"]
    {
        assert!(shown.contains(text), "no {text} in {shown}");
    }
    let place = |table: &str| shown.find(&format!("\n\"public\".\"{table}\"")).expect("a row");
    assert!(place("users") < place("Odd \"\"name\"\""), "the largest first: {shown}");
    let held: Vec<_> = p.json(0, &["backup", "show", id])["proofs"].as_array().expect("proofs").clone();
    assert_eq!(held.iter().map(|proof| &proof["level"]).collect::<Vec<_>>(), ["manifest", "read", "restore"]);
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
    let listed = p.json(0, &["backup", "list"])["backups"][0].clone();
    assert_eq!(listed["verified"], "manifest");
    assert!(listed["damaged_at"].is_string(), "{listed}");
    std::fs::write(file.parent().and_then(|d| d.parent()).expect("a folder").join("manifest.json"), "{}")
        .expect("written");
    p.expect(3, &["backup", "verify", &id]).says(&["the manifest is refused"]);
    let listed = p.expect(0, &["backup", "list"]).stdout;
    assert!(listed.contains("DAMAGED") && listed.contains("its manifest is refused"), "{listed}");
}

#[tokio::test]
async fn a_failed_proof_is_remembered_until_one_of_its_level_holds() {
    let p = shop().await;
    let sound = create(&p);
    let id = create(&p);
    p.expect(0, &["backup", "verify", &id, "--level", "read"]);
    let file = rows_of(&p, &id, "users");
    let good = std::fs::read(&file).expect("bytes");
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    std::fs::write(&file, &bad).expect("written");
    p.expect(3, &["backup", "verify", "latest"]).says(&["has other bytes than were written"]);

    // The file is whole again, and nobody has looked: it stays damaged.
    std::fs::write(&file, &good).expect("written");
    p.expect(0, &["backup", "verify", &id, "--level", "manifest"]);
    let listed = p.expect(0, &["backup", "list"]).stdout;
    assert!(
        listed.contains("DAMAGED, ") && listed.contains(&format!("backup show {id} -e test")),
        "{listed}"
    );
    let shown = p.expect(0, &["backup", "show", "latest"]).stdout;
    assert!(shown.contains("DAMAGED: it failed a proof") && shown.contains("FAILED read, "), "{shown}");
    assert!(shown.contains("has other bytes than were written"), "{shown}");
    let status = p.json(0, &["status"]);
    assert_eq!(status["last_backup"]["value"]["damaged"], true);
    assert_eq!(status["last_backup"]["mends"], "backstay backup create -e test");
    assert_eq!(status["damaged"]["value"]["backups"], json!([id]));
    let side = format!("{}_side", p.database);
    let refused = p.expect(3, &["backup", "restore", "latest", "--as", &side]);
    refused.says(&[&id, "it failed a proof", &format!("{sound} is the newest that failed no proof")]);
    let plan = p.json(0, &["backup", "prune", "--keep", "1", "--dry-run"]);
    assert_eq!(plan["to_remove"], json!([]), "the damaged one is not the last good one");
    let other = p.json(0, &["backup", "create", "--if-older", "1h"]);
    assert_eq!((&other["created"], &other["backup"]), (&json!(false), &json!(sound)));

    p.expect(0, &["backup", "verify", &id]);
    assert_eq!(p.json(0, &["backup", "list"])["backups"][1]["damaged_at"], json!(null));
    p.expect(0, &["backup", "restore", "latest", "--as", &side]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_that_could_not_be_tried_says_nothing_of_the_backup() {
    let p = shop().await;
    let id = create(&p);
    let admin = common::session(&common::cluster().url("postgres", "postgres")).await;
    let role = |may: &str| format!("ALTER ROLE \"{}\" {may}", p.database);
    let restore = ["backup", "verify", &id, "--level", "restore"];
    admin.batch_execute(&role("NOCREATEDB")).await.expect("altered");
    p.expect(3, &restore).says(&["permission denied to create database"]);
    admin.batch_execute(&role("CREATEDB")).await.expect("altered");

    // Someone ends every session of the side database for as long as it takes.
    let end = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE '{}\\_\\_s\\_%'",
        p.database
    );
    let ending = tokio::spawn(async move { while admin.batch_execute(&end).await.is_ok() {} });
    let answer = p.run(&restore);
    ending.abort();
    assert_eq!(answer.code, 3, "{answer:?}");
    let entry = p.json(0, &["backup", "list"])["backups"][0].clone();
    assert_eq!((&entry["damaged_at"], &entry["verified"]), (&json!(null), &json!(null)), "{entry}");
}

#[tokio::test]
async fn a_proof_counts_for_its_own_manifest_and_level_only() {
    let p = shop().await;
    let store = Directory::new(p.path().join("backstay-store"));
    let [first, second] = [(), ()].map(|()| create(&p));
    let place = |id: &str| Place { environment: "test".into(), id: id.into() };
    let proven = async |id: &str, level| expect_proven(&store, &place(id), level).await;
    p.expect(0, &["backup", "verify", &first]);
    assert_eq!(proven(&first, Level::Read).await.expect("proven").level, Level::Read);
    assert_eq!(proven(&first, Level::Manifest).await.expect("proven").level, Level::Read);
    let refused = proven(&first, Level::Restore).await.expect_err("not restored");
    assert!(matches!(refused, BackupError::NotProven { .. }), "{refused}");

    // Another backup's record, and one that does not say what its name says.
    let folder = p.path().join("backstay-store/backups/test");
    let proof = std::fs::read_dir(folder.join(&first)).expect("a folder").map(|entry| entry.expect("a file"));
    let proof = proof.map(|entry| entry.path()).find(|path| path.to_string_lossy().contains("/verified-"));
    let proof = proof.expect("a record");
    std::fs::copy(&proof, folder.join(&second).join(proof.file_name().expect("a name"))).expect("copied");
    let read_as_restore = proof.to_string_lossy().replace("verified-read", "verified-restore");
    std::fs::copy(&proof, read_as_restore).expect("copied");
    for (id, level) in [(&second, Level::Read), (&first, Level::Restore)] {
        let refused = proven(id, level).await.expect_err("of another manifest, or of another level");
        assert!(refused.to_string().contains("no record of such a proof"), "{refused}");
    }
    let file = rows_of(&p, &first, "users");
    std::fs::remove_file(&file).expect("removed");
    let refused = proven(&first, Level::Read).await.expect_err("damaged");
    assert!(refused.to_string().contains("is missing"), "{refused}");
}

#[tokio::test]
async fn one_is_taken_only_if_the_last_is_old() {
    let p = shop().await;
    let first = p.json(0, &["backup", "create", "--if-older", "24h"]);
    assert_eq!(first["created"], true);
    let skipped = p.json(0, &["backup", "create", "--if-older", "24h"]);
    assert_eq!((&skipped["created"], &skipped["backup"]), (&json!(false), &first["backup"]));
    assert!(skipped["age_millis"].as_u64().is_some_and(|age| age < 600_000), "{skipped}");
    let said = p.expect(0, &["backup", "create", "--if-older", "24h"]).stdout;
    assert!(said.starts_with(first["backup"].as_str().expect("an id")), "{said}");
    assert!(said.contains(" old: no other was taken"), "{said}");

    // What has no manifest, and what is another database's, is none.
    let folder = p.path().join("backstay-store/backups/test");
    let newer = backstay::id::fresh(backstay::time::now());
    std::fs::create_dir_all(folder.join(&newer).join("data")).expect("a folder");
    std::fs::write(folder.join(&newer).join("data/1.copy.gz"), "x").expect("a file");
    let skipped = p.json(0, &["backup", "create", "--if-older", "24h"]);
    assert_eq!(skipped["backup"], first["backup"]);
    let other = shop().await;
    let answer = p.run_with(&other.url, &["backup", "create", "--if-older", "24h", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&answer.stdout).expect("JSON");
    assert_eq!((answer.code, &document["created"]), (0, &json!(true)), "{answer:?}");
    assert_eq!(p.json(0, &["backup", "create", "--if-older", "0s"])["created"], true);
    p.expect(2, &["backup", "create", "--if-older", "yesterday"]).says(&["no duration"]);
}

#[tokio::test]
async fn two_at_once_do_not_harm_each_other() {
    let p = shop().await;
    std::thread::scope(|scope| {
        let both = [0, 1].map(|_| scope.spawn(|| create(&p)));
        let ids = both.map(|one| one.join().expect("a backup"));
        assert_ne!(ids[0], ids[1]);
        ids.iter().for_each(|id| {
            p.expect(0, &["backup", "verify", id]);
        });
    });
}

#[tokio::test]
async fn status_tells_how_far_backups_are_to_be_relied_on() {
    let p = shop().await;
    let status = p.json(0, &["status"]);
    assert_eq!(
        (&status["last_backup"]["text"], &status["last_proof"]["text"]),
        (&json!("none"), &json!("none"))
    );
    assert_eq!(status["last_backup"]["mends"], "backstay backup create -e test");
    assert_eq!(status["last_proof"]["mends"], Value::Null, "there is nothing to prove");
    p.expect(3, &["backup", "verify", "nosuch"]).says(&["backstay backup list -e test"]);
    let id = create(&p);
    let verify = format!("backstay backup verify {id} --level restore -e test");
    assert_eq!(p.json(0, &["status"])["last_backup"]["mends"], json!(verify));
    p.expect(0, &["backup", "verify", "latest", "--level", "restore"]);
    let newer = create(&p);
    let old = "20200101t000000z-abcd";
    let store = p.path().join("backstay-store/backups/test");
    std::fs::create_dir_all(store.join(old)).expect("a folder");
    std::fs::write(store.join(old).join("globals.sql.gz"), "x").expect("a file");

    let status = p.json(0, &["status"]);
    assert!(status["last_backup"]["text"].as_str().is_some_and(|t| t.starts_with(&newer)), "{status}");
    let proof = &status["last_proof"];
    let text = proof["text"].as_str().expect("a text");
    assert!(text.starts_with(&format!("restore of {id}, ")) && text.contains("restored in "), "{text}");
    assert!(proof["value"]["restore_millis"].as_u64().is_some_and(|took| took > 0), "{proof}");
    assert_eq!(status["leftover"][0]["value"]["backup"], old);
    assert_eq!(status["leftover"][0]["mends"], "backstay backup prune -e test");
    p.expect(0, &["backup", "prune", "--yes"]);
    assert_eq!(p.json(0, &["status"])["leftover"], json!([]));
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
async fn a_part_of_a_backup_is_restored() {
    let p = shop().await;
    let keyed =
        "CREATE TABLE orders (id int PRIMARY KEY, by int REFERENCES users); INSERT INTO orders VALUES (1, 7)";
    p.session().await.batch_execute(keyed).await.expect("orders");
    let id = create(&p);
    let restore = |name: &str, more: &[&str]| {
        let side = format!("{}_{name}", p.database);
        p.expect(0, &[&["backup", "restore", &id, "--as", &side][..], more].concat())
    };
    let one = restore("one", &["--only-table", "public.orders"]);
    assert!(one.stdout.contains(": 1 row in "), "{}", one.stdout);
    one.says(&["left out", "ALTER TABLE ONLY public.orders ADD CONSTRAINT orders_by_fkey FOREIGN KEY"]);
    let two = restore("two", &["--only-table", "users", "--only-table", "ord*"]);
    assert!(two.stdout.contains("1001 rows") && !two.stderr.contains("left out"), "{}", two.stderr);
    assert!(restore("none", &["--schema-only"]).stdout.contains(": 0 rows in "));

    let side = format!("{}_never", p.database);
    let wrong = |code, more: &[&str]| {
        p.expect(code, &[&["backup", "restore", &id, "--as", &side][..], more].concat())
    };
    wrong(3, &["--only-table", "nothing"]).says(&["nothing", "holds no such table", "backup show"]);
    wrong(2, &["--only-table", "a.b.c"]).says(&["names no table"]);
    wrong(2, &["--only-table", "users", "--schema-only"]).says(&["cannot be used with"]);
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
    p.expect(3, &restore).says(&["run 20261120t230205z-k3f9 has", "backstay resume"]);
    admin.batch_execute(&format!("DROP DATABASE \"{fenced}\"")).await.expect("dropped");
    let info = ConnInfo::parse(&p.url).expect("a URL").with_database("postgres");
    let lock = Admin::acquire(info, Default::default(), &p.database, Duration::ZERO).await.expect("the lock");
    let there = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {}", lock.session().pid());
    p.expect(3, &restore).says(&["take the lock"]);
    drop(lock);
    // Its session ends when the server comes round to it.
    while admin.query_one(&there, &[]).await.expect("a count").get::<_, i64>(0) > 0 {}
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
    let plan = p.json(0, &["backup", "prune", "--keep", "1", "--dry-run"]);
    assert_eq!((&plan["removed"], &plan["to_remove"]), (&json!([]), &json!([ids[1], old])));
    assert_eq!(plan["kept"], json!([ids[0], ids[2]]));
    p.expect(2, &["backup", "prune", "--dry-run", "--yes"]);
    assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 4);
    let young = backstay::id::fresh(backstay::time::now());
    std::fs::create_dir_all(folder.join(&young)).expect("a folder");
    std::fs::write(folder.join(&young).join("pre-data.sql.gz"), "x").expect("a file");
    let listed = p.expect(0, &["backup", "list"]).stdout;
    assert!(listed.contains("--leftovers-older-than 0s"), "{listed}");
    let pruned = p.json(0, &["backup", "prune", "--keep", "1", "--yes"]);
    assert_eq!(pruned["removed"], json!([ids[1], old]));
    let nothing = p.expect(0, &["backup", "prune", "--older-than", "1h"]).stdout;
    assert_eq!(nothing, "kept 2 backups, and 1 leftover that may be backups being written now\n");
    let pruned = p.json(0, &["backup", "prune", "--leftovers-older-than", "0s", "--yes"]);
    assert_eq!(pruned["removed"], json!([young]));
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
