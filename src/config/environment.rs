//! Which environment is meant, when the command line does not say.

use std::path::{Path, PathBuf};

use super::ConfigError;

/// The file beside the environments that is none.
const DEFAULTS: &str = "default";

/// The environment that a command works on: what `-e` says, else `BACKSTAY_ENV`, else the only file in
/// `config/` beside `default.toml`.
///
/// # Errors
/// The name can't be one, or there is nothing to choose from, or more than one.
pub fn find_environment(
    root: &Path,
    from_flag: Option<&str>,
    backstay_env: Option<&str>,
) -> Result<String, ConfigError> {
    if let Some(name) = from_flag.or(backstay_env.filter(|name| !name.is_empty())) {
        check_name(name)?;
        return Ok(name.to_string());
    }
    let folder = root.join("config");
    match <[String; 1]>::try_from(environments(root)) {
        Ok([only]) => Ok(only),
        Err(none) if none.is_empty() => {
            Err(ConfigError::NoEnvironment { folder, above: project_above(root) })
        }
        Err(several) => Err(ConfigError::WhichEnvironment { folder, known: several }),
    }
}

/// The environments of a project, by name. A folder that can't be read has none.
pub fn environments(root: &Path) -> Vec<String> {
    toml_files(&root.join("config")).into_iter().filter(|name| name != DEFAULTS).collect()
}

/// The nearest folder above `root` that has environments: somebody is in a project's subfolder.
pub(super) fn project_above(root: &Path) -> Option<PathBuf> {
    let root = root.canonicalize().ok()?;
    root.ancestors().skip(1).find(|folder| !environments(folder).is_empty()).map(Path::to_path_buf)
}

/// The stems of the `.toml` files in a folder, sorted.
pub(crate) fn toml_files(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".toml").map(str::to_string))
        .filter(|name| !name.is_empty() && !name.starts_with('.'))
        .collect();
    names.sort();
    names
}

/// An environment's name is a part of file names, store paths and database comments.
pub(super) fn check_name(name: &str) -> Result<(), ConfigError> {
    let fits = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    if fits && name != DEFAULTS { Ok(()) } else { Err(ConfigError::BadName { name: name.to_string() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("config")).unwrap();
        for file in files {
            std::fs::write(root.path().join("config").join(file), "").unwrap();
        }
        root
    }

    #[test]
    fn the_flag_goes_before_the_variable_before_the_only_file() {
        let root = project(&["default.toml", "production.toml", "notes.md", ".hidden.toml"]);
        let find = |flag, variable| find_environment(root.path(), flag, variable).unwrap();
        assert_eq!(find(Some("a"), Some("b")), "a");
        assert_eq!(find(None, Some("b")), "b");
        assert_eq!(find(None, Some("")), "production");
        assert_eq!(find(None, None), "production");
    }

    #[test]
    fn none_or_several_are_refused() {
        let none = project(&["default.toml"]);
        assert!(matches!(find_environment(none.path(), None, None), Err(ConfigError::NoEnvironment { .. })));
        assert!(matches!(
            find_environment(Path::new("/nonexistent"), None, None),
            Err(ConfigError::NoEnvironment { .. })
        ));
        let several = project(&["staging.toml", "production.toml"]);
        let Err(ConfigError::WhichEnvironment { known, .. }) = find_environment(several.path(), None, None)
        else {
            panic!("chose one of several");
        };
        assert_eq!(known, ["production", "staging"]);
    }

    #[test]
    fn in_a_subfolder_the_project_is_named() {
        let root = project(&["production.toml"]);
        let below = root.path().join("alembic/versions");
        std::fs::create_dir_all(&below).unwrap();
        let told = find_environment(&below, None, None).unwrap_err();
        let help = miette::Diagnostic::help(&told).unwrap().to_string();
        let root = root.path().canonicalize().unwrap();
        assert_eq!(help, format!("{0}/config has some: go there, or give -C {0}", root.display()));
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in ["", "../x", "a/b", ".hidden", "a b", "-e", "default", "ä", "a\0"] {
            assert!(find_environment(Path::new("/"), Some(name), None).is_err(), "{name:?}");
        }
    }
}
