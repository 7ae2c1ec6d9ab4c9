//! The first migration of a database that has tables already: what they are, as `pg_dump` says it.

use crate::backup::schema::schema_with;
use crate::config::{Config, Tool};
use crate::failure::Failure;
use crate::init::write::NewFile;
use crate::migrate::draft::Style;
use crate::migrate::{State, script};
use crate::pg;
use crate::steps::{direct, migrator, session_options};
use crate::time::now;

/// The file, and the command that tells the database that it has it. None, if there are migrations, or no tables.
///
/// # Errors
/// The database can't be reached or dumped; or its schema can't stand in a migration.
pub(super) async fn of(config: &Config) -> Result<Option<(NewFile, String)>, Failure> {
    let root = config.migrations.first().filter(|root| root.tool == Tool::Sql);
    let Some(root) = root else { return Ok(None) };
    let migrator = migrator(root, None)?;
    if !migrator.chain().graph().is_empty() {
        return Ok(None);
    }
    let options = session_options(config, "backstay init");
    let session = pg::connect(&config.database.url, &options).await?;
    if !matches!(migrator.current(&session).await?.state, State::Unversioned) {
        return Ok(None);
    }
    let only = ["--no-owner", "--no-privileges"].map(String::from);
    let dump = schema_with(direct(config), &options, &only).await.map_err(Failure::from)?;
    let (revision, at) = Style::default()
        .fresh_id(migrator.chain().graph(), now())
        .map_err(|error| Failure::internal("make a revision's id").caused_by(&error))?;
    let path = format!("migrations/{}_baseline.sql", at.strftime("%Y%m%d%H%M%S"));
    let text = text(&revision, &dump);
    script::parse(&text, path.as_ref()).map_err(|(line, fault)| {
        Failure::refused("write the database's schema as a migration")
            .because_of(format!("line {line}: {fault}"))
    })?;
    let unguarded = if config.protected { " --unguarded" } else { "" };
    let stamp = format!("backstay migrate stamp {revision} -e {}{unguarded}", config.environment);
    Ok(Some((NewFile { path, text, private: false }, stamp)))
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
