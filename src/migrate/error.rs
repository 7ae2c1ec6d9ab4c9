//! Why migrating stopped, what is committed, and what to do: worded for the person on call.

use std::path::PathBuf;

use super::alembic::AlembicError;
use super::blockers::Blocker;
use super::graph::{Direction, GraphError, TargetError};
use super::history::Attempt;
use super::script::ScriptError;
use crate::failure::{Failure, Kind};
use crate::pg::ConnectError;
use crate::pg::describe_error;
use crate::redact::redact;

/// Why migrating stopped, and what it had committed until then.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct MigrateError {
    /// Why.
    #[source]
    pub reason: Box<Reason>,
    /// The revisions whose scripts were committed before, in order.
    pub committed: Vec<String>,
}

impl<R: Into<Reason>> From<R> for MigrateError {
    fn from(reason: R) -> Self {
        Self { reason: Box::new(reason.into()), committed: Vec::new() }
    }
}

impl MigrateError {
    /// Whether the database may differ from what it was: exit 7 then, else exit 3.
    pub fn changed_anything(&self) -> bool {
        let partly = match &*self.reason {
            Reason::Script(failed) => match &failed.effects {
                Effects::None => false,
                Effects::InDoubt => true,
                Effects::Partial { done_before, done, batched_before, batched, invalid, open_ended } => {
                    done > done_before || batched > batched_before || !invalid.is_empty() || *open_ended
                }
            },
            Reason::Alembic(error) => error.may_have_changed(),
            _ => false,
        };
        partly || !self.committed.is_empty()
    }
}

/// The reasons.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// The target leads nowhere from here.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A name for schema or table that PostgreSQL can't keep.
    #[error("{0:?} is no name for a schema or table; it must have 1 to 63 bytes")]
    BadName(
        /// The name.
        String,
    ),
    /// The search path names no schema that exists.
    #[error("the search path of this role names no schema that exists")]
    NoSchema,
    /// The database is at revisions that no file has.
    #[error("can't locate revision {}: {table} has it, but no file in {}", .revisions.join(", "), .folder.display())]
    UnknownRows {
        /// The rows.
        revisions: Vec<String>,
        /// The version table.
        table: String,
        /// Where the files are.
        folder: PathBuf,
    },
    /// Applied files that are not what was applied.
    #[error("these files were edited after they were applied: {}", .files.join(", "))]
    Edited {
        /// The revisions.
        revisions: Vec<String>,
        /// Their files.
        files: Vec<String>,
    },
    /// A downgrade over a revision without one.
    #[error("{revision} is irreversible: {file} has no downgrade")]
    Irreversible {
        /// The revision.
        revision: String,
        /// Its file.
        file: String,
    },
    /// A statement of which nobody could say after a death whether it took effect.
    #[error(
        "{}:{line}: if its driver dies, nothing tells whether {statement} took effect", .file.display()
    )]
    Unprovable {
        /// The file.
        file: PathBuf,
        /// The line that the statement begins on.
        line: u32,
        /// Its first words.
        statement: String,
    },
    /// A script that is half applied stands in the way.
    #[error("{} of {} was broken off: {}; {why}", .attempt.direction, .attempt.revision, .attempt.extent())]
    Unfinished {
        /// What was broken off.
        attempt: Box<Attempt>,
        /// Why it can't go on by itself.
        why: String,
        /// What to do.
        next: Vec<String>,
    },
    /// Another migrates this database.
    #[error("someone else has been migrating this database for longer than {waited}: {holder}")]
    Locked {
        /// Who.
        holder: String,
        /// How long was waited.
        waited: String,
    },
    /// A row of the version table was not what it had been.
    #[error("the version table {0} changed under way; who else writes to it?")]
    RowsMoved(
        /// The version table.
        String,
    ),
    /// A script failed.
    #[error("{0}")]
    Script(
        /// Where and how.
        Box<ScriptFailure>,
    ),
    /// Alembic failed, or must not be let.
    #[error(transparent)]
    Alembic(
        /// Why.
        #[from]
        Box<AlembicError>,
    ),
    /// There is no session to be had.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A query of ours failed.
    #[error("{what}")]
    Query {
        /// What was being done.
        what: &'static str,
        /// What the server said.
        #[source]
        source: Box<ServerError>,
    },
}

impl Reason {
    /// For `map_err`: the query that did `what` failed.
    pub(super) fn query(what: &'static str) -> impl FnOnce(tokio_postgres::Error) -> Reason {
        move |error| Reason::Query { what, source: Box::new(ServerError::from(&error)) }
    }
}

