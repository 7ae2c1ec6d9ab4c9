//! One backstay process, seen and killed from outside.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::common::project::{Ended, Project};

/// Whatever is waited for comes within this, or the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running backstay, leader of a process group of its own.
pub struct Driver {
    child: Child,
    out: File,
    err: File,
    journals: PathBuf,
}

impl Driver {
    /// Starts the binary in the project.
    pub fn start(project: &Project, arguments: &[&str]) -> Self {
        Self::spawn(project.command(arguments), project.path("backstay-store/runs"))
    }

    /// As [`Driver::start`], the command changed by `change`.
    pub fn start_with(project: &Project, arguments: &[&str], change: impl FnOnce(&mut Command)) -> Self {
        let mut command = project.command(arguments);
        change(&mut command);
        Self::spawn(command, project.path("backstay-store/runs"))
    }

    /// Starts `command`, whose journals are below `journals`. Its output goes to files: a killed driver's children
    /// must not hold a pipe of ours.
    pub fn spawn(mut command: Command, journals: PathBuf) -> Self {
        let (out, err) = (tempfile::tempfile().expect("a file"), tempfile::tempfile().expect("a file"));
        let child = command
            .stdout(Stdio::from(out.try_clone().expect("a descriptor")))
            .stderr(Stdio::from(err.try_clone().expect("a descriptor")))
            .process_group(0)
            .spawn()
            .expect("a driver");
        Self { child, out, err, journals }
    }

    /// Waits until record `number` of the newest run exists; false if the driver ended without it.
    pub fn reaches(&mut self, number: u32) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let mut record = None;
        loop {
            if record.is_none() {
                record =
                    newest_journal(&self.journals).map(|folder| folder.join(format!("{number:06}.json")));
            }
            if record.as_ref().is_some_and(|path| path.exists()) {
                return true;
            }
            if self.has_ended() {
                return newest_journal(&self.journals)
                    .is_some_and(|folder| folder.join(format!("{number:06}.json")).exists());
            }
            assert!(Instant::now() < deadline, "record {number} did not come");
            std::thread::sleep(Duration::from_micros(300));
        }
    }

    /// Waits until the line called `name` was started; fails if the driver ends before.
    pub fn starts(&mut self, project: &Project, name: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !started(project, name) {
            let gone = self.has_ended();
            assert!(!gone || started(project, name), "the driver ended before {name}: {}", self.said());
            assert!(Instant::now() < deadline, "{name} was not started");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the process alone, unless it has ended by itself: its number may be another's then.
    pub fn signal(&mut self, signal: Signal) {
        if !self.has_ended() {
            kill_process(self.pid(), signal).expect("a signal");
        }
    }

    /// SIGKILL, to the process alone; its children live on.
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        self.child.wait().expect("its end");
    }

    /// SIGKILL, to the whole process group.
    pub fn kill_group(mut self) {
        if !self.has_ended() {
            kill_process_group(self.pid(), Signal::KILL).expect("a signal");
        }
        self.child.wait().expect("its end");
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a status").is_some()
    }

    /// Whether it ends by itself within `grace`.
    pub fn ends_within(&mut self, grace: Duration) -> bool {
        let deadline = Instant::now() + grace;
        while !self.has_ended() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.has_ended()
    }

    /// Waits until it ends by itself.
    pub fn ended(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        while !self.has_ended() {
            assert!(Instant::now() < deadline, "it does not end: {}", self.said());
            std::thread::sleep(Duration::from_millis(2));
        }
        let status: ExitStatus = self.child.wait().expect("a status");
        Ended::of(std::process::Output { status, stdout: read(&mut self.out), stderr: read(&mut self.err) })
    }

    fn said(&mut self) -> String {
        String::from_utf8_lossy(&read(&mut self.err)).into_owned()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A test that fails leaves nothing running; a stopped one must be killed, not asked.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(file: &mut File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("its output");
    bytes
}

fn newest_journal(runs: &Path) -> Option<PathBuf> {
    let newest = std::fs::read_dir(runs).ok()?.flatten().map(|entry| entry.path()).max()?;
    Some(newest.join("journal"))
}

fn started(project: &Project, name: &str) -> bool {
    start_of(project, name).is_some()
}

/// The number of the record that says that the line called `name` was started; a line's own words after its
/// kind (`migrate to head`) need not be given.
pub fn start_of(project: &Project, name: &str) -> Option<u32> {
    let fits = |said: &str| said == name || said.strip_prefix(name).is_some_and(|rest| rest.starts_with(' '));
    let is_start = |record: &&serde_json::Value| {
        record["kind"] == "started" && record["name"].as_str().is_some_and(fits)
    };
    records(project).iter().find(is_start)?["number"].as_u64()?.try_into().ok()
}

/// The records of the newest run; one that is just being linked is not there yet.
pub fn records(project: &Project) -> Vec<serde_json::Value> {
    project.journal().into_iter().map(|(_, record)| record).collect()
}
