//! Restores of real databases: every layout that a backup may have, parts of a backup, roles, stock tools alone.

mod common;

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Output};

use backstay::backup::fingerprint::{self, Content};
use backstay::backup::manifest::{Codec, Object};
use backstay::backup::restore::{Options, Rows};
use backstay::backup::verify::{Mismatch, Scratch, compare, load_manifest};
use backstay::backup::{self, BackupError, Level, Manifest, Place, Restored, TableName};
use backstay::event::{Event, Events, LineId, Progress, Unit};
use backstay::failure::Failure;
use backstay::pg::{ConnInfo, Session, quote_ident};
use backstay::store::{Directory, Store as _};
use sha2::Digest as _;

/// A database of an owner without superuser rights, and a backup of it.
struct World {
    info: ConnInfo,
    name: String,
    folder: tempfile::TempDir,
    store: Directory,
    place: Place,
    manifest: Manifest,
}

impl World {
    async fn new(sql: &str) -> Self {
        Self::packed(sql, Codec::default()).await
    }

    async fn packed(sql: &str, codec: Codec) -> Self {
        let url = common::fresh_database().await;
        let info = ConnInfo::parse(&url).unwrap();
        let name = info.database().to_string();
        common::session(&url).await.batch_execute(sql).await.unwrap_or_else(|e| panic!("{e:?}"));
        let folder = tempfile::tempdir().unwrap();
        let store = Directory::new(folder.path());
        let place = Place::fresh("production");
        // Small chunks, so that a small table has many.
        let options = backup::write::Options { jobs: 3, chunk_bytes: 16 << 10, codec, ..Default::default() };
        let manifest = backup::write(&info, &store, &place, &options, &Progress::none()).await;
        let manifest = manifest.unwrap_or_else(|e| panic!("{}", Failure::from(e)));
        Self { info, name, folder, store, place, manifest }
    }

    /// With every kind of object that an owner can make.
    async fn torture(codec: Codec) -> Self {
        let other = common::fresh_name("Other \"q\" ");
        admin().await.batch_execute(&format!("CREATE ROLE {}", quote_ident(&other))).await.unwrap();
        Self::packed(&include_str!("torture/owner.sql").replace("@OTHER@", &quote_ident(&other)), codec).await
    }

    fn server(&self) -> ConnInfo {
        self.info.with_database("postgres")
    }

    async fn restore(&self, name: &str, options: &Options) -> Result<Restored, BackupError> {
        let silent = Progress::none();
        backup::restore(&self.store, &self.manifest, &self.server(), name, options, &silent).await
    }

    /// What the restored database lacks of what it is to hold.
    async fn compare(&self, restored: &Restored) -> Vec<Mismatch> {
        let scratch = Scratch { admin: self.server(), database: restored.database.clone() };
        let (options, silent) = (Options::default(), Progress::none());
        compare(&self.store, &self.place, &self.manifest, &scratch, &restored.extent, &options, &silent)
            .await
            .unwrap_or_else(|e| panic!("{}", Failure::from(e)))
    }

    async fn verify(&self, level: Level) -> Vec<Mismatch> {
        let scratch = Scratch { admin: self.server(), database: common::fresh_name("scratch") };
        let options = Options { jobs: 4, ..Options::default() };
        backup::verify(&self.store, &self.place, level, Some(&scratch), &options, &Progress::none())
            .await
            .unwrap_or_else(|e| panic!("{}", Failure::from(e)))
            .mismatches
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(self.place.object(name))
    }

    /// `restore.sh` with nothing but what stands in /usr/bin and PostgreSQL's own programs.
    fn restore_by_hand(&self, name: &str) -> Output {
        let cluster = common::cluster();
        let mut path = cluster.binaries().as_os_str().to_owned();
        path.push(":/usr/bin:/bin");
        Command::new("sh")
            .arg(self.file("restore.sh"))
            .arg(name)
            .env_clear()
            .env("PATH", path)
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", cluster.port().to_string())
            .env("PGUSER", &self.name)
            .output()
            .unwrap()
    }

    async fn content(&self, database: &str) -> Content {
        let info = self.info.with_database(database);
        let options = fingerprint::Options::default();
        fingerprint::database_as(&info, &self.manifest, &options, &Progress::none()).await.unwrap()
    }

