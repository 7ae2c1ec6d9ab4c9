//! A simulated world: lines succeed or fail as told, drivers die at any record, probes answer either way.

mod rollback;

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::failure::Failure;
use crate::journal::{Driver, Entry, FORMAT, Record};
use crate::runbook::{CommandStep, GuardKind, Level, StepKind, Undo};

fn command(undo: &str) -> Action {
    Action::Step(StepKind::Command(CommandStep {
        run: vec!["do".into()],
        undo: Undo::Run(vec![undo.into()]),
        timeout: Duration::from_secs(1),
        directory: None,
        env: Default::default(),
        url: None,
    }))
}

fn release() -> Plan {
    let step = |kind| Action::Step(kind);
    let lines = [
        (Phase::Before, step(StepKind::Preflight)),
        (Phase::Before, step(StepKind::Backup { verify: Level::Read })),
        (Phase::Before, step(StepKind::Preview)),
        (Phase::Before, step(StepKind::Approve)),
        (Phase::During, Action::RaiseFlag { max: Duration::from_secs(60), put_back_after: None }),
        (Phase::During, Action::Close),
        (Phase::During, Action::Guard(GuardKind::Clone)),
        (Phase::During, step(StepKind::Migrate { to: "head".into(), root: None })),
        (Phase::During, step(StepKind::Verify(Default::default()))),
        (Phase::Open, Action::Open),
        (Phase::Open, command("undo-1")),
        (Phase::Open, command("undo-2")),
        (Phase::Open, step(StepKind::Health { http: vec![], sql: vec![] })),
        (Phase::Open, Action::Prove { health: false }),
        (Phase::Open, Action::ClearFlag),
        (Phase::After, step(StepKind::Record(Default::default()))),
    ];
    let lines = (1..)
        .zip(lines)
        .map(|(n, (phase, action))| Line { id: LineId::Line(n), phase, name: format!("line {n}"), action })
        .collect();
    Plan { lines, first_deploy: false, on_writes: OnWrites::Ask, rollback: None }
}

/// How the simulated world answers.
#[derive(Clone, Default)]
struct World {
    /// Lines that fail, each time they run.
    fails: Vec<LineId>,
    /// Others wrote after `open`.
    foreign: bool,
    /// What probes find of a line that was under way: done, or not begun.
    probes_done: bool,
    /// What a person answers about writes.
    put_back_anyway: bool,
}

struct Journal(Vec<Record>);

impl Journal {
    fn begin() -> Self {
        Journal(Vec::new())
    }

    /// A run of which the first lines did what they should.
    fn after(plan: &Plan, lines_done: u32) -> Self {
        let mut journal = Journal::begin();
        for line in (1..=lines_done).map(LineId::Line) {
            journal.push(1, Entry::Started { line, name: String::new(), intent: Value::Null });
            journal.push(1, World::default().outcome(plan, &State::default(), line));
        }
        journal
    }

    fn push(&mut self, epoch: u32, entry: Entry) {
        let number = self.0.len() as u32 + 1;
        let at = jiff::Timestamp::UNIX_EPOCH;
        let (run, nonce, previous) = ("r".into(), "n".into(), String::new());
        self.0.push(Record { format: FORMAT, number, run, epoch, nonce, at, previous, entry });
    }

    /// Drives on to the end; gives the verdict.
    fn drive(&mut self, plan: &Plan, world: &World, epoch: u32) -> Verdict {
        for _ in 0..200 {
            let state = State::of(&self.0);
            match decide(plan, &state) {
                Decision::Run(line) => {
                    let name = String::new();
                    self.push(epoch, Entry::Started { line, name, intent: Value::Null });
                    self.push(epoch, world.outcome(plan, &state, line));
                }
                Decision::Probe(line) if world.probes_done => {
                    self.push(epoch, world.outcome(plan, &state, line));
                }
                Decision::Probe(line) => self.push(epoch, Entry::Abandoned { line, why: String::new() }),
                Decision::PutBack => self.push(epoch, Entry::PutBackBegan { lines: vec![] }),
                Decision::AskAboutWrites(_) if world.put_back_anyway => {
                    self.push(epoch, Entry::PutBackAnyway { who: "me".into() });
                }
                Decision::AskAboutWrites(_) => {
                    self.push(epoch, Entry::Ended { verdict: Verdict::NotPutBack });
                }
                Decision::End(verdict) => return verdict,
            }
        }
        panic!("no end in sight: {:?}", self.0.last());
    }

