//! Where the database's URL is kept: in an env file that is there already, or that is written.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::env_file;
use crate::failure::Failure;
use crate::init::answers::{Answers, Kept};
use crate::init::files::{self, Missing};
use crate::init::write;

/// Adds the URL to the environment's env file, which was there before; gives whether it did. One that has the variable
/// already, that can't be read, or that others can read stays as it is.
///
/// # Errors
/// It can't be written.
pub(super) fn add(root: &Path, answers: &Answers) -> Result<bool, Failure> {
    let (Kept::Write(url), path) = (&answers.url.kept, root.join(answers.env_path())) else {
        return Ok(false);
    };
    let variable = &answers.url.variable;
    let open = std::fs::metadata(&path).map_or(true, |file| env_file::is_open_to_others(&file));
    let lacks = read(&path).is_some_and(|variables| !variables.contains_key(variable));
    if open || !lacks {
        return Ok(false);
    }
    write::append(&path, &files::env_line(variable, url), true)?;
    Ok(true)
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

/// Why the variable does not stand for the URL that was meant.
pub(super) fn troubles(root: &Path, answers: &Answers, process: &BTreeMap<String, String>) -> Vec<Missing> {
    let (variable, file) = (&answers.url.variable, answers.env_path());
    let kept = read(&root.join(&file)).and_then(|mut variables| variables.remove(variable));
    let meant = match &answers.url.kept {
        Kept::Process | Kept::Nowhere => return Vec::new(),
        Kept::File(_) => kept.as_ref(),
        Kept::Write(url) => Some(url),
    };
    let mut troubles = Vec::new();
    if kept.as_ref() != meant {
        let what = match kept {
            Some(_) => format!("{variable} of {file}, which was there already, is not the URL that is meant"),
            None => format!("{variable} is not in {file}, which was there already, and was not added to it"),
        };
        let line = format!("write it in {file}: {variable}=postgresql://user:password@host:5432/database");
        troubles.push(Missing::new(what, line));
    }
    if process.get(variable).is_some_and(|value| Some(value) != meant) {
        let what = format!(
            "the environment has another {variable} than the one that is meant, and goes before {file}"
        );
        troubles.push(Missing::new(what, format!("unset {variable}")));
    }
    troubles
}

fn read(path: &Path) -> Option<BTreeMap<String, String>> {
    env_file::parse(&std::fs::read_to_string(path).ok()?).ok()
}