    /// Cuts the large objects' text in the middle of a transaction, as a writer does with a large one.
    async fn cut_large_objects(&mut self) {
        let stored = std::fs::read(self.file("large-objects/1.sql.gz")).unwrap();
        let mut whole = Vec::new();
        flate2::read::MultiGzDecoder::new(&stored[..]).read_to_end(&mut whole).unwrap();
        let (one, two) = whole.split_at(whole.len() / 2);
        let replaced = ["large-objects/1.sql.gz", "RESTORE.md", "restore.sh"];
        self.manifest.objects.retain(|object| !replaced.contains(&object.name.as_str()));
        self.put("large-objects/1.sql.gz", one).await;
        self.put("large-objects/2.sql.gz", two).await;
        self.put("RESTORE.md", backup::restore_page(&self.manifest).as_bytes()).await;
        self.put("restore.sh", backup::restore_script(&self.manifest).as_bytes()).await;
        self.manifest.objects.sort_by(|a, b| a.name.cmp(&b.name));
        let bytes = self.manifest.to_bytes().unwrap();
        self.store.replace(&self.place.object("manifest.json"), bytes.into()).await.unwrap();
        self.manifest = load_manifest(&self.store, &self.place).await.unwrap();
    }

    async fn put(&mut self, name: &str, text: &[u8]) {
        let stored = match name.rsplit('.').next() {
            Some("zst") => zstd::encode_all(text, 3).unwrap(),
            Some("gz") => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            _ => text.to_vec(),
        };
        self.manifest.objects.push(Object {
            name: name.to_string(),
            raw_bytes: text.len() as u64,
            stored_bytes: stored.len() as u64,
            sha256: hex::encode(sha2::Sha256::digest(&stored)),
        });
        self.store.replace(&self.place.object(name), stored.into()).await.unwrap();
    }
}

async fn admin() -> Session {
    common::session(&common::cluster().url("postgres", "postgres")).await
}

async fn inside(database: &str) -> Session {
    common::session(&common::cluster().url("postgres", database)).await
}

async fn count(session: &Session, sql: &str) -> i64 {
    session.query_one(sql, &[]).await.unwrap().get(0)
}

async fn exists(database: &str) -> bool {
    let sql = "SELECT count(*) FROM pg_catalog.pg_database WHERE datname = $1";
    admin().await.query_one(sql, &[&database]).await.unwrap().get::<_, i64>(0) == 1
}

#[tokio::test]
async fn every_layout_comes_back_by_us_and_by_stock_tools() {
    for codec in [Codec::Gzip { level: 1 }, Codec::Zstd { level: 3 }] {
        let mut world = World::torture(codec).await;
        world.cut_large_objects().await;
        let shared = world.manifest.chunks_by_object().into_values().map(|chunks| chunks.len()).max();
        assert!(shared > Some(10) && world.manifest.large_object_parts().len() == 2);
        assert_eq!(world.verify(Level::Read).await, [], "{codec:?}");
        assert_eq!(world.verify(Level::Restore).await, [], "{codec:?}");
        if matches!(codec, Codec::Zstd { .. }) && !std::path::Path::new("/usr/bin/zstd").exists() {
            eprintln!("SKIPPED restore.sh on zstd: this machine has no zstd");
            continue;
        }
        let name = common::fresh_name("by 'hand' \"q\" ");
        let output = world.restore_by_hand(&name);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let differences = Content::of_manifest(&world.manifest).differences(&world.content(&name).await);
        assert_eq!(differences, [], "{codec:?}");
    }
}

#[tokio::test]
async fn a_shared_object_that_was_changed_is_refused_and_its_table_named() {
    let mut world = World::packed(
        "CREATE TABLE a AS SELECT n FROM generate_series(1, 9) n; CREATE TABLE b AS SELECT 'x' AS x; \
         CREATE TABLE c AS SELECT 'y' AS y",
        Codec::Zstd { level: 1 },
    )
    .await;
    assert_eq!(world.verify(Level::Restore).await, []);
    // The rows of two tables change places: every sum over the whole object could hold.
    let text = b"1\n2\n3\n4\n5\n6\n7\n8\n9\ny\nx\n";
    let stored = zstd::encode_all(&text[..], 1).unwrap();
    for object in &mut world.manifest.objects {
        if object.name.starts_with("data/") {
            object.sha256 = hex::encode(sha2::Sha256::digest(&stored));
            object.stored_bytes = stored.len() as u64;
        }
    }
    std::fs::write(world.file("data/1.copy.zst"), stored).unwrap();
    let error = world.restore("never_swapped", &Options::default()).await.unwrap_err();
    let wanted = TableName::new("public", "b");
    assert!(
        matches!(&error, BackupError::Mismatch(Mismatch::Fingerprint { table, .. }) if *table == wanted),
        "{error}"
    );
    assert!(!exists("never_swapped").await);
}

