//! What others wrote after `open` is in the ledger's files, exactly, and loads again by `gunzip` and `psql` alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use backstay::backup::TableName;
use backstay::backup::fingerprint::{self, Content};
use backstay::pg::ConnInfo;
use backstay::window::ledger::{Deletions, Document, FileKind, Table};
use sha2::{Digest, Sha256};

use crate::common::project::wait_until;
use crate::common::{cluster, session};
use crate::sabotage::waits;
use crate::scene::{Running, Scene};

/// Tables of every kind, as applications have them.
const TABLES: &str = r#"
    CREATE SCHEMA "Odd Schema";
    CREATE TABLE "Odd Schema"."t ""q""
\! touch owned" (id int PRIMARY KEY, "no te" text, raw bytea);
    INSERT INTO "Odd Schema"."t ""q""
\! touch owned" SELECT i, 'note ' || i, '\x00ff' FROM generate_series(1, 5) i;
    CREATE TABLE keyless (a int, b text);
    INSERT INTO keyless SELECT i, 'b' FROM generate_series(1, 5) i;
    CREATE TABLE composite (a text, b int, c numeric, PRIMARY KEY (a, b));
    INSERT INTO composite SELECT chr(96 + i), i, i / 3.0 FROM generate_series(1, 9) i;
    INSERT INTO composite VALUES (E'tab\there', 1, 1), ('tab here', 1, 2), (E'back\\slash', 1, 3), ('ü', 1, 4);
    CREATE TABLE computed (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) STORED);
    INSERT INTO computed (n) VALUES (1), (2), (3);
    CREATE TABLE parted (id int, at int, note text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (10);
    CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (10) TO (20);
    INSERT INTO parted SELECT i, i FROM generate_series(1, 19) i;
    CREATE TABLE secured (id int PRIMARY KEY, who text);
    ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
    INSERT INTO secured VALUES (1, 'a'), (2, 'b');
    CREATE TABLE emptied (id int PRIMARY KEY, note text);
    INSERT INTO emptied VALUES (1, 'one'), (2, 'two');
    CREATE TABLE parents (id int PRIMARY KEY);
    CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents);
    INSERT INTO parents SELECT generate_series(1, 4);
    INSERT INTO children SELECT i, i FROM generate_series(1, 4) i;
    CREATE TABLE numbers (id bigint PRIMARY KEY);
    INSERT INTO numbers SELECT generate_series(-1500, 1500);
    CREATE TABLE words (word text PRIMARY KEY, n int);
    INSERT INTO words SELECT md5(i::text), i FROM generate_series(1, 3000) i;
    CREATE TABLE untouched (id int PRIMARY KEY);
    INSERT INTO untouched SELECT generate_series(1, 10);
    SELECT lo_from_bytea(4700, 'as it was'), lo_from_bytea(4701, 'to be removed');
"#;

/// What others do to them, statement by statement.
const WRITES: &str = r#"
    INSERT INTO "Odd Schema"."t ""q""
\! touch owned" VALUES (6, E'tab\there\nline\\end', NULL), (7, NULL, '\x5c2e0a'), (8, '\.', '');
    UPDATE "Odd Schema"."t ""q""
\! touch owned" SET "no te" = '\N' WHERE id = 2;
    INSERT INTO keyless VALUES (6, 'new'), (6, 'new');
    UPDATE composite SET c = 77 WHERE a = 'a';
    UPDATE composite SET a = 'moved' WHERE a = 'b';
    DELETE FROM composite WHERE a IN (E'tab\there', E'back\\slash', 'ü');
    INSERT INTO computed (n) VALUES (4);
    UPDATE computed SET n = 20 WHERE n = 2;
    UPDATE parted SET at = 15 WHERE id = 5;
    UPDATE parted SET note = 'noted' WHERE id = 12;
    DELETE FROM parted WHERE id = 19;
    INSERT INTO secured VALUES (3, 'c');
    DELETE FROM secured WHERE id = 1;
    TRUNCATE emptied;
    INSERT INTO emptied VALUES (2, 'anew'), (3, 'three');
    DELETE FROM children WHERE id = 1;
    DELETE FROM parents WHERE id = 1;
    INSERT INTO parents VALUES (5);
    INSERT INTO children VALUES (5, 5);
    DELETE FROM numbers WHERE id % 700 = 0;
    DELETE FROM words WHERE n % 1000 = 0;
    UPDATE orders SET note = 'urgent' WHERE id = 7;
    DELETE FROM order_items WHERE order_id = 9;
    DELETE FROM orders WHERE id = 9;
    INSERT INTO customers (name, email) VALUES ('Ada', 'ada@example.org');
    CREATE TABLE guests (id int PRIMARY KEY, name text);
    INSERT INTO guests VALUES (1, 'Grace');
    SELECT lo_put(4700, 3, 'WAS'), lo_unlink(4701), lo_from_bytea(4702, decode(repeat('00ff', 700000), 'hex'));
