//! A migration file is read or refused at a line, whatever its line ends; what is read of it makes the same file.

use std::fmt::Write;
use std::path::Path;

use backstay::migrate::lexer::{self, Kind, Lexer};
use backstay::migrate::script::{Script, Statement, parse};

const FILE: &str = "migrations/0001_x.sql";

/// See the module.
pub fn hold(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let read = |text: &str| parse(text, Path::new(FILE));
    let script = match read(&text) {
        Ok(script) => script,
        Err((line, fault)) => {
            let lines = text.split('\n').count();
            assert!((1..=lines).contains(&(line as usize)), "line {line} of {lines}: {fault}");
            assert!(!fault.to_string().is_empty());
            return;
        }
    };
    assert!(!script.revision.id.is_empty() && !script.revision.id.contains(['\n', '\0']));
    assert_eq!(script.revision.file, "0001_x.sql");
    let statements = || script.upgrade.iter().chain(&script.downgrade);
    for statement in statements() {
        assert!(!statement.text.trim().is_empty());
        assert!(!(script.transactional && statement.batch.is_some()), "batches in one transaction");
    }
    if !text.contains('\r') && !text.starts_with('\u{feff}') {
        let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        assert_eq!(read(&windows).as_ref().ok(), Some(&script), "with other line ends");
    }
    let blank = format!("{text} \n\n");
    assert_eq!(read(&blank).ok().map(|script| script.checksum), Some(script.checksum.clone()));

    // Of a line end with two carriage returns one is left, and that is a plain line end the next time.
    let plain = |statement: &Statement| !ended(&statement.text).contains("\r\n");
    if !statements().all(|statement| plain(statement) && can_be_ended(&statement.text)) {
        return;
    }
    let written = written(&script);
    let again = read(&written).unwrap_or_else(|(line, fault)| panic!("{line}: {fault} in\n{written}"));
    assert_eq!(said(&again), said(&script), "written as\n{written}");
}

/// All but the checksum, and where statements stand.
fn said(script: &Script) -> String {
    let statements = |list: &[Statement]| -> Vec<String> {
        let said = |s: &Statement| format!("{:?} {:?} {}", ended(&s.text), s.batch, s.idempotent);
        list.iter().map(said).collect()
    };
    format!(
        "{:?} {:?} {:?} {:?} {} {:?} {:?}",
        script.revision,
        script.description,
        script.notes,
        script.created,
        script.transactional,
        statements(&script.upgrade),
        statements(&script.downgrade)
    )
}

/// Not the last of a file, if a bracket is open at its end.
fn can_be_ended(statement: &str) -> bool {
    let followed = format!("{}\nselect 1", ended(statement));
    let split = lexer::split(&followed).expect("a statement that was read");
    split.statements.last().is_some_and(|last| &followed[last.start..] == "select 1")
}

/// A statement with its semicolon; only the last of a file can be without.
fn ended(statement: &str) -> String {
    let last = Lexer::new(statement).filter_map(Result::ok).last();
    match last {
        Some(token) if token.kind == Kind::Semicolon => statement.to_string(),
        _ => format!("{statement}\n;"),
    }
}

fn written(script: &Script) -> String {
    let mut text = String::new();
    let mut line = |said: &str| {
        let _ = writeln!(text, "{said}");
    };
    line(&format!("-- revision: {}", script.revision.id));
    for (key, list) in [
        ("revises", &script.revision.down),
        ("branch", &script.revision.labels),
        ("depends-on", &script.revision.depends_on),
    ] {
        if !list.is_empty() {
            line(&format!("-- {key}: {}", list.join(", ")));
        }
    }
    if let Some(created) = &script.created {
        line(&format!("-- created: {created}"));
    }
    if !script.transactional {
        line("-- transaction: off");
    }
    line(&format!("-- {}", script.description));
    script.notes.lines().for_each(|note| line(&format!("-- {note}")));
    for (section, statements) in [("upgrade", &script.upgrade), ("downgrade", &script.downgrade)] {
        line(&format!("-- {section}"));
        for statement in statements {
            if statement.idempotent {
                line("-- idempotent");
            }
            if let Some(batch) = statement.batch {
                line(&format!("-- batch: {} pause {}ms", batch.rows, batch.pause.as_millis()));
            }
            line(&ended(&statement.text));
        }
    }
    text
}
