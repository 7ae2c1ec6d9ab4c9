//! A store in a directory: the embedded default.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::io::AsyncRead;

use super::{Created, Entry, Store, StoreError, checked};

/// Temporary names start so; a listing never shows them, and a crash leaves only these behind.
const TEMPORARY: &str = ".tmp-";

/// Objects are files below one folder.
///
/// Create-only is `link(2)` from a temporary file that was fsynced, then fsync of the folder: what a
/// power cut leaves is the whole object or none. Whether the disk itself honours fsync is beyond us.
///
/// The folder that was used first is the store: one that takes its place later (a disk that was unmounted leaves its
/// empty mount point) gets no records in the middle of a run.
#[derive(Debug, Clone)]
pub struct Directory {
    root: PathBuf,
    home: Arc<OnceLock<Inode>>,
}

/// What a folder is, whatever its name: device and inode.
type Inode = (u64, u64);

impl Directory {
    /// The store below `root`, which is created when the first object is.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), home: Arc::default() }
    }

    /// Does `work` in the store's folder, away from the async threads.
    async fn work<T: Send + 'static>(
        &self,
        name: &str,
        verb: &'static str,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (root, home) = (self.root.clone(), self.home.clone());
        let work = move || {
            expect_home(&root, &home)?;
            let done = work()?;
            if let (None, Ok(now)) = (home.get(), inode(&root)) {
                let _ = home.set(now);
            }
            Ok(done)
        };
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|panic| Err(io::Error::other(panic)))
            .map_err(|source| StoreError::io(verb, name, placed(&self.root, source)))
    }

    fn path(&self, name: &str) -> Result<PathBuf, StoreError> {
        Ok(self.root.join(checked(name)?))
    }
}

#[async_trait::async_trait]
impl Store for Directory {
    async fn create(&self, name: &str, bytes: Bytes) -> Result<Created, StoreError> {
        let path = self.path(name)?;
        self.work(name, "write", move || create_durably(&path, &bytes)).await
    }

    async fn replace(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        let path = self.path(name)?;
        self.work(name, "write", move || replace_durably(&path, &bytes)).await
    }

    async fn reader(&self, name: &str) -> Result<Pin<Box<dyn AsyncRead + Send>>, StoreError> {
        let path = self.path(name)?;
        let file = self.work(name, "read", move || std::fs::File::open(path)).await?;
        Ok(Box::pin(tokio::fs::File::from_std(file)))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        // Only the folder that the prefix's whole parts name can hold a match.
        let folder = match prefix.rsplit_once('/') {
            Some((folder, _)) => self.path(folder)?,
            None => self.root.clone(),
        };
        let root = self.root.clone();
        let wanted = prefix.to_string();
        self.work(prefix, "list", move || {
            let mut found = Vec::new();
            walk(&folder, &root, &mut found)?;
            found.retain(|entry| entry.name.starts_with(&wanted));
            found.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(found)
        })
        .await
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        let path = self.path(name)?;
        let root = self.root.clone();
        self.work(name, "delete", move || {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            // Folders are no objects: an emptied one goes too. Not empty, or gone: both are fine.
            let mut folder = parent(&path);
            while folder != root && std::fs::remove_dir(folder).is_ok() {
                folder = parent(folder);
            }
            Ok(())
        })
        .await
    }

    fn url(&self) -> String {
        format!("file://{}", self.root.display())
    }
}

fn create_durably(path: &Path, bytes: &[u8]) -> io::Result<Created> {
    if path.exists() {
        return Ok(Created::Exists);
    }
    let temporary = write_beside(path, bytes)?;
    // link(2) fails where the name is taken, in one step with taking it: no window for a second driver.
    match std::fs::hard_link(temporary.path(), path) {
        Ok(()) => sync_folder(parent(path)).map(|()| Created::New),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Created::Exists),
        Err(error) => Err(error),
    }
}

fn replace_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_beside(path, bytes)?.persist(path).map_err(|error| error.error)?;
    sync_folder(parent(path))
}

/// The bytes as a synced temporary file in the same folder as `path`.
fn write_beside(path: &Path, bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    let folder = parent(path);
    create_folder(folder)?;
    let mut temporary = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder)?;
    io::Write::write_all(&mut temporary, bytes)?;
    temporary.as_file().sync_data()?;
    Ok(temporary)
}

/// Creates `folder` and its missing parents, each durable in the folder that holds it.
fn create_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = parent(folder);
    if above != folder {
        create_folder(above)?;
    }
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_folder(above),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if above.as_os_str().is_empty() => Path::new("."),
        Some(above) => above,
        None => path,
    }
}

fn walk(folder: &Path, root: &Path, found: &mut Vec<Entry>) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => walk(&path, root, found)?,
            Ok(meta) => {
                if let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str) {
                    found.push(Entry { name: name.to_string(), bytes: meta.len() });
                }
            }
            // Deleted between the listing and the look.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn inode(folder: &Path) -> io::Result<Inode> {
    let metadata = std::fs::metadata(folder)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Once the store's folder was used it must be there, and the same.
fn expect_home(root: &Path, home: &OnceLock<Inode>) -> io::Result<()> {
    let Some(home) = home.get() else { return Ok(()) };
    match inode(root) {
        Ok(now) if now == *home => Ok(()),
        Ok(_) => Err(lost("something else has taken the place of the store's folder")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(lost("the store's folder is gone")),
        Err(error) => Err(error),
    }
}

fn lost(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::StaleNetworkFileHandle, what)
}

/// The system's words, and which store it was about, unless they name it themselves.
fn placed(root: &Path, error: io::Error) -> io::Error {
    let (said, root) = (error.to_string(), root.display().to_string());
    if said.contains(&root) {
        error
    } else {
        io::Error::new(error.kind(), format!("{said}; the store is {root}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stores_place_is_said_once() {
        let full = |said: &str| {
            placed(Path::new("/mnt/s"), io::Error::new(io::ErrorKind::StorageFull, said)).to_string()
        };
        assert_eq!(full("no space at path \"/mnt/s/a/.tmp-1\""), "no space at path \"/mnt/s/a/.tmp-1\"");
        assert_eq!(full("no space"), "no space; the store is /mnt/s");
    }

    #[tokio::test]
    async fn what_takes_the_stores_place_is_not_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let (root, away) = (folder.path().join("store"), folder.path().join("away"));
        let store = Directory::new(&root);
        assert!(store.list("runs/").await.unwrap().is_empty(), "not there yet");
        store.create("runs/a/1.json", "1".into()).await.unwrap();
        std::fs::rename(&root, &away).unwrap();
        let refused = async |words: &str| {
            let error = store.create("runs/a/2.json", "2".into()).await.unwrap_err();
            let StoreError::Io { source, .. } = &error else { panic!("{error:?}") };
            assert!(source.to_string().contains(words), "{source}");
            assert!(!matches!(store.read("runs/a/1.json").await, Ok(_) | Err(StoreError::Missing { .. })));
        };
        refused("is gone").await;
        // A disk that was unmounted leaves its mount point.
        std::fs::create_dir(&root).unwrap();
        refused("taken the place").await;
        assert!(std::fs::read_dir(&root).unwrap().next().is_none(), "nothing was written there");
        std::fs::remove_dir(&root).unwrap();
        std::fs::rename(&away, &root).unwrap();
        assert_eq!(store.create("runs/a/2.json", "2".into()).await.unwrap(), Created::New);
    }
}
