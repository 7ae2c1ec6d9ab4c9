//! The environment's env file: what the config must not show, and what differs between environments that share their
//! runbooks.

use crate::config::env_file as reading;
use crate::init::answers::{Answers, Kept};

/// The variable with the line that puts the new version in place: the shipped runbooks read it.
pub const DEPLOY: &str = "DEPLOY";
/// The variable with the line that takes it back.
pub const DEPLOY_UNDO: &str = "DEPLOY_UNDO";

/// A variable of an env file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvLine {
    /// Its name.
    pub variable: String,
    /// Its value.
    pub value: String,
    /// What is said above it.
    comment: Option<&'static str>,
}

impl EnvLine {
    /// As an env file has it. Where a shell would read the value otherwise, it is quoted: others source such files.
    pub fn text(&self) -> String {
        format!("{}={}\n", self.variable, quoted(&self.value))
    }

    /// The same below its comment.
    pub fn paragraph(&self) -> String {
        self.comment.map(|comment| format!("# {comment}\n")).unwrap_or_default() + &self.text()
    }

    /// Whether what is written is read again.
    pub fn can_be_kept(&self) -> bool {
        let read = reading::parse(&self.text());
        read.is_ok_and(|mut read| read.remove(&self.variable).as_ref() == Some(&self.value))
    }
}

/// What the environment's env file has to hold.
pub fn env_lines(answers: &Answers) -> Vec<EnvLine> {
    let line = |variable: &str, value: &str, comment: Option<&'static str>| EnvLine {
        variable: variable.to_string(),
        value: value.to_string(),
        comment,
    };
    let mut lines = Vec::new();
    if let Kept::Write(url) = &answers.url.kept {
        lines.push(line(&answers.url.variable, url, None));
    }
    if answers.takes_deploy {
        let (deploy, undo) = (answers.deploy.as_deref(), answers.undo.as_deref());
        let above_deploy = match deploy {
            Some(_) => {
                "A line for a shell puts the new version in place, another the old one: it must be right to run it twice."
            }
            None => "Nothing is restarted.",
        };
        let above_undo = (deploy.is_some() && undo.is_none()).then_some("Nothing puts the old version back.");
        lines.push(line(DEPLOY, deploy.unwrap_or(NOTHING), Some(above_deploy)));
        lines.push(line(DEPLOY_UNDO, undo.unwrap_or(NOTHING), above_undo));
    }
    lines
}

/// The line for a shell that does nothing.
pub const NOTHING: &str = "true";

/// The environment's env file, where there is none.
pub fn env_file(answers: &Answers) -> String {
    let mut text = format!(
        "# What config/{}.toml must not show, and how this environment is deployed. Keep it out of git, and readable by\n\
         # you alone. NAME=value; a value is taken as it stands, single quotes around it keep a # in it.\n",
        answers.environment
    );
    if answers.url.kept == Kept::Nowhere {
        text.push_str(&format!("#{}=postgresql://user:password@host:5432/database\n", answers.url.variable));
    }
    for line in env_lines(answers) {
        let apart = if line.comment.is_some() { "\n" } else { "" };
        text.extend([apart, &line.paragraph()]);
    }
    text
}

/// A value as an env file has it.
fn quoted(value: &str) -> String {
    if value.contains(|c: char| c.is_whitespace() || "'\"#\\`$&;|<>()".contains(c)) {
        return format!("'{}'", value.replace('\'', r"'\''"));
    }
    value.to_string()
}
