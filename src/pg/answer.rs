//! What a server's refusal says, as text for people.

use std::error::Error as _;

use tokio_postgres::Error;
use tokio_postgres::error::DbError;

use super::session::Session;
use crate::failure::Failure;

/// The library's own words for it are "connection closed", as if somebody had wished it.
const LOST: &str = "the connection to the server was lost: it stopped, or the network was cut";

/// The SQLSTATE (PostgreSQL manual, appendix A) of an error that came from the server.
///
/// Nothing for an error of the connection itself.
pub fn sqlstate(error: &Error) -> Option<&str> {
    error.as_db_error().map(|db| db.code().code())
}

/// An error of a session in the lines that `psql` would show: `ERROR: …`, `DETAIL: …`, `HINT: …`, where it
/// happened, `SQLSTATE …`. An error of the connection is one line with its causes.
pub fn describe_error(error: &Error) -> String {
    match error.as_db_error() {
        Some(db) => describe_answer(db),
        None if error.is_closed() => LOST.into(),
        None => describe_chain(error),
    }
}

/// A statement's failure: `what` reads after "could not", the server's own words are the cause.
pub fn refused(what: &str, error: &Error) -> Failure {
    Failure::failed(what).because_of(describe_error(error))
}

/// The failure of something that `session` did: a statement that was under way when its session ended learns only
/// that it did; the session knows why.
pub fn explained(failure: Failure, session: &Session) -> Failure {
    let lost = failure.what.contains(LOST) || failure.causes.iter().any(|cause| cause.contains(LOST));
    match session.ended_because().filter(|_| lost) {
        Some(why) => failure.because_of(why),
        None => failure,
    }
}

/// An answer of the server (an error or a notice), one line each for what it says.
pub fn describe_answer(answer: &DbError) -> String {
    let mut lines = vec![format!("{}: {}", answer.severity(), answer.message())];
    let parts = [("DETAIL", answer.detail()), ("HINT", answer.hint()), ("CONTEXT", answer.where_())];
    lines.extend(parts.iter().filter_map(|(label, text)| Some(format!("{label}: {}", (*text)?))));
    if !matches!(answer.severity(), "NOTICE" | "INFO" | "LOG" | "DEBUG") {
        lines.push(format!("SQLSTATE {}", answer.code().code()));
    }
    lines.join("\n")
}

/// An error and its causes in one line, each said once.
fn describe_chain(error: &Error) -> String {
    let mut said = vec![error.to_string()];
    let mut next = error.source();
    while let Some(error) = next {
        let text = error.to_string();
        if !said.iter().any(|earlier| earlier.contains(&text)) {
            said.push(text);
        }
        next = error.source();
    }
    said.join(": ")
}
