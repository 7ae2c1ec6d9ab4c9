//! `migrate reset`: an empty database with everything applied, in place of the one that is there.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use super::NOTHING_CHANGED;
use super::change::{create, go};
use super::files::Files;
use crate::backup::attributes::{DatabaseAttributes, apply_attributes};
use crate::cli::work::Work;
use crate::cli::{Shell, Trouble};
use crate::config::{Config, MigrationRoot};
use crate::failure::{Failure, Verdict};
use crate::migrate::Direction;
use crate::migrate::extensions::{self, Extension};
use crate::pg::drop_database::drop_database;
use crate::pg::{self, refused};
use crate::steps::{direct, own_database, session_options};
use crate::time::show_bytes;
use crate::window::admin::Admin;
use crate::window::fence::{self, refuse_fenced};

/// How long a session that was closed may still be seen.
const GOING: Duration = Duration::from_secs(1);

/// Drop the database with all that is in it, create it anew and apply everything; not in production
#[derive(Debug, Args)]
pub struct Reset {
    /// Do not ask for the database's name to be typed
    #[arg(long)]
    yes: bool,
    /// End the sessions that are in the database
    #[arg(long)]
    force: bool,
    /// Refused all the same: a protected environment is not reset
    #[arg(long, hide = true)]
    unguarded: bool,
}

pub(super) async fn run(shell: &Shell, config: &Config, command: &Reset) -> Result<Verdict, Trouble> {
    refuse_protected(config, command)?;
    let roots: Vec<&MigrationRoot> = config.migrations.iter().collect();
    // Before anything is dropped: files that make no chain would leave an empty database.
    let files = Files::load(&roots)?;
    let name = config.database.url.database();
    let session = session_options(config, "backstay migrate reset");
    let info = config.database.maintenance();
    let admin = Admin::acquire(info, session.clone(), name, Duration::ZERO).await?;
    refuse_fenced(admin.session(), config, &format!("reset {name}")).await?;
    let dropped = match Old::look(&admin, config).await? {
        Some(old) => {
            old.refuse_sessions(&admin, command.force).await?;
            let question = format!(
                "Drop the database {} with all that is in it ({})?",
                config.database.url.describe(),
                old.size
            );
            if !shell.confirm_by_name(&question, name, command.yes).await? {
                return Err(Failure::refused(format!("reset {name}"))
                    .because_of("the answer was no")
                    .leaving(NOTHING_CHANGED)
                    .into());
            }
            old.make_anew(shell, &admin, config, command.force).await?;
            true
        }
        None => {
            create(shell, config, admin.session()).await?;
            false
        }
    };
    let database = own_database(config, "migrate reset");
    let work = Work::begin(shell);
    let done = go(&files, Direction::Up, &database, "heads", &work.progress).await;
    work.end().await;
    let applied: usize =
        done.map_err(|trouble| on_empty(trouble, name, config))?.iter().map(|d| d.count()).sum();
    let text = match dropped {
        true => format!("{name} was dropped and made anew: {applied} revisions applied"),
        false => format!("{name} was created: {applied} revisions applied"),
    };
    shell.tell(
        &text,
        json!({
            "environment": config.environment, "database": name, "dropped": dropped, "revisions": applied,
        }),
    );
    Ok(Verdict::Done)
}

fn refuse_protected(config: &Config, command: &Reset) -> Result<(), Failure> {
    if !config.protected {
        return Ok(());
    }
    let mut failure = Failure::usage(format!("reset the database of {}", config.environment))
        .because_of(format!("{} says protected = true", config.path.display()));
    if command.unguarded {
        failure = failure.because_of("--unguarded is no leave to drop a database");
    }
    Err(failure
        .leaving(NOTHING_CHANGED)
        .then("if it must be, drop it by hand; then: backstay migrate upgrade heads --create-database"))
}

