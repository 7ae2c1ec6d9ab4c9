//! Programs that outlived the driver which started them.
//!
//! A driver that is killed can't end its children, and a deploy script that goes on after its undo was run
//! would have the last word. What a line starts carries [`RUN`] and [`LINE`] in its environment; the next
//! driver on the same machine finds it by them in `/proc` (Linux), also where it left its process group.
//! What changed its environment or its user, or runs on another machine, isn't found.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::{Instant, sleep};

use super::GRACE;

/// The variable that names the run.
pub const RUN: &str = "BACKSTAY_RUN";

/// The variable that names the line of the run.
pub const LINE: &str = "BACKSTAY_LINE";

const POLL: Duration = Duration::from_millis(20);

/// Ends whatever line `line` of `run` started and is still alive: SIGTERM, then SIGKILL after five seconds.
/// Gives how many there were.
pub async fn end(run: &str, line: &str) -> usize {
    let marks = [format!("{RUN}={run}"), format!("{LINE}={line}")];
    let deadline = Instant::now() + GRACE;
    let first = signal(&marks, Signal::TERM);
    if first == 0 {
        return 0;
    }
    let mut alive = first;
    while alive > 0 {
        sleep(POLL).await;
        // A child that was forked in between gets the signal too; the second SIGTERM of the others is harmless.
        alive = signal(&marks, if Instant::now() < deadline { Signal::TERM } else { Signal::KILL });
        if Instant::now() > deadline + GRACE {
            tracing::warn!(run, line, alive, "processes of the dead driver do not end");
            break;
        }
    }
    first
}

/// Signals every process that carries all `marks`; gives their number.
fn signal(marks: &[String], signal: Signal) -> usize {
    let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Pid::from_raw(pid).filter(|_| pid != std::process::id().cast_signed())
    });
    pids.filter(|pid| {
        // Held open before the look, so that the number can't be another process's by the time of the signal.
        let Ok(process) = pidfd_open(*pid, PidfdFlags::empty()) else { return false };
        carries(*pid, marks) && pidfd_send_signal(&process, signal).is_ok()
    })
    .count()
}

fn carries(pid: Pid, marks: &[String]) -> bool {
    let path = Path::new("/proc").join(pid.as_raw_pid().to_string()).join("environ");
    let Ok(environment) = std::fs::read(path) else { return false };
    let has =
        |mark: &String| environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes());
    marks.iter().all(has)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_carries_the_marks_is_ended() {
        let start = |line: &str| {
            let mut command = std::process::Command::new("sh");
            // The grandchild leaves the process group, as a careless script's would.
            command.args(["-c", "setsid sleep 60 & sleep 60"]).env(RUN, "orphans-test").env(LINE, line);
            command.spawn().expect("a shell")
        };
        let (mut ours, mut other) = (start("7"), start("8"));
        while signal(&[format!("{RUN}=orphans-test"), format!("{LINE}=7")], Signal::CONT) < 3 {
            sleep(POLL).await;
        }
        let reaper = tokio::task::spawn_blocking(move || ours.wait());
        assert_eq!(end("orphans-test", "7").await, 3);
        reaper.await.expect("a thread").expect("its end");
        assert_eq!(end("orphans-test", "7").await, 0);
        assert!(other.try_wait().expect("a status").is_none(), "the other line's went too");
        let reaper = tokio::task::spawn_blocking(move || other.wait());
        end("orphans-test", "8").await;
        reaper.await.expect("a thread").expect("its end");
    }
}
