use super::*;
use crate::event::Unit;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_763_680_000 + seconds).expect("a time")
}

fn card(id: LineId, phase: Phase, name: &str) -> LineCard {
    LineCard { id, phase, name: name.into(), done: None }
}

fn began() -> Checklist {
    let mut list = Checklist::default();
    let lines = vec![
        LineCard { done: Some("ok".into()), ..card(LineId::Line(1), Phase::Before, "preflight") },
        card(LineId::Line(2), Phase::Before, "backup"),
        card(LineId::Line(3), Phase::During, "migrate\u{1b}[2J to head"),
    ];
    let event = Event::RunBegan {
        at: at(0),
        run: "r1".into(),
        epoch: 2,
        environment: "production".into(),
        database: "shop on localhost:5432".into(),
        runbook: "release".into(),
        description: "d".into(),
        lines,
    };
    list.fold(&event, at(0));
    list
}

fn state(list: &Checklist, n: u32) -> State {
    list.line(LineId::Line(n)).expect("a line").state.clone()
}

const TWO: LineId = LineId::Line(2);

#[test]
fn lines_go_from_waiting_to_running_to_done() {
    let mut list = began();
    assert_eq!(state(&list, 1), State::Done { summary: "ok".into(), took: None });
    assert_eq!(state(&list, 2), State::Waiting);
    assert_eq!(list.lines[2].name, "migrate to head");
    assert!(list.running().is_none());
    list.fold(&Event::LineStarted { at: at(1), line: TWO }, at(1));
    assert_eq!(list.running().map(|l| l.id), Some(TWO));
    list.fold(&Event::LineFinished { at: at(3), line: TWO, summary: "3\nMB".into(), millis: 2000 }, at(3));
    assert_eq!(state(&list, 2), State::Done { summary: "3 MB".into(), took: Some(Duration::from_secs(2)) });
    assert_eq!(list.place(TWO), Some((2, 3)));
}

#[test]
fn progress_counts_only_while_a_line_runs() {
    let mut list = began();
    let progress = |done| Event::Progress {
        line: TWO,
        done,
        total: Some(10),
        unit: Unit::Bytes,
        note: "public.\u{7}orders".into(),
    };
    list.fold(&progress(1), at(0));
    assert_eq!(state(&list, 2), State::Waiting);
    list.fold(&Event::LineStarted { at: at(0), line: TWO }, at(0));
    list.fold(&progress(0), at(0));
    list.fold(&progress(5), at(1));
    let State::Running { gauge: Some(gauge), .. } = state(&list, 2) else { panic!("no gauge") };
    assert_eq!((gauge.done, gauge.total, gauge.note.as_str()), (5, Some(10), "public.\\u{7}orders"));
    assert_eq!(gauge.per_second(at(1)), Some(5.0));
}

#[test]
fn output_keeps_its_last_lines() {
    let mut list = began();
    for i in 0..100 {
        list.fold(&Event::Output { line: TWO, text: format!("line {i}\r\u{1b}[K50 %") }, at(0));
    }
    let output = &list.line(TWO).expect("a line").output;
    assert_eq!(output.len(), KEPT_OUTPUT);
    assert_eq!(output.back().map(String::as_str), Some("50 %"));
    assert_eq!(output[KEPT_OUTPUT - 2], "line 99");
}

#[test]
fn turning_back_skips_what_waits_and_keeps_the_first_cause() {
    let mut list = began();
    list.fold(&Event::LineStarted { at: at(0), line: TWO }, at(0));
    let failed = |line, what: &str| Event::LineFailed {
        at: at(1),
        line,
        failure: Failure::failed(what),
        millis: 1000,
    };
    list.fold(&failed(TWO, "first"), at(1));
    list.fold(
        &Event::PutBackBegan { at: at(1), lines: vec![card(LineId::Back(1), Phase::PutBack, "swap")] },
        at(1),
    );
    assert_eq!(state(&list, 3), State::Skipped);
    list.fold(&failed(LineId::Back(1), "second"), at(2));
    assert_eq!(list.failed().map(|l| l.id), Some(TWO));
    assert_eq!(list.place(LineId::Back(1)), Some((1, 1)));
}

#[test]
fn what_ran_at_the_end_is_unfinished() {
    let mut list = began();
    list.fold(&Event::LineStarted { at: at(0), line: TWO }, at(0));
    let end = Event::Ended {
        at: at(9),
        verdict: Verdict::Interrupted,
        exit: 6,
        run: "r1".into(),
        production: "serving".into(),
        cause: None,
        put_back_cause: None,
        next: vec!["a\u{1b}[1mb".into()],
    };
    list.fold(&end, at(9));
    assert_eq!((state(&list, 2), state(&list, 3)), (State::Unfinished, State::Skipped));
    assert_eq!(list.end.map(|e| e.next), Some(vec!["ab".to_string()]));
}

#[test]
fn the_window_has_a_clock() {
    let mut list = began();
    list.fold(&Event::WindowEnded { at: at(1) }, at(1));
    assert_eq!(list.window, None);
    list.fold(&Event::WindowBegan { at: at(10), max_millis: Some(900_000) }, at(10));
    let window = list.window.expect("a window");
    assert_eq!(window.open_for(at(52)), Duration::from_secs(42));
    // A clock that goes backwards shows zero, not a panic.
    assert_eq!(window.open_for(at(0)), Duration::ZERO);
    list.fold(&Event::WindowEnded { at: at(30) }, at(30));
    assert_eq!(list.window.map(|w| w.open_for(at(99))), Some(Duration::from_secs(20)));
}

#[test]
fn a_question_stands_until_its_line_settles() {
    let mut list = began();
    let question = |line| Event::Question {
        line,
        text: "go on?".into(),
        expects: "production".into(),
        reply: tokio::sync::oneshot::channel().0,
    };
    list.fold(&question(TWO), at(0));
    assert!(list.asking.is_some());
    list.fold(&Event::LineFinished { at: at(1), line: TWO, summary: String::new(), millis: 1 }, at(1));
    assert!(list.asking.is_none());
}

#[test]
fn unknown_lines_and_early_events_do_no_harm() {
    let mut list = Checklist::default();
    let ghost = LineId::Back(77);
    list.fold(&Event::LineStarted { at: at(0), line: ghost }, at(0));
    list.fold(&Event::Note { line: Some(ghost), text: "n".into() }, at(0));
    list.fold(&Event::Output { line: ghost, text: "n".into() }, at(0));
    list.fold(&Event::LineFinished { at: at(0), line: ghost, summary: "s".into(), millis: 0 }, at(0));
    assert_eq!(list.all().count(), 0);
    assert!(list.running().is_none() && list.failed().is_none());
}
