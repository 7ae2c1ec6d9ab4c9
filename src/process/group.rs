//! The process group of a child, which is ended as a whole: gently first, and also when nobody waits any more.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::process::Child;
use tokio::time::{Instant, sleep};

/// How long a program that was abandoned has after SIGTERM.
const FAREWELL: Duration = Duration::from_secs(3);

const POLL: Duration = Duration::from_millis(20);

/// Groups that were asked to end and are waited for by nobody but their task.
static ABANDONED: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// The process group of a child; ended when dropped, unless the child ended by itself.
pub(super) struct Group(Option<Pid>);

impl Group {
    /// The group that `child` leads.
    pub fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(id.cast_signed())))
    }

    /// Asks all of the group to end, and kills what is left of it after `grace`. Children that outlive their parent
    /// belong to it.
    pub async fn end(mut self, child: &mut Child, grace: Duration) {
        let Some(group) = self.0.take() else { return };
        let last_word = LastWord::over(group);
        let _ = kill_process_group(group, Signal::TERM);
        // A child that nobody has waited for still counts as one of the group.
        let (_, ended) = tokio::join!(tokio::time::timeout(grace, child.wait()), until_empty(group, grace));
        last_word.unless(ended);
        if !ended {
            let _ = child.wait().await;
        }
    }

    /// The child ended by itself: what it left running is meant to run.
    pub fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(group) = self.0.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            let _ = kill_process_group(group, Signal::KILL);
            return;
        };
        let _ = kill_process_group(group, Signal::TERM);
        let last_word = LastWord::over(group);
        runtime.spawn(async move {
            // The runtime waits for the child itself, which else would count for ever.
            last_word.unless(until_empty(group, FAREWELL).await);
        });
    }
}

/// Kills what is left of a group when dropped: at the end of its time, or of the runtime.
struct LastWord {
    group: Pid,
    /// Nothing is left of it, and its number may be another's soon.
    needless: bool,
}

impl LastWord {
    fn over(group: Pid) -> Self {
        abandoned().push(group);
        Self { group, needless: false }
    }

    fn unless(mut self, ended: bool) {
        self.needless = ended;
    }
}

impl Drop for LastWord {
    fn drop(&mut self) {
        if !self.needless {
            let _ = kill_process_group(self.group, Signal::KILL);
        }
        abandoned().retain(|group| *group != self.group);
    }
}

/// Waits until every program that was abandoned has ended; three seconds at most, then they are killed. For the end of
/// the process: the runtime may be gone before its tasks are.
pub async fn settle() {
    let deadline = Instant::now() + FAREWELL;
    while !abandoned().is_empty() && Instant::now() < deadline {
        sleep(POLL).await;
    }
    for group in abandoned().drain(..) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Whether the group was empty within `bound`. While one process of it is left, its number is nobody else's.
async fn until_empty(group: Pid, bound: Duration) -> bool {
    let deadline = Instant::now() + bound;
    while test_kill_process_group(group).is_ok() {
        if Instant::now() >= deadline {
            return false;
        }
        sleep(POLL).await;
    }
    true
}

fn abandoned() -> std::sync::MutexGuard<'static, Vec<Pid>> {
    ABANDONED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until no process is left whose arguments hold `script`.
#[cfg(test)]
pub(super) async fn gone(script: &str) {
    let holds = |entry: std::fs::DirEntry| {
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        arguments.windows(script.len()).any(|part| part == script.as_bytes())
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while std::fs::read_dir("/proc").unwrap().flatten().any(holds) {
        assert!(Instant::now() < deadline, "left behind: {script}");
        sleep(POLL).await;
    }
}