/// Keys, indexes and foreign keys in numbers, on few tables, with all that belongs to them.
const BUILDS: &str = "
    CREATE TABLE t0 (id integer, a integer, b text NOT NULL, r int4range);
    CREATE TABLE t1 (LIKE t0); CREATE TABLE t2 (LIKE t0); CREATE TABLE \"t; Type: INDEX; 3\" (LIKE t0);
    CREATE TABLE whole (id integer, a integer) PARTITION BY RANGE (id);
    CREATE TABLE whole_1 PARTITION OF whole FOR VALUES FROM (0) TO (500);
    CREATE TABLE whole_2 PARTITION OF whole FOR VALUES FROM (500) TO (5000);
    INSERT INTO whole SELECT n, n FROM generate_series(1, 900) n;
    CREATE EXTENSION IF NOT EXISTS btree_gist;
    DO $$
    DECLARE t text; n integer;
    BEGIN
        FOREACH t IN ARRAY ARRAY['t0', 't1', 't2', 't; Type: INDEX; 3'] LOOP
            EXECUTE format('INSERT INTO %I SELECT n, n, n::text, int4range(n, n + 1) FROM generate_series(1, 900) n', t);
            EXECUTE format('ALTER TABLE %I ADD PRIMARY KEY (id)', t);
            EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I UNIQUE (a)', t, t || ' \"u');
            EXECUTE format('COMMENT ON CONSTRAINT %I ON %I IS ''c''', t || ' \"u', t);
            EXECUTE format('ALTER TABLE %I ADD EXCLUDE USING gist (r WITH &&)', t);
            EXECUTE format('ALTER TABLE %I ADD CHECK (a > 0) NOT VALID', t);
            FOR n IN 1..4 LOOP
                EXECUTE format('CREATE INDEX %I ON %I (b, (a + %s))', t || n, t, n);
                EXECUTE format('COMMENT ON INDEX %I IS ''i''', t || n);
            END LOOP;
            EXECUTE format('CREATE UNIQUE INDEX %I ON %I (b)', t || ' identity', t);
            EXECUTE format('ALTER TABLE %I REPLICA IDENTITY USING INDEX %I', t, t || ' identity');
            EXECUTE format('ALTER TABLE %I CLUSTER ON %I', t, t || '1');
            EXECUTE format('ALTER INDEX %I ALTER COLUMN 2 SET STATISTICS 7', t || '2');
        END LOOP;
    END $$;
    ALTER TABLE whole ADD PRIMARY KEY (id);
    CREATE INDEX ON whole (a);
    ALTER TABLE t0 ADD FOREIGN KEY (a) REFERENCES t1, ADD FOREIGN KEY (id) REFERENCES t2 (a),
        ADD FOREIGN KEY (a) REFERENCES t0, ADD FOREIGN KEY (id) REFERENCES whole;
    ALTER TABLE t1 ADD CONSTRAINT \"f (x) REFERENCES\" FOREIGN KEY (a) REFERENCES t0, ADD FOREIGN KEY (id) REFERENCES whole;
    ALTER TABLE t2 ADD FOREIGN KEY (id) REFERENCES \"t; Type: INDEX; 3\";
    ALTER TABLE whole ADD FOREIGN KEY (a) REFERENCES t2;
    ALTER TABLE whole_1 ADD FOREIGN KEY (a) REFERENCES t1;
    CREATE MATERIALIZED VIEW v AS SELECT id, count(*) FROM t0 GROUP BY id; CREATE UNIQUE INDEX ON v (id);
    CREATE VIEW grouped AS SELECT id, a FROM t0 GROUP BY id";

#[tokio::test]
async fn what_is_built_side_by_side_is_the_same() {
    let world = World::new(BUILDS).await;
    for jobs in [1, 2, 8] {
        let options = Options { jobs, ..Options::default() };
        let name = common::fresh_name("built");
        let restored =
            world.restore(&name, &options).await.unwrap_or_else(|e| panic!("{}", Failure::from(e)));
        assert_eq!(world.compare(&restored).await, [], "{jobs} jobs");
        assert_eq!(restored.extent.left_out, [] as [String; 0]);
        let session = inside(&name).await;
        let bad = "SELECT count(*) FROM pg_catalog.pg_index WHERE NOT indisvalid";
        assert_eq!(count(&session, bad).await, 0);
        let stats = "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p', 'm') AND relnamespace = 'public'::regnamespace \
                     AND EXISTS (SELECT FROM pg_statistic WHERE starelid = oid)";
        assert_eq!(count(&session, stats).await, 8, "tables, partitions, their whole, the view");
    }
}

