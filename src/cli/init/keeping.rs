//! What the environment's env file has to hold, where there is one already: added to it, or told.

use std::collections::BTreeMap;
use std::path::Path;

use crate::cli::init::Init;
use crate::config::env_file;
use crate::failure::Failure;
use crate::init::answers::{Answers, Kept};
use crate::init::files::{self, DEPLOY, DEPLOY_UNDO, Missing};
use crate::init::write;

/// Takes over how the environment's env file says that it is deployed, where no option says it.
pub(super) fn take_over(root: &Path, command: &Init, answers: &mut Answers) {
    let mut variables = read(&root.join(answers.env_path())).unwrap_or_default();
    for (variable, option, line) in
        [(DEPLOY, &command.deploy, &mut answers.deploy), (DEPLOY_UNDO, &command.undo, &mut answers.undo)]
    {
        if let (None, Some(value)) = (option, variables.remove(variable)) {
            *line = Some(value);
        }
    }
}

/// Whether the environment's env file says what `variable` is.
pub(super) fn has(root: &Path, answers: &Answers, variable: &str) -> bool {
    read(&root.join(answers.env_path())).is_some_and(|variables| variables.contains_key(variable))
}

/// Adds to the environment's env file, which was there before, the lines that it lacks; gives their variables. One that
/// can't be read, or that others can read, stays as it is.
///
/// # Errors
/// It can't be written.
pub(super) fn add(root: &Path, answers: &Answers) -> Result<Vec<String>, Failure> {
    let path = root.join(answers.env_path());
    let open = std::fs::metadata(&path).map_or(true, |file| env_file::is_open_to_others(&file));
    let Some(variables) = read(&path).filter(|_| !open) else { return Ok(Vec::new()) };
    let lines = files::env_lines(answers).into_iter();
    let lacking: Vec<_> = lines.filter(|line| !variables.contains_key(&line.variable)).collect();
    if !lacking.is_empty() {
        write::append(&path, &lacking.iter().map(files::EnvLine::paragraph).collect::<String>(), true)?;
    }
    Ok(lacking.into_iter().map(|line| line.variable).collect())
}

/// What `${NAME}` of the files to write stands for: the process's environment before the env file.
pub(super) fn variables(
    root: &Path,
    answers: &Answers,
    process: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut variables = read(&root.join(answers.env_path())).unwrap_or_default();
    variables.extend(process.iter().map(|(name, value)| (name.clone(), value.clone())));
    variables
}

/// Why a variable does not stand for what was meant.
pub(super) fn troubles(root: &Path, answers: &Answers, process: &BTreeMap<String, String>) -> Vec<Missing> {
    let file = answers.env_path();
    let mut kept = read(&root.join(&file)).unwrap_or_default();
    let url = &answers.url.variable;
    let mut meant: Vec<(String, Option<String>, String)> = Vec::new();
    if let Kept::File(_) = &answers.url.kept {
        meant.push((url.clone(), kept.get(url).cloned(), String::new()));
    }
    meant.extend(files::env_lines(answers).into_iter().map(|line| {
        let text = match line.variable == *url {
            true => format!("{url}=postgresql://user:password@host:5432/database"),
            false => line.text().trim_end().to_string(),
        };
        (line.variable, Some(line.value), text)
    }));
    let mut troubles = Vec::new();
    for (variable, meant, text) in meant {
        let there = kept.remove(&variable);
        if there != meant {
            let what = match there {
                Some(_) => format!("{variable} of {file}, which was there already, is not what is meant"),
                None => {
                    format!("{variable} is not in {file}, which was there already, and was not added to it")
                }
            };
            troubles.push(Missing::new(what, format!("write it in {file}: {text}")));
        }
        if process.get(&variable).is_some_and(|value| Some(value) != meant.as_ref()) {
            let what = format!(
                "the environment has another {variable} than the one that is meant, and goes before {file}"
            );
            troubles.push(Missing::new(what, format!("unset {variable}")));
        }
    }
    troubles
}

/// Runbooks that were there already and take no line of an env file: what they run, they run for every environment.
pub(super) fn deaf_runbook(root: &Path, answers: &Answers) -> Option<Missing> {
    let text = std::fs::read_to_string(root.join(files::RELEASE)).ok()?;
    let runs = text.contains("\"command\"") || text.contains("\"services\"");
    (!files::takes_deploy(&text) && (runs || answers.deploy.is_some())).then(|| {
        Missing::new(
            format!(
                "{}, which was there already, does not take ${{{DEPLOY}}}: what it runs, it runs for every environment",
                files::RELEASE
            ),
            format!(
                "see that it is right for {}, or have its deploy step run = [\"sh\", \"-c\", \"${{{DEPLOY}}}\"]",
                answers.environment
            ),
        )
    })
}

fn read(path: &Path) -> Option<BTreeMap<String, String>> {
    env_file::parse(&std::fs::read_to_string(path).ok()?).ok()
}
