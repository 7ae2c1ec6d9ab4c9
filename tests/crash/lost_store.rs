//! The store goes away, or refuses, in the middle of a run: it stops where it is, says so, and goes on when the
//! store is back.

use std::path::Path;
use std::process::Command;

use crate::common::project::Ended;
use crate::driver::Driver;
use crate::stage::{Release, Stage};

const WAITS: &str = "while [ ! -e go ]; do sleep 0.02; done; rm go; echo deployed >> deployed";

fn told_of_the_store(ended: &Ended, words: &[&str]) {
    for word in ["in the store", "backstay resume"].iter().chain(words) {
        assert!(ended.err.contains(word), "{word:?} is missing:\n{}", ended.err);
    }
}

#[tokio::test]
async fn a_store_that_is_lost_inside_the_window() {
    let stage = Stage::of(Release::Good).await;
    let (store, away) = (stage.project.path("backstay-store"), stage.project.path("away"));
    stage.deploy_with(WAITS);
    let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    driver.starts(&stage.project, "deploy");
    std::fs::rename(&store, &away).expect("the store moved away");
    std::fs::write(&store, "").expect("a file in its place");
    stage.project.write("go", "");
    let ended = driver.ended().expect(8);
    told_of_the_store(&ended, &["Not a directory"]);
    assert!(stage.project.flag_is_up());
    let ended = stage.project.run(&["resume", "--yes"]);
    assert!(matches!(ended.code, 2 | 3), "{ended:?}");
    std::fs::remove_file(&store).expect("the file removed");
    std::fs::rename(&away, &store).expect("the store is back");
    let ended = stage.project.run(&["resume", "--yes"]);
    stage.expect(&ended, 4, "the store was lost in deploy").and_production().await;
}

#[tokio::test]
async fn a_store_that_is_lost_before_the_window() {
    let stage = Stage::of(Release::Good).await;
    let (store, away) = (stage.project.path("backstay-store"), stage.project.path("away"));
    let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    driver.starts(&stage.project, "preflight");
    std::fs::rename(&store, &away).expect("the store moved away");
    std::fs::write(&store, "").expect("a file in its place");
    let ended = driver.ended().expect(3);
    assert!(ended.err.contains("in the store"), "{}", ended.err);
    assert!(!stage.project.flag_is_up());
    std::fs::remove_file(&store).expect("the file removed");
    std::fs::rename(&away, &store).expect("the store is back");
    let ended = stage.project.run(&["resume", "--yes"]);
    stage.expect(&ended, 0, "the store was lost in preflight").and_production().await;
}

/// A small file system of its own for the store; `None`, loudly, where mounting isn't possible.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    fn at(path: &'a Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(path).expect("a folder");
        let mounted = mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "none"], path);
        if !mounted {
            eprintln!("SKIPPED: mounting a file system needs root; nothing was tested here");
        }
        mounted.then_some(Self(path))
    }

    fn remount(&self, option: &str) {
        assert!(mount(&["-o", &format!("remount,{option}")], self.0), "remount {option}");
    }
}

fn mount(arguments: &[&str], path: &Path) -> bool {
    Command::new("mount").args(arguments).arg(path).output().is_ok_and(|output| output.status.success())
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).output();
    }
}

#[tokio::test]
async fn a_store_that_becomes_read_only_or_full_inside_the_window() {
    let stage = Stage::of(Release::Good).await;
    stage.deploy_with(WAITS);
    let store = stage.project.path("backstay-store");
    for trouble in ["read-only", "full"] {
        stage.reset().await;
        let Some(mounted) = Mount::at(&store, "4m") else { return };
        let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
        driver.starts(&stage.project, "deploy");
        let filler = store.join("filler");
        if trouble == "full" {
            let _ = std::fs::write(&filler, vec![0u8; 8 << 20]);
        } else {
            mounted.remount("ro");
        }
        stage.project.write("go", "");
        let ended = driver.ended().expect(8);
        match trouble {
            "full" => told_of_the_store(&ended, &["No space left", "make room"]),
            _ => told_of_the_store(&ended, &["Read-only file system", "write permission"]),
        }
        if trouble == "full" {
            std::fs::remove_file(&filler).expect("room again");
        } else {
            mounted.remount("rw");
        }
        let ended = stage.project.run(&["resume", "--yes"]);
        stage.expect(&ended, 4, &format!("the store was {trouble} in deploy")).and_production().await;
    }
}