#[tokio::test]
async fn progress_counts_bytes_and_then_indexes() {
    let world = World::new(BUILDS).await;
    let (events, mut reader) = Events::channel();
    let progress = events.progress(LineId::Line(1));
    let options = Options::default();
    let name = common::fresh_name("seen");
    backup::restore(&world.store, &world.manifest, &world.server(), &name, &options, &progress)
        .await
        .unwrap();
    drop((events, progress));
    let (mut bytes, mut items) = ((0, 0), Vec::new());
    while let Some(event) = reader.recv().await {
        match event {
            Event::Progress { done, total: Some(total), unit: Unit::Bytes, .. } if total > 0 => {
                assert!(items.is_empty() && done >= bytes.0 && done <= total);
                bytes = (done, total);
            }
            Event::Progress { done, total: Some(total), unit: Unit::Items, note, .. } => {
                assert!(done < total);
                items.push(note);
            }
            _ => {}
        }
    }
    assert_eq!(bytes.1, world.manifest.tables.iter().flat_map(|t| &t.chunks).map(|c| c.bytes).sum::<u64>());
    assert!(items.iter().any(|note| note.starts_with("CREATE INDEX")), "{items:?}");
    assert!(items.iter().any(|note| note.starts_with("statistics of")), "{items:?}");
}

const FAMILY: &str = "
    CREATE TABLE parent (id serial PRIMARY KEY, name text);
    CREATE TABLE child (id integer PRIMARY KEY, parent integer REFERENCES parent, other integer);
    CREATE TABLE other (id integer PRIMARY KEY, child integer REFERENCES child);
    COMMENT ON CONSTRAINT child_parent_fkey ON child IS 'left out with it';
    INSERT INTO parent (name) SELECT 'p' FROM generate_series(1, 10);
    INSERT INTO child SELECT n, n, n FROM generate_series(1, 10) n;
    INSERT INTO other SELECT n, n FROM generate_series(1, 10) n;
    CREATE SCHEMA log; CREATE TABLE log.day (at date NOT NULL) PARTITION BY RANGE (at);
    CREATE TABLE log.day_1 PARTITION OF log.day FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
    CREATE TABLE log.day_2 PARTITION OF log.day DEFAULT;
    INSERT INTO log.day SELECT '2026-01-25'::date + n FROM generate_series(1, 20) n;
    CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM parent;
    SELECT lo_from_bytea(4711, 'abc')";

#[tokio::test]
async fn only_the_wanted_tables_have_rows() {
    let world = World::new(FAMILY).await;
    let only = |patterns: &[&str]| Options {
        rows: Rows::Only(patterns.iter().map(|pattern| pattern.parse().unwrap()).collect()),
        ..Options::default()
    };
    let name = common::fresh_name("only child");
    let restored = world.restore(&name, &only(&["public.child", "log.day"])).await.unwrap();
    assert_eq!(restored.rows, 30);
    assert_eq!(world.compare(&restored).await, []);
    // child refers to parents that nobody wanted; other is empty, and refers to a child that is there.
    let [key, comment] = &restored.extent.left_out[..] else { panic!("{:?}", restored.extent.left_out) };
    assert!(
        key.contains("child_parent_fkey") && comment.contains("COMMENT ON CONSTRAINT"),
        "{key} {comment}"
    );
    let session = inside(&name).await;
    assert_eq!(count(&session, "SELECT count(*) FROM pg_constraint WHERE contype = 'f'").await, 1);
    assert_eq!(count(&session, "SELECT count(*) FROM child").await, 10);
    assert_eq!(count(&session, "SELECT count(*) FROM log.day").await, 20);
    assert_eq!(count(&session, "SELECT count(*) FROM parent").await, 0);
    assert_eq!(count(&session, "SELECT n FROM counted").await, 0);
    assert_eq!(count(&session, "SELECT nextval('parent_id_seq')").await, 11);
    // Rows that are there and should not be are a difference.
    session.batch_execute("INSERT INTO parent (name) VALUES ('late')").await.unwrap();
    drop(session);
    assert!(matches!(&world.compare(&restored).await[..], [Mismatch::Content(_), ..]));

    let name = common::fresh_name("both");
    let restored = world.restore(&name, &only(&["child", "p*nt"])).await.unwrap();
    assert_eq!((restored.rows, &restored.extent.left_out[..]), (20, &[][..]));
    assert_eq!(world.compare(&restored).await, []);

    let failure = Failure::from(world.restore("never_only", &only(&["parent", "childs"])).await.unwrap_err());
    assert!(failure.to_string().contains("childs"), "{failure}");
    assert!(!exists("never_only").await);
}

