//! The one connection that holds the run's lock and on which databases are closed, cloned, swapped and dropped.

use std::time::Duration;

use tokio_postgres::SimpleQueryMessage;
use xxhash_rust::xxh3::xxh3_64;

use crate::failure::Failure;
use crate::pg::catalog::{self, Database, SystemIdentifier};
use crate::pg::drop_database::drop_database;
use crate::pg::{self, ConnInfo, Session, SessionOptions, refused};

/// How often a lock that somebody holds is asked for again. Polled, never awaited inside the server: a
/// blocked waiter holds a snapshot, and that deadlocks with concurrent index builds.
const POLL: Duration = Duration::from_millis(250);

/// How long to wait for a lock that somebody holds.
///
/// The server's process of a driver that died goes at once if it was idle; a statement that it had under way
/// may go on for a while (`client_connection_check_interval` ends it, from version 14 on). A holder that stays
/// and does nothing is alive.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// While the holder is idle.
    pub idle: Duration,
    /// While the holder has a statement under way, or nobody tells us.
    pub busy: Duration,
}

impl Patience {
    /// The same, whatever the holder does.
    pub const fn of(wait: Duration) -> Self {
        Self { idle: wait, busy: wait }
    }
}

/// A session on the maintenance database, holding the advisory lock of one production database.
pub struct Admin {
    session: Session,
    info: ConnInfo,
    options: SessionOptions,
    key: i64,
    /// The server's function that tries to take the lock.
    try_lock: &'static str,
}

impl Admin {
    /// Connects to the maintenance database at `info` and takes the lock of the production database
    /// called `name`, waiting as long as `patience` lasts.
    ///
    /// # Errors
    /// The connection's failure; or a refusal that names who holds the lock.
    pub async fn acquire(
        info: ConnInfo,
        options: SessionOptions,
        name: &str,
        patience: Patience,
    ) -> Result<Self, Failure> {
        Self::open(info, options, name, "pg_try_advisory_lock", patience).await
    }

    /// As [`Admin::acquire`], but beside others who share it: it keeps runs out, and is kept out by one. At once.
    ///
    /// # Errors
    /// As [`Admin::acquire`].
    pub async fn share(info: ConnInfo, options: SessionOptions, name: &str) -> Result<Self, Failure> {
        let patience = Patience::of(Duration::ZERO);
        Self::open(info, options, name, "pg_try_advisory_lock_shared", patience).await
    }

    async fn open(
        info: ConnInfo,
        options: SessionOptions,
        name: &str,
        try_lock: &'static str,
        patience: Patience,
    ) -> Result<Self, Failure> {
        let session = pg::connect(&info, &options).await?;
        let key = lock_key(&system(&session).await?, name);
        let admin = Self { session, info, options, key, try_lock };
        admin.lock(name, patience).await?;
        Ok(admin)
    }

    /// Makes sure that the lock is still held; connects and locks again if the connection is gone.
    ///
    /// # Errors
    /// As [`Admin::acquire`]: whoever holds the lock now may be another driver.
    pub async fn ensure(&mut self, name: &str, patience: Patience) -> Result<(), Failure> {
        if self.session.simple_query("").await.is_ok() {
            return Ok(());
        }
        self.session = pg::connect(&self.info, &self.options).await?;
        self.lock(name, patience).await
    }

