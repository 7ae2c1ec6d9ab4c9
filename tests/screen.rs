//! What a person sees of a run: the terminal as an emulator shows it, plain lines, verdicts. And that
//! no reader of a run can stop it.

#[path = "../examples/checklist/script.rs"]
mod script;

use backstay::event::{Event, Events, LineId, Unit};
use backstay::failure::{Failure, Kind, Verdict};
use backstay::ui::checklist::Checklist;
use backstay::ui::plain::Log;
use backstay::ui::verdict::tell;
use backstay::ui::{Look, Page, Screen, json, show};
use indicatif::{InMemoryTerm, ProgressDrawTarget};
use jiff::{SignedDuration, Timestamp};
use script::Script;

const WIDE: Look = Look { colour: false, unicode: true, width: 100 };
const NARROW: Look = Look { width: 60, ..WIDE };
const ASCII: Look = Look { unicode: false, ..WIDE };

fn start() -> Timestamp {
    "2025-11-20T23:05:12Z".parse().expect("a time")
}

fn begin() -> Script {
    Script::begin(start())
}

/// What the terminal shows after `script`, and `later` milliseconds.
fn shown(script: Script, look: Look, later: i64) -> String {
    let (rows, columns) = (44, look.width as u16);
    let terminal = InMemoryTerm::new(rows, columns);
    let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
    let mut now = start();
    let mut page = Page::new(look, rows.into(), target);
    for beat in script.beats {
        now += SignedDuration::from_millis(beat.after_millis);
        page.take(&beat.event, now);
        page.draw(now);
    }
    page.draw(now + SignedDuration::from_millis(later));
    terminal.contents()
}

#[test]
fn a_backup_runs() {
    let mut script = begin();
    script.preflight().backup_until(4);
    insta::assert_snapshot!("running_wide", shown(script, WIDE, 300));
    let mut script = begin();
    script.preflight().backup_until(4);
    insta::assert_snapshot!("running_narrow", shown(script, NARROW, 300));
    let mut script = begin();
    script.preflight().backup_until(4);
    insta::assert_snapshot!("running_ascii", shown(script, ASCII, 300));
}

#[test]
fn a_command_writes_in_the_window() {
    let mut script = begin();
    script.before().during().restart();
    script.output(&format!("{}\u{1b}]0;owned\u{7}\u{1b}[2J", "a very long line of output ".repeat(20)));
    script.note("the service took longer to stop than it may");
    insta::assert_snapshot!("window_wide", shown(script, WIDE, 730_000));
    let mut script = begin();
    script.before().during().restart();
    insta::assert_snapshot!("window_over_time_narrow", shown(script, NARROW, 962_000));
}

#[test]
fn approval_is_asked_for() {
    let mut script = begin();
    script.preflight().start(LineId::Line(4)).ask();
    insta::assert_snapshot!("approval", shown(script, WIDE, 0));
    let mut script = begin();
    script.preflight().start(LineId::Line(4)).ask();
    insta::assert_snapshot!("approval_narrow", shown(script, NARROW, 0));
}

#[test]
fn a_run_is_taken_up_again() {
    let mut script = Script::at(start());
    script.begin_as(2, 6);
    script.line(7, 2200, "cloned 1.4 GB, compared");
    insta::assert_snapshot!("resumed", shown(script, WIDE, 0));
}

#[test]
fn a_good_end() {
    insta::assert_snapshot!("good_wide", shown(script::good(start()), WIDE, 0));
    insta::assert_snapshot!("good_narrow", shown(script::good(start()), NARROW, 0));
}

#[test]
fn failed_before_the_window() {
    insta::assert_snapshot!("refused", shown(script::refused(start()), WIDE, 0));
}

#[test]
fn failed_and_put_back() {
    insta::assert_snapshot!("put_back_wide", shown(script::put_back(start()), WIDE, 0));
    insta::assert_snapshot!("put_back_ascii", shown(script::put_back(start()), ASCII, 0));
    insta::assert_snapshot!("put_back_narrow", shown(script::put_back(start()), NARROW, 0));
}

#[test]
fn failed_and_not_put_back() {
    insta::assert_snapshot!("not_put_back", shown(script::not_put_back(start()), WIDE, 0));
    insta::assert_snapshot!("not_put_back_narrow", shown(script::not_put_back(start()), NARROW, 0));
}

