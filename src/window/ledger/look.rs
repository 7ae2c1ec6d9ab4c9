//! What is there and was not at the mark, and what was there and is not any more.

use super::definitions::{self, Definitions};
use super::describe;
use super::door::Door;
use super::large::{self, LargeFound};
use super::mark::{self, Mark, SeenSequence, force_report};
use super::table::{Fate, Looking, TableFound};
use super::{Entry, Ledger};
use crate::backup::TableName;
use crate::failure::Failure;
use crate::pg::{Session, refused};
use crate::words::count;

/// What others wrote, with all that it takes to keep it.
#[derive(Debug, Clone, Default)]
pub struct Found {
    pub(super) tables: Vec<TableFound>,
    pub(super) sequences: Vec<SequenceFound>,
    pub(super) large_objects: LargeFound,
    pub(super) definitions: Vec<Definitions>,
    /// Rows deleted from catalogs of definitions: functions, triggers, policies.
    pub(super) dropped: u64,
    /// The server lost its counters since the mark: all was compared with the guard.
    pub(super) statistics_lost: bool,
}

/// A sequence that moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SequenceFound {
    pub name: TableName,
    pub display: String,
    /// Its last value at the mark; `None` if it had not been used, or was not there.
    pub then: Option<i64>,
    pub now: Option<i64>,
}

impl Found {
    /// In words.
    pub fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::default();
        let mut say = |name: &str, what: String| ledger.entries.push(Entry { name: name.to_string(), what });
        self.tables.iter().for_each(|table| say(&table.display, table.words()));
        for sequence in &self.sequences {
            let what = sequence.now.map_or("used".to_string(), |value| format!("advanced to {value}"));
            say(&sequence.display, what);
        }
        if !self.large_objects.is_empty() {
            say("large objects", self.large_objects.words());
        }
        for found in &self.definitions {
            let more = found.count - found.names.len() as u64;
            let names = found.names.join(", ");
            let names = if more == 0 { names } else { format!("{names} and {more} more") };
            say(&names, found.what.to_string());
        }
        if self.dropped > 0 {
            say(
                "definitions",
                format!(
                    "{} dropped",
                    count(
                        self.dropped,
                        "function, trigger or policy was",
                        "functions, triggers or policies were"
                    )
                ),
            );
        }
        ledger
    }
}

impl Found {
    /// The same, but for these tables.
    #[must_use]
    pub fn without(mut self, tables: &[TableName]) -> Self {
        self.tables.retain(|table| !tables.contains(&table.name));
        self
    }

    /// How many rows are new or changed, and how many are gone, as far as they can be told.
    pub fn rows(&self) -> (u64, u64) {
        let gone = |table: &TableFound| describe::deletions(&table.gone).1;
        (self.tables.iter().filter_map(|table| table.rows).sum(), self.tables.iter().map(gone).sum())
    }
}

/// A sequence is written ahead by so many values: after a crash of the server it stands where it was written to
/// (PostgreSQL's `SEQ_LOG_VALS`).
const WRITTEN_AHEAD: i64 = 32;

/// What others wrote since `mark`. `live` must be a pinned session in that database; `ours` are the tables in which
/// migrations are noted, where after a crash of the server what is gone is the release's own doing.
///
/// Reads tables that were written, small ones in any case; keys are compared with the guard only where counters
/// say that rows may be gone. Changes nothing.
///
/// # Errors
/// The query's.
pub async fn read(
    live: &Session,
    door: &mut Door<'_>,
    mark: &Mark,
    ours: &[TableName],
) -> Result<Found, Failure> {
    let failed = |error: tokio_postgres::Error| refused("read what others wrote", &error);
    force_report(live).await;
    let sums = mark::sums(live).await.map_err(failed)?;
    let lost = mark.statistics.is_some() && mark.statistics != sums.statistics;
    let mut found = Found { statistics_lost: lost, ..Found::default() };
    let tables = mark::tables(live).await.map_err(failed)?;
    let mut looking = Looking { live, door, mark, ours, lost, shapes: None };
    for table in &tables {
        found.tables.extend(looking.look_at(table).await?);
    }
    let gone = mark.tables.iter().filter(|(oid, _)| !tables.iter().any(|table| table.oid == **oid));
    found.tables.extend(gone.map(|(oid, then)| TableFound::dropped(*oid, then)));
    let sequences = mark::sequences(live).await.map_err(failed)?;
    found.sequences = sequences.into_iter().filter_map(|now| moved(now, mark, lost)).collect();
    found.large_objects = large::look(live, door, mark, &sums, lost).await?;
    let explained: Vec<u32> =
        found.tables.iter().filter(|table| table.fate != Fate::Same).map(|table| table.oid).collect();
    found.definitions = definitions::look(live, mark, &explained).await?;
    found.dropped = match (mark.dropped, sums.dropped) {
        (Some(then), Some(now)) if !lost => (now - then).max(0).unsigned_abs(),
        _ => 0,
    };
    Ok(found)
}

/// A sequence that others used; none where a crash of the server explains all of its way.
fn moved(now: SeenSequence, mark: &Mark, crashed: bool) -> Option<SequenceFound> {
    let then = mark.sequences.get(&now.oid).copied();
    let same = then.is_some_and(|then| then == now.value);
    let written_ahead = match (then.flatten(), now.value) {
        (Some(then), Some(value)) => {
            let steps = value.checked_sub(then).and_then(|way| way.checked_div(now.increment));
            crashed && steps.is_some_and(|steps| (0..=WRITTEN_AHEAD).contains(&steps))
        }
        _ => false,
    };
    let SeenSequence { name, display, value, .. } = now;
    (!same && !written_ahead).then(|| SequenceFound { name, display, then: then.flatten(), now: value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(value: Option<i64>, increment: i64) -> SeenSequence {
        let name = TableName::new("public", "s");
        SeenSequence { oid: 7, name, display: "public.s".into(), value, increment }
    }

    #[test]
    fn a_crash_explains_what_was_written_ahead_and_no_more() {
        let mark = |then| Mark {
            xid: 1,
            at: jiff::Timestamp::UNIX_EPOCH,
            tables: Default::default(),
            sequences: [(7, then)].into(),
            large_objects: None,
            dropped: None,
            statistics: None,
        };
        let moved =
            |then, now, increment, crashed| moved(sequence(now, increment), &mark(then), crashed).is_some();
        assert!(!moved(Some(3), Some(3), 1, false));
        assert!(moved(Some(3), Some(4), 1, false));
        assert!(!moved(Some(3), Some(35), 1, true) && moved(Some(3), Some(36), 1, true));
        assert!(!moved(Some(-10), Some(-74), -2, true) && moved(Some(-10), Some(-76), -2, true));
        assert!(moved(Some(35), Some(3), 1, true) && moved(None, Some(1), 1, true));
        assert!(moved(Some(i64::MIN), Some(i64::MAX), 1, true));
    }
}
