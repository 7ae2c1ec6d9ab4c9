//! A database to try migrations in: made beside the real one, used, dropped.
//!
//! Its name is that of a companion ([`crate::window::names`]), with the number of the server process that made it
//! in the epoch's place: of a maker that died the process is gone, and whoever makes the next one drops what it
//! left. `backstay status` shows it until then, `backstay cleanup` drops it.

use crate::backup::BackupError;
use crate::backup::attributes::{DatabaseAttributes, apply_attributes};
use crate::failure::Failure;
use crate::pg::drop_database::{DropError, drop_with_force};
use crate::pg::{self, ConnInfo, ConnectError, Session, SessionOptions, quote_ident, sqlstate};
use crate::window::names::{Role, companion, origin, trace};

/// A scratch database, empty at first. [`Scratch::within`] drops it whatever happens in it.
#[derive(Debug)]
pub struct Scratch {
    /// Its maker: while this session lives, nobody takes the database for a leftover.
    admin: Session,
    way: ConnInfo,
    options: SessionOptions,
    info: ConnInfo,
}

/// Why there is no scratch database; worded to follow "could not".
#[derive(Debug, thiserror::Error)]
pub enum ScratchError {
    /// No session on the maintenance database, or on the new one.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The role may not create databases.
    #[error("create a scratch database: {role} may not create databases")]
    NotAllowed {
        /// The role.
        role: String,
    },
    /// The attributes of the real database can't be read.
    #[error(transparent)]
    Attributes(#[from] BackupError),
    /// The server refused.
    #[error("{what}")]
    Sql {
        /// What was being done.
        what: String,
        /// What it said.
        #[source]
        source: tokio_postgres::Error,
    },
    /// It can't be dropped again.
    #[error("drop the scratch database {name}")]
    Drop {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: Box<DropError>,
    },
}

impl Scratch {
    /// Makes one, with the encoding, locale and settings of the database of `like` (the server's own if there is
    /// none of that name), for the role of `like` to do in it what the owner of a database may do.
    ///
    /// `admin` leads to a database that stays, such as `postgres`, as a role that may create databases. What
    /// makers that died have left is dropped first. A crash leaves the database.
    ///
    /// # Errors
    /// [`ScratchError`]; nothing is left then.
    pub async fn create(
        admin: &ConnInfo,
        like: &ConnInfo,
        options: &SessionOptions,
    ) -> Result<Self, ScratchError> {
        let session = pg::connect(admin, options).await?;
        let production = origin(like.database());
        drop_abandoned(&session, admin, options, production).await;
        let maker = session.pid().unsigned_abs();
        let name = companion(production, Role::Scratch, &crate::id::fresh(crate::time::now()), maker);
        let attributes = attributes_of(&session, like.database()).await?;
        let owner = match may_give_to(&session, like.user()).await? {
            true => like.user(),
            false => admin.user(),
        };
        let statement = match &attributes {
            Some(real) => {
                DatabaseAttributes { owner: owner.to_string(), ..real.clone() }.create_statement(&name)
            }
            None => format!(
                "CREATE DATABASE {} TEMPLATE template0 OWNER {}",
                quote_ident(&name),
                quote_ident(owner)
            ),
        };
        session.batch_execute(&statement).await.map_err(|source| match sqlstate(&source) {
            Some("42501") => ScratchError::NotAllowed { role: admin.user().to_string() },
            _ => ScratchError::Sql { what: format!("create the scratch database {name}"), source },
        })?;
        let scratch = Self {
            admin: session,
            way: admin.clone(),
            options: options.clone(),
            info: like.with_database(&name),
        };
        match scratch.dress(attributes, owner).await {
            Ok(()) => Ok(scratch),
            Err(error) => {
                // What made it useless is the first cause; a drop that fails too leaves it for `cleanup`.
                let _ = scratch.drop().await;
                Err(error)
            }
        }
    }

    /// Makes one, does `work` in it, and drops it.
    ///
    /// # Errors
    /// Those of `work`, which go before one of the drop.
    pub async fn within<T, E: From<ScratchError>>(
        admin: &ConnInfo,
        like: &ConnInfo,
        options: &SessionOptions,
        work: impl AsyncFnOnce(&ConnInfo) -> Result<T, E>,
    ) -> Result<T, E> {
        let scratch = Self::create(admin, like, options).await?;
        let done = work(&scratch.info).await;
        let dropped = scratch.drop().await;
        let done = done?;
        dropped?;
        Ok(done)
    }

