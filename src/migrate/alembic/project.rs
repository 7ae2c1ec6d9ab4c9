//! An Alembic project as its files describe it: where its migrations are, and which they are. No Python is started.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::header::{self, HeaderError, Migration};
use super::ini::{Ini, IniError};
use crate::failure::Failure;
use crate::migrate::chain::Chain;
use crate::migrate::graph::GraphError;

/// How an Alembic project is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the command runs. Absolute.
    pub directory: PathBuf,
    /// The program and its first arguments: `["poetry", "run", "alembic"]`.
    pub command: Vec<String>,
    /// Its file of settings (`-c`), from the directory.
    pub ini: String,
    /// The section of it (`-n`).
    pub section: String,
    /// What `env.py` is told (`-x`).
    pub x: Vec<String>,
    /// The variable from which `env.py` takes the database's URL.
    pub url_env: String,
    /// What stands before `://` in that URL; `None`: what the database's URL has, else the project's own.
    pub driver: Option<String>,
    /// A bound on each time that it is run.
    pub timeout: Duration,
    /// Variables that it is given beside our own environment.
    pub variables: BTreeMap<String, String>,
}

impl Settings {
    /// As a project is run that says nothing else.
    pub fn of(directory: PathBuf) -> Self {
        Self {
            directory,
            command: vec!["alembic".to_string()],
            ini: "alembic.ini".to_string(),
            section: "alembic".to_string(),
            x: Vec::new(),
            url_env: "DATABASE_URL".to_string(),
            driver: None,
            timeout: Duration::from_secs(2 * 3600),
            variables: BTreeMap::new(),
        }
    }
}

/// What the files say.
#[derive(Debug)]
pub struct Project {
    /// Its migrations.
    pub(super) chain: Chain,
    /// What is known of each beside.
    pub(super) migrations: BTreeMap<String, Source>,
    /// Where `env.py` is.
    pub(super) location: PathBuf,
    /// What stands before `://` in `sqlalchemy.url`, where that is PostgreSQL's.
    pub(super) scheme: Option<String>,
    /// `env.py` is run for every new revision.
    pub(super) revision_environment: bool,
}

/// What is known of one migration beside its place and its description.
#[derive(Debug)]
pub(super) struct Source {
    /// SHA-256 of its file.
    pub hash: String,
    /// See [`Migration::asks`].
    pub asks: Vec<header::Ask>,
    /// See [`Migration::commits`].
    pub commits: bool,
}

/// Why a project can't be read; worded to follow "could not".
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The system refused.
    #[error("read {}", .path.display())]
    Unreadable {
        /// What.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file of settings is none.
    #[error("read {}: {why}", .path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Nothing says where the migrations are.
    #[error("find the migrations: {} has no `script_location` in [{section}]{}", .path.display(), others(.known))]
    NoLocation {
        /// The file.
        path: PathBuf,
        /// The section.
        section: String,
        /// Sections that have one.
        known: Vec<String>,
    },
    /// A location inside a Python package that is not there.
    #[error("find {location:?} ({key} of {}): no such folder below {}", .path.display(), .looked.display())]
    NoFolder {
        /// The file.
        path: PathBuf,
        /// Which key.
        key: &'static str,
        /// What it says.
        location: String,
        /// Where it was looked for.
        looked: PathBuf,
    },
    /// A migration that can't be read.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The migrations are no graph.
    #[error("{}: {source}", .folder.display())]
    Graph {
        /// Where they are.
        folder: PathBuf,
        /// What is wrong.
        source: GraphError,
    },
}

fn others(known: &[String]) -> String {
    match known {
        [] => String::new(),
        known => format!("; there is one in [{}]", known.join("], [")),
    }
}

