//! PostgreSQL's own client programs: found, of the right version, and run without a secret among their
//! arguments.

mod locate;

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, Command};

pub use locate::{find, find_in};

use super::conninfo::ConnInfo;
use crate::failure::Failure;

/// How much of a program's standard error is kept for an error: its end.
const STDERR_KEPT: usize = 8 * 1024;

/// Where Debian and others keep all public root certificates in one file.
const SYSTEM_ROOTS: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// A client program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// Its name: `pg_dump`.
    pub program: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its version as a number: 150018 for 15.18.
    pub version: u32,
}

/// What went wrong with a program; worded to follow "could not".
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It is nowhere.
    #[error("find {program} (looked in {looked})")]
    NotFound {
        /// Which.
        program: String,
        /// Where it was looked for.
        looked: String,
        /// The server's major version, whose package would do.
        major: u32,
    },
    /// It is there, and older than the server.
    #[error(
        "use {} (version {}): the server is version {}, and older programs can't read newer servers",
        path.display(), version_text(*found), version_text(*server)
    )]
    TooOld {
        /// Which.
        program: String,
        /// The newest that was found.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The server's.
        server: u32,
    },
    /// It can't be started, or its streams broke.
    #[error("run {program}: {source}")]
    Io {
        /// Which.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It ended with an error.
    #[error("run {program} ({status}): {stderr}")]
    Failed {
        /// Which.
        program: String,
        /// Its exit code or signal, in words.
        status: String,
        /// The end of what it wrote to standard error, secrets masked.
        stderr: String,
    },
}

impl From<ToolError> for Failure {
    fn from(error: ToolError) -> Self {
        match error {
            ToolError::NotFound { program, looked, major } => Failure::refused(format!("find {program}"))
                .because_of(format!("it is not in {looked}"))
                .then(format!("Install it: apt-get install postgresql-client-{major}")),
            ToolError::TooOld { program, path, found, server } => {
                let (found, major) = (version_text(found), server / 10_000);
                Failure::refused(format!("use {program} on a server of version {}", version_text(server)))
                    .because_of(format!("{} is version {found}, older than the server", path.display()))
                    .then(format!("Install a newer one: apt-get install postgresql-client-{major}"))
            }
            ToolError::Io { program, source } => Failure::failed(format!("run {program}")).caused_by(&source),
            ToolError::Failed { program, status, stderr } => {
                let cause = if stderr.is_empty() { status } else { format!("{status}: {stderr}") };
                Failure::failed(format!("run {program}")).because_of(cause)
            }
        }
    }
}

/// `150018` as `15.18`.
pub fn version_text(number: u32) -> String {
    if number >= 100_000 {
        format!("{}.{}", number / 10_000, number % 10_000)
    } else {
        format!("{}.{}.{}", number / 10_000, number / 100 % 100, number % 100)
    }
}

impl Tool {
    /// A command of this program on the database of `info`; the caller adds arguments.
    ///
    /// The connection, password included, is in its environment; other `PG*` and `PSQL*` variables are not.
    /// Its messages are in English. It is killed when what runs it is dropped.
    pub fn command(&self, info: &ConnInfo) -> Command {
        let mut command = Command::new(&self.path);
        for (name, _) in std::env::vars_os() {
            if belongs_to_libpq(&name) {
                command.env_remove(name);
            }
        }
        // Without a limit a lost network would hold the program for minutes.
        command.env("PGCONNECT_TIMEOUT", "10").envs(info.tool_env());
        if self.version < 160_000 && info.tool_env().iter().any(is_system_roots) {
            // Older ones take `system` for a file's name.
            if let Some(path) = SYSTEM_ROOTS.iter().find(|path| Path::new(path).is_file()) {
                command.env("PGSSLROOTCERT", path);
            }
        }
        command.env("LC_ALL", "C").kill_on_drop(true);
        command
    }

