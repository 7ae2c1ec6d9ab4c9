//! A put-back that itself fails: exit 5, flag up, both causes said; mended, `resume` ends it with 4.

use crate::common::{cluster, session};
use crate::sabotage::waits;
use crate::scene::Scene;

/// Both causes, and that nothing is hidden.
const SECOND: &str = "Putting production back failed too";

#[tokio::test]
async fn an_undo_that_fails() {
    let mut scene = Scene::open("undo fails").await;
    scene.project.deploys("echo first trouble; exit 3", "echo second trouble; exit 4");
    let ended = scene.release(5);
    ended
        .says("first trouble")
        .says("exit status: 3")
        .says(SECOND)
        .says("second trouble")
        .says("exit status: 4");
    scene.is_in_maintenance();
    scene.run(&["resume"], 5).says("first trouble").says(SECOND).says("second trouble");
    scene.is_in_maintenance();
    scene.project.deploys("", "");
    scene.run(&["resume"], 4).says("first trouble");
    scene.is_put_back().await;
}

#[tokio::test]
async fn an_old_version_that_stays_ill() {
    let mut scene = Scene::open("the old version is ill after the swap").await;
    scene.add_to_config("interval = \"100ms\"\ndeadline = \"1s\"\n");
    scene.project.deploys("echo 503 > health; echo first trouble; exit 3", "");
    scene.release(5).says("first trouble").says(SECOND).says("answered 503");
    scene.is_in_maintenance();
    scene.status_says("fence", "open");
    std::fs::remove_file(scene.project.path("health")).unwrap();
    scene.run(&["resume"], 4);
    scene.is_put_back().await;
}

#[tokio::test]
async fn somebody_who_can_not_be_ended_sits_in_the_database() {
    let mut scene = Scene::open("a superuser came between open and swap").await;
    scene.project.edit("config/production.toml", "[database]\n", "[database]\nclose_timeout = \"1s\"\n");
    scene.project.deploys(&format!("{}; exit 3", waits("deploy")), "");
    let running = scene.release_to_gate("deploy");
    let superuser = session(&cluster().url("postgres", &scene.project.name)).await;
    scene.open_gate("deploy");
    running.end().expect(5).says("exit status: 3").says(SECOND).says("of postgres");
    scene.is_in_maintenance();
    scene.status_says("fence", "open");
    superuser.close().await;
    scene.run(&["resume"], 4);
    scene.is_put_back().await;
}

#[tokio::test]
async fn a_guard_that_somebody_dropped() {
    let mut scene = Scene::open("the guard is gone").await;
    scene.project.deploys(&format!("{}; exit 3", waits("deploy")), "");
    let running = scene.release_to_gate("deploy");
    let guard = scene.companion("g").await;
    scene.as_superuser("postgres", &format!("DROP DATABASE \"{guard}\"")).await;
    scene.open_gate("deploy");
    running
        .end()
        .expect(5)
        .says("exit status: 3")
        .says(SECOND)
        .says("does not exist any more")
        .says("backup");
    scene.is_in_maintenance();
    // The new version is all that is left of production: it is not locked away.
    scene.status_says("fence", "open");
    scene.run(&["resume"], 5).says("does not exist any more");
    scene.is_in_maintenance();
    scene.calm();
}
