//! Faults that pass: the store hides them, and what it then says is true.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backstay::store::{Created, Entry, Gcs, GcsOptions, Location, Patience, Store, StoreError};
use bytes::Bytes;

use crate::fake::{Fake, Fault, On, quick};

/// A megabyte that compresses badly and begins with its seed.
fn bytes(seed: u32) -> Bytes {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_le_bytes()
    };
    (0..1 << 18).flat_map(|_| next()).collect::<Vec<u8>>().into()
}

fn faults_that_pass() -> Vec<Fault> {
    vec![
        Fault::Answer(503, "Backend Error"),
        Fault::Answer(500, "Internal Error"),
        Fault::Answer(502, ""),
        Fault::Answer(504, ""),
        Fault::Answer(408, "Request Timeout"),
        Fault::Answer(429, "The rate of change requests exceeds the rate limit."),
        Fault::Page(503, "<html><body>We're sorry</body></html>"),
        Fault::CutRequest(0),
        Fault::LoseReply,
        Fault::CutReply(4),
    ]
}

#[tokio::test]
async fn every_operation_outlives_every_fault_that_passes() {
    for fault in faults_that_pass() {
        let fake = Fake::start().await;
        let store = fake.store();
        for on in [On::Upload, On::Read, On::List, On::Delete] {
            fake.times(3, on, fault.clone());
        }
        let body = Bytes::from_static(b"a record");
        assert_eq!(store.create("runs/r/1", body.clone()).await.unwrap(), Created::New, "{fault:?}");
        assert_eq!(store.read("runs/r/1").await.unwrap(), body, "{fault:?}");
        let listed = store.list("runs/").await.unwrap();
        assert_eq!(listed, [Entry { name: "runs/r/1".into(), bytes: 8 }], "{fault:?}");
        fake.times(2, On::Upload, fault.clone());
        store.replace("runs/r/1", Bytes::from_static(b"other")).await.unwrap();
        assert_eq!(store.read("runs/r/1").await.unwrap(), b"other", "{fault:?}");
        store.delete("runs/r/1").await.unwrap();
        assert_eq!(fake.object("shop/runs/r/1"), None, "{fault:?}");
    }
}

#[tokio::test]
async fn an_upload_that_is_cut_leaves_the_whole_object_or_none() {
    let fake = Fake::start().await;
    let store = fake.store();
    for (n, cut) in [0, 1, 300, 1 << 16, 900_000].into_iter().enumerate() {
        let (name, body) = (format!("data/{n}"), bytes(n as u32));
        fake.times(2, On::Upload, Fault::CutRequest(cut));
        assert_eq!(store.create(&name, body.clone()).await.unwrap(), Created::New);
        assert!(fake.object(&format!("shop/{name}")).unwrap().bytes == body);
    }
    // Cut for ever: nothing is there.
    fake.always(On::Upload, Fault::CutRequest(1 << 16));
    assert!(fake.brief_store().create("data/none", bytes(9)).await.is_err());
    assert_eq!(fake.object("shop/data/none"), None);
}

#[tokio::test]
async fn a_lost_reply_is_no_lost_race() {
    let fake = Fake::start().await;
    let store = fake.store();
    fake.once(On::Upload, Fault::LoseReply);
    assert_eq!(store.create("runs/r/1", Bytes::from_static(b"mine")).await.unwrap(), Created::New);
    assert_eq!(fake.count(On::Upload), 2, "the second try found the first one's object");

    // All replies lost, all answers to the question whose it is slow: still ours.
    fake.times(2, On::Upload, Fault::LoseReply);
    fake.times(2, On::Look, Fault::Answer(503, ""));
    assert_eq!(store.create("runs/r/2", Bytes::from_static(b"mine")).await.unwrap(), Created::New);
}

#[tokio::test]
async fn a_lost_race_is_no_lost_reply() {
    let fake = Fake::start().await;
    let store = fake.store();
    // The same bytes, by somebody else, in the moment between our two tries.
    fake.once(On::Upload, Fault::Answer(503, ""));
    fake.once(On::Upload, Fault::OvertakenBy(b"mine"));
    assert_eq!(store.create("runs/r/1", Bytes::from_static(b"mine")).await.unwrap(), Created::Exists);

    // Gone again before we could look whose it was: it was there, and not by us.
    fake.put("shop/runs/r/2", b"theirs");
    fake.once(On::Look, Fault::Answer(404, "No such object: b/o"));
    assert_eq!(store.create("runs/r/2", Bytes::from_static(b"mine")).await.unwrap(), Created::Exists);
}

/// Where nobody can say whose it is, nothing is claimed.
#[tokio::test]
async fn an_unanswered_question_is_an_error() {
    let fake = Fake::start().await;
    fake.once(On::Upload, Fault::LoseReply);
    fake.always(On::Look, Fault::Answer(503, ""));
    let answer = fake.brief_store().create("runs/r/1", Bytes::from_static(b"mine")).await;
    assert!(matches!(answer, Err(StoreError::Bucket(_))), "{answer:?}");
}

