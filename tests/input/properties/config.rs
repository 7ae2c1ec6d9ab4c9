//! An environment is read or refused at a place; what is read is the same when it is read again.

use std::path::Path;

use backstay::config::Config;

use super::findings;

/// There is no such folder, and so no env file in it.
const ROOT: &str = "/nowhere/project";

/// See the module.
pub fn hold(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    // An env file may be anywhere; a device could be read for ever.
    if text.contains("/dev") || text.contains("/proc") {
        return;
    }
    let variables = findings::variables();
    let read = |text: &str| Config::parse(text, Path::new(ROOT), "production", &variables);
    match read(&text) {
        Ok(config) => {
            let again = read(&text).expect("it was read a moment ago");
            assert_eq!(format!("{again:?}"), format!("{config:?}"));
            assert!(!config.migrations.is_empty());
            assert!(config.backup.jobs > 0);
            findings::expect_no_secret(&config.database.url.describe(), &text);
        }
        Err(invalid) => {
            findings::look_over(&invalid, &text);
            if let Err(invalid) = read(&findings::with_literals(&text)) {
                findings::expect_no_literal(&invalid, &text);
            }
        }
    }
}
