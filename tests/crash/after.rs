//! After the release: what happens to production is seen, told and survives who watches; and the release is recorded.

use std::io::Write;

use rustix::process::Signal;

use crate::commands::notified;
use crate::common::session;
use crate::driver::Driver;
use crate::stage::{Release, Stage};
use crate::{patiently, runs_on};

/// The shipped release with a watch behind it.
fn watched(stage: &Stage, keys: &str) {
    let text = std::fs::read_to_string(stage.project.path("runbooks/release.toml")).expect("a runbook");
    let watch = format!("{text}\n[[after]]\nstep = \"watch\"\nevery = \"100ms\"\nin_a_row = 2\n{keys}\n");
    stage.project.write("runbooks/release.toml", &watch);
}

/// A runbook that does nothing else.
fn only_watching(stage: &Stage, keys: &str) {
    let text = format!("[[after]]\nstep = \"watch\"\nevery = \"100ms\"\nin_a_row = 2\n{keys}\n");
    stage.project.write("runbooks/look.toml", &text);
}

fn append(stage: &Stage, name: &str, text: &str) {
    let file = std::fs::OpenOptions::new().append(true).create(true).open(stage.project.path(name));
    file.expect("a log").write_all(text.as_bytes()).expect("a written log");
}

#[tokio::test]
async fn a_quiet_time_ends_well_with_its_figures() {
    let stage = Stage::of(Release::Good).await;
    watched(&stage, "for = \"1s\"\nrows = true\nlog = { file = \"api.log\", pattern = \"ERROR|Traceback\" }");
    append(&stage, "api.log", "ERROR of the old version\n");
    let ended = Driver::start(&stage.project, &["run", "release", "--yes"]).ended();
    for words in ["ms (lowest/median/highest)", "0 lines of the log", "at most 0 blocked", "rows counted"] {
        assert!(ended.err.contains(words), "{words:?} is missing:\n{}", ended.err);
    }
    let journal = stage.project.journal();
    let figures = journal.iter().rev().find(|(_, record)| record["kind"] == "finished").expect("the watch");
    let facts = &figures.1["facts"];
    assert!(facts["looks"].as_u64() >= Some(3) && facts["row_counts"].as_u64() >= Some(1), "{facts}");
    assert!(
        facts["latency"]["median"].is_u64() && facts["breaches"].as_array().unwrap().is_empty(),
        "{facts}"
    );
    stage.expect(&ended, 0, "a quiet watch").and_production().await;
}

/// All that can go wrong goes wrong at once; the watch goes on to its end, and nothing is put back.
#[tokio::test]
async fn each_breach_is_told_once_and_the_release_ends_with_7() {
    let stage = Stage::of(Release::Good).await;
    let told = notified(&stage);
    watched(
        &stage,
        "for = \"5s\"\nrows = true\nactivity = { longest_query = \"400ms\", blocked = 0, idle_in_transaction = \"400ms\" }\n\
         log = { file = \"api.log\", pattern = \"ERROR|Traceback\", most = \"1/min\" }",
    );
    append(&stage, "api.log", "");
    let mut driver = Driver::start(&stage.project, &["run", "release", "--yes"]);
    driver.starts(&stage.project, "watch");
    let url = stage.project.url();
    let (blocker, waiter) = (session(&url).await, session(&url).await);
    let update = "UPDATE customers SET name = name WHERE id = 1";
    session(&url).await.batch_execute("DELETE FROM order_items").await.expect("deleted rows");
    blocker.batch_execute(&format!("BEGIN; {update}")).await.expect("an open transaction");
    let waits =
        tokio::time::timeout(std::time::Duration::from_millis(200), waiter.batch_execute(update)).await;
    assert!(waits.is_err(), "nobody waits");
    append(&stage, "api.log", "Traceback (most recent call last)\nINFO\nERROR boom\n");
    stage.project.write("version", "broken");
    let ended = driver.ended().expect(7);
    for words in [
        "order_items has 0 rows; it had 200",
        "1 wait for a lock, more than 0, for pid ",
        "has been idle in a transaction for ",
        "has run a statement for ",
        "2 lines of it in 1 m 00 s, more than 1 a minute; the last: ERROR boom",
        "2 looks in a row",
    ] {
        assert!(ended.err.contains(words), "{words:?} is missing:\n{}", ended.err);
    }
    assert!(!ended.err.contains("backstay rollback"), "nobody asked for advice:\n{}", ended.err);
    let breaches = told().iter().filter(|line| line.starts_with("watch_breach production ")).count();
    assert_eq!(breaches, 6, "{:?}", told());
    assert!(!stage.project.flag_is_up(), "users are in");
    assert_eq!(stage.deployed(), ["deployed"]);
}

