//! What is taken where nobody says otherwise: options first, then what was found.

use std::path::Path;

use super::{Init, ToolName};
use crate::cli::Shell;
use crate::config::env_file::is_open_to_others;
use crate::document::is_variable_name;
use crate::failure::Failure;
use crate::init::answers::{Answers, Kept, Tool, Url};
use crate::init::files::{self, Missing, Mistake};
use crate::init::{Found, FoundUrl, Origin};
use crate::pg::ConnInfo;
use crate::ui::layout::hang;
use crate::words::{count, shell_line, shell_path, shell_word};

/// The answers of somebody who only says what the options say.
///
/// # Errors
/// What can't be a variable; a tool that there are no files for.
pub(super) fn from(command: &Init, root: &Path, name: &str, found: &Found) -> Result<Answers, Failure> {
    let chosen = match &command.url_env {
        Some(wanted) => found.urls.iter().find(|url| url.variable == *wanted),
        None => found.urls.first(),
    };
    let mut url = chosen.map_or(Url { variable: "DATABASE_URL".into(), kept: Kept::Nowhere }, url);
    if let Some(wanted) = &command.url_env {
        expect_variable(wanted)?;
        url.variable.clone_from(wanted);
    }
    let unit = found.units.first();
    let restart = unit.map(|unit| format!("systemctl restart {}", shell_word(&unit.name)));
    let built = found.services.iter().find(|service| service.built);
    let up = built.map(|service| format!("docker compose up -d --build {}", shell_word(&service.name)));
    let folder = unit.and_then(|unit| unit.directory.clone());
    let flag = folder.map_or("maintenance.flag".into(), |folder| format!("{folder}/maintenance.flag"));
    let port = unit
        .and_then(|unit| unit.port())
        .or_else(|| built.and_then(|service| service.ports.first().copied()));
    let health = port.map(|port| format!("http://127.0.0.1:{port}/health"));
    let said = |option: &Option<String>, found| option.clone().map_or(found, |line| something(&line));
    Ok(Answers {
        environment: name.to_string(),
        application: root.file_name().unwrap_or_default().to_string_lossy().replace(char::is_control, "?"),
        free_disk: chosen.and_then(|url| disk_of(&url.url)),
        url,
        tool: tool(command, found)?,
        deploy: said(&command.deploy, restart.or(up)),
        undo: said(&command.undo, None),
        takes_deploy: takes_deploy(root),
        flag: command.flag.as_deref().map_or(Some(flag), a_flag),
        health: said(&command.health_url, health),
        store: command.store.clone().unwrap_or_else(|| "file://./backstay-store".into()),
    })
}

/// What was said, unless it is a word for nothing.
pub(super) fn something(text: &str) -> Option<String> {
    let text = text.trim();
    (!["", "-", "none"].contains(&text)).then(|| text.to_string())
}

/// The flag that was said, unless it is a word for none. An empty name is a mistake.
pub(super) fn a_flag(text: &str) -> Option<String> {
    let text = text.trim();
    (!["-", "none"].contains(&text)).then(|| text.to_string())
}

/// Whether the runbooks that are there, or else the shipped ones, have it from the env file how it is deployed.
fn takes_deploy(root: &Path) -> bool {
    files::runbooks().iter().any(|(path, shipped)| {
        let own = std::fs::read_to_string(root.join(path));
        files::takes_deploy(own.as_deref().unwrap_or(shipped))
    })
}

fn expect_variable(name: &str) -> Result<(), Failure> {
    if is_variable_name(name) {
        return Ok(());
    }
    Err(Failure::usage(format!("take {name:?} for the name of a variable (--url-env)"))
        .because_of("a variable has letters, digits and `_` in its name, no digit first")
        .leaving("nothing was written")
        .then("--url-env DATABASE_URL, which the environment or an env file has"))
}

/// Why these answers make no environment.
pub(super) fn refused(name: &str, mistakes: &[Mistake]) -> Failure {
    let failure = Failure::usage(format!("describe the environment {name}")).leaving("nothing was written");
    mistakes.iter().fold(failure, |failure, mistake| {
        let failure = failure.because_of(format!("{}: {}", mistake.what, mistake.line));
        mistake.right.iter().fold(failure, Failure::then)
    })
}