/// The database that is there, and what of it the new one gets.
struct Old {
    oid: u32,
    size: String,
    attributes: DatabaseAttributes,
    extensions: Vec<Extension>,
}

impl Old {
    async fn look(admin: &Admin, config: &Config) -> Result<Option<Self>, Failure> {
        let name = config.database.url.database();
        let Some(database) = admin.by_name(name).await? else { return Ok(None) };
        let attributes = DatabaseAttributes::read(admin.session(), name).await?;
        let size = database.size_bytes.map_or("of unknown size".to_string(), show_bytes);
        // One that nobody can enter has none that could be asked for.
        let extensions =
            match pg::connect(direct(config), &session_options(config, "backstay migrate reset")).await {
                Ok(session) => {
                    let found = extensions::beyond(&session).await?;
                    session.close().await;
                    found
                }
                Err(_) => Vec::new(),
            };
        Ok(Some(Self { oid: database.oid, size, attributes, extensions }))
    }

    /// The sessions in it, those aside that are just going: our own look at it was one.
    async fn sessions(&self, admin: &Admin, force: bool) -> Result<Vec<fence::Blocker>, Failure> {
        let deadline = Instant::now() + GOING;
        loop {
            let sessions = fence::blockers(admin.session(), self.oid).await?;
            if force || sessions.is_empty() {
                return Ok(Vec::new());
            }
            if Instant::now() >= deadline {
                return Ok(sessions);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn refuse_sessions(&self, admin: &Admin, force: bool) -> Result<(), Failure> {
        let sessions = self.sessions(admin, force).await?;
        if sessions.is_empty() {
            return Ok(());
        }
        let refusal = Failure::refused(format!("reset {}", self.attributes.name));
        let refusal = sessions.iter().fold(refusal, |refusal, session| {
            refusal.because_of(format!(
                "{} is in it (user {}, server process {})",
                if session.application.is_empty() {
                    "a session without a name"
                } else {
                    &session.application
                },
                session.user,
                session.pid
            ))
        });
        Err(refusal.leaving(NOTHING_CHANGED).then("stop what uses it, or give --force to end these sessions"))
    }

    /// Drops it and makes an empty one with the same attributes. A crash in between leaves none: the next reset,
    /// or `upgrade --create-database`, makes it.
    async fn make_anew(
        &self,
        shell: &Shell,
        admin: &Admin,
        config: &Config,
        force: bool,
    ) -> Result<(), Failure> {
        let name = self.attributes.name.as_str();
        let session = session_options(config, "backstay migrate reset");
        match force {
            true => admin.drop_database(self.oid).await?,
            false => drop_database(admin.session(), admin.info(), &session, name).await?,
        }
        let made = admin.session().batch_execute(&self.attributes.create_statement(name)).await;
        made.map_err(|error| {
            refused(&format!("create database {name} anew"), &error)
                .leaving(format!("{name} was dropped"))
                .then(format!("backstay migrate upgrade heads --create-database -e {}", config.environment))
        })?;
        for refused in apply_attributes(admin.session(), name, &self.attributes).await? {
            shell.note(&format!("not set again: {} ({})", refused.statement, refused.reason));
        }
        extensions::install(&self.extensions, &own_database(config, "migrate reset")).await
    }
}

/// The failure of a migration on the database that was just made.
fn on_empty(trouble: Trouble, name: &str, config: &Config) -> Trouble {
    let tell = |failure: Failure| {
        let state = failure.state.as_ref().filter(|state| *state != NOTHING_CHANGED);
        let state = state.map(|state| format!("; {state}")).unwrap_or_default();
        failure
            .leaving(format!("{name} was made anew{state}"))
            .then(format!("backstay migrate upgrade heads -e {}", config.environment))
    };
    match trouble {
        Trouble::Failure(failure) | Trouble::Verdict(failure, _) => {
            Trouble::Verdict(tell(failure), Verdict::ChangedButFailing)
        }
        other => other,
    }
}
