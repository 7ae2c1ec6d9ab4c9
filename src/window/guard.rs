//! The guard: what production is put back from, taken behind the fence and proven equal before anything changes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::admin::Admin;
use super::fence;
use crate::backup::attributes::{DatabaseAttributes, apply_attributes};
use crate::backup::fingerprint::{self, Content};
use crate::backup::schema::{compare_schemas, schema_of};
use crate::event::Progress;
use crate::failure::Failure;
use crate::pg::{self, ConnInfo, SessionOptions, quote_ident, refused};

/// Above this size `FILE_COPY` is faster than writing everything to the WAL.
const FILE_COPY_FROM: u64 = 64 * 1024 * 1024;

/// A guard that was proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// Its id: what the swap and every probe go by.
    pub oid: u32,
    /// Its name, for people.
    pub name: String,
    /// The relations whose sizes were compared.
    pub relations: u64,
    /// The tables whose content was compared row by row.
    pub sampled: u64,
    /// How long the server took to copy it (or we to dump and restore it), in milliseconds: the proof not included.
    #[serde(default)]
    pub copy_millis: u64,
    /// The backup that it was restored from, if it is no clone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
}

/// Clones the fenced database `source` under the name `guard`, with `attributes`.
///
/// What an earlier, interrupted try left under that name is dropped first. A crash leaves a database of
/// that name, perhaps an invalid one, or nothing.
///
/// # Errors
/// The server's; an attribute that our role may not set, named.
pub async fn clone(
    admin: &Admin,
    source: &str,
    guard: &str,
    attributes: &DatabaseAttributes,
) -> Result<u32, Failure> {
    discard(admin, guard).await?;
    let bytes = admin.by_name(source).await?.and_then(|db| db.size_bytes).unwrap_or_default();
    let strategy = if admin.session().server_version() >= 150_000 && bytes >= FILE_COPY_FROM {
        " STRATEGY FILE_COPY"
    } else {
        ""
    };
    let statement = format!(
        "CREATE DATABASE {} TEMPLATE {} OWNER {}{strategy}",
        quote_ident(guard),
        quote_ident(source),
        quote_ident(&attributes.owner)
    );
    admin
        .session()
        .batch_execute(&statement)
        .await
        .map_err(|error| refused(&format!("clone database {source} to {guard}"), &error))?;
    dress(admin, guard, attributes).await
}

/// Drops the database called `name`, if there is one.
///
/// # Errors
/// The server's.
pub async fn discard(admin: &Admin, name: &str) -> Result<(), Failure> {
    match admin.by_name(name).await? {
        Some(database) => admin.drop_database(database.oid).await,
        None => Ok(()),
    }
}

/// Gives the guard called `name` production's attributes; gives its id.
///
/// # Errors
/// The attributes that our role may not set, each with the server's reason.
pub async fn dress(admin: &Admin, name: &str, attributes: &DatabaseAttributes) -> Result<u32, Failure> {
    let denied = apply_attributes(admin.session(), name, attributes).await?;
    if !denied.is_empty() {
        let failure = Failure::refused(format!("give the guard {name} the attributes of production"));
        let failure =
            denied.iter().fold(failure, |f, r| f.because_of(format!("{}: {}", r.statement, r.reason)));
        return Err(failure.then(
            "have a superuser take that attribute away or grant our role what it needs, then run again",
        ));
    }
    match admin.by_name(name).await? {
        Some(database) => Ok(database.oid),
        None => Err(Failure::failed(format!("find the guard {name} that was just made"))),
    }
}

/// How much of a clone is read to the last row.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// At most so many bytes of tables in all, the smallest tables first.
    pub bytes: u64,
}

/// Proves that the guard holds what the fenced database holds: the same schema dump, the same size of
/// every relation, and a bounded sample of tables equal row by row. Changes nothing in either.
///
/// # Errors
/// What differs, by name.
pub async fn verify(
    source: &ConnInfo,
    guard: &ConnInfo,
    session: &SessionOptions,
    sample: Sample,
    progress: &Progress,
) -> Result<(u64, u64), Failure> {
    let (sizes, copied) = tokio::try_join!(sizes(source, session), sizes(guard, session))?;
    let different: Vec<&String> =
        sizes.iter().filter(|(name, size)| copied.get(*name) != Some(size)).map(|(name, _)| name).collect();
    if !different.is_empty() || sizes.len() != copied.len() {
        return Err(unequal(format!("relations differ in size: {}", list(&different))));
    }
    // Chosen once: autovacuum works in both databases, and each table's maps come and go in each for itself.
    let only = Some(fingerprint::smallest(source, session, sample.bytes).await?);
    let options = fingerprint::Options { session: session.clone(), jobs: 1, only };
    // Both at the same time: users wait behind the flag.
    let (schemas, contents) = tokio::join!(
        async { tokio::try_join!(schema_of(source, session), schema_of(guard, session)) },
        async {
            let silent = Progress::none();
            tokio::try_join!(
                fingerprint::database(source, &options, progress),
                fingerprint::database(guard, &options, &silent)
            )
        }
    );
    let (here, there) = schemas?;
    if let Some(lines) = compare_schemas(&here, &there) {
        return Err(unequal(format!("the schema dumps differ: {}", lines.join("; "))));
    }
    let (here, there): (Content, Content) = contents?;
    if let Some(difference) = here.differences(&there).first() {
        return Err(unequal(format!("the content differs: {difference}")));
    }
    Ok((sizes.len() as u64, here.tables.len() as u64))
}

/// Closes the guard to everybody until it is needed: a monitor's session would make the swap fail.
///
/// # Errors
/// As [`fence::shut`].
pub async fn shut(admin: &Admin, oid: u32, timeout: Duration) -> Result<(), Failure> {
    fence::shut(admin, oid, timeout).await.map(|_| ())
}

/// The size of the main fork of every relation of users, by qualified name. Ids below 16384 are the server's own
/// (PostgreSQL manual, "System Catalog Initial Data").
async fn sizes(info: &ConnInfo, options: &SessionOptions) -> Result<BTreeMap<String, u64>, Failure> {
    let session = pg::connect(info, options).await?;
    let rows = session
        .query(
            "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), pg_catalog.pg_relation_size(c.oid) \
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'i', 'm', 'S', 't') AND c.relpersistence <> 't' \
             AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND c.oid >= 16384",
            &[],
        )
        .await
        .map_err(|error| refused("read the sizes of relations", &error))?;
    Ok(rows.iter().map(|row| (row.get(0), u64::try_from(row.get::<_, i64>(1)).unwrap_or_default())).collect())
}

fn unequal(difference: String) -> Failure {
    Failure::failed("prove that the guard equals production").because_of(difference)
}

fn list(names: &[&String]) -> String {
    let shown: Vec<&str> = names.iter().take(5).map(|name| name.as_str()).collect();
    match names.len() {
        0 => "one has relations that the other lacks".to_string(),
        n if n > shown.len() => format!("{} and {} more", shown.join(", "), n - shown.len()),
        _ => shown.join(", "),
    }
}
