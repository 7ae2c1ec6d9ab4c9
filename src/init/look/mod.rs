//! What can be found out about an application without asking: its migrations, its database's URL, how it is started.
//! Files are read; nothing is started and no server is asked.

mod alembic;
#[cfg(test)]
mod tests;
mod units;
mod urls;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

pub use alembic::Alembic;
pub use urls::{FoundUrl, Origin};

use super::compose::{self, Service};
use super::unit::Unit;

/// Folders that hold other people's files.
const FOREIGN: [&str; 6] = ["node_modules", "target", "venv", "vendor", "dist", "build"];
/// What is larger is no file of settings.
const LARGEST: u64 = 1 << 20;
/// The names of a compose file, in the order in which compose looks for them.
const COMPOSE: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// Where to look.
pub struct Places<'a> {
    /// The project's root.
    pub root: &'a Path,
    /// The environment that is to be described.
    pub environment: &'a str,
    /// The process's environment.
    pub variables: &'a BTreeMap<String, String>,
    /// Folders with the units of this machine.
    pub units: &'a [PathBuf],
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// An Alembic project.
    pub alembic: Option<Alembic>,
    /// URLs of PostgreSQL databases, the likeliest first.
    pub urls: Vec<FoundUrl>,
    /// Units of this application.
    pub units: Vec<Unit>,
    /// Services of the compose file.
    pub services: Vec<Service>,
}

/// Looks. What can't be read is passed over. Passwords that are found are registered with [`crate::redact`].
pub fn look(places: &Places<'_>) -> Found {
    let folders = folders(places.root);
    let services = COMPOSE.iter().find_map(|name| read(&places.root.join(name)));
    let services = services.map(|text| compose::services(&text)).unwrap_or_default();
    let units = units::find(places, &folders);
    let alembic = folders.iter().find_map(|folder| alembic::find(places, folder));
    let urls = urls::find(places, &folders, &units, &services);
    Found { alembic, urls, units, services }
}

/// The root, and the folders in it that are the project's own.
fn folders(root: &Path) -> Vec<PathBuf> {
    let own = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.is_dir() && !path.is_symlink() && !name.starts_with('.') && !FOREIGN.contains(&&*name)
    };
    std::iter::once(root.to_path_buf()).chain(entries(root).into_iter().filter(own)).collect()
}

/// What is in a folder, by name.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries
}

/// A file's text, if it is a file and no large one.
fn read(path: &Path) -> Option<String> {
    let small = fs::metadata(path).ok().filter(|file| file.is_file() && file.len() <= LARGEST);
    small.and_then(|_| fs::read_to_string(path).ok())
}

/// A path as the config names it: from the root.
fn from_root(places: &Places<'_>, path: &Path) -> String {
    path.strip_prefix(places.root).unwrap_or(path).display().to_string()
}

/// Whether a variable is a URL, by its name.
fn names_a_url(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["URL", "URI", "DSN"].iter().any(|part| name.contains(part))
}
