//! A release that goes well.

use serde_json::Value;

use crate::common::session;
use crate::scene::Scene;

#[tokio::test]
async fn a_good_release_ends_with_the_new_version_serving() {
    let mut scene = Scene::open("a good release").await;
    let ended = scene.release(0);
    ended.says("done");
    scene.is_new("done").await;
    let project = &scene.project;
    assert_eq!(std::fs::read_to_string(project.path("deployed")).unwrap(), "deployed\n");
    guard_is_kept_and_closed(&scene).await;
    backup_is_verified(&scene);
    let line = std::fs::read_to_string(project.path("RELEASES.md")).unwrap();
    assert!(line.contains(&scene.run_id()) && line.contains("c08085465bad"), "{line}");
    let schema = std::fs::read_to_string(project.path("schema.sql")).unwrap();
    assert!(schema.contains("orders_priority_check"), "{schema}");
    journal_is_complete(&project.journal());
}

async fn guard_is_kept_and_closed(scene: &Scene) {
    let guard = scene.companion("g").await;
    let url = scene.project.info().with_database(&guard);
    let refused = backstay::pg::connect(&url, &Default::default()).await.expect_err("a closed guard");
    let failure = backstay::failure::Failure::from(refused).to_string();
    assert!(failure.contains("not currently accepting connections"), "{failure}");
    scene.status_says("leftover", &guard);
}

fn backup_is_verified(scene: &Scene) {
    let status = scene.status();
    let text = status["last_backup"]["text"].as_str().unwrap_or_default();
    assert!(text.contains(" old, read, "), "{text}");
}

/// Every line was started once and finished, in order, each record behind the one before it.
fn journal_is_complete(journal: &[(std::path::PathBuf, Value)]) {
    let of = |kind: &str| -> Vec<String> {
        let records = journal.iter().filter(|(_, record)| record["kind"] == kind);
        records.map(|(_, record)| record["line"].as_str().unwrap_or_default().to_string()).collect()
    };
    let lines = journal[0].1["lines"].as_array().expect("the checklist").len();
    let all: Vec<String> = (1..=lines).map(|n| n.to_string()).collect();
    assert_eq!((of("started"), of("finished")), (all.clone(), all));
    assert_eq!(journal.last().unwrap().1["kind"], "ended");
    assert_eq!(journal.last().unwrap().1["verdict"], "done");
    for (n, (_, record)) in (1..).zip(journal) {
        assert_eq!(record["number"], n);
    }
}

#[tokio::test]
async fn json_is_one_object_a_line_and_the_last_says_it_all() {
    for (name, sabotage, code, verdict) in
        [("json, good", "true", 0, "done"), ("json, put back", "echo 503 > health; exit 7", 4, "put_back")]
    {
        let mut scene = Scene::open(name).await;
        scene.project.deploys(sabotage, "rm -f health");
        let ended = scene.run(&["run", "release", "--yes", "--json"], code);
        let objects: Vec<Value> =
            ended.out.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
        let last = objects.last().expect("a last object");
        for member in ["verdict", "exit", "run", "production", "cause", "next"] {
            assert!(last.get(member).is_some(), "{name}: no {member} in {last}");
        }
        assert_eq!((&last["verdict"], &last["exit"]), (&verdict.into(), &code.into()), "{name}");
        assert_eq!(last["cause"].is_null(), code == 0, "{name}: {last}");
        assert_eq!(last["run"], scene.run_id(), "{name}");
        if code == 0 { scene.is_new(verdict).await } else { scene.is_put_back().await }
    }
}

#[tokio::test]
async fn a_second_release_follows_the_first_and_cleanup_drops_what_they_kept() {
    let mut scene = Scene::open("two releases, one after the other").await;
    scene.release(0);
    scene.project.add_migration("", "CREATE TABLE later (id bigint);");
    scene.release(0);
    scene.calm();
    let owner = session(&scene.project.url()).await;
    let row = owner.query_one("SELECT count(*) FROM later", &[]).await.expect("the new table");
    assert_eq!(row.get::<_, i64>(0), 0);
    assert_eq!(scene.project.databases().await.len(), 3, "production and two guards");
    scene.run(&["cleanup", "--yes"], 0);
    assert_eq!(scene.project.databases().await.len(), 3, "guards are kept for a day");
    scene.run(&["cleanup", "--yes", "--older-than", "0s"], 0);
    assert_eq!(scene.project.databases().await, [scene.project.name.clone()]);
}
