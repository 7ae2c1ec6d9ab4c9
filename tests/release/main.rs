//! Releases end to end: the real binary on a real PostgreSQL, as an owner without superuser rights.

#[path = "../common/mod.rs"]
mod common;

use common::project::Project;

#[tokio::test]
async fn a_good_release_ends_with_the_new_version_serving() {
    let project = Project::shop().await;
    let ended = project.run(&["run", "release", "--yes"]).expect(0);
    assert!(ended.err.contains("done"), "{}", ended.err);
    let (schema, _) = project.state().await;
    assert!(schema.contains("c08085465bad") || !schema.is_empty());
    assert!(!project.flag_is_up());
    assert_eq!(std::fs::read_to_string(project.path("deployed")).unwrap(), "deployed\n");
}
