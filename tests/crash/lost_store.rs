//! The store goes away, or refuses, in the middle of a run: it stops where it is, says so, and goes on when the
//! store is back.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::project::Ended;
use crate::common::session;
use crate::driver::Driver;
use crate::stage::{Release, Stage};

const WAITS: &str = "while [ ! -e go ]; do sleep 0.02; done; rm go; echo deployed >> deployed";

/// Production is back although the store is not, and the records of that wait on this machine.
fn put_back_without_the_store(stage: &Stage, ended: &Ended, words: &[&str]) {
    assert_eq!(ended.code, 4, "{}", ended.err);
    for word in
        ["the store is lost", "in the store", "backstay resume", ".backstay-spool"].iter().chain(words)
    {
        assert!(ended.err.contains(word), "{word:?} is missing:\n{}", ended.err);
    }
    assert!(!stage.project.flag_is_up(), "the flag is up");
    let spool = stage.project.path(".backstay-spool/created/runs");
    assert_eq!(std::fs::read_dir(spool).expect("the spool").count(), 1, "one run's records wait");
}

/// The store is back: what waits is brought to it, and the run has ended as it said.
async fn records_are_brought(stage: &Stage, story: &str) {
    let ended = stage.project.run(&["resume", "--yes"]);
    assert!(ended.err.contains("are on the store now"), "{}", ended.err);
    stage.expect(&ended, 4, story).and_production().await;
    let ended = stage.project.run(&["resume", "latest", "--yes"]).expect(2);
    assert!(ended.err.contains("it has ended"), "{}", ended.err);
}

#[tokio::test]
async fn a_store_that_is_lost_inside_the_window() {
    let stage = Stage::of(Release::Good).await;
    let (store, away) = (stage.project.path("backstay-store"), stage.project.path("away"));
    stage.deploy_with(WAITS);
    for line in ["deploy", "clone the guard"] {
        stage.reset().await;
        let _ = std::fs::remove_dir_all(stage.project.path(".backstay-spool"));
        let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
        driver.starts(&stage.project, line);
        std::fs::rename(&store, &away).expect("the store moved away");
        std::fs::write(&store, "").expect("a file in its place");
        stage.project.write("go", "");
        put_back_without_the_store(&stage, &driver.ended(), &["taken the place of the store"]);
        // It serves, as can be seen; and that is all.
        stage.project.run(&["resume", "--yes"]).expect(6);
        let another = stage.project.run(&["run", "release", "--yes"]);
        assert!(matches!(another.code, 2 | 3), "{another:?}");
        std::fs::remove_file(&store).expect("the file removed");
        std::fs::rename(&away, &store).expect("the store is back");
        records_are_brought(&stage, &format!("the store was lost in {line}")).await;
        let _ = std::fs::remove_file(stage.project.path("go"));
    }
}

/// Lost when only the flag is left to be taken down: whether it may be can't be written down, so production is put back.
#[tokio::test]
async fn a_store_that_is_lost_before_the_flag_is_cleared() {
    let stage = Stage::of(Release::Good).await;
    let (store, away) = (stage.project.path("backstay-store"), stage.project.path("away"));
    // Long enough for the store to be lost meanwhile.
    stage.project.edit("config/production.toml", "deadline = \"300ms\"", "deadline = \"5s\"\nsuccesses = 10");
    let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    driver.starts(&stage.project, "health");
    std::fs::rename(&store, &away).expect("the store moved away");
    put_back_without_the_store(&stage, &driver.ended(), &["is gone"]);
    std::fs::rename(&away, &store).expect("the store is back");
    records_are_brought(&stage, "the store was lost before the flag was cleared").await;
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

/// Where the record will be that tells of `line`'s end (or, if not `of_its_end`, of its start), and its number. Every line
/// that is done has two records, behind the first.
fn record_to_be(stage: &Stage, driver: &mut Driver, line: &str, of_its_end: bool) -> (PathBuf, usize) {
    assert!(driver.reaches(1), "no run");
    let (first, began) = stage.project.journal().remove(0);
    let lines = began["lines"].as_array().expect("lines");
    let named = |card: &serde_json::Value| card["name"].as_str().is_some_and(|name| name.starts_with(line));
    let at = lines.iter().position(named).unwrap_or_else(|| panic!("no line {line}"));
    let number = 2 * (at + 1) + usize::from(of_its_end);
    (first.with_file_name(format!("{number:06}.json")), number)
}

/// Has the store refuse that record, as a store does that was lost just then.
fn refuse_record(stage: &Stage, driver: &mut Driver, line: &str, of_its_end: bool) -> PathBuf {
    let (record, _) = record_to_be(stage, driver, line, of_its_end);
    std::fs::create_dir(&record).expect("a folder in the record's place");
    record
}

/// A hard mount whose server is gone gives no error, and no end. Whoever opens a FIFO waits likewise: there is one in the place
/// of the record, and of all that are looked for while production is put back.
#[tokio::test]
async fn a_store_that_hangs_inside_the_window() {
    let stage = Stage::of(Release::Good).await;
    stage.project.edit("config/production.toml", "[store]\n", "[store]\ntimeout = \"1s\"\n");
    let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    let (record, number) = record_to_be(&stage, &mut driver, "migrate", true);
    let places: Vec<PathBuf> =
        (number..number + 20).map(|number| record.with_file_name(format!("{number:06}.json"))).collect();
    for place in &places {
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, place, rustix::fs::FileType::Fifo, mode, 0).expect("a FIFO");
    }
    let began = Instant::now();
    let ended = driver.ended();
    assert!(began.elapsed() < Duration::from_secs(30), "it waited for the store: {:?}", began.elapsed());
    let what = format!(
        "read runs/{}",
        record.strip_prefix(stage.project.path("backstay-store/runs")).unwrap().display()
    );
    put_back_without_the_store(&stage, &ended, &["no answer within 1.0 s; the store is file://", &what]);
    for place in &places {
        std::fs::remove_file(place).expect("the store answers");
    }
    records_are_brought(&stage, "the store hung in migrate").await;
}

