//! `backstay init` as a person meets it: on a terminal, which `script` makes, with wrong answers and a change of mind.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::common::command_line::{CommandLine, SECRET};

const PATIENCE: Duration = Duration::from_secs(20);

/// The program on a terminal of its own.
struct Terminal {
    child: Child,
    output: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    fn open(project: &CommandLine, arguments: &str) -> Self {
        let program = project.command(&[]).get_program().to_string_lossy().into_owned();
        let line = format!("{program} {arguments}");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut command = Command::new("script");
        command.args(["-qfec", &line, "/dev/null"]).current_dir(project.path()).env_clear();
        command.env("PATH", path).env("HOME", project.path()).env("TERM", "xterm").env("LC_ALL", "C.UTF-8");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script");
        let mut stdout = child.stdout.take().expect("its output");
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut bytes) {
                let _ = sender.send(bytes[..length].to_vec());
            }
        });
        Self { child, output, seen: String::new() }
    }

    /// Waits until `text` is shown, behind what was waited for before.
    #[track_caller]
    fn see(&mut self, text: &str) -> &mut Self {
        self.until(text);
        self
    }

    /// The same; gives what was shown up to it.
    #[track_caller]
    fn until(&mut self, text: &str) -> String {
        while !self.seen.contains(text) {
            match self.output.recv_timeout(PATIENCE) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("no {text:?} in\n{}", self.seen),
            }
            assert!(!self.seen.contains(SECRET), "{}", self.seen);
        }
        let at = self.seen.find(text).expect("it was seen") + text.len();
        self.seen.drain(..at).collect()
    }

    fn press(&mut self, keys: &str) -> &mut Self {
        let stdin = self.child.stdin.as_mut().expect("its input");
        stdin.write_all(keys.as_bytes()).and_then(|()| stdin.flush()).expect("keys");
        self
    }

    /// How it ends.
    fn end(mut self) -> Option<i32> {
        self.child.wait().expect("an end").code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

/// A project without a config, whose compose file has the URL.
async fn project() -> CommandLine {
    let project = CommandLine::new("").await;
    std::fs::remove_dir_all(project.path().join("config")).expect("no config");
    let url = &project.url;
    let text = format!("services:\n  web:\n    build: .\n    environment:\n      DATABASE_URL: {url}\n");
    project.write("compose.yaml", &text);
    project
}

#[tokio::test]
async fn what_does_not_fit_is_asked_for_again() {
    let project = project().await;
    project.write(".env.production", "DEBUG=1\n");
    let mut terminal = Terminal::open(&project, "init");
    terminal.see("name").press("../x\r").see("can't be the name").press("\r");
    terminal.see("Which database is released to?").see("another one").press("\r");
    terminal.see("deploy").press("true\r").see("undo").press("echo ${HOME:0:1}\r");
    terminal.see("flag").press(" \r").see("`file` is empty").press("\r");
    terminal.see("health").press("-\r");
    terminal.see("store").press("s3://b\r").see("no store of this kind").press("\r");
    terminal.see("Write them?").press("y").see("ready for a release");
    assert_eq!(terminal.end(), Some(0));
    let text = std::fs::read_to_string(project.path().join(".env.production")).unwrap();
    assert!(text.starts_with(&format!("DEBUG=1\nDATABASE_URL={}\n", project.url)), "{text}");
    assert!(text.ends_with("\nDEPLOY=true\nDEPLOY_UNDO='echo ${HOME:0:1}'\n"), "{text}");

    // Its name is known; how it is deployed is its own.
    let mut terminal = Terminal::open(&project, "init -e staging");
    terminal.see("another one").press("\r").see("deploy").press("-\r").see("flag").press("-\r");
    terminal.see("health").press("-\r");
    terminal.see("store").press("\r").see("Write them?").press("n").see("nothing was written");
    assert_eq!(terminal.end(), Some(0));
    assert!(!project.path().join("config/staging.toml").exists());
    let mut terminal = Terminal::open(&project, "init -e production");
    terminal.see("config/production.toml was there already").see("ready for a release");
    assert_eq!(terminal.end(), Some(0));
}

/// An application that runs as another user reads the file too.
#[tokio::test]
async fn who_reads_an_env_file_no_longer_is_said_before() {
    let project = project().await;
    project.write(".env", &format!("DATABASE_URL={}\n", project.url));
    let path = project.path().join(".env");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let options = "init -e dev --deploy true --undo true --flag x --health-url - --store backups";
    let mut terminal = Terminal::open(&project, options);
    terminal.see("Which database is released to?\r\n").see("another one").press("\r");
    let chosen = terminal.until("Write them?");
    assert!(!chosen.contains("?:"), "{chosen}");
    let warned = terminal.press("y").until("alone? [y/N]");
    let warned: Vec<&str> = warned.split_whitespace().collect();
    assert!(
        warned.join(" ").contains("an application that runs as another user can't read it any more"),
        "{warned:?}"
    );
    terminal.press("n");
    terminal.see("chmod 600").see("another user");
    assert_eq!(terminal.end(), Some(3));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
}

#[tokio::test]
async fn ctrl_c_gives_the_terminal_back() {
    let project = project().await;
    let mut terminal = Terminal::open(&project, "init -e production");
    terminal.see("\u{1b}[?25l").see("another one").press("\u{3}").see("\u{1b}[?25h");
    assert_eq!(terminal.end(), Some(130));
    for path in [".env.production", "runbooks", "config"] {
        assert!(!project.path().join(path).exists(), "{path}");
    }
}
