//! A run that is taken over on another machine: a host name of its own (a UTS namespace), another working directory,
//! the same store.

use std::process::Command;

use crate::common::project::Ended;
use crate::driver::Driver;
use crate::stage::{Release, Stage};

/// Runs backstay under the host name `elsewhere`; `None`, loudly, where that isn't possible.
fn elsewhere(stage: &Stage, arguments: &[&str]) -> Option<Ended> {
    let local = stage.project.command(arguments);
    let mut there = Command::new("unshare");
    there.args(["--uts", "sh", "-c", "hostname elsewhere && exec \"$@\"", "sh"]);
    there.arg(local.get_program()).args(local.get_args()).current_dir(stage.project.path("."));
    for (name, value) in local.get_envs() {
        match value {
            Some(value) => there.env(name, value),
            None => there.env_remove(name),
        };
    }
    let possible = Command::new("unshare").args(["--uts", "hostname", "elsewhere"]).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: a host name of its own needs root; nothing was tested here");
        return None;
    }
    Some(Ended::of(there.output().expect("a run")))
}

/// The flag is a file of the first machine: the second can't see it, and must not say that it is down.
#[tokio::test]
async fn a_flag_on_the_other_machine_is_not_said_to_be_down() {
    let stage = Stage::of(Release::Good).await;
    let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    driver.starts(&stage.project, "migrate");
    driver.kill();
    // The file system of the other machine has no such file.
    let (flag, away) = (stage.project.path("flag"), stage.project.path("flag-of-the-first"));
    std::fs::rename(&flag, &away).expect("the flag, out of sight");
    let Some(ended) = elsewhere(&stage, &["resume", "--yes"]) else { return };
    assert_eq!(ended.code, 5, "{}", ended.err);
    for words in ["rm -f", "--flag-is-down", "can't be seen from here"] {
        assert!(ended.err.contains(words), "{words}: {}", ended.err);
    }
    // Nothing but the flag is missing, and asking again says the same.
    let Some(again) = elsewhere(&stage, &["resume", "--yes"]) else { return };
    assert_eq!(again.code, 5, "{}", again.err);
    std::fs::remove_file(&away).expect("rm -f, as it was told");
    let Some(ended) = elsewhere(&stage, &["resume", "--yes", "--flag-is-down"]) else { return };
    stage.expect(&ended, 0, "migrated elsewhere, the flag taken down by hand").and_production().await;
}

/// A flag that both machines see is taken down from either.
#[tokio::test]
async fn a_flag_that_both_machines_see_is_taken_down() {
    let stage = Stage::of(Release::Good).await;
    let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    driver.starts(&stage.project, "migrate");
    driver.kill();
    let Some(ended) = elsewhere(&stage, &["resume", "--yes"]) else { return };
    stage.expect(&ended, 0, "taken over from a machine that shares the flag").and_production().await;
}
