//! Servers with a `pg_hba.conf` and certificates of a test's own.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use backstay::demo::cluster::Cluster;
use backstay::failure::Failure;
use backstay::pg::{ConnInfo, ConnectError, Session, SessionOptions, connect};

/// A cluster of its own.
pub fn start() -> Cluster {
    Cluster::start(&["log_min_messages = fatal"]).expect("a cluster")
}

pub async fn admin(cluster: &Cluster) -> Session {
    // By the socket, which every pg_hba.conf of these tests leaves open.
    let text =
        format!("host={} port={} user=postgres dbname=postgres", cluster.folder().display(), cluster.port());
    connect(&info(&text), &SessionOptions::default()).await.expect("the superuser's session")
}

pub fn info(text: &str) -> ConnInfo {
    ConnInfo::parse(text).expect("a connection text that is understood")
}

pub async fn try_to(text: &str) -> Result<Session, ConnectError> {
    connect(&info(text), &SessionOptions::default()).await
}

/// The refusal that `text` meets, and what a person reads of it.
pub async fn refused(text: &str) -> (ConnectError, String) {
    let error = try_to(text).await.expect_err(text);
    let failure = Failure::from(try_to(text).await.expect_err(text));
    (error, format!("{failure}\n{}", failure.next.join("\n")))
}

/// Replaces pg_hba.conf (the socket stays open for all) and waits until it is in force.
pub async fn set_hba(cluster: &Cluster, lines: &str) {
    let path = cluster.folder().join("data/pg_hba.conf");
    std::fs::write(&path, format!("local all all trust\n{lines}\n")).expect("pg_hba.conf");
    reload(cluster).await;
}

/// Sets a parameter for the whole server.
pub async fn alter(cluster: &Cluster, setting: &str) {
    admin(cluster).await.batch_execute(&format!("ALTER SYSTEM SET {setting}")).await.expect(setting);
}

/// Has the server read its files again, and waits for it.
pub async fn reload(cluster: &Cluster) {
    let session = admin(cluster).await;
    let loaded = "SELECT pg_conf_load_time()::text";
    let before: String = session.query_one(loaded, &[]).await.expect("a time").get(0);
    session.batch_execute("SELECT pg_reload_conf()").await.expect("a reload");
    until("the reload", async || {
        let now: String = admin(cluster).await.query_one(loaded, &[]).await.expect("a time").get(0);
        now != before
    })
    .await;
}

/// Waits up to ten seconds for `condition`.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) -> Duration {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        if condition().await {
            return start.elapsed();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what} did not come");
}

/// Writes a file that the server's user owns and nobody else may read.
pub fn write_for_server(cluster: &Cluster, name: &str, text: &str) -> PathBuf {
    let data = cluster.folder().join("data");
    let path = data.join(name);
    write_private(&path, text);
    let owner = std::fs::metadata(&data).expect("the data folder");
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(owner.uid()), Some(owner.gid())).expect("chown");
    }
    path
}

pub fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a file");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
}
