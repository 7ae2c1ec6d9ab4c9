//! The files of an Alembic project, a migration in Python or an `alembic.ini`, are read or refused without running
//! them, in bounded time and memory, whatever their line ends.

use std::path::Path;

use backstay::migrate::alembic::header::{self, HeaderError};
use backstay::migrate::alembic::ini::{Ini, IniError};

/// No value becomes longer than this and the file, however the file's values name each other.
const LONGEST: usize = 64 * 1024;

/// See the module.
pub fn hold(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    a_migration(&text);
    an_ini(&text);
}

fn a_migration(text: &str) {
    let read = |text: &str| header::parse(text, Path::new("versions/x.py"));
    let lines = text.split('\n').count();
    match read(text) {
        Ok(migration) => {
            assert_eq!(migration.revision.file, "x.py");
            for ask in &migration.asks {
                assert!((1..=lines).contains(&(ask.line as usize)), "{ask:?} of {lines}");
            }
            if !text.contains('\r') && !text.starts_with('\u{feff}') {
                let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
                assert_eq!(read(&windows).ok(), Some(migration), "with other line ends");
            }
        }
        Err(HeaderError::Unfinished { line, .. } | HeaderError::Computed { line, .. }) => {
            assert!((1..=lines).contains(&(line as usize)), "line {line} of {lines}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn an_ini(text: &str) {
    let ini = match Ini::parse(text) {
        Ok(ini) => ini,
        Err(IniError::Line { line }) => {
            let lines = text.split('\n').count();
            assert!((1..=lines).contains(&line), "line {line} of {lines}");
            return;
        }
        Err(error) => panic!("{error} before any value was asked for"),
    };
    let keys = text.lines().filter_map(|line| line.split(['=', ':']).next());
    for key in keys.map(|key| key.trim().to_lowercase()).take(8) {
        for section in ini.sections_with(&key) {
            assert!(ini.has(section));
            match ini.get(section, &key, "/here") {
                Ok(Some(value)) => assert!(value.len() <= LONGEST + text.len(), "{key}: {}", value.len()),
                Ok(None) => panic!("[{section}] holds {key}, and does not"),
                Err(error) => assert!(error.to_string().len() < 2 * text.len() + 200),
            }
        }
    }
}
