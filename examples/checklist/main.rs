//! Plays a recorded run through a screen, to see how it looks:
//! `cargo run --example checklist -- put-back`, with `--plain`, `--json`, `--ascii`, `--fast`.

mod script;

use std::io::IsTerminal;
use std::time::Duration;

use backstay::event::{Event, Events, LineId};
use backstay::failure::Verdict;
use backstay::time::now;
use backstay::ui::{Look, Screen, show};
use script::Script;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|a| a == name);
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let look = Look { colour, unicode: !has("--ascii"), width: 100 };
    let screen = match () {
        () if has("--json") => Screen::Json,
        () if has("--plain") => Screen::Plain(look),
        () => Screen::Terminal(look),
    };
    let speed = if has("--fast") { 20 } else { 1 };
    let (events, reader) = Events::channel();
    let shown = tokio::spawn(show(screen, reader));
    match arguments.first().map(String::as_str) {
        Some("refused") => play(&events, script::refused(now()), speed).await,
        Some("put-back") => play(&events, script::put_back(now()), speed).await,
        Some("not-put-back") => play(&events, script::not_put_back(now()), speed).await,
        Some("interrupted") => play(&events, script::interrupted_in_window(now()), speed).await,
        Some("approve") => approve(&events, speed).await,
        _ => play(&events, script::good(now()), speed).await,
    }
    drop(events);
    let _ = shown.await;
}

async fn play(events: &Events, script: Script, speed: u64) {
    for beat in script.beats {
        tokio::time::sleep(Duration::from_millis(beat.after_millis as u64 / speed)).await;
        events.emit(beat.event);
    }
}

/// Asks, and goes on as it is answered; a signal ends it as the engine would.
async fn approve(events: &Events, speed: u64) {
    let mut script = Script::begin(now());
    script.preflight().start(LineId::Line(4));
    let answer = script.ask();
    play(events, script, speed).await;
    let mut terminate = signal(SignalKind::terminate()).expect("a handler of SIGTERM");
    let typed = tokio::select! {
        typed = answer => typed.ok(),
        _ = tokio::signal::ctrl_c() => None,
        _ = terminate.recv() => None,
    };
    let mut end = Script::at(now());
    end.start(LineId::Line(4)).wait(100);
    match typed {
        Some(typed) => end.finish(&format!("typed {typed}")).end(Verdict::Done, [None, None], &[]),
        None => end.end(Verdict::Interrupted, [None, None], &[]),
    };
    // The line runs already.
    end.beats.retain(|beat| !matches!(beat.event, Event::LineStarted { .. }));
    play(events, end, speed).await;
}
