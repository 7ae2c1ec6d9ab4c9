//! Child processes: started without a shell, bounded, heard line by line, and never left behind.

pub mod orphans;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::time::show_duration;

/// How long a program that was asked to end (SIGTERM) has before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// How long we listen on after the program ended: a daemon that it left may hold the pipe for ever.
const LINGER: Duration = Duration::from_millis(500);

/// A longer line of output is cut.
const LONGEST_LINE: usize = 8 * 1024;

/// A program to run.
#[derive(Debug, Clone)]
pub struct Program {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Where it runs.
    pub directory: PathBuf,
    /// Variables beside our own environment.
    pub env: BTreeMap<String, String>,
    /// A bound on it.
    pub timeout: Duration,
}

/// Why a program did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("start {program}")]
    Start {
        /// Which.
        program: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It ended, and not well.
    #[error("{program} ended with {status}{}", last_words(.tail))]
    Ended {
        /// Which.
        program: String,
        /// Its status.
        status: ExitStatus,
        /// Its last lines.
        tail: Vec<String>,
    },
    /// It took too long and was ended.
    #[error("{program} did not end within {} and was stopped{}", show_duration(*.timeout), last_words(.tail))]
    TimedOut {
        /// Which.
        program: String,
        /// The bound.
        timeout: Duration,
        /// Its last lines.
        tail: Vec<String>,
    },
}

impl From<ProcessError> for Failure {
    fn from(error: ProcessError) -> Failure {
        match &error {
            ProcessError::Start { program, source } => {
                let failure = Failure::failed(format!("start {program}")).caused_by(source);
                match source.kind() {
                    std::io::ErrorKind::NotFound => failure.then(format!(
                        "check that {program} is installed, and give its full path if it is not in PATH"
                    )),
                    _ => failure,
                }
            }
            ProcessError::Ended { program, status, tail } => tail
                .iter()
                .fold(Failure::failed(format!("run {program}")).because_of(status.to_string()), |f, line| {
                    f.because_of(line.as_str())
                }),
            ProcessError::TimedOut { program, .. } => {
                Failure::failed(format!("run {program}")).because_of(error.to_string())
            }
        }
    }
}

impl ProcessError {
    /// The exit code, where the program ended by itself.
    pub fn code(&self) -> Option<i32> {
        match self {
            ProcessError::Ended { status, .. } => status.code(),
            _ => None,
        }
    }
}

/// Runs a program to its end; `heard` gets every line of its output (standard output and error, as they come).
///
/// It runs in a process group of its own, which is ended as a whole when the bound passes and when the
/// future is dropped. A crash of ours leaves it running: [`orphans::end`] is for the next driver.
///
/// # Errors
/// [`ProcessError`]; anything but exit status 0 is one.
pub async fn run(program: &Program, heard: impl FnMut(&str)) -> Result<(), ProcessError> {
    let (sender, lines) = mpsc::channel(256);
    let child = start(program)?;
    attend(program, child, sender, lines, true, heard).await
}

/// As [`run`], for a program whose standard output is its result: that is given, whole; `heard` gets the lines of
/// its standard error.
///
/// # Errors
/// As [`run`].
pub async fn collect(program: &Program, heard: impl FnMut(&str)) -> Result<String, ProcessError> {
    let (sender, lines) = mpsc::channel(256);
    let mut child = start(program)?;
    let stdout = child.stdout.take();
    let read = async {
        let mut text = Vec::new();
        if let Some(mut stdout) = stdout {
            // What breaks the pipe ends the program too, and that is told.
            let _ = tokio::io::AsyncReadExt::read_to_end(&mut stdout, &mut text).await;
        }
        String::from_utf8_lossy(&text).into_owned()
    };
    let attended = attend(program, child, sender, lines, false, heard);
    let (ended, text) = tokio::join!(attended, read);
    ended.map(|()| text)
}

/// Sees a child through to its end.
async fn attend(
    program: &Program,
    mut child: Child,
    sender: mpsc::Sender<String>,
    mut lines: mpsc::Receiver<String>,
    hear_output: bool,
    mut heard: impl FnMut(&str),
) -> Result<(), ProcessError> {
    let name = program.name();
    let group = Group::of(&child);
    if hear_output {
        listen(child.stdout.take(), sender.clone());
    }
    listen(child.stderr.take(), sender);
    let mut tail = Tail::default();
    let mut hear = |line: String, tail: &mut Tail| {
        heard(&line);
        tail.push(line);
    };
    let deadline = tokio::time::sleep(program.timeout);
    tokio::pin!(deadline);
    let status = loop {
        tokio::select! {
            Some(line) = lines.recv() => hear(line, &mut tail),
            status = child.wait() => break status,
            () = &mut deadline => {
                group.end(&mut child).await;
                return Err(ProcessError::TimedOut { program: name, timeout: program.timeout, tail: tail.0.into() });
            }
        }
    };
    let status = status.map_err(|source| ProcessError::Start { program: name.clone(), source })?;
    while let Ok(Some(line)) = tokio::time::timeout(LINGER, lines.recv()).await {
        hear(line, &mut tail);
    }
    group.forget();
    if status.success() {
        Ok(())
    } else {
        Err(ProcessError::Ended { program: name, status, tail: tail.0.into() })
    }
}

