//! A throw-away PostgreSQL cluster, for the demo and for every test.
//!
//! The server refuses to run as root, so root runs it as an unprivileged user. A watchdog, a shell that
//! reads from a pipe of ours, stops the server and removes its files as soon as the pipe closes:
//! when [`Cluster`] is dropped, and also when this process is killed.

use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The superuser of the cluster.
pub const SUPERUSER: &str = "postgres";

/// A running server on a free port of 127.0.0.1 (trust authentication, no fsync).
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
    port: u16,
    binaries: PathBuf,
    /// Whom the server runs as, where that is not us.
    user: Option<(u32, u32)>,
    watchdog: Child,
}

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No `initdb` anywhere.
    #[error("find PostgreSQL's server programs (initdb, pg_ctl); `make postgres` installs them")]
    NoServer,
    /// The system refused.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A program of PostgreSQL failed.
    #[error("run {program}: {output}")]
    Program {
        /// Which.
        program: String,
        /// What it printed.
        output: String,
    },
}

impl Cluster {
    /// Makes a cluster and starts it; blocks for about two seconds.
    ///
    /// `settings` are lines for `postgresql.conf`.
    ///
    /// # Errors
    /// If the programs are missing or one of them fails; then nothing is left behind.
    pub fn start(settings: &[&str]) -> Result<Self, ClusterError> {
        Self::make(None, None, settings)
    }

    /// As [`Cluster::start`], with the server programs in `binaries`, of whatever version.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn start_with(binaries: &Path, settings: &[&str]) -> Result<Self, ClusterError> {
        Self::make(Some(binaries), None, settings)
    }

    /// As [`Cluster::start`], from a packed data directory at `pack`, which the first call makes: unpacking takes a
    /// fifth of what `initdb` takes. For tests, which start a server each.
    ///
    /// # Errors
    /// As [`Cluster::start`]. A crash leaves the whole pack or none.
    pub fn start_from(pack: &Path, settings: &[&str]) -> Result<Self, ClusterError> {
        Self::make(None, Some(pack), settings)
    }

    fn make(binaries: Option<&Path>, pack: Option<&Path>, settings: &[&str]) -> Result<Self, ClusterError> {
        let binaries =
            binaries.map(Path::to_path_buf).or_else(find_binaries).ok_or(ClusterError::NoServer)?;
        let folder = tempfile::Builder::new()
            .prefix("backstay-pg-")
            .tempdir()
            .map_err(|source| ClusterError::Io { what: "make a temporary folder".into(), source })?;
        let user = unprivileged_user();
        if let Some((uid, gid)) = user {
            std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid)).map_err(|source| {
                ClusterError::Io { what: "hand over the temporary folder".into(), source }
            })?;
        }
        let path = folder.path().to_path_buf();
        let data = path.join("data");
        let watchdog = watch(&binaries.join("pg_ctl"), &data, &path, user)?;
        // From here the watchdog removes the folder, whatever happens to us.
        let mut cluster = Cluster { folder: folder.keep(), port: 0, binaries, user, watchdog };
        match pack {
            Some(pack) if pack.exists() => unpack(pack, &path, user)?,
            _ => run(cluster
                .program("initdb")
                .args(["--no-sync", "-A", "trust", "-E", "UTF8", "-U", SUPERUSER, "-D"])
                .arg(&data))?,
        }
        if let Some(missing) = pack.filter(|pack| !pack.exists()) {
            pack_to(missing, &path)?;
        }
        cluster.port = free_port()?;
        let mut conf = format!(
            "\nlisten_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{}'\nfsync = off\n\
             max_connections = 200\nlog_min_messages = fatal\n",
            cluster.port,
            path.display()
        );
        for line in settings {
            conf.push_str(line);
            conf.push('\n');
        }
        append(&data.join("postgresql.conf"), &conf)?;
        cluster.start_again()?;
        Ok(cluster)
    }

    /// Stops the server as a crash does: nothing is flushed, every session is cut, and the next start recovers
    /// from the WAL (`pg_ctl stop -m immediate`). Blocks for about a tenth of a second.
    ///
    /// # Errors
    /// If there is no server to be stopped.
    pub fn crash(&self) -> Result<(), ClusterError> {
        run(self.pg_ctl().args(["-m", "immediate", "stop"]))
    }

    /// Starts the server after [`Cluster::crash`], on the same port; returns once it lets sessions in.
    ///
    /// # Errors
    /// If it does not start within a minute; `log` in [`Cluster::folder`] says why.
    pub fn start_again(&self) -> Result<(), ClusterError> {
        run(self.pg_ctl().arg("-l").arg(self.folder.join("log")).arg("start"))
    }

    fn pg_ctl(&self) -> Command {
        let mut command = self.program("pg_ctl");
        command.args(["-s", "-w", "-t", "60", "-D"]).arg(self.folder.join("data"));
        command
    }

    /// A program of PostgreSQL's, as the server's user.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.binaries.join(name));
        command.current_dir(&self.folder).env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8");
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Where the server listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of the server's programs: `pg_dump`, `psql`, `pg_ctl`.
    pub fn binaries(&self) -> &Path {
        &self.binaries
    }

    /// The cluster's own folder; holds `data` and `log`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A URL for `user` on `database`.
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("postgresql://{user}@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
        // The server's user empties the folder, but only we may remove it where the parent is not theirs.
        let _ = std::fs::remove_dir(&self.folder);
    }
}

