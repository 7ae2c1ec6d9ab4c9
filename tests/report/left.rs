//! What a run left to be done: others' writes, and sessions on replicas.

use backstay::event::{LineId, Phase};
use backstay::failure::{Failure, Verdict};
use backstay::journal::Entry;
use backstay::report::{Report, page};
use backstay::steps::{Left, Stranded};
use serde_json::json;

use crate::tales::{self, BACK, LEDGER, cards, rolled_back_leaving, turned_back};

#[test]
fn a_rollback_tells_where_the_writes_since_the_release_are() {
    let report = Report::of(&tales::rolled_back());
    assert_eq!(report.document()["writes"]["kept"], LEDGER);
    let next = report.next.join("\n");
    assert!(next.contains(&format!("{LEDGER} on the store keeps it")), "{next}");
    assert!(next.contains("is kept as shop__f_x_1"), "{next}");
    let page = page(&report);
    assert!(
        page.contains("What others wrote") && page.contains("what was written since the release"),
        "{page}"
    );
}

#[test]
fn what_is_left_on_replicas_is_told() {
    let next = "on the replica reports (10.0.4.9), once it has caught up: SELECT pg_terminate_backend(pid)";
    let (replica, why) = ("reports".to_string(), "no answer".to_string());
    let left = Left { replicas: vec![Stranded { replica, why, next: next.into() }], ledger: None };
    let report = Report::of(&rolled_back_leaving(left.clone()));
    assert!(report.next.iter().any(|step| step == next), "{:?}", report.next);

    let mut tale = turned_back();
    tale.done(LineId::Back(3), BACK[2], 90, "the old database serves", json!(left)).end(Verdict::PutBack);
    let report = Report::of(&tale.told());
    assert!(report.next.iter().any(|step| step == next), "{:?}", report.next);
}

/// With `on_writes = "put-back"` only the look behind the fence may have found them.
#[test]
fn writes_that_only_the_swap_found_are_told() {
    let mut tale = turned_back();
    let none = json!({ "foreign": false, "ledger": { "entries": [] } });
    tale.done(LineId::Back(1), BACK[0], 9, "nobody else wrote", none)
        .done(LineId::Back(3), BACK[2], 90, "the old database serves", json!({ "ledger": LEDGER }))
        .end(Verdict::PutBack);
    let report = Report::of(&tale.told());
    assert_eq!(report.document()["writes"]["kept"], LEDGER);
    assert!(report.next.iter().any(|step| step.contains(LEDGER)), "{:?}", report.next);
    assert!(page(&report).contains("Production was put back without it"));
}

#[test]
fn every_end_that_asks_for_something_has_its_step() {
    let step = |verdict| {
        let mut tale = turned_back();
        tale.say(Entry::PutBackBegan { lines: cards(Phase::PutBack, BACK, 1) }).end(verdict);
        Report::of(&tale.told()).next
    };
    let has = |verdict, words: &str| {
        let next = step(verdict);
        assert!(next.iter().any(|step| step.contains(words)), "{verdict:?}: {next:?}");
    };
    has(Verdict::Refused, "mend the cause, then run the release again");
    has(Verdict::PutBack, "backstay cleanup -e production drops it");
    has(Verdict::ChangedButFailing, "production serves the new version");
    has(Verdict::NotPutBack, "tries to put back again");
    has(Verdict::Internal, "backstay status -e production");
    let mut own = turned_back();
    let knows = Failure::failed("x").then("backstay resume X --put-back");
    own.fail(LineId::Back(1), 9, knows).end(Verdict::NotPutBack);
    let next = Report::of(&own.told()).next;
    assert_eq!(next.iter().filter(|step| step.starts_with("backstay resume")).count(), 1, "{next:?}");
}
