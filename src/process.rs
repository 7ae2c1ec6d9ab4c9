//! Child processes: started without a shell, bounded, heard line by line, and never left behind.

mod group;
pub mod keeper;
pub mod orphans;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::time::{show_bytes, show_duration};
use crate::words::shell_word;
use group::Group;
pub use group::settle;

/// How long a program that was asked to end (SIGTERM) has before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// How long we listen on after the program ended: a daemon that it left may hold the pipe for ever.
const LINGER: Duration = Duration::from_millis(500);

/// The same, if what it left goes on talking.
const LINGER_AT_MOST: Duration = Duration::from_secs(5);

/// A longer line of output is cut.
const LONGEST_LINE: usize = 8 * 1024;

/// A program whose output is its result has no reason to give more: it would fill our memory.
const LONGEST_RESULT: u64 = 256 << 20;

/// `ENOEXEC`: a text without `#!`, or another machine's program.
const NO_FORMAT: i32 = 8;

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
    /// It could not be started, because the folder that it should run in is not there.
    #[error("start {program} in {}, which is no folder", directory.display())]
    NoDirectory {
        /// Which.
        program: String,
        /// Where.
        directory: PathBuf,
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
    /// Its result is longer than memory should hold.
    #[error("{program} printed more than {}", show_bytes(LONGEST_RESULT))]
    Flood {
        /// Which.
        program: String,
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
                    std::io::ErrorKind::PermissionDenied => failure.then(format!(
                        "make it executable for this user: chmod +x {}; or name its interpreter first",
                        shell_word(program)
                    )),
                    _ if source.raw_os_error() == Some(NO_FORMAT) => failure
                        .then(format!("begin {program} with its interpreter, #!/bin/sh; or name that first")),
                    _ => failure,
                }
            }
            ProcessError::NoDirectory { program, directory } => Failure::failed(format!("start {program}"))
                .because_of(format!("there is no folder {}", directory.display()))
                .then("make it, or correct the step's directory"),
            ProcessError::Ended { program, status, tail } => tail
                .iter()
                .fold(Failure::failed(format!("run {program}")).because_of(status.to_string()), |f, line| {
                    f.because_of(line.as_str())
                }),
            ProcessError::TimedOut { program, .. } | ProcessError::Flood { program } => {
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
/// It runs in a process group of its own. When the bound passes, the group is asked to end (SIGTERM) and killed five
/// seconds later; when the future is dropped, three seconds later, by a task of its own: [`settle`] waits for those.
/// A crash of ours leaves it running: [`orphans::end`] is for the next driver. All is measured by the monotonic
/// clock: setting the time changes nothing.
///
/// # Errors
/// [`ProcessError`]; anything but exit status 0 is one.
pub async fn run(program: &Program, heard: impl FnMut(&str)) -> Result<(), ProcessError> {
    let (sender, lines) = mpsc::channel(256);
    let mut child = start(program)?;
    let group = Group::of(&child);
    listen(child.stdout.take(), sender.clone());
    attend(program, child, group, sender, lines, heard).await
}

/// As [`run`], for a program whose standard output is its result: that is given, whole; `heard` gets the lines of
/// its standard error.
///
/// # Errors
/// As [`run`]; or a result of more than 256 MiB.
pub async fn collect(program: &Program, heard: impl FnMut(&str)) -> Result<String, ProcessError> {
    let (sender, lines) = mpsc::channel(256);
    let mut child = start(program)?;
    let group = Group::of(&child);
    let mut stdout = child.stdout.take();
    let mut text = Vec::new();
    let attended = attend(program, child, group, sender, lines, heard);
    let ended = {
        let read = async {
            if let Some(stdout) = stdout.take() {
                // What breaks the pipe ends the program too, and that is told.
                let _ = stdout.take(LONGEST_RESULT).read_to_end(&mut text).await;
            }
        };
        tokio::pin!(attended, read);
        tokio::select! {
            () = &mut read => attended.await,
            ended = &mut attended => {
                // What is in the pipe still; a daemon that holds it is not waited for.
                let _ = tokio::time::timeout(LINGER, read).await;
                ended
            }
        }
    };
    if text.len() as u64 == LONGEST_RESULT {
        return Err(ProcessError::Flood { program: program.name() });
    }
    ended.map(|()| String::from_utf8_lossy(&text).into_owned())
}

/// As [`run`], with the program's standard input held open for as long as somebody waits: a program that ends with its
/// input, as [`keeper::keep`] does, is not left behind, however we end.
///
/// # Errors
/// As [`run`].
pub async fn hold(program: &Program, heard: impl FnMut(&str)) -> Result<(), ProcessError> {
    let (sender, lines) = mpsc::channel(256);
    let mut child = start_reading(program, Stdio::piped())?;
    let group = Group::of(&child);
    let _held = child.stdin.take();
    listen(child.stdout.take(), sender.clone());
    attend(program, child, group, sender, lines, heard).await
}

/// Sees a child through to its end.
async fn attend(
    program: &Program,
    mut child: Child,
    group: Group,
    sender: mpsc::Sender<String>,
    mut lines: mpsc::Receiver<String>,
    mut heard: impl FnMut(&str),
) -> Result<(), ProcessError> {
    let name = program.name();
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
            // The bound first: a flood always has another line.
            biased;
            () = &mut deadline => {
                // Nobody reads on: who writes meets a closed pipe, and not a full one that would hold it up.
                drop(lines);
                group.end(&mut child, GRACE).await;
                return Err(ProcessError::TimedOut { program: name, timeout: program.timeout, tail: tail.0.into() });
            }
            status = child.wait() => break status,
            Some(line) = lines.recv() => hear(line, &mut tail),
        }
    };
    group.forget();
    let status = status.map_err(|source| ProcessError::Start { program: name.clone(), source })?;
    listen_on(lines, |line| hear(line, &mut tail)).await;
    if status.success() {
        Ok(())
    } else {
        Err(ProcessError::Ended { program: name, status, tail: tail.0.into() })
    }
}