#[tokio::test]
async fn a_schema_alone_has_no_rows() {
    let world = World::new(FAMILY).await;
    let name = common::fresh_name("schema_only");
    let restored = world.restore(&name, &Options { rows: Rows::None, ..Options::default() }).await.unwrap();
    assert_eq!((restored.rows, restored.bytes), (0, 0));
    assert!(matches!(&restored.extent.left_out[..], [refresh] if refresh.contains("REFRESH")));
    assert_eq!(world.compare(&restored).await, []);
    let session = inside(&name).await;
    assert_eq!(count(&session, "SELECT count(*) FROM pg_constraint WHERE contype = 'f'").await, 2);
    assert_eq!(count(&session, "SELECT nextval('parent_id_seq')").await, 1);
    assert_eq!(count(&session, "SELECT count(*) FROM pg_matviews WHERE ispopulated").await, 0);
}

#[tokio::test]
async fn missing_roles_are_created_when_asked_and_others_left_alone() {
    let admin = admin().await;
    let [gone, group, stays] = ["gone \"q\" ", "group ", "stays "].map(common::fresh_name);
    let [g, p, s] = [&gone, &group, &stays].map(|name| quote_ident(name));
    for sql in [
        format!("CREATE ROLE {g} LOGIN CREATEDB CONNECTION LIMIT 7"),
        format!("CREATE ROLE {p}; CREATE ROLE {s}"),
        format!("GRANT {p} TO {g} WITH ADMIN OPTION; GRANT {p} TO {s}"),
    ] {
        admin.batch_execute(&sql).await.unwrap();
    }
    let world = World::new(&format!(
        "CREATE TABLE t (x int); GRANT SELECT ON t TO {g}; GRANT INSERT ON t TO {s}; GRANT UPDATE ON t TO {p}"
    ))
    .await;
    // As on another server: one role is missing, one is there and differs.
    admin
        .batch_execute(&format!("DROP OWNED BY {g}; REVOKE {p} FROM {s}; ALTER ROLE {s} LOGIN"))
        .await
        .unwrap();
    inside(&world.name).await.batch_execute(&format!("DROP OWNED BY {g}")).await.unwrap();
    admin.batch_execute(&format!("DROP ROLE {g}")).await.unwrap();

    let name = common::fresh_name("with_roles");
    let error = world.restore(&name, &Options::default()).await.unwrap_err();
    assert!(matches!(&error, BackupError::RolesMissing(roles) if *roles == [gone.clone()]), "{error}");

    // The owner may not create roles: said with the server's words, and nothing restored.
    let options = Options { create_roles: true, ..Options::default() };
    let error = world.restore(&name, &options).await.unwrap_err();
    assert!(
        matches!(&error, BackupError::RolesNotCreated { roles, .. } if *roles == [gone.clone()]),
        "{error}"
    );
    let failure = Failure::from(error);
    assert!(format!("{failure:?}").contains("permission denied to create role"), "{failure:?}");
    assert!(!exists(&name).await);

    let superuser = ConnInfo::parse(&common::cluster().url("postgres", "postgres")).unwrap();
    let silent = Progress::none();
    let restored = backup::restore(&world.store, &world.manifest, &superuser, &name, &options, &silent).await;
    let restored = restored.unwrap_or_else(|e| panic!("{}", Failure::from(e)));
    assert_eq!((&restored.roles[..], &restored.roles_refused[..]), (&[gone.clone()][..], &[][..]));
    let facts = "SELECT count(*) FROM pg_roles WHERE rolname = $1 AND rolcanlogin AND rolcreatedb AND rolconnlimit = 7";
    assert_eq!(admin.query_one(facts, &[&gone]).await.unwrap().get::<_, i64>(0), 1);
    let member = "SELECT pg_has_role($1, $2, 'MEMBER')";
    assert!(admin.query_one(member, &[&gone, &group]).await.unwrap().get::<_, bool>(0));
    assert!(!admin.query_one(member, &[&stays, &group]).await.unwrap().get::<_, bool>(0), "never altered");
    assert_eq!(world.compare(&restored).await, []);

    // By hand too they are named before anything is made.
    inside(&name).await.batch_execute(&format!("DROP OWNED BY {g}")).await.unwrap();
    admin.batch_execute(&format!("DROP OWNED BY {g}; DROP ROLE {g}")).await.unwrap();
    let output = world.restore_by_hand("never_by_hand");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && said.contains("lacks these roles") && said.contains("gone"),
        "{said}"
    );
    assert!(!exists("never_by_hand").await);
}
