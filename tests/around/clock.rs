//! Clocks that jump and clocks that are wrong (libfaketime, `make faketime`). The times in a journal are for people:
//! what is decided by time is decided by durations of one machine.

use std::path::Path;
use std::process::Command;

use crate::common::project::{Ended, Project, wait_until};
use crate::driver::Driver;
use crate::ground::Ground;

/// Where Debian's package puts it, by architecture.
fn library() -> String {
    let below = std::fs::read_dir("/usr/lib").expect("/usr/lib").flatten().map(|entry| entry.path());
    let library = below.map(|path| path.join("faketime/libfaketime.so.1")).find(|path| path.exists());
    library.expect("libfaketime: run `make faketime`").display().to_string()
}

/// The wall clock as the file says, `+3h` or `-1d`, looked at each time; children see the same.
fn by_the_clock_in(file: &Path) -> impl FnOnce(&mut Command) {
    let (library, file) = (library(), file.to_path_buf());
    move |command| {
        command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", file);
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
}

fn run_by_clock(project: &Project, offset: &str, arguments: &[&str]) -> Ended {
    project.write("clock", offset);
    Driver::start_with(project, arguments, by_the_clock_in(&project.path("clock"))).ended()
}

#[tokio::test]
#[ignore = "long: make test-around"]
async fn a_clock_that_jumps_in_the_window_changes_nothing() {
    let ground = Ground::with(&[]).await;
    let project = &ground.project;
    project.edit("runbooks/release.toml", "max = \"15m\"", "max = \"15m\"\nput_back_after = \"20m\"");
    project
        .set_deploy("date > now; mv now there; while [ ! -e go ]; do sleep 0.02; done; date > then", "true");
    project.write("clock", "+0");
    let mut driver =
        Driver::start_with(project, &["run", "release", "--yes"], by_the_clock_in(&project.path("clock")));
    driver.starts(project, "migrate");
    project.write("clock", "+3h");
    wait_until("the deploy to be under way", || project.path("there").exists());
    project.write("clock", "-2d");
    project.write("go", "");
    let ended = driver.ended().expect(0);
    assert!(!ended.err.contains("longer than the window's max"), "{}", ended.err);
    assert!(!project.flag_is_up());
    // The clock did jump.
    let read = |name| std::fs::read_to_string(project.path(name)).expect("a date");
    assert_ne!(read("there").split_whitespace().nth(2), read("then").split_whitespace().nth(2));
}

#[tokio::test]
#[ignore = "long: make test-around"]
async fn a_machine_whose_clock_is_wrong_resumes_as_any_other() {
    for offset in ["-2d", "+2d"] {
        let ground = Ground::with(&[]).await;
        let project = &ground.project;
        let mut driver = Driver::start(project, &["run", "release", "--yes"]);
        driver.starts(project, "migrate");
        driver.kill();
        let ended = run_by_clock(project, offset, &["resume", "--yes"]);
        assert!(matches!(ended.code, 0 | 4), "{offset}: {ended:?}");
        assert!(!project.flag_is_up(), "{offset}");
        run_by_clock(project, offset, &["status"]).expect(0);
        project.run(&["status"]).expect(0);
    }
}

#[tokio::test]
#[ignore = "long: make test-around"]
async fn a_driver_whose_clock_is_wrong_is_not_taken_for_dead() {
    let ground = Ground::with(&[]).await;
    let project = &ground.project;
    project.set_deploy("while [ ! -e go ]; do sleep 0.02; done", "true");
    project.write("clock", "-2d");
    let mut driver =
        Driver::start_with(project, &["run", "release", "--yes"], by_the_clock_in(&project.path("clock")));
    driver.starts(project, "deploy");
    let ended = project.run(&["resume", "--yes"]).expect(8);
    assert!(ended.err.contains("it is held by driver 1 of run"), "{}", ended.err);
    project.write("go", "");
    driver.ended().expect(0);
}
