//! Starts and stops the demo's application, as systemd would on a real host.
//!
//! The listening socket stays here and is handed to each version of the application (as systemd's socket
//! activation does), so requests wait while one version takes over from another. The release's deploy
//! command asks for a version over a socket in the demo's folder.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::app;

/// A bound on the start and on the end of one version.
const PATIENCE: Duration = Duration::from_secs(5);

/// What does not change from version to version.
#[derive(Debug, Clone)]
pub struct Host {
    /// The program, which is this one.
    pub program: PathBuf,
    /// The database's URL.
    pub database: String,
    /// The maintenance flag.
    pub flag: PathBuf,
    /// The application's standard error goes there.
    pub log: PathBuf,
}

/// Keeps one version of the application running; ends it when dropped.
#[derive(Debug)]
pub struct Supervisor {
    inner: Arc<Inner>,
    socket: PathBuf,
    control: JoinHandle<()>,
}

#[derive(Debug)]
struct Inner {
    host: Host,
    listener: TcpListener,
    /// At most one process; it is killed when this is dropped.
    running: Mutex<Option<Child>>,
}

impl Supervisor {
    /// Begins to listen; no version runs yet. `folder` gets the control socket.
    ///
    /// # Errors
    /// The system's.
    pub fn new(host: Host, folder: &Path) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let socket = folder.join("supervisor");
        let asked = UnixListener::bind(&socket)?;
        let inner = Arc::new(Inner { host, listener, running: Mutex::default() });
        let control = tokio::spawn(control(asked, inner.clone()));
        Ok(Self { inner, socket, control })
    }

    /// Where customers go.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.inner.listener.local_addr()
    }

    /// Where the deploy command asks.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Ends the running version and starts `version`; idempotent.
    ///
    /// # Errors
    /// If it does not come up; then none runs.
    pub async fn deploy(&self, version: u32) -> io::Result<()> {
        self.inner.deploy(version).await
    }

    /// Ends the running version and waits until it has ended.
    pub async fn stop(&self) {
        if let Some(running) = self.inner.running.lock().await.take() {
            end(running).await;
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.control.abort();
    }
}

impl Inner {
    async fn deploy(&self, version: u32) -> io::Result<()> {
        let mut running = self.running.lock().await;
        if let Some(old) = running.take() {
            end(old).await;
        }
        let mut child = self.start(version)?;
        let ready = async {
            let pipe = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
            let mut line = String::new();
            BufReader::new(pipe).read_line(&mut line).await?;
            if line.trim() == app::READY { Ok(()) } else { Err(self.last_words()) }
        };
        tokio::time::timeout(PATIENCE, ready)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        *running = Some(child);
        Ok(())
    }

    /// What a version that ended at once said.
    fn last_words(&self) -> io::Error {
        let log = std::fs::read_to_string(&self.host.log).unwrap_or_default();
        io::Error::other(log.trim().lines().next_back().map_or("it ended at once".to_string(), String::from))
    }

    /// A process group of its own: Ctrl-C in the terminal is for the demo, which then ends us.
    fn start(&self, version: u32) -> io::Result<Child> {
        let listener = OwnedFd::from(self.listener.try_clone()?);
        let log = std::fs::OpenOptions::new().append(true).create(true).open(&self.host.log)?;
        Command::new(&self.host.program)
            .args(["demo-app", "serve", &version.to_string(), "--parent", &std::process::id().to_string()])
            .arg("--flag")
            .arg(&self.host.flag)
            .env("DATABASE_URL", &self.host.database)
            .current_dir("/")
            .stdin(Stdio::from(listener))
            .stdout(Stdio::piped())
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }
}

async fn end(mut child: Child) {
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id as i32)) {
        let _ = kill_process(pid, Signal::TERM);
    }
    if tokio::time::timeout(PATIENCE, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

async fn control(asked: UnixListener, inner: Arc<Inner>) {
    while let Ok((stream, _)) = asked.accept().await {
        let (reader, mut writer) = stream.into_split();
        let mut line = String::new();
        if BufReader::new(reader).read_line(&mut line).await.is_err() {
            continue;
        }
        let answer = match line.trim().parse() {
            Ok(version) => match inner.deploy(version).await {
                Ok(()) => "ok\n".to_string(),
                Err(error) => format!("version {version} did not start: {error}\n"),
            },
            Err(_) => format!("{:?} is no version\n", line.trim()),
        };
        let _ = writer.write_all(answer.as_bytes()).await;
    }
}

/// Asks the supervisor at `socket` for `version`: what a release's deploy command does.
///
/// # Errors
/// If the supervisor is gone, or the version did not start.
pub async fn ask(socket: &Path, version: u32) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(format!("{version}\n").as_bytes()).await?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).await?;
    match answer.trim() {
        "ok" => Ok(()),
        "" => Err(io::Error::other("the supervisor is gone")),
        why => Err(io::Error::other(why)),
    }
}
