//! A person stops a run: the first signal ends it cleanly, the second at once; the exit code says where.

use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::project::{Ended, wait_until};
use crate::common::{cluster, session};
use crate::driver::Driver;
use crate::stage::{Release, Stage};

/// Starts a release, sends the signals when `line` has started, and gives how it ended.
async fn signalled(stage: &Stage, line: &str, signals: &[Signal]) -> Ended {
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
    wait_until("the build", || stage.project.path("built").exists());
    driver.signal(Signal::INT);
    let ended = driver.ended();
    assert_eq!(ended.code, 6, "{}", ended.err);
    stage.project.run(&["resume"]).expect(0);
}

/// An ssh session that is cut: nobody is there to be asked, and nobody kills the run.
#[tokio::test]
async fn a_terminal_that_goes_away_does_not_leave_production_closed() {
    let stage = Stage::of(Release::Good).await;
    let run = stage.project.command(&[]);
    let line = format!("exec '{}' run release --yes", run.get_program().display());
    let mut terminal = Command::new("script");
    terminal.args(["-qfec", &line, "/dev/null"]).current_dir(stage.project.path("."));
    for (name, _) in run.get_envs().filter(|(_, value)| value.is_none()) {
        terminal.env_remove(name);
    }
    let mut terminal = Driver::spawn(terminal, stage.project.path("backstay-store/runs"));
    terminal.starts(&stage.project, "migrate");
    // SIGKILL to the terminal, not to what runs in it.
    terminal.kill();
    wait_until("the run to end", || stage.has_ended());
    let ended = Ended { code: 4, out: String::new(), err: stage.last_record() };
    // Its last record is not the last thing that it does.
    wait_until("nobody to drive it", || !stage.project.run(&["status"]).out.contains("driven by"));
    stage.expect(&ended, 4, "the terminal went away in migrate").and_production().await;
}

/// A guard may take hours: a stop does not wait for it.
#[tokio::test]
async fn a_guard_is_cut_short() {
    let stage = Stage::of(Release::Good).await;
    stage.reset().await;
    let admin = session(&cluster().url("postgres", "postgres")).await;
    let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    driver.starts(&stage.project, "clone the guard");
    // The server's process that makes it stands still.
    let query =
        "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'backstay % 1 lock' AND usename = $1";
    let pid: i32 = admin.query_one(query, &[&stage.project.name]).await.expect("the lock's session").get(0);
    let process = Pid::from_raw(pid).expect("a process");
    kill_process(process, Signal::STOP).expect("stopped");
    driver.signal(Signal::TERM);
    // The run has heard it, and asked the server to cancel.
    std::thread::sleep(Duration::from_millis(300));
    kill_process(process, Signal::CONT).expect("continued");
    let ended = driver.ended();
    assert!(!ended.err.contains("clone the guard: done"), "{}", ended.err);
    stage.expect(&ended, 4, "SIGTERM in the guard").and_production().await;
}

/// Somebody has changed the database and not committed: that is waited for only so long, and he is named.
#[tokio::test]
async fn who_holds_a_lock_on_the_database_does_not_keep_it_closed() {
    let stage = Stage::of(Release::Good).await;
    stage.reset().await;
    let name = &stage.project.name;
    stage.project.edit("config/production.toml", "[database]", "[database]\nclose_timeout = \"1s\"");
    let mut admin = session(&cluster().url("postgres", "postgres")).await;
    let transaction = admin.transaction().await.expect("a transaction");
    let changed = format!("COMMENT ON DATABASE \"{name}\" IS 'a note'");
    transaction.batch_execute(&changed).await.expect("not committed");
    let ended = stage.project.run(&["run", "release", "--yes"]);
    assert!(ended.err.contains("changed it in a transaction that is still open"), "{}", ended.err);
    transaction.rollback().await.expect("as it was");
    stage.expect(&ended, 4, "the database is locked").and_production().await;
}

/// A resume that watches a driver is stopped like anything else, and the driver goes on.
#[tokio::test]
async fn a_resume_that_watches_is_stopped() {
    let stage = Stage::of(Release::Good).await;
    stage.reset().await;
    stage.deploy_with("touch there; while [ ! -e go ]; do sleep 0.02; done; echo deployed >> deployed");
    let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    driver.starts(&stage.project, "deploy");
    driver.signal(Signal::STOP);
    let mut resume = Driver::start(&stage.project, &["resume", "--yes"]);
    std::thread::sleep(Duration::from_millis(700));
    resume.signal(Signal::INT);
    let ended = resume.ended();
    assert_eq!(ended.code, 8, "{}", ended.err);
    assert!(ended.err.contains("stopped by a signal"), "{}", ended.err);
    driver.signal(Signal::CONT);
    stage.project.write("go", "");
    stage.expect(&driver.ended(), 0, "a resume watched it and went away").and_production().await;
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
