//! A process between us and a program that must not outlive us: it ends the program when its own standard input ends.
//!
//! Whoever started it holds the other end of that pipe. The system closes it however they end, by SIGKILL too, when
//! nothing of ours runs any more.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Signal, getpgrp, kill_process_group};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// How long the program has after SIGTERM. Shorter than the farewell of our own group: it must not be cut short.
const GRACE: Duration = Duration::from_secs(2);

/// Starts `argv`, and gives its exit code once it has ended: by itself, because our standard input ended, or because we
/// were asked to end. It shares our process group, which is to be ours alone: what it starts is ended with it.
pub async fn keep(argv: &[String]) -> u8 {
    let Ok(mut asked) = signal(SignalKind::terminate()) else { return NOT_STARTED };
    let mut child = match start(argv) {
        Ok(child) => child,
        Err(error) => {
            eprintln!("{error}");
            return NOT_STARTED;
        }
    };
    let status = tokio::select! {
        biased;
        status = child.wait() => status.ok(),
        () = end_of_input() => end(&mut child).await,
        _ = asked.recv() => end(&mut child).await,
    };
    status.and_then(|status| status.code()).and_then(|code| u8::try_from(code).ok()).unwrap_or(ENDED)
}

/// What a shell says of a command that it can't start.
const NOT_STARTED: u8 = 127;

/// It was ended by a signal.
const ENDED: u8 = 143;

fn start(argv: &[String]) -> std::io::Result<Child> {
    let (program, arguments) = argv.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    Command::new(program).args(arguments).stdin(Stdio::null()).spawn()
}

async fn end_of_input() {
    // A read that nobody waits for any more holds nothing up: the process exits.
    let read =
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()));
    let _ = read.await;
}

/// Asks the whole group to end, us too, who hear it and go on; what is left after the grace is killed, and we with it.
async fn end(child: &mut Child) -> Option<ExitStatus> {
    let _ = kill_process_group(getpgrp(), Signal::TERM);
    match tokio::time::timeout(GRACE, child.wait()).await {
        Ok(status) => status.ok(),
        Err(_) => {
            let _ = kill_process_group(getpgrp(), Signal::KILL);
            None
        }
    }
}