"#;

/// What is said of each table: rows, deleted keys, and what those are worth.
const EXPECTED: [(&str, u64, u64, Deletions); 16] = [
    ("numbers", 0, 5, Deletions::Certain),
    ("words", 0, 3, Deletions::Certain),
    ("t \"q\"\n\\! touch owned", 4, 0, Deletions::None),
    ("keyless", 2, 0, Deletions::None),
    ("composite", 2, 4, Deletions::Certain),
    ("computed", 2, 0, Deletions::None),
    ("parted_low", 0, 1, Deletions::Certain),
    ("parted_high", 2, 1, Deletions::Certain),
    ("secured", 1, 1, Deletions::Certain),
    ("emptied", 2, 1, Deletions::Certain),
    ("parents", 1, 1, Deletions::Certain),
    ("children", 1, 1, Deletions::Certain),
    ("orders", 1, 1, Deletions::Certain),
    ("order_items", 0, 1, Deletions::Certain),
    ("customers", 1, 0, Deletions::None),
    ("guests", 1, 0, Deletions::None),
];

/// Tables that the release itself changes, or that go on in production.
const APART: [&str; 5] = ["alembic_version", "backstay_history", "orders", "guests", crate::storm::TABLE];

#[tokio::test]
async fn everything_that_others_wrote_is_kept_and_loads_again() {
    let mut scene = Scene::open("the ledger of everything").await;
    scene.prepare(TABLES).await;
    let running = scene.release_that_fails_at_its_gate();
    scene.others_write(WRITES).await;
    scene.open_gate("deploy");
    let ended = running.end().expect(5);
    ended.says("public.composite: 2 rows new or changed").says("exit status: 3");
    assert!(scene.ledgers().is_empty(), "nothing is written before anybody agreed");
    let run = scene.run_id();
    let ended = scene.run(&["resume", &run, "--put-back"], 4);
    ended.says(&format!("kept as runs/{run}/ledger/2/"));
    scene.calm();
    let ledger = scene.ledger();
    assert_eq!(ledger.document.run, run);
    ledger.has_whole_files();
    let found: BTreeMap<&str, &Table> =
        ledger.document.tables.iter().map(|table| (&*table.table.name, table)).collect();
    for (name, rows, deleted, deletions) in EXPECTED {
        let table = found.get(name).unwrap_or_else(|| panic!("{name:?} is not in {found:?}"));
        assert_eq!(
            (table.rows, table.deleted, table.deletions),
            (Some(rows), deleted, deletions),
            "{name:?}"
        );
        assert_eq!(ledger.lines(name, FileKind::Rows), rows, "{name:?}");
        assert_eq!(ledger.lines(name, FileKind::Deleted), deleted, "{name:?}");
    }
    assert_eq!(found.len(), EXPECTED.len(), "{:?}", found.keys());
    assert_eq!(found["guests"].loads_into, None);
    assert_eq!(found["composite"].key, ["a", "b"]);
    let large = ledger.document.large_objects.as_ref().expect("large objects");
    let written: Vec<_> = large.written.iter().map(|object| (object.oid, object.bytes)).collect();
    assert_eq!((written, &large.removed), (vec![(4700, Some(9)), (4702, Some(1_400_000))], &vec![4701]));
    scene.loads_into_a_copy(&ledger).await;
    scene.is_put_back().await;
}