#[test]
fn interrupted_in_the_window() {
    insta::assert_snapshot!("interrupted_in_window", shown(script::interrupted_in_window(start()), WIDE, 0));
}

/// A run whose words are longer than any terminal is wide.
fn long_words() -> Script {
    const URL: &str =
        "file:///var/backups/backstay/production/runs/20251120-230512-k3x9/artifacts/preview.sql";
    let mut script = begin();
    script.start(LineId::Line(1)).note(&format!("see {URL} before you go on")).wait(900).finish(URL);
    script.start(LineId::Line(2)).progress(1, Some(2), Unit::Items, URL).wait(100);
    script.fail(Failure::refused(format!("read {URL}")).because_of(URL));
    script.start(LineId::Line(3)).progress(1, Some(2), Unit::Bytes, URL).output(URL);
    script
}

#[test]
fn words_that_are_too_long_are_cut() {
    insta::assert_snapshot!("long_words_narrow", shown(long_words(), NARROW, 300));
    for look in [WIDE, NARROW, ASCII, Look { unicode: false, ..NARROW }, Look { width: 40, ..WIDE }] {
        // The emulator is wider than the page thinks, so that a row that is too long shows.
        let (terminal, mut now) = (InMemoryTerm::new(60, 240), start());
        let mut page = Page::new(look, 60, ProgressDrawTarget::term_like(Box::new(terminal.clone())));
        for beat in long_words().beats {
            now += SignedDuration::from_millis(beat.after_millis);
            page.take(&beat.event, now);
            page.draw(now);
        }
        let text = terminal.contents();
        let longest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(longest <= look.width, "{longest} columns of {}\n{text}", look.width);
    }
}

/// The verdict alone, at the end of `script`.
fn verdict(script: Script, look: Look) -> String {
    let mut list = Checklist::default();
    script.beats.iter().for_each(|beat| list.fold(&beat.event, start()));
    tell(&list, look)
}

#[test]
fn every_verdict_has_its_words() {
    let mut text = String::new();
    let endings = [
        (Verdict::Internal, Failure::internal("decide what comes next").because_of("record 12 has no plan")),
        (
            Verdict::Usage,
            Failure::usage("read runbooks/release.toml").because_of("line 3: no step is called bakcup"),
        ),
        (Verdict::Interrupted, Failure::new(Kind::Interrupted, "go on").because_of("SIGINT")),
        (
            Verdict::PutBack,
            Failure::new(Kind::Interrupted, "finish the release").because_of("stopped by a signal"),
        ),
        (Verdict::ChangedButFailing, Failure::failed("write CHANGELOG.md").because_of("Permission denied")),
    ];
    for (verdict_, failure) in endings {
        let mut script = begin();
        script.end(verdict_, [Some(failure), None], &[]);
        text += &format!("{}\n\n\n", verdict(script, WIDE));
    }
    for script in
        [script::good, script::refused, script::put_back, script::not_put_back, script::interrupted_in_window]
    {
        text += &format!("{}\n\n\n", verdict(script(start()), NARROW));
    }
    insta::assert_snapshot!("verdicts", text);
}

#[test]
fn the_first_cause_is_never_hidden_by_the_second() {
    for look in [WIDE, NARROW, ASCII, Look::BARE] {
        let text =
            verdict(script::not_put_back(start()), look).split_whitespace().collect::<Vec<_>>().join(" ");
        let first = text.find("status 500 where 200 was expected").expect("the first cause");
        let second = text.find("is being accessed by other users").expect("the second cause");
        assert!(first < second, "{text}");
    }
}

#[test]
fn a_verdict_without_a_run_is_a_verdict_still() {
    let mut script = Script::at(start());
    script.end(Verdict::Refused, [None, None], &[]);
    let text = verdict(script, WIDE);
    assert!(text.contains("nothing was changed") && text.contains("untouched"), "{text}");
}

#[test]
fn tiny_terminals_do_no_harm() {
    for (rows, columns) in [(1, 1), (2, 8), (5, 20), (400, 3)] {
        // The emulator itself fails below some size; what is laid out for it is the same unseen.
        let seen = || ProgressDrawTarget::term_like(Box::new(InMemoryTerm::new(rows, columns)));
        let target = if rows < 5 || columns < 8 { ProgressDrawTarget::hidden() } else { seen() };
        let look = Look { width: columns.into(), ..WIDE };
        let mut page = Page::new(look, rows.into(), target);
        for script in [script::good, script::not_put_back] {
            for beat in script(start()).beats {
                page.take(&beat.event, start());
                page.draw(start());
            }
        }
    }
}

