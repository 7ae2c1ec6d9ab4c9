//! What git says of the project, where it is a checkout and git is there.

use std::collections::BTreeMap;
use std::path::Path;
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
