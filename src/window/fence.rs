//! Close and open: nobody but us can reach the database, then everybody can again.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::error::SqlState;

use super::admin::Admin;
use super::names::{Role, Trace};
use super::survivors::{self, Survivor};
use super::tag::Tag;
use crate::config::Config;
use crate::failure::Failure;
use crate::pg::catalog::Database;
use crate::pg::{Session, quote_ident, refused};

const POLL: Duration = Duration::from_millis(10);

/// Sessions in one database that `close` has to end. Background workers have no user and are left to the
/// server, which ends them itself when the database is renamed.
const SESSIONS: &str = "SELECT pid FROM pg_catalog.pg_stat_activity \
     WHERE datid = $1 AND usename IS NOT NULL AND pid <> pg_catalog.pg_backend_pid()";

/// A session that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// Its server process.
    pub pid: i32,
    /// Its user.
    pub user: String,
    /// Its `application_name`.
    pub application: String,
}

/// Closes the database `oid` to everyone and gives it the name `window`, under which we alone know it.
///
/// Idempotent, from whatever state a crash left: each step looks first. New sessions are refused before
/// the present ones are ended, else reconnecting clients outrun us; and the rename is what holds, because
/// a superuser is not stopped by `ALLOW_CONNECTIONS false`. On failure the database may be refusing
/// connections: [`open`] undoes all of it.
///
/// # Errors
/// The server's; or, after `timeout`, who could not be made to leave.
pub async fn close(admin: &Admin, oid: u32, window: &str, timeout: Duration) -> Result<(), Failure> {
    let database = expect(admin, oid).await?;
    if database.name != window {
        allow_connections(admin.session(), oid, &database.name, false).await?;
        rename_when_empty(admin, &database, window, timeout).await?;
    }
    allow_connections(admin.session(), oid, window, true).await
}

/// Refuses new sessions in the database and ends those that are there; its name stays.
///
/// # Errors
/// As [`close`].
pub async fn shut(admin: &Admin, oid: u32, timeout: Duration) -> Result<Database, Failure> {
    let database = expect(admin, oid).await?;
    allow_connections(admin.session(), oid, &database.name, false).await?;
    end_sessions(admin.session(), oid, timeout).await?;
    Ok(database)
}

/// Gives the database `oid` the name `name` and lets everybody in. Idempotent.
///
/// # Errors
/// The server's; a refusal if another database has the name.
pub async fn open(admin: &Admin, oid: u32, name: &str, timeout: Duration) -> Result<(), Failure> {
    let database = expect(admin, oid).await?;
    if database.name != name {
        if let Some(other) = admin.by_name(name).await? {
            return Err(Failure::refused(format!("open the database as {name}"))
                .because_of(format!("database {} (oid {}) has that name already", other.name, other.oid))
                .then("look at both; backstay status names what is ours"));
        }
        allow_connections(admin.session(), oid, &database.name, false).await?;
        rename_when_empty(admin, &database, name, timeout).await?;
    }
    allow_connections(admin.session(), oid, name, true).await
}