#[tokio::test]
async fn the_config_may_ask_for_the_ledger_in_advance() {
    let mut scene = Scene::open("on_writes = put-back keeps a ledger").await;
    scene.agree_in_advance();
    let write = scene.project.sql("INSERT INTO customers (name, email) VALUES ('Ada', 'ada@example.org')");
    scene.project.deploys(&format!("{write}; exit 3"), "");
    let run = {
        scene.release(4).says("1 table, 1 row").says("and production has none of it: runs/");
        scene.run_id()
    };
    let ledger = scene.ledger();
    ledger.has_whole_files();
    assert_eq!(ledger.lines("customers", FileKind::Rows), 1);
    let sequence = &ledger.document.sequences[0];
    assert_eq!(
        (&*sequence.sequence.name, sequence.at_open, sequence.now),
        ("customers_id_seq", Some(200), Some(201))
    );
    let finished = scene.project.journal().into_iter().find(|(_, record)| {
        record["kind"] == "finished" && record["facts"]["ledger"] == format!("runs/{run}/ledger/1/")
    });
    assert!(finished.is_some(), "the journal says where it is");
    scene.is_put_back().await;
}

#[tokio::test]
async fn deletions_of_the_release_itself_are_not_taken_for_those_of_others() {
    let mut scene = Scene::open("the release deletes, and so do others").await;
    scene.agree_in_advance();
    scene.release_deletes();
    let running = scene.release_that_fails_at_its_gate();
    scene
        .others_write("INSERT INTO order_items (order_id, product_id, quantity, price) VALUES (1, 49, 1, 1)")
        .await;
    scene.open_gate("deploy");
    running.end().expect(4);
    let ledger = scene.ledger();
    let table = &ledger.document.tables[0];
    assert_eq!((table.rows, table.deleted, table.deletions), (Some(1), 0, Deletions::None));
    scene.is_put_back().await;

    let mut scene = Scene::open("the release deletes, and others delete there too").await;
    scene.agree_in_advance();
    scene.release_deletes();
    let running = scene.release_that_fails_at_its_gate();
    scene.others_write("DELETE FROM order_items WHERE order_id = 11").await;
    scene.open_gate("deploy");
    running.end().expect(4).says("11 rows gone, some of them perhaps by the release itself");
    let ledger = scene.ledger();
    let table = &ledger.document.tables[0];
    assert_eq!((table.rows, table.deleted, table.deletions), (Some(0), 11, Deletions::Mixed));
    let copy = scene.copy_of_production().await;
    let shown = ledger.load(&ledger.document.files[0].name, &copy, &[]);
    assert!(shown.contains("(11 rows)"), "it shows them, and deletes nothing: {shown}");
    ledger.load(&ledger.document.files[0].name, &copy, &["-v", "delete=yes"]);
    let there = session(&cluster().url("postgres", &copy)).await;
    let left: i64 = there.query_one("SELECT count(*) FROM order_items", &[]).await.unwrap().get(0);
    assert_eq!(left, 189);
    scene.is_put_back().await;
}

#[tokio::test]
async fn beside_a_guard_that_was_restored_tables_are_found_by_name() {
    let mut scene = Scene::open("the guard is a backup").await;
    scene.agree_in_advance();
    scene.prepare(TABLES).await;
    scene.project.edit("runbooks/release.toml", "guard = \"clone\"", "guard = \"backup\"");
    let running = scene.release_that_fails_at_its_gate();
    scene.others_write("DELETE FROM composite WHERE b = 1; INSERT INTO secured VALUES (3, 'c')").await;
    scene.others_write("SELECT lo_unlink(4701)").await;
    scene.open_gate("deploy");
    running.end().expect(4);
    let ledger = scene.ledger();
    ledger.has_whole_files();
    assert_eq!(ledger.lines("composite", FileKind::Deleted), 5);
    assert_eq!(ledger.lines("secured", FileKind::Rows), 1);
    assert_eq!(ledger.document.large_objects.as_ref().map(|large| large.removed.clone()), Some(vec![4701]));
    assert!(ledger.document.tables.iter().all(|table| table.loads_into.as_ref() == Some(&table.table)));
    scene.is_put_back().await;
}