#[tokio::test]
async fn creators_race_through_lost_replies() {
    let fake = Fake::start().await;
    fake.times(20, On::Upload, Fault::LoseReply);
    let mut racers = tokio::task::JoinSet::new();
    for n in 0..10 {
        let store = Arc::new(fake.store());
        racers.spawn(async move { (n, store.create("one", format!("{n}").into()).await.unwrap()) });
    }
    let won: Vec<i32> =
        racers.join_all().await.into_iter().filter(|(_, c)| *c == Created::New).map(|(n, _)| n).collect();
    assert_eq!(won.len(), 1, "{won:?}");
    assert_eq!(fake.object("shop/one").unwrap().bytes, format!("{}", won[0]));
}

#[tokio::test]
async fn a_download_that_is_cut_or_slow_comes_whole() {
    let fake = Fake::start().await;
    let store = fake.store();
    let body = bytes(1);
    store.create("data/1", body.clone()).await.unwrap();
    let slow = Fault::Drip(1 << 17, Duration::from_millis(15));
    for fault in [Fault::CutReply(0), Fault::CutReply(1 << 19), slow, Fault::Late(Duration::from_millis(100))]
    {
        fake.times(2, On::Read, fault.clone());
        assert!(store.read("data/1").await.unwrap() == body, "{fault:?}");
        fake.heal();
    }
    // So slow that it never comes: an error, in a bounded time.
    fake.always(On::Read, Fault::Drip(1 << 10, Duration::from_millis(50)));
    let began = Instant::now();
    let error = fake.brief_store().read("data/1").await.map(drop).unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    assert!(matches!(error, StoreError::Bucket(_)), "{error:?}");
}

#[tokio::test]
async fn bytes_that_change_on_the_way_are_never_taken() {
    let fake = Fake::start().await;
    let store = fake.store();
    let body = bytes(2);
    fake.times(2, On::Upload, Fault::Flip);
    assert_eq!(store.create("data/1", body.clone()).await.unwrap(), Created::New);
    assert!(fake.object("shop/data/1").unwrap().bytes == body);
    fake.always(On::Upload, Fault::Flip);
    assert!(fake.brief_store().create("data/2", body.clone()).await.is_err());
    assert_eq!(fake.object("shop/data/2"), None);

    fake.once(On::Read, Fault::Unsummed { flip: false });
    assert!(store.read("data/1").await.unwrap() == body);
    assert_eq!(fake.count(On::Look), 1, "the sum was asked for");
    let unsummed = Fault::Unsummed { flip: true };
    for fault in [Fault::Flip, unsummed, Fault::Short(1), Fault::Short(1 << 20)] {
        fake.times(2, On::Read, fault.clone());
        assert!(store.read("data/1").await.unwrap() == body, "{fault:?}");
        fake.always(On::Read, fault.clone());
        assert!(fake.brief_store().read("data/1").await.is_err(), "{fault:?}");
        fake.heal();
    }
}

/// A connection over which nothing comes is given up, and the next one serves.
#[tokio::test]
async fn silence_is_not_waited_for() {
    let fake = Fake::start().await;
    let patience = Patience { attempt: Duration::from_millis(1000), ..quick() };
    let store =
        Gcs::new(Location::parse("gs://acme-backups").unwrap(), GcsOptions { patience, ..fake.options() });
    for on in [On::Upload, On::Read, On::List, On::Delete] {
        fake.once(on, Fault::Late(Duration::from_secs(60)));
    }
    assert_eq!(store.create("runs/r/1", Bytes::from_static(b"x")).await.unwrap(), Created::New);
    assert_eq!(store.read("runs/r/1").await.unwrap(), b"x");
    assert_eq!(store.list("").await.unwrap().len(), 1);
    store.delete("runs/r/1").await.unwrap();
    assert_eq!(fake.object("runs/r/1"), None);
}

#[tokio::test]
async fn a_listing_has_all_pages_and_nothing_that_is_none_of_ours() {
    let fake = Fake::start().await;
    let store = fake.store();
    let names: Vec<String> = (0..25).map(|n| format!("runs/{n:02}")).collect();
    for name in &names {
        fake.put(&format!("shop/{name}"), b"x");
    }
    for foreign in
        ["shop/", "shop/runs/", "shop/runs/a b", "shop/runs/.x", "shopping/runs/1", "other", "shop"]
    {
        fake.put(foreign, b"x");
    }
    fake.page(4);
    fake.times(2, On::List, Fault::Answer(503, ""));
    let listed: Vec<String> = store.list("").await.unwrap().into_iter().map(|e| e.name).collect();
    assert_eq!(listed, names);
    assert!(fake.count(On::List) > 6);
}
