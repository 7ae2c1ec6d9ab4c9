//! `pg_dump`: found, run, and its text taken line by line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use super::error::BackupError;
use super::pinned;
use crate::pg::ConnInfo;

/// A `pg_dump` that is new enough for a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PgDump {
    path: PathBuf,
    /// `15.18 (Debian 15.18-0+deb12u1)`.
    pub version: String,
}

impl PgDump {
    /// Finds the one of the server's own major version, or the next newer one: among Debian's versioned
    /// folders, then in `PATH` (where Debian has a wrapper that picks a version by rules of its own).
    ///
    /// # Errors
    /// If there is none; names those that are too old.
    pub async fn find(server_version: u32) -> Result<Self, BackupError> {
        let major = server_version / 10_000;
        let mut candidates: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|e| Some((e.file_name().to_str()?.parse().ok()?, e.path().join("bin/pg_dump"))))
            .collect();
        candidates.sort();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let in_path = std::env::split_paths(&path).map(|folder| folder.join("pg_dump"));
        let mut found = Vec::new();
        for candidate in candidates.into_iter().map(|(_, path)| path).chain(in_path) {
            let Some(version) = version_of(&candidate).await else { continue };
            let own: String = version.chars().take_while(char::is_ascii_digit).collect();
            if own.parse::<u32>().is_ok_and(|own| own >= major) {
                return Ok(Self { path: candidate, version });
            }
            found.push(format!("{} at {}", version, candidate.display()));
        }
        let found = if found.is_empty() { "none".to_string() } else { found.join(", ") };
        Err(BackupError::NoPgDump { major, found })
    }

    /// Starts it on the database, its text in `encoding`; the password goes by environment only.
    pub fn start(
        &self,
        info: &ConnInfo,
        encoding: &str,
        arguments: &[String],
    ) -> Result<Dumping, BackupError> {
        let mut environment: BTreeMap<String, String> = info.tool_env().into_iter().collect();
        let options = environment.entry("PGOPTIONS".to_string()).or_default();
        *options = format!("{options} {}", pinned::pgoptions());
        let mut command = Command::new(&self.path);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("PG")) {
                command.env_remove(name);
            }
        }
        let mut child = command
            .arg("--no-password")
            .args(arguments)
            .envs(environment)
            .env("PGCLIENTENCODING", encoding)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| BackupError::PgDump { output: format!("{}: {e}", self.path.display()) })?;
        let ended = || BackupError::PgDump { output: "its output cannot be read".to_string() };
        let lines = BufReader::with_capacity(64 * 1024, child.stdout.take().ok_or_else(ended)?);
        let mut errors = child.stderr.take().ok_or_else(ended)?;
        // Read beside, or a talkative pg_dump would wait for us for ever.
        let errors = tokio::spawn(async move {
            let mut text = Vec::new();
            let _ = (&mut errors).take(64 * 1024).read_to_end(&mut text).await;
            let _ = tokio::io::copy(&mut errors, &mut tokio::io::sink()).await;
            String::from_utf8_lossy(&text).trim().to_string()
        });
        Ok(Dumping { child, lines, errors, restrict: Restrict::Before })
    }
}

async fn version_of(path: &Path) -> Option<String> {
    let output = Command::new(path).arg("--version").stdin(Stdio::null()).output().await.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.trim().strip_prefix("pg_dump (PostgreSQL) ")?;
    output.status.success().then(|| version.to_string())
}

/// A running `pg_dump`. Dropped, it is killed.
pub(super) struct Dumping {
    child: Child,
    lines: BufReader<ChildStdout>,
    errors: tokio::task::JoinHandle<String>,
    restrict: Restrict,
}

/// Since 15.14 pg_dump's text stands between `\restrict KEY` and `\unrestrict KEY`, with a random key:
/// older psql refuses them, and two dumps of the same are never the same.
enum Restrict {
    Before,
    Within(Vec<u8>),
    Without,
}

impl Restrict {
    /// Whether `line` is one of the two. Only the heading's own line counts, and its key's counterpart:
    /// the same words in a function's body are not touched.
    fn takes(&mut self, line: &[u8]) -> bool {
        match self {
            Restrict::Before => match line.strip_prefix(b"\\restrict ") {
                Some(key) => {
                    *self = Restrict::Within([b"\\unrestrict ", key].concat());
                    true
                }
                None => {
                    if !line.starts_with(b"--") && !line.trim_ascii().is_empty() {
                        *self = Restrict::Without;
                    }
                    false
                }
            },
            Restrict::Within(end) => line == end.as_slice(),
            Restrict::Without => false,
        }
    }
}

impl Dumping {
    /// The next line with its end; `None` when pg_dump is done.
    ///
    /// # Errors
    /// If pg_dump failed; the text so far is then worth nothing.
    pub async fn line(&mut self, line: &mut Vec<u8>) -> Result<Option<()>, BackupError> {
        let broken = |e: std::io::Error| BackupError::PgDump { output: e.to_string() };
        loop {
            line.clear();
            if self.lines.read_until(b'\n', line).await.map_err(broken)? == 0 {
                break;
            }
            if !self.restrict.takes(line) {
                return Ok(Some(()));
            }
        }
        let status = self.child.wait().await.map_err(broken)?;
        let output = (&mut self.errors).await.unwrap_or_default();
        if status.success() {
            return Ok(None);
        }
        let output = if output.is_empty() { status.to_string() } else { output };
        Err(BackupError::PgDump { output: crate::redact::redact(&output).into_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(text: &str) -> String {
        let mut restrict = Restrict::Before;
        text.split_inclusive('\n').filter(|line| !restrict.takes(line.as_bytes())).collect()
    }

    #[test]
    fn only_the_two_lines_are_taken_out() {
        let text = "--\n-- dump\n--\n\n\\restrict abc\n\nSET x;\n\\restrict abc\n\\unrestrict other\n\n\\unrestrict abc\n\n";
        assert_eq!(kept(text), "--\n-- dump\n--\n\n\nSET x;\n\\restrict abc\n\\unrestrict other\n\n\n");
    }

    #[test]
    fn an_older_dump_is_left_alone() {
        let text = "--\n\nSET x;\n\\restrict abc\n\\unrestrict abc\n";
        assert_eq!(kept(text), text);
    }
}
