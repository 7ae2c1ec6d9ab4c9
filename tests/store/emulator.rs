//! A smoke test against an emulator that no one here wrote: PyPI's `gcp-storage-emulator`.
//!
//! It ignores preconditions and gives readers no generation, so only what it can do is asked of it; what the
//! store wrote is read back over plain HTTP. `make test-gcs-emulator` starts it and runs this.

use backstay::store::{Created, Gcs, GcsOptions, Location, Store};
use bytes::Bytes;

const BUCKET: &str = "smoke-test";

#[tokio::test]
#[ignore = "needs the emulator: make test-gcs-emulator"]
async fn an_emulator_takes_lists_and_deletes_what_the_store_writes() {
    let host = std::env::var("STORAGE_EMULATOR_HOST").expect("STORAGE_EMULATOR_HOST");
    let base = if host.contains("://") { host.clone() } else { format!("http://{host}") };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    let made = client
        .post(format!("{base}/storage/v1/b?project=smoke"))
        .header("content-type", "application/json")
        .body(format!("{{\"name\":\"{BUCKET}\"}}"))
        .send()
        .await
        .expect("the emulator answers");
    assert!(made.status().is_success() || made.status() == 409, "{}", made.status());

    let options = GcsOptions { emulator: Some(host), ..GcsOptions::default() };
    let store = Gcs::new(Location::parse(&format!("gs://{BUCKET}/shop")).unwrap(), options);
    let large: Bytes = (0..2u32 << 20).flat_map(u32::to_le_bytes).collect::<Vec<u8>>().into();
    for (name, bytes) in [
        ("runs/r/journal/000001.json", Bytes::from_static(b"{}")),
        ("backups/b/empty", Bytes::new()),
        ("backups/b/data/1.copy.gz", large),
    ] {
        assert_eq!(store.create(name, bytes.clone()).await.unwrap(), Created::New, "{name}");
        let escaped = format!("shop/{name}").replace('/', "%2F");
        let read = client.get(format!("{base}/storage/v1/b/{BUCKET}/o/{escaped}?alt=media")).send();
        assert!(read.await.unwrap().bytes().await.unwrap() == bytes, "{name}");
    }
    store.replace("runs/r/run.log", Bytes::from_static(b"one")).await.unwrap();
    store.replace("runs/r/run.log", Bytes::from_static(b"one and two")).await.unwrap();

    let listed = store.list("").await.unwrap();
    let sizes: Vec<(&str, u64)> = listed.iter().map(|entry| (entry.name.as_str(), entry.bytes)).collect();
    assert_eq!(
        sizes,
        [
            ("backups/b/data/1.copy.gz", 8 << 20),
            ("backups/b/empty", 0),
            ("runs/r/journal/000001.json", 2),
            ("runs/r/run.log", 11),
        ]
    );
    for entry in &listed {
        store.delete(&entry.name).await.unwrap();
        store.delete(&entry.name).await.unwrap();
    }
    assert_eq!(store.list("").await.unwrap(), []);
}
