//! The server's disk is full: in the migration, and in the clone.

use std::path::PathBuf;
use std::process::Command;

use crate::ground::{Ground, folder_of};

/// A small disk of its own for the shop's database; unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where we may not mount; then the test says so and shows nothing.
    fn for_ground(ground: &Ground, megabytes: u32) -> Option<Self> {
        let user = ground.server().user();
        let folder = folder_of(user, "backstay-disk-");
        let (uid, gid) = user?;
        let options = format!("size={megabytes}m,uid={uid},gid={gid},mode=0700");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&folder).status();
        let disk = Self(folder);
        mounted.is_ok_and(|status| status.success()).then_some(disk)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// The shop, moved to a disk of this size. None, loudly, where there can be none.
async fn shop_on_a_small_disk(megabytes: u32) -> Option<(SmallDisk, Ground)> {
    let ground = Ground::with(&[]).await;
    let Some(disk) = SmallDisk::for_ground(&ground, megabytes) else {
        eprintln!("SKIPPED: to fill a disk one must be mounted, and this user may not");
        return None;
    };
    let admin = ground.superuser("postgres").await;
    let name = &ground.project.name;
    for statement in [
        format!("CREATE TABLESPACE small LOCATION '{}'", disk.0.display()),
        format!("GRANT CREATE ON TABLESPACE small TO {name}"),
        format!("ALTER DATABASE {name} SET TABLESPACE small"),
    ] {
        admin.batch_execute(&statement).await.expect("moved");
    }
    Some((disk, ground))
}

async fn serves_the_old_one(ground: &Ground) {
    let project = &ground.project;
    assert!(!project.flag_is_up());
    let owner = crate::common::session(&project.url()).await;
    let revision =
        owner.query_one("SELECT version_num::text FROM alembic_version", &[]).await.expect("a revision");
    assert_eq!(revision.get::<_, String>(0), "989ceebf408f");
}

#[tokio::test]
async fn a_migration_that_fills_the_disk_is_put_back() {
    let Some((_disk, ground)) = shop_on_a_small_disk(64).await else { return };
    ground.project.write(
        "migrations/fat.sql",
        "-- revision: fa7000000001\n-- revises: c08085465bad\n-- More than there is room for\n\n-- upgrade\n\
         CREATE TABLE fat AS SELECT i, repeat(md5(i::text), 30) AS text FROM generate_series(1, 200000) i;\n\
         -- downgrade\nDROP TABLE fat;\n",
    );
    let ended = ground.project.run(&["run", "release", "--yes"]).expect(4);
    assert!(ended.err.contains("53100"), "{}", ended.err);
    serves_the_old_one(&ground).await;
}

#[tokio::test]
async fn a_clone_that_finds_no_room_leaves_nothing() {
    // The preflight asks another disk: it believes that there is room. Above 64 MB the clone copies files; below,
    // PostgreSQL 15 would notice only as it writes its buffers back.
    let Some((_disk, ground)) = shop_on_a_small_disk(120).await else { return };
    let owner = crate::common::session(&ground.project.url()).await;
    let half =
        "CREATE TABLE half AS SELECT i, repeat(md5(i::text), 30) AS text FROM generate_series(1, 70000) i";
    owner.batch_execute(half).await.expect("half of the room");
    drop(owner);
    let ended = ground.project.run(&["run", "release", "--yes"]).expect(4);
    assert!(ended.err.contains("No space left on device"), "{}", ended.err);
    assert_eq!(
        ground.project.databases().await,
        std::slice::from_ref(&ground.project.name),
        "no half clone is left"
    );
    serves_the_old_one(&ground).await;
}
