//! What can't be cut, such as a row of hundreds of megabytes: sent in a session that goes on where it broke, and
//! read in pieces that are checked together.

use backstay::store::{Created, Store};
use bytes::Bytes;
use tokio::io::AsyncReadExt;

use crate::fake::{Fake, Fault, On};

/// Three pieces; every four bytes of it are different.
fn bytes() -> Bytes {
    (0..33u32 << 18).flat_map(u32::to_le_bytes).collect::<Vec<u8>>().into()
}

#[tokio::test]
async fn a_session_goes_on_where_it_broke() {
    let (fake, body) = (Fake::start().await, bytes());
    fake.once(On::Begin, Fault::Answer(503, ""));
    fake.times(2, On::Continue, Fault::CutRequest(9 << 20));
    fake.once(On::Progress, Fault::Answer(503, ""));
    let store = fake.store();
    assert_eq!(store.create("data/1", body.clone()).await.unwrap(), Created::New);
    assert!(fake.object("shop/data/1").unwrap().bytes == body);
    assert_eq!((fake.count(On::Upload), fake.count(On::Begin)), (0, 2), "the session itself went on");
    assert_eq!(store.create("data/1", body).await.unwrap(), Created::Exists);
}

#[tokio::test]
async fn a_lost_reply_to_a_session_is_no_lost_race() {
    let (fake, body) = (Fake::start().await, bytes());
    fake.always(On::Continue, Fault::LoseReply);
    fake.always(On::Progress, Fault::Answer(503, ""));
    // Each session ends without an answer; the second one finds the first one's object.
    assert_eq!(fake.store().create("data/1", body.clone()).await.unwrap(), Created::New);
    assert!(fake.object("shop/data/1").unwrap().bytes == body);
}

#[tokio::test]
async fn pieces_come_whole_through_faults() {
    let (fake, body) = (Fake::start().await, bytes());
    fake.put("shop/data/1", &body);
    let store = fake.store();
    fake.once(On::Read, Fault::CutReply(1 << 20));
    fake.once(On::Read, Fault::Answer(503, ""));
    assert!(store.read("data/1").await.unwrap() == body);

    let mut reader = store.reader("data/1").await.unwrap();
    fake.times(2, On::Read, Fault::CutReply(5 << 20));
    fake.once(On::Read, Fault::Short(1));
    let mut read = Vec::new();
    reader.read_to_end(&mut read).await.unwrap();
    assert!(read == body);
}

#[tokio::test]
async fn a_changed_piece_is_an_error_before_the_end() {
    let (fake, body) = (Fake::start().await, bytes());
    fake.put("shop/data/1", &body);
    let mut reader = fake.store().reader("data/1").await.unwrap();
    fake.once(On::Read, Fault::Flip);
    let mut read = Vec::new();
    let error = reader.read_to_end(&mut read).await.unwrap_err();
    assert!(read.len() < body.len(), "the last piece is not handed on");
    assert!(error.to_string().contains("shop/data/1"), "{error}");
}

/// One reader sees one version, or says so.
#[tokio::test]
async fn an_object_that_is_replaced_under_its_reader_is_an_error() {
    let (fake, body) = (Fake::start().await, bytes());
    fake.put("shop/data/1", &body);
    let mut reader = fake.store().reader("data/1").await.unwrap();
    fake.put("shop/data/1", &body);
    let error = reader.read_to_end(&mut Vec::new()).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("replaced or deleted"), "{error}: {source}");
}