    fn take_over(&mut self, epoch: u32) {
        self.push(epoch, Entry::TookOver { driver: Box::default() });
    }

    /// The lines that were started, in order.
    fn started(&self) -> Vec<String> {
        self.0
            .iter()
            .filter_map(|r| match &r.entry {
                Entry::Started { line, .. } => Some(line.to_string()),
                _ => None,
            })
            .collect()
    }
}

impl World {
    fn failing(lines: &[LineId]) -> Self {
        World { fails: lines.to_vec(), ..World::default() }
    }

    fn outcome(&self, plan: &Plan, state: &State, line: LineId) -> Entry {
        let ledger = way_back(plan, state)
            .iter()
            .any(|back| back.id == line && matches!(back.action, Action::ReadLedger));
        if self.fails.contains(&line) {
            return Entry::Failed { line, failure: Failure::failed("do it"), millis: 0 };
        }
        let facts = if ledger { json!({ "foreign": self.foreign }) } else { Value::Null };
        Entry::Finished { line, summary: String::new(), facts, millis: 0, probed: false }
    }
}

fn run(world: &World) -> (Verdict, Journal) {
    let mut journal = Journal::begin();
    let verdict = journal.drive(&release(), world, 1);
    (verdict, journal)
}

#[test]
fn a_good_run_starts_every_line_once_in_order() {
    let (verdict, journal) = run(&World::default());
    assert_eq!(verdict, Verdict::Done);
    assert_eq!(journal.started(), (1..=16).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_failure_at_each_line_has_the_verdict_of_its_place() {
    for n in 1..=16 {
        let expected = match n {
            1..=4 => Verdict::Refused,
            5..=14 => Verdict::PutBack,
            15 => Verdict::NotPutBack,
            _ => Verdict::ChangedButFailing,
        };
        let (verdict, _) = run(&World::failing(&[LineId::Line(n)]));
        assert_eq!(verdict, expected, "line {n}");
    }
}

#[test]
fn the_way_back_undoes_what_was_started_and_no_more() {
    let names = |n| {
        let (_, journal) = run(&World::failing(&[LineId::Line(n)]));
        way_back(&release(), &State::of(&journal.0)).into_iter().map(|l| l.name).collect::<Vec<_>>()
    };
    let (prove, clear) = ("prove that production serves", "clear the flag");
    assert_eq!(names(4), [""; 0]);
    assert_eq!(names(5), [prove, clear]);
    assert_eq!(names(6), ["open the unchanged database", prove, clear]);
    assert_eq!(names(7), ["open the unchanged database", prove, clear]);
    assert_eq!(names(8), ["swap the guard in", prove, clear]);
    let ledger = "look for writes of others";
    assert_eq!(names(10), [ledger, "swap the guard in", prove, clear]);
    assert_eq!(names(11), [ledger, "undo line 11", "swap the guard in", prove, clear]);
    assert_eq!(names(13), [ledger, "undo line 12", "undo line 11", "swap the guard in", prove, clear]);
}

#[test]
fn a_flag_that_is_proven_down_leaves_production_untouched() {
    let plan = release();
    let mut journal = Journal::begin();
    for n in 1..=5 {
        let line = LineId::Line(n);
        journal.push(1, Entry::Started { line, name: String::new(), intent: Value::Null });
        let refused = Entry::Failed { line, failure: Failure::refused("raise the flag"), millis: 0 };
        let outcome = if n == 5 { refused } else { World::default().outcome(&plan, &State::default(), line) };
        journal.push(1, outcome);
    }
    assert_eq!(decide(&plan, &State::of(&journal.0)), Decision::End(Verdict::Refused));
}

#[test]
fn others_writes_stop_the_put_back_until_somebody_agrees() {
    let failing = World { foreign: true, ..World::failing(&[LineId::Line(13)]) };
    let (verdict, mut journal) = run(&failing);
    assert_eq!(verdict, Verdict::NotPutBack);
    assert_eq!(journal.started().last().unwrap(), "back-1", "nothing but the look was done");
    journal.take_over(2);
    let verdict = journal.drive(&release(), &World { put_back_anyway: true, ..failing }, 2);
    assert_eq!(verdict, Verdict::PutBack);
    let plan = Plan { on_writes: OnWrites::PutBack, ..release() };
    let world = World { foreign: true, ..World::failing(&[LineId::Line(13)]) };
    assert_eq!(Journal::begin().drive(&plan, &world, 1), Verdict::PutBack);
}

#[test]
fn a_failing_put_back_keeps_the_first_cause_and_can_be_tried_again() {
    let back = way_back(&release(), &State::of(&run(&World::failing(&[LineId::Line(13)])).1.0));
    for line in &back {
        let (verdict, mut journal) = run(&World::failing(&[LineId::Line(13), line.id]));
        assert_eq!(verdict, Verdict::NotPutBack, "{}", line.name);
        let state = State::of(&journal.0);
        assert_eq!(state.first_failure.as_ref().unwrap().0, LineId::Line(13));
        assert_eq!(state.back_failure.as_ref().unwrap().0, line.id);
        journal.take_over(2);
        assert_eq!(journal.drive(&release(), &World::failing(&[LineId::Line(13)]), 2), Verdict::PutBack);
    }
}

/// Kills the driver after every record of a journal, lets the next one find the line under way done or
/// not begun, and gives the verdicts.
fn verdicts_after_death(world: &World, probes_done: bool) -> Vec<(usize, Verdict)> {
    let (_, whole) = run(world);
    (0..=whole.0.len())
        .map(|cut| {
            let mut journal = Journal(whole.0[..cut].to_vec());
            journal.take_over(2);
            (cut, journal.drive(&release(), &World { probes_done, ..world.clone() }, 2))
        })
        .collect()
}

#[test]
fn a_good_run_killed_at_any_record_is_finished_by_the_next_driver() {
    for probes_done in [true, false] {
        for (cut, verdict) in verdicts_after_death(&World::default(), probes_done) {
            assert_eq!(verdict, Verdict::Done, "killed after record {cut}");
        }
    }
}

#[test]
fn a_failing_run_killed_at_any_record_ends_as_it_would_have() {
    for n in 1..=16 {
        let world = World::failing(&[LineId::Line(n)]);
        let (undisturbed, _) = run(&world);
        for probes_done in [true, false] {
            for (cut, verdict) in verdicts_after_death(&world, probes_done) {
                assert_eq!(verdict, undisturbed, "line {n} fails, killed after record {cut}");
            }
        }
    }
}

#[test]
fn a_failing_put_back_killed_at_any_record_never_claims_more_than_it_did() {
    for n in 1..=5 {
        let world = World::failing(&[LineId::Line(13), LineId::Back(n)]);
        for probes_done in [true, false] {
            for (cut, verdict) in verdicts_after_death(&world, probes_done) {
                assert_eq!(verdict, Verdict::NotPutBack, "back-{n} fails, killed after record {cut}");
            }
        }
    }
}

#[test]
fn every_prefix_has_a_decision_that_never_runs_a_line_twice_at_once() {
    for n in 0..=16 {
        let (_, journal) = run(&World::failing(&[LineId::Line(n)]));
        for cut in 0..=journal.0.len() {
            let state = State::of(&journal.0[..cut]);
            if let Decision::Run(line) = decide(&release(), &state) {
                assert!(!matches!(state.status(line), Status::Started | Status::Finished), "{line}");
            }
        }
    }
}

#[test]
fn an_interruption_before_the_window_waits_and_inside_it_puts_back() {
    for lines_done in 0..16u32 {
        let plan = release();
        let mut journal = Journal::after(&plan, lines_done);
        journal.push(1, Entry::Interrupted { how: "SIGTERM".into(), onward: Onward::PutBack });
        let expected = if (5..15).contains(&lines_done) { Verdict::PutBack } else { Verdict::Interrupted };
        assert_eq!(journal.drive(&plan, &World::default(), 1), expected, "after line {lines_done}");
    }
}

/// Left where it is, in the middle of a line or between two: the next driver goes on, and nothing was put back.
#[test]
fn an_interruption_that_leaves_is_gone_on_from() {
    for lines_done in 0..16u32 {
        for under_way in [false, true] {
            let plan = release();
            let mut journal = Journal::after(&plan, lines_done);
            if under_way {
                let line = LineId::Line(lines_done + 1);
                journal.push(1, Entry::Started { line, name: String::new(), intent: Value::Null });
            }
            journal.push(1, Entry::Interrupted { how: "SIGTERM".into(), onward: Onward::Leave });
            let in_window = (5..15).contains(&(lines_done + u32::from(under_way)));
            let expected = if in_window { Verdict::InterruptedInWindow } else { Verdict::Interrupted };
            let left = journal.0.len();
            assert_eq!(journal.drive(&plan, &World::default(), 1), expected, "{lines_done} {under_way}");
            assert_eq!(journal.0.len(), left, "something was done after line {lines_done}");
            journal.take_over(2);
            let world = World { probes_done: true, ..World::default() };
            assert_eq!(journal.drive(&plan, &world, 2), Verdict::Done, "{lines_done} {under_way}");
        }
    }
}

#[test]
fn a_person_may_keep_the_new_version_until_it_is_swapped_out() {
    let failing = World { foreign: true, ..World::failing(&[LineId::Line(13)]) };
    let (_, mut journal) = run(&failing);
    let plan = release();
    assert!(may_keep_new(&plan, &State::of(&journal.0)));
    journal.take_over(2);
    journal.push(2, Entry::KeepNew { who: "me".into() });
    let kept = journal.0.len();
    assert_eq!(journal.drive(&plan, &failing, 2), Verdict::ChangedButFailing);
    let lines = way_back(&plan, &State::of(&journal.0));
    let names: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
    assert_eq!(names, ["open the new database", "prove that production serves", "clear the flag"]);
    for cut in kept..=journal.0.len() {
        let mut again = Journal(journal.0[..cut].to_vec());
        again.take_over(3);
        assert_eq!(again.drive(&plan, &World::default(), 3), Verdict::ChangedButFailing, "after {cut}");
    }
    let (_, put_back) = run(&World::failing(&[LineId::Line(13)]));
    assert!(!may_keep_new(&plan, &State::of(&put_back.0)), "the old database serves again");
    let (_, before_open) = run(&World::failing(&[LineId::Line(9), LineId::Back(1)]));
    assert!(!may_keep_new(&plan, &State::of(&before_open.0)), "it was never open");
}

/// Whatever the journal knew when its driver lost the store: a swap that is found is only proven, by whichever later driver.
#[test]
fn a_swap_of_which_no_record_tells_ends_as_put_back() {
    let by = Box::<Driver>::default();
    let found = || Entry::PutBackFound { found: FoundBack::Swapped, by: by.clone() };
    let (_, forward) = run(&World::failing(&[LineId::Line(13)]));
    let guard = (LineId::Line(7), LineId::Line(8));
    let after_guard = forward
        .0
        .iter()
        .position(|record| matches!(record.entry, Entry::Started { line, .. } if line == guard.1))
        .unwrap();
    for cut in after_guard..forward.0.len() {
        let mut journal = Journal(forward.0[..cut].to_vec());
        let state = State::of(&journal.0);
        let swap = way_back(&release(), &state).into_iter().find(|l| matches!(l.action, Action::Swap { .. }));
        if swap.is_some_and(|line| matches!(state.status(line.id), Status::Started | Status::Finished)) {
            continue;
        }
        journal.take_over(2);
        journal.push(2, found());
        let (known, before) = (journal.0.len(), journal.started().len());
        let world = World { foreign: true, ..World::default() };
        assert_eq!(journal.drive(&release(), &world, 2), Verdict::PutBack, "after record {cut}");
        assert_eq!(journal.started().len(), before + 3, "only swap, proof and flag: {:?}", journal.started());
        assert!(!may_keep_new(&release(), &State::of(&journal.0)));
        for death in known..journal.0.len() {
            let mut journal = Journal(journal.0[..death].to_vec());
            journal.take_over(3);
            assert_eq!(journal.drive(&release(), &world, 3), Verdict::PutBack, "after record {cut}, {death}");
            assert!(
                journal.started()[before..].iter().all(|line| line.starts_with("back-")),
                "{cut}, {death}"
            );
        }
    }
}

/// Wherever its driver died: it never goes forward, and before the window it is over.
#[test]
fn a_person_who_says_put_back_is_heeded_at_every_record() {
    let (_, whole) = run(&World::default());
    let plan = release();
    for probes_done in [true, false] {
        for cut in 0..=whole.0.len() {
            let mut journal = Journal(whole.0[..cut].to_vec());
            let state = State::of(&journal.0);
            let expected = match (may_put_back(&plan, &state), entered_window(&plan, &state)) {
                (false, _) => continue,
                (true, true) => Verdict::PutBack,
                (true, false) => Verdict::Refused,
            };
            journal.take_over(2);
            journal.push(2, Entry::PutBackAnyway { who: "me".into() });
            let before = journal.started();
            let world = World { probes_done, foreign: true, ..World::default() };
            assert_eq!(journal.drive(&plan, &world, 2), expected, "after record {cut}");
            let forward = journal.started().iter().filter(|line| !line.starts_with("back")).count();
            assert_eq!(forward, before.len(), "after record {cut} it went on");
        }
    }
}

/// Who decided to keep the new version, which then does not get well, may still decide otherwise.
#[test]
fn a_decision_to_keep_the_new_version_is_taken_back_by_one_to_put_back() {
    let plan = release();
    let failing = World { foreign: true, ..World::failing(&[LineId::Line(13)]) };
    let (verdict, mut journal) = run(&failing);
    assert_eq!(verdict, Verdict::NotPutBack);
    journal.take_over(2);
    journal.push(2, Entry::KeepNew { who: "me".into() });
    let prove = way_back(&plan, &State::of(&journal.0))
        .into_iter()
        .find(|line| matches!(line.action, Action::Prove { .. }));
    let ill = World { fails: vec![LineId::Line(13), prove.expect("a proof").id], ..failing.clone() };
    assert_eq!(journal.drive(&plan, &ill, 2), Verdict::NotPutBack);
    journal.take_over(3);
    journal.push(3, Entry::PutBackAnyway { who: "me".into() });
    assert_eq!(journal.drive(&plan, &failing, 3), Verdict::PutBack);
    // Once its flag was on the way down, users may be in: nothing is put back any more.
    let (_, mut journal) = run(&failing);
    journal.take_over(2);
    journal.push(2, Entry::KeepNew { who: "me".into() });
    assert_eq!(journal.drive(&plan, &failing, 2), Verdict::ChangedButFailing);
    assert!(!may_put_back(&plan, &State::of(&journal.0)));
}
