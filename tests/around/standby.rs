//! A real physical replica: `pg_basebackup -R`, started on a port of its own.

use std::path::PathBuf;
use std::process::Child;

use backstay::demo::cluster::Cluster;
use backstay::pg::Session;

use crate::common::session;
use crate::ground::{Server, folder_of, free_port, kept_until_we_are_gone};

/// A running standby; gone when dropped, and when the test process dies.
pub struct Standby {
    pub server: Server,
    pub port: u16,
    folder: PathBuf,
    watchdog: Child,
}

impl Standby {
    /// Follows `primary`, called `name` in its `pg_stat_replication`. Returns once it streams.
    pub async fn of(primary: &Cluster, name: &str) -> Self {
        let leader = Server::of(primary);
        let folder = folder_of(leader.user(), "backstay-standby-");
        let server = Server::at(folder.join("data"), primary.binaries());
        let stop = format!(
            "'{}' -D '{}' -m immediate stop",
            primary.binaries().join("pg_ctl").display(),
            server.data.display()
        );
        let watchdog = kept_until_we_are_gone(&folder, leader.user(), &stop);
        let port = free_port();
        let standby = Self { server, port, folder, watchdog };
        let copied = standby
            .server
            .program("pg_basebackup")
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &primary.port().to_string(),
                "-U",
                "postgres",
                "-R",
                "-X",
                "stream",
            ])
            .args(["-c", "fast", "--no-sync", "-D"])
            .arg(&standby.server.data)
            .output()
            .expect("pg_basebackup");
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        let mut settings =
            std::fs::read_to_string(standby.server.data.join("postgresql.conf")).expect("settings");
        settings += &format!(
            "\nport = {port}\nunix_socket_directories = '{}'\ncluster_name = '{name}'\n",
            standby.folder.display()
        );
        std::fs::write(standby.server.data.join("postgresql.conf"), settings).expect("settings");
        standby.server.start();
        let watcher = session(&primary.url("postgres", "postgres")).await;
        let streams = format!(
            "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND application_name = '{name}'"
        );
        until(&watcher, &streams, "1").await;
        standby
    }

    pub fn url(&self, user: &str, database: &str) -> String {
        format!("postgresql://{user}@127.0.0.1:{}/{database}", self.port)
    }

    pub async fn session(&self, user: &str, database: &str) -> Session {
        session(&self.url(user, database)).await
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Waits until the query's one value, as text, is this one.
pub async fn until(session: &Session, query: &str, wanted: &str) {
    let asked = format!("SELECT ({query})::text");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let row = session.query_one(&asked, &[]).await.expect("an answer");
        let found = row.get::<_, Option<String>>(0).unwrap_or_default();
        if found == wanted {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{query}: {found}, and not {wanted}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
