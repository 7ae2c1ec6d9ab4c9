//! Env files that somebody made for a migration, with the database's password in them, and forgot: found at the end of a
//! run. Removed only if a person says so.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::Shell;
use crate::config::{Config, env_file, environments};
use crate::document::passwords_in;
use crate::ui::layout::fold;
use crate::words::shell_word;

/// An env file is small; what is larger is something else.
const LARGEST: u64 = 1 << 20;

/// Ends of names that hold an example's values.
const EXAMPLES: [&str; 6] = ["example", "sample", "template", "dist", "defaults", "schema"];

/// Looks for such files and offers to remove them; without a terminal it says how. What can't be read is passed over:
/// this is a courtesy, and the run is over.
pub(super) fn offer(shell: &Shell, config: &Config) {
    for path in find(config) {
        let environment = &config.environment;
        let file = path.display();
        let told = format!(
            "{file} holds the database password of {environment}, and backstay has no use for it: left over from a \
             migration by hand?"
        );
        let remove = format!("rm {}", shell_word(&file.to_string()));
        if !shell.can_ask() {
            shell.note(&format!("{told}\n-> {remove}"));
            continue;
        }
        // The question alone is drawn again with its answer: a long one would leave a half of itself on the screen.
        shell.note(&fold(&told, shell.look.width).join("\n"));
        match shell.confirm(&format!("Remove {}?", name_of(&path)), false) {
            Ok(true) => match fs::remove_file(&path) {
                Ok(()) => shell.note(&format!("{file} is removed")),
                Err(error) => shell.note(&format!("could not remove {file}: {error}\n-> {remove}")),
            },
            Ok(false) | Err(_) => shell.note(&format!("{file} stays\n-> {remove}")),
        }
    }
}

/// Env files in the project's root and in its folders, which hold the password of this environment's database, and which
/// no environment names. The application's own `.env` is no left-over.
fn find(config: &Config) -> Vec<PathBuf> {
    let known = known(config);
    let mut found: Vec<PathBuf> = folders(&config.root)
        .iter()
        .flat_map(|folder| entries(folder))
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter(|entry| entry.file_name().to_str().is_some_and(is_candidate))
        .filter(|entry| entry.metadata().is_ok_and(|metadata| metadata.len() <= LARGEST))
        .map(|entry| entry.path())
        .filter(|path| !path.canonicalize().is_ok_and(|path| known.contains(&path)))
        .filter(|path| fs::read_to_string(path).is_ok_and(|text| holds_password(&text, config)))
        .collect();
    found.sort();
    found
}

fn name_of(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

fn is_candidate(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(".env") else { return false };
    let words = || rest.split(['.', '-', '_']).filter(|word| !word.is_empty());
    rest.starts_with(['.', '-', '_'])
        && words().next().is_some()
        && !words().any(|word| EXAMPLES.contains(&word))
}

/// The root, and the folders in it; links are not followed.
fn folders(root: &Path) -> Vec<PathBuf> {
    let below = entries(root).into_iter();
    let below = below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    std::iter::once(root.to_path_buf()).chain(below.map(|entry| entry.path())).collect()
}

fn entries(folder: &Path) -> Vec<fs::DirEntry> {
    fs::read_dir(folder).into_iter().flatten().flatten().collect()
}

/// The env files that some environment of the project names.
fn known(config: &Config) -> BTreeSet<PathBuf> {
    let named = |name: String| {
        let text = fs::read_to_string(config.root.join("config").join(format!("{name}.toml"))).ok()?;
        let table: toml::Table = text.parse().ok()?;
        Some(config.root.join(table.get("env_file")?.as_str()?))
    };
    let others = environments(&config.root).into_iter().filter_map(named);
    others.chain(config.env_file.clone()).filter_map(|path| path.canonicalize().ok()).collect()
}

fn holds_password(text: &str, config: &Config) -> bool {
    let ours = |candidate: &str| {
        let database = &config.database;
        database.url.has_password(candidate) || database.admin_url.has_password(candidate)
    };
    let values = env_file::parse(text).unwrap_or_default();
    values.values().any(|value| ours(value) || passwords_in(value).iter().any(|password| ours(password)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn project(files: &[(&str, &str)]) -> (tempfile::TempDir, Vec<String>) {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        files.iter().for_each(|(name, text)| write(name, text));
        let text = "[database]\nurl = \"postgres://app:p%40ss-word@db/shop\"\n";
        let config = Config::parse(text, root.path(), "production", &BTreeMap::new()).unwrap();
        let named = |path: PathBuf| path.strip_prefix(root.path()).unwrap().display().to_string();
        let found = find(&config).into_iter().map(named).collect();
        (root, found)
    }

    #[test]
    fn a_file_made_for_a_migration_is_found_by_its_password() {
        let url = "ENVIRONMENT=production\nDATABASE_URL=postgresql://churn:p%40ss-word@127.0.0.1:5432/x\n";
        let (_root, found) = project(&[
            ("backend/.env.migration", url),
            (".env.tmp", "PGPASSWORD='p@ss-word'\n"),
            (".env-old", "DSN=\"host=db user=app password=p@ss-word\"\n"),
            (".env", url),
            (".envrc", url),
            (".env.example", url),
            (".env.production.sample", url),
            ("a/b/.env.deep", url),
            (".env.other", "DATABASE_URL=postgresql://app:other-pass@h/d\nNOTE=p@ss-word-and-more\n"),
            (".env.broken", "p@ss-word\n"),
            (".env.staging", url),
            ("config/staging.toml", "env_file = \".env.staging\"\n"),
            ("config/.env.large", &format!("{url}#{}\n", "x".repeat(1 << 20))),
        ]);
        assert_eq!(found, [".env-old", ".env.tmp", "backend/.env.migration"]);
    }

    #[test]
    fn links_are_not_followed() {
        let elsewhere = tempfile::tempdir().unwrap();
        let target = elsewhere.path().join(".env.migration");
        fs::write(&target, "A=p@ss-word\n").unwrap();
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(&target, root.path().join(".env.link")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), root.path().join("folder")).unwrap();
        let text = "[database]\nurl = \"postgres://app:p%40ss-word@db/shop\"\n";
        let config = Config::parse(text, root.path(), "production", &BTreeMap::new()).unwrap();
        assert_eq!(find(&config), Vec::<PathBuf>::new());
    }
}
