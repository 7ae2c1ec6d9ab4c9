//! What can be found out about an application without asking: its migrations, its database's URL, how it is started.
//! Files are read; nothing is started and no server is asked.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::compose::{self, Service};
use super::unit::{self, Unit};
use crate::config::env_file;
use crate::document::register_variable;
use crate::migrate::alembic::{Project, Settings};
use crate::pg::ConnInfo;

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
    /// SQL files are in `migrations/` already.
    pub sql: bool,
    /// URLs of PostgreSQL databases, the likeliest first.
    pub urls: Vec<FoundUrl>,
    /// Units of this application.
    pub units: Vec<Unit>,
    /// Services of the compose file.
    pub services: Vec<Service>,
}

/// An Alembic project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alembic {
    /// Where `alembic.ini` is, from the root; empty for the root itself.
    pub directory: String,
    /// How it is run.
    pub command: Vec<String>,
    /// The variable from which its `env.py` takes the URL, where that can be seen.
    pub url_env: Option<String>,
    /// Its `env.py`, from the root, where nothing in it takes the URL from outside of `alembic.ini`.
    pub deaf: Option<String>,
    /// How many revisions it has.
    pub revisions: usize,
}

/// A database's URL, and where it stood.
#[derive(Clone)]
pub struct FoundUrl {
    /// The variable.
    pub variable: String,
    /// Where.
    pub origin: Origin,
    /// The URL, with its password.
    pub url: String,
}

// Not derived: the URL holds a password.
impl std::fmt::Debug for FoundUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.variable, self.origin)
    }
}

/// Where a URL stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In the environment of this process.
    Process,
    /// In an env file, from the root.
    EnvFile(String),
    /// In another file, from the root, from which it would have to be copied.
    Other(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Process => f.write_str("the environment"),
            Origin::EnvFile(path) | Origin::Other(path) => f.write_str(path),
        }
    }
}

/// Looks. What can't be read is passed over. Passwords that are found are registered with [`crate::redact`].
pub fn look(places: &Places<'_>) -> Found {
    let folders = folders(places.root);
    let services = COMPOSE.iter().find_map(|name| read(&places.root.join(name)));
    let services = services.map(|text| compose::services(&text)).unwrap_or_default();
    let units = units(places, &folders);
    let alembic = folders.iter().find_map(|folder| alembic(places, folder));
    let urls = urls(places, &folders, &units, &services);
    let sql = entries(&places.root.join("migrations")).iter().any(|path| has_extension(path, "sql"));
    Found { alembic, sql, urls, units, services }
}

/// The root, and the folders in it that are the project's own.
fn folders(root: &Path) -> Vec<PathBuf> {
    let own = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.is_dir() && !path.is_symlink() && !name.starts_with('.') && !FOREIGN.contains(&&*name)
    };
    std::iter::once(root.to_path_buf()).chain(entries(root).into_iter().filter(own)).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries
}

