//! Arguments, and runs that are named wrongly.

use crate::common::project::{Ended, Project};
use crate::refused::{refused, says};

#[tokio::test]
async fn nobody_to_ask_and_no_yes() {
    let project = Project::shop().await;
    refused(&project, &["run", "release"], 2, &["--yes", "terminal"]).await;
    assert!(project.journal().is_empty(), "a run was begun");
}

#[tokio::test]
async fn a_run_that_does_not_exist() {
    let project = Project::shop().await;
    refused(&project, &["resume"], 2, &["no run of production is unfinished"]).await;
    refused(&project, &["resume", "latest"], 2, &["latest", "backstay runs"]).await;
    refused(&project, &["resume", "2026"], 2, &["2026", "backstay runs"]).await;
}

#[tokio::test]
async fn a_run_that_has_ended_and_a_prefix_of_two() {
    let project = Project::shop().await;
    for _ in 0..2 {
        project.run(&["run", "release", "--yes"]).expect(0);
    }
    refused(&project, &["resume", "latest"], 2, &["it has ended", "backstay runs"]).await;
    refused(&project, &["resume", "20"], 2, &["several begin so", "backstay runs"]).await;
    refused(&project, &["resume"], 2, &["no run of production is unfinished"]).await;
    refused(&project, &["runs", "nothing"], 2, &["nothing"]).await;
}

#[tokio::test]
async fn arguments_that_make_no_sense() {
    let project = Project::shop().await;
    for arguments in
        [&["relaese"][..], &["run"], &["run", "release", "--yess"], &["cleanup", "--older-than", "soon"]]
    {
        let ended = project.run(arguments).expect(2);
        assert!(!ended.err.is_empty());
    }
    says(&project.run(&["cleanup", "--older-than", "soon"]), &["soon", "30s"]);
    let nowhere = project.run(&["run", "release", "--yes", "-C", "/no/such/folder"]).expect(2);
    says(&nowhere, &["/no/such/folder"]);
}

/// A machine reads the refusal as well as a person.
#[tokio::test]
async fn refusals_as_json() {
    let project = Project::shop().await;
    project.edit(".env.production", &project.url(), &format!("{}_copy", project.url()));
    let Ended { out, .. } = project.run(&["run", "release", "--yes", "--json"]).expect(3);
    let last: serde_json::Value = serde_json::from_str(out.lines().last().expect("a line")).expect("JSON");
    assert_eq!(last["exit"], 3, "{out}");
    assert_eq!(last["production"], "untouched", "{out}");
}