fn tool(command: &Init, found: &Found) -> Result<Tool, Failure> {
    match (command.tool, &found.alembic) {
        (Some(ToolName::Sql), _) | (None, None) => Ok(Tool::Sql),
        (Some(ToolName::Alembic), None) => Err(Failure::usage("find the Alembic project")
            .because_of("there is no alembic.ini here, nor in a folder of this one")
            .leaving("nothing was written")
            .then("backstay init -C DIR, with the folder of the project")),
        (_, Some(alembic)) => Ok(Tool::Alembic {
            directory: alembic.directory.clone(),
            command: alembic.command.clone(),
            url_env: alembic.url_env.clone(),
        }),
    }
}

/// Where a URL that was found is kept from here on: where it is, if that can be named.
pub(super) fn url(found: &FoundUrl) -> Url {
    match &found.origin {
        Origin::Process => Url { variable: found.variable.clone(), kept: Kept::Process },
        Origin::EnvFile(path) => Url { variable: found.variable.clone(), kept: Kept::File(path.clone()) },
        Origin::Other(_) => Url { variable: "DATABASE_URL".into(), kept: Kept::Write(found.url.clone()) },
    }
}

/// The folder of a server's disk on this machine, where it is here and as Debian has it.
pub(super) fn disk_of(url: &str) -> Option<String> {
    const DEBIAN: &str = "/var/lib/postgresql";
    let host = ConnInfo::parse(url).ok()?.host();
    let here = host.starts_with('/') || host == "localhost" || host == "::1" || host.starts_with("127.");
    (here && Path::new(DEBIAN).is_dir()).then(|| DEBIAN.to_string())
}

/// Says what was found, before the questions.
pub(super) fn tell(shell: &Shell, found: &Found) {
    let mut lines = Vec::new();
    if let Some(alembic) = &found.alembic {
        let place = if alembic.directory.is_empty() { "this folder" } else { &alembic.directory };
        let revisions = count(alembic.revisions as u64, "revision", "revisions");
        lines.push(format!(
            "an Alembic project in {place} ({revisions}), run by {}",
            shell_line(&alembic.command)
        ));
    }
    for url in &found.urls {
        lines.push(format!("{}: {}", described(url), place(url)));
    }
    let units = found.units.iter().map(|unit| format!("the unit {}.service", unit.name));
    let services = found.services.iter().map(|service| format!("the compose service {}", service.name));
    lines.extend(units.chain(services));
    if !lines.is_empty() {
        let rows: Vec<String> = lines.iter().flat_map(|line| hang("  ", line, shell.look.width)).collect();
        shell.note(&format!("\nFound:\n{}", rows.join("\n")));
    }
}

/// A database as a person would name it.
pub(super) fn described(found: &FoundUrl) -> String {
    ConnInfo::parse(&found.url).map_or_else(|_| "a database".into(), |info| info.describe())
}

/// Where a URL stood.
pub(super) fn place(found: &FoundUrl) -> String {
    format!("{} in {}", found.variable, found.origin)
}

/// What has to be mended in files that were there before.
pub(super) fn troubles(root: &Path, answers: &Answers, found: &Found) -> Vec<Missing> {
    let mut troubles = Vec::new();
    let env = root.join(answers.env_path());
    if std::fs::metadata(&env).is_ok_and(|file| is_open_to_others(&file)) {
        let what = format!("others than its owner can read or change {}", answers.env_path());
        let but = "where the application reads it as another user, give backstay a file of its own and name it in env_file";
        troubles.push(Missing::new(what, format!("chmod 600 {}; {but}", shell_path(&env))));
    }
    let deaf = found.alembic.as_ref().and_then(|alembic| alembic.deaf.as_ref());
    if let (Some(file), Tool::Alembic { .. }) = (deaf, &answers.tool) {
        troubles.push(Missing::new(
            format!("{file} takes the database's URL from alembic.ini alone; backstay gives it in DATABASE_URL"),
            format!(
                "write in {file}, below `config = context.config`: import os; \
                 config.set_main_option(\"sqlalchemy.url\", os.environ[\"DATABASE_URL\"].replace(\"%\", \"%%\"))"
            ),
        ));
    }
    troubles
}
