//! Runbooks other than the shipped release.

use crate::scene::Scene;

#[tokio::test]
async fn the_guard_may_be_a_backup() {
    let backup = |scene: &Scene| {
        scene.project.edit("runbooks/release.toml", "guard = \"clone\"", "guard = \"backup\"");
    };
    let mut scene = Scene::open("guard = backup, good").await;
    backup(&scene);
    scene.release(0).says("rows restored and compared");
    scene.is_new("done").await;
    scene.status_says("leftover", "a guard");

    let mut scene = Scene::open("guard = backup, put back").await;
    backup(&scene);
    scene.project.deploys("exit 3", "");
    scene.release(4);
    scene.is_put_back().await;
}

#[tokio::test]
async fn a_runbook_without_a_window_touches_nothing() {
    let mut scene = Scene::open("no window").await;
    let text = "name = \"nightly\"\n\n[[before]]\nstep = \"preflight\"\n\n[[before]]\nstep = \"backup\"\nverify = \"restore\"\n\n\
                [[after]]\nstep = \"record\"\nchangelog = \"BACKUPS.md\"\n";
    scene.project.write("runbooks/nightly.toml", text);
    scene.run(&["run", "nightly"], 0).says("restored in").says("and compared");
    assert!(scene.project.path("BACKUPS.md").exists());
    scene.status_says("run", "done");
    scene.is_untouched().await;
}

#[tokio::test]
async fn a_first_deploy_needs_no_healthy_application_before() {
    let first = |scene: &Scene| {
        scene.project.edit("runbooks/release.toml", "[window]\n", "[window]\nfirst_deploy = true\n");
        scene.project.app.answer(503);
    };
    let mut scene = Scene::open("first deploy, good").await;
    first(&scene);
    scene.project.deploys("echo 200 > health", "");
    scene.release(0);
    scene.is_new("done").await;

    let mut scene = Scene::open("first deploy, put back").await;
    first(&scene);
    scene.project.deploys("exit 3", "");
    scene.release(4).says("no earlier application to ask");
    scene.is_put_back().await;
}

/// What the shipped runbook asks.
const ANSWERS: &str = "\"Are on-call and support told?\" = true
\"Does the status page announce the maintenance?\" = true
\"Does the status page say that it is over?\" = true
";

#[tokio::test]
async fn the_maintenance_window_is_guarded_too() {
    let maintenance = |scene: &Scene, script: &str| {
        scene.project.write("maintain.sh", &format!("set -e\n{script}\n"));
        let path = scene.project.path(".env.production");
        let text = std::fs::read_to_string(path).unwrap();
        scene.project.write(".env.production", &format!("{text}MAINTENANCE='sh maintain.sh'\n"));
        scene.project.write("answers.toml", ANSWERS);
    };
    let run = ["run", "maintenance-window", "--yes", "--answers", "answers.toml"];
    let mut scene = Scene::open("maintenance window, good").await;
    maintenance(&scene, &scene.project.sql("REINDEX TABLE orders"));
    scene.run(&run, 0);
    scene.is_serving_old("done").await;

    let mut scene = Scene::open("maintenance window, put back").await;
    maintenance(&scene, &format!("{}; exit 1", scene.project.sql("DELETE FROM order_items")));
    scene.run(&run, 4);
    scene.is_put_back().await;

    let mut scene = Scene::open("maintenance window, rows lost").await;
    maintenance(&scene, &scene.project.sql("DELETE FROM order_items"));
    scene.run(&run, 4).says("order_items has 0 rows; it had 200");
    scene.is_put_back().await;
}