/// Hears what is still in the pipes of a program that has ended. A daemon that it left may hold them for ever, and
/// may go on writing: it is heard for a moment of silence, and not for long.
async fn listen_on(mut lines: mpsc::Receiver<String>, mut hear: impl FnMut(String)) {
    let enough = tokio::time::Instant::now() + LINGER_AT_MOST;
    while tokio::time::Instant::now() < enough
        && let Ok(Some(line)) = tokio::time::timeout(LINGER, lines.recv()).await
    {
        hear(line);
    }
}

impl Program {
    fn name(&self) -> String {
        self.argv.first().cloned().unwrap_or_default()
    }
}

fn start(program: &Program) -> Result<Child, ProcessError> {
    start_reading(program, Stdio::null())
}

fn start_reading(program: &Program, input: Stdio) -> Result<Child, ProcessError> {
    let failed = |source| ProcessError::Start { program: program.name(), source };
    let Some((name, arguments)) = program.argv.split_first() else {
        return Err(failed(std::io::Error::new(std::io::ErrorKind::InvalidInput, "no program is named")));
    };
    // The system would say the same of the program and of the folder: no such file.
    if !program.directory.is_dir() {
        return Err(ProcessError::NoDirectory {
            program: program.name(),
            directory: program.directory.clone(),
        });
    }
    Command::new(name)
        .args(arguments)
        .current_dir(&program.directory)
        .envs(&program.env)
        .stdin(input)
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
            let mut limited = (&mut reader).take(LONGEST_LINE as u64);
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
        let script = format!("(sleep 50; touch {}) & sleep 60", mark.display());
        let (result, _) = heard(&script, Duration::from_millis(200)).await;
        assert!(matches!(result, Err(ProcessError::TimedOut { .. })));
        group::gone(&mark.display().to_string()).await;
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
    async fn a_daemon_that_keeps_the_pipe_of_a_result_is_not_waited_for() {
        let started = std::time::Instant::now();
        let daemon = shell("setsid sleep 30 & echo done", LONG);
        assert_eq!(collect(&daemon, |_| ()).await.unwrap(), "done\n");
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[tokio::test]
    async fn a_daemon_that_goes_on_talking_is_not_heard_for_ever() {
        let started = std::time::Instant::now();
        let (result, _) =
            heard("(trap '' PIPE; while sleep 0.1; do echo x || exit; done) & echo done", LONG).await;
        result.unwrap();
        assert!(started.elapsed() < Duration::from_secs(15));
    }

    #[tokio::test]
    async fn who_ignores_the_signal_is_killed_with_what_outlived_its_parent() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        // The parent ends when it is asked to; its child does not.
        let script =
            format!("(trap '' TERM; echo $$ > {}; while :; do sleep 0.1; done) & wait", pid.display());
        let started = std::time::Instant::now();
        let (result, _) = heard(&script, Duration::from_millis(500)).await;
        assert!(matches!(result, Err(ProcessError::TimedOut { .. })));
        assert!(started.elapsed() < Duration::from_secs(20));
        assert!(pid.exists());
        group::gone(&script).await;
    }

    #[tokio::test]
    async fn an_abandoned_program_may_clean_up_and_is_killed_if_it_does_not_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let script = |trap: &str, name: &str| {
            format!("trap '{trap}' TERM; touch {0}; while :; do sleep 0.02; done", path(name).display())
        };
        let polite = script(&format!("touch {}; exit", path("clean").display()), "polite");
        let stubborn = script("", "stubborn");
        for (script, name) in [(&polite, "polite"), (&stubborn, "stubborn")] {
            let begun = async {
                while !path(name).exists() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::select! {
                _ = heard(script, LONG) => panic!("it ended by itself"),
                () = begun => {}
            }
        }
        let started = std::time::Instant::now();
        settle().await;
        assert!(started.elapsed() < Duration::from_secs(20));
        assert!(path("clean").exists(), "it had no time to clean up");
        group::gone(&stubborn).await;
    }

    #[tokio::test]
    async fn what_can_not_be_started_is_told_with_what_mends_it() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("deploy");
        std::fs::write(&text, "echo hello").unwrap();
        let program = |directory: &std::path::Path| Program {
            argv: vec![text.display().to_string()],
            directory: directory.into(),
            ..shell("", LONG)
        };
        let told = |failure: Failure| format!("{failure} {}", failure.next.join(" "));
        let refused = run(&program(folder.path()), |_| ()).await.unwrap_err();
        assert!(told(refused.into()).contains("chmod +x"));
        std::fs::set_permissions(&text, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let refused = run(&program(folder.path()), |_| ()).await.unwrap_err();
        assert!(told(refused.into()).contains("#!/bin/sh"));
        let gone = folder.path().join("gone");
        let refused = told(run(&program(&gone), |_| ()).await.unwrap_err().into());
        assert!(refused.contains("no folder") && refused.contains("gone"), "{refused}");
        let (killed, _) = heard("kill -9 $$", LONG).await;
        assert!(killed.unwrap_err().to_string().contains("signal: 9"));
    }

    #[tokio::test]
    async fn garbage_is_heard_as_text() {
        let (result, lines) = heard("printf '\\377\\000\\033[2Jx\\r\\n\\n'", LONG).await;
        result.unwrap();
        assert_eq!(lines, ["\u{fffd}\0\u{1b}[2Jx", ""]);
    }

    #[tokio::test]
    async fn a_flood_is_heard_in_bounded_pieces() {
        let mut longest = 0;
        let flood = shell("head -c 3000000 /dev/zero | tr '\\0' x", LONG);
        run(&flood, |line| longest = longest.max(line.len())).await.unwrap();
        assert_eq!(longest, LONGEST_LINE);
    }
}
