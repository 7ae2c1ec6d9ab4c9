//! Runs that are refused because of another one.

use crate::scene::Scene;

#[tokio::test]
async fn of_two_releases_at_once_one_runs() {
    let mut scene = Scene::open("two at once").await;
    scene.project.add_gate("before");
    let first = scene.release_to_gate("before");
    let second = scene.run(&["run", "release", "--yes"], 3);
    second.says("it is held by driver 1 of run").says("wait for that run to end");
    let json = scene.run(&["run", "release", "--yes", "--json"], 3);
    let last: serde_json::Value = serde_json::from_str(json.out.lines().last().unwrap()).unwrap();
    assert_eq!((&last["verdict"], &last["exit"]), (&"refused".into(), &3.into()));
    assert_eq!(last["production"], "untouched", "{last}");
    // Nor is it resumed beside its driver; the exit code says how the run stands: outside the window.
    scene.run(&["resume"], 6).says("it is held by driver 1 of run");
    scene.open_gate("before");
    first.end().expect(0);
    scene.is_new("done").await;
}

#[tokio::test]
async fn a_run_that_is_not_finished_comes_first() {
    let mut scene = Scene::open("one is unfinished").await;
    scene.project.add_gate("before");
    let mut first = scene.release_to_gate("before");
    first.kill();
    let run = scene.run_id();
    let said = format!("backstay resume {run} -e production");
    scene.run(&["run", "release", "--yes"], 3).says("is not finished").says(&said);
    scene.status_says("run", "unfinished");
    assert!(scene.status()["run"]["mends"].to_string().contains(&said));
    // The command that was under way stands before the window: it is run again, and the release goes on.
    scene.open_gate("before");
    scene.run(&["resume", "--yes"], 0);
    scene.is_new("done").await;
}

#[tokio::test]
async fn a_stranger_to_the_store_is_left_alone() {
    let mut scene = Scene::open("traces of a run that the store does not know").await;
    let guard = format!("{}__g_20260101t000000z-abcd_1", scene.project.name);
    let owner = scene.project.name.clone();
    scene.as_superuser("postgres", &format!("CREATE DATABASE \"{guard}\" OWNER {owner}")).await;
    scene.release(3).says(&guard).says("does not know");
    scene.run(&["cleanup", "--yes", "--older-than", "0s"], 0);
    assert!(scene.project.databases().await.contains(&guard), "a guard that may be needed elsewhere");
    scene.as_superuser("postgres", &format!("DROP DATABASE \"{guard}\"")).await;
    scene.is_untouched().await;
}

#[tokio::test]
async fn a_drill_that_was_killed_stands_in_no_releases_way() {
    let mut scene = Scene::open("the side database of a killed verify").await;
    let side = format!("{}__s_20260101t000000z-abcd_1", scene.project.name);
    let owner = scene.project.name.clone();
    scene.as_superuser("postgres", &format!("CREATE DATABASE \"{side}\" OWNER {owner}")).await;
    scene.release(0);
    scene.is_new("done").await;
    scene.run(&["cleanup", "--yes"], 0);
    assert!(!scene.project.databases().await.contains(&side), "cleanup knows it");
}
