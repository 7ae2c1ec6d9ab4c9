//! While a release runs, no process shows a secret in its arguments, and no file holds one that had none before.

use std::path::Path;

use crate::common::project::SENTINEL;
use crate::driver::Driver;
use crate::stage::{Release, Stage};

/// As it is, and as URLs have it.
fn holds_secret(bytes: &[u8]) -> bool {
    let encoded = SENTINEL.replace('/', "%2F").replace('@', "%40");
    let holds = |secret: &str| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
    holds(SENTINEL) || holds(&encoded)
}

fn processes() -> Vec<String> {
    let entries = std::fs::read_dir("/proc").expect("the processes").flatten();
    let arguments = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    arguments
        .map(|bytes| {
            assert!(!holds_secret(&bytes), "{}", String::from_utf8_lossy(&bytes));
            String::from_utf8_lossy(&bytes).replace('\0', " ")
        })
        .collect()
}

/// Every file below `folder`, but for the env file.
fn search(folder: &Path, seen: &mut usize) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().expect("its kind"));
        if kind.is_dir() {
            search(&path, seen);
        } else if kind.is_file() && entry.file_name() != ".env.production" {
            *seen += 1;
            assert!(!holds_secret(&std::fs::read(&path).unwrap_or_default()), "{}", path.display());
        }
    }
}

#[tokio::test]
async fn no_argument_and_no_file_holds_a_secret() {
    let stage = Stage::of(Release::Good).await;
    let project = &stage.project;
    let temporary = tempfile::tempdir().expect("a folder");
    // What a careless command prints is masked on its way to the log, however it is written.
    stage.deploy_with(
        "echo $DATABASE_URL; printf %s $DATABASE_URL | base64 -w0; echo; echo deployed >> deployed",
    );
    let mut driver = Driver::start_with(project, &["run", "release", "--yes"], |command| {
        command.env("TMPDIR", temporary.path());
    });
    let mut dumped = false;
    crate::patiently("the release to end", || {
        dumped |= processes().iter().any(|arguments| arguments.contains("pg_dump"));
        driver.has_ended()
    });
    assert!(dumped, "no pg_dump was seen: nothing was looked at");
    let ended = driver.ended().expect(0);
    assert!(!holds_secret(ended.err.as_bytes()) && ended.err.contains("***"), "{}", ended.err);
    let mut seen = 0;
    search(&project.path("."), &mut seen);
    assert!(seen > 10, "{seen} files");
    let left: Vec<_> = std::fs::read_dir(temporary.path()).expect("a folder").flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_file_made_for_a_migration_by_hand_is_told_at_the_end() {
    let stage = Stage::of(Release::Good).await;
    let project = &stage.project;
    std::fs::create_dir(project.path("backend")).expect("a folder");
    project.write("backend/.env.migration", &format!("DATABASE_URL={}\n", project.url()));
    let ended = project.run(&["run", "release", "--yes"]).expect(0);
    let path = project.path("backend/.env.migration");
    assert!(ended.err.contains(&format!("-> rm {}", path.display())), "{}", ended.err);
    assert!(path.exists(), "removed unasked");
    std::fs::remove_file(&path).expect("removed as told");
    // What others can read is refused, and the line that is told mends it.
    let env = project.path(".env.production");
    std::fs::set_permissions(&env, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("a mode");
    let refused = project.run(&["status"]).expect(2);
    assert!(refused.err.contains("chmod 600") && refused.err.contains("mode 0644"), "{}", refused.err);
    std::fs::set_permissions(&env, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("a mode");
    project.run(&["status"]).expect(0);
}
