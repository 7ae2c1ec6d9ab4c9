//! The first migration of a database that has tables already: what they are, as `pg_dump` says it.

use std::path::Path;

use crate::backup::BackupError;
use crate::backup::schema::schema_with;
use crate::config::{Config, MigrationRoot, Tool};
use crate::failure::Failure;
use crate::init::files::{self, Missing};
use crate::init::write::NewFile;
use crate::migrate::draft::Style;
use crate::migrate::{Migrations, Migrator, State, script};
use crate::pg;
use crate::steps::{direct, migrator, session_options};
use crate::time::now;

/// What there is to say of a database's first migration.
pub(super) enum Baseline {
    /// There are migrations, or no tables.
    None,
    /// The database could not be asked. `doctor` says why.
    Unreached,
    /// The file, and the command that tells the database that it has it.
    File(NewFile, String),
}

/// Whether a baseline is for the environment `name`: its config was written by `init`, for SQL files.
pub(super) fn is_wanted(root: &Path, name: &str) -> bool {
    let text = std::fs::read_to_string(root.join(format!("config/{name}.toml"))).unwrap_or_default();
    files::is_ours(&text) && text.lines().any(|line| line.trim() == "tool = \"sql\"")
}

/// Whether no migration is in the folder in which they are unless a config says otherwise.
pub(super) fn is_none_there(root: &Path) -> bool {
    Migrations::load(&root.join("migrations")).is_ok_and(|migrations| migrations.graph().is_empty())
}

/// That a baseline has to be made up for.
pub(super) fn later(name: &str) -> Missing {
    Missing::new(
        "the database could not be asked for the tables that it has already, which are the first migration",
        format!("backstay init -e {name}"),
    )
}

/// Why there is none.
pub(super) fn told(failure: &Failure) -> Missing {
    let by_hand = "write what the database has as the first migration: backstay migrate revision -m baseline";
    let mends = failure.next.first().cloned().unwrap_or_else(|| by_hand.to_string());
    Missing::new(format!("could not {}{}", failure.what, failure.because()), mends)
}

/// The baseline of the environment's database. Where the migrations can't be read, `doctor` says so.
///
/// # Errors
/// The database can't be dumped; or its schema can't stand in a migration.
pub(super) async fn of(config: &Config) -> Result<Baseline, Failure> {
    let [root] = config.migrations.as_slice() else { return Ok(Baseline::None) };
    let Ok(migrator) = migrator(root, None) else { return Ok(Baseline::None) };
    if root.tool != Tool::Sql || !migrator.chain().graph().is_empty() {
        return Ok(Baseline::None);
    }
    let options = session_options(config, "backstay init");
    let Ok(session) = pg::connect(&config.database.url, &options).await else {
        return Ok(Baseline::Unreached);
    };
    if !matches!(migrator.current(&session).await?.state, State::Unversioned) {
        return Ok(Baseline::None);
    }
    let only = ["--no-owner", "--no-privileges"].map(String::from);
    match schema_with(direct(config), &options, &only).await {
        Ok(dump) => file(config, root, &*migrator, &dump),
        Err(BackupError::Connect { .. }) => Ok(Baseline::Unreached),
        Err(error) => Err(error.into()),
    }
}

fn file(
    config: &Config,
    root: &MigrationRoot,
    migrator: &dyn Migrator,
    dump: &str,
) -> Result<Baseline, Failure> {
    let (revision, at) = Style::default()
        .fresh_id(migrator.chain().graph(), now())
        .map_err(|error| Failure::internal("make a revision's id").caused_by(&error))?;
    let folder = root.directory.strip_prefix(&config.root).unwrap_or(&root.directory);
    let path = folder.join(format!("{}_baseline.sql", at.strftime("%Y%m%d%H%M%S"))).display().to_string();
    let text = text(&revision, dump);
    script::parse(&text, path.as_ref()).map_err(|(line, fault)| {
        Failure::refused("write the database's schema as a migration")
            .because_of(format!("line {line}: {fault}"))
    })?;
    let unguarded = if config.protected { " --unguarded" } else { "" };
    let stamp = format!("backstay migrate stamp {revision} -e {}{unguarded}", config.environment);
    Ok(Baseline::File(NewFile { path, text, private: false }, stamp))
}

/// A migration out of a dump. The settings at its head go: they would stay in the session for the migrations behind it.
fn text(revision: &str, dump: &str) -> String {
    let body = dump.split_once("\n--\n-- Name: ").map_or("", |(_, rest)| rest);
    let body = body.trim_end().trim_end_matches("--\n-- PostgreSQL database dump complete\n--").trim_end();
    let kept = body.lines().filter(|line| !line.starts_with("SET default_"));
    let body: Vec<&str> = kept.collect();
    format!(
        "-- revision: {revision}\n-- The tables as they were when backstay came\n\n-- upgrade\n\
         SET LOCAL check_function_bodies = off;\n\n--\n-- Name: {}\n",
        body.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_becomes_a_migration_without_its_settings() {
        let dump = "--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\n\
            SELECT pg_catalog.set_config('search_path', '', false);\n\nSET default_tablespace = '';\n\n\
            --\n-- Name: users; Type: TABLE\n--\n\nCREATE TABLE public.users (\n    id integer\n);\n\n\
            SET default_table_access_method = heap;\n\n--\n-- PostgreSQL database dump complete\n--\n\n";
        let text = text("9fd62e8b1c04", dump);
        assert!(!text.contains("search_path") && !text.contains("default_"), "{text}");
        let script = script::parse(&text, "x.sql".as_ref()).unwrap();
        assert_eq!((script.revision.id.as_str(), script.upgrade.len()), ("9fd62e8b1c04", 2));
        assert_eq!(script.description, "The tables as they were when backstay came");
    }
}
