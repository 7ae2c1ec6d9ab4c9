//! Faults that stay: bounded, and told so that a person knows what to check. And no secret in any of them.

use std::time::{Duration, Instant};

use backstay::failure::Failure;
use backstay::store::{Gcs, GcsOptions, Location, Store, StoreError};
use bytes::Bytes;
use google_cloud_auth::credentials::{Credentials, user_account};

use crate::fake::{Fake, Fault, On, brief};

/// What a person reads.
fn told(error: StoreError) -> String {
    let failure = Failure::from(error);
    format!("{failure}\n{}", failure.next.join("\n"))
}

async fn refused(store: &Gcs, on: On) -> String {
    told(match on {
        On::Upload => store.create("runs/r/1", Bytes::from_static(b"x")).await.unwrap_err(),
        On::Read => store.read("runs/r/1").await.unwrap_err(),
        On::List => store.list("runs/").await.unwrap_err(),
        On::Delete => store.delete("runs/r/1").await.unwrap_err(),
        on => panic!("{on:?}"),
    })
}

#[tokio::test]
async fn an_outage_ends_in_time_and_says_what_to_check() {
    for (on, what) in [
        (On::Upload, "write shop/runs/r/1"),
        (On::Read, "read shop/runs/r/1"),
        (On::List, "list the objects under shop/runs/"),
        (On::Delete, "delete shop/runs/r/1"),
    ] {
        let fake = Fake::start().await;
        fake.always(on, Fault::Answer(503, "Backend Error"));
        let began = Instant::now();
        let text = refused(&fake.brief_store(), on).await;
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        let first = format!(
            "could not {what} in the bucket acme-backups: the service answered 503 (Backend Error); tried "
        );
        assert!(text.starts_with(&first), "{text}");
        assert!(text.contains(" times in ") && text.contains("status.cloud.google.com"), "{text}");
        assert!(fake.count(on) > 2, "{}", fake.count(on));
    }
}