impl Project {
    /// Reads `alembic.ini` (or `[tool.alembic]` of `pyproject.toml`) and every migration that it leads to.
    ///
    /// # Errors
    /// [`ProjectError`], naming the file, and the line where there is one.
    pub fn read(settings: &Settings) -> Result<Self, ProjectError> {
        let options = Options::read(settings)?;
        let location = options.location()?.ok_or_else(|| ProjectError::NoLocation {
            path: options.path.clone(),
            section: settings.section.clone(),
            known: options.ini.sections_with("script_location").into_iter().map(String::from).collect(),
        })?;
        let location = options.folder("script_location", &location, &settings.directory)?;
        let folders = match options.version_locations()? {
            locations if locations.is_empty() => vec![location.join("versions")],
            locations => {
                let find = |at: &String| options.folder("version_locations", at, &settings.directory);
                locations.iter().map(find).collect::<Result<_, _>>()?
            }
        };
        let (mut files, mut migrations) = (Vec::new(), BTreeMap::new());
        for path in list(&folders, options.truth("recursive_version_locations")?)? {
            let Migration { revision, mut text, asks, commits } = header::read(&path)?;
            text.path = shown(&path, &settings.directory);
            let bytes = std::fs::read(&path).map_err(|source| ProjectError::Unreadable { path, source })?;
            let source = Source { hash: hex::encode(Sha256::digest(&bytes)), asks, commits };
            migrations.insert(revision.id.clone(), source);
            files.push((revision, text));
        }
        let folder = folders.into_iter().next().unwrap_or_else(|| location.clone());
        let chain = Chain::new(&folder, files).map_err(|source| ProjectError::Graph { folder, source })?;
        let scheme = options.get("sqlalchemy.url")?.as_deref().and_then(scheme);
        let revision_environment = options.truth("revision_environment")?;
        Ok(Self { chain, migrations, location, scheme, revision_environment })
    }

    /// Its migrations.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Where its `env.py` is.
    pub fn env_py(&self) -> PathBuf {
        self.location.join("env.py")
    }
}

/// As a person would name it who is where the command runs.
fn shown(path: &Path, directory: &Path) -> PathBuf {
    path.strip_prefix(directory).unwrap_or(path).to_path_buf()
}

/// `postgresql+psycopg` of a URL of PostgreSQL's.
fn scheme(url: &str) -> Option<String> {
    let (scheme, _) = url.split_once("://")?;
    let plain = scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+_".contains(c));
    (plain && (scheme == "postgresql" || scheme.starts_with("postgresql+"))).then(|| scheme.to_string())
}

/// The settings, from both files that can hold them; the ini file goes before.
struct Options<'a> {
    /// The ini file, for messages.
    path: PathBuf,
    section: &'a str,
    here: String,
    ini: Ini,
    toml: toml::Table,
    toml_here: String,
    directory: &'a Path,
}

impl<'a> Options<'a> {
    fn read(settings: &'a Settings) -> Result<Self, ProjectError> {
        let named = settings.directory.join(&settings.ini);
        let is_toml = named.file_name().is_some_and(|name| name == "pyproject.toml");
        let (ini, toml) = match is_toml {
            true => (settings.directory.join("alembic.ini"), named),
            false => (named, settings.directory.join("pyproject.toml")),
        };
        let ini_text = text_of(&ini)?;
        let tool = match text_of(&toml)? {
            Some(text) => {
                tool_alembic(&text).map_err(|why| ProjectError::Settings { path: toml.clone(), why })?
            }
            None => toml::Table::new(),
        };
        if ini_text.is_none() && tool.is_empty() {
            let source = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(ProjectError::Unreadable { path: if is_toml { toml } else { ini }, source });
        }
        let here = |path: &Path| path.parent().unwrap_or(path).display().to_string();
        let parsed = Ini::parse(&ini_text.unwrap_or_default()).map_err(|error| wrong(&ini, &error))?;
        Ok(Self {
            section: &settings.section,
            here: here(&ini),
            toml_here: here(&toml),
            path: if is_toml { toml } else { ini },
            ini: parsed,
            toml: tool,
            directory: &settings.directory,
        })
    }

    fn get(&self, key: &str) -> Result<Option<String>, ProjectError> {
        self.ini.get(self.section, key, &self.here).map_err(|error| wrong(&self.path, &error))
    }