    /// The way there, as the role of the real database.
    pub fn info(&self) -> &ConnInfo {
        &self.info
    }

    /// Drops it, and ends whatever sessions are in it.
    ///
    /// # Errors
    /// [`ScratchError::Drop`]; then it is left for the next maker, or `cleanup`.
    pub async fn drop(self) -> Result<(), ScratchError> {
        let name = self.info.database().to_string();
        drop_with_force(&self.admin, &self.way, &self.options, &name)
            .await
            .map_err(|source| ScratchError::Drop { name, source: Box::new(source) })
    }

    /// Gives it the real one's settings, and its user the rights of an owner.
    async fn dress(&self, attributes: Option<DatabaseAttributes>, owner: &str) -> Result<(), ScratchError> {
        let name = self.info.database();
        if let Some(real) = attributes {
            let settings = DatabaseAttributes {
                connection_limit: -1,
                is_template: false,
                privileges: None,
                comment: None,
                ..real
            };
            // What only a superuser may set stays unset: a scratch database is no copy.
            for refused in apply_attributes(&self.admin, name, &settings).await? {
                tracing::debug!(statement = refused.statement, reason = refused.reason, "not set");
            }
        }
        let user = self.info.user();
        if owner == user {
            return Ok(());
        }
        let (database, role) = (quote_ident(name), quote_ident(user));
        let sql = |source| ScratchError::Sql { what: format!("open the scratch database to {user}"), source };
        let grant = format!("GRANT ALL ON DATABASE {database} TO {role}");
        self.admin.batch_execute(&grant).await.map_err(sql)?;
        let inside = pg::connect(&self.way.with_database(name), &self.options).await?;
        inside.batch_execute(&format!("GRANT ALL ON SCHEMA public TO {role}")).await.map_err(sql)
    }
}

/// The attributes of the database called `name`, if there is one.
async fn attributes_of(session: &Session, name: &str) -> Result<Option<DatabaseAttributes>, ScratchError> {
    let query = "SELECT FROM pg_catalog.pg_database WHERE datname = $1";
    let found = session.query_opt(query, &[&name]).await;
    let found =
        found.map_err(|source| ScratchError::Sql { what: format!("look for database {name}"), source })?;
    match found {
        Some(_) => Ok(Some(DatabaseAttributes::read(session, name).await?)),
        None => Ok(None),
    }
}

/// Whether the role of this session may make `role` the owner of something.
async fn may_give_to(session: &Session, role: &str) -> Result<bool, ScratchError> {
    let query = "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1 \
                 AND pg_catalog.pg_has_role(oid, 'MEMBER'))";
    let row = session.query_one(query, &[&role]).await;
    let row = row.map_err(|source| ScratchError::Sql { what: format!("look for role {role}"), source })?;
    Ok(row.get(0))
}

/// Drops the scratch databases whose makers are gone. One that can't be dropped stands in nobody's way.
async fn drop_abandoned(admin: &Session, way: &ConnInfo, options: &SessionOptions, production: &str) {
    let Ok(rows) = admin.query("SELECT datname::text FROM pg_catalog.pg_database", &[]).await else { return };
    let alive = "SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE pid = $1::bigint)";
    for row in rows {
        let name: String = row.get(0);
        let Some(found) = trace(production, &name).filter(|found| found.role == Role::Scratch) else {
            continue;
        };
        let maker = i64::from(found.epoch);
        let gone = admin.query_one(alive, &[&maker]).await.is_ok_and(|row| !row.get::<_, bool>(0));
        if gone && let Err(error) = drop_with_force(admin, way, options, &name).await {
            tracing::debug!(%error, name, "an abandoned scratch database stays");
        }
    }
}

impl From<ScratchError> for Failure {
    fn from(error: ScratchError) -> Failure {
        match error {
            ScratchError::Connect(error) => Failure::from(error).then(
                "a pg_hba.conf line that names databases must let ours in: use all, or a /pattern on 16 and newer",
            ),
            ScratchError::NotAllowed { role } => Failure::refused("create a scratch database")
                .because_of(format!("{role} may not create databases"))
                .then(format!("ALTER ROLE {} CREATEDB", quote_ident(&role)))
                .then("or give an [database] admin_url of a role that may"),
            ScratchError::Attributes(error) => error.into(),
            ScratchError::Sql { what, source } => pg::refused(&what, &source),
            ScratchError::Drop { name, source } => Failure::from(*source)
                .leaving(format!("the scratch database {name} is left"))
                .then("backstay cleanup drops it"),
        }
    }
}
