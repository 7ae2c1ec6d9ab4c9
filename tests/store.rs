//! The contract that every store keeps, run over every backend.

use backstay::store::{Created, Directory, Store, StoreError};
use tokio::io::AsyncWriteExt;

async fn keeps_the_contract(store: &dyn Store) {
    // Create-only: the first bytes stay.
    assert_eq!(store.create("runs/a/1.json", b"one").await.unwrap(), Created::New);
    assert_eq!(store.create("runs/a/1.json", b"two").await.unwrap(), Created::Exists);
    assert_eq!(store.read("runs/a/1.json").await.unwrap(), b"one");

    // A written object appears at commit, whole, or never.
    let mut writer = store.writer("backups/b/data").await.unwrap();
    writer.write_all(b"half").await.unwrap();
    assert!(store.list("backups/").await.unwrap().is_empty());
    assert!(matches!(store.read("backups/b/data").await, Err(StoreError::Missing { .. })));
    writer.write_all(b" and half").await.unwrap();
    writer.commit().await.unwrap();
    assert_eq!(store.read("backups/b/data").await.unwrap(), b"half and half");
    let mut dropped = store.writer("backups/b/never").await.unwrap();
    dropped.write_all(b"x").await.unwrap();
    drop(dropped);
    assert!(matches!(store.read("backups/b/never").await, Err(StoreError::Missing { .. })));

    // Listing: sorted, by prefix, which may end inside a part.
    store.create("runs/a/2.json", b"2").await.unwrap();
    store.create("runs/b/1.json", b"3").await.unwrap();
    let names =
        async |prefix| store.list(prefix).await.unwrap().into_iter().map(|e| e.name).collect::<Vec<_>>();
    assert_eq!(names("runs/").await, ["runs/a/1.json", "runs/a/2.json", "runs/b/1.json"]);
    assert_eq!(names("runs/a").await, ["runs/a/1.json", "runs/a/2.json"]);
    assert_eq!(names("nothing/here/").await, [""; 0]);

    // Delete is idempotent.
    store.delete("runs/b/1.json").await.unwrap();
    store.delete("runs/b/1.json").await.unwrap();
    assert_eq!(names("runs/b").await, [""; 0]);

    // Names cannot leave the store.
    for name in ["../x", "a/../b", "/etc/passwd", "a//b", "", ".hidden", "a b"] {
        assert!(matches!(store.create(name, b"").await, Err(StoreError::BadName { .. })), "{name:?}");
    }
}

#[tokio::test]
async fn a_directory_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    keeps_the_contract(&Directory::new(folder.path().join("not/yet/there"))).await;
}

#[tokio::test]
async fn of_fifty_creators_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(Directory::new(folder.path()));
    let mut racers = tokio::task::JoinSet::new();
    for n in 0..50 {
        let store = store.clone();
        racers.spawn(async move { (n, store.create("one", format!("{n}").as_bytes()).await.unwrap()) });
    }
    let won: Vec<i32> =
        racers.join_all().await.into_iter().filter(|(_, c)| *c == Created::New).map(|(n, _)| n).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(store.read("one").await.unwrap(), format!("{}", won[0]).as_bytes());
}
