//! `backstay demo` as a newcomer starts it: it holds, and it leaves nothing behind, however it ends.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A folder that the demo takes for the system's temporary one; the server's user must reach it.
fn temporary_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

fn demo(temporary: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backstay"));
    // What the surroundings say must not reach the releases of the demo.
    command
        .arg("demo")
        .env("TMPDIR", temporary)
        .env("CI", "true")
        .env("PGHOST", "nowhere.invalid")
        .env("DATABASE_URL", "postgresql://nowhere.invalid/nothing")
        .env("BACKSTAY_ENV", "nothing")
        .stdin(Stdio::null());
    command
}

/// Processes that know of the folder: by their arguments, their environment or where they stand.
fn processes_of(folder: &Path) -> Vec<String> {
    let needle = folder.display().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
        let stands = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
        let environment = String::from_utf8_lossy(&read("environ")).into_owned();
        if pid != std::process::id()
            && (stands.starts_with(folder) || arguments.contains(&needle) || environment.contains(&needle))
        {
            found.push(format!("{pid}: {arguments}"));
        }
    }
    found
}

fn files_in(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Nothing of the demo is left; what is being ended gets `patience`.
fn assert_nothing_left(folder: &Path, patience: Duration) {
    let deadline = Instant::now() + patience;
    loop {
        let (files, processes) = (files_in(folder), processes_of(folder));
        if files.is_empty() && processes.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "left behind: {files:?} {processes:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_demo_holds_twice_in_a_row() {
    let temporary = temporary_folder();
    for args in [&[][..], &["--json"]] {
        let began = Instant::now();
        let output = demo(temporary.path()).args(args).output().unwrap();
        let (said, shown) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{said}\n{shown}");
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
        assert_nothing_left(temporary.path(), Duration::from_millis(500));
        for wanted in ["exit code 0.", "exit code 4.", "Looked at from outside"] {
            assert!(shown.contains(wanted), "{wanted}: {shown}");
        }
        if args.is_empty() {
            assert!(said.contains("no order was lost"), "{said}");
            assert_eq!(said.matches("schema dump equals the one at the guard").count(), 2, "{said}");
            assert_eq!(said.matches("content equals that at the guard").count(), 2, "{said}");
        } else {
            let document: serde_json::Value = serde_json::from_str(&said).unwrap();
            assert_eq!(document["held"], true);
            let exits: Vec<_> = document["releases"].as_array().unwrap().iter().map(|r| &r["exit"]).collect();
            assert_eq!(exits, [0, 4, 4]);
            assert!(document["orders"]["acknowledged"].as_u64() > Some(100), "{document}");
            assert!(document["rows"].as_u64() > Some(50_000), "{document}");
        }
    }
}

/// Starts the demo and waits until its screen says `until`.
fn started(temporary: &Path, until: &str) -> Child {
    let shown = tempfile::NamedTempFile::new().unwrap();
    let child = demo(temporary).stdout(Stdio::null()).stderr(shown.reopen().unwrap()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !std::fs::read_to_string(shown.path()).unwrap().contains(until) {
        assert!(Instant::now() < deadline, "never said {until}");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn interrupted_in_the_window_it_leaves_nothing() {
    for (name, until) in [("INT", "users see the maintenance page"), ("TERM", "read back to the last byte")] {
        let temporary = temporary_folder();
        let mut child = started(temporary.path(), until);
        signal(&child, name);
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(6), "SIG{name}");
        assert_nothing_left(temporary.path(), Duration::from_secs(2));
    }
}

#[test]
fn interrupted_before_there_is_a_server_it_leaves_nothing() {
    let temporary = temporary_folder();
    let mut child = demo(temporary.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while files_in(temporary.path()).is_empty() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(6));
    assert_nothing_left(temporary.path(), Duration::from_secs(2));
}

#[test]
fn killed_it_leaves_nothing_either() {
    let temporary = temporary_folder();
    let mut child = started(temporary.path(), "users see the maintenance page");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_nothing_left(temporary.path(), Duration::from_secs(10));
}
