//! What a connection takes from outside its text: environment variables, the user's name and home, the
//! password file. The rim: everything else in this folder is pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::account::Account;
use crate::words::shell_path;

/// Where Debian's and the project's own packages put the server's socket.
const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// The world around a connection text.
#[derive(Debug, Clone, Default)]
pub(super) struct Surroundings {
    /// The `PG*` variables.
    pub variables: BTreeMap<String, String>,
    /// The user's home folder.
    pub home: Option<PathBuf>,
    /// The name of the system's user.
    pub user: Option<String>,
    /// The folder in which a socket is looked for when no host is named; none: `localhost`.
    pub socket_folder: Option<String>,
}

impl Surroundings {
    /// Those of this process.
    pub(super) fn of_this_process() -> Self {
        let account = Account::of_this_process();
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
        Self {
            variables: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .filter(|(name, _)| name.starts_with("PG"))
                .collect(),
            home: home.or(account.home),
            user: account.name,
            socket_folder: socket_folder(),
        }
    }

    /// The default of a file below `~/.postgresql`, whether or not it exists.
    pub(super) fn below_home(&self, name: &str) -> Option<PathBuf> {
        self.home.as_ref().map(|home| home.join(".postgresql").join(name))
    }
}

/// The folder with a server's socket; if there is none yet, Debian's; none where PostgreSQL is not packaged.
fn socket_folder() -> Option<String> {
    let port = std::env::var("PGPORT").unwrap_or_else(|_| "5432".into());
    let holds_a_socket = |folder: &&&str| Path::new(folder).join(format!(".s.PGSQL.{port}")).exists();
    let found = SOCKET_FOLDERS.iter().find(holds_a_socket);
    let expected = || SOCKET_FOLDERS.first().filter(|folder| Path::new(folder).is_dir());
    found.or_else(expected).map(ToString::to_string)
}

/// What the password file gave.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Passfile {
    /// Its text; empty if there is none.
    pub text: String,
    /// Why it was passed over, if it was.
    pub ignored: Option<String>,
}

/// Reads the password file at `path`. As libpq: others must not be able to read it, or it does not count.
pub(super) fn read_passfile(path: &Path) -> Passfile {
    use std::os::unix::fs::PermissionsExt;
    let ignored = |why: &str| Passfile {
        text: String::new(),
        ignored: Some(format!("the password file {} was not used: {why}", path.display())),
    };
    let Ok(metadata) = std::fs::metadata(path) else { return Passfile::default() };
    if !metadata.is_file() {
        return ignored("it is no plain file");
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        return ignored(&format!("others may read it; `chmod 0600 {}` mends that", shell_path(path)));
    }
    match std::fs::read(path) {
        Ok(bytes) => Passfile { text: String::from_utf8_lossy(&bytes).into_owned(), ignored: None },
        Err(error) => ignored(&error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_password_file_that_others_may_read_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("my pgpass");
        std::fs::write(&path, "*:*:*:*:x").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let read = read_passfile(&path);
        assert_eq!(read.text, "");
        assert!(read.ignored.unwrap().contains(&format!("`chmod 0600 '{}'`", path.display())));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read_passfile(&path), Passfile { text: "*:*:*:*:x".into(), ignored: None });
        assert_eq!(read_passfile(&folder.path().join("none")), Passfile::default());
        assert!(read_passfile(folder.path()).ignored.is_some());
    }
}