impl Program {
    fn name(&self) -> String {
        self.argv.first().cloned().unwrap_or_default()
    }
}

fn start(program: &Program) -> Result<Child, ProcessError> {
    let failed = |source| ProcessError::Start { program: program.name(), source };
    let Some((name, arguments)) = program.argv.split_first() else {
        return Err(failed(std::io::Error::new(std::io::ErrorKind::InvalidInput, "no program is named")));
    };
    Command::new(name)
        .args(arguments)
        .current_dir(&program.directory)
        .envs(&program.env)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(failed)
}

/// Sends the lines of one pipe; ends with the pipe, or when nobody hears any more.
fn listen(pipe: Option<impl AsyncRead + Unpin + Send + 'static>, lines: mpsc::Sender<String>) {
    let Some(pipe) = pipe else { return };
    tokio::spawn(async move {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut limited = tokio::io::AsyncReadExt::take(&mut reader, LONGEST_LINE as u64);
            match limited.read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {
                    let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_string();
                    if lines.send(text).await.is_err() {
                        return;
                    }
                }
            }
        }
    });
}

/// The last lines of an output.
#[derive(Default)]
struct Tail(std::collections::VecDeque<String>);

impl Tail {
    const LINES: usize = 5;

    fn push(&mut self, line: String) {
        if line.trim().is_empty() {
            return;
        }
        if self.0.len() == Self::LINES {
            self.0.pop_front();
        }
        self.0.push_back(line);
    }
}

fn last_words(tail: &[String]) -> String {
    tail.last().map(|line| format!(": {line}")).unwrap_or_default()
}

/// The process group of a child; killed when dropped, unless the child ended by itself.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(id as i32)))
    }

    async fn end(mut self, child: &mut Child) {
        let Some(group) = self.0.take() else { return };
        let _ = kill_process_group(group, Signal::TERM);
        if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
            let _ = kill_process_group(group, Signal::KILL);
            let _ = child.wait().await;
        }
    }

    fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0.take() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, timeout: Duration) -> Program {
        let argv = ["sh", "-c", script].map(String::from).to_vec();
        Program { argv, directory: "/".into(), env: BTreeMap::from([("X".into(), "a b$".into())]), timeout }
    }

    async fn heard(script: &str, timeout: Duration) -> (Result<(), ProcessError>, Vec<String>) {
        let mut lines = Vec::new();
        let result = run(&shell(script, timeout), |line| lines.push(line.to_string())).await;
        (result, lines)
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn output_is_heard_and_the_environment_given() {
        let (result, mut lines) = heard("echo one; echo \"$X\" >&2; printf last", LONG).await;
        result.unwrap();
        lines.sort();
        assert_eq!(lines, ["a b$", "last", "one"]);
    }

    #[tokio::test]
    async fn output_is_collected_whole() {
        let script = shell("echo said >&2; head -c 100000 /dev/zero | tr '\\0' x; echo; printf end", LONG);
        let mut lines = Vec::new();
        let text = collect(&script, |line| lines.push(line.to_string())).await.unwrap();
        assert_eq!((text.len(), text.ends_with("x\nend"), lines), (100_004, true, vec!["said".to_string()]));
        let failing = collect(&shell("echo no; echo why >&2; exit 2", LONG), |_| ()).await.unwrap_err();
        assert_eq!((failing.code(), failing.to_string().contains("why")), (Some(2), true));
    }

    #[tokio::test]
    async fn failures_carry_the_last_words() {
        let (result, _) = heard("echo bad luck; exit 3", LONG).await;
        let error = result.unwrap_err();
        assert_eq!(error.code(), Some(3));
        assert_eq!(error.to_string(), "sh ended with exit status: 3: bad luck");
        let missing = Program { argv: vec!["no-such-program".into()], ..shell("", LONG) };
        assert!(matches!(run(&missing, |_| ()).await, Err(ProcessError::Start { .. })));
    }

    #[tokio::test]
    async fn a_program_that_never_ends_is_ended_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("alive");
        let script = format!("(sleep 2; touch {}) & sleep 60", mark.display());
        let started = std::time::Instant::now();
        let (result, _) = heard(&script, Duration::from_millis(200)).await;
        assert!(matches!(result, Err(ProcessError::TimedOut { .. })));
        assert!(started.elapsed() < Duration::from_secs(2));
        tokio::time::sleep(Duration::from_millis(2200)).await;
        assert!(!mark.exists(), "the child of the child was left behind");
    }

    #[tokio::test]
    async fn a_daemon_that_keeps_the_pipe_is_not_waited_for() {
        let started = std::time::Instant::now();
        let (result, lines) = heard("setsid sleep 30 & echo done", LONG).await;
        result.unwrap();
        assert_eq!(lines, ["done"]);
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[tokio::test]
    async fn a_flood_is_heard_in_bounded_pieces() {
        let mut longest = 0;
        let flood = shell("head -c 3000000 /dev/zero | tr '\\0' x", LONG);
        run(&flood, |line| longest = longest.max(line.len())).await.unwrap();
        assert_eq!(longest, LONGEST_LINE);
    }
}
