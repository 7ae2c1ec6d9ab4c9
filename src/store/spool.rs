//! A store with a folder of this machine behind it, for the one thing that may go on while the store is lost: putting
//! production back.
//!
//! Until it is [engaged](Spool::engage) it is the store itself. From then on what is created and written stays in the
//! folder, and [`Spool::flush`] brings it to the store, in the order of names, when that is back.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncRead;

use super::patient::{Patient, late};
use super::{Created, Directory, Entry, Store, StoreError};
use crate::failure::Failure;
use crate::words::count;

/// How long a store is looked at that was lost: it is not needed any more, and production waits.
const LOOK: Duration = Duration::from_secs(5);

/// The store, and where its objects wait while it is out of reach.
#[derive(Debug)]
pub struct Spool {
    store: Arc<dyn Store>,
    path: PathBuf,
    /// Objects that may only be created.
    created: Directory,
    /// Objects that replace what may be there.
    written: Directory,
    /// Why the store counts as lost; nothing while it is in use.
    lost: Mutex<Option<Failure>>,
    /// A look at the store that was lost had no answer: there is no second one.
    hangs: AtomicBool,
    look: Duration,
}

/// Why what waits was not brought to the store.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The store, or the folder, failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store holds another object of that name.
    #[error("{name} was written by another driver meanwhile; ours is kept in {}{}", kept.display(), also(brought))]
    Taken {
        /// The object.
        name: String,
        /// Where all that waited for this run is now, but for what was brought.
        kept: PathBuf,
        /// What was brought all the same: of these the store had none, as of the ledger's files.
        brought: Vec<String>,
    },
}

fn also(brought: &[String]) -> String {
    brought.last().map_or_else(String::new, |last| {
        format!(
            "; the store had none of {}, which are there now, up to {last}",
            count(brought.len() as u64, "other object", "other objects")
        )
    })
}

impl Spool {
    /// `store`, with `path` behind it, which is created when it is needed. Whatever is asked of the store is given up
    /// after `patience`: a file system that hangs must hold neither a window open nor the end of the program.
    pub fn over(store: Arc<dyn Store>, path: impl Into<PathBuf>, patience: Duration) -> Self {
        let path = path.into();
        Self {
            store: Arc::new(Patient::over(store, patience)),
            created: Directory::new(path.join("created")),
            written: Directory::new(path.join("written")),
            path,
            lost: Mutex::default(),
            hangs: AtomicBool::new(false),
            look: patience.min(LOOK),
        }
    }

    /// The store itself, each call bounded.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// From here on objects are created in the folder. Until [`Spool::flush`] the store is only looked at, shortly, for
    /// what the folder has not. `why` is what it refused; gives what there is to tell of it.
    pub fn engage(&self, why: Failure) -> String {
        let text = format!(
            "the store is lost ({why}); production is put back all the same, and what is to be kept of that waits in {}",
            self.path.display()
        );
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        text
    }

    /// Takes [`Spool::engage`] back, where the folder refused what the store had refused: the store is in use again for what it
    /// takes. To be called before anything was created in the folder.
    pub fn disengage(&self) {
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.hangs.store(false, Ordering::SeqCst);
    }

    /// Why objects go to the folder, if they do.
    pub fn lost(&self) -> Option<Failure> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A look at the store that was lost: short, and none after one that had no answer.
    async fn look<T>(
        &self,
        verb: &'static str,
        name: &str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let late = || StoreError::io(verb, name, late(self.look, &self.url()));
        if self.hangs.load(Ordering::SeqCst) {
            return Err(late());
        }
        let answer = tokio::time::timeout(self.look, call).await.unwrap_or_else(|_| Err(late()));
        if matches!(&answer, Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::TimedOut) {
            self.hangs.store(true, Ordering::SeqCst);
        }
        answer
    }

    /// Whether objects go to the folder.
    pub fn is_engaged(&self) -> bool {
        self.lost().is_some()
    }

    /// The objects that wait in the folder, by name.
    ///
    /// # Errors
    /// The folder's.
    pub async fn waiting(&self) -> Result<Vec<Entry>, StoreError> {
        let mut waiting = self.created.list("").await?;
        waiting.extend(self.written.list("").await?);
        Ok(waiting)
    }

