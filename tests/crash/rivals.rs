//! More than one driver at once: one drives, the others are told who does.

use rustix::process::Signal;

use crate::common::project::{Project, wait_until};
use crate::common::{cluster, session};
use crate::driver::{Driver, records};
use crate::stage::{Release, Stage};

/// A deploy that waits for the file `go`: what a test does meanwhile, it does inside the window.
const WAITS: &str = "touch waiting; while [ ! -e go ]; do sleep 0.02; done; rm go; echo deployed >> deployed";

async fn in_its_deploy(stage: &Stage) -> Driver {
    stage.deploy_with(WAITS);
    let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    driver.starts(&stage.project, "deploy");
    // `started` is journaled before the program is: only now is there something to outlive its driver.
    wait_until("the deploy", || stage.project.path("waiting").exists());
    driver
}

/// A driver that sleeps for longer than its lease, and of which nobody takes anything, goes on where it was.
#[tokio::test]
async fn a_driver_that_was_asleep_and_not_missed_goes_on() {
    let stage = Stage::of(Release::Good).await;
    lease(&stage, "100ms", "400ms");
    let mut driver = in_its_deploy(&stage).await;
    driver.signal(Signal::STOP);
    std::thread::sleep(std::time::Duration::from_millis(900));
    driver.signal(Signal::CONT);
    // Long enough for the watch over the lock to find out.
    std::thread::sleep(std::time::Duration::from_millis(500));
    stage.project.write("go", "");
    stage.expect(&driver.ended(), 0, "asleep in deploy").and_production().await;
}

/// Whoever ends the sessions of a living driver does not end the run: the lock is had again on a new connection.
#[tokio::test]
async fn a_lost_lock_is_had_again_while_a_command_works() {
    let stage = Stage::of(Release::Good).await;
    lease(&stage, "100ms", "10s");
    let driver = in_its_deploy(&stage).await;
    end_sessions_of(&stage.project.name).await;
    let admin = session(&cluster().url("postgres", "postgres")).await;
    let query = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'backstay % 1 lock' AND usename = $1";
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while admin.query_one(query, &[&stage.project.name]).await.expect("sessions").get::<_, i64>(0) == 0 {
        assert!(std::time::Instant::now() < deadline, "nobody took the lock again");
    }
    stage.project.write("go", "");
    stage.expect(&driver.ended(), 0, "its sessions were ended in deploy").and_production().await;
}

/// The lock was lost, and a rival had it before its owner could have it again: the owner stops, and ends what it started.
#[tokio::test]
async fn a_driver_whose_lock_a_rival_has_stops_at_once() {
    let stage = Stage::of(Release::Good).await;
    lease(&stage, "100ms", "2s");
    let mut driver = in_its_deploy(&stage).await;
    driver.signal(Signal::STOP);
    end_sessions_of(&stage.project.name).await;
    let rival = Driver::start(&stage.project, &["resume", "--yes"]);
    let resumed = rival.ended();
    let resumed = stage.expect(&resumed, 4, "a rival that found the lock free");
    driver.signal(Signal::CONT);
    let woken = driver.ended();
    assert!(matches!(woken.code, 6 | 8) && woken.err.contains("another driver"), "{woken:?}");
    stage.project.write("go", "");
    resumed.and_production().await;
}

/// A driver that can't have its lock again ends what it started, also what left its process group: somebody on
/// another machine, who can't see it, may drive by then.
#[tokio::test]
async fn a_driver_that_lost_its_lock_leaves_nothing_running() {
    let stage = Stage::of(Release::Good).await;
    let project = &stage.project;
    lease(&stage, "100ms", "1s");
    stage.deploy_with(
        "setsid sh -c \"echo \\$\\$ > orphan; touch waiting; while [ ! -e go ]; do sleep 0.02; done\" & wait",
    );
    let mut driver = Driver::start(project, &["run", "release", "--yes"]);
    driver.starts(project, "deploy");
    wait_until("the deploy", || project.path("waiting").exists());
    let admin = session(&cluster().url("postgres", "postgres")).await;
    let let_in = async |word| {
        let change = format!("ALTER ROLE {} {word}", project.name);
        admin.batch_execute(&change).await.expect("a changed role");
    };
    let_in("NOLOGIN").await;
    end_sessions_of(&project.name).await;
    let ended = driver.ended();
    assert_eq!(ended.code, 8, "{}", ended.err);
    assert!(!crate::runs_on(project, "orphan"), "what the deploy started goes on");
    let_in("LOGIN").await;
    let ended = project.run(&["resume", "--yes"]);
    stage.expect(&ended, 4, "the lock was lost in deploy").and_production().await;
}

fn lease(stage: &Stage, heartbeat: &str, expires: &str) {
    let config = std::fs::read_to_string(stage.project.path("config/production.toml")).expect("a config");
    let lease = format!("\n[lease]\nheartbeat = \"{heartbeat}\"\nexpires = \"{expires}\"\n");
    stage.project.write("config/production.toml", &format!("{config}{lease}"));
}

pub async fn end_sessions_of(role: &str) {
    let query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1";
    let admin = session(&cluster().url("postgres", "postgres")).await;
    admin.execute(query, &[&role]).await.expect("ended sessions");
}