#[tokio::test]
async fn what_our_role_may_not_read_is_named_and_not_passed_over() {
    let mut scene = Scene::open("rows behind a policy, and a table of another").await;
    scene.project.edit("runbooks/release.toml", "[[before]]\nstep = \"backup\"\nverify = \"read\"\n", "");
    let name = scene.project.name.clone();
    let running = scene.release_that_fails_at_its_gate();
    let foreign = "CREATE TABLE foreigners (id int); INSERT INTO foreigners VALUES (1); CREATE SEQUENCE of_others; \
                   SELECT nextval('of_others')";
    scene.as_superuser(&name, foreign).await;
    let hidden = "CREATE TABLE hidden (id int); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY; \
                  ALTER TABLE hidden FORCE ROW LEVEL SECURITY; INSERT INTO customers (name, email) VALUES ('Ada', 'a@b')";
    scene.others_write(hidden).await;
    scene.open_gate("deploy");
    let ended = running.end().expect(5);
    ended.says("public.foreigners: created, written, in rows that our role may not read");
    ended.says("public.hidden: created, written, in rows that our role may not read");
    let run = scene.run_id();
    scene.run(&["resume", &run, "--put-back"], 4).says("1 table, 1 row");
    let ledger = scene.ledger();
    let reasons = ledger.document.tables.iter().filter_map(|table| table.not_kept.as_deref());
    assert_eq!(reasons.filter(|reason| reason.contains("may not read")).count(), 2);
    let why = ledger.document.schema_not_kept.expect("pg_dump may not lock it");
    assert!(why.contains("permission denied for table foreigners"), "{why}");
    scene.is_put_back().await;
}

#[tokio::test]
async fn a_deletion_is_found_although_the_server_lost_its_counters() {
    let mut scene = Scene::open("the server crashes after a deletion").await;
    let running = scene.release_that_fails_at_its_gate();
    scene.others_write("DELETE FROM order_items WHERE order_id = 1").await;
    crash_the_server().await;
    scene.open_gate("deploy");
    running.end().expect(5).says("public.order_items: 1 row deleted");
    let run = scene.run_id();
    scene.run(&["resume", &run, "--put-back"], 4);
    let ledger = scene.ledger();
    assert!(ledger.document.statistics_lost);
    assert_eq!(ledger.lines("order_items", FileKind::Deleted), 1);
    scene.is_put_back().await;
}

#[tokio::test]
async fn a_ledger_that_the_store_refuses_waits_and_production_is_put_back() {
    let mut scene = Scene::open("the ledger's folder is a file").await;
    scene.agree_in_advance();
    let running = scene.release_that_fails_at_its_gate();
    scene.others_write("DELETE FROM order_items WHERE order_id = 1").await;
    let folder = scene.run_folder().join("ledger");
    std::fs::write(&folder, "in the way").unwrap();
    scene.open_gate("deploy");
    let ended = running.end().expect(4);
    for words in ["exit status: 3", "the store is lost", "0001-public", ".backstay-spool"] {
        ended.says(words);
    }
    let again = scene.project.run(&["resume"]);
    assert!(again.err.contains("wait in"), "the store refuses it still: {}", again.err);
    std::fs::remove_file(folder).unwrap();
    scene.run(&["resume"], 4).says("are on the store now");
    scene.ledger().has_whole_files();
    scene.is_put_back().await;
}

/// Where the spool refuses it too there is no place left: nothing may be dropped.
#[tokio::test]
async fn a_ledger_that_can_be_written_nowhere_stops_the_put_back() {
    let mut scene = Scene::open("the ledger's folder and the spool are files").await;
    scene.agree_in_advance();
    let running = scene.release_that_fails_at_its_gate();
    scene.others_write("DELETE FROM order_items WHERE order_id = 1").await;
    let folder = scene.run_folder().join("ledger");
    let spool = scene.project.path(".backstay-spool");
    std::fs::write(&folder, "in the way").unwrap();
    std::fs::write(&spool, "in the way").unwrap();
    scene.open_gate("deploy");
    running.end().expect(5).says("exit status: 3").says("Putting production back failed too");
    scene.is_in_maintenance();
    scene.status_says("fence", "open");
    for file in [folder, spool] {
        std::fs::remove_file(file).unwrap();
    }
    scene.run(&["resume"], 4);
    scene.ledger().has_whole_files();
    scene.is_put_back().await;
}