    /// Runs `command` and streams its standard output to `output`; gives the number of bytes.
    ///
    /// # Errors
    /// If it can't be started, `output` fails, or it ends with an error; then a part may have been written.
    pub async fn run_to<W>(&self, mut command: Command, output: &mut W) -> Result<u64, ToolError>
    where
        W: AsyncWrite + Unpin,
    {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.spawn(command)?;
        let mut stdout = child.stdout.take();
        let errors = child.stderr.take();
        let copy = async {
            match &mut stdout {
                Some(stdout) => tokio::io::copy(stdout, output).await,
                None => Ok(0),
            }
        };
        // An output that fails must not leave the program waiting for a reader.
        let (copied, kept) = tokio::join!(copy_then_close(copy, &mut child), keep_end(errors));
        let copied = copied.map_err(|source| self.io(source))?;
        self.check(child, kept).await?;
        Ok(copied)
    }

    /// Runs `command` and gives its standard output.
    ///
    /// # Errors
    /// If it can't be started or ends with an error.
    pub async fn collect(&self, command: Command) -> Result<Vec<u8>, ToolError> {
        let mut output = Vec::new();
        self.run_to(command, &mut output).await?;
        Ok(output)
    }

    /// Runs `command` with `input` as its standard input, and gives its standard output.
    ///
    /// # Errors
    /// If it can't be started, `input` fails, or it ends with an error; the program's own error goes before
    /// that of a pipe which it closed.
    pub async fn feed<R>(&self, mut command: Command, input: &mut R) -> Result<Vec<u8>, ToolError>
    where
        R: AsyncRead + Unpin,
    {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.spawn(command)?;
        let (stdin, stdout, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feeding = async {
            let Some(mut stdin) = stdin else { return Ok(()) };
            tokio::io::copy(input, &mut stdin).await?;
            stdin.shutdown().await
        };
        let reading = async {
            let mut output = Vec::new();
            match stdout {
                Some(mut stdout) => stdout.read_to_end(&mut output).await.map(|_| output),
                None => Ok(output),
            }
        };
        let feeding = async {
            let fed = feeding.await;
            if fed.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe) {
                // With half an input it must not finish as if that were all.
                let _ = child.start_kill();
            }
            fed
        };
        let (fed, output, kept) = tokio::join!(feeding, reading, keep_end(errors));
        match fed {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.check(child, kept).await?;
                // It ended well without reading to the end: what it was given last did not count.
                Err(self.io(error))
            }
            Err(error) => Err(self.io(error)),
            Ok(()) => {
                self.check(child, kept).await?;
                output.map_err(|source| self.io(source))
            }
        }
    }

    fn spawn(&self, mut command: Command) -> Result<Child, ToolError> {
        command.spawn().map_err(|source| self.io(source))
    }

    async fn check(&self, mut child: Child, stderr: Vec<u8>) -> Result<(), ToolError> {
        let status = child.wait().await.map_err(|source| self.io(source))?;
        if status.success() {
            return Ok(());
        }
        let stderr = String::from_utf8_lossy(&stderr);
        let stderr = crate::redact::redact(stderr.trim()).into_owned();
        Err(ToolError::Failed { program: self.program.clone(), status: status.to_string(), stderr })
    }

    fn io(&self, source: io::Error) -> ToolError {
        ToolError::Io { program: self.program.clone(), source }
    }
}

/// Waits for `copy`; if it fails the child is killed, so that whoever reads its standard error comes to an end.
async fn copy_then_close(copy: impl Future<Output = io::Result<u64>>, child: &mut Child) -> io::Result<u64> {
    let copied = copy.await;
    if copied.is_err() {
        let _ = child.start_kill();
    }
    copied
}

/// Reads a program's standard error to its end and keeps the last [`STDERR_KEPT`] bytes.
async fn keep_end(errors: Option<ChildStderr>) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut errors) = errors else { return kept };
    let mut chunk = [0; 4096];
    while let Ok(read @ 1..) = errors.read(&mut chunk).await {
        kept.extend_from_slice(&chunk[..read]);
        let surplus = kept.len().saturating_sub(STDERR_KEPT);
        kept.drain(..surplus);
    }
    kept
}

fn belongs_to_libpq(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("PG") || name.starts_with("PSQL"))
}

fn is_system_roots((name, value): &(String, String)) -> bool {
    name == "PGSSLROOTCERT" && value == "system"
}
