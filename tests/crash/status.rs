//! What `status` says of a run that died, of a flag, a fence and databases without one; and that what it tells to type
//! mends them.

use std::process::Command;

use serde_json::{Value, json};

use crate::common::project::{Ended, Project, SENTINEL, wait_until};
use crate::common::{cluster, session};
use crate::driver::Driver;
use crate::stage::{Release, Stage};

const WAITS: &str = "while [ ! -e go ]; do sleep 0.02; done; rm go; echo deployed >> deployed";

fn status(project: &Project) -> Value {
    serde_json::from_str(&project.run(&["status", "--json"]).expect(0).out).expect("JSON")
}

/// Types the command that a fact tells, as a person would.
fn type_it(project: &Project, fact: &Value) -> Ended {
    let typed = fact["mends"].as_str().unwrap_or_else(|| panic!("nothing mends {fact}"));
    if let Some(arguments) = typed.strip_prefix("backstay ") {
        let arguments: Vec<&str> = arguments.split(' ').chain(["--yes"]).collect();
        let asks = matches!(arguments[0], "resume" | "cleanup");
        return project.run(if asks { &arguments } else { &arguments[..arguments.len() - 1] });
    }
    let output = Command::new("sh").args(["-c", typed]).env("PGPASSWORD", SENTINEL).output();
    Ended::of(output.expect("a shell"))
}

fn says(fact: &Value, words: &[&str]) {
    let text = fact["text"].as_str().unwrap_or_default();
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
}

async fn as_superuser(statements: &[String]) {
    let admin = session(&cluster().url("postgres", "postgres")).await;
    for statement in statements {
        admin.batch_execute(statement).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }
    admin.close().await;
}

#[tokio::test]
async fn who_drives_a_run_and_that_nobody_does() {
    let stage = Stage::of(Release::Good).await;
    let project = &stage.project;
    stage.deploy_with(WAITS);
    let mut driver = Driver::start(project, &["run", "release", "--yes"]);
    driver.starts(project, "deploy");
    let during = status(project);
    says(&during["run"], &["driven by", "(pid "]);
    assert_eq!(during["run"]["value"]["driver"]["alive"], true, "{during}");
    says(&during["flag"], &["UP for", "under way"]);
    for fact in ["run", "flag"] {
        assert_eq!(during[fact]["mends"], Value::Null, "{during}");
    }
    let run = during["run"]["value"]["run"].as_str().expect("a run").to_string();
    driver.kill_group();
    assert_eq!(during["revision"]["value"][0]["name"], "main", "the database is open: {during}");
    let resume = format!("backstay resume {run} -e production");
    let mut after = Value::Null;
    // The server needs a moment to see that the driver is gone.
    wait_until("the lock to be free", || {
        after = status(project);
        after["run"]["value"]["driver"]["alive"] == false
    });
    says(&after["run"], &["nobody drives it: last was"]);
    says(&after["flag"], &["is not finished"]);
    for fact in ["run", "flag"] {
        assert_eq!(after[fact]["mends"], resume, "{after}");
    }
    assert_eq!(after["leftover"][0]["mends"], resume, "the guard: {after}");
    let ended = type_it(project, &after["run"]);
    stage.expect(&ended, 4, "the driver was killed in deploy").and_production().await;
}

#[tokio::test]
async fn a_flag_that_is_up_for_longer_than_its_window() {
    let stage = Stage::of(Release::Good).await;
    let project = &stage.project;
    project.edit("runbooks/release.toml", "max = \"15m\"", "max = \"1s\"");
    stage.deploy_with(WAITS);
    let mut driver = Driver::start(project, &["run", "release", "--yes"]);
    driver.starts(project, "deploy");
    driver.kill_group();
    let mut told = Value::Null;
    wait_until("a second to pass", || {
        told = status(project)["flag"].clone();
        told["value"]["over"] == true
    });
    says(&told, &["longer than the 1.0 s of its window"]);
    type_it(project, &told).expect(4);
}

#[tokio::test]
async fn flags_of_no_run() {
    let project = Project::shop().await;
    project.run(&["maintenance", "on", "--unguarded"]).expect(0);
    let by_hand = status(&project)["flag"].clone();
    says(&by_hand, &["UP for", "raised by hand"]);
    type_it(&project, &by_hand).expect(0);
    assert_eq!(status(&project)["flag"]["value"], json!({ "up": false }));
    project.write("flag", "run=20250101t000000z-aaaaa\nepoch=1\nsince=2025-01-01T00:00:00Z\n");
    let stranger = status(&project)["flag"].clone();
    says(&stranger, &["UP for", "20250101t000000z-aaaaa", "does not know"]);
    type_it(&project, &stranger).expect(0);
    assert!(!project.flag_is_up());
}

#[tokio::test]
async fn a_fence_of_a_run_that_the_store_does_not_know() {
    let project = Project::shop().await;
    let (name, run) = (&project.name, "20250101t000000z-aaaaa");
    let (window, guard) = (format!("{name}__w_{run}_1"), format!("{name}__g_{run}_1"));
    as_superuser(&[
        format!("CREATE DATABASE \"{guard}\" TEMPLATE \"{name}\" OWNER \"{name}\""),
        format!("ALTER DATABASE \"{guard}\" ALLOW_CONNECTIONS false"),
        format!("ALTER DATABASE \"{name}\" RENAME TO \"{window}\""),
    ])
    .await;
    let told = status(&project);
    says(&told["fence"], &["CLOSED", &window, &guard, "does not know"]);
    // What may be production is not dropped by anybody.
    project.run(&["cleanup", "--run", run, "--yes"]).expect(3);
    type_it(&project, &told["fence"]).expect(0);
    let told = status(&project);
    says(&told["fence"], &["two databases claim", &window]);
    // Either may be the one with the users' data: neither is dropped, whoever asks for it.
    project.run(&["cleanup", "--run", run, "--yes"]).expect(3);
    project.run(&["run", "release", "--yes"]).expect(3);
    type_it(&project, &told["fence"]).expect(0);
    let told = status(&project);
    assert_eq!((&told["fence"]["text"], &told["leftover"]), (&json!("open"), &json!([])), "{told}");
    assert_eq!(project.databases().await, vec![name.clone()]);
}

