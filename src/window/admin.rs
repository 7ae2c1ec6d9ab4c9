//! The one connection that holds the run's lock and on which databases are closed, cloned, swapped and dropped.

use std::time::Duration;

use tokio_postgres::SimpleQueryMessage;
use xxhash_rust::xxh3::xxh3_64;

use super::tag::{self, Tag};
use crate::failure::Failure;
use crate::pg::catalog::{self, Database, SystemIdentifier};
use crate::pg::drop_database::drop_database;
use crate::pg::{self, ConnInfo, Session, SessionOptions, refused};

/// How often a lock that somebody holds is asked for again. Polled, never awaited inside the server: a
/// blocked waiter holds a snapshot, and that deadlocks with concurrent index builds.
const POLL: Duration = Duration::from_millis(250);

/// A session on the maintenance database, holding the advisory lock of one production database.
pub struct Admin {
    session: Session,
    info: Box<ConnInfo>,
    options: SessionOptions,
    key: i64,
}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its server process.
    pub pid: i32,
    /// Its `application_name`: a driver's is a [`Tag`].
    pub application: String,
    user: String,
    from: String,
    since: String,
}

impl Holder {
    /// The driver whose lock session it is, if it is one.
    pub fn driver(&self) -> Option<Tag> {
        Tag::parse(&self.application).filter(|tag| tag.role == tag::LOCK)
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.driver() {
            Some(tag) => write!(f, "driver {} of run {}", tag.epoch, tag.run)?,
            None => f.write_str(&self.application)?,
        }
        let Self { pid, user, from, since, application: _ } = self;
        write!(f, " (server process {pid}, user {user}, from {from}, since {since})")
    }
}

/// Why the lock was not had.
#[derive(Debug)]
pub enum NoLock {
    /// Somebody holds it. `None`: whoever it was had gone when we looked.
    Held(Option<Holder>, Failure),
    /// It could not be asked for.
    Failed(Failure),
}

impl From<Failure> for NoLock {
    fn from(failure: Failure) -> Self {
        NoLock::Failed(failure)
    }
}

impl From<NoLock> for Failure {
    fn from(no_lock: NoLock) -> Self {
        match no_lock {
            NoLock::Held(_, failure) | NoLock::Failed(failure) => failure,
        }
    }
}

impl Admin {
    /// Connects to the maintenance database at `info` and takes the lock of the production database
    /// called `name`, waiting `patience` for one that somebody holds: the server's process of a driver that died
    /// takes a moment to be gone.
    ///
    /// # Errors
    /// The connection's failure; or a refusal that names who holds the lock.
    pub async fn acquire(
        info: ConnInfo,
        options: SessionOptions,
        name: &str,
        patience: Duration,
    ) -> Result<Self, NoLock> {
        Self::open(info, options, name, "pg_try_advisory_lock", patience).await
    }

    /// As [`Admin::acquire`], but beside others who share it: it keeps runs out, and is kept out by one. At once.
    ///
    /// # Errors
    /// As [`Admin::acquire`].
    pub async fn share(info: ConnInfo, options: SessionOptions, name: &str) -> Result<Self, NoLock> {
        Self::open(info, options, name, "pg_try_advisory_lock_shared", Duration::ZERO).await
    }

    async fn open(
        info: ConnInfo,
        options: SessionOptions,
        name: &str,
        try_lock: &'static str,
        patience: Duration,
    ) -> Result<Self, NoLock> {
        let session = pg::connect(&info, &options).await.map_err(Failure::from)?;
        let key = lock_key(&system(&session).await?, name);
        lock(&session, try_lock, key, name, patience).await?;
        Ok(Self { session, info: Box::new(info), options, key })
    }

    /// Whether the session, and with it the lock, is still there. One that gives no answer for as long as connecting
    /// may take is not.
    pub async fn is_alive(&self) -> bool {
        self.session.answers_within(self.options.connect_timeout).await
    }

    /// The number of the lock, by which `pg_locks` shows it.
    pub fn key(&self) -> i64 {
        self.key
    }

    /// Names the session in `pg_stat_activity` as the lock session of this driver.
    ///
    /// # Errors
    /// The server's.
    pub async fn sign(&self, run: &str, epoch: u32) -> Result<(), Failure> {
        let tag = Tag::new(run, epoch, tag::LOCK);
        let set = "SELECT pg_catalog.set_config('application_name', $1, false)";
        let set = self.session.execute(set, &[&tag.to_string()]).await;
        set.map(drop).map_err(|error| refused("name the session that holds the lock", &error))
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

/// Polls for the lock until it is had or `patience` has passed.
async fn lock(
    session: &Session,
    try_lock: &str,
    key: i64,
    name: &str,
    patience: Duration,
) -> Result<(), NoLock> {
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        let row = session
            .query_one(&format!("SELECT pg_catalog.{try_lock}($1)"), &[&key])
            .await
            .map_err(|error| refused("take the run's lock", &error))?;
        if row.get::<_, bool>(0) {
            return Ok(());
        }
        if tokio::time::Instant::now() >= deadline {
            let holder = holder(session, key).await?;
            let failure = held(name, holder.as_ref());
            return Err(NoLock::Held(holder, failure));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Who holds the lock of the database called `name`; asked by a session that need not hold anything.
///
/// # Errors
/// The query's.
pub async fn holder_of(session: &Session, name: &str) -> Result<Option<Holder>, Failure> {
    let key = lock_key(&system(session).await?, name);
    holder(session, key).await
}

/// As [`holder_of`], for who knows the lock's number ([`Admin::key`]).
///
/// # Errors
/// The query's.
pub async fn holder(session: &Session, key: i64) -> Result<Option<Holder>, Failure> {
    let query = "SELECT a.pid, a.application_name, a.usename::text, coalesce(host(a.client_addr), 'local'), \
                 a.backend_start::text \
                 FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid) \
                 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 \
                 AND (l.classid::bigint << 32 | l.objid::bigint) = $1 ORDER BY a.backend_start LIMIT 1";
    let row = session.query_opt(query, &[&key]).await;
    let row = row.map_err(|error| refused("look who holds the lock", &error))?;
    let text = |row: &tokio_postgres::Row, i: usize| row.get::<_, Option<String>>(i).unwrap_or_default();
    Ok(row.map(|row| Holder {
        pid: row.get(0),
        application: text(&row, 1),
        user: text(&row, 2),
        from: text(&row, 3),
        since: text(&row, 4),
    }))
}

fn held(name: &str, holder: Option<&Holder>) -> Failure {
    let by = match holder {
        Some(holder) => format!("it is held by {holder}"),
        None => "it was held by somebody who was gone when we looked".to_string(),
    };
    Failure::refused(format!("take the lock of {name}"))
        .because_of(by)
        .leaving("nothing was changed")
        .then("wait for that run to end, or look at it with backstay status")
}
