//! The window rehearsed with a tiny side database under the real name pattern: made, given production's
//! attributes, connected to, renamed, dropped. What would fail behind the flag fails here.
//!
//! In its name the number of the server process that makes it stands in the epoch's place: of a driver that
//! died in mid-rehearsal the process is gone, and the next rehearsal drops what it left.

use super::server::Sessions;
use super::{Check, Finding, Premises};
use crate::backup::attributes::{DatabaseAttributes, apply_attributes};
use crate::failure::Failure;
use crate::pg::drop_database::{DropError, drop_database};
use crate::pg::{self, Session, quote_ident};
use crate::steps::site::{direct, session_options};
use crate::window::admin::companions;
use crate::window::names::{Role, companion};

pub(super) async fn examine(premises: &Premises<'_>, sessions: &Sessions) -> Check {
    let database = premises.config.database.url.database();
    let mark = sessions.admin.pid().unsigned_abs();
    let name = || companion(database, Role::Rehearsal, &crate::id::fresh(crate::time::now()), mark);
    let (made, renamed) = (name(), name());
    drop_abandoned(premises, sessions, database).await;
    let mut findings = match rehearse(premises, sessions, &made, &renamed).await {
        Ok(findings) => findings,
        Err(failure) => vec![Finding::of(&failure)],
    };
    for name in [&made, &renamed] {
        if let Err(error) = discard(premises, sessions, name).await {
            findings.push(Finding::of(&error.into()));
        }
    }
    Check::new("rehearsal", "a side database was made, dressed, entered, renamed and dropped", findings)
}

/// Drops the rehearsals whose makers are gone. One that can't be dropped stands in nobody's way.
async fn drop_abandoned(premises: &Premises<'_>, sessions: &Sessions, database: &str) {
    let admin = &sessions.admin;
    let alive = "SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE pid = $1::bigint)";
    for (found, trace) in companions(admin, database).await.unwrap_or_default() {
        let maker = i64::from(trace.epoch);
        let gone = trace.role == Role::Rehearsal
            && admin.query_one(alive, &[&maker]).await.is_ok_and(|row| !row.get::<_, bool>(0));
        if gone && let Err(error) = discard(premises, sessions, &found.name).await {
            tracing::debug!(%error, name = found.name, "an abandoned rehearsal stays");
        }
    }
}

async fn discard(premises: &Premises<'_>, sessions: &Sessions, name: &str) -> Result<(), DropError> {
    let options = session_options(premises.config, "backstay rehearsal");
    drop_database(&sessions.admin, &premises.config.database.admin_url, &options, name).await
}

async fn rehearse(
    premises: &Premises<'_>,
    sessions: &Sessions,
    made: &str,
    renamed: &str,
) -> Result<Vec<Finding>, Failure> {
    let attributes =
        DatabaseAttributes::read(&sessions.admin, premises.config.database.url.database()).await?;
    let owner = quote_ident(&attributes.owner);
    execute(
        &sessions.admin,
        "make",
        made,
        &format!("CREATE DATABASE {} TEMPLATE template0 OWNER {owner}", quote_ident(made)),
    )
    .await?;
    let refused = apply_attributes(&sessions.admin, made, &attributes).await?;
    let findings = refused
        .iter()
        .map(|r| {
            Finding::blocks(
                format!("a clone could not be given this attribute of production: {} ({})", r.statement, r.reason),
                "have a superuser take that attribute away or set it for all databases, or grant our role what it needs",
            )
        })
        .collect();
    for user in [direct(premises.config), &premises.config.database.admin_url] {
        let options = session_options(premises.config, "backstay rehearsal");
        let session = pg::connect(&user.with_database(made), &options).await.map_err(|error| {
            Failure::from(error)
                .then("a pg_hba.conf line that names databases must let ours in: use all, or a /pattern on 16 and newer")
        })?;
        session.close().await;
    }
    let rename = format!("ALTER DATABASE {} RENAME TO {}", quote_ident(made), quote_ident(renamed));
    let shut = format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", quote_ident(made));
    execute(&sessions.admin, "close", made, &shut).await?;
    rename_when_empty(&sessions.admin, made, &rename).await?;
    Ok(findings)
}

/// A session that just ended may still be seen for a moment.
async fn rename_when_empty(admin: &Session, name: &str, statement: &str) -> Result<(), Failure> {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(5);
    loop {
        match admin.batch_execute(statement).await {
            Ok(()) => return Ok(()),
            Err(error) if pg::sqlstate(&error) == Some("55006") && tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            Err(error) => {
                return Err(pg::refused(&format!("rename the rehearsal's database {name}"), &error));
            }
        }
    }
}

async fn execute(admin: &Session, verb: &str, name: &str, statement: &str) -> Result<(), Failure> {
    let what = format!("{verb} the rehearsal's database {name}");
    admin.batch_execute(statement).await.map_err(|error| pg::refused(&what, &error))
}
