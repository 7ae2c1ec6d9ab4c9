//! Failures after the database was opened again, while nobody else wrote.

use crate::scene::Scene;

/// Health checks that give up soon.
const SOON: &str = "interval = \"100ms\"\ndeadline = \"1s\"\n";

#[tokio::test]
async fn a_deploy_that_fails_is_undone_and_put_back() {
    let mut scene = Scene::open("deploy: exit 3").await;
    scene.project.deploys("echo no such image; exit 3", "");
    scene.release(4).says("no such image").says("exit status: 3").says("production was put back");
    scene.is_put_back().await;
    assert_eq!(std::fs::read_to_string(scene.project.path("deployed")).unwrap(), "deployed\nundone\n");

    let mut scene = Scene::open("deploy: never ends").await;
    let name = "name = \"deploy\"\n";
    scene.project.edit("runbooks/release.toml", name, &format!("{name}timeout = \"1s\"\n"));
    scene.project.deploys("echo waiting for the registry; sleep 600", "");
    scene.release(4).says("did not end within 1.0 s").says("waiting for the registry");
    scene.is_put_back().await;
    assert_eq!(std::fs::read_to_string(scene.project.path("deployed")).unwrap(), "deployed\nundone\n");
}

#[tokio::test]
async fn a_new_version_that_is_ill_is_put_back() {
    let mut scene = Scene::open("health: 503").await;
    scene.add_to_config(SOON);
    scene.project.deploys("echo 503 > health", "rm health");
    scene.release(4).says("answered 503, not 200").says("production was put back");
    scene.is_put_back().await;
    scene.status_says("leftover", "a failed database");
}

#[tokio::test]
async fn a_database_that_only_reads_is_no_success() {
    let mut scene = Scene::open("prove: the role was made read-only").await;
    let name = scene.project.name.clone();
    let (deploy, undo) = (
        scene.project.sql(&format!("ALTER ROLE {name} SET default_transaction_read_only = on")),
        scene
            .project
            .sql(&format!("BEGIN READ WRITE; ALTER ROLE {name} RESET default_transaction_read_only; COMMIT")),
    );
    scene.project.deploys(&deploy, &undo);
    scene.release(4).says("read-only transaction");
    scene.is_put_back().await;
}

#[tokio::test]
async fn a_flag_that_can_not_be_cleared_needs_a_person_and_then_goes_on() {
    let mut scene = Scene::open("clear: the flag became a folder").await;
    scene.project.deploys("rm flag; mkdir flag; touch flag/in-the-way", "");
    let ended = scene.release(5);
    ended.says("look at the flag").says("backstay resume");
    assert!(
        !ended.err.contains("--put-back"),
        "the new version is proven, nothing is to be put back: {}",
        ended.err
    );
    assert!(scene.project.path("flag").is_dir());
    assert_eq!(scene.revision().await, crate::scene::NEW);
    scene.status_says("run", "not_put_back");
    scene.status_says("fence", "open");
    scene.status_says("flag", "unknown");
    assert!(scene.status()["run"]["mends"].to_string().contains("backstay resume"));
    scene.run(&["run", "release", "--yes"], 3).says("backstay resume");
    std::fs::remove_dir_all(scene.project.path("flag")).unwrap();
    scene.run(&["resume"], 0);
    scene.is_new("done").await;
    assert!(scene.project.path("RELEASES.md").exists(), "the lines after the window were done");
}

#[tokio::test]
async fn a_record_that_can_not_be_written_leaves_the_new_version_serving() {
    let mut scene = Scene::open("record: the changelog is a folder").await;
    std::fs::create_dir(scene.project.path("RELEASES.md")).unwrap();
    scene.release(7).says("RELEASES.md").says("the new one, serving");
    scene.is_new("changed_but_failing").await;
}

impl Scene {
    /// Adds keys to the health check, the last table of the config.
    pub fn add_to_config(&self, lines: &str) {
        let path = self.project.path("config/production.toml");
        let text = std::fs::read_to_string(path).expect("the config");
        self.project.write("config/production.toml", &format!("{}\n{lines}", text.trim_end()));
    }
}
