//! The journal over the bucket: of two drivers one wins, and what is there is one unbroken chain.

use std::sync::Arc;

use backstay::event::LineId;
use backstay::journal::{self, Driver, Entry, Journal, JournalError};
use backstay::store::Store;

use crate::fake::{Fake, Fault, On};

fn store(fake: &Fake) -> Arc<dyn Store> {
    Arc::new(fake.store())
}

fn started(n: u32) -> Entry {
    Entry::Started { line: LineId::Line(n), name: format!("line {n}"), intent: serde_json::Value::Null }
}

/// Appends until it is told that another owns the run; gives how many records it wrote.
async fn drive(mut journal: Journal, most: u32) -> (u32, Option<JournalError>) {
    for n in 0..most {
        if let Err(error) = journal.append(started(n)).await {
            return (n, Some(error));
        }
    }
    (most, None)
}

#[tokio::test]
async fn of_two_drivers_one_wins_whatever_gets_lost() {
    let fake = Fake::start().await;
    let (one, other) = (store(&fake), store(&fake));
    for round in 0..6 {
        let run = format!("r{round}");
        for _ in 0..6 {
            fake.once(On::Upload, Fault::LoseReply);
            fake.once(On::Upload, Fault::CutRequest(10));
            fake.once(On::Upload, Fault::Answer(503, ""));
            fake.once(On::Look, Fault::Answer(503, ""));
        }
        let (first, second) = tokio::join!(
            drive(Journal::begin(one.clone(), run.clone()), 5),
            drive(Journal::begin(other.clone(), run.clone()), 5),
        );
        let mut written = [first.0, second.0];
        written.sort_unstable();
        assert_eq!(written, [0, 5], "{first:?} {second:?}");
        let lost = first.1.or(second.1);
        assert!(matches!(lost, Some(JournalError::Lost { number: 1, .. })), "{lost:?}");
        assert_eq!(journal::read(&*one, &run).await.unwrap().records.len(), 5);
        fake.heal();
    }
    assert_eq!(journal::runs(&*one).await.unwrap().len(), 6);
}

#[tokio::test]
async fn a_takeover_fences_the_driver_before() {
    let fake = Fake::start().await;
    let mut first = Journal::begin(store(&fake), "r".into());
    first.append(started(1)).await.unwrap();
    let other = store(&fake);
    let history = journal::read(&*other, "r").await.unwrap();
    let mut second = Journal::take_over(other, "r".into(), &history);
    fake.once(On::Upload, Fault::LoseReply);
    second.append(Entry::TookOver { driver: Box::new(Driver::this_process()) }).await.unwrap();
    let lost = first.append(started(2)).await;
    assert!(matches!(lost, Err(JournalError::Lost { number: 2, .. })), "{lost:?}");
}

/// The bucket was tried for as long as makes sense: the journal does not multiply it.
#[tokio::test]
async fn an_outage_is_waited_for_once() {
    let fake = Fake::start().await;
    fake.always(On::Upload, Fault::Answer(503, ""));
    let mut journal = Journal::begin(Arc::new(fake.brief_store()), "r".into());
    let began = std::time::Instant::now();
    assert!(matches!(journal.append(started(1)).await, Err(JournalError::Store(_))));
    assert!(began.elapsed() < std::time::Duration::from_millis(1200), "{:?}", began.elapsed());
}
