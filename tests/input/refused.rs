//! What every refusal has in common.

use crate::common::project::{Ended, Project};

/// Passwords that stand in these tests' files, beside [`crate::common::project::SENTINEL`].
pub const WRONG: &str = "wr0ng-Pass";

/// Runs the binary and expects this exit code, all of these words, and that nothing changed: not the database,
/// not its attributes' names, not the flag, and no database of a run was left.
pub async fn refused(project: &Project, arguments: &[&str], code: i32, words: &[&str]) -> Ended {
    let (before, databases) = (project.state().await, project.databases().await);
    let ended = project.run(arguments).expect(code);
    says(&ended, words);
    assert_eq!(project.databases().await, databases, "databases came or went: {}", ended.err);
    let after = project.state().await;
    assert_eq!(before.0, after.0, "the schema changed");
    assert!(before.1.differences(&after.1).is_empty(), "the content changed");
    assert!(!project.flag_is_up(), "the flag is up: {}", ended.err);
    ended
}

/// Expects all of these words, in whatever lines the message was broken into, and no password.
#[track_caller]
pub fn says(ended: &Ended, words: &[&str]) {
    let text = format!("{} {}", ended.err, ended.out);
    // A message is wrapped to the screen; what was one sentence is one again.
    let flat = text
        .split(|c: char| c.is_whitespace() || c == '│')
        .filter(|w| !w.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    for word in words {
        assert!(flat.contains(word), "{word:?} is missing in\n{}\n{}", ended.err, ended.out);
    }
    assert!(!text.contains(WRONG), "a password is shown:\n{text}");
    assert!(!text.contains("panicked"), "{text}");
    if std::env::var_os("BACKSTAY_SHOW").is_some() {
        println!("--- exit {}\n{}{}", ended.code, ended.err, ended.out);
    }
}