    async fn lock(&self, name: &str, patience: Patience) -> Result<(), Failure> {
        let began = tokio::time::Instant::now();
        loop {
            let row = self
                .session
                .query_one(&format!("SELECT pg_catalog.{}($1)", self.try_lock), &[&self.key])
                .await
                .map_err(|error| refused("take the run's lock", &error))?;
            if row.get::<_, bool>(0) {
                return Ok(());
            }
            let waited = began.elapsed();
            if waited >= patience.idle.min(patience.busy) {
                let (holder, idle) = self.holder().await;
                if waited >= if idle { patience.idle } else { patience.busy } {
                    return Err(held(name, &holder));
                }
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Who holds the lock, in words, and whether that session is idle.
    async fn holder(&self) -> (String, bool) {
        let query = "SELECT a.pid, a.application_name, a.usename::text, coalesce(host(a.client_addr), 'local'), \
                     a.backend_start::text, coalesce(a.state, '') LIKE 'idle%' FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid) \
                     WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 \
                     AND (l.classid::bigint << 32 | l.objid::bigint) = $1 ORDER BY a.backend_start LIMIT 1";
        match self.session.query_opt(query, &[&self.key]).await {
            Ok(Some(row)) => {
                let holder = format!(
                    "{} (server process {}, user {}, from {}, since {})",
                    row.get::<_, String>(1),
                    row.get::<_, i32>(0),
                    row.get::<_, Option<String>>(2).unwrap_or_default(),
                    row.get::<_, String>(3),
                    row.get::<_, Option<String>>(4).unwrap_or_default(),
                );
                (holder, row.get(5))
            }
            _ => ("somebody who was gone when we looked".to_string(), false),
        }
    }

    /// The session itself, for statements of the window.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The session, for transactions.
    pub fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Where it is connected; with another database's name it is the way there.
    pub fn info(&self) -> &ConnInfo {
        &self.info
    }

    /// The database with this id, whatever it is called now.
    ///
    /// # Errors
    /// The query's.
    pub async fn by_oid(&self, oid: u32) -> Result<Option<Database>, Failure> {
        catalog::database_by_oid(&self.session, oid)
            .await
            .map_err(|error| refused("look for the database", &error))
    }

    /// What the database with this id is called now: one round trip, and no look at its size on disk.
    ///
    /// # Errors
    /// The query's.
    pub async fn name_of(&self, oid: u32) -> Result<Option<String>, Failure> {
        let query = format!("SELECT datname FROM pg_catalog.pg_database WHERE oid = {oid}");
        let answer = self.session.simple_query(&query).await;
        let answer = answer.map_err(|error| refused("look for the database", &error))?;
        Ok(answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(String::from),
            _ => None,
        }))
    }

    /// The database with this name.
    ///
    /// # Errors
    /// The query's.
    pub async fn by_name(&self, name: &str) -> Result<Option<Database>, Failure> {
        catalog::database_by_name(&self.session, name)
            .await
            .map_err(|error| refused("look for the database", &error))
    }

    /// Every database that is a companion of `name`, with what its name says.
    ///
    /// # Errors
    /// The query's.
    pub async fn companions(&self, name: &str) -> Result<Vec<(Database, super::names::Trace)>, Failure> {
        companions(&self.session, name).await
    }

    /// Drops the database with this id; no error if it is gone.
    ///
    /// # Errors
    /// The server's, with the name that it has now.
    pub async fn drop_database(&self, oid: u32) -> Result<(), Failure> {
        let Some(database) = self.by_oid(oid).await? else { return Ok(()) };
        super::fence::end_sessions(&self.session, oid, Duration::from_secs(10)).await?;
        Ok(drop_database(&self.session, &self.info, &self.options, &database.name).await?)
    }
}

/// Every database that is a companion of `name`, with what its name says.
///
/// # Errors
/// The query's.
pub async fn companions(
    session: &Session,
    name: &str,
) -> Result<Vec<(Database, super::names::Trace)>, Failure> {
    let failed = |error: tokio_postgres::Error| refused("list databases", &error);
    let rows = session.query("SELECT oid, datname::text FROM pg_catalog.pg_database ORDER BY 2", &[]).await;
    let mut found = Vec::new();
    for row in rows.map_err(failed)? {
        let Some(trace) = super::names::trace(name, row.get(1)) else { continue };
        if let Some(database) = catalog::database_by_oid(session, row.get(0)).await.map_err(failed)? {
            found.push((database, trace));
        }
    }
    Ok(found)
}

/// The server's system identifier, as far as it is told: the same name on another server is another database.
///
/// # Errors
/// The query's.
pub async fn system(session: &Session) -> Result<String, Failure> {
    match catalog::system_identifier(session).await {
        Ok(SystemIdentifier::Known(number)) => Ok(number.to_string()),
        Ok(SystemIdentifier::Withheld(_)) => Ok("withheld".to_string()),
        Err(error) => Err(refused("read the server's system identifier", &error)),
    }
}

fn lock_key(system: &str, name: &str) -> i64 {
    xxh3_64(format!("backstay run lock\0{system}\0{name}").as_bytes()) as i64
}

fn held(name: &str, holder: &str) -> Failure {
    Failure::refused(format!("take the lock of {name}"))
        .because_of(format!("it is held by {holder}"))
        .leaving("nothing was changed")
        .then("wait for that run to end, or look at it with backstay status")
}