#[tokio::test]
async fn a_database_with_the_name_of_one_that_is_fenced() {
    let stage = Stage::of(Release::Good).await;
    let project = &stage.project;
    let mut driver = Driver::start(project, &["run", "release", "--yes"]);
    driver.starts(project, "migrate");
    driver.kill_group();
    // As the start script of an application does that finds none.
    as_superuser(&[format!("CREATE DATABASE \"{0}\" OWNER \"{0}\"", project.name)]).await;
    let mut told = Value::Null;
    crate::patiently("the lock to be free", || {
        told = status(project);
        told["run"]["value"]["driver"]["alive"] == false
    });
    says(&told["fence"], &["CLOSED", "another database has the name"]);
    type_it(project, &told["fence"]).expect(0);
    let told = status(project);
    let ended = type_it(project, &told["fence"]);
    assert!(matches!(ended.code, 0 | 4), "{ended:?}");
    stage.expect(&ended, ended.code, "killed in migrate, and its name was taken").and_production().await;
}

#[tokio::test]
async fn a_guard_of_a_run_that_the_store_does_not_know() {
    let project = Project::shop().await;
    let (name, run) = (&project.name, "20250101t000000z-aaaaa");
    let guard = format!("{name}__g_{run}_1");
    as_superuser(&[format!("CREATE DATABASE \"{guard}\" OWNER \"{name}\"")]).await;
    project.run(&["run", "release", "--yes"]).expect(3);
    let told = status(&project)["leftover"].clone();
    says(&told[0], &[&guard, "does not know"]);
    type_it(&project, &told[0]).expect(0);
    assert_eq!(project.databases().await, vec![name.clone()]);
}

#[tokio::test]
async fn a_database_that_lets_no_sessions_in() {
    let project = Project::shop().await;
    as_superuser(&[format!("ALTER DATABASE \"{}\" ALLOW_CONNECTIONS false", project.name)]).await;
    let told = status(&project)["fence"].clone();
    says(&told, &["CLOSED", "lets no sessions in"]);
    type_it(&project, &told).expect(0);
    assert_eq!(status(&project)["fence"]["text"], "open");
}

#[tokio::test]
async fn invalid_databases() {
    let project = Project::shop().await;
    let broken = format!("{}'s \"other\"", project.name);
    let quoted = broken.replace('"', "\"\"");
    as_superuser(&[
        format!("CREATE DATABASE \"{quoted}\" OWNER \"{}\"", project.name),
        format!("UPDATE pg_database SET datconnlimit = -2 WHERE datname = '{}'", broken.replace('\'', "''")),
    ])
    .await;
    let told = status(&project)["invalid"].clone();
    assert_eq!(told.as_array().map(Vec::len), Some(1), "{told}");
    says(&told[0], &[&broken, "interrupted CREATE or DROP DATABASE"]);
    type_it(&project, &told[0]).expect(0);
    assert_eq!(status(&project)["invalid"], json!([]));
}

#[tokio::test]
async fn what_is_out_of_reach_hides_nothing_else() {
    let stage = Stage::of(Release::Good).await;
    let project = &stage.project;
    project.run(&["run", "release", "--yes"]).expect(0);
    project.run(&["maintenance", "on", "--unguarded"]).expect(0);
    let guarded = status(project);
    assert!(!guarded["leftover"].as_array().expect("leftovers").is_empty(), "{guarded}");
    let (store, away) = (project.path("backstay-store"), project.path("away"));
    std::fs::rename(&store, &away).expect("the store moved away");
    std::fs::write(&store, "").expect("a file in its place");
    let told = status(project);
    says(&told["run"], &["unknown", "store"]);
    says(&told["flag"], &["UP for", "raised by hand"]);
    says(&told["fence"], &["open"]);
    says(&told["leftover"][0], &["a guard", "can't be looked up"]);
    says(&told["revision"], &["main:"]);
    std::fs::remove_file(&store).expect("the file removed");
    std::fs::rename(&away, &store).expect("the store is back");
    project.edit(".env.production", &format!(":{}/", cluster().port()), ":1/");
    let told = status(project);
    says(&told["run"], &["done"]);
    says(&told["flag"], &["UP for", "raised by hand"]);
    says(&told["fence"], &["unknown", "connect"]);
    says(&told["last_backup"], &["old"]);
}

/// No database has production's name for the length of a window; who is told to make one has two.
#[tokio::test]
async fn nobody_is_told_to_create_a_database_that_is_only_closed() {
    let stage = Stage::of(Release::Good).await;
    let project = &stage.project;
    let mut driver = Driver::start(project, &["run", "release", "--yes"]);
    driver.starts(project, "migrate");
    driver.kill();
    let told = status(project);
    says(&told["fence"], &["CLOSED"]);
    says(&told["revision"], &["not to be seen while the database is closed"]);
    assert!(!told.to_string().contains("createdb"), "{told}");
    let ended = project.run(&["migrate", "status"]).expect(3);
    assert!(ended.err.contains("backstay status"), "{}", ended.err);
    let ended = project.run(&["resume", "--yes"]);
    stage.expect(&ended, 0, "killed in migrate").and_production().await;
}
