//! The demo's folder, which is gone when the demo is, even if it is killed.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Told the id of the release under way on each line (or nothing). When our end of the pipe closes, it ends
/// that release and removes the folder; it tries again, because what the release had started may still write.
const WATCHDOG: &str = r#"while read -r pid; do child=$pid; done
[ -n "$child" ] && kill -KILL "$child" 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf -- "$1" 2>/dev/null; [ -e "$1" ] || exit 0; sleep 0.1; done"#;

/// A temporary folder with a watchdog; removed when dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    watchdog: Child,
}

impl Folder {
    /// Makes it.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("backstay-demo-").tempdir()?;
        // A process group of its own: Ctrl-C in the terminal must not reach it.
        let watchdog = Command::new("/bin/sh")
            .args(["-c", WATCHDOG, "backstay-watchdog"])
            .arg(folder.path())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self { path: folder.keep(), watchdog })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tells the watchdog which process to end with us; `None` when it has ended.
    pub fn watch(&mut self, process: Option<u32>) {
        let line = process.map(|id| id.to_string()).unwrap_or_default();
        if let Some(pipe) = &mut self.watchdog.stdin {
            // Without a watchdog the folder is not removed after a kill: no reason to stop.
            let _ = writeln!(pipe, "{line}");
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_its_owner_and_takes_the_release_along() {
        let mut folder = Folder::new().unwrap();
        let path = folder.path().to_path_buf();
        std::fs::create_dir_all(path.join("a/b")).unwrap();
        let mut past = Command::new("sleep").arg("60").spawn().unwrap();
        let mut present = Command::new("sleep").arg("60").spawn().unwrap();
        folder.watch(Some(past.id()));
        folder.watch(Some(present.id()));
        drop(folder);
        assert!(!path.exists());
        assert!(!present.wait().unwrap().success());
        assert!(past.try_wait().unwrap().is_none(), "only the last one is ended");
        past.kill().unwrap();
        past.wait().unwrap();
    }
}
