//! The throw-away cluster itself.

mod common;

#[tokio::test]
async fn a_cluster_serves_and_leaves_nothing_behind() {
    let cluster = backstay::demo::cluster::Cluster::start(&["work_mem = '5MB'"]).unwrap();
    let session = common::session(&cluster.url("postgres", "postgres")).await;
    let row = session.query_one("SHOW work_mem", &[]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), "5MB");
    let folder = cluster.folder().to_path_buf();
    drop(session);
    drop(cluster);
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_cluster_that_crashed_has_what_was_committed_when_it_starts_again() {
    let cluster = backstay::demo::cluster::Cluster::start(&[]).unwrap();
    let url = cluster.url("postgres", "postgres");
    let session = common::session(&url).await;
    session.batch_execute("CREATE TABLE kept AS SELECT 1 AS id").await.unwrap();
    let open = common::session(&url).await;
    open.batch_execute("BEGIN; INSERT INTO kept VALUES (2)").await.unwrap();
    cluster.crash().unwrap();
    assert!(session.simple_query("SELECT 1").await.is_err(), "a session outlived the crash");
    assert!(cluster.crash().is_err(), "it was stopped twice");
    cluster.start_again().unwrap();
    let session = common::session(&url).await;
    let rows = session.query("SELECT id FROM kept", &[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<i32>>(), [1]);
}
