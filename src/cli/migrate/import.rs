//! `migrate import`: another tool's project as SQL files.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::work::Work;
use crate::cli::{Shell, Trouble};
use crate::config::{Config, MigrationRoot, Tool};
use crate::failure::{Failure, Verdict};
use crate::migrate::alembic::Settings;
use crate::migrate::alembic::import::{Translated, write};
use crate::migrate::{AlembicMigrator, Database, Options};
use crate::steps::{direct, session_options};

/// Turn another tool's migrations into SQL files
#[derive(Debug, Args)]
pub(super) struct Import {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    Alembic(Alembic),
}

/// An Alembic project, revision by revision, with the same ids; both chains are run and compared
#[derive(Debug, Args)]
struct Alembic {
    /// Where its command runs
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// Where the SQL files go; no SQL file may be there yet
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Its file of settings, from that folder
    #[arg(long, value_name = "FILE")]
    ini: Option<String>,
    /// The section of it
    #[arg(long, value_name = "SECTION")]
    section: Option<String>,
    /// How it is run, in words: "poetry run alembic"
    #[arg(long, value_name = "COMMAND")]
    command: Option<String>,
    /// The variable from which its env.py takes the URL
    #[arg(long, value_name = "NAME")]
    url_env: Option<String>,
}

pub(super) async fn run(
    shell: &Shell,
    config: &Config,
    roots: &[&MigrationRoot],
    command: &Import,
) -> Result<Verdict, Trouble> {
    let From::Alembic(order) = &command.from;
    let root = roots.first().copied();
    let project =
        AlembicMigrator::load(settings(config, root, order), options(root)).map_err(Failure::from)?;
    let admin = config.database.admin_url.with_database(&config.database.maintenance_database);
    let session = session_options(config, "backstay migrate import");
    let database = Database::new(direct(config).clone(), admin, session);
    let folder = config.root.join(&order.to);
    let work = Work::begin(shell);
    let done = import(&project, &folder, &database, &work).await;
    work.end().await;
    let done = done?;
    tell(shell, &order.to.display().to_string(), &done)
}

struct Done {
    translated: Vec<Translated>,
    /// What differs between the two schemas; nothing said if a file refuses to run.
    differences: Option<Vec<String>>,
}

async fn import(
    project: &AlembicMigrator,
    folder: &std::path::Path,
    database: &Database,
    work: &Work,
) -> Result<Done, Failure> {
    let translated = project.translate(&work.progress).await?;
    write(folder, &translated)?;
    let differences = match translated.iter().any(|one| one.missing) {
        true => None,
        false => Some(project.compare(folder, database, &work.progress).await.map_err(|failure| {
            failure.leaving(format!("the files are written to {}, but not proven", folder.display()))
        })?),
    };
    Ok(Done { translated, differences })
}

/// As the environment has it, where its root is an Alembic project; else as Alembic's own defaults are.
fn settings(config: &Config, root: Option<&MigrationRoot>, order: &Alembic) -> Settings {
    let words = |text: &String| text.split_whitespace().map(String::from).collect::<Vec<_>>();
    let mut settings = match root.map(|root| &root.tool) {
        Some(Tool::Alembic(known)) => (**known).clone(),
        _ => Settings { variables: config.variables.clone(), ..Settings::of(config.root.clone()) },
    };
    settings.directory = config.root.join(&order.from);
    settings.ini = order.ini.clone().unwrap_or(settings.ini);
    settings.section = order.section.clone().unwrap_or(settings.section);
    settings.url_env = order.url_env.clone().unwrap_or(settings.url_env);
    settings.command = order.command.as_ref().map(words).unwrap_or(settings.command);
    settings
}

fn options(root: Option<&MigrationRoot>) -> Options {
    let schema = root.map_or("public".to_string(), |root| root.version_schema.clone());
    let version_table = root.map_or("alembic_version".to_string(), |root| root.version_table.clone());
    Options { schema: Some(schema), version_table, ..Options::default() }
}

fn tell(shell: &Shell, to: &str, done: &Done) -> Result<Verdict, Trouble> {
    let doubtful: Vec<&Translated> = done.translated.iter().filter(|one| !one.doubts.is_empty()).collect();
    let mut lines = vec![format!("{} migrations written to {to}", done.translated.len())];
    for one in &doubtful {
        lines.push(format!("  {}:", one.file));
        lines.extend(one.doubts.iter().map(|doubt| format!("    {doubt}")));
    }
    let (proven, verdict) = match &done.differences {
        None => ("not proven: write by hand what is missing".to_string(), Verdict::Refused),
        Some(differences) if differences.is_empty() => {
            ("proven: run into two empty databases, both make the same schema".to_string(), Verdict::Done)
        }
        Some(differences) => {
            lines.extend(differences.iter().map(|line| format!("  {line}")));
            ("the two make different schemas: - is the project's, + the files'".to_string(), Verdict::Refused)
        }
    };
    lines.push(proven.clone());
    let files: Vec<_> = done
        .translated
        .iter()
        .map(|one| json!({ "revision": one.revision, "file": one.file, "doubts": one.doubts, "missing": one.missing }))
        .collect();
    let document = json!({ "to": to, "files": files, "differences": done.differences });
    if verdict == Verdict::Done {
        shell.tell(&lines.join("\n"), document);
        return Ok(verdict);
    }
    let failure =
        lines.iter().fold(Failure::refused("carry all of it over"), |f, line| f.because_of(line.as_str()));
    Err(Trouble::Verdict(failure.leaving(format!("the files are in {to}")), verdict))
}
