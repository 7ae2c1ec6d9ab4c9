//! Whether what would be written can be read, found out before it is written: what is there is never written again.

use std::collections::BTreeMap;
use std::path::Path;

use miette::Diagnostic;

use super::env_file::EnvLine;
use super::{config, env_lines, runbooks};
use crate::config::Config;
use crate::document::Invalid;
use crate::init::answers::Answers;
use crate::runbook::Runbook;

/// Stands for the database's URL where only the form of the files matters. No word of it is a person's: what stands for
/// a URL is a secret.
const STAND_IN: &str = "postgresql://backstay-init@backstay-init.invalid/backstay-init";

/// What a file could not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong.
    pub what: String,
    /// The line of the file that would have it.
    pub line: String,
    /// What would be right.
    pub right: Option<String>,
}

/// Stands for a flag that is not known yet: a release needs one, and that is told as what is still to be done.
const FLAG: &str = "backstay-init.flag";

/// Reads config, runbooks and the lines of the env file as they would be written in `root`. `variables` is what `${NAME}` stands for; what the URL
/// stands for, whether the env file may be read, and whether this is a CI job are left to `doctor`.
///
/// # Errors
/// All that is wrong with them.
pub fn check(
    answers: &Answers,
    root: &Path,
    variables: &BTreeMap<String, String>,
) -> Result<(), Vec<Mistake>> {
    let mut variables = variables.clone();
    variables.remove("CI");
    let lines = env_lines(answers);
    let lost: Vec<Mistake> = lines.iter().filter(|line| !line.can_be_kept()).map(lost).collect();
    if !lost.is_empty() {
        return Err(lost);
    }
    variables.extend(lines.into_iter().map(|line| (line.variable, line.value)));
    variables.insert(answers.url.variable.clone(), STAND_IN.to_string());
    let flag = answers.flag.clone().or_else(|| Some(FLAG.to_string()));
    let answers = &Answers { flag, ..answers.clone() };
    let text = config(answers).replacen("\nenv_file =", "\n#env_file =", 1);
    let mistakes = |text: &str, invalid: Box<Invalid>| mistakes(text, &invalid);
    let config = Config::parse(&text, root, &answers.environment, &variables)
        .map_err(|invalid| mistakes(&text, invalid))?;
    for (name, text) in runbooks().into_iter().filter(|_| answers.takes_deploy) {
        let runbook = Runbook::parse(text, name, &variables).map_err(|invalid| mistakes(text, invalid))?;
        runbook.check_against(&config).map_err(|invalid| mistakes(text, invalid))?;
    }
    Ok(())
}

fn lost(line: &EnvLine) -> Mistake {
    Mistake {
        what: format!("an env file can't hold this value of {}", line.variable),
        line: format!("{}=…", line.variable),
        right: Some("no NUL byte, no carriage return before the end of a line".to_string()),
    }
}

fn mistakes(text: &str, invalid: &Invalid) -> Vec<Mistake> {
    let mistake = |finding: &crate::document::Finding| Mistake {
        what: finding.message().to_string(),
        line: text.lines().nth(invalid.position(finding).0 - 1).unwrap_or_default().trim().to_string(),
        right: finding.help().map(|help| help.to_string()),
    };
    invalid.findings().iter().map(mistake).collect()
}
