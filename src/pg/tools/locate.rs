//! Finds the client programs: a configured folder, or `PATH` and Debian's folders of every version.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::{Tool, ToolError};
use crate::pg::session::version_number;

/// Where Debian keeps the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Finds `program` in `PATH` and Debian's folders, for a server of `server_version` (150018).
///
/// # Errors
/// If it is nowhere, or only older than the server.
pub async fn find(program: &str, server_version: u32) -> Result<Tool, ToolError> {
    find_in(None, program, server_version).await
}

/// As [`find`]; with a `folder` only there.
///
/// # Errors
/// If it is nowhere, or only older than the server.
pub async fn find_in(folder: Option<&Path>, program: &str, server_version: u32) -> Result<Tool, ToolError> {
    let folders = match folder {
        Some(folder) => vec![folder.to_path_buf()],
        None => folders_of_this_machine(),
    };
    let mut found = Vec::new();
    for path in candidates(&folders, program) {
        if let Some(version) = version_of(&path).await {
            found.push(Tool { program: program.to_string(), path, version });
        }
    }
    let best = choose(&found, server_version).cloned();
    let newest = found.into_iter().max_by_key(|tool| tool.version);
    match (best, newest) {
        (Some(tool), _) => Ok(tool),
        (None, Some(Tool { program, path, version, .. })) => {
            Err(ToolError::TooOld { program, path, found: version, server: server_version })
        }
        (None, None) => Err(ToolError::NotFound {
            program: program.to_string(),
            looked: folder.map_or_else(|| format!("PATH and {DEBIAN}/*/bin"), |f| f.display().to_string()),
            major: server_version / 10_000,
        }),
    }
}

/// The lowest major version that is not older than the server's, and of that the newest minor.
///
/// `pg_dump` reads servers of its own major version and older ones; its output is for its own version and
/// newer ones, so the nearest is the best.
fn choose(found: &[Tool], server_version: u32) -> Option<&Tool> {
    let major = |version: u32| if version >= 100_000 { version / 10_000 } else { version / 100 };
    let fitting = |tool: &&Tool| tool.version / 10_000 >= server_version / 10_000;
    found.iter().filter(fitting).min_by_key(|tool| (major(tool.version), std::cmp::Reverse(tool.version)))
}

fn folders_of_this_machine() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    let versions = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    folders.extend(versions.map(|entry| entry.path().join("bin")));
    folders
}

fn candidates(folders: &[PathBuf], program: &str) -> Vec<PathBuf> {
    let mut real: Vec<PathBuf> = Vec::new();
    for folder in folders {
        let path = folder.join(program);
        let Ok(target) = path.canonicalize() else { continue };
        // Debian's wrapper picks a version anew at each call, by files and variables of its own.
        let is_wrapper = target.file_name().is_some_and(|name| name == "pg_wrapper");
        if target.is_file() && !is_wrapper && !real.contains(&target) {
            real.push(target);
        }
    }
    real
}

async fn version_of(path: &Path) -> Option<u32> {
    let mut command = Command::new(path);
    command.arg("--version").env("LC_ALL", "C").stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.ok()?;
    if !output.status.success() {
        return None;
    }
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

/// The version in `pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn parse_version(text: &str) -> Option<u32> {
    text.split_whitespace()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
        .and_then(version_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(version: u32) -> Tool {
        Tool { program: "pg_dump".into(), path: "/x".into(), version }
    }

    #[test]
    fn versions_are_read_from_what_programs_print() {
        assert_eq!(parse_version("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(150_018));
        assert_eq!(parse_version("psql (PostgreSQL) 17beta2"), Some(170_000));
        assert_eq!(parse_version("pg_dump (EnterpriseDB) 14.5.0"), Some(140_005));
        assert_eq!(parse_version("nothing of the kind"), None);
    }

    #[test]
    fn the_nearest_version_that_is_not_older_is_chosen() {
        let all = [tool(130_009), tool(150_002), tool(150_018), tool(160_001), tool(170_000)];
        assert_eq!(choose(&all, 150_020).map(|t| t.version), Some(150_018));
        assert_eq!(choose(&all, 140_000).map(|t| t.version), Some(150_018));
        assert_eq!(choose(&all, 160_009).map(|t| t.version), Some(160_001));
        assert_eq!(choose(&all, 180_000), None);
        assert_eq!(choose(&[], 150_000), None);
    }
}
