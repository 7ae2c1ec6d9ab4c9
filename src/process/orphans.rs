//! Programs that outlived the driver which started them.
//!
//! A driver that is killed can't end its children, and a deploy script that goes on after its undo was run
//! would have the last word. What a line starts names its [`Owner`] in its environment; the next driver on the
//! same machine finds it by that in `/proc` (Linux), also where it left its process group.
//! What changed its environment or its user, or runs on another machine, isn't found.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::{Instant, sleep};

use super::GRACE;
use crate::event::LineId;

/// The variable that names the run.
pub const RUN: &str = "BACKSTAY_RUN";

/// The variable that numbers the run's driver.
pub const EPOCH: &str = "BACKSTAY_EPOCH";

/// The variable that names the line of the run.
pub const LINE: &str = "BACKSTAY_LINE";

/// Whose program it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The run.
    pub run: String,
    /// Its driver.
    pub epoch: u32,
    /// The line that started it.
    pub line: LineId,
}

impl Owner {
    /// What a program of ours is to have in its environment.
    pub fn variables(&self) -> [(String, String); 3] {
        [(RUN, self.run.clone()), (EPOCH, self.epoch.to_string()), (LINE, self.line.to_string())]
            .map(|(name, value)| (name.to_string(), value))
    }

    /// Whether `environment` (as in `/proc`) is that of a program which this driver, or one before it, started on
    /// this line. A later driver's is none of ours: who is fenced and wakes up must not end it.
    fn covers(&self, environment: &[u8]) -> bool {
        let of = |name: &str| {
            let variables = environment.split(|byte| *byte == 0);
            let mut values = variables.filter_map(|variable| variable.strip_prefix(name.as_bytes()));
            values.find_map(|value| std::str::from_utf8(value.strip_prefix(b"=")?).ok())
        };
        let epoch = of(EPOCH).and_then(|epoch| epoch.parse::<u32>().ok());
        of(RUN) == Some(&self.run)
            && of(LINE) == Some(&self.line.to_string())
            && epoch.is_some_and(|epoch| epoch <= self.epoch)
    }
}

const POLL: Duration = Duration::from_millis(20);

/// Ends whatever the line of `owner` started, under this driver or an earlier one, and is still alive: SIGTERM, then
/// SIGKILL after five seconds. Gives how many there were.
pub async fn end(owner: &Owner) -> usize {
    let deadline = Instant::now() + GRACE;
    let first = signal(owner, Signal::TERM);
    if first == 0 {
        return 0;
    }
    let mut alive = first;
    while alive > 0 {
        sleep(POLL).await;
        // A child that was forked in between gets the signal too; the second SIGTERM of the others is harmless.
        alive = signal(owner, if Instant::now() < deadline { Signal::TERM } else { Signal::KILL });
        if Instant::now() > deadline + GRACE {
            tracing::warn!(?owner, alive, "processes of the dead driver do not end");
            break;
        }
    }
    first
}

/// Signals every process that `owner` covers; gives their number.
fn signal(owner: &Owner, signal: Signal) -> usize {
    let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Pid::from_raw(pid).filter(|_| pid != std::process::id().cast_signed())
    });
    pids.filter(|pid| {
        // Held open before the look, so that the number can't be another process's by the time of the signal.
        let Ok(process) = pidfd_open(*pid, PidfdFlags::empty()) else { return false };
        let path = Path::new("/proc").join(pid.as_raw_pid().to_string()).join("environ");
        let ours = std::fs::read(path).is_ok_and(|environment| owner.covers(&environment));
        ours && pidfd_send_signal(&process, signal).is_ok()
    })
    .count()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn owner(line: u32, epoch: u32) -> Owner {
        Owner { run: "orphans-test".into(), epoch, line: LineId::Line(line) }
    }

    #[tokio::test]
    async fn only_what_carries_the_marks_is_ended() {
        let start = |owner: Owner| {
            let mut command = std::process::Command::new("sh");
            // The grandchild leaves the process group, as a careless script's would.
            command.args(["-c", "setsid sleep 60 & sleep 60"]).envs(owner.variables());
            command.spawn().expect("a shell")
        };
        let (mut ours, mut other) = (start(owner(7, 2)), start(owner(8, 2)));
        while signal(&owner(7, 2), Signal::CONT) < 3 {
            sleep(POLL).await;
        }
        assert_eq!(end(&owner(7, 1)).await, 0, "an earlier driver's line ended the next one's program");
        let reaper = tokio::task::spawn_blocking(move || ours.wait());
        assert_eq!(end(&owner(7, 3)).await, 3);
        reaper.await.expect("a thread").expect("its end");
        assert_eq!(end(&owner(7, 3)).await, 0);
        assert!(other.try_wait().expect("a status").is_none(), "the other line's went too");
        let reaper = tokio::task::spawn_blocking(move || other.wait());
        end(&owner(8, 2)).await;
        reaper.await.expect("a thread").expect("its end");
    }

    #[test]
    fn an_owner_covers_its_own_and_earlier_drivers() {
        let covers = |text: &str| owner(7, 2).covers(text.as_bytes());
        let with = |epoch: &str| format!("A=b\0BACKSTAY_RUN=orphans-test\0BACKSTAY_LINE=7\0{epoch}\0");
        assert!(covers(&with("BACKSTAY_EPOCH=1")) && covers(&with("BACKSTAY_EPOCH=2")));
        for epoch in ["BACKSTAY_EPOCH=3", "BACKSTAY_EPOCH=", "BACKSTAY_EPOCHS=1", ""] {
            assert!(!covers(&with(epoch)), "{epoch}");
        }
        assert!(!covers("BACKSTAY_RUN=orphans-test2\0BACKSTAY_LINE=7\0BACKSTAY_EPOCH=1\0"));
        assert!(!covers("BACKSTAY_RUN=orphans-test\0BACKSTAY_LINE=77\0BACKSTAY_EPOCH=1\0"));
        assert!(!covers(""));
    }
}
