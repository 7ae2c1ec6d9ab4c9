//! Interrupted anywhere: no manifest, so no backup.

use std::process::{Command, Stdio};

use backstay::backup::list::Keep;
use backstay::backup::manifest::Codec;
use backstay::backup::{self, BackupError, Level, Place};
use backstay::event::Progress;
use backstay::failure::Failure;
use backstay::store::{Directory, Store};

use crate::common;
use crate::common::command_line::CommandLine;
use crate::world::{World, admin, files, next, small};

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

/// `kill -9` at any moment: no manifest, so no backup; what was left is named, and pruned.
#[tokio::test]
async fn a_killed_backup_is_none() {
    let p = CommandLine::new("").await;
    let sql = "CREATE TABLE a (t text); INSERT INTO a SELECT md5(n::text) FROM generate_series(1, 300000) n";
    p.session().await.batch_execute(sql).await.unwrap();
    let began = std::time::Instant::now();
    p.expect(0, &["backup", "create"]);
    let whole = began.elapsed();
    let store = Directory::new(p.path().join("backstay-store"));
    let mut killed = 0;
    for seed in 1..=8u64 {
        let before = backup::list(&store, "test").await.unwrap();
        let mut child =
            p.command(&["backup", "create"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        // Somewhere in the time that a whole one takes, and each second time with its first objects there.
        if seed % 2 == 0 {
            let mut waited = 0;
            while backup::list(&store, "test").await.unwrap() == before {
                if let Some(ended) = child.try_wait().unwrap() {
                    let mut said = String::new();
                    std::io::Read::read_to_string(child.stderr.as_mut().unwrap(), &mut said).unwrap();
                    panic!("seed {seed}: ended with {ended} before its first object: {said}");
                }
                waited += 1;
                assert!(waited < 60_000, "seed {seed}: neither an object nor an end");
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        } else {
            tokio::time::sleep(whole.mul_f64((next(seed) % 1000) as f64 / 1000.0)).await;
        }
        let _ = child.kill();
        killed += u32::from(!child.wait().unwrap().success());
    }
    assert!(killed > 3, "only {killed} were killed in time");
    let listing = backup::list(&store, "test").await.unwrap();
    assert!(!listing.incomplete.is_empty(), "each was killed before its first object");
    let said = p.expect(0, &["backup", "list"]).stdout;
    for left in &listing.incomplete {
        assert!(said.contains(&left.id), "{} in {said}", left.id);
    }
    for whole in &listing.backups {
        p.expect(0, &["backup", "verify", &whole.id]);
    }
    let keep = Keep { leftovers_younger_than: std::time::Duration::ZERO, ..Keep::default() };
    backup::prune(&store, "test", &keep, false).await.unwrap();
    let after = backup::list(&store, "test").await.unwrap();
    assert!(after.incomplete.is_empty() && after.backups.len() == listing.backups.len(), "{after:?}");
}

/// pg_dump meets somebody's DDL and gives up: all begins anew on another snapshot, and what the first try stored
/// already does not stand in the way.
#[tokio::test]
async fn a_backup_that_begins_anew_removes_what_its_first_try_stored() {
    let p = CommandLine::new("").await;
    p.session().await.batch_execute("CREATE TABLE before (n int)").await.unwrap();
    let dump = which("pg_dump");
    let (psql, url) = (which("psql"), &p.url);
    let script = format!(
        r#"#!/bin/sh
case "$*" in *--section=post-data*)
    if mkdir first-try 2>/dev/null; then
        until ls backstay-store/backups/test/*/pre-data.sql.gz >/dev/null 2>&1; do sleep 0.05; done
        '{psql}' -qX '{url}' -c 'CREATE TABLE between (n int)'
        echo 'pg_dump: error: query was: LOCK TABLE public.before IN ACCESS SHARE MODE' >&2
        exit 1
    fi
esac
exec '{dump}' "$@"
"#
    );
    let wrapper = p.write("programs/pg_dump", &script);
    std::fs::set_permissions(&wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let answer = p.run_beside(&p.path().join("programs"), &["backup", "create"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert!(p.path().join("first-try").exists());
    p.expect(0, &["backup", "verify", "latest", "--level", "restore"]);
    let restored = p.expect(0, &["backup", "show", "latest"]).stdout;
    assert!(restored.contains("between"), "{restored}");
}

fn which(program: &str) -> String {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap();
    String::from_utf8(found.stdout).unwrap().trim().to_string()
}

/// A connection that is lost: a worker's, or the one that holds the snapshot.
#[tokio::test]
async fn a_lost_connection_is_named_and_leaves_no_backup() {
    let world = World::new(
        "CREATE TABLE a (t text); INSERT INTO a SELECT md5(n::text) FROM generate_series(1, 400000) n",
    )
    .await;
    let admin = admin().await;
    for victim in [
        "SELECT pid FROM pg_catalog.pg_stat_activity WHERE datname = $1 AND state = 'active' AND query LIKE 'COPY%' LIMIT 1",
        // The first of the sessions of a backup that copies already.
        "SELECT pid FROM pg_catalog.pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend' \
         AND EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE datname = $1 AND query LIKE 'COPY%') \
         ORDER BY backend_start LIMIT 1",
    ] {
        let end_it = async || {
            loop {
                if let Some(row) = admin.query_opt(victim, &[&world.name]).await.unwrap() {
                    let pid: i32 = row.get(0);
                    let sql = "SELECT pg_catalog.pg_terminate_backend($1)";
                    return admin.execute(sql, &[&pid]).await.unwrap();
                }
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        };
        // A session that is ended after its last answer is missed by nobody: that backup is whole.
        let mut tries = 0;
        let (place, error) = loop {
            let place = Place::fresh("production");
            let options = small();
            match tokio::join!(world.try_write(&place, &options), end_it()) {
                (Err(error), _) => break (place, error),
                (Ok(_), _) => assert_eq!(world.verify(&place, Level::Read).await.mismatches, []),
            }
            tries += 1;
            assert!(tries < 5, "each was ended too late");
        };
        let text = Failure::from(error).to_string();
        assert!(text.contains("administrator command") || text.contains("was lost"), "{text}");
        let listing = backup::list(&world.store, "production").await.unwrap();
        assert!(listing.backups.iter().all(|whole| whole.id != place.id));
        assert!(listing.incomplete.iter().any(|left| left.id == place.id), "{listing:?}");
        let verified = backup::verify(
            &world.store,
            &place,
            Level::Manifest,
            None,
            &Default::default(),
            &Progress::none(),
        )
        .await;
        assert!(matches!(verified, Err(BackupError::NotFound { .. })));
    }
}
