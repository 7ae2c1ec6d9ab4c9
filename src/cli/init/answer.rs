//! What is taken where nobody says otherwise: options first, then what was found.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Init, ToolName};
use crate::cli::Shell;
use crate::failure::Failure;
use crate::init::files::{Answers, Kept, Missing, Tool, Url};
use crate::init::{Found, FoundUrl, Origin};
use crate::pg::ConnInfo;
use crate::words::{count, shell_path};

/// The answers of somebody who only says what the options say.
///
/// # Errors
/// A tool that there are no files for.
pub(super) fn from(command: &Init, root: &Path, name: &str, found: &Found) -> Result<Answers, Failure> {
    let chosen = match &command.url_env {
        Some(wanted) => found.urls.iter().find(|url| url.variable == *wanted),
        None => found.urls.first(),
    };
    let variable = command.url_env.clone().unwrap_or_else(|| "DATABASE_URL".into());
    let url = chosen.map_or(Url { variable, kept: Kept::Nowhere }, url);
    let free_disk = chosen.and_then(|url| disk_of(&url.url));
    let unit = found.units.first();
    let restart = unit.map(|unit| format!("systemctl restart {}", unit.name));
    let built = found.services.iter().find(|service| service.built);
    let compose = built.map(|service| format!("docker compose up -d --build {}", service.name));
    let folder = unit.and_then(|unit| unit.directory.clone());
    let flag = folder.map_or("maintenance.flag".into(), |folder| format!("{folder}/maintenance.flag"));
    let port = unit
        .and_then(|unit| unit.port())
        .or_else(|| built.and_then(|service| service.ports.first().copied()));
    Ok(Answers {
        environment: name.to_string(),
        application: root.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        url,
        tool: tool(command, found)?,
        deploy: command.deploy.clone().or(restart).or(compose),
        undo: command.undo.clone(),
        flag: command.flag.clone().unwrap_or(flag),
        health: command.health_url.clone().or(port.map(|port| format!("http://127.0.0.1:{port}/health"))),
        store: command.store.clone().unwrap_or_else(|| "file://./backstay-store".into()),
        free_disk,
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
            alembic.command.join(" ")
        ));
    }
    for url in &found.urls {
        lines.push(format!("{}: {}", described(url), place(url)));
    }
    let units = found.units.iter().map(|unit| format!("the unit {}.service", unit.name));
    let services = found.services.iter().map(|service| format!("the compose service {}", service.name));
    lines.extend(units.chain(services));
    if !lines.is_empty() {
        shell.note(&format!("Found:\n  {}\n", lines.join("\n  ")));
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
    let mode = std::fs::metadata(&env).map_or(0, |file| file.permissions().mode());
    if mode & 0o066 != 0 {
        let what = format!("others than its owner can read or change {}", answers.env_path());
        troubles.push(Missing::new(what, format!("chmod 600 {}", shell_path(&env))));
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
