//! From the file of an environment to its values.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use super::environment::{check_name, environments, project_above};
use super::{
    Config, ConfigError, Database, MigrationRoot, Replica, Tool, env_file, health, lint_rules, migrations,
    notify, schedule, sections,
};
use crate::document::tree::{self, Node};
use crate::document::{self, Exposure, Finding, Noted, Read, Table, Value, Variables, register_variable};
use crate::time::show_bytes;

/// The defaults of every key: the annotated file, compiled in.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");

impl Config {
    /// Reads `config/<environment>.toml` below `root`, and the env file that it names. `variables` is
    /// the process's environment: nothing below reads it again. It goes before the env file.
    ///
    /// Every secret that is read is registered with [`crate::redact`].
    ///
    /// # Errors
    /// There is no such file, or it can't be read, or all that is wrong in it.
    pub fn load(
        root: &Path,
        environment: &str,
        variables: &BTreeMap<String, String>,
    ) -> Result<Self, ConfigError> {
        check_name(environment)?;
        // Everything below is told absolute paths: commands run in folders of their own.
        let root = std::path::absolute(root)
            .map_err(|source| ConfigError::Unreadable { path: root.to_path_buf(), source })?;
        let path = root.join("config").join(format!("{environment}.toml"));
        let text = std::fs::read_to_string(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => {
                let known = environments(&root);
                let above = if known.is_empty() { project_above(&root) } else { None };
                ConfigError::Unknown { name: environment.to_string(), path: path.clone(), known, above }
            }
            _ => ConfigError::Unreadable { path: path.clone(), source },
        })?;
        Ok(Self::parse(&text, &root, environment, variables)?)
    }

    /// Reads the text of `config/<environment>.toml` of the project in `root` (absolute).
    ///
    /// # Errors
    /// All that is wrong in it.
    pub fn parse(
        text: &str,
        root: &Path,
        environment: &str,
        variables: &BTreeMap<String, String>,
    ) -> Result<Self, Box<document::Invalid>> {
        let file = format!("config/{environment}.toml");
        let at =
            Origin { root, environment, hash: hex::encode(Sha256::digest(text)), path: root.join(&file) };
        let process = Variables::of_process(variables).exposing(Exposure::HideAll);
        document::read(&file, text, process, Some(defaults()), |table| read(table, &at, variables))
    }

    /// What `${NAME}` of a runbook stands for: the process's environment before the env file.
    pub fn variables_with(&self, process: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut variables = self.variables.clone();
        variables.extend(process.iter().map(|(name, value)| (name.clone(), value.clone())));
        variables
    }
}

/// The tree of the defaults.
pub(crate) fn defaults() -> &'static Node {
    static TREE: LazyLock<Node> = LazyLock::new(|| tree::parse_defaults(DEFAULTS));
    &TREE
}

struct Origin<'a> {
    root: &'a Path,
    environment: &'a str,
    hash: String,
    path: PathBuf,
}

fn read(table: &mut Table<'_>, at: &Origin<'_>, process: &BTreeMap<String, String>) -> Read<Config> {
    let variables = read_env_file(table, at.root, process);
    let protected = table.require("protected", "protected = true", Value::boolean);
    let database = table.require("database", "[database] with a url", |v| sections::database(v, at.root));
    let replicas = table.each("replicas", sections::replica);
    let migrations = migrations::migration_roots(table, at.root);
    let lint = table.require("lint", "[lint]", lint_rules::policy);
    let drift = table.require("drift", "[drift]", sections::drift);
    let store = table.require("store", "[store] with a url", |v| sections::store(v, at.root, process));
    let backup = table.require("backup", "[backup]", sections::backup);
    let flag = table.take("maintenance", |v| sections::flag(v, at.root));
    let schedule = table.take("schedule", schedule::schedule);
    let window = table.require("window", "[window]", sections::window);
    let lease = table.require("lease", "[lease]", sections::lease);
    let stop = table.require("stop", "[stop]", sections::stop);
    let notify = table.require("notify", "[notify]", notify::notify);
    let tunnel = table.take("tunnel", sections::tunnel);
    let health = table.take_own("health", health::checks);
    let (store, spool) = store?;
    let ((env_file, variables), database) = (variables?, database?);
    let migrations = completed(migrations?, &variables, &database);
    let silence = database.network_timeout;
    let heeding = |replica: Replica| Replica { url: replica.url.noticing_silence_within(silence), ..replica };
    let replicas = replicas?.into_iter().map(heeding).collect();
    Ok(Config {
        environment: at.environment.to_string(),
        root: at.root.to_path_buf(),
        path: at.path.clone(),
        hash: at.hash.clone(),
        protected: protected?,
        database,
        replicas,
        migrations,
        lint: lint?,
        drift: drift?,
        store,
        spool,
        backup: backup?,
        flag: flag?.flatten(),
        schedule: schedule?.flatten(),
        window: window?,
        lease: lease?,
        stop: stop?,
        health: health?.unwrap_or_default(),
        notify: notify?,
        tunnel: tunnel?.flatten(),
        env_file,
        variables,
    })
}