fn read(path: &Path) -> Option<String> {
    let small = fs::metadata(path).ok().filter(|file| file.is_file() && file.len() <= LARGEST);
    small.and_then(|_| fs::read_to_string(path).ok())
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

/// A path as the config names it: from the root.
fn from_root(places: &Places<'_>, path: &Path) -> String {
    path.strip_prefix(places.root).unwrap_or(path).display().to_string()
}

fn alembic(places: &Places<'_>, folder: &Path) -> Option<Alembic> {
    let ini = read(&folder.join("alembic.ini"))?;
    let mut found = Alembic {
        directory: from_root(places, folder),
        command: command(places, folder),
        ..Alembic::default()
    };
    // A project that can't be read is told by `doctor`, with the place.
    if let Ok(project) = Project::read(&Settings::of(folder.to_path_buf())) {
        found.revisions = project.chain().graph().len();
        let text = read(&project.env_py()).unwrap_or_default();
        found.url_env = url_variable(&text);
        if !heeds_others(&text, &ini) {
            found.deaf = Some(from_root(places, &project.env_py()));
        }
    }
    Some(found)
}

/// How Alembic is run here: by the tool whose lock file lies beside it, or out of a virtual environment.
fn command(places: &Places<'_>, folder: &Path) -> Vec<String> {
    let runs = |tool: &str| {
        let path = places.variables.get("PATH").cloned().unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
    };
    let words = |text: &str| text.split(' ').map(String::from).collect();
    let near: Vec<(PathBuf, &str)> = match folder == places.root {
        true => vec![(folder.to_path_buf(), "")],
        false => vec![(folder.to_path_buf(), ""), (places.root.to_path_buf(), "../")],
    };
    for (lock, tool) in [("uv.lock", "uv"), ("poetry.lock", "poetry"), ("Pipfile.lock", "pipenv")] {
        if near.iter().any(|(folder, _)| folder.join(lock).is_file()) && runs(tool) {
            return words(&format!("{tool} run alembic"));
        }
    }
    for (folder, up) in &near {
        for venv in [".venv", "venv"] {
            if folder.join(venv).join("bin/alembic").is_file() {
                return vec![format!("{up}{venv}/bin/alembic")];
            }
        }
    }
    words("alembic")
}

/// The variable that `env.py` reads, by its name a URL's.
fn url_variable(text: &str) -> Option<String> {
    let calls = ["environ[", "environ.get(", "getenv("];
    let mut names =
        calls.iter().flat_map(|call| text.match_indices(call).map(|(at, call)| &text[at + call.len()..]));
    names.find_map(|rest| {
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (name, _) = rest[1..].split_once(quote)?;
        names_a_url(name).then(|| name.to_string())
    })
}

fn names_a_url(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["URL", "URI", "DSN"].iter().any(|part| name.contains(part))
}

/// Whether anything could lead the URL into `env.py`: the environment, settings of the application's, a line of ours.
fn heeds_others(text: &str, ini: &str) -> bool {
    let hints = ["environ", "getenv", "dotenv", "ettings", "set_main_option", "get_url", "DATABASE_URL"];
    text.is_empty() || hints.iter().any(|hint| text.contains(hint)) || ini.contains("%(DATABASE_URL)s")
}

fn units(places: &Places<'_>, folders: &[PathBuf]) -> Vec<Unit> {
    let root = places.root.display().to_string();
    let stem = places.root.file_name().unwrap_or_default().to_string_lossy();
    let mut found: Vec<Unit> = Vec::new();
    let own = folders.iter().map(|folder| (folder, true));
    for (folder, ours) in own.chain(places.units.iter().map(|folder| (folder, false))) {
        for path in entries(folder).iter().filter(|path| has_extension(path, "service")) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // A template has no name to restart.
            let Some(text) = read(path).filter(|_| !name.contains('@')) else { continue };
            let unit = unit::read(&name, &text);
            let about_us = ours || text.contains(&root) || unit.name == *stem;
            if about_us && found.iter().all(|known| known.name != unit.name) {
                found.push(unit);
            }
        }
    }
    found
}

fn urls(places: &Places<'_>, folders: &[PathBuf], units: &[Unit], services: &[Service]) -> Vec<FoundUrl> {
    let mut found = Vec::new();
    keep(&mut found, &Origin::Process, places.variables);
    let own = [format!(".env.{}", places.environment), ".env".into(), ".env.local".into()];
    let beside = folders.iter().flat_map(|folder| own.iter().map(move |name| folder.join(name)));
    let of_units = units.iter().flat_map(|unit| &unit.env_files).map(PathBuf::from);
    for path in beside.chain(of_units) {
        let variables = read(&path).and_then(|text| env_file::parse(&text).ok()).unwrap_or_default();
        keep(&mut found, &Origin::EnvFile(from_root(places, &path)), &variables);
    }
    for unit in units {
        let variables = unit.variables.iter().cloned().collect();
        keep(&mut found, &Origin::Other(format!("{}.service", unit.name)), &variables);
    }
    for service in services {
        let variables = service.variables.iter().cloned().collect();
        keep(&mut found, &Origin::Other(format!("the service {}", service.name)), &variables);
    }
    found
}

