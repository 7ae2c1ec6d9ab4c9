//! What an earlier release left by which it can be taken back, read from its journal. **Pure.**

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::site::{BackupFacts, GuardFacts};
use crate::event::{LineId, Phase};
use crate::failure::Verdict;
use crate::journal::{Entry, Record, Target};
use crate::rollback::Order;
use crate::window::guard::Guard;
use crate::window::ledger::Mark;
use crate::window::swap::Swap;

/// What a run left.
#[derive(Debug, Clone, Default)]
pub struct Released {
    /// The database that it was about.
    pub target: Option<Target>,
    /// The runbook's name.
    pub runbook: String,
    /// How it ended, and when.
    pub ended: Option<(Verdict, Timestamp)>,
    /// Something that may have changed the database was begun in its window.
    pub changed: bool,
    /// The guard.
    pub guard: Option<Guard>,
    /// The mark of `open`: since when others' writes count.
    pub mark: Option<Mark>,
    /// The newest backup that it took.
    pub backup: Option<String>,
    /// A transaction id of before that backup.
    pub backup_xid: Option<i64>,
    /// The revisions that it applied, in order.
    pub applied: Vec<String>,
    /// How long its window's lines took in all that may have changed the database, in milliseconds.
    pub millis: u64,
    /// It put production back: the guard took the place of the database, both by id.
    pub put_back: Option<Swap>,
    /// It took an earlier release back itself.
    pub is_rollback: bool,
}

/// How many of a window's first lines no runbook writes, as the plan has them: they change nothing that a release would.
fn own_lines(rollback: Option<&Order>) -> usize {
    let (closes, guards) = (rollback.is_none_or(|o| !o.gone), rollback.is_none_or(|o| !o.exchanges()));
    1 + usize::from(closes) + usize::from(guards)
}

impl Released {
    /// Reads a journal. Facts are known by their shape, whichever line left them: a runbook may name lines as it likes.
    pub fn of(records: &[Record]) -> Self {
        let mut found = Self::default();
        let mut steps: Vec<LineId> = Vec::new();
        let mut swap = None;
        for record in records {
            match &record.entry {
                Entry::Began { target, runbook, lines, rollback, .. } => {
                    found.target = Some(target.clone());
                    found.runbook = runbook.name.clone();
                    found.is_rollback = rollback.is_some();
                    let during = lines.iter().filter(|card| card.phase == Phase::During);
                    steps = during.skip(own_lines(rollback.as_deref())).map(|card| card.id).collect();
                }
                Entry::Started { line, intent, .. } => {
                    found.changed |= steps.contains(line);
                    found.mark = shaped::<Mark>(intent).or(found.mark);
                    if matches!(line, LineId::Back(_)) {
                        swap = shaped::<Swap>(intent).map(|swap| (*line, swap)).or(swap);
                    }
                }
                Entry::Finished { line, facts, millis, .. } => {
                    found.add(facts, steps.contains(line), *millis);
                    if let Some((_, swapped)) = swap.take_if(|(at, _)| at == line) {
                        found.put_back = Some(swapped);
                    }
                }
                Entry::Ended { verdict } => found.ended = Some((*verdict, record.at)),
                Entry::TookOver { .. } => found.ended = None,
                _ => {}
            }
        }
        found
    }

    fn add(&mut self, facts: &serde_json::Value, is_step: bool, millis: u64) {
        if is_step {
            self.millis += millis;
        }
        if let Some(facts) = shaped::<GuardFacts>(facts) {
            self.guard = Some(facts.guard);
        }
        if let Some(facts) = shaped::<BackupFacts>(facts) {
            (self.backup, self.backup_xid) = (Some(facts.backup), facts.xid);
        }
        let applied = facts.get("applied").cloned().map(serde_json::from_value::<Vec<String>>);
        self.applied.extend(applied.and_then(Result::ok).unwrap_or_default());
    }

    /// The mark, for the database of this id: another one than the release opened has other counts.
    pub fn mark_for(&self, oid: u32) -> Option<Mark> {
        let same = self.target.as_ref().is_some_and(|target| target.oid == oid);
        self.mark.clone().map(|mark| if same { mark } else { mark.uncounted() })
    }

