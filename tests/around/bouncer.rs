//! The real PgBouncer, in transaction mode, before a server of ours.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::ground::{Ground, folder_of, free_port, kept_until_we_are_gone};

/// A running PgBouncer; gone when dropped, and when the test process dies.
pub struct Bouncer {
    pub port: u16,
    folder: PathBuf,
    watchdog: Child,
}

impl Bouncer {
    /// Before the ground's server; `settings` are lines for its own file.
    pub fn before(ground: &Ground, settings: &str) -> Self {
        let server = ground.server();
        let folder = folder_of(server.user(), "backstay-bouncer-");
        let port = free_port();
        let (place, role) = (folder.display(), &ground.project.name);
        let users = format!("\"postgres\" \"\"\n\"{role}\" \"\"\n");
        std::fs::write(folder.join("users.txt"), users).expect("users");
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {place}/users.txt\npool_mode = transaction\n\
             admin_users = postgres\nlogfile = {place}/log\npidfile = {place}/pid\n{settings}\n",
            ground.cluster.port()
        );
        std::fs::write(folder.join("pgbouncer.ini"), text).expect("its settings");
        let watchdog = kept_until_we_are_gone(&folder, server.user(), &format!("kill $(cat {place}/pid)"));
        let bouncer = Self { port, folder, watchdog };
        let mut command = std::process::Command::new(program());
        command.arg("-d").arg(bouncer.folder.join("pgbouncer.ini"));
        if let Some((uid, gid)) = server.user() {
            std::os::unix::process::CommandExt::uid(&mut command, uid);
            std::os::unix::process::CommandExt::gid(&mut command, gid);
        }
        let started = command.output().expect("PgBouncer; `make pgbouncer` installs it");
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "PgBouncer does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        bouncer
    }

    /// A URL through it.
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("postgresql://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// `[database.pooler]` with PgBouncer's own words; `timeout` bounds them.
    pub fn commands(&self, database: &str, timeout: &str) -> String {
        let say = |word: &str| {
            format!(
                "[\"psql\", \"-XAqt\", \"-d\", \"{}\", \"-c\", \"{word} {database}\"]",
                self.url("postgres", "pgbouncer")
            )
        };
        format!(
            "[database.pooler]\npause = {}\nresume = {}\ntimeout = \"{timeout}\"",
            say("PAUSE"),
            say("RESUME")
        )
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Debian puts it where only root's PATH looks.
fn program() -> PathBuf {
    let debian = PathBuf::from("/usr/sbin/pgbouncer");
    if debian.exists() { debian } else { "pgbouncer".into() }
}