/// The machine that put production back without the store has its records; another one goes on, and must see that.
#[tokio::test]
async fn a_put_back_without_the_store_is_recognized_from_another_machine() {
    let stage = Stage::of(Release::Good).await;
    let (spool, away) = (stage.project.path(".backstay-spool"), stage.project.path("on-the-first-machine"));
    for (line, of_its_end) in
        [("clone", true), ("migrate", false), ("migrate", true), ("deploy", true), ("clear", false)]
    {
        let story =
            format!("the store was lost at the {} of {line}", if of_its_end { "end" } else { "start" });
        stage.reset().await;
        for folder in [&spool, &away] {
            let _ = std::fs::remove_dir_all(folder);
        }
        let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
        let refused = refuse_record(&stage, &mut driver, line, of_its_end);
        put_back_without_the_store(&stage, &driver.ended(), &[]);
        std::fs::remove_dir(refused).expect("the store is back");
        std::fs::rename(&spool, &away).expect("what the other machine does not have");
        let user = session(&stage.project.url()).await;
        let status = stage.project.run(&["status"]).expect(0);
        assert!(status.out.contains("backstay resume"), "{story}: {}", status.out);
        let fence = status.out.lines().find(|line| line.starts_with("fence")).expect("a fence");
        assert!(fence.ends_with("open"), "{story}: {fence}");
        let ended = stage.project.run(&["resume", "--yes"]);
        assert!(ended.err.contains("put production back without the store"), "{story}: {}", ended.err);
        user.batch_execute("SELECT 1").await.expect("a user's session is left alone");
        drop(user);
        stage.expect(&ended, 4, &story).and_production().await;
        first_machine_comes_back(&stage, &story);
    }
}

/// What waits there contradicts the journal by now: it is kept, and changes nothing.
fn first_machine_comes_back(stage: &Stage, story: &str) {
    let spool = stage.project.path(".backstay-spool");
    std::fs::rename(stage.project.path("on-the-first-machine"), &spool).expect("its spool");
    let (before, waiting) =
        (stage.project.journal(), std::fs::read_dir(spool.join("created/runs")).unwrap().count());
    assert_eq!(waiting, 1, "{story}: records of one run");
    let ended = stage.project.run(&["resume", "--yes"]);
    assert!(ended.err.contains("written by another driver") && ended.err.contains("taken"), "{}", ended.err);
    assert!(spool.join("taken/runs").exists(), "{story}: its records are kept");
    assert_eq!(stage.project.journal(), before, "{story}: the journal is as it was");
    stage.project.run(&["run", "release", "--yes"]).expect(0);
}

/// A run whose journal can't be read is not said to have left production untouched; a lease that can't be read is no reason
/// against going on.
#[tokio::test]
async fn a_resume_that_can_not_read_the_store_tells_what_it_sees() {
    let stage = Stage::of(Release::Good).await;
    let (store, away) = (stage.project.path("backstay-store"), stage.project.path("away"));
    let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    driver.starts(&stage.project, "migrate");
    driver.kill();
    std::fs::rename(&store, &away).expect("the store moved away");
    std::fs::write(&store, "").expect("a file in its place");
    stage.project.run(&["resume", "--yes"]).expect(8);
    let (flag, hidden) = (stage.project.path("flag"), stage.project.path("hidden"));
    std::fs::rename(&flag, &hidden).expect("the flag is down");
    stage.project.run(&["resume", "--yes"]).expect(8);
    std::fs::rename(&hidden, &flag).expect("the flag is up");
    std::fs::remove_file(&store).expect("the file removed");
    std::fs::rename(&away, &store).expect("the store is back");
    let run = stage.project.journal()[0].0.ancestors().nth(2).expect("the run's folder").to_path_buf();
    let _ = std::fs::remove_file(run.join("lease.json"));
    std::fs::create_dir(run.join("lease.json")).expect("a lease that can't be read");
    let ended = stage.project.run(&["resume", "--yes"]);
    stage.expect(&ended, 0, "its lease can't be read").and_production().await;
    std::fs::rename(&store, &away).expect("the store moved away");
    std::fs::write(&store, "").expect("a file in its place");
    stage.project.run(&["resume", "--yes"]).expect(1);
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
        let words: &[&str] = match trouble {
            "full" => &["No space left", "make room"],
            _ => &["Read-only file system", "write permission"],
        };
        put_back_without_the_store(&stage, &driver.ended(), words);
        if trouble == "full" {
            std::fs::remove_file(&filler).expect("room again");
        } else {
            mounted.remount("rw");
        }
        records_are_brought(&stage, &format!("the store was {trouble} in deploy")).await;
    }
}