    /// Whether it ended with production on its new version.
    pub fn is_in_production(&self) -> bool {
        let serves =
            |(verdict, _): &(Verdict, _)| matches!(verdict, Verdict::Done | Verdict::ChangedButFailing);
        self.ended.as_ref().is_some_and(serves) && self.changed
    }
}

fn shaped<T: DeserializeOwned>(value: &serde_json::Value) -> Option<T> {
    if value.is_object() { serde_json::from_value(value.clone()).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::event::LineCard;
    use crate::journal::{Driver, FORMAT, RunbookCopy};
    use crate::rollback::By;

    fn records(entries: Vec<Entry>) -> Vec<Record> {
        let at = Timestamp::UNIX_EPOCH;
        let record = |(number, entry)| {
            let (run, nonce, previous) = ("r".into(), String::new(), String::new());
            Record { format: FORMAT, number, run, epoch: 1, nonce, at, previous, entry }
        };
        (1..).zip(entries).map(record).collect()
    }

    fn release(ended: Verdict) -> Vec<Entry> {
        let card =
            |(n, phase)| LineCard { id: LineId::Line(n), phase, name: format!("line {n}"), done: None };
        let phases = [Phase::Before, Phase::During, Phase::During, Phase::During, Phase::During, Phase::Open];
        let copy =
            RunbookCopy { name: "x".into(), origin: "x".into(), text: String::new(), hash: String::new() };
        let started = |n, intent| Entry::Started { line: LineId::Line(n), name: String::new(), intent };
        let finished = |n, facts: Value| {
            let (summary, millis, probed) = (String::new(), 40, false);
            Entry::Finished { line: LineId::Line(n), summary, facts, millis, probed }
        };
        let guard = json!({ "guard": { "oid": 7, "name": "shop__g_r_1", "relations": 3, "sampled": 3 } });
        let mark = json!({ "xid": 900, "at": "2026-11-21T14:00:00Z", "tables": {}, "sequences": {} });
        vec![
            Entry::Began {
                environment: "production".into(),
                config_hash: String::new(),
                runbook: copy,
                target: Target { system: "1".into(), name: "shop".into(), oid: 5 },
                driver: Box::<Driver>::default(),
                lines: (1..).zip(phases).map(card).collect(),
                rollback: None,
            },
            finished(1, json!({ "backup": "b1", "xid": 800 })),
            finished(4, guard),
            started(5, Value::Null),
            finished(5, json!({ "applied": ["r1", "r2"] })),
            started(6, mark),
            Entry::Ended { verdict: ended },
        ]
    }

    #[test]
    fn a_journal_tells_what_a_release_left() {
        let left = Released::of(&records(release(Verdict::ChangedButFailing)));
        assert!(left.is_in_production() && !left.is_rollback);
        assert_eq!((left.guard.unwrap().oid, left.mark.unwrap().xid), (7, 900));
        assert_eq!((left.backup.as_deref(), left.backup_xid, left.millis), (Some("b1"), Some(800), 40));
        assert_eq!(left.applied, ["r1", "r2"]);
        assert!(!Released::of(&records(release(Verdict::PutBack))).is_in_production());
    }

    #[test]
    fn a_window_in_which_nothing_was_begun_changed_nothing() {
        let mut entries = release(Verdict::Done);
        entries.retain(|entry| !matches!(entry, Entry::Started { line: LineId::Line(5), .. }));
        assert!(!Released::of(&records(entries)).is_in_production());
    }

    /// It takes no guard, and where there is no database it closes none.
    #[test]
    fn what_a_rollback_did_is_told_from_the_lines_of_its_window() {
        for (gone, kept) in [(false, 2), (true, 1)] {
            let order = Order {
                by: By::Backup,
                release: None,
                backup: Some("b1".into()),
                targets: Default::default(),
                marked: false,
                gone,
            };
            let mut entries = release(Verdict::Done);
            if let Entry::Began { lines, rollback, .. } = &mut entries[0] {
                let own = lines.iter().filter(|card| card.phase == Phase::During).take(kept).cloned();
                *lines = own.chain(lines.iter().filter(|card| card.id == LineId::Line(5)).cloned()).collect();
                *rollback = Some(Box::new(order));
            }
            let left = Released::of(&records(entries));
            assert!(left.is_in_production() && left.is_rollback, "gone: {gone}");
        }
    }
}
