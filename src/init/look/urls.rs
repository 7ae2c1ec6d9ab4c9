//! The URLs of databases: in the environment, in env files, in what starts the application.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Places, entries, from_root, names_a_url, read};
use crate::config::env_file;
use crate::document::{is_variable_name, register_variable};
use crate::init::compose::Service;
use crate::init::unit::Unit;
use crate::pg::ConnInfo;

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

/// All of them, the likeliest first.
pub(super) fn find(
    places: &Places<'_>,
    folders: &[PathBuf],
    units: &[Unit],
    services: &[Service],
) -> Vec<FoundUrl> {
    let mut found = Vec::new();
    keep(&mut found, &Origin::Process, places.variables);
    let others = of_other_environments(places);
    let own = [format!(".env.{}", places.environment), ".env".into(), ".env.local".into()];
    let beside = folders.iter().flat_map(|folder| own.iter().map(move |name| folder.join(name)));
    let of_units = units.iter().flat_map(|unit| &unit.env_files).map(PathBuf::from);
    for path in beside.chain(of_units) {
        let variables = read(&path).and_then(|text| env_file::parse(&text).ok()).unwrap_or_default();
        let name = from_root(places, &path);
        let origin = if others.contains(&path) { Origin::Other(name) } else { Origin::EnvFile(name) };
        keep(&mut found, &origin, &variables);
    }
    for unit in units {
        let variables = unit.variables.iter().cloned().collect();
        keep(&mut found, &Origin::Other(format!("{}.service", unit.name)), &variables);
    }
    for service in services {
        // Compose fills `${NAME}` in; nobody would where the value is copied to.
        let whole = service.variables.iter().filter(|(_, value)| !value.contains("${"));
        let variables = whole.cloned().collect();
        keep(&mut found, &Origin::Other(format!("the service {}", service.name)), &variables);
    }
    found
}

/// The env files that other environments name: they have it from there how they are deployed, so this one needs its own.
fn of_other_environments(places: &Places<'_>) -> Vec<PathBuf> {
    let own = format!("{}.toml", places.environment);
    let configs = entries(&places.root.join("config")).into_iter();
    let tables = configs
        .filter(|path| path.extension().is_some_and(|end| end == "toml") && !path.ends_with(&own))
        .filter_map(|path| read(&path)?.parse::<toml::Table>().ok());
    tables.filter_map(|table| Some(places.root.join(table.get("env_file")?.as_str()?))).collect()
}

/// Keeps what is a URL of PostgreSQL's: `DATABASE_URL` before others.
fn keep(found: &mut Vec<FoundUrl>, origin: &Origin, variables: &BTreeMap<String, String>) {
    let mut urls: Vec<(&String, &String)> = variables
        .iter()
        .filter(|(name, value)| {
            is_variable_name(name)
                && names_a_url(name)
                && value.starts_with("postgres")
                && ConnInfo::parse(value).is_ok()
        })
        .collect();
    urls.sort_by_key(|(name, _)| (*name != "DATABASE_URL", name.as_str()));
    for (variable, url) in urls {
        register_variable(variable, url, true);
        found.push(FoundUrl { variable: variable.clone(), origin: origin.clone(), url: url.clone() });
    }
}