    /// Brings what waits to the store, each object gone from the folder once it is there; gives how many there were.
    /// The store is in use again then. A crash leaves the rest waiting.
    ///
    /// # Errors
    /// The store's, if it is still lost; [`SpoolError::Taken`] if another driver wrote meanwhile: then what waits for
    /// that run is set aside.
    pub async fn flush(&self) -> Result<usize, SpoolError> {
        if self.is_engaged() {
            self.expect_answer().await?;
        }
        let mut brought = 0;
        for Entry { name, .. } in self.created.list("").await? {
            let bytes = Bytes::from(self.created.read(&name).await?);
            let ours = match self.store.create(&name, bytes.clone()).await? {
                Created::New => true,
                Created::Exists => self.store.read(&name).await? == bytes,
            };
            if !ours {
                return Err(self.set_aside(name).await?);
            }
            self.created.delete(&name).await?;
            brought += 1;
        }
        for Entry { name, .. } in self.written.list("").await? {
            self.store.replace(&name, self.written.read(&name).await?.into()).await?;
            self.written.delete(&name).await?;
            brought += 1;
        }
        self.disengage();
        Ok(brought)
    }

    /// Makes sure that the store answers: whoever lost it has a program to end, and may have found that it hangs.
    async fn expect_answer(&self) -> Result<(), StoreError> {
        let Some(Entry { name, .. }) = self.created.list("").await?.into_iter().next() else { return Ok(()) };
        match self.look("read", &name, self.store.reader(&name)).await {
            Err(error @ StoreError::Io { .. }) => Err(error),
            _ => Ok(()),
        }
    }

    /// What waits for the run of `name` is evidence, and stands in nobody's way. Of what replaces objects, the store gets
    /// what it has none of: nothing contradicts that.
    async fn set_aside(&self, name: String) -> Result<SpoolError, StoreError> {
        let run: String = name.split('/').take(2).collect::<Vec<_>>().join("/");
        let (kept, prefix) = (self.path.join("taken"), format!("{run}/"));
        let (aside, mut brought) = (Directory::new(&kept), Vec::new());
        for entry in self.written.list(&prefix).await? {
            let bytes = Bytes::from(self.written.read(&entry.name).await?);
            match self.store.create(&entry.name, bytes.clone()).await? {
                Created::New => brought.push(entry.name.clone()),
                Created::Exists => aside.replace(&entry.name, bytes).await?,
            }
            self.written.delete(&entry.name).await?;
        }
        // The last first: what makes the others stand aside is seen until it goes itself.
        for entry in self.created.list(&prefix).await?.into_iter().rev() {
            aside.replace(&entry.name, self.created.read(&entry.name).await?.into()).await?;
            self.created.delete(&entry.name).await?;
        }
        Ok(SpoolError::Taken { name, kept: kept.join(run), brought })
    }
}

#[async_trait::async_trait]
impl Store for Spool {
    async fn create(&self, name: &str, bytes: Bytes) -> Result<Created, StoreError> {
        if self.is_engaged() {
            return self.created.create(name, bytes).await;
        }
        self.store.create(name, bytes).await
    }

    async fn replace(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        match self.is_engaged() {
            true => self.written.replace(name, bytes).await,
            false => self.store.replace(name, bytes).await,
        }
    }

    async fn reader(&self, name: &str) -> Result<Pin<Box<dyn AsyncRead + Send>>, StoreError> {
        if self.is_engaged() {
            for folder in [&self.created, &self.written] {
                if let Ok(reader) = folder.reader(name).await {
                    return Ok(reader);
                }
            }
            return self.look("read", name, self.store.reader(name)).await;
        }
        self.store.reader(name).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        if !self.is_engaged() {
            return self.store.list(prefix).await;
        }
        let mut found = self.look("list", prefix, self.store.list(prefix)).await.unwrap_or_default();
        found.extend(self.created.list(prefix).await?);
        found.extend(self.written.list(prefix).await?);
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found.dedup_by(|a, b| a.name == b.name);
        Ok(found)
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        if !self.is_engaged() {
            return self.store.delete(name).await;
        }
        self.created.delete(name).await?;
        self.written.delete(name).await
    }

