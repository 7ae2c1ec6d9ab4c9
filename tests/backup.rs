//! Backups of real databases: written, restored, verified, mutilated.

mod common;

use std::path::Path;
use std::process::Command;

use backstay::backup::attributes::apply_attributes;
use backstay::backup::fingerprint::{self, Content};
use backstay::backup::list::Keep;
use backstay::backup::manifest::Codec;
use backstay::backup::verify::{Mismatch, Proof, Scratch, load_manifest, record};
use backstay::backup::{self, BackupError, DatabaseAttributes, Level, Manifest, Place, TableName};
use backstay::event::Progress;
use backstay::failure::Failure;
use backstay::pg::{ConnInfo, SessionOptions};
use backstay::store::{Directory, Store};

/// A database of an owner without superuser rights, and a store for its backups.
struct World {
    url: String,
    info: ConnInfo,
    name: String,
    folder: tempfile::TempDir,
    store: Directory,
}

impl World {
    async fn new(sql: &str) -> Self {
        let url = common::fresh_database().await;
        let info = ConnInfo::parse(&url).unwrap();
        let name = info.database().to_string();
        common::session(&url).await.batch_execute(sql).await.unwrap_or_else(|e| panic!("{e:?}"));
        let folder = tempfile::tempdir().unwrap();
        let store = Directory::new(folder.path());
        Self { url, info, name, folder, store }
    }

    /// With every kind of object that an owner can make.
    async fn torture() -> Self {
        let admin = admin().await;
        let other = common::fresh_name("Other role \"q\" ");
        let quoted = backstay::pg::quote_ident(&other);
        admin
            .batch_execute(&format!(
                "CREATE ROLE {quoted} NOLOGIN; CREATE ROLE {}",
                quote(&format!("{other}g"))
            ))
            .await
            .unwrap();
        admin.batch_execute(&format!("GRANT {} TO {quoted}", quote(&format!("{other}g")))).await.unwrap();
        let world = Self::new(&include_str!("backup/torture.sql").replace("@OTHER@", &quoted)).await;
        let name = quote(&world.name);
        for statement in [
            format!("ALTER DATABASE {name} SET search_path TO \"$user\", 'a, \"b\"', public"),
            format!("ALTER DATABASE {name} SET app.\"tenant\" TO 'x''y'"),
            format!("ALTER DATABASE {name} SET DateStyle TO 'German'"),
            format!("ALTER DATABASE {name} SET IntervalStyle TO 'sql_standard'"),
            format!("ALTER DATABASE {name} SET default_transaction_read_only TO on"),
            format!("ALTER ROLE {quoted} IN DATABASE {name} SET work_mem TO '5MB'"),
            format!("ALTER DATABASE {name} CONNECTION LIMIT 77"),
            format!("REVOKE CONNECT ON DATABASE {name} FROM PUBLIC"),
            format!("GRANT CONNECT, TEMPORARY ON DATABASE {name} TO {quoted} WITH GRANT OPTION"),
            format!("COMMENT ON DATABASE {name} IS 'it''s; a \"shop\"'"),
        ] {
            admin.batch_execute(&statement).await.unwrap();
        }
        world
    }

    async fn write(&self, options: &backup::write::Options) -> (Place, Manifest) {
        let place = Place::fresh("production");
        let manifest =
            self.try_write(&place, options).await.unwrap_or_else(|e| panic!("{}", Failure::from(e)));
        (place, manifest)
    }

    async fn try_write(
        &self,
        place: &Place,
        options: &backup::write::Options,
    ) -> Result<Manifest, BackupError> {
        backup::write(&self.info, &self.store, place, options, &Progress::none()).await
    }

    async fn restore(&self, manifest: &Manifest, name: &str) -> Result<backup::Restored, BackupError> {
        let admin = self.info.with_database("postgres");
        backup::restore(&self.store, manifest, &admin, name, &Default::default(), &Progress::none()).await
    }

    async fn verify(&self, place: &Place, level: Level) -> Proof {
        let scratch = Scratch {
            admin: self.info.with_database("postgres"),
            database: common::fresh_name("scratch database \"q\" "),
        };
        backup::verify(&self.store, place, level, Some(&scratch), &Default::default(), &Progress::none())
            .await
            .unwrap_or_else(|e| panic!("{}", Failure::from(e)))
    }

