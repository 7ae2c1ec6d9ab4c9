//! What the log and the summary of a job say of runs.

use super::*;
use crate::event::{LineCard, Phase};
use crate::failure::{Failure, Verdict};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(1_763_679_912_000 + millis).expect("a time")
}

fn card(n: u32, phase: Phase, name: &str) -> LineCard {
    LineCard { id: LineId::Line(n), phase, name: name.into(), done: None }
}

fn begin() -> Vec<Event> {
    let line = LineId::Line(1);
    vec![
        Event::RunBegan {
            at: at(0),
            run: "20251120T230512Z-ab12".into(),
            epoch: 1,
            environment: "production".into(),
            database: "shop on db:5432".into(),
            runbook: "release".into(),
            description: "Backup-guarded production release".into(),
            lines: vec![
                card(1, Phase::Before, "preview"),
                card(2, Phase::During, "migrate to head"),
                card(3, Phase::Open, "restart | *api* <b>"),
            ],
        },
        Event::LineStarted { at: at(10), line },
        Event::Output { line, text: "::error::not ours ##[error]nor this\n::endgroup::".into() },
        Event::Note { line: Some(line), text: "a note of a line".into() },
        Event::LineFinished { at: at(1010), line, summary: "2 pending: a, b".into(), millis: 1000 },
    ]
}

fn good() -> Vec<Event> {
    let mut events = begin();
    for n in [2, 3] {
        let line = LineId::Line(n);
        events.push(Event::LineStarted { at: at(1100), line });
        if n == 2 {
            events.push(Event::WindowBegan { at: at(1100), max_millis: Some(60_000) });
        }
        events.push(Event::LineFinished { at: at(2100), line, summary: "done | so".into(), millis: 1000 });
    }
    events.push(Event::WindowEnded { at: at(3100) });
    events.push(Event::Note { line: None, text: "could not notify of run_ended: 100%".into() });
    events.push(ended(Verdict::Done, None, vec!["backstay cleanup".into()]));
    events
}

fn bad() -> Vec<Event> {
    let mut events = begin();
    let line = LineId::Line(2);
    let failure =
        Failure::failed("apply c08085465bad").because_of("relation \"users\" does not exist (42P01)");
    let back = LineCard { id: LineId::Back(1), phase: Phase::PutBack, name: "swap".into(), done: None };
    events.extend([
        Event::LineStarted { at: at(1100), line },
        Event::LineFailed { at: at(2100), line, failure: failure.clone(), millis: 1000 },
        Event::PutBackBegan { at: at(2200), lines: vec![back] },
        Event::LineStarted { at: at(2200), line: LineId::Back(1) },
        Event::LineFinished {
            at: at(2300),
            line: LineId::Back(1),
            summary: "the guard serves".into(),
            millis: 100,
        },
        ended(Verdict::PutBack, Some(failure), vec!["the failed database is kept for a look".into()]),
    ]);
    events
}

fn ended(verdict: Verdict, cause: Option<Failure>, next: Vec<String>) -> Event {
    Event::Ended {
        at: at(4000),
        verdict,
        exit: verdict.exit_code(),
        run: "20251120T230512Z-ab12".into(),
        production: verdict.production().into(),
        cause,
        put_back_cause: None,
        next,
    }
}

fn log(events: &[Event]) -> String {
    let mut console = Console::new(Look { unicode: true, ..Look::BARE });
    let mut rows: Vec<String> = events.iter().flat_map(|event| console.take(event, at(500))).collect();
    rows.extend(console.end());
    rows.join("\n")
}

fn summary(events: &[Event]) -> Option<String> {
    let mut list = Checklist::default();
    events.iter().for_each(|event| list.fold(event, at(500)));
    summary::run(&list, Some("-- ``` in a comment\nALTER TABLE users ADD COLUMN n int;"))
}

#[test]
fn a_good_run() {
    insta::assert_snapshot!("good_log", log(&good()));
    insta::assert_snapshot!("good_summary", summary(&good()).unwrap());
}

#[test]
fn a_run_that_was_put_back() {
    insta::assert_snapshot!("put_back_log", log(&bad()));
    insta::assert_snapshot!("put_back_summary", summary(&bad()).unwrap());
}

#[test]
fn a_run_without_an_end_is_told_and_its_fold_is_ended() {
    let mut events = begin();
    events.push(Event::LineStarted { at: at(1100), line: LineId::Line(2) });
    let log = log(&events);
    let rest: Vec<&str> = log.lines().rev().take(3).collect();
    assert!(rest[0].starts_with("::error title=backstay::") && rest[2] == "::endgroup::", "{log}");
    assert_eq!(summary(&events), None);
}

#[test]
fn no_row_but_ours_is_a_command() {
    for events in [good(), bad()] {
        let log = log(&events);
        let commands = log.lines().filter(|row| row.trim_start().starts_with("::"));
        let ours = ["::group::", "::endgroup::", "::error title=", "::warning title=", "::notice title="];
        commands.for_each(|row| assert!(ours.iter().any(|own| row.starts_with(own)), "{row}"));
        assert!(!log.contains("##["), "{log}");
        let depth = |word| log.lines().filter(|row| row.starts_with(word)).count();
        assert_eq!(depth("::group::"), depth("::endgroup::"), "{log}");
    }
}

/// A half of a secret is no secret that is known: it is masked before a text is cut.
#[test]
fn a_secret_is_masked_where_a_text_is_cut() {
    const SECRET: &str = "cut-1n-the-m1ddle-0f-it";
    crate::redact::register(SECRET);
    for before in 385..=400 {
        let cause = format!("{}{SECRET}", "x".repeat(before));
        let told = summary::refusal(&Failure::refused("go on").because_of(cause), Verdict::Refused);
        assert!(!told.contains("cut-1n"), "{before}: {told}");
    }
    for before in 200_000 - SECRET.len()..=200_000 {
        let sql = format!("{}{SECRET}{}", "x".repeat(before), "y".repeat(100));
        let told = summary::plan("release", "production", "", &[], "", &sql);
        assert!(!told.contains("cut-1n"), "{before}");
    }
}

/// What a server or a program said stands in the log without what would move a terminal's cursor.
#[test]
fn what_others_said_is_cleaned() {
    let mut events = bad();
    for event in &mut events {
        if let Event::LineFailed { failure, .. } = event {
            *failure = Failure::failed("apply").because_of("a \u{1b}[2Jcleared\u{7} screen");
        }
    }
    events.push(Event::Note { line: None, text: "a \u{1b}]0;title\u{7} note".into() });
    let log = log(&events);
    assert!(!log.contains(['\u{1b}', '\u{7}']) && log.contains("cleared"), "{log:?}");
}

#[test]
fn a_refusal_and_a_plan() {
    let failure = Failure::refused("run what plan.json holds")
        .because_of("commit: planned a, now b")
        .then("plan again");
    insta::assert_snapshot!("refusal", summary::refusal(&failure, Verdict::Refused));
    let pending = ["c08085465bad".to_string()];
    let told = summary::plan(
        "release",
        "production",
        "before\n  [ ] 1 preflight",
        &pending,
        "no findings",
        "select 1;",
    );
    insta::assert_snapshot!("plan", told);
    let long = "é".repeat(200_000);
    let told = summary::plan("release", "production", "", &pending, "", &long);
    assert!(told.len() < 210_000 && told.contains("200000 bytes more are on the store"));
}