/// Keeps what is a URL of PostgreSQL's: `DATABASE_URL` before others.
fn keep(found: &mut Vec<FoundUrl>, origin: &Origin, variables: &BTreeMap<String, String>) {
    let mut urls: Vec<(&String, &String)> = variables
        .iter()
        .filter(|(name, value)| {
            names_a_url(name) && value.starts_with("postgres") && ConnInfo::parse(value).is_ok()
        })
        .collect();
    urls.sort_by_key(|(name, _)| (*name != "DATABASE_URL", name.as_str()));
    for (variable, url) in urls {
        register_variable(variable, url, true);
        found.push(FoundUrl { variable: variable.clone(), origin: origin.clone(), url: url.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn of(files: &[(&str, &str)]) -> Self {
            let root = tempfile::tempdir().unwrap();
            for (path, text) in files {
                let path = root.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self(root)
        }

        fn look(&self, variables: &[(&str, &str)]) -> Found {
            let variables =
                variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            let units = [self.0.path().join("etc-systemd")];
            look(&Places {
                root: self.0.path(),
                environment: "production",
                variables: &variables,
                units: &units,
            })
        }
    }

    const INI: &str =
        "[alembic]\nscript_location = alembic\nsqlalchemy.url = driver://user:pass@localhost/dbname\n";

    #[test]
    fn an_alembic_project_is_found_where_it_is_and_as_it_is_run() {
        let tree = Tree::of(&[
            ("backend/alembic.ini", INI),
            ("backend/alembic/env.py", "url = os.environ.get(\"APP_DATABASE_URL\", \"x\")\n"),
            ("backend/alembic/versions/a.py", "revision = 'a1'\ndown_revision = None\n"),
            (".venv/bin/alembic", ""),
        ]);
        let found = tree.look(&[]).alembic.unwrap();
        assert_eq!((found.directory.as_str(), found.revisions), ("backend", 1));
        assert_eq!((found.url_env.as_deref(), found.deaf), (Some("APP_DATABASE_URL"), None));
        assert_eq!(found.command, ["../.venv/bin/alembic"]);
    }

    #[test]
    fn an_env_py_that_only_heeds_its_ini_is_named() {
        let py =
            "config = context.config\nengine_from_config(config.get_section(config.config_ini_section))\n";
        let tree = Tree::of(&[("alembic.ini", INI), ("alembic/env.py", py), ("alembic/versions/.keep", "")]);
        let found = tree.look(&[]).alembic.unwrap();
        assert_eq!(found.deaf.as_deref(), Some("alembic/env.py"));
        assert_eq!((found.directory.as_str(), &found.command[..]), ("", &["alembic".to_string()][..]));
    }

    #[test]
    fn urls_are_found_the_likeliest_first() {
        let tree = Tree::of(&[
            (".env", "SECRET=x\nDATABASE_URL=postgresql://shop:pw-of-env@127.0.0.1/shop\n"),
            (".env.production", "READ_URL=postgres://r@db/shop\nDATABASE_URL=postgres://shop@db/shop\n"),
            ("node_modules/.env", "DATABASE_URL=postgres://no@no/no\n"),
            (
                "docker-compose.yml",
                "services:\n  web:\n    build: .\n    environment:\n      DATABASE_URL: postgres://c@db/shop\n",
            ),
        ]);
        let told: Vec<String> = tree
            .look(&[("DATABASE_URL", "mysql://no"), ("PG_DSN", "postgres://p@h/d")])
            .urls
            .iter()
            .map(|u| format!("{u:?}"))
            .collect();
        assert_eq!(
            told,
            [
                "PG_DSN (the environment)",
                "DATABASE_URL (.env.production)",
                "READ_URL (.env.production)",
                "DATABASE_URL (.env)",
                "DATABASE_URL (the service web)"
            ]
        );
        assert_eq!(crate::redact::redact("pw-of-env"), "***");
    }

    #[test]
    fn units_of_others_are_left_alone() {
        let tree = Tree::of(&[("deploy/shop.service", "[Service]\nExecStart=x --port 1\n")]);
        let root = tree.0.path().display();
        let (ours, others) =
            (format!("[Service]\nWorkingDirectory={root}\n"), "[Service]\nExecStart=/usr/bin/sshd\n");
        fs::create_dir(tree.0.path().join("etc-systemd")).unwrap();
        for (name, text) in
            [("worker.service", ours.as_str()), ("ssh.service", others), ("x@.service", &ours)]
        {
            fs::write(tree.0.path().join("etc-systemd").join(name), text).unwrap();
        }
        let names: Vec<String> = tree.look(&[]).units.into_iter().map(|unit| unit.name).collect();
        assert!(names.contains(&"shop".to_string()) && names.contains(&"worker".to_string()), "{names:?}");
    }
}
