//! What git says of the project, where it is a checkout and git is there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::{self, ProcessError, Program};

/// A bound on it: a hook or a lock may hold it up.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Runs git in `root`, with these variables beside our own; gives what it prints, without its line end.
///
/// # Errors
/// As [`process::collect`]: git is not there, or says no.
pub async fn git(
    root: &Path,
    env: BTreeMap<String, String>,
    arguments: &[&str],
) -> Result<String, ProcessError> {
    let argv = ["git"].iter().chain(arguments).map(|word| (*word).to_string()).collect();
    let program = Program { argv, directory: root.to_path_buf(), env, timeout: TIMEOUT };
    Ok(process::collect(&program, |_| ()).await?.trim().to_string())
}

/// The commit that is checked out in `root`; none if that can't be told.
pub async fn head(root: &Path) -> Option<String> {
    git(root, BTreeMap::new(), &["rev-parse", "--verify", "HEAD^{commit}"]).await.ok()
}

/// Which of these files are not as the commit has them, or not in it at all; none if that can't be told.
pub async fn changed(root: &Path, files: &[PathBuf]) -> Vec<String> {
    if files.is_empty() {
        return Vec::new();
    }
    let mut arguments = vec!["status", "--porcelain", "--untracked-files=all", "--"];
    arguments.extend(files.iter().filter_map(|file| file.to_str()));
    let told = git(root, BTreeMap::new(), &arguments).await.unwrap_or_default();
    // Two letters for the state, a space, the path; the first line may have lost its first space.
    told.lines().filter_map(|line| Some(line.trim_start().split_once(' ')?.1.trim().to_string())).collect()
}
