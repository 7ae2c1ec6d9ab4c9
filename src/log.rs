//! The run's log on the store, `runs/<run>/run.log`: every event of every driver, as lines of text.
//!
//! The log is for people. The journal is what a run is resumed from, and it never waits for the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use crate::event::{Event, LineId};
use crate::redact::redact;
use crate::store::Store;
use crate::time::{now, show_duration};

/// How much text of one run is kept.
const MOST: usize = 16 << 20;

/// How much of that is for what commands print; the rest is for what the run says.
const MOST_OUTPUT: usize = 15 << 20;

/// An object is written whole, so not after every line.
const PAUSE: Duration = Duration::from_secs(2);

/// How long the store is waited for: the screen is behind the log, and so is the end of the program.
const PATIENCE: Duration = Duration::from_secs(10);

/// Passes events on and writes each to the run's log; gives the stream for the screen, and the task that
/// ends when all is written.
pub fn tee(
    store: Arc<dyn Store>,
    events: UnboundedReceiver<Event>,
) -> (UnboundedReceiver<Event>, tokio::task::JoinHandle<()>) {
    let (screen, seen) = unbounded_channel();
    (seen, tokio::spawn(keep(store, events, screen)))
}

async fn keep(store: Arc<dyn Store>, mut events: UnboundedReceiver<Event>, screen: UnboundedSender<Event>) {
    let mut log = Log { store, object: None, text: String::new(), dirty: false, written: Instant::now() };
    while let Some(event) = events.recv().await {
        if let Event::RunBegan { run, .. } = &event {
            log.open(run).await;
        }
        if let Some(line) = line(&event) {
            let most = if matches!(event, Event::Output { .. }) { MOST_OUTPUT } else { MOST };
            log.push(&line, most);
        }
        let pause = matches!(event, Event::LineFinished { .. } | Event::LineFailed { .. });
        let _ = screen.send(event);
        if pause && log.written.elapsed() > PAUSE {
            log.write().await;
        }
    }
    log.write().await;
}

struct Log {
    store: Arc<dyn Store>,
    object: Option<String>,
    text: String,
    dirty: bool,
    written: Instant,
}

impl Log {
    async fn open(&mut self, run: &str) {
        let object = format!("runs/{run}/run.log");
        if let Ok(Ok(bytes)) = timeout(PATIENCE, self.store.read(&object)).await {
            self.text = String::from_utf8_lossy(&bytes).into_owned();
        }
        self.object = Some(object);
    }

    fn push(&mut self, line: &str, most: usize) {
        if self.text.len() + line.len() > most {
            return;
        }
        self.text.push_str(&redact(line));
        self.text.push('\n');
        self.dirty = true;
    }

    /// A log that can't be written stops nothing: the journal would have said so first.
    async fn write(&mut self) {
        let Some(object) = self.object.clone().filter(|_| self.dirty) else { return };
        match timeout(PATIENCE, self.store.replace(&object, self.text.clone().into())).await {
            Ok(Ok(())) => self.dirty = false,
            Ok(Err(error)) => tracing::warn!(%error, "the run's log could not be written"),
            Err(_) => tracing::warn!("the run's log could not be written: the store gives no answer"),
        }
        self.written = Instant::now();
    }
}

/// The event as a line, or nothing if it is only movement.
fn line(event: &Event) -> Option<String> {
    let text = match event {
        Event::RunBegan { run, epoch, environment, runbook, database, .. } => {
            format!("run {run} epoch {epoch}: {runbook} on {environment}, database {database}")
        }
        Event::LineStarted { line, .. } => format!("{line} started"),
        Event::Output { line, text } => format!("{line} | {text}"),
        Event::Note { line: Some(line), text } => format!("{line} ! {text}"),
        Event::Note { line: None, text } => format!("! {text}"),
        Event::LineFinished { line, summary, millis, .. } => {
            format!("{line} finished in {}: {summary}", show_duration(Duration::from_millis(*millis)))
        }
        Event::LineFailed { line, failure, millis, .. } => {
            format!("{line} FAILED after {}: {failure}", show_duration(Duration::from_millis(*millis)))
        }
        Event::WindowBegan { .. } => "the flag is up".into(),
        Event::WindowEnded { .. } => "the flag is down".into(),
        Event::PutBackBegan { lines, .. } => {
            let names: Vec<&str> = lines.iter().map(|l| l.name.as_str()).collect();
            format!("putting back: {}", names.join(", "))
        }
        Event::Question { text, .. } => format!("? {text}"),
        Event::Ended { exit, production, .. } => {
            format!("ended with exit {exit}: production is {production}")
        }
        Event::Progress { .. } => return None,
    };
    Some(format!("{} {text}", now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ")))
}

/// What a log says that no record of the journal does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spoken<'t> {
    /// A line of the checklist printed this.
    Output(LineId, &'t str),
    /// Noted by a line of the checklist, or by the run.
    Note(Option<LineId>, &'t str),
}

/// Reads what commands printed and what was noted out of a log's text, in order.
pub fn spoken(text: &str) -> impl Iterator<Item = Spoken<'_>> {
    text.lines().filter_map(|line| {
        let (_, said) = line.split_once("Z ")?;
        if let Some(note) = said.strip_prefix("! ") {
            return Some(Spoken::Note(None, note));
        }
        let (id, rest) = said.split_once(' ')?;
        let id = LineId::try_from(id.to_string()).ok()?;
        match (rest.strip_prefix("| "), rest.strip_prefix("! ")) {
            (Some(text), _) => Some(Spoken::Output(id, text)),
            (None, Some(text)) => Some(Spoken::Note(Some(id), text)),
            (None, None) if rest == "|" => Some(Spoken::Output(id, "")),
            (None, None) => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let (seven, back) = (LineId::Line(7), LineId::Back(2));
        let events = [
            Event::LineStarted { at: now(), line: seven },
            Event::Output { line: seven, text: "a | b Z c".into() },
            Event::Output { line: back, text: String::new() },
            Event::Note { line: Some(back), text: "slow".into() },
            Event::Note { line: None, text: "the store is lost".into() },
        ];
        let text: String = events.iter().filter_map(line).map(|line| line + "\n").collect();
        let read: Vec<Spoken<'_>> = spoken(&text).collect();
        assert_eq!(
            read,
            [
                Spoken::Output(seven, "a | b Z c"),
                Spoken::Output(back, ""),
                Spoken::Note(Some(back), "slow"),
                Spoken::Note(None, "the store is lost"),
            ]
        );
        assert_eq!(spoken("no log\n7 | torn").count(), 0);
    }
}
