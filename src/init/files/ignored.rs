//! What git should not see: secrets, and what runs leave on this machine.

use std::path::{Component, Path, PathBuf};

use crate::init::answers::Answers;

/// Lines for the `.gitignore` in `root` (absolute), each with the path that it is about (from the root). What is outside
/// of the root has none.
pub fn not_for_git(answers: &Answers, root: &Path) -> Vec<(String, String)> {
    let folder = |path: &str| below(root, path).map(|path| format!("{path}/"));
    let store = answers.store.strip_prefix("file://").unwrap_or(&answers.store);
    let store = Some(store).filter(|store| !store.contains("://")).and_then(folder);
    let flag = answers.flag.as_deref().and_then(|flag| below(root, flag));
    let line = |path: String| (format!("/{}", escaped(&path)), path);
    let mut lines = Vec::from_iter(below(root, &answers.env_path()).map(line));
    // The spool, and what a crash leaves of files that were being written: an env file may be among them.
    lines.push(("/.backstay-*".to_string(), ".backstay-spool/".to_string()));
    lines.extend([store, flag].into_iter().flatten().map(line));
    lines
}

/// `path` from `root`, without `.` and `..`; none if it is not below it, or not known before its variables are.
fn below(root: &Path, path: &str) -> Option<String> {
    if path.contains("${") {
        return None;
    }
    let mut plain = PathBuf::new();
    for component in root.join(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    let path = plain.strip_prefix(root).ok()?.to_str()?;
    (!path.is_empty()).then(|| path.to_string())
}

/// As a line of `.gitignore` that is about this name alone.
fn escaped(path: &str) -> String {
    path.chars().fold(String::new(), |mut line, c| {
        if "\\*?[ ".contains(c) {
            line.push('\\');
        }
        line.push(c);
        line
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_from_the_root_whatever_they_are_written_like() {
        let below = |path: &str| below(Path::new("/srv/shop"), path);
        for path in
            ["backups", "./backups", "backups/", "/srv/shop/backups", "a/../backups", "../shop/backups"]
        {
            assert_eq!(below(path).as_deref(), Some("backups"), "{path}");
        }
        for path in ["/srv/shop-b/x", "../x", "/srv/shop", ".", "/opt/x", "${DIR}/x"] {
            assert_eq!(below(path), None, "{path}");
        }
        assert_eq!(escaped("a b/[x]*"), "a\\ b/\\[x]\\*");
    }
}