/// A script that failed: everything its reader needs.
#[derive(Debug, thiserror::Error)]
#[error("{} {revision} at {}: {error}", .direction.verb(), self.place())]
pub struct ScriptFailure {
    /// The revision.
    pub revision: String,
    /// Up or down.
    pub direction: Direction,
    /// Its file.
    pub file: PathBuf,
    /// The statement that failed; `None`: all ran, recording or committing them failed.
    pub statement: Option<FailedStatement>,
    /// What the server said.
    pub error: ServerError,
    /// For whom it waited, if it waited for a lock.
    pub blockers: Vec<Blocker>,
    /// How often it was tried.
    pub tries: u32,
    /// What is left of it.
    pub effects: Effects,
}

/// Which statement failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedStatement {
    /// Its number, from 1.
    pub number: usize,
    /// How many the section has.
    pub of: usize,
    /// The line it begins on.
    pub line: u32,
}

/// What a failed script left in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effects {
    /// Nothing: its transaction was rolled back.
    None,
    /// Unknown: the connection broke while its commit was under way.
    InDoubt,
    /// A script outside a transaction: its first `done` statements.
    Partial {
        /// How many had taken effect before this try.
        done_before: usize,
        /// How many have now.
        done: usize,
        /// How many rows committed batches of the failed one had changed before this try.
        batched_before: u64,
        /// How many rows they have changed now.
        batched: u64,
        /// Indexes that a failed `CREATE INDEX CONCURRENTLY` left behind, invalid.
        invalid: Vec<String>,
        /// The failed statement may have done a part of its work (`CALL`, a broken connection).
        open_ended: bool,
    },
}

impl ScriptFailure {
    /// `migrations/0003_x.sql:12 (statement 2 of 4)`.
    pub fn place(&self) -> String {
        let file = self.file.display();
        match &self.statement {
            Some(FailedStatement { number, of, line }) => {
                format!("{file}:{line} (statement {number} of {of})")
            }
            None => format!("the end of {file}"),
        }
    }

    fn state(&self) -> String {
        let revision = &self.revision;
        match &self.effects {
            Effects::None => format!("nothing of {revision} is left: it was rolled back"),
            Effects::InDoubt => {
                format!(
                    "the connection broke during the commit of {revision}: whether it is applied is not known"
                )
            }
            Effects::Partial { done, batched, invalid, open_ended, .. } => {
                let of = self.statement.as_ref().map_or(*done, |s| s.of);
                let mut state = match done {
                    0 => format!("none of the {of} statements of {revision} took effect"),
                    1 => format!("statement 1 of {of} of {revision} took effect"),
                    n => format!("statements 1–{n} of {of} of {revision} took effect"),
                };
                if *batched > 0 {
                    state.push_str(&format!("; batches of the failed one changed {batched} rows and stay"));
                }
                if *open_ended {
                    state.push_str("; the failed one may have taken effect in part");
                }
                if !invalid.is_empty() {
                    state.push_str(&format!("; it left the INVALID index {}", invalid.join(", ")));
                }
                state
            }
        }
    }

    fn next(&self) -> Vec<String> {
        let verb = self.direction.verb();
        match &self.effects {
            _ if !self.blockers.is_empty() => {
                vec!["let those finish (or end them with pg_terminate_backend), then run the same command again".into()]
            }
            Effects::None => vec![format!("mend {}, then run the same command again", self.file.display())],
            Effects::InDoubt => vec!["backstay migrate current".to_string()],
            Effects::Partial { invalid, .. } => {
                let drops = invalid.iter().map(|i| format!("DROP INDEX CONCURRENTLY {i};"));
                let mut next: Vec<String> = drops.collect();
                next.push(format!(
                    "mend what failed and run the same command again: {verb} goes on behind the statements that took \
                     effect (leave those as they are)"
                ));
                next
            }
        }
    }
}

/// What the server said, redacted.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.line())]
pub struct ServerError {
    /// `ERROR`, `FATAL`; empty if it was not the server that spoke.
    pub severity: String,
    /// The SQLSTATE.
    pub code: String,
    /// What it said.
    pub message: String,
    /// Its DETAIL.
    pub detail: Option<String>,
    /// Its HINT.
    pub hint: Option<String>,
    /// The connection is gone.
    pub broken: bool,
}

impl From<&tokio_postgres::Error> for ServerError {
    fn from(error: &tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else {
            let message = redact(&describe_error(error)).into_owned();
            return Self { message, broken: true, ..Self::default() };
        };
        Self {
            severity: db.severity().to_string(),
            code: db.code().code().to_string(),
            message: redact(db.message()).into_owned(),
            detail: db.detail().map(|t| redact(t).into_owned()),
            hint: db.hint().map(|t| redact(t).into_owned()),
            broken: db.severity() == "FATAL" || db.severity() == "PANIC",
        }
    }
}

impl ServerError {
    /// A lock was not had in time, or only by a deadlock: worth another try.
    pub(super) fn is_contention(&self) -> bool {
        matches!(self.code.as_str(), "55P03" | "40P01")
    }

