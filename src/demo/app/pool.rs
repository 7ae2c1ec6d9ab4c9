//! A few connections, made when needed and thrown away when broken.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::pg::{self, ConnInfo, Session, SessionOptions};

/// At most so many connections.
const SIZE: usize = 4;

/// A bound on connecting and on each statement.
const PATIENCE: Duration = Duration::from_secs(2);

/// The pool.
pub(super) struct Pool {
    info: ConnInfo,
    options: SessionOptions,
    idle: Mutex<Vec<Arc<Session>>>,
    permits: Semaphore,
}

/// A connection for one request; it goes back to the pool unless it broke.
pub(super) struct Lease<'a> {
    pool: &'a Pool,
    session: Arc<Session>,
    _permit: SemaphorePermit<'a>,
}

impl Pool {
    /// An empty pool.
    pub(super) fn new(info: ConnInfo, application_name: &str) -> Self {
        let options = SessionOptions {
            application_name: application_name.to_string(),
            connect_timeout: PATIENCE,
            statement_timeout: Some(PATIENCE),
            ..SessionOptions::default()
        };
        Self { info, options, idle: Mutex::default(), permits: Semaphore::new(SIZE) }
    }

    /// An idle connection, or a new one.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn lease(&self) -> Result<Lease<'_>, String> {
        let permit = self.permits.acquire().await.map_err(|error| error.to_string())?;
        let session = match self.take() {
            Some(session) => session,
            None => {
                let made = pg::connect(&self.info, &self.options).await;
                Arc::new(made.map_err(|error| error.to_string())?)
            }
        };
        Ok(Lease { pool: self, session, _permit: permit })
    }

    fn take(&self) -> Option<Arc<Session>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|session| !session.is_closed());
        idle.pop()
    }
}

impl Deref for Lease<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if !self.session.is_closed() {
            let idle = &self.pool.idle;
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(self.session.clone());
        }
    }
}
