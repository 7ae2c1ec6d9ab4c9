//! A server that crashes while it copies a database: the folder that it leaves is seen, and goes by the command that is
//! told.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use backstay::demo::cluster::Cluster;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::common::project::Project;
use crate::common::{pack, session, version};

#[tokio::test]
async fn a_folder_that_no_database_owns_is_told_with_what_removes_it() {
    // Of its own: the crash ends every session of the server.
    let cluster = Cluster::start_from(&pack(), &[]).expect("a cluster");
    let admin = session(&cluster.url("postgres", "postgres")).await;
    admin.batch_execute("CREATE ROLE app LOGIN CREATEDB; ").await.expect("a role");
    admin.batch_execute("CREATE DATABASE app OWNER app").await.expect("a database");
    drop(admin);
    let base = cluster.folder().join("data/base");
    let orphan = crash_in_mid_clone(&cluster, &base).await;
    let project = Project::shop().await;
    let mut url = project.url();
    let mut status = |user: &str| -> Value {
        let next = cluster.url(user, "app");
        project.edit(".env.production", &url, &next);
        url = next;
        serde_json::from_str(&project.run(&["status", "--json"]).expect(0).out).expect("JSON")
    };
    // The application's own role may not know where the server's files are.
    let told = &status("app")["orphaned_files"][0];
    assert_eq!(told["value"]["path"], format!("base/{orphan}"), "{told}");
    assert_eq!(told["value"]["bytes"], Value::Null, "{told}");
    let told = status("postgres")["orphaned_files"].clone();
    let path = base.join(&orphan);
    assert_eq!(told.as_array().map(Vec::len), Some(1), "{told}");
    assert_eq!(told[0]["value"]["path"], path.display().to_string(), "{told}");
    assert!(told[0]["value"]["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{told}");
    let mends = told[0]["mends"].as_str().expect("a command");
    let typed = mends.split("   (").next().expect("a command");
    assert!(Command::new("sh").args(["-c", typed]).status().expect("a shell").success(), "{typed}");
    assert!(!path.exists());
    assert_eq!(status("postgres")["orphaned_files"], Value::Array(Vec::new()));
}

/// Kills the server's process that copies a database, once its folder is there; gives the folder's name.
async fn crash_in_mid_clone(cluster: &Cluster, base: &Path) -> String {
    let source = session(&cluster.url("postgres", "app")).await;
    let tables = "DO $$ BEGIN FOR i IN 1..400 LOOP EXECUTE format('CREATE TABLE t%s (a text PRIMARY KEY)', i); END LOOP; END $$";
    source.batch_execute(tables).await.expect("many files");
    source.close().await;
    let strategy = if version() >= 150_000 { "STRATEGY FILE_COPY" } else { "" };
    let before = folders(base);
    let copier = session(&cluster.url("postgres", "postgres")).await;
    let backend = Pid::from_raw(copier.pid()).expect("a server process");
    let copying = tokio::spawn(async move {
        copier.batch_execute(&format!("CREATE DATABASE copy TEMPLATE app {strategy}")).await
    });
    let deadline = Instant::now() + Duration::from_secs(20);
    let orphan = loop {
        // An empty folder counts for nothing, to the server too.
        let copied = |name: &&String| std::fs::read_dir(base.join(name)).is_ok_and(|files| files.count() > 3);
        if let Some(fresh) = folders(base).difference(&before).find(copied) {
            kill_process(backend, Signal::KILL).expect("a killed server process");
            break fresh.clone();
        }
        assert!(Instant::now() < deadline, "no folder came");
        tokio::time::sleep(Duration::from_micros(200)).await;
    };
    copying.await.expect("a task").expect_err("the copy was complete before the crash");
    while backstay::pg::connect(
        &backstay::pg::ConnInfo::parse(&cluster.url("postgres", "postgres")).expect("a URL"),
        &Default::default(),
    )
    .await
    .is_err()
    {
        assert!(Instant::now() < deadline + Duration::from_secs(20), "the server did not recover");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    orphan
}

fn folders(base: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(base).expect("the server's databases");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}