    fn line(&self) -> String {
        let mut line = match self.severity.as_str() {
            "" => self.message.clone(),
            severity => format!("{severity} {}: {}", self.code, self.message),
        };
        // One line each: ten lines are all that a failure may take.
        for (name, text) in [("DETAIL", &self.detail), ("HINT", &self.hint)] {
            if let Some(text) = text {
                line.push_str(&format!(" {name}: {}", text.replace('\n', " ")));
            }
        }
        line
    }
}

impl From<ScriptError> for Failure {
    fn from(error: ScriptError) -> Failure {
        let failure = Failure::usage("read the migrations").caused_by(&error);
        failure.then(match &error {
            ScriptError::Unreadable { .. } => "check [migrations] directory, and that this user may read it",
            ScriptError::Malformed { .. } => {
                "mend that line, or move the file elsewhere if it is no migration"
            }
            ScriptError::Graph { source, .. } => remedy_of_graph(source),
        })
    }
}

fn remedy_of_graph(error: &GraphError) -> &'static str {
    match error {
        GraphError::Duplicate { .. } => "remove the copy, or give one of them a revision of its own",
        GraphError::MissingParent { .. } => {
            "bring the missing file back (was it committed?), or correct `-- revises:`"
        }
        GraphError::MissingDependency { .. } => "bring the missing file back, or correct `-- depends-on:`",
        _ => "correct the headers of these files",
    }
}

impl From<MigrateError> for Failure {
    fn from(error: MigrateError) -> Failure {
        let committed = match error.committed.as_slice() {
            [] => None,
            all => Some(format!("committed before it: {}", all.join(", "))),
        };
        let mut failure = describe(*error.reason);
        if let Some(committed) = committed {
            failure.state = Some(match failure.state.take() {
                Some(state) => format!("{state}; {committed}"),
                None => committed,
            });
        }
        failure
    }
}

fn describe(reason: Reason) -> Failure {
    match reason {
        Reason::Script(failed) => {
            let what = format!("{} {} at {}", failed.direction.verb(), failed.revision, failed.place());
            let mut failure = Failure::failed(what).because_of(failed.error.line());
            if failed.tries > 1 {
                failure = failure.because_of(format!("tried {} times", failed.tries));
            }
            let blockers = failed.blockers.iter().map(|b| format!("it waited for {b}"));
            failure = blockers.fold(failure, Failure::because_of);
            failed.next().into_iter().fold(failure.leaving(failed.state()), Failure::then)
        }
        Reason::Alembic(error) => (*error).into(),
        Reason::Connect(error) => error.into(),
        Reason::Query { what, source } => Failure::failed(what).because_of(source.line()),
        other => {
            let next = remedy(&other);
            let failure = Failure::new(kind(&other), "migrate").because_of(other.to_string());
            next.into_iter().fold(failure, Failure::then)
        }
    }
}

fn kind(reason: &Reason) -> Kind {
    use TargetError::{Ambiguous, BadRange, NotOnBranch, RelativeStamp, Unknown, WrongWay};
    match reason {
        Reason::BadName(_)
        | Reason::Unprovable { .. }
        | Reason::Target(
            Unknown(_)
            | Ambiguous { .. }
            | WrongWay { .. }
            | NotOnBranch { .. }
            | RelativeStamp { .. }
            | BadRange { .. },
        ) => Kind::Usage,
        Reason::RowsMoved(_) => Kind::Failed,
        _ => Kind::Refused,
    }
}

fn remedy(reason: &Reason) -> Vec<String> {
    let lines: &[&str] = match reason {
        Reason::Target(error) => return error.remedy(),
        Reason::UnknownRows { .. } => &[
            "check out the commit that has the file",
            "or, if the schema is that of a revision that you have: backstay migrate stamp --purge REVISION",
        ],
        Reason::NoSchema => &["name one in [migrations] schema, or CREATE SCHEMA public"],
        Reason::Edited { revisions, .. } => {
            return vec![
                "put the files back as they were and write the change as a new revision".to_string(),
                format!(
                    "or, if the database has the change already: backstay migrate stamp {}",
                    revisions.join("; backstay migrate stamp ")
                ),
            ];
        }
        Reason::Irreversible { .. } => {
            &["write the downgrade, or put the database back from a backup: backstay rollback"]
        }
        Reason::Unprovable { .. } => {
            &["if it may run twice, write `-- idempotent` on the line above it; an index needs only a name"]
        }
        Reason::Locked { .. } => &["wait for it, or allow more time with --lock-wait"],
        Reason::Unfinished { next, .. } => return next.clone(),
        _ => &[],
    };
    lines.iter().map(ToString::to_string).collect()
}
