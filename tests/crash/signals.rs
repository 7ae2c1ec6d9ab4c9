//! A person stops a run: the first signal ends it cleanly, the second at once; the exit code says where.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::driver::Driver;
use crate::stage::{Release, Stage};

/// Starts a release, sends the signals when `line` has started, and gives how it ended.
async fn signalled(stage: &Stage, line: &str, signals: &[Signal]) -> crate::common::project::Ended {
    stage.reset().await;
    let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    driver.starts(&stage.project, line);
    for signal in signals {
        driver.signal(*signal);
        // Two signals of one kind in one moment are one to the kernel.
        std::thread::sleep(Duration::from_millis(30));
    }
    driver.ended()
}

#[tokio::test]
async fn before_the_window_it_is_interrupted_and_goes_on() {
    let stage = Stage::of(Release::Good).await;
    for (line, signals) in [
        ("preflight", &[Signal::INT][..]),
        ("backup", &[Signal::TERM]),
        ("backup", &[Signal::INT, Signal::INT]),
        ("preview", &[Signal::HUP]),
    ] {
        let ended = signalled(&stage, line, signals).await;
        let story = format!("{signals:?} in {line}");
        assert_eq!(ended.code, 6, "{story}: {}", ended.err);
        assert!(ended.err.contains("backstay resume"), "{story}: {}", ended.err);
        assert!(!stage.project.flag_is_up(), "{story}");
        // What a resume would have to ask later, it refuses now, and the run stays as it is.
        let ended = stage.project.run(&["resume"]).expect(2);
        assert!(ended.err.contains("give --yes"), "{story}: {}", ended.err);
        let ended = stage.project.run(&["resume", "--yes"]);
        stage.expect(&ended, 0, &format!("{story}, resumed")).and_production().await;
    }
}

#[tokio::test]
async fn inside_the_window_it_is_put_back() {
    let stage = Stage::of(Release::Good).await;
    for (line, signal) in
        [("close the database", Signal::TERM), ("migrate", Signal::INT), ("deploy", Signal::HUP)]
    {
        let ended = signalled(&stage, line, &[signal]).await;
        stage.expect(&ended, 4, &format!("{signal:?} in {line}")).and_production().await;
    }
}

#[tokio::test]
async fn after_the_window_it_is_interrupted_and_goes_on() {
    let stage = Stage::of(Release::Good).await;
    let ended = signalled(&stage, "record", &[Signal::INT]).await;
    // The line may have been quicker than the signal.
    assert!(matches!(ended.code, 0 | 6), "{}", ended.err);
    if ended.code == 6 {
        let ended = stage.project.run(&["resume", "--yes"]);
        stage.expect(&ended, 0, "SIGINT in record, resumed").and_production().await;
    }
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let stage = Stage::of(Release::Good).await;
    // The deploy ignores what it may ignore. The undo takes its time, so that the second signal finds the put-back under way.
    stage.project.set_deploy(
        "trap \"\" INT TERM HUP; sleep 30; echo deployed >> deployed",
        "echo undone >> deployed; if [ ! -e quick ]; then sleep 30; fi",
    );
    // A deploy that had to be killed has used up some of the grace already: there is enough of it here to put back.
    configure(&stage, "[stop]\ngrace = \"1m\"");
    let began = Instant::now();
    stage.reset().await;
    let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    driver.starts(&stage.project, "deploy");
    driver.signal(Signal::TERM);
    driver.starts(&stage.project, "undo deploy");
    driver.signal(Signal::INT);
    let ended = driver.ended();
    assert_eq!(ended.code, 8, "{}", ended.err);
    assert!(began.elapsed() < Duration::from_secs(25), "it took {:?}", began.elapsed());
    assert!(ended.err.contains("backstay resume"), "{}", ended.err);
    assert!(stage.project.flag_is_up(), "in maintenance, says exit 8");
    stage.project.write("quick", "");
    let ended = stage.project.run(&["resume", "--yes"]);
    stage.expect(&ended, 4, "two SIGTERMs in deploy, resumed").and_production().await;
}

#[tokio::test]
async fn a_command_before_the_window_that_is_stopped_is_run_again() {
    let stage = Stage::of(Release::Good).await;
    stage.reset().await;
    stage.project.write(
        "runbooks/build.toml",
        "name = \"build\"\n[[before]]\nstep = \"command\"\nname = \"build\"\n\
         run = [\"sh\", \"-c\", \"test -e built && exit 0; touch built; sleep 30\"]\n",
    );
    let mut driver = Driver::start(&stage.project, &["run", "build"]);
    driver.starts(&stage.project, "build");
    crate::common::project::wait_until("the build", || stage.project.path("built").exists());
    driver.signal(Signal::INT);
    let ended = driver.ended();
    assert_eq!(ended.code, 6, "{}", ended.err);
    stage.project.run(&["resume"]).expect(0);
}

/// `on_signal = "leave"`: the run stops inside the window with everything closed and journaled.
#[tokio::test]
async fn where_the_config_says_leave_it_is_left_for_a_resume() {
    let stage = Stage::of(Release::Good).await;
    configure(&stage, "[stop]\non_signal = \"leave\"");
    for (line, code) in [("migrate", 0), ("deploy", 4), ("health", 0)] {
        let ended = signalled(&stage, line, &[Signal::TERM]).await;
        assert_eq!(ended.code, 8, "{line}: {}", ended.err);
        assert!(stage.project.flag_is_up() && ended.err.contains("backstay resume"), "{line}: {}", ended.err);
        let ended = stage.project.run(&["resume", "--yes"]);
        stage.expect(&ended, code, &format!("left in {line}, resumed")).and_production().await;
    }
}

/// A put-back that is likely to be cut short by the SIGKILL is not begun.
#[tokio::test]
async fn what_does_not_fit_into_the_grace_is_left() {
    let stage = Stage::of(Release::Good).await;
    configure(&stage, "[stop]\ngrace = \"2s\"");
    let ended = signalled(&stage, "deploy", &[Signal::TERM]).await;
    assert_eq!(ended.code, 8, "{}", ended.err);
    assert!(ended.err.contains("left of the grace"), "{}", ended.err);
    let ended = stage.project.run(&["resume", "--yes"]);
    stage.expect(&ended, 4, "left in deploy for lack of time, resumed").and_production().await;
}

/// The window lasts longer than it may: people are told, and then production is put back by itself.
#[tokio::test]
async fn a_window_that_lasts_too_long_is_put_back() {
    let stage = Stage::of(Release::Good).await;
    stage.project.edit("runbooks/release.toml", "[window]\n", "[window]\nput_back_after = \"3s\"\n");
    stage.project.edit("runbooks/release.toml", "max = \"15m\"", "max = \"2s\"");
    stage.deploy_with("trap \"\" TERM; sleep 30; echo deployed >> deployed");
    let ended = stage.project.run(&["run", "release", "--yes"]);
    for words in ["longer than the window's max", "put_back_after"] {
        assert!(ended.err.contains(words), "{words}: {}", ended.err);
    }
    stage.expect(&ended, 4, "a window that lasted too long").and_production().await;
}

fn configure(stage: &Stage, text: &str) {
    let config = std::fs::read_to_string(stage.project.path("config/production.toml")).expect("a config");
    stage.project.write("config/production.toml", &format!("{config}\n{text}\n"));
}
