//! `--json`: every event as one object a line on standard output, the last one being `ended`.

use std::io::Write;

use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::event::Event;
use crate::redact::redact;

/// Members whose values are words of this program: a password `done` must not turn a verdict into `***`.
const OUR_WORDS: [&str; 5] = ["event", "verdict", "phase", "kind", "unit"];

/// Reads `events` to their end and writes them to standard output. A question is written and not
/// asked: its reply is dropped, which the run takes for a no.
pub(super) async fn show(mut events: UnboundedReceiver<Event>) {
    while let Some(event) = events.recv().await {
        let mut out = std::io::stdout().lock();
        // A reader that went away (`| head`) is no reason to stop a release.
        let _ = writeln!(out, "{}", line(&event)).and_then(|()| out.flush());
    }
}

/// One event as one line of JSON, without secrets and without characters that a terminal obeys.
pub fn line(event: &Event) -> String {
    match serde_json::to_value(event) {
        Ok(value) => document(value),
        // No event of ours has members that JSON cannot hold; and a reader must not miss that one came.
        Err(error) => document(serde_json::json!({ "event": "unreadable", "why": error.to_string() })),
    }
}

/// A document as one line of JSON, without secrets and without characters that a terminal obeys.
pub fn document(mut value: Value) -> String {
    mask(&mut value);
    let text = value.to_string();
    if !text.contains(is_unsafe) {
        return text;
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) { safe.push_str(&format!("\\u{:04x}", c as u32)) } else { safe.push(c) }
    }
    safe
}

/// JSON escapes what is below a space by itself; DEL and the controls of ISO 6429 it leaves.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

fn mask(value: &mut Value) {
    match value {
        Value::String(text) => *text = redact(text).into_owned(),
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Object(members) => {
            members
                .iter_mut()
                .filter(|(name, _)| !OUR_WORDS.contains(&name.as_str()))
                .for_each(|(_, v)| mask(v));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::LineId;
    use crate::failure::{Failure, Verdict};

    fn ended(run: &str) -> Event {
        Event::Ended {
            at: jiff::Timestamp::UNIX_EPOCH,
            verdict: Verdict::Done,
            exit: 0,
            run: run.into(),
            production: "as wished".into(),
            cause: None,
            put_back_cause: Some(Failure::failed("x")),
            next: Vec::new(),
        }
    }

    #[test]
    fn the_last_object_has_every_member() {
        let value: Value = serde_json::from_str(&line(&ended("r"))).expect("JSON");
        for name in ["event", "at", "verdict", "exit", "run", "production", "cause", "put_back_cause", "next"]
        {
            assert!(value.get(name).is_some(), "{name}");
        }
        assert_eq!(
            (&value["verdict"], &value["exit"], &value["cause"]),
            (&"done".into(), &0.into(), &Value::Null)
        );
    }

    #[test]
    fn values_are_masked_and_our_words_are_not() {
        crate::redact::register("done");
        crate::redact::register("pass\"word-json");
        let value: Value = serde_json::from_str(&line(&ended("x pass\"word-json done"))).expect("JSON");
        assert_eq!((&value["verdict"], &value["run"]), (&"done".into(), &"x *** ***".into()));
    }

    #[test]
    fn one_line_and_nothing_that_a_terminal_obeys() {
        let text = "a\u{1b}]0;t\u{7}\u{9b}31m\u{7f}\n\u{2028}b";
        let event = Event::Output { line: LineId::Back(2), text: text.into() };
        let line = line(&event);
        assert!(line.chars().all(|c| !c.is_control()), "{line:?}");
        let value: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!((&value["text"], &value["line"]), (&text.into(), &"back-2".into()));
    }

    #[test]
    fn a_question_is_written_without_its_reply() {
        let event = Event::Question {
            line: LineId::Line(4),
            text: "go on?".into(),
            expects: "production".into(),
            reply: tokio::sync::oneshot::channel().0,
        };
        assert_eq!(line(&event), r#"{"event":"question","expects":"production","line":"4","text":"go on?"}"#);
    }
}