    /// What pg_dump says of a database on this cluster, by a superuser, without what differs by itself.
    fn dump(&self, database: &str, arguments: &[&str]) -> String {
        let cluster = common::cluster();
        let output = Command::new(cluster.binaries().join("pg_dump"))
            .args(arguments)
            .args(["-h", "127.0.0.1", "-p", &cluster.port().to_string(), "-U", "postgres"])
            .env("PGDATABASE", database)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let own = |line: &&str| !line.starts_with("\\restrict ") && !line.starts_with("\\unrestrict ");
        text.lines().filter(own).collect::<Vec<_>>().join("\n")
    }

    async fn content(&self, database: &str, like: Option<&Manifest>) -> Content {
        let info = self.info.with_database(database);
        let options = fingerprint::Options::default();
        match like {
            Some(manifest) => fingerprint::database_as(&info, manifest, &options, &Progress::none()).await,
            None => fingerprint::database(&info, &options, &Progress::none()).await,
        }
        .unwrap()
    }
}

fn quote(name: &str) -> String {
    backstay::pg::quote_ident(name)
}

async fn admin() -> backstay::pg::Session {
    common::session(&common::cluster().url("postgres", "postgres")).await
}

async fn count(client: &backstay::pg::Session, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Small chunks, so that a small test has many.
fn small() -> backup::write::Options {
    backup::write::Options { jobs: 3, chunk_bytes: 16 << 10, ..Default::default() }
}

fn same_text(one: &str, other: &str) {
    if one != other {
        let differing = one.lines().zip(other.lines()).enumerate().find(|(_, (a, b))| a != b);
        panic!("the dumps differ, at {differing:?}");
    }
}

#[tokio::test]
async fn a_restored_database_is_the_database() {
    let world = World::torture().await;
    let (place, manifest) = world.write(&small()).await;

    let original = world.content(&world.name, None).await;
    assert_eq!(Content::of_manifest(&manifest).differences(&original), []);
    assert!(original.large_objects.is_some());
    assert_eq!(original.tables.values().map(|t| t.rows).sum::<u64>(), manifest.rows());

    let name = common::fresh_name("Restored \"db\" \\ ; 'x' ");
    world.restore(&manifest, &name).await.unwrap_or_else(|e| panic!("{}", Failure::from(e)));
    assert_eq!(original.differences(&world.content(&name, Some(&manifest)).await), []);

    // pg_restore is the measure: what it makes of pg_dump's own dump, ours makes too, line for line.
    let measure = common::fresh_name("measure");
    admin().await.batch_execute(&format!("CREATE DATABASE {measure} OWNER {}", world.name)).await.unwrap();
    let archive = world.folder.path().join("archive");
    let cluster = common::cluster();
    let tool = |program: &str, arguments: &[&str]| {
        let output = Command::new(cluster.binaries().join(program))
            .args(["-h", "127.0.0.1", "-p", &cluster.port().to_string(), "-U", "postgres"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let archive = archive.to_str().unwrap();
    tool("pg_dump", &["-Fc", "-f", archive, &world.name]);
    tool("pg_restore", &["-d", &measure, archive]);
    same_text(&world.dump(&measure, &["--schema-only"]), &world.dump(&name, &["--schema-only"]));
    // Chunks load in any order: rows are compared sorted.
    let sorted = |text: String| {
        let mut lines: Vec<String> = text.lines().map(String::from).collect();
        lines.sort();
        lines.join("\n")
    };
    same_text(&sorted(world.dump(&measure, &[])), &sorted(world.dump(&name, &[])));

    // Materialized views are filled, in their order.
    let restored = common::session(&cluster.url("postgres", "postgres")).await;
    drop(restored);
    let info = ConnInfo::parse(&cluster.url("postgres", "postgres")).unwrap().with_database(&name);
    let session = backstay::pg::connect(&info, &SessionOptions::default()).await.unwrap();
    assert_eq!(count(&session, "SELECT n FROM public.a_second").await, 99);
    assert_eq!(count(&session, "SELECT count(*) FROM pg_catalog.pg_matviews WHERE NOT ispopulated").await, 1);
    assert_eq!(count(&session, "SELECT nextval('public.loose')").await % 7, 3);
    drop(session);

    // Nothing is ever restored over a database that is there.
    let error = world.restore(&manifest, &name).await.unwrap_err();
    assert!(matches!(error, BackupError::DatabaseExists(_)), "{error}");

    // What belongs to the database itself: only what an owner may not set is left out, and named.
    let admin = admin().await;
    let wanted = DatabaseAttributes::read(&admin, &world.name).await.unwrap();
    assert_eq!(wanted, manifest.database);
    let refused = apply_attributes(&admin, &name, &wanted).await.unwrap();
    assert_eq!(refused, []);
    let given = DatabaseAttributes::read(&admin, &name).await.unwrap();
    assert_eq!(DatabaseAttributes { name: world.name.clone(), ..given }, wanted);
    // An owner may set neither another role's settings nor parameters that no module defines: said to be so.
    let owner = common::session(&common::cluster().url(&world.name, "postgres")).await;
    let refused = apply_attributes(&owner, &name, &wanted).await.unwrap();
    assert!(refused.len() == 2 && refused[0].statement.contains("tenant"), "{refused:?}");
    assert!(refused[1].statement.starts_with("ALTER ROLE"), "{refused:?}");

    let proof = world.verify(&place, Level::Restore).await;
    assert_eq!(proof.mismatches, []);
    assert!(proof.restore_millis.is_some());
    let left = "SELECT count(*) FROM pg_catalog.pg_database WHERE datname LIKE 'scratch%'";
    assert_eq!(count(&admin, left).await, 0);
}

#[tokio::test]
async fn restore_sh_needs_only_gunzip_and_psql() {
    let world = World::torture().await;
    let (place, manifest) = world.write(&small()).await;
    let name = common::fresh_name("by 'hand' \"q\" ");
    let script = world.folder.path().join(place.object("restore.sh"));
    let run = |name: &str| {
        let cluster = common::cluster();
        let mut path = cluster.binaries().as_os_str().to_owned();
        path.push(":/usr/bin:/bin");
        Command::new("sh")
            .arg(&script)
            .arg(name)
            .env_clear()
            .env("PATH", path)
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", cluster.port().to_string())
            .env("PGUSER", &world.name)
            .output()
            .unwrap()
    };
    let output = run(&name);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    // What an owner may not set again is said, and no reason to fail.
    assert_eq!(said.matches("ERROR").count(), 2, "{said}");
    assert_eq!(said.matches("WARNING").count(), 1, "{said}");
    assert_eq!(Content::of_manifest(&manifest).differences(&world.content(&name, Some(&manifest)).await), []);
    let session = backstay::backup::schema::schema_of;
    let options = SessionOptions::default();
    let by_us = common::fresh_name("by_us");
    world.restore(&manifest, &by_us).await.unwrap();
    same_text(
        &session(&world.info.with_database(&by_us), &options).await.unwrap(),
        &session(&world.info.with_database(&name), &options).await.unwrap(),
    );

    // Over an existing database: refused by the server. With a damaged file: refused before anything.
    assert!(!run(&name).status.success());
    let data = world.folder.path().join(place.object("data/1.copy.gz"));
    let mut bytes = std::fs::read(&data).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&data, bytes).unwrap();
    let output = run("never_made");
    assert!(!output.status.success());
    let made = "SELECT count(*) FROM pg_catalog.pg_database WHERE datname = 'never_made'";
    assert_eq!(count(&admin().await, made).await, 0);
}

#[tokio::test]
async fn globals_are_sql_without_passwords() {
    let world = World::torture().await;
    let admin = admin().await;
    admin.batch_execute(&format!("ALTER ROLE {} PASSWORD 'geheim123'", quote(&world.name))).await.unwrap();
    let (place, manifest) = world.write(&small()).await;
    let bytes = world.store.read(&place.object("globals.sql.gz")).await.unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut text).unwrap();
    assert!(!text.contains("SCRAM") && !text.contains("PASSWORD"), "{text}");
    // The owner, the role that was granted something, and the group that it is in.
    assert_eq!(manifest.roles.len(), 3, "{:?}", manifest.roles);
    for role in &manifest.roles {
        assert!(text.contains(&format!("CREATE ROLE {};", quote(role))), "{role} in {text}");
    }
    assert_eq!(text.matches("GRANT ").count(), 1, "{text}");

    // On a server that lacks them, a restore names them and does nothing.
    let lacking = Manifest { roles: vec!["nobody of that name".into()], ..manifest };
    let error = world.restore(&lacking, "never_restored").await.unwrap_err();
    assert!(matches!(&error, BackupError::RolesMissing(roles) if roles == &lacking.roles), "{error}");
}

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

/// splitmix64: the same numbers for the same seed.
fn next(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[tokio::test]
async fn every_mutilation_is_refused_by_reading() {
    let world = World::new(
        "CREATE TABLE a (id integer, t text); INSERT INTO a SELECT n, md5(n::text) FROM generate_series(1, 900) n; \
         CREATE TABLE b (id integer, t text); INSERT INTO b SELECT n, md5(n::text) FROM generate_series(1, 900) n",
    )
    .await;
    let (place, _) = world.write(&small()).await;
    let (other, _) = world.write(&small()).await;
    let folder = world.folder.path().join(place.prefix());
    let whole: Vec<(std::path::PathBuf, Vec<u8>)> =
        files(&folder).into_iter().map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect();
    assert_eq!(world.verify(&place, Level::Read).await.mismatches, []);

    let first = 20_261_120;
    for seed in first..first + 150 {
        let mut random = seed;
        let mut draw = |below: usize| {
            random = next(random);
            (random % below.max(1) as u64) as usize
        };
        let (path, bytes) = &whole[draw(whole.len())];
        let mut changed = bytes.clone();
        let at = draw(bytes.len());
        let kind = draw(7);
        match kind {
            0 => changed[at] ^= 1 << draw(8),
            1 => changed.truncate(at),
            2 => drop(changed.remove(at)),
            3 => changed.insert(at, draw(256) as u8),
            4 => changed.extend_from_slice(bytes),
            5 => {
                let (_, another) = &whole[draw(whole.len())];
                changed.clone_from(another);
            }
            _ => changed.clear(),
        }
        if changed == *bytes {
            continue;
        }
        std::fs::write(path, &changed).unwrap();
        let refused = match kind {
            // An object that is gone.
            6 if at % 2 == 0 => {
                std::fs::remove_file(path).unwrap();
                let options = Default::default();
                match backup::verify(&world.store, &place, Level::Read, None, &options, &Progress::none())
                    .await
                {
                    // Without a manifest there is no backup to verify.
                    Err(BackupError::NotFound { .. }) => path.ends_with("manifest.json"),
                    Err(error) => panic!("{error}"),
                    Ok(proof) => !proof.holds(),
                }
            }
            _ => !world.verify(&place, Level::Read).await.holds(),
        };
        assert!(refused, "seed {seed}: kind {kind} at {at} of {}", path.display());
        std::fs::write(path, bytes).unwrap();
    }

    // Two objects swapped, and another backup's manifest in place of this one's.
    let [one, two] = ["data/1.copy.gz", "data/2.copy.gz"].map(|name| folder.join(name));
    let (a, b) = (std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());
    std::fs::write(&one, &b).unwrap();
    std::fs::write(&two, &a).unwrap();
    let proof = world.verify(&place, Level::Read).await;
    assert_eq!(proof.mismatches.len(), 2, "{:?}", proof.mismatches);
    std::fs::write(&one, &a).unwrap();
    std::fs::write(&two, &b).unwrap();
    let manifest = world.folder.path().join(other.object("manifest.json"));
    std::fs::copy(manifest, folder.join("manifest.json")).unwrap();
    let proof = world.verify(&place, Level::Manifest).await;
    assert!(matches!(&proof.mismatches[..], [Mismatch::Manifest { .. }]), "{:?}", proof.mismatches);
}

#[tokio::test]
async fn a_damaged_backup_leaves_no_database_behind() {
    let world = World::new(
        "CREATE TABLE a (t text); INSERT INTO a SELECT md5(n::text) FROM generate_series(1, 5000) n",
    )
    .await;
    let (place, manifest) = world.write(&backup::write::Options::default()).await;
    let path = world.folder.path().join(place.object("data/1.copy.gz"));
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.len() - 3;
    bytes[end] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = world.restore(&manifest, "never_whole").await.unwrap_err();
    assert!(
        matches!(&error, BackupError::Mismatch(Mismatch::Hash { object }) if object == "data/1.copy.gz"),
        "{error}"
    );
    let left = "SELECT count(*) FROM pg_catalog.pg_database WHERE datname = 'never_whole'";
    assert_eq!(count(&admin().await, left).await, 0);
}

#[tokio::test]
async fn an_interrupted_backup_is_none() {
    let world = World::new(
        "CREATE TABLE a (t text); INSERT INTO a SELECT md5(n::text) FROM generate_series(1, 200000) n; \
         CREATE TABLE z (t text)",
    )
    .await;
    let place = Place::fresh("production");
    let options = small();
    let writing = world.try_write(&place, &options);
    let objects = async {
        while world.store.list(&place.prefix()).await.unwrap().len() < 3 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        written = writing => panic!("too fast: {written:?}"),
        () = objects => {}
    }
    let listing = backup::list(&world.store, "production").await.unwrap();
    assert!(listing.backups.is_empty());
    assert_eq!(listing.incomplete.len(), 1);
    assert!(matches!(
        backup::find(&world.store, "production", &place.id).await,
        Err(BackupError::NotFound { reason, .. }) if reason.contains("interrupted")
    ));
    // On the server nothing stays: no session of ours, and the table can be dropped at once.
    let session = common::session(&world.url).await;
    session.batch_execute("SET lock_timeout = '10s'; DROP TABLE a").await.unwrap();

    let keep = Keep { leftovers_younger_than: std::time::Duration::ZERO, ..Keep::default() };
    let (good, _) = world.write(&small()).await;
    assert_eq!(backup::prune(&world.store, "production", &keep, true).await.unwrap().len(), 1);
    assert_eq!(backup::list(&world.store, "production").await.unwrap().incomplete.len(), 1);
    assert_eq!(backup::prune(&world.store, "production", &keep, false).await.unwrap()[0].id, place.id);
    let listing = backup::list(&world.store, "production").await.unwrap();
    assert!(listing.incomplete.is_empty());
    assert_eq!(listing.backups[0].id, good.id);
    assert_eq!(files(world.folder.path()).len() as u64, world.store.list("").await.unwrap().len() as u64);
}

#[tokio::test]
async fn a_proof_is_recorded_beside_the_manifest() {
    let world = World::new("CREATE TABLE a (t text); INSERT INTO a VALUES ('x')").await;
    let (place, manifest) = world.write(&small()).await;
    assert_eq!(load_manifest(&world.store, &place).await.unwrap(), manifest);
    let level = async || backup::list(&world.store, "production").await.unwrap().backups[0].verified;
    assert_eq!(level().await, None);
    let proof = world.verify(&place, Level::Read).await;
    let kept = record(&world.store, &place, &proof).await.unwrap();
    assert_eq!(kept.manifest, manifest.checksum);
    assert_eq!(level().await, Some(Level::Read));
    record(&world.store, &place, &world.verify(&place, Level::Restore).await).await.unwrap();
    assert_eq!(level().await, Some(Level::Restore));
    let broken = Proof { mismatches: vec![Mismatch::Missing { object: "x".into() }], ..proof };
    assert!(record(&world.store, &place, &broken).await.is_err());
    assert_eq!(backup::find(&world.store, "production", "latest").await.unwrap(), place);
}

/// A store on a file system of 2 MB.
#[tokio::test]
async fn a_full_disk_is_a_clear_failure() {
    let mount = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
        .arg(mount.path())
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        eprintln!("SKIPPED a_full_disk_is_a_clear_failure: this user cannot mount a tmpfs");
        return;
    }
    let world = World::new(
        "CREATE TABLE a (t text); INSERT INTO a SELECT sha256(n::text::bytea)::text FROM generate_series(1, 100000) n",
    )
    .await;
    let store = Directory::new(mount.path().join("store"));
    let place = Place::fresh("production");
    let options = backup::write::Options { codec: Codec::Gzip { level: 1 }, ..small() };
    let written = backup::write(&world.info, &store, &place, &options, &Progress::none()).await;
    let listing = backup::list(&store, "production").await.unwrap();
    let unmounted = Command::new("umount").arg("-l").arg(mount.path()).status();
    assert!(unmounted.unwrap().success());
    let failure = Failure::from(written.unwrap_err());
    let text = format!("{failure} {:?}", failure.next);
    assert!(text.contains("No space left") && text.contains("make room"), "{text}");
    assert!(listing.backups.is_empty());
}

#[tokio::test]
async fn rows_that_a_policy_hides_are_refused() {
    let world = World::new(
        "CREATE TABLE a (t text); INSERT INTO a VALUES ('x'), ('y'); ALTER TABLE a ENABLE ROW LEVEL SECURITY; \
         ALTER TABLE a FORCE ROW LEVEL SECURITY; CREATE POLICY p ON a USING (t = 'x')",
    )
    .await;
    let place = Place::fresh("production");
    let error = world.try_write(&place, &small()).await.unwrap_err();
    assert!(Failure::from(error).to_string().contains("row-level security"));
    let findings = backup::survey(&world.info, &SessionOptions::default()).await.unwrap();
    assert!(findings.iter().any(|f| f.stops_backup && f.what.contains("row-level security")), "{findings:?}");
}

#[tokio::test]
async fn a_survey_names_what_is_in_the_way() {
    let world = World::torture().await;
    assert_eq!(backup::survey(&world.info, &SessionOptions::default()).await.unwrap(), []);
    let url = common::cluster().url("postgres", &world.name);
    let session = common::session(&url).await;
    session.batch_execute("SET default_transaction_read_only = off; SET search_path = public").await.unwrap();
    session
        .batch_execute(
            "CREATE TABLE foreign_one (x int); CREATE EXTENSION pageinspect; \
             CREATE FUNCTION ev() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; \
             CREATE EVENT TRIGGER ev ON ddl_command_end EXECUTE FUNCTION ev(); \
             CREATE PUBLICATION every FOR ALL TABLES",
        )
        .await
        .unwrap();
    let findings = backup::survey(&world.info, &SessionOptions::default()).await.unwrap();
    for what in [
        "table public.foreign_one",
        "extension pageinspect",
        "event trigger ev",
        "publication every",
        "postgres",
    ] {
        assert!(findings.iter().any(|f| f.what.contains(what)), "{what} in {findings:?}");
    }
    let place = Place::fresh("production");
    let failure = Failure::from(world.try_write(&place, &small()).await.unwrap_err());
    assert!(failure.to_string().contains("foreign_one"), "{failure}");
}

#[tokio::test]
async fn what_differs_is_named() {
    let world = World::new("CREATE TABLE a (id serial, t text); INSERT INTO a (t) VALUES ('x'), ('y')").await;
    let before = world.content(&world.name, None).await;
    let session = common::session(&world.url).await;
    session
        .batch_execute("UPDATE a SET t = 'z' WHERE id = 1; SELECT nextval('a_id_seq'); CREATE TABLE b ()")
        .await
        .unwrap();
    let said: Vec<String> =
        before.differences(&world.content(&world.name, None).await).iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            r#"table "public"."a": as many rows (2), but other content"#,
            r#"table "public"."b": not there and 0 rows"#,
            r#"sequence "public"."a_id_seq": 2 and 3"#,
        ]
    );
    assert!(before.tables.contains_key(&TableName::new("public", "a")));
}

