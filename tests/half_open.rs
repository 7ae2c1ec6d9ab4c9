//! A driver that dies between the statements of *open the database*: the resume goes on from there.

mod common;

use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use common::project::Project;
use common::{cluster, session};

/// A project whose release was killed once `open the database` was journaled as started, and before its end was.
async fn killed_at_open() -> Project {
    for _ in 0..5 {
        let project = Project::shop().await;
        kill_at_open(&project);
        if project.journal().last().is_some_and(at_open) {
            return project;
        }
    }
    panic!("the line always ended before its driver was killed");
}

fn at_open((_, record): &(PathBuf, serde_json::Value)) -> bool {
    record["kind"] == "started" && record["name"] == "open the database"
}

fn kill_at_open(project: &Project) {
    let mut driver: Child = project.command(&["run", "release", "--yes"]).spawn().expect("a driver");
    while !project.journal().iter().any(at_open) {
        assert!(driver.try_wait().expect("a driver").is_none(), "the release ended before it was killed");
        std::thread::sleep(Duration::from_millis(1));
    }
    driver.kill().expect("a kill");
    driver.wait().expect("an end");
}

/// Brings the database to where the statements of `open` leave it one after the other.
async fn leave_it(project: &Project, renamed: bool) {
    let admin = session(&cluster().url("postgres", "postgres")).await;
    let production = project.url().rsplit('/').next().expect("a name").to_string();
    let databases = project.databases().await;
    let window = databases.iter().find(|name| name.contains("__w_")).cloned();
    let guard = databases.iter().find(|name| name.contains("__g_")).expect("a guard");
    let present = window.unwrap_or_else(|| production.clone());
    let wanted = if renamed { production } else { guard.replace("__g_", "__w_") };
    admin
        .batch_execute(&format!("ALTER DATABASE \"{present}\" ALLOW_CONNECTIONS false"))
        .await
        .expect("closed");
    if present != wanted {
        let rename = format!("ALTER DATABASE \"{present}\" RENAME TO \"{wanted}\"");
        let mut tries = 0;
        while let Err(error) = admin.batch_execute(&rename).await {
            tries += 1;
            assert!(tries < 500, "{error}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn resumed_after_death(renamed: bool) {
    let project = killed_at_open().await;
    leave_it(&project, renamed).await;
    project.run(&["resume"]).expect(0);
    assert!(!project.flag_is_up());
    session(&project.url()).await.batch_execute("SELECT 1").await.expect("production serves");
    assert!(!project.databases().await.iter().any(|name| name.contains("__w_")));
}

#[tokio::test]
async fn dead_before_the_rename() {
    resumed_after_death(false).await;
}

#[tokio::test]
async fn dead_after_the_rename_and_before_anybody_is_let_in() {
    resumed_after_death(true).await;
}
