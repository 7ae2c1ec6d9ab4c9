//! The way into the guard, which is closed to everybody.

use std::time::Duration;

use crate::backup::open_pinned;
use crate::failure::Failure;
use crate::pg::{ConnInfo, Session, SessionOptions};
use crate::window::admin::Admin;
use crate::window::fence;
use crate::window::guard::Guard;

/// The guard's door: opened only if something must be compared, and only as long as it takes us to step in.
///
/// A crash may leave the guard open to connections; [`Door::shut`] and the swap shut it again.
pub struct Door<'a> {
    admin: &'a Admin,
    server: ConnInfo,
    options: SessionOptions,
    guard: &'a Guard,
    production: &'a str,
    inside: Option<Session>,
}

impl<'a> Door<'a> {
    /// The door of `guard`, on `server`, as long as the guard is not `production`, by name.
    pub fn new(
        admin: &'a Admin,
        server: ConnInfo,
        options: SessionOptions,
        guard: &'a Guard,
        production: &'a str,
    ) -> Self {
        Self { admin, server, options, guard, production, inside: None }
    }

    /// Whether the guard is a clone: then its objects have the ids of the live database's.
    pub(super) fn is_clone(&self) -> bool {
        self.guard.backup.is_none()
    }

    /// The guard that it leads to.
    pub(super) fn guard(&self) -> &Guard {
        self.guard
    }

    /// A session in the guard.
    ///
    /// # Errors
    /// If the guard is gone, or production already: then users are in it; the server's, or the connection's.
    pub(super) async fn session(&mut self) -> Result<&Session, Failure> {
        if self.inside.is_none() {
            let name = self.admin.name_of(self.guard.oid).await?.ok_or_else(|| self.gone())?;
            if name == self.production {
                return Err(self.serves());
            }
            fence::allow_connections(self.admin.session(), self.guard.oid, &name, true).await?;
            let opened = open_pinned(&self.server.with_database(&name), &self.options).await;
            fence::allow_connections(self.admin.session(), self.guard.oid, &name, false).await?;
            self.inside = Some(opened?);
        }
        self.inside.as_ref().ok_or_else(|| self.gone())
    }

    /// Leaves, and makes sure that nobody else slipped in. Nothing, if it was never opened.
    ///
    /// # Errors
    /// As [`fence::shut`].
    pub async fn shut(self, timeout: Duration) -> Result<(), Failure> {
        let Some(session) = self.inside else { return Ok(()) };
        session.close().await;
        fence::shut(self.admin, self.guard.oid, timeout).await.map(drop)
    }

    fn serves(&self) -> Failure {
        Failure::refused("compare the database with the guard")
            .because_of(format!(
                "the guard (oid {}) is production: it bears the name {}",
                self.guard.oid, self.production
            ))
            .leaving("neither of the two was touched")
            .then("backstay status shows both")
    }

    fn gone(&self) -> Failure {
        Failure::refused("compare the database with the guard")
            .because_of(format!(
                "the guard {} (oid {}) does not exist any more",
                self.guard.name, self.guard.oid
            ))
            .then("restore the latest backup: backstay backup list")
    }
}