    fn url(&self) -> String {
        self.store.url()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = "runs/r/journal/000002.json";

    fn spool(folder: &Path) -> Spool {
        let store = Arc::new(Directory::new(folder.join("store")));
        Spool::over(store, folder.join("spool"), Duration::from_secs(60))
    }

    async fn text(store: &dyn Store, name: &str) -> Option<String> {
        store.read(name).await.ok().and_then(|bytes| String::from_utf8(bytes).ok())
    }

    #[tokio::test]
    async fn what_waits_is_brought_to_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(folder.path());
        spool.create("runs/r/journal/000001.json", "1".into()).await.unwrap();
        spool.engage(Failure::failed("write"));
        spool.create(RECORD, "2".into()).await.unwrap();
        spool.replace("runs/r/run.log", "log".into()).await.unwrap();
        assert_eq!(text(&**spool.store(), RECORD).await, None, "nothing of it is in the store yet");
        assert_eq!(text(&spool, RECORD).await.as_deref(), Some("2"));
        assert_eq!(spool.list("runs/r/").await.unwrap().len(), 3);
        // Another process, later.
        let again = self::spool(folder.path());
        assert_eq!(again.waiting().await.unwrap().len(), 2);
        assert_eq!(again.flush().await.unwrap(), 2);
        assert_eq!(text(&**again.store(), RECORD).await.as_deref(), Some("2"));
        assert_eq!(text(&**again.store(), "runs/r/run.log").await.as_deref(), Some("log"));
        assert_eq!(again.waiting().await.unwrap().len() + again.flush().await.unwrap(), 0);
    }

    /// Lets whoever waits for a FIFO go on: a runtime does not end before its threads.
    struct Release(PathBuf);

    impl Drop for Release {
        fn drop(&mut self) {
            let _ = std::fs::OpenOptions::new().read(true).write(true).open(&self.0);
        }
    }

    /// A FIFO is as a file on a server that is gone: whoever opens it waits.
    #[tokio::test]
    async fn a_store_that_hangs_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Directory::new(folder.path().join("store")));
        let spool = Spool::over(store, folder.path().join("spool"), Duration::from_millis(100));
        spool.create("runs/r/journal/000001.json", "1".into()).await.unwrap();
        let fifo = folder.path().join("store").join(RECORD);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        let _release = Release(fifo.clone());
        let refused = |error: StoreError| format!("{}", Failure::from(error));
        for engaged in [false, true] {
            let said = refused(spool.read(RECORD).await.unwrap_err());
            for words in ["read runs/r/journal/000002.json", "no answer within 0.1 s", "store is file://"] {
                assert!(said.contains(words), "{engaged}: {words}: {said}");
            }
            spool.engage(Failure::failed("write"));
        }
        assert_eq!(text(&spool, "runs/r/journal/000001.json").await, None, "it is not looked at again");
        // A pipe that somebody opened, and writes nothing to, ends as well.
        let again = self::spool(folder.path());
        let patient = Patient::over(again.store().clone(), Duration::from_millis(100));
        let keeper = std::fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
        assert!(refused(patient.read(RECORD).await.unwrap_err()).contains("no answer within 0.1 s"));
        drop(keeper);
    }

    #[tokio::test]
    async fn a_record_that_got_there_after_all_is_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(folder.path());
        spool.store().create(RECORD, "2".into()).await.unwrap();
        spool.engage(Failure::failed("write"));
        spool.create(RECORD, "2".into()).await.unwrap();
        assert_eq!(spool.flush().await.unwrap(), 1);
    }

    #[tokio::test]
    async fn what_another_driver_overtook_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(folder.path());
        spool.engage(Failure::failed("write"));
        spool.create(RECORD, "ours".into()).await.unwrap();
        spool.create("runs/r/journal/000003.json", "ours".into()).await.unwrap();
        for written in ["runs/r/ledger/1/ledger.json", "runs/r/run.log"] {
            spool.replace(written, "ours".into()).await.unwrap();
        }
        spool.store().replace("runs/r/run.log", "another's".into()).await.unwrap();
        spool.store().create(RECORD, "another's".into()).await.unwrap();
        let error = spool.flush().await.unwrap_err();
        let SpoolError::Taken { kept, brought, .. } = &error else { panic!("{error}") };
        assert_eq!(brought, &["runs/r/ledger/1/ledger.json"]);
        assert_eq!(
            text(&**spool.store(), &brought[0]).await.as_deref(),
            Some("ours"),
            "nobody else's contradicts it"
        );
        assert_eq!(text(&**spool.store(), "runs/r/run.log").await.as_deref(), Some("another's"));
        assert_eq!(std::fs::read_to_string(kept.join("run.log")).unwrap(), "ours");
        assert_eq!(std::fs::read_dir(kept.join("journal")).unwrap().count(), 2);
        assert_eq!(text(&**spool.store(), RECORD).await.as_deref(), Some("another's"));
        assert_eq!(spool.flush().await.unwrap(), 0, "it stands in nobody's way");
    }
}
