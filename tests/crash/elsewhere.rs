//! A run that is taken over on another machine: a host name of its own (a UTS namespace), or the same name and another
//! container (a PID and a mount namespace).

use std::process::Command;

use crate::common::project::Ended;
use crate::driver::Driver;
use crate::stage::{Release, Stage};

/// A host name of its own, everything else shared.
const OTHER_NAME: &[&str] = &["--uts", "sh", "-c", "hostname elsewhere && exec \"$@\"", "sh"];

/// A container on the host's network: the same name and the same kernel, other processes and other mounts.
const CONTAINER: &[&str] = &["--pid", "--fork", "--mount-proc"];

/// Runs backstay there; `None`, loudly, where that isn't possible.
fn elsewhere(how: &[&str], stage: &Stage, arguments: &[&str]) -> Option<Ended> {
    let local = stage.project.command(arguments);
    let mut there = Command::new("unshare");
    there.args(how);
    there.arg(local.get_program()).args(local.get_args()).current_dir(stage.project.path("."));
    for (name, value) in local.get_envs() {
        match value {
            Some(value) => there.env(name, value),
            None => there.env_remove(name),
        };
    }
    let possible = Command::new("unshare").args(how).arg("true").output();
    if !possible.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: namespaces of its own ({how:?}) need root; nothing was tested here");
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
    let Some(ended) = elsewhere(OTHER_NAME, &stage, &["resume", "--yes"]) else { return };
    assert_eq!(ended.code, 5, "{}", ended.err);
    for words in ["rm -f", "--flag-is-down", "can't be seen from here"] {
        assert!(ended.err.contains(words), "{words}: {}", ended.err);
    }
    // Nothing but the flag is missing, and asking again says the same.
    let Some(again) = elsewhere(OTHER_NAME, &stage, &["resume", "--yes"]) else { return };
    assert_eq!(again.code, 5, "{}", again.err);
    std::fs::remove_file(&away).expect("rm -f, as it was told");
    let Some(ended) = elsewhere(OTHER_NAME, &stage, &["resume", "--yes", "--flag-is-down"]) else { return };
    stage.expect(&ended, 0, "migrated elsewhere, the flag taken down by hand").and_production().await;
}

/// A flag that both machines see is taken down from either.
#[tokio::test]
async fn a_flag_that_both_machines_see_is_taken_down() {
    let stage = Stage::of(Release::Good).await;
    let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    driver.starts(&stage.project, "migrate");
    driver.kill();
    let Some(ended) = elsewhere(OTHER_NAME, &stage, &["resume", "--yes"]) else { return };
    stage.expect(&ended, 0, "taken over from a machine that shares the flag").and_production().await;
}

/// In a container that shares the host's name, a driver's number is no process, or another's: it lives all the same.
#[tokio::test]
async fn a_living_driver_of_the_same_host_name_is_not_taken_for_gone() {
    let stage = Stage::of(Release::Good).await;
    let project = &stage.project;
    stage.deploy_with("touch waiting; while [ ! -e go ]; do sleep 0.02; done; echo deployed >> deployed");
    let mut driver = Driver::start(project, &["run", "release", "--yes"]);
    driver.starts(project, "deploy");
    crate::patiently("the deploy", || project.path("waiting").exists());
    let before = crate::driver::records(project).len();
    let Some(ended) = elsewhere(CONTAINER, &stage, &["resume", "--yes"]) else { return };
    assert_eq!(ended.code, 8, "{}", ended.err);
    assert!(ended.err.contains("it is held by driver 1 of run"), "{}", ended.err);
    assert_eq!(crate::driver::records(project).len(), before, "a refused resume wrote into the journal");
    project.write("go", "");
    stage.expect(&driver.ended(), 0, "a rival in a container").and_production().await;
}

/// The file system of a container of the same name is another: that the flag is not there says nothing.
#[tokio::test]
async fn a_flag_outside_of_the_container_is_not_said_to_be_down() {
    let stage = Stage::of(Release::Good).await;
    let project = &stage.project;
    let config = std::fs::read_to_string(project.path("config/production.toml")).expect("a config");
    let lease = "\n[lease]\nheartbeat = \"100ms\"\nexpires = \"1s\"\n";
    project.write("config/production.toml", &format!("{config}{lease}"));
    let mut driver = Driver::start(project, &["run", "release", "--yes"]);
    driver.starts(project, "migrate");
    driver.kill();
    let (flag, away) = (project.path("flag"), project.path("flag-of-the-first"));
    std::fs::rename(&flag, &away).expect("the flag, out of sight");
    let Some(ended) = elsewhere(CONTAINER, &stage, &["resume", "--yes"]) else { return };
    assert_eq!(ended.code, 5, "{}", ended.err);
    for words in ["another machine or container called", "--flag-is-down", "can't be seen from here"] {
        assert!(ended.err.contains(words), "{words}: {}", ended.err);
    }
    std::fs::remove_file(&away).expect("rm -f, as it was told");
    // Where the flag was raised, that it is gone is known.
    let ended = project.run(&["resume", "--yes"]);
    stage.expect(&ended, 0, "the flag was removed, and seen to be").and_production().await;
}
