//! Of a real release, by the real binary.

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

    let (first, _) = project.journal().into_iter().next().expect("a record");
    std::fs::write(first, "torn").expect("a torn record");
    let damaged = project.run(&["report", "--out", "-"]).expect(0);
    assert!(damaged.out.contains("record 1 can&#39;t be understood"), "{}", damaged.out);

    project.run(&["report", "nothing"]).expect(2);
    project.run(&["report", "--json", "--out", "-"]).expect(2);
    project.run(&["report", "--out", "no/such/folder/x.html"]).expect(3);
}