    fn location(&self) -> Result<Option<String>, ProjectError> {
        const KEY: &str = "script_location";
        Ok(self
            .get(KEY)?
            .or_else(|| self.toml.get(KEY).and_then(toml::Value::as_str).map(|text| self.in_toml(text))))
    }

    fn in_toml(&self, text: &str) -> String {
        text.replace("%(here)s", &self.toml_here).replace("%%", "%")
    }

    fn truth(&self, key: &str) -> Result<bool, ProjectError> {
        Ok(match self.get(key)? {
            Some(text) => text == "true",
            None => self.toml.get(key).and_then(toml::Value::as_bool).unwrap_or(false),
        })
    }

    fn version_locations(&self) -> Result<Vec<String>, ProjectError> {
        const KEY: &str = "version_locations";
        if let Some(text) = self.get(KEY)?.filter(|text| !text.is_empty()) {
            return self.split(&text, &["path_separator", "version_path_separator"], &[' ', ',']);
        }
        let listed = self.toml.get(KEY).and_then(toml::Value::as_array);
        let texts = listed.into_iter().flatten().filter_map(toml::Value::as_str);
        Ok(texts.map(|text| self.in_toml(text)).collect())
    }

    /// Where Python looks for packages first.
    fn python_path(&self) -> Result<Vec<PathBuf>, ProjectError> {
        const KEY: &str = "prepend_sys_path";
        let listed = match self.get(KEY)?.filter(|text| !text.is_empty()) {
            Some(text) => self.split(&text, &["path_separator"], &[' ', ',', ':'])?,
            None => {
                let listed = self.toml.get(KEY).and_then(toml::Value::as_array);
                listed
                    .into_iter()
                    .flatten()
                    .filter_map(toml::Value::as_str)
                    .map(|text| self.in_toml(text))
                    .collect()
            }
        };
        Ok(listed.iter().map(|at| self.directory.join(at)).chain([self.directory.to_path_buf()]).collect())
    }

    /// Parts of a list, by the separator that one of these keys names; without one, as Alembic did before 1.16.
    fn split(&self, text: &str, keys: &[&str], legacy: &[char]) -> Result<Vec<String>, ProjectError> {
        let mut named = None;
        for key in keys {
            named = match named {
                None => self.get(key)?,
                found => found,
            };
        }
        let separators: Vec<char> = match named.as_deref() {
            None => legacy.to_vec(),
            Some("space") => vec![' '],
            Some("newline") => vec!['\n'],
            Some("os" | ":") => vec![':'],
            Some(";") => vec![';'],
            Some(other) => {
                let why = format!("{} can't be {other:?}; it is space, newline, os, : or ;", keys[0]);
                return Err(ProjectError::Settings { path: self.path.clone(), why });
            }
        };
        let parts = text.split(separators.as_slice()).map(str::trim).filter(|part| !part.is_empty());
        Ok(parts.map(String::from).collect())
    }

    /// The folder that a location means: a path, or `package:path`.
    fn folder(&self, key: &'static str, location: &str, directory: &Path) -> Result<PathBuf, ProjectError> {
        let none = |looked: &Path| ProjectError::NoFolder {
            path: self.path.clone(),
            key,
            location: location.to_string(),
            looked: looked.to_path_buf(),
        };
        let absolute = Path::new(location).is_absolute();
        match location.split_once(':').filter(|_| !absolute) {
            None => {
                let folder: PathBuf = directory.join(location).components().collect();
                // An empty project has no `versions` yet, but it has an env.py.
                (key == "version_locations" || folder.is_dir())
                    .then_some(folder)
                    .ok_or_else(|| none(directory))
            }
            Some((package, below)) => {
                let below = Path::new(&package.replace('.', "/")).join(below);
                let roots = self.python_path()?;
                let found = roots.iter().map(|root| root.join(&below)).find(|folder| folder.is_dir());
                found.ok_or_else(|| none(directory))
            }
        }
    }
}

fn wrong(path: &Path, error: &IniError) -> ProjectError {
    ProjectError::Settings { path: path.to_path_buf(), why: error.to_string() }
}

