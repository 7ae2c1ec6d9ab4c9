//! `backstay init`: what can be found out is, a person is asked for the rest, the files are written, and `doctor` looks
//! at what came of it.

mod answer;
mod ask;
mod baseline;
mod git;
mod keeping;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{Shell, Trouble, doctor};
use crate::config::{Config, find_environment};
use crate::failure::{Failure, Verdict};
use crate::init::answers::{Answers, Tool};
use crate::init::files::{self, Missing};
use crate::init::write::{self, NewFile};
use crate::init::{Places, look};
use crate::steps::preflight::Check;
use crate::ui::layout::hang;
use baseline::Baseline;

/// Ask, find out what can be found out, and write config, runbook and migrations; never overwrites
#[derive(Debug, Args)]
pub struct Init {
    /// What the environment is called [default: -e, else production]
    #[arg(long, value_name = "ENV")]
    name: Option<String>,
    /// The variable with the database's URL, in the environment or in an env file
    #[arg(long, value_name = "NAME")]
    url_env: Option<String>,
    /// Who runs the migrations [default: alembic where there is an alembic.ini, else sql]
    #[arg(long, value_enum)]
    tool: Option<ToolName>,
    /// The line for a shell that puts the new version in place: DEPLOY of its env file; - for none
    #[arg(long, value_name = "LINE")]
    deploy: Option<String>,
    /// The line for a shell that takes it back, right to run twice: DEPLOY_UNDO of its env file
    #[arg(long, value_name = "LINE", requires = "deploy")]
    undo: Option<String>,
    /// The file that tells the application that it is in maintenance; - for none [default: maintenance.flag]
    #[arg(long, value_name = "FILE")]
    flag: Option<String>,
    /// An address at which the application answers 200 when it serves
    #[arg(long, value_name = "URL")]
    health_url: Option<String>,
    /// Where backups and journals go: file://… or gs://bucket/prefix [default: file://./backstay-store]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Ask nothing: what no option says is taken as it was found
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ToolName {
    /// Plain SQL files
    Sql,
    /// An Alembic project
    Alembic,
}

/// Where systemd has the units of a machine's administrator.
const UNITS: &str = "/etc/systemd/system";

pub(super) async fn run(shell: &Shell, command: Init) -> Result<Verdict, Trouble> {
    let root = std::path::absolute(shell.root())
        .map_err(|error| Failure::usage(format!("find {}", shell.root().display())).caused_by(&error))?;
    if !command.yes && !shell.can_ask() {
        return Err(nobody_to_ask().into());
    }
    if !command.yes {
        ask::keep_terminal();
    }
    let name = environment(shell, &command, &root)?;
    let mut made = Made::default();
    let config = format!("config/{name}.toml");
    let mut missing = Vec::new();
    if root.join(&config).exists() {
        made.kept.push(config);
    } else {
        match describe(shell, &command, &root, &name, &mut made).await? {
            Some(open) => missing = open,
            None => {
                shell.note("nothing was written");
                return Ok(Verdict::Done);
            }
        }
    }
    let examined = examine(shell, &root, &name, &mut made, &mut missing).await;
    Ok(tell(shell, &name, &made, &missing, examined))
}

/// The environment that is meant: asked for only where no option names it.
fn environment(shell: &Shell, command: &Init, root: &Path) -> Result<String, Trouble> {
    let named = command.name.as_deref().or(shell.environment());
    let usual = named.unwrap_or("production");
    if named.is_some() || command.yes {
        return Ok(find_environment(root, Some(usual), None)?);
    }
    let wrong = |typed: &str| find_environment(root, Some(typed), None).err().map(|error| error.to_string());
    Ok(ask::environment(shell, usual, wrong)?)
}

/// Finds out what the environment is like, asks for the rest, writes its files; gives what is still to be done, or
/// nothing if a person does not want them.
async fn describe(
    shell: &Shell,
    command: &Init,
    root: &Path,
    name: &str,
    made: &mut Made,
) -> Result<Option<Vec<Missing>>, Trouble> {
    let units = [PathBuf::from(UNITS)];
    let found = look(&Places { root, environment: name, variables: &shell.variables, units: &units });
    let mut answers = answer::from(command, root, name, &found)?;
    keeping::take_over(root, command, &mut answers);
    let check =
        |answers: &Answers| files::check(answers, root, &keeping::variables(root, answers, &shell.variables));
    check(&answers).map_err(|mistakes| answer::refused(name, &mistakes))?;
    if !command.yes {
        answer::tell(shell, &found);
        let questions = ask::Questions { found: &found, command, root, check: &check };
        if !ask::all(shell, &mut answers, &questions)? {
            return Ok(None);
        }
        ask::keep_private(shell, &root.join(answers.env_path()))?;
    }
    write(root, &answers, made).await?;
    let mut missing = keeping::troubles(root, &answers, &shell.variables);
    missing.extend(keeping::deaf_runbook(root, &answers));
    missing.extend(files::missing(&answers));
    missing.extend(answer::troubles(root, &answers, &found));
    missing.extend(git::troubles(root, &answers.env_path()).await);
    Ok(Some(missing))
}

fn nobody_to_ask() -> Failure {
    Failure::usage("ask what the environment is like")
        .because_of("there is no terminal to ask on")
        .leaving("nothing was written")
        .then("give --yes, and what is not to be found out as options: backstay init --help")
}

/// What was written and what was there.
#[derive(Debug, Default)]
struct Made {
    wrote: Vec<String>,
    /// Lines that were added to files that were there: what, and to which.
    added: Vec<(String, String)>,
    ignored: Vec<String>,
    kept: Vec<String>,
}

impl Made {
    fn create(&mut self, root: &Path, file: &NewFile) -> Result<(), Failure> {
        let is_new = write::create(root, file)?;
        let list = if is_new { &mut self.wrote } else { &mut self.kept };
        list.push(file.path.clone());
        Ok(())
    }
}

/// Writes what is not there: first what git must not see, then the secret, last the config, which makes it an
/// environment. A crash in between leaves some of the files; the same command writes the rest.
async fn write(root: &Path, answers: &Answers, made: &mut Made) -> Result<(), Failure> {
    let lines = git::lines_to_add(root, &files::not_for_git(answers, root)).await;
    if !lines.is_empty() {
        write::ignore(root, &lines)?;
        made.ignored = lines;
    }
    let path = answers.env_path();
    let added = keeping::add(root, answers)?;
    if added.is_empty() {
        made.create(root, &NewFile { path, text: files::env_file(answers), private: true })?;
    } else {
        made.added.push((added.join(", "), path));
    }
    let file = |path: &str, text: String| NewFile { path: path.to_string(), text, private: false };
    for (path, text) in files::runbooks() {
        made.create(root, &file(path, text.to_string()))?;
    }
    if answers.tool == Tool::Sql {
        std::fs::create_dir_all(root.join("migrations"))
            .map_err(|error| Failure::usage("make the folder migrations").caused_by(&error))?;
    }
    made.create(root, &file(&answers.config_path(), files::config(answers)))?;
    Ok(())
}

/// What `doctor` says of the environment, once a baseline is there where one is wanted; or why its files can't be read.
async fn examine(
    shell: &Shell,
    root: &Path,
    name: &str,
    made: &mut Made,
    missing: &mut Vec<Missing>,
) -> Result<Vec<Check>, Trouble> {
    let wanted = baseline::is_wanted(root, name);
    let config = Config::load(root, name, &shell.variables).inspect_err(|_| {
        missing.extend((wanted && baseline::is_none_there(root)).then(|| baseline::later(name)))
    })?;
    let baseline = if wanted { baseline::of(&config).await } else { Ok(Baseline::None) };
    match baseline {
        Ok(Baseline::None) => {}
        Ok(Baseline::Unreached) => missing.push(baseline::later(name)),
        Ok(Baseline::File(file, stamp)) => {
            made.create(root, &file)?;
            missing.push(Missing::new(
                format!("{} says what the database has already; it has to be told that it has it", file.path),
                stamp,
            ));
        }
        Err(failure) => missing.push(baseline::told(&failure)),
    }
    doctor::checks(shell, &config, "release").await
}

fn tell(
    shell: &Shell,
    name: &str,
    made: &Made,
    missing: &[Missing],
    examined: Result<Vec<Check>, Trouble>,
) -> Verdict {
    let (checks, trouble) = match examined {
        Ok(checks) => (checks, None),
        Err(trouble) => (Vec::new(), Some(shell.words(&trouble))),
    };
    let ready = trouble.is_none() && !doctor::is_blocked(&checks);
    let mut text = written(made);
    text.push(String::new());
    match &trouble {
        Some(trouble) => text.push(trouble.trim_end().to_string()),
        None => text.push(doctor::text(shell, &checks, !ready)),
    }
    if !missing.is_empty() {
        text.extend([String::new(), "still to be done:".to_string()]);
    }
    for (number, thing) in (1..).zip(missing) {
        text.extend(hang(&format!("{number:3}. "), &thing.what, shell.look.width));
        text.push(format!("     -> {}", thing.mends));
    }
    let next = if ready { "plan release" } else { "doctor" };
    text.extend([String::new(), format!("next: backstay {next} -e {name}")]);
    let added: Vec<&String> = made.added.iter().map(|(_, path)| path).collect();
    let document = json!({
        "environment": name, "wrote": made.wrote, "added": added, "ignored": made.ignored, "kept": made.kept,
        "missing": missing, "ready": ready, "checks": checks, "trouble": trouble,
    });
    shell.tell(&text.join("\n"), document);
    if ready { Verdict::Done } else { Verdict::Refused }
}

fn written(made: &Made) -> Vec<String> {
    let mut text: Vec<String> = made.wrote.iter().map(|path| format!("wrote {path}")).collect();
    text.extend(made.added.iter().map(|(what, path)| format!("added {what} to {path}")));
    if !made.ignored.is_empty() {
        text.push(format!("added to .gitignore: {}", made.ignored.join(", ")));
    }
    text.extend(made.kept.iter().map(|path| format!("{path} was there already, and stays as it is")));
    text
}