/// Starts the watchdog in a process group of its own, so that Ctrl-C in the terminal does not reach it.
fn watch(pg_ctl: &Path, data: &Path, folder: &Path, user: Option<(u32, u32)>) -> Result<Child, ClusterError> {
    // Removed again and again: whatever was killed together with us may still write for a moment.
    let script = r#"read -r _; "$1" -s -D "$2" -m immediate -w stop >/dev/null 2>&1
        for _ in 1 2 3 4 5; do rm -rf -- "$3" 2>/dev/null; [ -z "$(ls -A "$3" 2>/dev/null)" ] && exit 0; sleep 0.2; done"#;
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script, "backstay-watchdog"]).arg(pg_ctl).arg(data).arg(folder);
    shell.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    if let Some((uid, gid)) = user {
        shell.uid(uid).gid(gid);
    }
    shell.spawn().map_err(|source| ClusterError::Io { what: "start the cluster's watchdog".into(), source })
}

fn run(command: &mut Command) -> Result<(), ClusterError> {
    let program = command.get_program().to_string_lossy().into_owned();
    // pg_ctl's server inherits our pipes and would hold them open for ever: a file ends with the program.
    let mut output =
        tempfile::tempfile().map_err(|source| ClusterError::Io { what: format!("run {program}"), source })?;
    let errors =
        output.try_clone().map_err(|source| ClusterError::Io { what: format!("run {program}"), source })?;
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors)
        .status()
        .map_err(|source| ClusterError::Io { what: format!("run {program}"), source })?;
    if status.success() {
        return Ok(());
    }
    let mut text = String::new();
    let _ = io::Seek::rewind(&mut output);
    let _ = io::Read::read_to_string(&mut output, &mut text);
    Err(ClusterError::Program { program, output: text.trim().to_string() })
}

/// Unpacks a data directory into `folder`, as the server's user.
fn unpack(pack: &Path, folder: &Path, user: Option<(u32, u32)>) -> Result<(), ClusterError> {
    let failed = |source| ClusterError::Io { what: format!("unpack {}", pack.display()), source };
    let mut tar = Command::new("tar");
    // Read by us and handed over as a stream: the server's user may not get to where it lies.
    tar.arg("-xf").arg("-").current_dir(folder).stdin(std::fs::File::open(pack).map_err(failed)?);
    if let Some((uid, gid)) = user {
        tar.uid(uid).gid(gid);
    }
    let output = tar.output().map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    Err(ClusterError::Program {
        program: "tar".into(),
        output: String::from_utf8_lossy(&output.stderr).trim().to_string(),
    })
}

/// Packs the data directory in `folder`; appears whole, and whoever comes second changes nothing.
fn pack_to(pack: &Path, folder: &Path) -> Result<(), ClusterError> {
    let failed = |source| ClusterError::Io { what: format!("pack {}", pack.display()), source };
    let parent = pack.parent().unwrap_or(Path::new("."));
    let temporary = tempfile::NamedTempFile::new_in(parent).map_err(failed)?;
    run(Command::new("tar").arg("-cf").arg(temporary.path()).arg("-C").arg(folder).arg("data"))?;
    temporary.persist(pack).map(drop).map_err(|error| failed(error.error))
}

fn append(path: &Path, text: &str) -> Result<(), ClusterError> {
    std::fs::OpenOptions::new()
        .append(true)
        .open(path)
        .and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()))
        .map_err(|source| ClusterError::Io { what: format!("write {}", path.display()), source })
}

fn free_port() -> Result<u16, ClusterError> {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|source| ClusterError::Io { what: "find a free port".into(), source })
}

/// Whom the server runs as: nobody else if we are not root, else `postgres`, else `nobody`.
fn unprivileged_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &str| {
        passwd.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            (fields.first() == Some(&name))
                .then(|| Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?)))?
        })
    };
    find("postgres").or_else(|| find("nobody")).or(Some((65534, 65534)))
}

/// The newest of `/usr/lib/postgresql/*/bin`, or wherever `initdb` stands in `PATH`.
fn find_binaries() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, folder)| folder.join("initdb").is_file())
        .collect();
    versions.sort();
    let packaged = versions.pop().map(|(_, folder)| folder);
    packaged.or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path)
            .find(|folder| folder.join("initdb").is_file() && folder.join("pg_ctl").is_file())
    })
}
