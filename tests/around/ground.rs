//! A server of the test's own, which it may stop, and the shop on it.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use backstay::demo::cluster::Cluster;
use backstay::pg::Session;

use crate::common::project::{Ended, Project};
use crate::common::{pack, session};

/// The migration that fails, behind the good ones.
pub const BAD: &str = "-- revision: bad000000001\n-- revises: c08085465bad\n-- A migration that fails half-way\n\n\
     -- upgrade\nALTER TABLE orders ADD COLUMN half integer;\nSELECT 1 / 0;\n\
     -- downgrade\nALTER TABLE orders DROP COLUMN half;\n";

/// The shop on a server of its own.
pub struct Ground {
    pub cluster: Cluster,
    pub project: Project,
}

impl Ground {
    /// With these lines in `postgresql.conf`.
    pub async fn with(settings: &[&str]) -> Self {
        let cluster = Cluster::start_from(&pack(), settings).expect("a server");
        let project = Project::shop_on(cluster.port()).await;
        Self { cluster, project }
    }

    /// Adds tables to the environment.
    pub fn add_to_config(&self, text: &str) {
        add_to_config(&self.project, text);
    }

    /// Replaces the connection of the environment.
    pub fn connect_by(&self, lines: &str) {
        self.project.edit("config/production.toml", "url = \"${DATABASE_URL}\"", lines);
    }

    pub fn break_the_migration(&self) {
        self.project.write("migrations/bad.sql", BAD);
    }

    pub async fn superuser(&self, database: &str) -> Session {
        session(&self.cluster.url("postgres", database)).await
    }

    pub fn server(&self) -> Server {
        Server::of(&self.cluster)
    }
}

/// Adds tables to the environment of a project.
pub fn add_to_config(project: &Project, text: &str) {
    let config = std::fs::read_to_string(project.path("config/production.toml")).expect("the config");
    project.write("config/production.toml", &format!("{config}\n{text}\n"));
}

/// A server by its data directory: to be stopped and started.
#[derive(Debug, Clone)]
pub struct Server {
    pub data: PathBuf,
    binaries: PathBuf,
}

impl Server {
    pub fn of(cluster: &Cluster) -> Self {
        Self::at(cluster.folder().join("data"), cluster.binaries())
    }

    pub fn at(data: PathBuf, binaries: &Path) -> Self {
        Self { data, binaries: binaries.to_path_buf() }
    }

    /// `pg_ctl`, as the server's user.
    #[track_caller]
    pub fn control(&self, arguments: &[&str]) {
        let log = self.data.with_extension("log");
        let mut command = self.program("pg_ctl");
        command.args(["-s", "-w", "-t", "60", "-l"]).arg(log).arg("-D").arg(&self.data).args(arguments);
        // Its server would hold a pipe of ours open.
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.expect("pg_ctl").success(), "pg_ctl {arguments:?} on {}", self.data.display());
    }

    pub fn stop(&self, mode: &str) {
        self.control(&["-m", mode, "stop"]);
    }

    pub fn start(&self) {
        self.control(&["start"]);
    }

    /// A program of PostgreSQL's, as the user whom the data belong to.
    pub fn program(&self, name: &str) -> Command {
        let owner = std::fs::metadata(self.data.parent().expect("a folder")).expect("the server's folder");
        let mut command = Command::new(self.binaries.join(name));
        command.current_dir("/").env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8");
        if rustix::process::geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        command
    }

    /// Whom the server runs as, where that is not us.
    pub fn user(&self) -> Option<(u32, u32)> {
        let owner = std::fs::metadata(self.data.parent().expect("a folder")).expect("the server's folder");
        rustix::process::geteuid().is_root().then_some((owner.uid(), owner.gid()))
    }
}

/// The last object of a `--json` run.
pub fn last_word(ended: &Ended) -> serde_json::Value {
    serde_json::from_str(ended.out.lines().last().expect("a last line")).expect("JSON")
}

/// A folder for a server's user, which a shell removes after it has run `stop`, as soon as we are gone.
pub fn kept_until_we_are_gone(folder: &Path, user: Option<(u32, u32)>, stop: &str) -> std::process::Child {
    let script = format!("read -r _; {stop}; rm -rf -- '{}'", folder.display());
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &script]).current_dir("/").process_group(0);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some((uid, gid)) = user {
        shell.uid(uid).gid(gid);
    }
    shell.spawn().expect("a shell")
}

/// A fresh folder that belongs to that user.
pub fn folder_of(user: Option<(u32, u32)>, prefix: &str) -> PathBuf {
    let folder = tempfile::Builder::new().prefix(prefix).tempdir().expect("a folder").keep();
    if let Some((uid, gid)) = user {
        std::os::unix::fs::chown(&folder, Some(uid), Some(gid)).expect("handed over");
    }
    folder
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}
