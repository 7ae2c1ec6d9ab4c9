//! The questions of `init`. Each shows what is taken if nothing is typed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use dialoguer::{Confirm, Input, Password, Select};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

use super::answer::something;
use super::{Init, answer, keeping};
use crate::cli::Shell;
use crate::config::env_file::is_open_to_others;
use crate::document::register_variable;
use crate::failure::Failure;
use crate::init::Found;
use crate::init::answers::{Answers, Kept, Tool, Url};
use crate::init::files::{DEPLOY, DEPLOY_UNDO, Mistake};
use crate::pg::ConnInfo;
use crate::redact::redact;
use crate::ui::layout::{cut, fold};

/// What a database's URL must look like.
const URL: &str = "postgresql://user:password@host:5432/database";

/// Lets Ctrl-C end the program as it does by itself, but leave the terminal as it was: a prompt hides the cursor, or what
/// is typed. To be called once, and not where a run listens to signals.
pub(super) fn keep_terminal() {
    /// What a shell says of a program that SIGINT has ended.
    const BY_SIGINT: i32 = 130;
    let before = tcgetattr(std::io::stdin()).ok();
    let Ok(mut interrupts) = signal(SignalKind::interrupt()) else { return };
    tokio::spawn(async move {
        interrupts.recv().await;
        if let Some(before) = &before {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
        let _ = console::Term::stderr().show_cursor();
        let _ = console::Term::stderr().write_line("");
        std::process::exit(BY_SIGINT);
    });
}

/// Says something above a prompt, folded: the prompt itself has to be short, for one that is wider than the terminal is
/// drawn twice.
fn say(shell: &Shell, text: &str) {
    shell.note(&format!("\n{}", fold(text, shell.look.width).join("\n")));
}

/// The environment's name; one that `wrong` has nothing to say of.
///
/// # Errors
/// The terminal went away.
pub(super) fn environment(
    shell: &Shell,
    usual: &str,
    wrong: impl Fn(&str) -> Option<String>,
) -> Result<String, Failure> {
    say(shell, "What is the environment called?");
    line(shell, "name", usual, wrong)
}

/// Whether answers make files that can be read.
pub(super) type Check<'a> = &'a dyn Fn(&Answers) -> Result<(), Vec<Mistake>>;

/// What is asked: all that no option says.
pub(super) struct Questions<'a> {
    /// What was found.
    pub found: &'a Found,
    /// What the options say.
    pub command: &'a Init,
    /// The project's root.
    pub root: &'a Path,
    /// What is typed is asked for again until this says yes.
    pub check: Check<'a>,
}

/// Asks; gives whether the files are to be written.
///
/// # Errors
/// The terminal went away; what the options say does not go with the database that was chosen.
pub(super) fn all(shell: &Shell, answers: &mut Answers, questions: &Questions<'_>) -> Result<bool, Failure> {
    let Questions { found, command, root, check } = questions;
    let wrong = |answers: Answers| match check(&answers) {
        Ok(()) => None,
        Err(mistakes) => mistakes.into_iter().next().map(|mistake| mistake.what),
    };
    if command.url_env.is_none() {
        database(shell, answers, found)?;
        keeping::take_over(root, command, answers);
    }
    if command.tool.is_none() && found.alembic.is_some() {
        let migrations = ["Alembic runs them, as until now", "plain SQL files in migrations/"];
        say(shell, "Who runs the migrations?");
        if select("migrations", &migrations)? == 1 {
            answers.tool = Tool::Sql;
        }
    }
    // Its env file may lack a variable that an option names.
    check(answers).map_err(|mistakes| answer::refused(&answers.environment, &mistakes))?;
    let asks = |variable| answers.takes_deploy && !keeping::has(root, answers, variable);
    let (asks_deploy, asks_undo) = (asks(DEPLOY), asks(DEPLOY_UNDO));
    if command.deploy.is_none() && asks_deploy {
        let file = answers.env_path();
        say(
            shell,
            &format!(
                "How is the new version put in place? A line for a shell, kept in {file}; - for nothing."
            ),
        );
        let wrong = |typed: &str| wrong(Answers { deploy: something(typed), ..answers.clone() });
        answers.deploy = optional(shell, "deploy", answers.deploy.as_deref(), wrong)?;
    }
    if command.undo.is_none() && answers.deploy.is_some() && asks_undo {
        say(shell, "How is the old version put back? It must be right to run twice; - for nothing.");
        let wrong = |typed: &str| wrong(Answers { undo: something(typed), ..answers.clone() });
        answers.undo = optional(shell, "undo", None, wrong)?;
    }
    if command.flag.is_none() {
        say(shell, "Which file tells the application that it is in maintenance? - where there is none yet.");
        let wrong = |typed: &str| wrong(Answers { flag: answer::a_flag(typed), ..answers.clone() });
        answers.flag = answer::a_flag(&line(shell, "flag", answers.flag.as_deref().unwrap_or("-"), wrong)?);
    }
    if command.health_url.is_none() {
        say(shell, "At which address does it answer 200 when it serves? - for none.");
        let usual = answers.health.clone().unwrap_or_else(|| "http://127.0.0.1:8000/health".into());
        let wrong = |typed: &str| wrong(Answers { health: something(typed), ..answers.clone() });
        answers.health = optional(shell, "health", Some(&usual), wrong)?;
    }
    if command.store.is_none() {
        say(shell, "Where do backups and journals go? file://… or gs://bucket/prefix.");
        let wrong = |typed: &str| wrong(Answers { store: typed.to_string(), ..answers.clone() });
        answers.store = line(shell, "store", &answers.store, wrong)?;
    }
    say(shell, &format!("That is all that config/{}.toml and what belongs to it need.", answers.environment));
    Confirm::new().with_prompt("Write them?").default(true).interact().map_err(gone)
}

