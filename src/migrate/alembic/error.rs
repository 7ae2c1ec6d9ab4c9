//! Why Alembic failed, or must not be let: worded for the person on call.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::failure::{Failure, Kind};
use crate::migrate::blockers::Blocker;
use crate::migrate::scratch::ScratchError;
use crate::process::ProcessError;
use crate::redact::redact;

/// Why.
#[derive(Debug, thiserror::Error)]
pub enum AlembicError {
    /// It can't be started, or did not end in time.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// It failed.
    #[error("run alembic {}{}", .0.verb, because(.0))]
    Call(
        /// Where and how.
        Box<CallFailure>,
    ),
    /// `env.py` does not connect to where its environment says.
    #[error("prove that {} heeds {url_env}", .env_py.display())]
    Unheeded {
        /// The file.
        env_py: PathBuf,
        /// The variable.
        url_env: String,
        /// What `alembic current` said of a scratch database that is at a revision that we made up.
        said: Vec<String>,
        /// The version table that was stamped.
        table: String,
    },
    /// It said that all is well, and the version table says otherwise.
    #[error("run alembic {verb}: it ended well, but {table} is at {found} and not at {expected}")]
    NotCommitted {
        /// Which verb.
        verb: &'static str,
        /// The version table.
        table: String,
        /// What is in it.
        found: String,
        /// What should be.
        expected: String,
        /// The project's `env.py`.
        env_py: PathBuf,
    },
    /// There is no scratch database.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
}

/// One call that failed.
#[derive(Debug, Clone, Default)]
pub struct CallFailure {
    /// Which verb: `upgrade`.
    pub verb: String,
    /// The migration at work: its id, and where in its file the failure arose (`versions/x.py:12`).
    pub at: Option<(String, String)>,
    /// What it said at last, redacted: the first cause first.
    pub cause: Vec<String>,
    /// For whom it waited, if it waited for a lock.
    pub blockers: Vec<Blocker>,
    /// How often it was tried.
    pub tries: u32,
    /// What is left of it.
    pub left: Left,
}

/// What a failed call left in the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Left {
    /// It was not to change anything.
    #[default]
    Untouched,
    /// The version table is at these revisions.
    At {
        /// The rows.
        rows: BTreeSet<String>,
        /// The migration that failed commits by itself: a part of it may have taken effect.
        partly: Option<String>,
    },
    /// The version table can't be read any more.
    Unknown,
}

fn because(failure: &CallFailure) -> String {
    failure.cause.first().map(|cause| format!(": {cause}")).unwrap_or_default()
}

/// `a, b`, or `base`.
pub(super) fn rows_text(rows: &BTreeSet<String>) -> String {
    match rows.is_empty() {
        true => "base".to_string(),
        false => rows.iter().cloned().collect::<Vec<_>>().join(", "),
    }
}

impl AlembicError {
    /// Whether the database may differ from what it was, beyond the revisions that are known to be committed.
    pub fn may_have_changed(&self) -> bool {
        match self {
            AlembicError::Call(failure) => match &failure.left {
                Left::Untouched => false,
                Left::At { partly, .. } => partly.is_some(),
                Left::Unknown => true,
            },
            _ => false,
        }
    }
}

impl CallFailure {
    fn state(&self) -> Option<String> {
        match &self.left {
            Left::Untouched => None,
            Left::At { rows, partly: None } => Some(format!("the database is at {}", rows_text(rows))),
            Left::At { rows, partly: Some(revision) } => Some(format!(
                "the database is at {}; {revision} commits parts of itself, so a part of it may have taken effect",
                rows_text(rows)
            )),
            Left::Unknown => {
                Some("what was committed is not known: the version table can't be read".to_string())
            }
        }
    }

    fn next(&self) -> Vec<String> {
        let percent = self.cause.iter().any(|line| line.contains("invalid interpolation syntax"));
        match (&self.at, &self.left) {
            _ if percent => vec![
                "in env.py, double the percent signs: config.set_main_option(\"sqlalchemy.url\", url.replace(\"%\", \"%%\"))"
                    .to_string(),
            ],
            _ if !self.blockers.is_empty() => {
                vec!["let those finish (or end them with pg_terminate_backend), then run the same command again".into()]
            }
            (_, Left::Unknown) => vec!["backstay migrate current".to_string()],
            (Some((_, place)), Left::At { partly: None, .. }) => {
                vec![format!("mend {}, then run the same command again", file_of(place))]
            }
            (Some((_, place)), Left::At { partly: Some(_), .. }) => vec![format!(
                "undo by hand what took effect, mend {}, then run the same command again",
                file_of(place)
            )],
            _ => Vec::new(),
        }
    }
}

fn file_of(place: &str) -> &str {
    match place.rsplit_once(':') {
        Some((file, line)) if line.bytes().all(|b| b.is_ascii_digit()) => file,
        _ => place,
    }
}

impl From<AlembicError> for Failure {
    fn from(error: AlembicError) -> Failure {
        match error {
            AlembicError::Process(error) => error.into(),
            AlembicError::Scratch(error) => error.into(),
            AlembicError::Call(failed) => of_call(&failed),
            AlembicError::Unheeded { env_py, url_env, said, table } => {
                let what = format!("prove that {} heeds {url_env}", env_py.display());
                let failure = Failure::refused(what)
                    .because_of(format!(
                        "of a scratch database whose {table} says otherwise, `alembic current` said {}",
                        if said.is_empty() { "nothing".to_string() } else { redact(&said.join("; ")).into_owned() }
                    ))
                    .because_of("so it reads another database, or another version table, and would change that one")
                    .leaving("nothing was changed");
                failure
                    .then(format!(
                        "in env.py, take the URL from the environment: config.set_main_option(\"sqlalchemy.url\", \
                         os.environ[\"{url_env}\"].replace(\"%\", \"%%\")); or name the variable that it reads: \
                         [migrations] url_env"
                    ))
                    .then(
                        "if env.py sets version_table or version_table_schema, say the same in [migrations] \
                         version_table and version_schema",
                    )
            }
            AlembicError::NotCommitted { env_py, verb, .. } => Failure::failed(format!("run alembic {verb}"))
                .because_of(error_line(verb, &env_py))
                .then("in env.py, wrap context.run_migrations() in context.begin_transaction(), on a connection of engine.begin()")
                .then("backstay migrate current tells where the database is"),
        }
    }
}

fn error_line(verb: &str, env_py: &std::path::Path) -> String {
    format!(
        "it ended well, but the version table is not where {verb} leads: {} does not commit",
        env_py.display()
    )
}

fn of_call(failed: &CallFailure) -> Failure {
    let what = match &failed.at {
        Some((revision, place)) => format!("{} {revision} at {place}", failed.verb),
        None => format!("run alembic {}", failed.verb),
    };
    let mut failure = Failure::new(Kind::Failed, what);
    failure =
        failed.cause.iter().fold(failure, |failure, line| failure.because_of(redact(line).into_owned()));
    if failed.tries > 1 {
        failure = failure.because_of(format!("tried {} times", failed.tries));
    }
    failure = failed
        .blockers
        .iter()
        .fold(failure, |failure, who| failure.because_of(format!("it waited for {who}")));
    failure.state = failed.state();
    failed.next().into_iter().fold(failure, Failure::then)
}
