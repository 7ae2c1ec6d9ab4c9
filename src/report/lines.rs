//! Records to lines with their tries. **Pure.**

use jiff::{SignedDuration, Timestamp};

use super::model::{End, Line, Standing, Try};
use crate::event::{LineCard, LineId, Phase};
use crate::journal::{Entry, Record};

/// The lines of a run as its records tell them.
#[derive(Debug, Default)]
pub(super) struct Lines {
    all: Vec<Line>,
    /// The name under which records speak of a line, and where it stands among `all`: a later way back uses the names
    /// of the one before.
    places: std::collections::HashMap<LineId, usize>,
}

impl Lines {
    /// Folds the records in.
    pub(super) fn of(records: &[Record]) -> Self {
        let mut lines = Self::default();
        for record in records {
            lines.add(record);
        }
        lines
    }

    /// The lines in order. What was begun and did not end is at work if `running`, else nobody knows.
    pub(super) fn settle(mut self, running: bool) -> Vec<Line> {
        for line in &mut self.all {
            line.standing = match line.tries.last().map(|t| &t.end) {
                None | Some(End::WithoutEffect(_)) => Standing::Waiting,
                Some(End::Done | End::FoundDone) => Standing::Done,
                Some(End::Failed(_)) => Standing::Failed,
                Some(End::Open) if running => Standing::Running,
                Some(End::Open) => Standing::Unfinished,
            };
        }
        self.all
    }

    fn add(&mut self, record: &Record) {
        match &record.entry {
            Entry::Began { lines, .. } | Entry::PutBackBegan { lines } => self.announce(lines),
            Entry::Started { line, name, .. } => {
                let line = self.line(*line);
                if line.name.is_empty() {
                    line.name.clone_from(name);
                }
                let end = End::Open;
                line.tries.push(Try { epoch: record.epoch, began: record.at, ended: None, end });
            }
            Entry::Finished { line, summary, probed, millis, .. } => {
                let line = self.line(*line);
                line.summary.clone_from(summary);
                line.end(record, *millis, if *probed { End::FoundDone } else { End::Done });
            }
            Entry::Failed { line, failure, millis } => {
                self.line(*line).end(record, *millis, End::Failed(failure.clone()));
            }
            Entry::Abandoned { line, why } => {
                self.line(*line).end(record, 0, End::WithoutEffect(why.clone()))
            }
            _ => {}
        }
    }

    fn announce(&mut self, cards: &[LineCard]) {
        let known = |lines: &Self, card: &LineCard| {
            lines.places.get(&card.id).is_some_and(|at| lines.all[*at].name == card.name)
        };
        if !cards.is_empty() && cards.iter().all(|card| known(self, card)) {
            return;
        }
        for card in cards {
            self.places.insert(card.id, self.all.len());
            self.all.push(blank(card.id, Some(card.phase), card.name.clone()));
        }
    }

    /// The line; one of which no checklist tells (its record is lost) is known from here on.
    fn line(&mut self, id: LineId) -> &mut Line {
        let at = *self.places.entry(id).or_insert_with(|| {
            let phase = matches!(id, LineId::Back(_)).then_some(Phase::PutBack);
            self.all.push(blank(id, phase, String::new()));
            self.all.len() - 1
        });
        &mut self.all[at]
    }
}

fn blank(id: LineId, phase: Option<Phase>, name: String) -> Line {
    Line {
        id: id.to_string(),
        phase,
        name,
        standing: Standing::Waiting,
        summary: String::new(),
        tries: Vec::new(),
        notes: Vec::new(),
        notes_left_out: 0,
        output: Vec::new(),
        output_left_out: 0,
        output_gap_at: None,
    }
}

impl Line {
    fn end(&mut self, record: &Record, millis: u64, end: End) {
        let open = self.tries.last_mut().filter(|open| open.end == End::Open);
        // Found later: when it really ended nobody knows.
        let found = matches!(end, End::FoundDone | End::WithoutEffect(_));
        match open {
            Some(open) => {
                // What a later driver says of it is not of its time.
                let late = found || open.epoch != record.epoch;
                open.ended = Some(if late { open.began } else { record.at });
                open.end = end;
            }
            // It failed while it only prepared, or the record of its start is lost.
            None => {
                let (epoch, began) = (record.epoch, earlier(record.at, millis));
                self.tries.push(Try { epoch, began, ended: Some(record.at), end });
            }
        }
    }
}

fn earlier(at: Timestamp, millis: u64) -> Timestamp {
    let back = SignedDuration::from_millis(i64::try_from(millis).unwrap_or(0));
    at.checked_sub(back).unwrap_or(at)
}