#[tokio::test]
async fn a_driver_killed_while_it_writes_the_ledger_is_followed_by_one_that_writes_it_whole() {
    let mut scene = Scene::open("killed in the ledger").await;
    scene.agree_in_advance();
    scene
        .prepare("CREATE TABLE early (id int PRIMARY KEY); CREATE TABLE late (id int PRIMARY KEY, note text)")
        .await;
    let mut running = scene.release_that_fails_at_its_gate();
    // A file of its own for the first table, and then enough work to be killed in.
    scene
        .others_write(
            "INSERT INTO early VALUES (1);
             INSERT INTO late SELECT i, md5(i::text) || md5((i + 1)::text) FROM generate_series(1, 300000) i",
        )
        .await;
    scene.open_gate("deploy");
    let first = scene.run_folder().join("ledger/1");
    wait_until("the ledger's first file", || {
        std::fs::read_dir(&first).is_ok_and(|mut files| files.next().is_some())
    });
    running.kill();
    assert!(!first.join("ledger.json").exists(), "killed too late");
    scene.run(&["resume"], 4);
    let ledger = scene.ledger();
    assert_eq!((ledger.document.epoch, ledger.lines("early", FileKind::Rows)), (2, 1));
    assert_eq!(ledger.lines("late", FileKind::Rows), 300_000);
    assert!(ledger.document.files.len() > 2, "a large table is cut into parts: {:?}", ledger.document.files);
    ledger.has_whole_files();
    scene.is_put_back().await;
}

/// A ledger on the store.
struct Kept {
    folder: PathBuf,
    document: Document,
}

impl Kept {
    /// Every file is there, with the bytes that the document says; and no other.
    fn has_whole_files(&self) {
        let mut names: BTreeSet<String> = std::fs::read_dir(&self.folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert!(names.remove("ledger.json"));
        for file in &self.document.files {
            let bytes = std::fs::read(self.folder.join(&file.name)).unwrap();
            assert_eq!(hex::encode(Sha256::digest(&bytes)), file.sha256, "{}", file.name);
            assert_eq!(bytes.len() as u64, file.stored_bytes, "{}", file.name);
            assert_eq!(self.text(&file.name).len() as u64, file.raw_bytes, "{}", file.name);
            assert!(names.remove(&file.name));
        }
        assert!(names.is_empty(), "nobody knows of {names:?}");
    }

    fn text(&self, file: &str) -> String {
        let mut text = String::new();
        let bytes = std::fs::File::open(self.folder.join(file)).unwrap();
        flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
        text
    }

    /// Lines of rows in the files of a table, counted in the files themselves.
    fn lines(&self, table: &str, kind: FileKind) -> u64 {
        let of_table = |name: &Option<TableName>| name.as_ref().is_some_and(|name| name.name == table);
        let files = self.document.files.iter().filter(|file| file.kind == kind && of_table(&file.table));
        files
            .map(|file| {
                let text = self.text(&file.name);
                let (_, rows) = text.split_once(" FROM stdin;\n").expect("a COPY");
                rows.lines().take_while(|line| *line != "\\.").count() as u64
            })
            .sum()
    }

    /// Loads a file as an operator does.
    fn load(&self, file: &str, database: &str, arguments: &[&str]) -> String {
        let path = self.folder.join(file);
        let mut gunzip = Command::new("gunzip").arg("-c").arg(&path).stdout(Stdio::piped()).spawn().unwrap();
        let psql = Command::new(cluster().binaries().join("psql"))
            .args(["-X", "-d", &cluster().url("postgres", database)])
            .args(arguments)
            .current_dir(&self.folder)
            .stdin(gunzip.stdout.take().unwrap())
            .output()
            .unwrap();
        assert!(gunzip.wait().unwrap().success());
        let said = String::from_utf8_lossy(&psql.stderr).into_owned();
        assert!(psql.status.success(), "{file}: {said}\n{}", self.text(file));
        String::from_utf8_lossy(&psql.stdout).into_owned()
    }
}

impl Scene {
    /// Makes tables, as the owner, before the release.
    async fn prepare(&mut self, statements: &str) {
        session(&self.project.url()).await.batch_execute(statements).await.expect("tables");
        self.look_again().await;
    }

    /// The release's last migration deletes ten rows, and may.
    fn release_deletes(&self) {
        self.project.add_migration("", "DELETE FROM order_items WHERE order_id <= 10;");
        let verify = "step = \"verify\"\n";
        self.project.edit(
            "runbooks/release.toml",
            verify,
            &format!("{verify}may_shrink = [\"order_items\"]\n"),
        );
    }

    /// `[window] on_writes = "put-back"`.
    fn agree_in_advance(&self) {
        let window = "[window]\non_writes = \"put-back\"\n\n[store]\n";
        self.project.edit("config/production.toml", "[store]\n", window);
    }

    /// A release whose deploy waits at a gate, the database open again, and then fails.
    pub fn release_that_fails_at_its_gate(&self) -> Running {
        self.project.deploys(&format!("{}; exit 3", waits("deploy")), "");
        self.release_to_gate("deploy")
    }

