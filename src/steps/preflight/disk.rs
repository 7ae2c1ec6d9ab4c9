//! Is there room for the guard? Free disk can't be asked in SQL.

use std::path::Path;
use std::time::Duration;

use super::server::Sessions;
use super::{Check, Finding, Premises};
use crate::config::FreeDisk;
use crate::pg::{catalog, refused};
use crate::process::{self, Program};
use crate::time::show_bytes;
use crate::words::shell_line;

/// A guard needs as much as the database, and a tenth for what is written meanwhile.
fn needed(bytes: u64) -> u64 {
    bytes + bytes / 10
}

pub(super) async fn examine(premises: &Premises<'_>, sessions: &Sessions) -> Check {
    const NAME: &str = "disk";
    let config = premises.config;
    let size = match catalog::database_by_name(&sessions.admin, config.database.url.database()).await {
        Ok(Some(database)) => database.size_bytes.unwrap_or_default(),
        Ok(None) => 0,
        Err(error) => {
            return Check::new(NAME, "", vec![Finding::of(&refused("read the database's size", &error))]);
        }
    };
    let free = match &config.database.free_disk {
        FreeDisk::Unchecked => return Check::new(NAME, "not checked, as the config says", vec![]),
        FreeDisk::Bytes(bytes) => Ok(*bytes),
        FreeDisk::Path(path) => free_at(path),
        FreeDisk::Command(argv) => ask(premises, argv).await,
        FreeDisk::Unset => data_directory(sessions).await,
    };
    let findings = match free {
        Err(why) => vec![Finding::asks(
            format!("the server's free disk is not known ({why})"),
            "say [database] free_disk = { command = [...] }, a path, { bytes = N }, or \"unchecked\"",
        )],
        Ok(free) if free < needed(size) => vec![Finding::blocks(
            format!(
                "the server has {} free; the guard needs about {}",
                show_bytes(free),
                show_bytes(needed(size))
            ),
            "make room: backstay cleanup --older-than 0s drops guards and failed databases of runs that have ended",
        )],
        Ok(_) => vec![],
    };
    let free = free_text(&findings, size);
    Check::new(NAME, free, findings)
}

fn free_text(findings: &[Finding], size: u64) -> String {
    if findings.is_empty() { format!("room for a guard of {}", show_bytes(size)) } else { String::new() }
}

fn free_at(path: &Path) -> Result<u64, String> {
    rustix::fs::statvfs(path)
        .map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize))
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// The data directory, if the server tells it, runs here, and means the folder that we see.
async fn data_directory(sessions: &Sessions) -> Result<u64, String> {
    let query = "SELECT pg_catalog.current_setting('data_directory'), \
         coalesce(pg_catalog.inet_server_addr() = pg_catalog.inet_client_addr(), true)";
    let row = sessions
        .admin
        .query_one(query, &[])
        .await
        .map_err(|_| "our role may not see the server's data directory".to_string())?;
    if !row.get::<_, bool>(1) {
        return Err("the server is another machine".into());
    }
    let directory: String = row.get(0);
    free_at(Path::new(&directory))
}

async fn ask(premises: &Premises<'_>, argv: &[String]) -> Result<u64, String> {
    let program = Program {
        argv: argv.to_vec(),
        directory: premises.config.root.clone(),
        env: premises.config.variables.clone(),
        timeout: Duration::from_secs(30),
    };
    let mut first = None;
    process::run(&program, |line| {
        first.get_or_insert_with(|| line.trim().to_string());
    })
    .await
    .map_err(|error| error.to_string())?;
    let said = first.unwrap_or_default();
    said.parse().map_err(|_| format!("{} printed {said:?}, no number of bytes", shell_line(argv)))
}