fn tool_alembic(text: &str) -> Result<toml::Table, String> {
    let mut table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| error.message().to_string())?;
    let Some(toml::Value::Table(mut tool)) = table.remove("tool") else { return Ok(toml::Table::new()) };
    match tool.remove("alembic") {
        None => Ok(toml::Table::new()),
        Some(toml::Value::Table(alembic)) => Ok(alembic),
        Some(_) => Err("[tool.alembic] is no table".to_string()),
    }
}

/// The text of a file, or nothing if there is none.
fn text_of(path: &Path) -> Result<Option<String>, ProjectError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ProjectError::Unreadable { path: path.to_path_buf(), source }),
    }
}

/// The migrations in these folders, as Alembic finds them: by name, folder by folder, none twice.
fn list(folders: &[PathBuf], recursive: bool) -> Result<Vec<PathBuf>, ProjectError> {
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    for folder in folders.iter().filter(|folder| folder.exists()) {
        let mut todo = vec![folder.clone()];
        while let Some(folder) = todo.pop() {
            let unreadable = |source| ProjectError::Unreadable { path: folder.clone(), source };
            let (mut files, mut below) = (Vec::new(), Vec::new());
            for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
                let path = entry.map_err(unreadable)?.path();
                if path.is_dir() {
                    below.push(path);
                } else if is_migration(&path) {
                    files.push(path);
                }
            }
            files.sort();
            let fresh = |path: &PathBuf| seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone()));
            found.extend(files.into_iter().filter(fresh));
            if recursive {
                below.retain(|folder| folder.file_name().is_none_or(|name| name != "__pycache__"));
                below.sort_by(|a, b| b.cmp(a));
                todo.extend(below);
            }
        }
    }
    Ok(found)
}

fn is_migration(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    name.ends_with(".py") && !name.starts_with(".#") && !name.starts_with("__init__")
}