#[tokio::test]
async fn a_breach_may_end_it_at_once_with_the_way_back() {
    let stage = Stage::of(Release::Good).await;
    let follower = "echo $$ > follower; echo ERROR one; echo ERROR two; sleep 600";
    only_watching(
        &stage,
        &format!(
            "for = \"10m\"\non_breach = \"rollback-advice\"\n\
             log = {{ command = [\"sh\", \"-c\", \"{follower}\"], pattern = \"ERROR\", most = \"1/min\" }}"
        ),
    );
    let ended = Driver::start(&stage.project, &["run", "look", "--yes"]).ended().expect(7);
    assert!(ended.err.contains("the last: ERROR two"), "{}", ended.err);
    let run = stage.project.journal()[0].1["run"].as_str().expect("a run").to_string();
    assert!(ended.err.contains(&format!("backstay rollback {run} -e production")), "{}", ended.err);
    assert!(!runs_on(&stage.project, "follower"), "the follower of the log goes on");
}

/// Stopped in the middle, after a breach: the next driver goes on with what is left, and has not forgotten it.
#[tokio::test]
async fn it_goes_on_where_it_was_stopped() {
    let stage = Stage::of(Release::Good).await;
    only_watching(
        &stage,
        "for = \"3s\"\nhealth = false\nactivity = false\nlag = false\nlog = [\
         { file = \"api.log\", pattern = \"ERROR\", most = \"0/min\" },\
         { command = [\"sh\", \"-c\", \"echo $$ > follower; sleep 600\"], pattern = \"x\" }]",
    );
    append(&stage, "api.log", "");
    let mut driver = Driver::start(&stage.project, &["run", "look", "--yes"]);
    driver.starts(&stage.project, "watch");
    patiently("the follower", || stage.project.path("follower").exists());
    append(&stage, "api.log", "ERROR before the stop\n");
    let runs = stage.project.path("backstay-store/runs");
    patiently("the breach", || {
        let run = std::fs::read_dir(&runs).into_iter().flatten().flatten().next();
        run.is_some_and(|run| run.path().join("watch/1-1-001.json").exists())
    });
    driver.signal(Signal::INT);
    driver.ended().expect(6);
    patiently("the follower's end", || !runs_on(&stage.project, "follower"));
    let ended = stage.project.run(&["resume", "--yes"]).expect(7);
    assert!(ended.err.contains("before it was stopped"), "{}", ended.err);
    assert!(ended.err.contains("the last: ERROR before the stop"), "{}", ended.err);
}

/// Runs git in the project, as somebody whose settings are not ours.
fn git(stage: &Stage, arguments: &[&str]) -> String {
    let mut command = std::process::Command::new("git");
    command.args(["-c", "user.name=x", "-c", "user.email=x@example.org"]).args(arguments);
    let output = command.current_dir(stage.project.path(".")).output().expect("git");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_string()
}

/// A row on the store and a tag; another release of the same day can't have its tag, and serves all the same.
#[tokio::test]
async fn a_release_is_recorded_on_the_store_and_in_git() {
    let stage = Stage::of(Release::Good).await;
    let project = &stage.project;
    project.write("runbooks/note.toml", "[[after]]\nstep = \"record\"\ntag = \"{environment}/{date}\"\n");
    project.write(".gitignore", "*\n");
    git(&stage, &["init", "-q"]);
    git(&stage, &["add", "-f", ".gitignore"]);
    git(&stage, &["commit", "-qm", "one"]);
    project.run(&["run", "note", "--yes"]).expect(0);
    let run = project.journal()[0].1["run"].as_str().expect("a run").to_string();
    let date = format!("{}-{}-{}", &run[..4], &run[4..6], &run[6..8]);
    let commit = git(&stage, &["rev-parse", &format!("production/{date}")]);
    assert_eq!(commit, git(&stage, &["rev-parse", "HEAD"]));
    let row = project.path(&format!("backstay-store/releases/production/{run}.json"));
    let row: serde_json::Value = serde_json::from_slice(&std::fs::read(row).expect("a row")).expect("JSON");
    assert_eq!((&row["run"], &row["tag"]), (&run.into(), &format!("production/{date}").into()), "{row}");

    git(&stage, &["commit", "-q", "--allow-empty", "-m", "two"]);
    let ended = project.run(&["run", "note", "--yes"]).expect(7);
    assert!(ended.err.contains(&format!("it is there, on commit {}", &commit[..12])), "{}", ended.err);
    let run = project.journal()[0].1["run"].as_str().expect("a run").to_string();
    let row = project.path(&format!("backstay-store/releases/production/{run}.json"));
    assert!(!std::fs::read_to_string(row).expect("a row").contains("tag"), "no tag was set");
}

#[tokio::test]
async fn a_migration_that_is_in_no_commit_is_told() {
    let stage = Stage::of(Release::Good).await;
    git(&stage, &["init", "-q"]);
    git(&stage, &["commit", "-q", "--allow-empty", "-m", "without the migrations"]);
    let ended = stage.project.run(&["run", "release", "--yes"]).expect(0);
    assert!(ended.err.contains("not committed, and released all the same: migrations/"), "{}", ended.err);
}