/// Bytes of no known encoding, and an encoding that is not ours, come back as they were.
#[tokio::test]
async fn other_encodings_come_back() {
    for (encoding, table) in [("SQL_ASCII", "t"), ("LATIN1", "caf\u{e9} \u{df}")] {
        let name = common::fresh_name("coded");
        let admin = admin().await;
        admin.batch_execute(&format!("CREATE ROLE {name} LOGIN CREATEDB")).await.unwrap();
        let create =
            format!("CREATE DATABASE {name} OWNER {name} TEMPLATE template0 ENCODING {encoding} LOCALE 'C'");
        admin.batch_execute(&create).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let url = common::cluster().url(&name, &name);
        let store = Directory::new(folder.path());
        let world = World { info: ConnInfo::parse(&url).unwrap(), url, name: name.clone(), folder, store };
        let session = common::session(&world.url).await;
        let table = quote(table);
        session.batch_execute(&format!("CREATE TABLE {table} (x text)")).await.unwrap();
        // Bytes that are no UTF-8, sent past the client's encoding.
        let bytes = "convert_from('\\xe9ff41df'::bytea, getdatabaseencoding())";
        session.batch_execute(&format!("INSERT INTO {table} VALUES ({bytes})")).await.unwrap();
        session
            .batch_execute(&format!(
                "COMMENT ON TABLE {table} IS 'Gr\u{fc}\u{df}e'; CREATE VIEW v AS SELECT 'gr\u{fc}n' AS c"
            ))
            .await
            .unwrap();
        let (place, manifest) = world.write(&small()).await;
        let back = common::fresh_name("coded_back");
        world.restore(&manifest, &back).await.unwrap_or_else(|e| panic!("{}", Failure::from(e)));
        let restored = common::session(&common::cluster().url(&name, &back)).await;
        for sql in [
            format!("SELECT (x::bytea = '\\xe9ff41df')::int::bigint FROM {table}"),
            "SELECT (c = 'gr\u{fc}n')::int::bigint FROM v".to_string(),
        ] {
            assert_eq!(count(&restored, &sql).await, 1, "{encoding}");
        }
        drop(restored);
        assert_eq!(world.verify(&place, Level::Restore).await.mismatches, [], "{encoding}");
    }
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
