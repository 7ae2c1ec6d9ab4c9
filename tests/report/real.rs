//! Of a real release, by the real binary.

use std::path::{Path, PathBuf};

use crate::common::project::{Project, SENTINEL};

#[tokio::test]
async fn a_release_and_its_report() {
    let project = Project::shop().await;
    project.run(&["run", "release", "--yes"]).expect(0);
    let said = project.run(&["report", "latest"]).expect(0);
    let file = said.out.trim().to_string();
    assert!(file.starts_with("report-2") && file.ends_with(".html"), "{file}");
    let page = std::fs::read_to_string(project.path(&file)).expect("the page");
    for text in [
        "Done.",
        "Production is as wished.",
        "orders_priority_check",
        "<ins>",
        "Proven restore time",
        "deploy",
    ] {
        assert!(page.contains(text), "no {text:?} in\n{page}");
    }
    assert!(
        page.contains("<table>") && page.contains(&project.app.url()),
        "the health check's latency\n{page}"
    );
    assert!(!page.contains(SENTINEL));

    let piped = project.run(&["report", "--out", "-"]).expect(0);
    assert!(piped.out.starts_with("<!doctype html>") && piped.out.ends_with("</html>\n"));
    let document: serde_json::Value =
        serde_json::from_str(&project.run(&["report", "--json"]).expect(0).out).expect("JSON");
    assert_eq!((&document["outcome"]["exit"], &document["schema"]["schema"]), (&0.into(), &"changed".into()));

    // What can't be read is not told as not there: neither proofs, nor the sign of life of a run without an end.
    for proof in proofs(&project.path("backstay-store/backups")) {
        std::fs::remove_file(&proof).expect("a proof");
        std::os::unix::fs::symlink(&proof, &proof).expect("a link to itself");
    }
    let (end, _) = project.journal().pop().expect("a record");
    let run = end.ancestors().nth(2).expect("the run's folder");
    std::fs::create_dir(run.join("lease.json")).expect("a folder in its place");
    std::fs::remove_file(&end).expect("the end");
    let unread = project.run(&["report", "--out", "-"]).expect(0).out;
    for text in [
        "Proven restore time</dt><dd>not known: its proofs",
        "proofs of backup 2",
        "lease.json can&#39;t be read",
    ] {
        assert!(unread.contains(text), "no {text:?} in\n{unread}");
    }

    let (first, _) = project.journal().into_iter().next().expect("a record");
    std::fs::write(first, "torn").expect("a torn record");
    let damaged = project.run(&["report", "--out", "-"]).expect(0);
    assert!(damaged.out.contains("record 1 can&#39;t be understood"), "{}", damaged.out);

    project.run(&["report", "nothing"]).expect(2);
    project.run(&["report", "--json", "--out", "-"]).expect(2);
    project.run(&["report", "--out", "no/such/folder/x.html"]).expect(3);
}

/// The records of proofs below this folder of backups.
fn proofs(backups: &Path) -> Vec<PathBuf> {
    let all = |folder: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("an entry").path()).collect()
    };
    let objects =
        all(backups).into_iter().flat_map(|environment| all(&environment)).flat_map(|backup| all(&backup));
    let is_proof =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("verified-"));
    let found: Vec<PathBuf> = objects.filter(is_proof).collect();
    assert!(!found.is_empty(), "no proof below {}", backups.display());
    found
}

/// The shipped release's own record step keeps the schema whatever was pending; preview only where something was.
#[tokio::test]
async fn a_release_of_code_alone_says_that_nothing_was_pending() {
    let project = Project::shop().await;
    project.run(&["run", "release", "--yes"]).expect(0);
    project.run(&["run", "release", "--yes"]).expect(0);
    let piped = project.run(&["report", "latest", "--out", "-"]).expect(0).out;
    assert!(piped.contains("Not shown: no migrations were pending."), "{piped}");
}