/// Alembic's `env.py` needs what the application needs: its variables, and a URL for its driver.
fn completed(
    mut roots: Vec<MigrationRoot>,
    variables: &BTreeMap<String, String>,
    database: &Database,
) -> Vec<MigrationRoot> {
    let scheme = database.url.scheme().filter(|scheme| scheme.starts_with("postgresql+"));
    for root in &mut roots {
        if let Tool::Alembic(alembic) = &mut root.tool {
            alembic.variables.clone_from(variables);
            alembic.driver = alembic.driver.take().or(scheme.map(String::from));
        }
    }
    roots
}

/// Reads the env file first: the rest of the file takes its variables.
fn read_env_file(
    table: &mut Table<'_>,
    root: &Path,
    process: &BTreeMap<String, String>,
) -> Read<(Option<PathBuf>, BTreeMap<String, String>)> {
    let found = table.take("env_file", |value| {
        let path = value.clone().path(root)?;
        let described = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        let text = match read_private(&path) {
            Ok(Ok(text)) => text,
            Ok(Err(mode)) => return Err(not_private(&value, &path, &described, mode)),
            // A CI job has its variables in the environment and no such file; should one be missing
            // then, the message says that the file is too.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let described = format!("{described} (env_file), which does not exist");
                return Ok((path, described, BTreeMap::new()));
            }
            Err(error) => return Err(unreadable(&value, &described, &error.to_string())),
        };
        let text =
            String::from_utf8(text).map_err(|_| unreadable(&value, &described, "it is not UTF-8 text"))?;
        let variables = env_file::parse(&text).map_err(|errors| {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            unreadable(&value, &described, &lines.join("; "))
        })?;
        Ok((path, format!("{described} (env_file)"), variables))
    });
    let hidden = Variables::of_process(process).exposing(Exposure::HideAll);
    match found {
        Ok(None) => Ok((None, BTreeMap::new())),
        Ok(Some((path, described, variables))) => {
            for (name, value) in &variables {
                register_variable(name, value, false);
            }
            table.reader().look_in(hidden.with_file(described, variables.clone()));
            Ok((Some(path), variables))
        }
        Err(noted) => {
            table.reader().look_in(hidden.with_unreadable_file());
            Err(noted)
        }
    }
}

/// What is longer is some other file, or a device that never ends.
const LARGEST_ENV_FILE: u64 = 1_000_000;

/// The file's bytes; or its mode, if others than its owner may read or write it.
fn read_private(path: &Path) -> std::io::Result<Result<Vec<u8>, u32>> {
    let file = std::fs::File::open(path)?;
    let metadata = file.metadata()?;
    if env_file::is_open_to_others(&metadata) {
        return Ok(Err(metadata.permissions().mode() & 0o7777));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST_ENV_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_ENV_FILE {
        let limit = show_bytes(LARGEST_ENV_FILE);
        return Err(std::io::Error::other(format!("it holds more than {limit}, as no env file does")));
    }
    Ok(Ok(bytes))
}

fn not_private(value: &Value<'_>, path: &Path, described: &str, mode: u32) -> Noted {
    let may = match (mode & 0o044 != 0, mode & 0o022 != 0) {
        (true, true) => "read and change",
        (true, false) => "read",
        _ => "change",
    };
    value.wrong(
        Finding::new(format!("others than its owner can {may} the env file {described} (mode {mode:04o})"))
            .label("it holds secrets")
            .help(format!("chmod 600 {}", crate::words::shell_path(path))),
    )
}

fn unreadable(value: &Value<'_>, file: &str, why: &str) -> Noted {
    value.wrong(Finding::new(format!("could not read the env file {file}: {why}")).label("named here"))
}