    /// Statements of somebody else who can reach the database: acknowledged, and gone again.
    pub async fn others_write(&self, statements: &str) {
        let other = session(&self.project.url()).await;
        other.batch_execute(statements).await.unwrap_or_else(|error| panic!("{}: {error:?}", self.name));
        other.close().await;
    }

    fn run_folder(&self) -> PathBuf {
        self.project.path("backstay-store/runs").join(self.run_id())
    }

    /// The epochs of the newest run that left a folder for a ledger.
    fn ledgers(&self) -> Vec<PathBuf> {
        let folders = std::fs::read_dir(self.run_folder().join("ledger"));
        folders.into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    }

    /// The ledger of the newest run.
    fn ledger(&self) -> Kept {
        let whole = self.ledgers().into_iter().filter(|folder| folder.join("ledger.json").exists()).max();
        let folder = whole.expect("a ledger");
        let bytes = std::fs::read(folder.join("ledger.json")).unwrap();
        Kept { document: Document::parse(&bytes).expect("a ledger"), folder }
    }

    /// A copy of production as it is now. Nobody may be connected to it.
    async fn copy_of_production(&mut self) -> String {
        self.calm();
        let (name, copy) = (&self.project.name, format!("{}_copy", self.project.name));
        let admin = session(&cluster().url("postgres", "postgres")).await;
        admin.batch_execute(&format!("CREATE DATABASE {copy} TEMPLATE {name}")).await.expect("a copy");
        copy
    }

    /// Loads every file into a copy of the old database: then it holds what the kept one holds.
    async fn loads_into_a_copy(&mut self, ledger: &Kept) {
        let copy = self.copy_of_production().await;
        // The table that the old schema lacks is made from the schema's file, as its file says.
        let schema = ledger.text("schema.sql.gz");
        assert!(schema.contains("CREATE TABLE public.guests"), "{schema}");
        self.as_superuser(&copy, "CREATE TABLE guests (id int PRIMARY KEY, name text)").await;
        for _ in 0..2 {
            // Twice does no harm, but to what has no key.
            for file in ledger.document.files.iter().filter(|file| file.kind != FileKind::Schema) {
                ledger.load(&file.name, &copy, &[]);
            }
            self.as_superuser(&copy, "DELETE FROM guests").await;
            self.as_superuser(
                &copy,
                "DELETE FROM keyless a USING keyless b WHERE a.a = 6 AND b.a = 6 AND a.ctid > b.ctid",
            )
            .await;
            self.as_superuser(&copy, "INSERT INTO keyless VALUES (6, 'new')").await;
        }
        let kept = self.companion("f").await;
        self.as_superuser("postgres", &format!("ALTER DATABASE \"{kept}\" ALLOW_CONNECTIONS true")).await;
        let (loaded, kept_content) = (content(&copy).await, content(&kept).await);
        assert_eq!(loaded.differences(&kept_content), [], "{}", self.name);
        let orders = "SELECT string_agg(concat_ws('|', id, customer_id, status, note), E'\\n' ORDER BY id) FROM orders";
        assert_eq!(answer(&copy, orders).await, answer(&kept, orders).await);
        assert!(!ledger.folder.join("owned").exists(), "a table's name was run as a command");
    }
}

async fn content(database: &str) -> Content {
    let info = ConnInfo::parse(&cluster().url("postgres", database)).unwrap();
    let silent = backstay::event::Progress::none();
    let mut content = fingerprint::database(&info, &fingerprint::Options::default(), &silent).await.unwrap();
    content.tables.retain(|table, _| !APART.contains(&&*table.name));
    content.sequences.retain(|sequence, _| !sequence.name.starts_with("backstay"));
    content
}

async fn answer(database: &str, query: &str) -> Option<String> {
    session(&cluster().url("postgres", database)).await.query_one(query, &[]).await.unwrap().get(0)
}

/// A server process dies as by the hand of the kernel: the server ends all sessions and recovers. What its
/// statistics counted is lost.
async fn crash_the_server() {
    let victim = session(&cluster().url("postgres", "postgres")).await;
    let pid: i32 = victim.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let url = cluster().url("postgres", "postgres");
    for _ in 0..2_000 {
        if victim.is_closed() && tokio_postgres::connect(&url, tokio_postgres::NoTls).await.is_ok() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("the server did not come back");
}
