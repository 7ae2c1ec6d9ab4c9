//! The environment's env file: what the config must not show.

use crate::init::answers::{Answers, Kept};

/// The environment's env file, where one is to be written.
pub fn env_file(answers: &Answers) -> Option<String> {
    let head = format!(
        "# What config/{}.toml must not show. Keep it out of git, and readable by you alone.\n\
         # NAME=value; a value is taken as it stands, single quotes around it keep a # in it.\n",
        answers.environment
    );
    match &answers.url.kept {
        Kept::Write(url) => Some(head + &env_line(&answers.url.variable, url)),
        Kept::Nowhere => {
            Some(format!("{head}#{}=postgresql://user:password@host:5432/database\n", answers.url.variable))
        }
        Kept::Process | Kept::File(_) => None,
    }
}

/// The line of an env file that gives `variable` this value.
pub fn env_line(variable: &str, value: &str) -> String {
    format!("{variable}={}\n", env_value(value))
}

/// A value as an env file has it.
fn env_value(value: &str) -> String {
    if value.contains(|c: char| c.is_whitespace() || "'\"#\\`".contains(c)) {
        return format!("'{}'", value.replace('\'', r"'\''"));
    }
    value.to_string()
}
