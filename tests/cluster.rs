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
