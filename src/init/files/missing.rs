//! What nobody has said: told at the end, each with the line that does it.

use super::env_file::{DEPLOY, DEPLOY_UNDO, NOTHING};
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

/// What nobody has said, as far as the answers tell.
pub fn missing(answers: &Answers) -> Vec<Missing> {
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
    missing.extend(deploy(answers).filter(|_| answers.takes_deploy));
    if answers.flag.is_none() {
        missing.push(Missing::new(
            "no flag tells the application that it is in maintenance: a release is refused until there is one",
            format!("write [maintenance] flag in {config}"),
        ));
    }
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
    let file = answers.env_path();
    if answers.deploy.is_none() {
        return Some(Missing::new(
            format!(
                "nothing says how the new version is put in place: {DEPLOY}={NOTHING}, and a release migrates and \
                 restarts nothing"
            ),
            format!(
                "write in {file}: {DEPLOY}='systemctl restart api', and {DEPLOY_UNDO}, which takes it back"
            ),
        ));
    }
    answers.undo.is_none().then(|| {
        Missing::new(
            format!("nothing says how the old version is put back in place: {DEPLOY_UNDO}={NOTHING}"),
            format!("write in {file}: {DEPLOY_UNDO}='systemctl restart api@previous'"),
        )
    })
}