#[test]
fn no_secret_and_no_sequence_reaches_the_terminal() {
    backstay::redact::register("hunter2-screen");
    let mut script = begin();
    let hostile = "hunter2-screen \u{1b}]0;title\u{7}\u{1b}[31m\u{9b}2J";
    script.start(LineId::Line(1)).progress(1, Some(2), Unit::Items, hostile);
    script.output(hostile).note(hostile).wait(100).finish(hostile);
    script.start(LineId::Line(2)).fail(Failure::failed(hostile).because_of(hostile).then(hostile));
    script.end(Verdict::Refused, [Some(Failure::failed(hostile)), None], &[hostile]);
    let text = shown(script, WIDE, 0);
    assert!(!text.contains("hunter2") && !text.contains("title"), "{text}");
    assert!(text.contains("***"), "{text}");
}

#[test]
fn plain_lines_have_times() {
    let (mut log, mut now, mut text) = (Log::default(), start(), String::new());
    for beat in script::not_put_back(start()).beats {
        now += SignedDuration::from_millis(beat.after_millis);
        text += &log.take(&beat.event, now).iter().map(|row| format!("{row}\n")).collect::<String>();
    }
    assert!(text.is_ascii());
    insta::assert_snapshot!("plain", text);
}

#[test]
fn json_has_the_names_that_programs_read() {
    let mut script = script::not_put_back(start());
    script.beats.insert(0, script::good(start()).beats.remove(0));
    let mut told = std::collections::BTreeMap::new();
    for beat in &script.beats {
        let value: serde_json::Value = serde_json::from_str(&json::line(&beat.event)).expect("an object");
        let names: Vec<String> = value.as_object().expect("an object").keys().cloned().collect();
        told.insert(value["event"].as_str().expect("a name").to_string(), names.join(" "));
    }
    insta::assert_debug_snapshot!("json_names", told);
}

/// Not a test of its own: run by [`a_reader_that_goes_away_stops_nothing`] in a process whose outputs
/// are pipes that get closed.
#[tokio::test]
async fn plays_to_closed_pipes() {
    let Some((kind, proof)) = std::env::var_os("PLAY").zip(std::env::var_os("PROOF")) else { return };
    let screen = if kind == "json" { Screen::Json } else { Screen::Plain(Look::BARE) };
    let (events, reader) = Events::channel();
    let shown = tokio::spawn(show(screen, reader));
    for _ in 0..500 {
        script::good(start()).beats.into_iter().for_each(|beat| events.emit(beat.event));
    }
    drop(events);
    shown.await.expect("the screen ends with the events");
    std::fs::write(proof, "to the end").expect("a proof");
}

#[test]
fn a_reader_that_goes_away_stops_nothing() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    for kind in ["json", "plain"] {
        let folder = tempfile::tempdir().expect("a folder");
        let proof = folder.path().join("proof");
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", "plays_to_closed_pipes", "--nocapture"])
            .env("PLAY", kind)
            .env("PROOF", &proof)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a child");
        // The harness wants its standard output until the test runs: let go of it with the first event.
        drop(child.stderr.take());
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        lines.find(|line| kind == "plain" || line.as_ref().is_ok_and(|l| l.starts_with('{')));
        if kind == "plain" {
            lines.for_each(drop);
        } else {
            drop(lines);
        }
        // Its exit code says nothing: the test harness itself cannot write its summary.
        child.wait().expect("its end");
        assert_eq!(std::fs::read_to_string(proof).expect("a proof"), "to the end", "{kind}");
    }
}

#[tokio::test]
async fn without_a_terminal_nobody_answers() {
    let mut script = begin();
    script.start(LineId::Line(4));
    let answer = script.ask();
    let (events, reader) = Events::channel();
    let shown = tokio::spawn(show(Screen::Plain(Look::BARE), reader));
    script.beats.into_iter().for_each(|beat| events.emit(beat.event));
    assert!(answer.await.is_err());
    events.emit(Event::Note { line: None, text: "it goes on".into() });
    drop(events);
    shown.await.expect("the screen ends with the events");
}
