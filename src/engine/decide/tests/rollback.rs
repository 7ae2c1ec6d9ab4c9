//! A release taken back: by another database in production's place, and where there is no production to go back to.

use super::*;
use crate::rollback::{By, Order};

fn plan(gone: bool) -> Plan {
    let order = Order {
        by: By::Backup,
        release: None,
        backup: Some("b".into()),
        targets: Default::default(),
        marked: false,
        gone,
    };
    let raise = Action::RaiseFlag { max: Duration::from_secs(60), put_back_after: None };
    let mut lines = vec![(Phase::During, raise)];
    if !gone {
        lines.push((Phase::During, Action::Close));
    }
    lines.extend([
        (Phase::During, command("start it again")),
        (Phase::During, Action::RestoreAside { backup: "b".into() }),
        (Phase::During, Action::Exchange),
        (Phase::Open, Action::Open),
        (Phase::Open, command("start the new code")),
        (Phase::Open, Action::Prove { health: true }),
        (Phase::Open, Action::ClearFlag),
        (Phase::After, Action::Step(StepKind::Record(crate::runbook::RecordStep::default()))),
    ]);
    let line = |(n, (phase, action))| Line { id: LineId::Line(n), phase, name: format!("line {n}"), action };
    let lines = (1..).zip(lines).map(line).collect();
    Plan { lines, first_deploy: false, on_writes: OnWrites::Ask, rollback: Some(order) }
}

fn position(plan: &Plan, wanted: fn(&Action) -> bool) -> LineId {
    plan.find(wanted).unwrap().id
}

#[test]
fn what_was_not_exchanged_is_only_opened_again() {
    let plan = plan(false);
    let names = |wanted| {
        let mut journal = Journal::begin();
        let verdict = journal.drive(&plan, &World::failing(&[position(&plan, wanted)]), 1);
        assert_eq!(verdict, Verdict::PutBack);
        let back = way_back(&plan, &State::of(&journal.0));
        back.into_iter().map(|line| line.name).collect::<Vec<_>>()
    };
    let (prove, clear) = ("prove that production serves", "clear the flag");
    let aside = names(|action| matches!(action, Action::RestoreAside { .. }));
    assert_eq!(aside, ["undo line 3", "open the unchanged database", prove, clear]);
    let back = "put the present database back";
    assert_eq!(names(|action| matches!(action, Action::Exchange)), ["undo line 3", back, prove, clear]);
    let proof = names(|action| matches!(action, Action::Prove { .. }));
    assert_eq!(proof, ["look for writes of others", "undo line 7", "undo line 3", back, prove, clear]);
}

#[test]
fn killed_at_any_record_it_ends_as_it_would_have() {
    for gone in [false, true] {
        let plan = plan(gone);
        let worlds = (0..=plan.lines.len() as u32).map(|n| World::failing(&[LineId::Line(n)]));
        for world in worlds {
            let mut whole = Journal::begin();
            let undisturbed = whole.drive(&plan, &world, 1);
            for (cut, probes_done) in (0..=whole.0.len()).flat_map(|cut| [(cut, true), (cut, false)]) {
                let mut journal = Journal(whole.0[..cut].to_vec());
                journal.take_over(2);
                let verdict = journal.drive(&plan, &World { probes_done, ..world.clone() }, 2);
                assert_eq!(
                    verdict, undisturbed,
                    "gone: {gone}, fails: {:?}, killed after {cut}",
                    world.fails
                );
            }
        }
    }
}

#[test]
fn with_nothing_to_go_back_to_a_failed_line_is_tried_again() {
    let plan = plan(true);
    for line in plan.lines.iter().filter(|line| line.phase != Phase::After).map(|line| line.id) {
        let mut journal = Journal::begin();
        assert_eq!(journal.drive(&plan, &World::failing(&[line]), 1), Verdict::NotPutBack, "{line}");
        assert!(!State::of(&journal.0).putting_back, "{line}");
        journal.take_over(2);
        assert_eq!(journal.drive(&plan, &World::default(), 2), Verdict::Done, "{line}");
    }
    let mut journal = Journal::after(&plan, 3);
    journal.push(1, Entry::Interrupted { how: "SIGTERM".into(), onward: Onward::PutBack });
    assert_eq!(journal.drive(&plan, &World::default(), 1), Verdict::InterruptedInWindow);
    journal.take_over(2);
    assert_eq!(journal.drive(&plan, &World::default(), 2), Verdict::Done);
}
