//! SIGKILL after each record of a release, and resume: production ends as the release would have, and a
//! command that was under way counts as failed.
//!
//! Which code is right after the kill at record N, and why:
//!
//! | the undisturbed release | killed while | resume gives | because |
//! | --- | --- | --- | --- |
//! | good | `deploy` was under way | 4 | nobody knows what a command did: it counts as failed, production is put back |
//! | good | anything else | 0 | what was under way is looked at or done again, then the release goes on |
//! | its migration or health fails | any line | 4 | the failure comes again, or the put-back goes on |
//! | any | `Ended` was the last record | 2 | there is nothing to resume, and production is what the verdict said |

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use crate::driver::Driver;
use crate::longer;
use crate::stage::{Release, Stage};

/// The usual test takes every third record: random lives and `tests/chaos` meet the others.
fn stride() -> usize {
    if longer().is_some() { 1 } else { 3 }
}

/// A kill can come one record late; so many tries until each number was the last one once.
const TRIES: u32 = 6;

#[derive(Debug, Clone, Copy)]
enum Kill {
    Process,
    Group,
}

/// Kills one release after record `number`; gives the record that really was the last, or `None` if the
/// release has fewer.
async fn kill_and_resume(stage: &Stage, release: Release, number: u32, kill: Kill) -> Option<u32> {
    stage.reset().await;
    let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    if number > 0 && !driver.reaches(number) {
        return None;
    }
    match kill {
        Kill::Process => driver.kill(),
        Kill::Group => driver.kill_group(),
    }
    let last = crate::driver::records(&stage.project).len() as u32;
    let story = format!("{release:?}, {kill:?} killed after {}", stage.last_record());
    let undisturbed = if release == Release::Good { 0 } else { 4 };
    if last == 0 {
        stage.project.run(&["resume", "--yes"]).expect(2);
        let ended = stage.project.run(&["run", "release", "--yes"]);
        stage.expect(&ended, undisturbed, &format!("{story}, then run anew")).and_production().await;
        return Some(last);
    }
    if stage.has_ended() {
        let ended = stage.project.run(&["resume", "latest", "--yes"]).expect(2);
        assert!(ended.err.contains("it has ended"), "{story}: {}", ended.err);
        stage
            .expect(&crate::common::project::Ended { code: undisturbed, ..ended }, undisturbed, &story)
            .and_production()
            .await;
        return Some(last);
    }
    let code = if stage.under_way().as_deref() == Some("deploy") { 4 } else { undisturbed };
    let ended = stage.project.run(&["resume", "--yes"]);
    stage.expect(&ended, code, &story).and_production().await;
    Some(last)
}

/// Every record (or every third) from `from` up to but not including `to` is the last one once. All kills are tried before the
/// test fails.
async fn each(release: Release, from: u32, to: u32, kill: Kill) {
    let stage = Stage::of(release).await;
    let (mut covered, mut failed) = (BTreeSet::new(), 0);
    for number in (from..to).step_by(stride()) {
        let mut tries = 0;
        while !covered.contains(&number) {
            assert!(tries < TRIES, "no kill came right after record {number}");
            tries += 1;
            match AssertUnwindSafe(kill_and_resume(&stage, release, number, kill)).catch_unwind().await {
                Ok(None) => return assert_eq!(failed, 0, "kills after which something was wrong, see above"),
                Ok(Some(last)) => covered.insert(last),
                // The panic was printed; the others are tried all the same.
                Err(_) => {
                    failed += 1;
                    covered.insert(number)
                }
            };
        }
    }
    assert_eq!(failed, 0, "kills after which something was wrong, see above");
}

/// A longer test takes both kinds of kill; the usual one this kind.
fn kills(usual: Kill) -> Vec<Kill> {
    if longer().is_some() { vec![Kill::Process, Kill::Group] } else { vec![usual] }
}

/// Up to its failing line a bad release writes what the good one writes: the usual test begins there.
fn from(usual: u32) -> u32 {
    if longer().is_some() { 0 } else { usual }
}

#[tokio::test]
async fn a_good_release_killed_before_the_window() {
    for kill in kills(Kill::Process) {
        each(Release::Good, 0, 10, kill).await;
    }
}

#[tokio::test]
async fn a_good_release_killed_behind_the_fence() {
    for kill in kills(Kill::Process) {
        each(Release::Good, 10, 21, kill).await;
    }
}

#[tokio::test]
async fn a_good_release_killed_after_open() {
    for kill in kills(Kill::Process) {
        each(Release::Good, 21, 99, kill).await;
    }
}

#[tokio::test]
async fn a_release_whose_migration_fails_killed() {
    for kill in kills(Kill::Process) {
        each(Release::BadMigration, from(14), 99, kill).await;
    }
}

#[tokio::test]
async fn a_release_that_is_not_healthy_killed() {
    for kill in kills(Kill::Group) {
        each(Release::Unhealthy, from(22), 99, kill).await;
    }
}
