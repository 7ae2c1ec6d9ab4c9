//! The store: missing, in the way, full, or on a machine that will be gone.

use std::process::{Command, Stdio};

use crate::common::project::{Ended, Project};
use crate::refused::{refused, says};

const RELEASE: [&str; 3] = ["run", "release", "--yes"];

#[tokio::test]
async fn a_store_that_is_a_file() {
    let project = Project::shop().await;
    project.write("backstay-store", "");
    refused(&project, &RELEASE, 3, &["backstay-store", "Not a directory"]).await;
}

#[tokio::test]
async fn a_store_below_a_file() {
    let project = Project::shop().await;
    project.write("disk", "");
    let text = std::fs::read_to_string(project.path(".env.production")).expect("the env file");
    project.write(".env.production", &format!("{text}BACKSTAY_STORE=file://./disk/store\n"));
    refused(&project, &RELEASE, 3, &["disk/store", "Not a directory"]).await;
}

#[tokio::test]
async fn a_store_without_room() {
    let project = Project::shop().await;
    let store = project.path("backstay-store");
    std::fs::create_dir(&store).expect("a folder");
    // Room for a few records, none for a backup.
    let Some(_mounted) = Tmpfs::at(&store, "32k") else { return };
    let ended = project.run(&RELEASE).expect(3);
    says(&ended, &["in the store", "No space left on device", "make room", "backstay-store"]);
    assert!(!project.flag_is_up());
}

#[tokio::test]
async fn a_store_that_may_only_be_read() {
    let project = Project::shop().await;
    let store = project.path("backstay-store");
    std::fs::create_dir(&store).expect("a folder");
    let Some(_mounted) = Tmpfs::at(&store, "1m,ro") else { return };
    let ended =
        refused(&project, &RELEASE, 3, &["in the store", "Read-only file system", "write permission"]).await;
    assert!(ended.err.contains("backstay-store"), "which store?\n{}", ended.err);
}

/// A runner's disk dies with it, and the evidence with the disk.
#[tokio::test]
async fn a_directory_under_ci() {
    let project = Project::shop().await;
    let ended =
        Ended::of(project.command(&RELEASE).env("CI", "true").stdin(Stdio::null()).output().expect("a run"));
    says(&ended.expect(2), &["CI", "insist_in_ci"]);
    assert!(project.journal().is_empty());
    project.edit("config/production.toml", "[store]\n", "[store]\ninsist_in_ci = true\n");
    let ended =
        Ended::of(project.command(&RELEASE).env("CI", "true").stdin(Stdio::null()).output().expect("a run"));
    ended.expect(0);
}

/// A small file system; `None`, loudly, where mounting isn't possible.
struct Tmpfs<'a>(&'a std::path::Path);

impl<'a> Tmpfs<'a> {
    fn at(path: &'a std::path::Path, options: &str) -> Option<Self> {
        let options = format!("size={options}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(path).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(path));
        }
        eprintln!("SKIPPED: mounting a file system needs root; nothing was tested here");
        None
    }
}

impl Drop for Tmpfs<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).output();
    }
}