#[tokio::test]
async fn what_no_retry_mends_is_told_at_once() {
    for on in [On::Upload, On::Read, On::List, On::Delete] {
        for (status, message, told) in [
            (401, "Invalid Credentials", "gcloud auth application-default login"),
            (403, "robot@acme.iam does not have access", "roles/storage.objectUser"),
            (404, "The specified bucket does not exist.", "check the name of the bucket in [store] url"),
            (400, "Invalid argument.", "gcloud storage objects list gs://acme-backups/shop/runs/"),
        ] {
            let fake = Fake::start().await;
            fake.always(on, Fault::Answer(status, message));
            let text = refused(&fake.brief_store(), on).await;
            assert!(text.contains(told) && text.contains(message), "{status}: {text}");
            assert!(text.contains("acme-backups"), "{text}");
            assert_eq!(fake.count(on), 1, "{text}");
        }
    }
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_no_missing_object() {
    let fake = Fake::start().await;
    let store = Gcs::new(Location::parse("gs://no-such-bucket/x").unwrap(), fake.options());
    for on in [On::Upload, On::Read, On::List, On::Delete] {
        let text = refused(&store, on).await;
        assert!(text.contains("in the bucket no-such-bucket: the service answered 404"), "{text}");
        assert!(text.contains("backstay creates none"), "{text}");
    }
}

/// A body that does not say which of both is missing.
#[tokio::test]
async fn an_object_that_is_missing_is_told_by_a_listing() {
    let fake = Fake::start().await;
    fake.always(On::Read, Fault::Page(404, "Not Found"));
    assert!(matches!(fake.store().read("runs/r/1").await, Err(StoreError::Missing { .. })));
    fake.always(On::List, Fault::Page(404, "Not Found"));
    assert!(matches!(fake.store().read("runs/r/1").await, Err(StoreError::Bucket(_))));
}

#[tokio::test]
async fn nobody_there_is_told_with_the_address() {
    let options =
        GcsOptions { emulator: Some("127.0.0.1:1".into()), patience: brief(), ..Default::default() };
    let store = Gcs::new(Location::parse("gs://acme").unwrap(), options);
    assert_eq!(store.url(), "gs://acme (emulated at http://127.0.0.1:1)");
    for on in [On::Upload, On::Read, On::List, On::Delete] {
        let text = refused(&store, on).await;
        assert!(text.contains("could not connect: ") && text.contains("refused"), "{text}");
        assert!(text.contains("STORAGE_EMULATOR_HOST leads to http://127.0.0.1:1"), "{text}");
    }
}

/// Credentials of a person, whose tokens the fake gives out.
fn credentials(fake: &Fake) -> Credentials {
    let login = serde_json::json!({
        "type": "authorized_user", "client_id": "id", "client_secret": "s3cret-client",
        "refresh_token": "s3cret-refresh",
    });
    user_account::Builder::new(login)
        .with_token_uri(format!("http://{}/token", fake.address()))
        .build()
        .expect("credentials")
}

fn with_credentials(fake: &Fake) -> Gcs {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = GcsOptions { credentials: Some(credentials(fake)), patience: brief(), ..fake.options() };
    Gcs::new(Location::parse("gs://acme-backups/shop").unwrap(), options)
}

#[tokio::test]
async fn every_request_says_who_we_are() {
    let fake = Fake::start().await;
    let store = with_credentials(&fake);
    store.create("runs/r/1", Bytes::from_static(b"x")).await.unwrap();
    store.create("runs/r/1", Bytes::from_static(b"x")).await.unwrap();
    store.read("runs/r/1").await.unwrap();
    store.list("").await.unwrap();
    store.delete("runs/r/1").await.unwrap();
    store.replace("large", vec![7; 17 << 20].into()).await.unwrap();
    let seen = fake.seen();
    for on in [On::Upload, On::Look, On::Read, On::List, On::Delete, On::Begin, On::Continue] {
        let one = seen.iter().find(|seen| seen.on == on).unwrap_or_else(|| panic!("no {on:?}"));
        assert_eq!(one.authorization.as_deref(), Some("Bearer ya29.s3cret-token"), "{on:?}");
    }
}

#[tokio::test]
async fn no_error_holds_a_secret() {
    let faults = [
        Fault::Answer(401, "Invalid Credentials"),
        Fault::Answer(403, "no"),
        Fault::Answer(503, ""),
        Fault::CutRequest(10),
        Fault::Page(200, "{"),
    ];
    for fault in faults {
        let fake = Fake::start().await;
        let store = with_credentials(&fake);
        for on in [On::Upload, On::Read, On::List, On::Delete] {
            fake.always(on, fault.clone());
        }
        for on in [On::Upload, On::Read, On::List] {
            let text = refused(&store, on).await;
            assert!(!text.contains("s3cret") && !text.contains("ya29"), "{fault:?}: {text}");
        }
    }
    // An upload session's address is as good as a key.
    let fake = Fake::start().await;
    let store = with_credentials(&fake);
    fake.always(On::Continue, Fault::CutRequest(10));
    let text = told(store.create("large", vec![7; 17 << 20].into()).await.unwrap_err());
    assert!(!text.contains("s3cret"), "{text}");
}

#[tokio::test]
async fn credentials_that_cannot_be_had_are_told_at_once() {
    for fault in [Fault::Answer(400, "invalid_grant: Bad Request"), Fault::Answer(503, "try later")] {
        let fake = Fake::start().await;
        fake.always(On::Token, fault);
        let store = with_credentials(&fake);
        for on in [On::Upload, On::Read, On::List, On::Delete] {
            let text = refused(&store, on).await;
            assert!(text.contains("GOOGLE_APPLICATION_CREDENTIALS"), "{text}");
            assert!(text.contains("invalid_grant") || text.contains("try later"), "{text}");
            assert!(
                !text.contains("tried") && !text.contains("attempts") && !text.contains("s3cret"),
                "{text}"
            );
        }
        assert_eq!(fake.count(On::Upload), 0);
    }
}
