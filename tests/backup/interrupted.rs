//! Interrupted anywhere: no manifest, so no backup.

use std::process::Command;

use backstay::backup::list::Keep;
use backstay::backup::manifest::Codec;
use backstay::backup::{self, BackupError, Place};
use backstay::event::Progress;
use backstay::failure::Failure;
use backstay::store::{Directory, Store};

use crate::common;
use crate::world::{World, files, small};

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