impl From<ProjectError> for Failure {
    fn from(error: ProjectError) -> Failure {
        let failure = Failure::usage("read the Alembic project").caused_by(&error);
        failure.then(match &error {
            ProjectError::Unreadable { .. } => "check [migrations] directory and ini, and that this user may read it",
            ProjectError::Settings { .. } => "correct that file",
            ProjectError::NoLocation { .. } => "name the section: [migrations] section = \"…\"",
            ProjectError::NoFolder { .. } => {
                "check [migrations] directory: relative locations begin there, and packages are looked for there"
            }
            ProjectError::Header(HeaderError::Computed { .. }) => {
                "write it as a literal: whoever reads the project, a person too, then knows it without running it"
            }
            ProjectError::Header(_) => "mend that file, or move it elsewhere if it is no migration",
            ProjectError::Graph { source: GraphError::Duplicate { .. }, .. } => {
                "remove the copy, or give one of them a revision of its own"
            }
            ProjectError::Graph { source: GraphError::MissingParent { .. }, .. } => {
                "bring the missing file back (was it committed?), or correct `down_revision`"
            }
            ProjectError::Graph { .. } => "correct the headers of these files",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn with(files: &[(&str, &str)]) -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            for (name, text) in files {
                let path = folder.0.path().join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            folder
        }

        fn settings(&self) -> Settings {
            Settings {
                directory: self.0.path().to_path_buf(),
                command: vec!["alembic".into()],
                ini: "alembic.ini".into(),
                section: "alembic".into(),
                x: vec![],
                url_env: "DATABASE_URL".into(),
                driver: None,
                timeout: Duration::from_secs(60),
                variables: BTreeMap::new(),
            }
        }

        fn ids(&self, settings: &Settings) -> Vec<String> {
            let project = Project::read(settings).unwrap();
            project.chain.graph().revisions().map(|revision| revision.id.clone()).collect()
        }

        fn refusal(&self, settings: &Settings) -> String {
            let error = Project::read(settings).unwrap_err();
            let below = std::error::Error::source(&error).map(|source| format!(": {source}"));
            (error.to_string() + &below.unwrap_or_default())
                .replace(&self.0.path().display().to_string(), "ROOT")
        }
    }

    fn revision(id: &str, down: &str) -> String {
        format!("\"\"\"About {id}\"\"\"\nrevision = '{id}'\ndown_revision = {down}\n")
    }

    const INI: &str = "[alembic]\nscript_location = alembic\nsqlalchemy.url = postgresql+psycopg://u@h/d\n\
        [ai]\nscript_location = %(here)s/ai\n[odd]\nscript_location = app.db:migrations\nprepend_sys_path = src\n\
        [two]\nscript_location = alembic\npath_separator = os\n\
        version_locations = %(here)s/alembic/versions:%(here)s/ai/versions:alembic/versions\nrecursive_version_locations = true\n";

    fn usual() -> Folder {
        Folder::with(&[
            ("alembic.ini", INI),
            ("alembic/versions/b.py", &revision("b", "'a'")),
            ("alembic/versions/a.py", &revision("a", "None")),
            ("alembic/versions/__init__.py", ""),
            ("alembic/versions/.#a.py", "lock"),
            ("alembic/versions/README", ""),
            ("alembic/versions/__pycache__/a.py", "no"),
            ("alembic/versions/later/c.py", &revision("c", "'b'")),
            ("ai/versions/x.py", &revision("x", "None")),
            ("src/app/db/migrations/versions/o.py", &revision("o", "None")),
        ])
    }

    #[test]
    fn migrations_are_found_as_alembic_finds_them() {
        let folder = usual();
        let settings = folder.settings();
        assert_eq!(folder.ids(&settings), ["a", "b"]);
        let project = Project::read(&settings).unwrap();
        assert_eq!(project.scheme.as_deref(), Some("postgresql+psycopg"));
        assert_eq!(project.chain.text("a").unwrap().path, Path::new("alembic/versions/a.py"));
        assert_eq!(project.env_py(), folder.0.path().join("alembic/env.py"));
        let section = |name: &str| Settings { section: name.into(), ..folder.settings() };
        assert_eq!(folder.ids(&section("ai")), ["x"]);
        assert_eq!(folder.ids(&section("odd")), ["o"], "in a package");
        assert_eq!(folder.ids(&section("two")), ["a", "b", "c", "x"], "none twice");
        assert_eq!(
            folder.refusal(&section("none")),
            "find the migrations: ROOT/alembic.ini has no `script_location` in [none]; there is one in \
             [ai], [alembic], [odd], [two]"
        );
    }

    #[test]
    fn settings_in_pyproject_toml() {
        let toml = "[tool.alembic]\nscript_location = \"%(here)s/ai\"\nversion_locations = [\"%(here)s/ai/versions\"]\n";
        let folder = Folder::with(&[("pyproject.toml", toml), ("ai/versions/x.py", &revision("x", "None"))]);
        assert_eq!(folder.ids(&folder.settings()), ["x"]);
        assert_eq!(folder.ids(&Settings { ini: "pyproject.toml".into(), ..folder.settings() }), ["x"]);
    }

    #[test]
    fn what_is_no_project_is_told_with_its_files() {
        let folder = Folder::with(&[("pyproject.toml", "[tool.black]\n")]);
        assert!(folder.refusal(&folder.settings()).starts_with("read ROOT/alembic.ini: "));
        let folder = Folder::with(&[("alembic.ini", "[alembic]\nscript_location = %(nowhere)s\n")]);
        assert_eq!(
            folder.refusal(&folder.settings()),
            "read ROOT/alembic.ini: `script_location` in [alembic]: %(nowhere)s is nowhere"
        );
        let folder = Folder::with(&[("alembic.ini", "[alembic]\nscript_location = db\n")]);
        assert_eq!(
            folder.refusal(&folder.settings()),
            "find \"db\" (script_location of ROOT/alembic.ini): no such folder below ROOT"
        );
        let folder = usual();
        std::fs::write(folder.0.path().join("alembic/versions/z.py"), revision("a", "None")).unwrap();
        assert_eq!(
            folder.refusal(&folder.settings()),
            "ROOT/alembic/versions: revision a is in two files: a.py and z.py: revision a is in two files: a.py and z.py"
        );
    }
}
