//! The run in the log of a GitHub Actions job: plain lines, folded line by line of the checklist, and annotations.
//!
//! The runner takes any line that begins with `::` for a command, from both streams, and obeys the older `##[` wherever
//! it stands in a line. Every row of a log begins with a time, and what others wrote has its `##[` broken up: no output of
//! a program can set, mask or end anything of the job.

pub mod command;
pub mod summary;

use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedReceiver;

use super::checklist::{Checklist, End};
use super::look::Look;
use super::plain::{Log, write};
use super::{foreign, verdict};
use crate::event::{Event, LineId};
use crate::time::now;
use command::{Weight, annotation, disarm};

/// Reads `events` to their end and writes them to standard error. A question is not asked: its reply is dropped, which
/// the run takes for a no.
pub(super) async fn show(look: Look, mut events: UnboundedReceiver<Event>) {
    let mut console = Console::new(look);
    while let Some(event) = events.recv().await {
        write(look, &console.take(&event, now()));
    }
    write(look, &console.end());
}

/// What stands in the job's log: **pure**.
#[derive(Debug)]
pub struct Console {
    log: Log,
    look: Look,
    folded: bool,
}

impl Console {
    /// An empty log.
    pub fn new(look: Look) -> Self {
        Self { log: Log::default(), look, folded: false }
    }

    /// The rows that an event adds.
    pub fn take(&mut self, event: &Event, now: Timestamp) -> Vec<String> {
        let rows: Vec<String> = self.log.take(event, now).iter().map(|row| disarm(row)).collect();
        let list = &self.log.list;
        let title = |id: LineId| self.log.name(id).unwrap_or_else(|| format!("line {id}"));
        match event {
            Event::LineStarted { line, .. } => {
                let group = command::group(&title(*line));
                let before = self.unfold();
                self.folded = true;
                before.into_iter().chain([group]).chain(rows).collect()
            }
            // The result stands outside of the fold, where it is seen.
            Event::LineFinished { .. } => self.unfold().into_iter().chain(rows).collect(),
            Event::LineFailed { line, failure, .. } => {
                let failure = foreign::clean_failure(failure).to_string();
                let told = annotation(Weight::Error, &format!("{} failed", title(*line)), &failure);
                self.unfold().into_iter().chain(rows).chain([told]).collect()
            }
            Event::Note { line: None, text } => rows
                .into_iter()
                .chain([annotation(Weight::Warning, "backstay", &foreign::clean(text))])
                .collect(),
            Event::Ended { .. } => {
                let verdict = verdict::tell(list, self.look);
                let told = list.end.as_ref().map(|end| ending(list, end));
                let verdict = verdict.split('\n').map(disarm).collect::<Vec<_>>();
                let before = self.unfold().into_iter().chain(rows).chain([String::new()]);
                before.chain(verdict).chain(told).collect()
            }
            _ => rows,
        }
    }

    /// The rows after the last event.
    pub fn end(&mut self) -> Vec<String> {
        let mut rows = self.unfold();
        if self.log.list.broke_off() {
            let text = verdict::no_verdict(Look { colour: false, ..self.look });
            rows.extend([text.clone(), annotation(Weight::Error, "backstay", &text)]);
        }
        rows
    }

    fn unfold(&mut self) -> Vec<String> {
        std::mem::take(&mut self.folded).then(command::end_group).into_iter().collect()
    }
}

/// The end as one annotation: what production is, why, and what to do.
fn ending(list: &Checklist, end: &End) -> String {
    let weight = if end.exit == 0 { Weight::Notice } else { Weight::Error };
    let mut text = format!("Production is {}.", end.production);
    for cause in end.cause.iter().chain(&end.put_back_cause) {
        text.push_str(&format!("\n{cause}"));
    }
    if end.exit != 0 {
        end.next.iter().for_each(|next| text.push_str(&format!("\nNext: {next}")));
    }
    annotation(weight, &verdict::headline_words(list, end), &text)
}

#[cfg(test)]
mod tests;
