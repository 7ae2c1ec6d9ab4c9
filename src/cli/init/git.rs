//! What git thinks of the files that it must not see.

use std::collections::BTreeMap;
use std::path::Path;

use crate::git::git;
use crate::init::files::Missing;
use crate::words::shell_word;

/// The lines that `.gitignore` lacks, of these and the paths that they are about. None outside of a work tree.
pub(super) async fn lines_to_add(root: &Path, wanted: &[(String, String)]) -> Vec<String> {
    let mut lines = Vec::new();
    if !root.ancestors().any(|folder| folder.join(".git").exists()) {
        return lines;
    }
    let written = std::fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
    for (line, path) in wanted {
        let there =
            written.lines().any(|known| known.trim().trim_start_matches('/') == line.trim_start_matches('/'));
        if !there && !agrees(root, &["check-ignore", "-q", "--no-index", path]).await {
            lines.push(line.clone());
        }
    }
    lines
}

/// An env file that git has already.
pub(super) async fn troubles(root: &Path, env_path: &str) -> Option<Missing> {
    let tracked = agrees(root, &["ls-files", "--error-unmatch", env_path]).await;
    tracked.then(|| {
        let what = format!("git has {env_path}, and with it what is in it: also in its history");
        Missing::new(what, format!("git rm --cached {}", shell_word(env_path)))
    })
}

/// Whether git says yes. Without git, no.
async fn agrees(root: &Path, arguments: &[&str]) -> bool {
    git(root, BTreeMap::new(), arguments).await.is_ok()
}
