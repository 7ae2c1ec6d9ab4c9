use std::path::Path;

use super::*;
use crate::event::LineId;
use crate::failure::Verdict;
use crate::store::Directory;

fn store(folder: &Path) -> Arc<dyn Store> {
    Arc::new(Directory::new(folder))
}

fn started(n: u32) -> Entry {
    Entry::Started { line: LineId::Line(n), name: format!("line {n}"), intent: serde_json::Value::Null }
}

async fn numbers(store: &dyn Store) -> Vec<u32> {
    read(store, "r").await.unwrap().records.iter().map(|r| r.number).collect()
}

#[tokio::test]
async fn records_are_numbered_and_chained() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let mut journal = Journal::begin(store.clone(), "r".into());
    for n in 1..=3 {
        journal.append(started(n)).await.unwrap();
    }
    assert_eq!(numbers(&*store).await, [1, 2, 3]);
    assert_eq!(runs(&*store).await.unwrap(), ["r"]);
}

#[tokio::test]
async fn a_torn_last_record_does_not_block() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let mut journal = Journal::begin(store.clone(), "r".into());
    journal.append(started(1)).await.unwrap();
    for torn in [&b""[..], b"{\"format\":1,\"num"] {
        let history = read(&*store, "r").await.unwrap();
        let name = object_name("r", history.objects + 1);
        store.create(&name, torn.into()).await.unwrap();
        let history = read(&*store, "r").await.unwrap();
        let mut next = Journal::take_over(store.clone(), "r".into(), &history);
        next.append(started(2)).await.unwrap();
    }
    assert_eq!(numbers(&*store).await, [1, 3, 5]);
}

#[tokio::test]
async fn the_earlier_driver_is_fenced_by_the_takeover() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let mut first = Journal::begin(store.clone(), "r".into());
    first.append(started(1)).await.unwrap();
    let history = read(&*store, "r").await.unwrap();
    let mut second = Journal::take_over(store.clone(), "r".into(), &history);
    assert_eq!(second.epoch(), 2);
    second.append(Entry::TookOver { driver: Box::new(Driver::this_process()) }).await.unwrap();
    let lost = first.append(started(2)).await;
    assert!(matches!(lost, Err(JournalError::Lost { number: 2, .. })), "{lost:?}");
    second.append(Entry::Ended { verdict: Verdict::Done }).await.unwrap();
    assert_eq!(numbers(&*store).await, [1, 2, 3]);
}

/// A store whose first answer to `create` is an error although the object was made: a reply lost on the way.
#[derive(Debug)]
struct LosesReplies(Directory, std::sync::atomic::AtomicU32);

#[async_trait::async_trait]
impl Store for LosesReplies {
    async fn create(&self, name: &str, bytes: Bytes) -> Result<Created, StoreError> {
        let created = self.0.create(name, bytes).await?;
        match self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => Err(StoreError::Io {
                verb: "write",
                name: name.into(),
                source: std::io::Error::other("reset"),
            }),
            _ => Ok(created),
        }
    }
    async fn replace(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.0.replace(name, bytes).await
    }
    async fn reader(
        &self,
        name: &str,
    ) -> Result<std::pin::Pin<Box<dyn tokio::io::AsyncRead + Send>>, StoreError> {
        self.0.reader(name).await
    }
    async fn list(&self, prefix: &str) -> Result<Vec<crate::store::Entry>, StoreError> {
        self.0.list(prefix).await
    }
    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.0.delete(name).await
    }
    fn url(&self) -> String {
        self.0.url()
    }
}

#[tokio::test]
async fn our_own_retried_write_is_no_lost_race() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(LosesReplies(Directory::new(folder.path()), 0.into()));
    let mut journal = Journal::begin(store.clone(), "r".into());
    journal.append(started(1)).await.unwrap();
    journal.append(started(2)).await.unwrap();
    assert_eq!(numbers(&*store).await, [1, 2]);
}

#[tokio::test]
async fn a_changed_or_missing_record_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let mut journal = Journal::begin(store.clone(), "r".into());
    for n in 1..=4 {
        journal.append(started(n)).await.unwrap();
    }
    let path = folder.path().join(object_name("r", 2));
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("line 2", "line X")).unwrap();
    let damaged = read(&*store, "r").await.unwrap_err();
    assert!(matches!(damaged, JournalError::Damaged { number: 3, .. }), "{damaged}");
    store.delete(&object_name("r", 2)).await.unwrap();
    let damaged = read(&*store, "r").await.unwrap_err();
    assert!(matches!(damaged, JournalError::Damaged { number: 2, .. }), "{damaged}");
    assert!(matches!(read(&*store, "s").await, Err(JournalError::NoRun { .. })));
}

#[tokio::test]
async fn secrets_do_not_reach_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    crate::redact::register("hunter2-journal");
    let mut journal = Journal::begin(store.clone(), "r".into());
    journal
        .append(Entry::Finished {
            line: LineId::Line(1),
            summary: "used hunter2-journal".into(),
            facts: serde_json::Value::Null,
            millis: 0,
            probed: false,
        })
        .await
        .unwrap();
    let bytes = store.read(&object_name("r", 1)).await.unwrap();
    assert!(!String::from_utf8(bytes).unwrap().contains("hunter2"));
}
