//! Who said what, and who is said to have been there.

use backstay::report::{Report, page};
use backstay::steps::{Approval, How};
use serde_json::{Value, json};

use crate::tales::{Tale, approved, checklist, line};

/// The page of a run whose line 5 left these facts.
fn told(facts: Value) -> String {
    let mut tale = Tale::begin(checklist());
    tale.done(line(5), "approve", 9, "1 migration", facts);
    page(&Report::of(&tale.told()))
}

#[test]
fn an_agreement_in_a_plan_file_is_told_as_the_file_has_it() {
    let at = "2026-11-20T17:00:00Z".parse().expect("a time");
    let facts = |how: How| {
        let [by, recorded_by, of] = ["alice", "bot on ci-7", "3f2a"].map(String::from);
        let approval = Approval { by, how, recorded_by, at, of };
        json!({ "by": "alice", "host": "runner-7", "asked": false, "plan": { "hash": "3f2a", "approval": approval } })
    };
    let typed = told(facts(How::Typed));
    assert!(typed.contains("alice, typed at a terminal, as bot on ci-7 wrote down in the plan"), "{typed}");
    let said = told(facts(How::Said));
    assert!(said.contains("alice, as bot on ci-7 said by backstay approve --yes"), "{said}");
    for page in [typed, said] {
        assert!(!page.contains("alice on runner-7") && !page.contains("nobody was asked"), "{page}");
    }
    // A plan in which nobody agreed: whoever ran it was asked, or said --yes.
    let facts = json!({ "by": "maria", "host": "runner-7", "asked": false, "plan": { "hash": "3f2a", "approval": null } });
    assert!(told(facts).contains("maria on runner-7, by --yes: nobody was asked"));
}

#[test]
fn who_answered_by_a_file_is_not_said_to_have_been_there() {
    let facts = |file: Value| json!({ "ask": "Are on-call told?", "answer": "yes", "by": "Anna Schmidt", "host": "runner-7", "driver": "ci", "file": file });
    let page = told(facts("answers.toml".into()));
    assert!(page.contains("Anna Schmidt, from answers.toml, which ci on runner-7 gave"), "{page}");
    assert!(!page.contains("Anna Schmidt on runner-7"), "{page}");
    let page = told(facts(Value::Null));
    assert!(page.contains("Anna Schmidt on runner-7, asked at a terminal"), "{page}");
}

#[test]
fn a_run_outside_of_the_schedule_is_somebody_s_decision() {
    let mut tale = approved();
    let [who, why, was] = ["maria on runner-7", "the shop is down", "freeze of November"].map(String::from);
    tale.say(backstay::journal::Entry::OutsideSchedule { who, why, was });
    let page = page(&Report::of(&tale.told()));
    assert!(
        page.contains("maria on runner-7: run outside of it (freeze of November): the shop is down"),
        "{page}"
    );
}
