//! The contract that every store keeps, run over every backend.

use backstay::store::{Created, Directory, Store, StoreError};
use bytes::Bytes;

async fn keeps_the_contract(store: &dyn Store) {
    // Create-only: the first bytes stay.
    assert_eq!(store.create("runs/a/1.json", Bytes::from_static(b"one")).await.unwrap(), Created::New);
    assert_eq!(store.create("runs/a/1.json", Bytes::from_static(b"two")).await.unwrap(), Created::Exists);
    assert_eq!(store.read("runs/a/1.json").await.unwrap(), b"one");

    // Replacing: the last bytes stay, whether there were some or none.
    store.replace("backups/b/log", Bytes::from_static(b"half")).await.unwrap();
    store.replace("backups/b/log", Bytes::from_static(b"half and half")).await.unwrap();
    assert_eq!(store.read("backups/b/log").await.unwrap(), b"half and half");
    store.create("backups/b/empty", Bytes::new()).await.unwrap();
    assert_eq!(store.read("backups/b/empty").await.unwrap(), b"");
    assert!(matches!(store.read("backups/b/never").await, Err(StoreError::Missing { .. })));

    // Listing: sorted, by prefix, which may end inside a part.
    store.create("runs/a/2.json", Bytes::from_static(b"2")).await.unwrap();
    store.create("runs/b/1.json", Bytes::from_static(b"3")).await.unwrap();
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
        assert!(
            matches!(store.create(name, Bytes::from_static(b"")).await, Err(StoreError::BadName { .. })),
            "{name:?}"
        );
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
        racers.spawn(async move { (n, store.create("one", format!("{n}").into()).await.unwrap()) });
    }
    let won: Vec<i32> =
        racers.join_all().await.into_iter().filter(|(_, c)| *c == Created::New).map(|(n, _)| n).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(store.read("one").await.unwrap(), format!("{}", won[0]).as_bytes());
}
