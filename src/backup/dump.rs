//! `pg_dump`, its text taken line by line.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout};

use super::error::BackupError;
use super::pinned;
use crate::pg::ConnInfo;
use crate::pg::tools::{self, Tool, version_text};

/// A `pg_dump` that is new enough for a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PgDump(Tool);

impl PgDump {
    /// Finds the one of the server's own major version, or the next newer one.
    ///
    /// # Errors
    /// If there is none.
    pub async fn find(server_version: u32) -> Result<Self, BackupError> {
        tools::find("pg_dump", server_version).await.map(Self).map_err(BackupError::Tool)
    }

    /// Its version: `15.18`.
    pub fn version(&self) -> String {
        version_text(self.0.version)
    }

    /// Starts it on the database, its text in `encoding`.
    pub fn start(
        &self,
        info: &ConnInfo,
        encoding: &str,
        arguments: &[String],
    ) -> Result<Dumping, BackupError> {
        let own = info.tool_env().into_iter().find(|(name, _)| name == "PGOPTIONS");
        let options = own.map(|(_, options)| options + " ").unwrap_or_default() + &pinned::pgoptions();
        let mut child = self
            .0
            .command(info)
            .arg("--no-password")
            // A dump over a network that is cut would wait for as long as the system lets it: two hours and more.
            .args(["--dbname", &info.tool_keepalives()])
            .args(arguments)
            .env("PGOPTIONS", options)
            .env("PGCLIENTENCODING", encoding)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| BackupError::PgDump { output: format!("{}: {e}", self.0.path.display()) })?;
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
