//! SIGKILL after each record of a rollback, by each way, and resume: production ends as the rollback would have left it, or
//! as it was before it where a command was under way, for nobody knows what that did.

use crate::driver::{Driver, records};
use crate::longer;
use crate::rollback::{NEW, OLD, Scene};

/// The usual test takes every ninth record, each way from another one on.
const STRIDE: usize = 9;

/// Kills one rollback after record `number`; false if it has fewer.
async fn kill_and_resume(by: &str, number: u32) -> bool {
    let scene = Scene::released().await;
    let mut driver = Driver::start(&scene.project, &["rollback", "--by", by, "--yes"]);
    scene.waits_for_a_run();
    if !driver.reaches(number) {
        return false;
    }
    driver.kill();
    let journal = records(&scene.project);
    let story = format!("by {by}, killed after {}", journal.last().expect("a record"));
    let line = journal.iter().rfind(|record| record["line"].is_string());
    let under_way = line.filter(|record| record["kind"] == "started");
    let is_command = |record: &&serde_json::Value| {
        ["stop the application", "start the old code"].iter().any(|name| record["name"] == **name)
    };
    let turned_back = under_way.filter(is_command).is_some();
    match journal.last().expect("a record")["kind"] == "ended" {
        true => scene.project.run(&["resume", "latest", "--yes"]).expect(2),
        false => {
            let ended = scene.project.run(&["resume", "--yes"]);
            let code = if turned_back { 4 } else { 0 };
            assert_eq!(ended.code, code, "{story}\n{}", ended.err);
            ended
        }
    };
    let wanted = match (turned_back, by) {
        (true, _) => (NEW.to_string(), 3),
        (false, "downgrade") => (OLD.to_string(), 3),
        (false, _) => (OLD.to_string(), 0),
    };
    assert_eq!(scene.serves().await, wanted, "{story}");
    scene.is_calm().await;
    if !turned_back && by != "downgrade" {
        let counts: Vec<_> = scene.ledger_counts();
        let written = |table: &str| counts.iter().find(|(name, ..)| name == table).map(|(_, rows, _)| *rows);
        assert_eq!((written("customers"), written("orders")), (Some(Some(2)), Some(Some(1))), "{story}");
    }
    true
}

async fn each(by: &str, first: u32) {
    let (first, stride) = if longer().is_some() { (1, 1) } else { (first, STRIDE) };
    let mut number = first;
    while kill_and_resume(by, number).await {
        number += stride as u32;
    }
    assert!(number > 9, "a rollback has more records than {number}");
}

#[tokio::test]
async fn a_rollback_by_guard_killed() {
    each("guard", 4).await;
}

#[tokio::test]
async fn a_rollback_from_the_backup_killed() {
    each("backup", 7).await;
}

#[tokio::test]
async fn a_rollback_by_downgrade_killed() {
    each("downgrade", 10).await;
}
