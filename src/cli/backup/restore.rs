//! `backup restore --as`: to a side database, compared with its manifest.

use std::time::Duration;

use serde_json::json;

use super::verify::blame;
use crate::backup::attributes::{NotApplied, apply_attributes};
use crate::backup::restore::{Options, Rows, TablePattern};
use crate::backup::verify::{Scratch, compare, load_manifest};
use crate::backup::{self, BackupError, Manifest, Restored};
use crate::cli::work::Work;
use crate::cli::{Shell, Trouble};
use crate::config::Config;
use crate::failure::{Failure, Verdict};
use crate::pg::{self, ConnInfo};
use crate::steps::{restore_options, session_options};
use crate::time::show_duration;
use crate::window::admin::Admin;
use crate::window::fence::refuse_fenced;
use crate::window::names;
use crate::words::count;

/// What of a backup is restored, and with which help.
#[derive(Debug, clap::Args)]
pub struct Parts {
    /// All definitions, but only the rows of this table: TABLE or SCHEMA.TABLE, * for any characters; may be
    /// given several times. Large objects stay empty; foreign keys that do not hold without the other rows
    /// are left out and named
    #[arg(long = "only-table", value_name = "TABLE", conflicts_with = "schema_only")]
    only_tables: Vec<TablePattern>,
    /// All definitions and no rows
    #[arg(long)]
    schema_only: bool,
    /// Create the roles that the server lacks, without passwords; those that exist are not altered
    #[arg(long)]
    create_roles: bool,
}

impl Parts {
    fn rows(&self) -> Rows {
        match (self.schema_only, &self.only_tables[..]) {
            (true, _) => Rows::None,
            (false, []) => Rows::All,
            (false, patterns) => Rows::Only(patterns.to_vec()),
        }
    }
}

pub(super) async fn run(
    shell: &Shell,
    config: &Config,
    wanted: &str,
    database: &str,
    server: Option<&str>,
    parts: &Parts,
) -> Result<Verdict, Trouble> {
    check_name(config, database)?;
    let admin = match server {
        Some(url) => ConnInfo::parse(url).map_err(Failure::from)?,
        None => config.database.maintenance(),
    };
    let store = shell.store(config);
    let place = backup::find(&*store, &config.environment, wanted).await.map_err(Failure::from)?;
    let manifest = load_manifest(&*store, &place).await.map_err(Failure::from)?;
    // Held to the end: a run must not meet a half-restored production.
    let _lock = match database == config.database.url.database() {
        true => Some(expect_no_fence(config, &admin).await?),
        false => None,
    };

    let options = Options {
        rows: parts.rows(),
        create_roles: parts.create_roles,
        ..restore_options(config, session_options(config, "backstay backup restore"))
    };
    let scratch = Scratch { admin, database: database.to_string() };
    let work = Work::begin(shell);
    let restored =
        backup::restore(&*store, &manifest, &scratch.admin, database, &options, &work.progress).await;
    let compared = match &restored {
        Ok(restored) => {
            let extent = &restored.extent;
            compare(&*store, &place, &manifest, &scratch, extent, &options, &work.progress).await
        }
        Err(_) => Ok(Vec::new()),
    };
    work.end().await;
    let restored = restored.map_err(|error| not_restored(error, &manifest))?;

    let kept = |failure: Failure, what: &str| {
        failure
            .leaving(format!("database {database} is there, {what}"))
            .then(format!("DROP DATABASE {};", pg::quote_ident(database)))
    };
    let mismatches = compared.map_err(|error| kept(error.into(), "restored and not compared"))?;
    if !mismatches.is_empty() {
        let failure = Failure::failed(format!("restore backup {} as it was", place.id));
        let causes = mismatches.iter().map(|mismatch| blame(mismatch, Some(&manifest)));
        return Err(kept(causes.fold(failure, Failure::because_of), "and not to be relied on").into());
    }
    let refused = give_attributes(shell, config, &scratch, &manifest)
        .await
        .map_err(|failure| kept(failure, "restored, without the settings and privileges of the original"))?;
    for one in &refused {
        shell.note(&format!("note: not set: {} ({})", one.statement, one.reason));
    }
    tell_parts(shell, &restored);
    shell.tell(
        &format!(
            "restored {} as {}: {} in {}, compared table by table",
            place.id,
            scratch.admin.with_database(database).describe(),
            count(restored.rows, "row", "rows"),
            show_duration(restored.took)
        ),
        json!({
            "environment": config.environment, "backup": place.id, "database": database,
            "rows": restored.rows, "bytes": restored.bytes, "millis": crate::event::millis(restored.took),
            "not_set": refused.iter().map(|one| &one.statement).collect::<Vec<_>>(),
            "left_out": left_out(&restored), "roles_created": restored.roles,
        }),
    );
    Ok(Verdict::Done)
}

/// What a person should know who wanted less than all, or roles.
fn tell_parts(shell: &Shell, restored: &Restored) {
    for role in &restored.roles {
        shell.note(&format!("note: role {role} was created, without a password"));
    }
    for one in &restored.roles_refused {
        shell.note(&format!("note: not done: {} ({})", one.statement, one.reason));
    }
    for statement in left_out(restored) {
        shell.note(&format!("note: left out, since rows that it needs were not wanted: {statement}"));
    }
}

/// The statements that were left out, each in one line.
fn left_out(restored: &Restored) -> Vec<String> {
    let line = |statement: &String| {
        let lines =
            statement.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("--"));
        lines.collect::<Vec<_>>().join(" ")
    };
    restored.extent.left_out.iter().map(line).collect()
}

/// A restore that failed, with the table where the error names only an object.
fn not_restored(error: BackupError, manifest: &Manifest) -> Failure {
    match error {
        BackupError::Mismatch(mismatch) => Failure::failed(format!("restore backup {}", manifest.id))
            .because_of(blame(&mismatch, Some(manifest)))
            .leaving("the half-restored database is dropped again")
            .then("do not rely on this backup: take another, and look after the store's disk"),
        error => error.into(),
    }
}

/// Names that the server would cut, and names that say something about a run.
fn check_name(config: &Config, database: &str) -> Result<(), Failure> {
    let refuse = |why: &str| Err(Failure::usage(format!("restore as database {database:?}")).because_of(why));
    if database.is_empty() || database.len() > 63 || database.contains('\0') {
        return refuse("a database's name has 1 to 63 bytes");
    }
    if names::trace(config.database.url.database(), database).is_some() {
        return refuse("such names belong to runs, and cleanup drops them");
    }
    Ok(())
}

/// A new database of production's name would be in the way of a fenced one that is to be renamed back.
async fn expect_no_fence(config: &Config, admin: &ConnInfo) -> Result<Admin, Failure> {
    let options = session_options(config, "backstay backup restore lock");
    let name = config.database.url.database();
    let lock = Admin::acquire(admin.clone(), options, name, Duration::ZERO).await?;
    refuse_fenced(lock.session(), config, &format!("restore as {name}")).await?;
    Ok(lock)
}

async fn give_attributes(
    shell: &Shell,
    config: &Config,
    scratch: &Scratch,
    manifest: &Manifest,
) -> Result<Vec<NotApplied>, Failure> {
    let session = shell.connect(config, &scratch.admin, "backup restore").await?;
    Ok(apply_attributes(&session, &scratch.database, &manifest.database).await?)
}
