//! What nobody has said: told at the end, each with the line that does it.

use super::{EMERGENCY, RELEASE};
use crate::init::answers::{Answers, Kept};
use crate::words::shell_word;

/// Something that is still to be done, and the line that does it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Missing {
    /// What.
    pub what: String,
    /// A line to type, or what to write where.
    pub mends: String,
}

impl Missing {
    /// See the fields.
    pub fn new(what: impl Into<String>, mends: impl Into<String>) -> Self {
        Self { what: what.into(), mends: mends.into() }
    }
}

/// What nobody has said, as far as the answers tell. With `runbooks` those are there already, and say how it is
/// deployed.
pub fn missing(answers: &Answers, runbooks: bool) -> Vec<Missing> {
    let config = answers.config_path();
    let mut missing = Vec::new();
    if answers.url.kept == Kept::Nowhere {
        let file = shell_word(&answers.env_path());
        let variable = &answers.url.variable;
        missing.push(Missing::new(
            format!(
                "the database's URL is not known: {variable} is neither in the environment nor in an env file"
            ),
            format!("echo '{variable}=postgresql://user:password@host:5432/database' >> {file}"),
        ));
    }
    missing.extend(deploy(answers).filter(|_| !runbooks));
    if answers.health.is_none() {
        missing.push(Missing::new(
            "no address proves that the application serves",
            format!("write [[health.http]] with its url in {config}"),
        ));
    }
    if answers.free_disk.is_none() {
        missing.push(Missing::new(
            "the server's free disk is not checked: a guard needs as much room as the database",
            format!("write [database] free_disk in {config}"),
        ));
    }
    missing
}

fn deploy(answers: &Answers) -> Option<Missing> {
    if answers.deploy.is_none() {
        return Some(Missing::new(
            "nothing says how the new version is put in place: the release will migrate, and restart nothing",
            format!(
                "write the deploy step of {RELEASE}: run = [\"systemctl\", \"restart\", \"api\"]; and of \
                 {EMERGENCY} the step that starts the old code"
            ),
        ));
    }
    answers.undo.is_none().then(|| {
        Missing::new(
            "nothing says how the old version is put back in place: undo = \"none\"",
            format!("write the undo of the deploy step in {RELEASE}, and the step that starts the old code in {EMERGENCY}"),
        )
    })
}
