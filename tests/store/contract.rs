//! The contract that every store keeps, run over every backend.

use std::sync::Arc;

use backstay::store::{Created, Directory, Gcs, Location, Store, StoreError};
use bytes::Bytes;

use crate::fake::{BUCKET, Fake};

async fn keeps_the_contract(store: &dyn Store) {
    // Create-only: the first bytes stay.
    assert_eq!(store.create("runs/a/1.json", Bytes::from_static(b"one")).await.unwrap(), Created::New);
    assert_eq!(store.create("runs/a/1.json", Bytes::from_static(b"two")).await.unwrap(), Created::Exists);
    // Not even by the same bytes: who was first matters.
    assert_eq!(store.create("runs/a/1.json", Bytes::from_static(b"one")).await.unwrap(), Created::Exists);
    assert_eq!(store.read("runs/a/1.json").await.unwrap(), b"one");

    // Replacing: the last bytes stay, whether there were some or none.
    store.replace("backups/b/log", Bytes::from_static(b"half")).await.unwrap();
    store.replace("backups/b/log", Bytes::from_static(b"half and half")).await.unwrap();
    assert_eq!(store.read("backups/b/log").await.unwrap(), b"half and half");
    store.create("backups/b/empty", Bytes::new()).await.unwrap();
    assert_eq!(store.read("backups/b/empty").await.unwrap(), b"");
    assert!(matches!(store.read("backups/b/never").await, Err(StoreError::Missing { .. })));

    // Any bytes, and as many as an object of a backup has.
    let large: Bytes = (0..9u32 << 18).flat_map(u32::to_le_bytes).collect::<Vec<u8>>().into();
    store.create("backups/b/data/1.copy.gz", large.clone()).await.unwrap();
    assert!(store.read("backups/b/data/1.copy.gz").await.unwrap() == large);
    store.delete("backups/b/data/1.copy.gz").await.unwrap();

    // Listing: sorted, by prefix, which may end inside a part; with sizes.
    store.create("runs/a/2.json", Bytes::from_static(b"2")).await.unwrap();
    store.create("runs/b/1.json", Bytes::from_static(b"3")).await.unwrap();
    let names =
        async |prefix| store.list(prefix).await.unwrap().into_iter().map(|e| e.name).collect::<Vec<_>>();
    assert_eq!(names("runs/").await, ["runs/a/1.json", "runs/a/2.json", "runs/b/1.json"]);
    assert_eq!(names("runs/a").await, ["runs/a/1.json", "runs/a/2.json"]);
    assert_eq!(names("nothing/here/").await, [""; 0]);
    assert_eq!(names("").await.len(), 5);
    let sizes: Vec<u64> = store.list("backups/").await.unwrap().into_iter().map(|e| e.bytes).collect();
    assert_eq!(sizes, [0, 13]);

    // Delete is idempotent.
    store.delete("runs/b/1.json").await.unwrap();
    store.delete("runs/b/1.json").await.unwrap();
    assert_eq!(names("runs/b").await, [""; 0]);

    // Names cannot leave the store.
    for name in
        ["../x", "a/../b", "/etc/passwd", "a//b", "", ".hidden", "a b", "a\nb", "ü", "a/", "a?x=1", "%2e"]
    {
        let bad = |refused: bool| assert!(refused, "{name:?}");
        bad(matches!(store.create(name, Bytes::new()).await, Err(StoreError::BadName { .. })));
        bad(matches!(store.replace(name, Bytes::new()).await, Err(StoreError::BadName { .. })));
        bad(matches!(store.read(name).await, Err(StoreError::BadName { .. })));
        bad(matches!(store.delete(name).await, Err(StoreError::BadName { .. })));
    }
    assert!(matches!(store.list("../").await, Err(StoreError::BadName { .. })));
}

#[tokio::test]
async fn a_directory_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    keeps_the_contract(&Directory::new(folder.path().join("not/yet/there"))).await;
}

#[tokio::test]
async fn a_bucket_keeps_the_contract() {
    let fake = Fake::start().await;
    keeps_the_contract(&fake.store()).await;
    // Without a prefix too, with another store beside it.
    let fake = Fake::start().await;
    keeps_the_contract(&Gcs::new(Location::parse(&format!("gs://{BUCKET}")).unwrap(), fake.options())).await;
}

/// The most of a race that one machine can make: fifty at once, one wins, and the store holds what he wrote.
async fn of_fifty_creators_one_wins(store: Arc<dyn Store>) {
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

#[tokio::test]
async fn of_fifty_creators_in_a_directory_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    of_fifty_creators_one_wins(Arc::new(Directory::new(folder.path()))).await;
}

#[tokio::test]
async fn of_fifty_creators_in_a_bucket_one_wins() {
    let fake = Fake::start().await;
    of_fifty_creators_one_wins(Arc::new(fake.store())).await;
}

/// The workers of a backup have runtimes of their own that come, compute, and go, over one store.
#[test]
fn a_bucket_serves_runtimes_that_come_and_go() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let service = tokio::runtime::Runtime::new().unwrap();
    let fake = service.block_on(Fake::start());
    let store: Arc<dyn Store> = Arc::new(fake.store());
    for round in 0..3 {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let store = store.clone();
                std::thread::spawn(move || {
                    runtime().block_on(async {
                        for object in 0..5 {
                            let name = format!("data/{round}-{worker}-{object}");
                            store.create(&name, name.clone().into()).await.unwrap();
                            // As if it compressed: nothing of this runtime moves meanwhile.
                            std::thread::sleep(std::time::Duration::from_millis(3));
                            assert_eq!(store.read(&name).await.unwrap(), name.as_bytes());
                        }
                    });
                })
            })
            .collect();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    }
    assert_eq!(runtime().block_on(store.list("data/")).unwrap().len(), 60);
    // Dropped where nothing may wait.
    runtime().block_on(async move { drop(store) });
}
