//! The server restarts, gently and not, as each line begins; and between two lines.

use crate::clients::{Clients, written};
use crate::common::project::wait_until;
use crate::driver::{Driver, records};
use crate::ground::Ground;

async fn restarted_at(line: &str, mode: &str) {
    let ground = Ground::with(&["fsync = on"]).await;
    let project = &ground.project;
    ground.add_to_config("[window]\non_writes = \"put-back\"");
    project.set_deploy("sleep 0.3", "true");
    let clients = Clients::at(&project.url(), 2);
    clients.write_more(20).await;
    let mut driver = Driver::start(project, &["run", "release", "--yes"]);
    driver.starts(project, line);
    ground.server().control(&["-m", mode, "restart"]);
    let mut ended = driver.ended();
    if matches!(ended.code, 6 | 8) {
        ended = project.run(&["resume", "--yes"]);
    }
    // Outside the window nothing is put back: untouched before it, new and not recorded after it.
    let fits = match line {
        "backup" => matches!(ended.code, 0 | 3),
        "clear the flag" => matches!(ended.code, 0 | 7),
        _ => matches!(ended.code, 0 | 4),
    };
    assert!(fits, "{mode} at {line}: {ended:?}");
    assert!(!project.flag_is_up(), "{mode} at {line}");
    clients.write_more(5).await;
    let seen = clients.stop().await;
    let mut kept = written(&ground.superuser(&project.name).await).await;
    if let Some(failed) = project.databases().await.into_iter().find(|name| name.contains("__f_")) {
        let open = format!("ALTER DATABASE \"{failed}\" ALLOW_CONNECTIONS true");
        ground.superuser("postgres").await.batch_execute(&open).await.expect("opened for a look");
        kept.extend(written(&ground.superuser(&failed).await).await);
    }
    assert!(seen.acknowledged.is_subset(&kept), "{mode} at {line}: acknowledged, and lost");
}

#[tokio::test]
#[ignore = "long: make test-around"]
async fn fast_at_the_edges_of_the_window() {
    for line in ["backup", "close the database", "clear the flag"] {
        restarted_at(line, "fast").await;
    }
}

#[tokio::test]
#[ignore = "long: make test-around"]
async fn immediate_before_anything_changed() {
    for line in ["raise the flag", "clone the guard"] {
        restarted_at(line, "immediate").await;
    }
}

#[tokio::test]
#[ignore = "long: make test-around"]
async fn immediate_once_something_may_have_changed() {
    for line in ["migrate", "open the database", "deploy"] {
        restarted_at(line, "immediate").await;
    }
}

#[tokio::test]
async fn a_server_that_is_away_between_two_lines_is_waited_for() {
    let ground = Ground::with(&[]).await;
    let project = &ground.project;
    // Its line does not need the server; the next ones do.
    project.set_deploy("touch there; while [ ! -e go ]; do sleep 0.02; done", "true");
    let driver = Driver::start(project, &["run", "release", "--yes"]);
    wait_until("the deploy to be under way", || project.path("there").exists());
    ground.server().stop("fast");
    project.write("go", "");
    wait_until("the deploy to end", || {
        let done = |record: &serde_json::Value| record["kind"] == "finished" && record["line"] == "11";
        records(project).iter().any(done)
    });
    ground.server().start();
    driver.ended().expect(0);
    assert!(!project.flag_is_up());
}