/// Ends every session in the database, one by one, until none is left.
///
/// One statement over all of them would stop at the first that we may not end.
///
/// # Errors
/// After `timeout`: who is still there, and why.
pub async fn end_sessions(session: &Session, oid: u32, timeout: Duration) -> Result<(), Failure> {
    let deadline = Instant::now() + timeout;
    let mut denied = None;
    loop {
        let pids = session
            .query(SESSIONS, &[&oid])
            .await
            .map_err(|error| refused("list the database's sessions", &error))?;
        if pids.is_empty() {
            return Ok(());
        }
        for row in &pids {
            let pid: i32 = row.get(0);
            if let Err(error) = session.query("SELECT pg_catalog.pg_terminate_backend($1)", &[&pid]).await {
                denied = Some(refused("end a session", &error));
            }
        }
        if Instant::now() >= deadline {
            let failure = still_there(&blockers(session, oid).await?, denied, timeout);
            return Err(survivors::named(failure, survivors::subscriptions(session, oid).await?));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Ends every session of drivers of `run` before `epoch`, in whatever database it is, and waits until none is left.
/// Their statements would go on after their driver's death, and it may not be dead.
///
/// # Errors
/// The server's; after `timeout`, if one does not end.
pub async fn end_earlier(session: &Session, run: &str, epoch: u32, timeout: Duration) -> Result<(), Failure> {
    let deadline = Instant::now() + timeout;
    let query = "SELECT pid, application_name FROM pg_catalog.pg_stat_activity WHERE application_name LIKE 'backstay %'";
    loop {
        let rows = session.query(query, &[]).await;
        let rows = rows.map_err(|error| refused("list the sessions of earlier drivers", &error))?;
        let earlier = |tag: Tag| tag.run == run && tag.epoch < epoch;
        let left: Vec<(i32, String)> = rows
            .iter()
            .map(|row| (row.get(0), row.get(1)))
            .filter(|(_, name): &(i32, String)| Tag::parse(name).is_some_and(earlier))
            .collect();
        let Some((_, name)) = left.first() else { return Ok(()) };
        if Instant::now() >= deadline {
            return Err(Failure::refused("end the sessions of the run's earlier drivers")
                .because_of(format!("{name} is still there after {} s", timeout.as_secs()))
                .then("end it with pg_terminate_backend as a superuser, then resume again"));
        }
        for (pid, _) in &left {
            let ended = session.query("SELECT pg_catalog.pg_terminate_backend($1)", &[pid]).await;
            ended.map_err(|error| refused("end a session of an earlier driver", &error))?;
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The sessions in the database, for a person.
///
/// # Errors
/// The query's.
pub async fn blockers(session: &Session, oid: u32) -> Result<Vec<Blocker>, Failure> {
    let query = format!(
        "SELECT pid, usename::text, application_name FROM pg_catalog.pg_stat_activity WHERE pid IN ({SESSIONS})"
    );
    let rows = session.query(&query, &[&oid]).await;
    let rows = rows.map_err(|error| refused("list the database's sessions", &error))?;
    Ok(rows
        .iter()
        .map(|row| Blocker { pid: row.get(0), user: row.get(1), application: row.get(2) })
        .collect())
}

/// The database that a run has fenced, if one has `database`.
///
/// # Errors
/// The query's.
pub async fn find_fenced(session: &Session, database: &str) -> Result<Option<(Database, Trace)>, Failure> {
    let companions = super::admin::companions(session, database).await?;
    Ok(companions.into_iter().find(|(_, trace)| trace.role == Role::Window))
}

/// Refuses `what` where a run has the environment's database fenced: it bears another name then, and one that were
/// made or looked for by its own would stand beside it.
///
/// # Errors
/// The refusal, which names the run and the fenced database; the query's.
pub async fn refuse_fenced(session: &Session, config: &Config, what: &str) -> Result<(), Failure> {
    let database = config.database.url.database();
    match find_fenced(session, database).await? {
        None => Ok(()),
        Some((fenced, trace)) => Err(Failure::refused(what)
            .because_of(format!("run {} has {database} fenced as {}", trace.run, fenced.name))
            .leaving("nothing was changed")
            .then(format!("backstay resume {} -e {}", trace.run, config.environment))),
    }
}

/// `ALTER DATABASE … ALLOW_CONNECTIONS`.
///
/// # Errors
/// The server's, with who holds a lock on it if that was not had in time.
pub async fn allow_connections(session: &Session, oid: u32, name: &str, allow: bool) -> Result<(), Failure> {
    let what = if allow { "let sessions into" } else { "refuse sessions in" };
    let statement = format!("ALTER DATABASE {} ALLOW_CONNECTIONS {allow}", quote_ident(name));
    match session.batch_execute(&statement).await {
        Ok(()) => Ok(()),
        Err(error) => {
            let stayed = in_the_way(session, oid, &error).await?;
            Err(survivors::named(refused(&format!("{what} database {name}"), &error), stayed))
        }
    }
}

/// Ends sessions and renames, again and again: a session that was just authenticating when connections
/// were refused may still arrive.
async fn rename_when_empty(
    admin: &Admin,
    from: &Database,
    to: &str,
    timeout: Duration,
) -> Result<(), Failure> {
    let deadline = Instant::now() + timeout;
    let statement = format!("ALTER DATABASE {} RENAME TO {}", quote_ident(&from.name), quote_ident(to));
    loop {
        end_sessions(admin.session(), from.oid, deadline.saturating_duration_since(Instant::now())).await?;
        // Not waited for: nobody is let in any more who could end it.
        let prepared = survivors::prepared(admin.session(), from.oid).await?;
        if !prepared.is_empty() {
            let failure = Failure::refused(format!("rename database {} to {to}", from.name));
            return Err(survivors::named(failure, prepared));
        }
        match admin.session().batch_execute(&statement).await {
            Ok(()) => return Ok(()),
            Err(error) if in_use(&error) && Instant::now() < deadline => tokio::time::sleep(POLL).await,
            Err(error) => {
                let failure = refused(&format!("rename database {} to {to}", from.name), &error);
                let stayed = in_the_way(admin.session(), from.oid, &error).await?;
                return Err(survivors::named(failure, stayed));
            }
        }
    }
}

/// Who made a statement on the database fail with `error`.
async fn in_the_way(
    session: &Session,
    oid: u32,
    error: &tokio_postgres::Error,
) -> Result<Vec<Survivor>, Failure> {
    if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) {
        return survivors::holders(session, oid).await;
    }
    // Whoever uses it without a session that could be ended.
    if !in_use(error) {
        return Ok(Vec::new());
    }
    let mut found = survivors::subscriptions(session, oid).await?;
    found.extend(survivors::workers(session, oid).await?);
    Ok(found)
}

async fn expect(admin: &Admin, oid: u32) -> Result<Database, Failure> {
    admin.by_oid(oid).await?.ok_or_else(|| {
        Failure::refused(format!("find the database with oid {oid}"))
            .because_of("it does not exist any more")
            .then("somebody dropped it: restore the latest backup (backstay backup list)")
    })
}

fn in_use(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::OBJECT_IN_USE)
}

fn still_there(blockers: &[Blocker], denied: Option<Failure>, timeout: Duration) -> Failure {
    let named: Vec<String> =
        blockers.iter().map(|b| format!("process {} of {} ({})", b.pid, b.user, b.application)).collect();
    let failure = Failure::failed("end every session in the database").because_of(format!(
        "after {} still there: {}",
        crate::time::show_duration(timeout),
        named.join(", ")
    ));
    let failure = denied.into_iter().flat_map(|r| r.causes).fold(failure, Failure::because_of);
    failure.then(
        "end these sessions by hand as their user or a superuser, or grant pg_signal_backend to our role",
    )
}