/// Offers to keep an env file from others: backstay refuses one that they can read.
///
/// # Errors
/// The terminal went away; the mode can't be changed.
pub(super) fn keep_private(shell: &Shell, file: &Path) -> Result<(), Failure> {
    if !fs::metadata(file).is_ok_and(|found| is_open_to_others(&found)) {
        return Ok(());
    }
    let name = file.display();
    say(
        shell,
        &format!(
            "Others can read {name}, and backstay refuses such a file. Once it is its owner's alone, an application that runs \
             as another user can't read it any more."
        ),
    );
    if !shell.confirm("Keep it for its owner alone?", false)? {
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
    let chosen = match choices.len() {
        1 => 0,
        _ => {
            say(shell, "Which database is released to?");
            select("database", &choices)?
        }
    };
    if let Some(url) = found.urls.get(chosen) {
        answers.url = answer::url(url);
        answers.free_disk = answer::disk_of(&url.url);
        return Ok(());
    }
    say(shell, &format!("The database's URL, {URL}. It is not shown; nothing for later."));
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
    register_variable("DATABASE_URL", &typed, true);
    answers.free_disk = answer::disk_of(&typed).filter(|_| !typed.is_empty());
    let kept = if typed.is_empty() { Kept::Nowhere } else { Kept::Write(typed) };
    answers.url = Url { variable: "DATABASE_URL".into(), kept };
    Ok(())
}

/// A line that `wrong` has nothing to say of.
fn line(
    shell: &Shell,
    question: &str,
    usual: &str,
    wrong: impl Fn(&str) -> Option<String>,
) -> Result<String, Failure> {
    // A second row of it would stay on the screen.
    let room = shell.look.width.saturating_sub("error: ".len() + 1);
    let wrong = |typed: &str| wrong(typed.trim()).map(|why| cut(&why, room, shell.look));
    let typed: String = Input::new()
        .with_prompt(question)
        .default(usual.to_string())
        .validate_with(|typed: &String| wrong(typed).map_or(Ok(()), Err))
        .interact_text()
        .map_err(gone)?;
    Ok(typed.trim().to_string())
}

/// A line, or nothing: `-`.
fn optional(
    shell: &Shell,
    question: &str,
    usual: Option<&str>,
    wrong: impl Fn(&str) -> Option<String>,
) -> Result<Option<String>, Failure> {
    Ok(something(&line(shell, question, usual.unwrap_or("-"), wrong)?))
}

fn select<S: std::fmt::Display>(question: &str, choices: &[S]) -> Result<usize, Failure> {
    Select::new().with_prompt(question).items(choices).default(0).interact().map_err(gone)
}

fn gone(dialoguer::Error::IO(error): dialoguer::Error) -> Failure {
    // Ctrl-C: `keep_terminal` is about to end the program.
    while error.kind() == std::io::ErrorKind::Interrupted {
        std::thread::park();
    }
    Failure::usage("get an answer").caused_by(&error).leaving("nothing was written")
}
