//! Who this process is to the system.

use std::path::PathBuf;

use rustix::process::geteuid;

/// The system's user.
pub(crate) struct Account {
    /// Its name.
    pub name: Option<String>,
    /// Its home folder.
    pub home: Option<PathBuf>,
}

impl Account {
    /// Looks this process's effective user up in `/etc/passwd`, else in the login shell's variables.
    pub fn of_this_process() -> Self {
        let id = geteuid().as_raw().to_string();
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let line = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let found = line.into_iter().find(|fields| fields.get(2) == Some(&id.as_str()));
        match found {
            Some(fields) => {
                Self { name: fields.first().map(ToString::to_string), home: fields.get(5).map(PathBuf::from) }
            }
            // Accounts from a directory service stand in no file; the login shell knows their names.
            None => Self {
                name: ["LOGNAME", "USER"].iter().find_map(|name| std::env::var(name).ok()),
                home: None,
            },
        }
    }
}
