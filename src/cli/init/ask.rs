//! The questions of `init`. Each shows what is taken if nothing is typed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use dialoguer::{Confirm, Input, Password, Select};

use super::answer::something;
use super::{Init, answer};
use crate::cli::Shell;
use crate::config::env_file::is_open_to_others;
use crate::document::register_variable;
use crate::failure::Failure;
use crate::init::Found;
use crate::init::answers::{Answers, Kept, Tool, Url};
use crate::init::files::Mistake;
use crate::pg::ConnInfo;
use crate::redact::redact;

/// What a database's URL must look like.
const URL: &str = "postgresql://user:password@host:5432/database";

/// The environment's name; one that `wrong` has nothing to say of.
pub(super) fn environment(usual: &str, wrong: impl Fn(&str) -> Option<String>) -> Result<String, Failure> {
    line("What is the environment called?", usual, wrong)
}

/// Whether answers make files that can be read.
pub(super) type Check<'a> = &'a dyn Fn(&Answers) -> Result<(), Vec<Mistake>>;

/// What is asked: all that no option says.
pub(super) struct Questions<'a> {
    /// What was found.
    pub found: &'a Found,
    /// What the options say.
    pub command: &'a Init,
    /// The runbooks are there already: how it is deployed is known.
    pub runbooks: bool,
    /// What is typed is asked for again until this says yes.
    pub check: Check<'a>,
}

/// Asks; gives whether the files are to be written.
///
/// # Errors
/// The terminal went away.
pub(super) fn all(shell: &Shell, answers: &mut Answers, questions: &Questions<'_>) -> Result<bool, Failure> {
    let Questions { found, command, runbooks, check } = questions;
    let wrong = |answers: Answers| match check(&answers) {
        Ok(()) => None,
        Err(mistakes) => mistakes.into_iter().next().map(told),
    };
    if command.url_env.is_none() {
        database(shell, answers, found)?;
    }
    if command.tool.is_none() && found.alembic.is_some() {
        let migrations = ["Alembic runs them, as until now", "plain SQL files in migrations/"];
        if select("Who runs the migrations?", &migrations)? == 1 {
            answers.tool = Tool::Sql;
        }
    }
    // What is asked stands above a short prompt: a prompt that is wider than the terminal is drawn twice.
    if command.deploy.is_none() && !runbooks {
        shell.note("\nHow is the new version put in place? A line for a shell, - for nothing.");
        let wrong = |typed: &str| wrong(Answers { deploy: something(typed), ..answers.clone() });
        answers.deploy = optional("deploy", answers.deploy.as_deref(), wrong)?;
    }
    if command.undo.is_none() && answers.deploy.is_some() && !runbooks {
        shell.note("\nHow is the old version put back? It must be right to run twice; - for nothing.");
        let wrong = |typed: &str| wrong(Answers { undo: something(typed), ..answers.clone() });
        answers.undo = optional("undo", None, wrong)?;
    }
    if command.flag.is_none() {
        shell.note("\nWhich file tells the application that it is in maintenance?");
        let wrong = |typed: &str| wrong(Answers { flag: typed.to_string(), ..answers.clone() });
        answers.flag = line("flag", &answers.flag, wrong)?;
    }
    if command.health_url.is_none() {
        shell.note("\nAt which address does it answer 200 when it serves? - for none.");
        let usual = answers.health.clone().unwrap_or_else(|| "http://127.0.0.1:8000/health".into());
        let wrong = |typed: &str| wrong(Answers { health: something(typed), ..answers.clone() });
        answers.health = optional("health", Some(&usual), wrong)?;
    }
    if command.store.is_none() {
        shell.note("\nWhere do backups and journals go? file://… or gs://bucket/prefix.");
        let wrong = |typed: &str| wrong(Answers { store: typed.to_string(), ..answers.clone() });
        answers.store = line("store", &answers.store, wrong)?;
    }
    let question = format!("Write config/{}.toml and what belongs to it?", answers.environment);
    shell.note("");
    Confirm::new().with_prompt(question).default(true).interact().map_err(gone)
}

/// Offers to keep an env file from others: backstay refuses one that they can read.
///
/// # Errors
/// The terminal went away; the mode can't be changed.
pub(super) fn keep_private(shell: &Shell, file: &Path) -> Result<(), Failure> {
    let open = fs::metadata(file).is_ok_and(|found| is_open_to_others(&found));
    let name = file.display();
    let question =
        format!("Others can read {name}, and backstay refuses such a file. Keep it for its owner alone?");
    if !open || !shell.confirm(&question, false)? {
        return Ok(());
    }
    fs::set_permissions(file, fs::Permissions::from_mode(0o600))
        .map_err(|error| Failure::refused(format!("change the mode of {name}")).caused_by(&error))
}

/// One of the URLs that were found, or another.
fn database(shell: &Shell, answers: &mut Answers, found: &Found) -> Result<(), Failure> {
    let mut choices: Vec<String> = found
        .urls
        .iter()
        .map(|url| redact(&format!("{}: {}", answer::described(url), answer::place(url))).into_owned())
        .collect();
    choices.push("another one: type its URL".to_string());
    let chosen = if choices.len() == 1 { 0 } else { select("Which database is released to?", &choices)? };
    if let Some(url) = found.urls.get(chosen) {
        answers.url = answer::url(url);
        answers.free_disk = answer::disk_of(&url.url);
        return Ok(());
    }
    shell.note(&format!("\nThe database's URL, {URL}\nIt is not shown; nothing for later."));
    let typed = Password::new()
        .with_prompt("url")
        .allow_empty_password(true)
        .validate_with(|typed: &String| match typed.trim() {
            "" => Ok(()),
            typed => ConnInfo::parse(typed).map(|_| ()).map_err(|error| error.problem.to_string()),
        })
        .interact()
        .map_err(gone)?;
    let typed = typed.trim().to_string();
    let kept = match typed.is_empty() {
        true => Kept::Nowhere,
        false => {
            register_variable("DATABASE_URL", &typed, true);
            answers.free_disk = answer::disk_of(&typed);
            Kept::Write(typed)
        }
    };
    answers.url = Url { variable: "DATABASE_URL".into(), kept };
    Ok(())
}

/// A line that `wrong` has nothing to say of.
fn line(question: &str, usual: &str, wrong: impl Fn(&str) -> Option<String>) -> Result<String, Failure> {
    let typed: String = Input::new()
        .with_prompt(question)
        .default(usual.to_string())
        .validate_with(|typed: &String| wrong(typed.trim()).map_or(Ok(()), Err))
        .interact_text()
        .map_err(gone)?;
    Ok(typed.trim().to_string())
}

/// A line, or nothing: `-`.
fn optional(
    question: &str,
    usual: Option<&str>,
    wrong: impl Fn(&str) -> Option<String>,
) -> Result<Option<String>, Failure> {
    Ok(something(&line(question, usual.unwrap_or("-"), wrong)?))
}

fn told(mistake: Mistake) -> String {
    mistake.right.map_or(mistake.what.clone(), |right| format!("{}; {right}", mistake.what))
}

fn select<S: std::fmt::Display>(question: &str, choices: &[S]) -> Result<usize, Failure> {
    Select::new().with_prompt(question).items(choices).default(0).interact().map_err(gone)
}

fn gone(error: dialoguer::Error) -> Failure {
    Failure::usage("get an answer").caused_by(&error).leaving("nothing was written")
}
