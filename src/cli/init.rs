//! `backstay init`: what can be found out is, a person is asked for the rest, the files are written, and `doctor` looks
//! at what came of it.

mod answer;
mod ask;
mod baseline;
mod git;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{Shell, Trouble, doctor};
use crate::config::{Config, find_environment};
use crate::document;
use crate::failure::{Failure, Verdict};
use crate::init::files::{self, Answers, Missing};
use crate::init::write::{self, NewFile};
use crate::init::{Places, look};
use crate::steps::preflight::Check;
use crate::ui::layout::fold;

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
    /// The line for a shell that puts the new version in place
    #[arg(long, value_name = "LINE")]
    deploy: Option<String>,
    /// The line for a shell that takes it back; must be right to run twice
    #[arg(long, value_name = "LINE", requires = "deploy")]
    undo: Option<String>,
    /// The file that tells the application that it is in maintenance [default: maintenance.flag]
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
    let asks = !command.yes;
    if asks && !shell.can_ask() {
        return Err(nobody_to_ask().into());
    }
    let named = command.name.as_deref().or(shell.environment()).unwrap_or("production");
    let name = if asks && command.name.is_none() { ask::environment(named)? } else { named.to_string() };
    let name = find_environment(&root, Some(&name), None)?;
    let units = [PathBuf::from(UNITS)];
    let places = Places { root: &root, environment: &name, variables: &shell.variables, units: &units };
    let found = look(&places);
    let mut made = Made::default();
    let config = format!("config/{name}.toml");
    let mut missing = Vec::new();
    if root.join(&config).exists() {
        made.kept.push(config);
    } else {
        let mut answers = answer::from(&command, &root, &name, &found)?;
        if asks {
            answer::tell(shell, &found);
            if !ask::all(shell, &mut answers, &found, &command)? {
                shell.note("nothing was written");
                return Ok(Verdict::Done);
            }
        }
        write(&root, &answers, &mut made).await?;
        if asks {
            ask::keep_private(shell, &root.join(answers.env_path()))?;
        }
        missing = files::missing(&answers);
        missing.extend(answer::troubles(&root, &answers, &found));
        missing.extend(git::troubles(&root, &answers.env_path()).await);
    }
    let examined = examine(shell, &root, &name, &mut made, &mut missing).await;
    Ok(tell(shell, &name, &made, &missing, examined))
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
    ignored: Vec<String>,
    kept: Vec<String>,
}

impl Made {
    fn create(&mut self, root: &Path, file: &NewFile) -> Result<(), Failure> {
        let list = if write::create(root, file)? { &mut self.wrote } else { &mut self.kept };
        list.push(file.path.clone());
        Ok(())
    }
}

/// Writes what is not there: first what git must not see, then the secret, last the config, which makes it an
/// environment. A crash in between leaves some of the files; the same command writes the rest.
async fn write(root: &Path, answers: &Answers, made: &mut Made) -> Result<(), Failure> {
    let lines = git::lines_to_add(root, &files::not_for_git(answers)).await;
    if !lines.is_empty() {
        write::ignore(root, &lines)?;
        made.ignored = lines;
    }
    if let Some(text) = files::env_file(answers) {
        made.create(root, &NewFile { path: answers.env_path(), text, private: true })?;
    }
    let file = |path: &str, text: String| NewFile { path: path.to_string(), text, private: false };
    made.create(root, &file("runbooks/release.toml", files::runbook(answers)))?;
    made.create(root, &file("runbooks/emergency-rollback.toml", files::emergency(answers)))?;
    if answers.tool == files::Tool::Sql {
        std::fs::create_dir_all(root.join("migrations"))
            .map_err(|error| Failure::usage("make the folder migrations").caused_by(&error))?;
    }
    made.create(root, &file(&answers.config_path(), files::config(answers)))?;
    Ok(())
}

/// What `doctor` says of the environment; or why its files can't be read.
async fn examine(
    shell: &Shell,
    root: &Path,
    name: &str,
    made: &mut Made,
    missing: &mut Vec<Missing>,
) -> Result<Vec<Check>, Trouble> {
    let config = Config::load(root, name, &shell.variables)?;
    // Best effort: a database that can't be reached is told by `doctor`, with what mends it.
    if let Ok(Some((file, stamp))) = baseline::of(&config).await {
        made.create(root, &file)?;
        missing.push(Missing::new(
            format!("{} says what the database has already; it has to be told that it has it", file.path),
            stamp,
        ));
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
        Err(trouble) => (Vec::new(), Some(words(shell, &trouble))),
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
        for (at, row) in fold(&thing.what, shell.look.width.saturating_sub(5)).iter().enumerate() {
            text.push(if at == 0 { format!("{number:3}. {row}") } else { format!("     {row}") });
        }
        text.push(format!("     -> {}", thing.mends));
    }
    let next = if ready { "plan release" } else { "doctor" };
    text.extend([String::new(), format!("next: backstay {next} -e {name}")]);
    let document = json!({
        "environment": name, "wrote": made.wrote, "ignored": made.ignored, "kept": made.kept, "missing": missing,
        "ready": ready, "checks": checks, "trouble": trouble,
    });
    shell.tell(&text.join("\n"), document);
    if ready { Verdict::Done } else { Verdict::Refused }
}

fn written(made: &Made) -> Vec<String> {
    let mut text: Vec<String> = made.wrote.iter().map(|path| format!("wrote {path}")).collect();
    if !made.ignored.is_empty() {
        text.push(format!("added to .gitignore: {}", made.ignored.join(", ")));
    }
    text.extend(made.kept.iter().map(|path| format!("{path} was there already, and stays as it is")));
    text
}

fn words(shell: &Shell, trouble: &Trouble) -> String {
    match trouble {
        Trouble::Failure(failure) | Trouble::Verdict(failure, _) => {
            crate::ui::error::tell(failure, shell.look)
        }
        Trouble::Diagnostic(diagnostic) => {
            let (width, colour) =
                if shell.json() { (120, false) } else { (shell.look.width.min(120), shell.look.colour) };
            document::render(&**diagnostic, width, colour)
        }
    }
}
