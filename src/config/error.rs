//! Why a config can't be had.

use std::path::{Path, PathBuf};

use miette::Diagnostic;

use crate::document::{Invalid, spell_out};
use crate::failure::Failure;
use crate::words::shell_path;

/// Why there is no [`Config`](super::Config). All of these are usage errors (exit 2).
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum ConfigError {
    /// There is no such environment.
    #[error("there is no environment `{name}`: {} does not exist", path.display())]
    #[diagnostic(help("{}", help_for_unknown(known, above.as_deref())))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// Where its file would be.
        path: PathBuf,
        /// What there is.
        known: Vec<String>,
        /// Where there is none: the nearest folder above that has some.
        above: Option<PathBuf>,
    },
    /// The name can't be one.
    #[error("`{name}` can't be the name of an environment")]
    #[diagnostic(help(
        "a name has letters, digits, `-`, `_` and `.`, and is the name of a file in config/ without `.toml`; \
         `default` holds the defaults of all"
    ))]
    BadName {
        /// The name.
        name: String,
    },
    /// Nothing names an environment, and there is none.
    #[error("no environment is given, and {} has none", folder.display())]
    #[diagnostic(help("{}", above.as_deref().map_or("name one with -e NAME, or start with `backstay init`".into(), go_there)))]
    NoEnvironment {
        /// Where they would be.
        folder: PathBuf,
        /// The nearest folder above that has some.
        above: Option<PathBuf>,
    },
    /// Nothing names an environment, and there are several.
    #[error("no environment is given, and {} has several: {}", folder.display(), spell_out(known))]
    #[diagnostic(help("name one: -e {}, or BACKSTAY_ENV in the environment", known.join(" or -e ")))]
    WhichEnvironment {
        /// Where they are.
        folder: PathBuf,
        /// Which there are.
        known: Vec<String>,
    },
    /// The file is there, but can't be read.
    #[error("could not read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file says something that can't be.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Invalid(#[from] Box<Invalid>),
}

fn go_there(above: &Path) -> String {
    format!("{} has some: go there, or give -C {}", above.join("config").display(), shell_path(above))
}

fn help_for_unknown(known: &[String], above: Option<&Path>) -> String {
    match (known, above) {
        ([], Some(above)) => go_there(above),
        ([], None) => "there are no environments yet; start with `backstay init`".into(),
        (known, _) => format!("there is {}", spell_out(known)),
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let failure = match &error {
            ConfigError::Invalid(invalid) => return Failure::from(invalid.as_ref()),
            ConfigError::Unreadable { path, source } => {
                return Failure::usage(format!("read {}", path.display())).caused_by(source);
            }
            ConfigError::Unknown { name, .. } => Failure::usage(format!("use environment `{name}`")),
            _ => Failure::usage("choose an environment"),
        };
        let failure = failure.because_of(error.to_string());
        match error.help() {
            Some(help) => failure.then(help.to_string()),
            None => failure,
        }
    }
}