fn refused_by_a_living_driver(project: &Project) {
    let began = std::time::Instant::now();
    let before = records(project).len();
    // In maintenance, and a resume is what goes on: the same code as that of a driver that died here.
    let ended = project.run(&["resume", "--yes"]).expect(8);
    assert!(ended.err.contains("it is held by driver 1 of run"), "{}", ended.err);
    assert!(ended.err.contains("server process"), "{}", ended.err);
    assert!(began.elapsed().as_secs() < 15, "a person waited {:?} for the refusal", began.elapsed());
    assert_eq!(records(project).len(), before, "a refused resume wrote into the journal");
}

#[tokio::test]
async fn a_resume_beside_a_living_driver_is_refused() {
    let stage = Stage::of(Release::Good).await;
    let driver = in_its_deploy(&stage).await;
    refused_by_a_living_driver(&stage.project);
    let another = stage.project.run(&["run", "release", "--yes"]).expect(3);
    assert!(another.err.contains("held by driver 1 of run"), "{}", another.err);
    let cleanup = stage.project.run(&["cleanup", "--yes", "--older-than", "0s"]).expect(3);
    assert!(cleanup.err.contains("held by"), "{}", cleanup.err);
    stage.project.write("go", "");
    stage.expect(&driver.ended(), 0, "the first driver").and_production().await;
}

/// A machine that sleeps: its driver holds the lock and gives no sign of life. Another one takes over, and it wakes up.
#[tokio::test]
async fn a_driver_that_wakes_up_after_a_takeover_touches_nothing() {
    let stage = Stage::of(Release::Good).await;
    lease(&stage, "100ms", "1s");
    let mut driver = in_its_deploy(&stage).await;
    driver.signal(Signal::STOP);
    let ended = stage.project.run(&["resume", "--yes"]);
    assert!(ended.err.contains("gives no sign of life"), "{}", ended.err);
    let resumed = stage.expect(&ended, 4, "a takeover from a stopped driver");
    stage.project.write("go", "");
    driver.signal(Signal::CONT);
    let woken = driver.ended();
    assert!(matches!(woken.code, 6 | 8), "{woken:?}");
    assert!(woken.err.contains("another driver"), "{}", woken.err);
    resumed.and_production().await;
}

#[tokio::test]
async fn of_two_resumes_at_once_one_wins() {
    let stage = Stage::of(Release::Good).await;
    for line in ["backup", "migrate", "open the database"] {
        stage.reset().await;
        let mut first = Driver::start(&stage.project, &["run", "release", "--yes"]);
        first.starts(&stage.project, line);
        first.kill();
        let rivals = [(); 2].map(|()| Driver::start(&stage.project, &["resume", "latest", "--yes"]));
        let mut ended = rivals.map(Driver::ended);
        ended.sort_by_key(|ended| ended.code);
        let [winner, loser] = &ended;
        let told = loser.err.contains("held by") || loser.err.contains("it has ended");
        assert!(matches!(loser.code, 2 | 6 | 8) && told, "{line}: {loser:?}");
        stage.expect(winner, 0, &format!("two resumes after a death in {line}")).and_production().await;
        let epochs = records(&stage.project).iter().filter(|record| record["kind"] == "took_over").count();
        assert_eq!(epochs, 1, "{line}: the loser took over too");
    }
}

/// A run goes by object ids: with another server or database in the config they would mean something else.
#[tokio::test]
async fn a_resume_on_another_database_is_refused() {
    let stage = Stage::of(Release::Good).await;
    let other = Project::shop().await;
    let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    driver.starts(&stage.project, "verify");
    driver.kill();
    let env = std::fs::read_to_string(stage.project.path(".env.production")).expect("the env file");
    stage.project.write(".env.production", &env.replace(&stage.project.url(), &other.url()));
    let ended = stage.project.run(&["resume", "--yes"]).expect(8);
    assert!(ended.err.contains(&format!("it is about database {}", stage.project.name)), "{}", ended.err);
    stage.project.write(".env.production", &env);
    let ended = stage.project.run(&["resume", "--yes"]);
    stage.expect(&ended, 0, "the config was brought back").and_production().await;
}

/// A driver dies while it opens the database. It is still closed, so the fence gets the next driver's name, as at any
/// other line: the journal alone would not know.
#[tokio::test]
async fn a_fence_that_was_about_to_fall_gets_the_next_drivers_name() {
    let stage = Stage::of(Release::Good).await;
    let project = &stage.project;
    let mut driver = Driver::start(project, &["run", "release", "--yes"]);
    driver.starts(project, "migrate");
    let fenced = project.databases().await.into_iter().find(|name| name.contains("__w_")).expect("a fence");
    let mut admin = session(&cluster().url("postgres", "postgres")).await;
    let transaction = admin.transaction().await.expect("a transaction");
    let held = format!("ALTER DATABASE \"{fenced}\" CONNECTION LIMIT 50");
    transaction.batch_execute(&held).await.expect("nobody else changes it now");
    driver.starts(project, "open the database");
    driver.kill();
    transaction.rollback().await.expect("as it was");
    let ended = project.run(&["resume", "--yes", "-v"]);
    let next = fenced.strip_suffix("_1").expect("of the first driver").to_string() + "_2";
    // Before the probe, which would give it that name too.
    assert!(ended.err.contains(&format!("the database was called {next} ")), "{}", ended.err);
    stage.expect(&ended, 0, "killed while it opened the database").and_production().await;
}
