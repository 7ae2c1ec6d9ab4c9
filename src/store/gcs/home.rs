//! Where the bucket's connections live: threads of their own.
//!
//! A pooled connection, and the task that renews the credentials, belong to the runtime that they were made
//! on. Callers come from several: the workers of a backup each have a small one, which is busy compressing and
//! then gone. Made on one of those, a connection would stall with it, or break under another caller.

use std::io;
use std::sync::{Mutex, PoisonError};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinSet;

/// Requests wait more than they work; the second thread is for TLS and checksums.
const THREADS: usize = 2;

/// A runtime that is made when it is first needed, and left behind without waiting.
#[derive(Debug, Default)]
pub(super) struct Home(Mutex<Option<Runtime>>);

impl Home {
    /// Runs `work` there. Where the caller stops waiting, the work stops too.
    ///
    /// # Errors
    /// If the threads can't be started, or the work panicked.
    pub async fn run<T, Work>(&self, work: Work) -> io::Result<T>
    where
        T: Send + 'static,
        Work: Future<Output = T> + Send + 'static,
    {
        let mut tasks = JoinSet::new();
        tasks.spawn_on(work, &self.handle()?);
        match tasks.join_next().await {
            Some(done) => done.map_err(io::Error::other),
            None => Err(io::Error::other("the request was never begun")),
        }
    }

    fn handle(&self) -> io::Result<Handle> {
        let mut runtime = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = runtime.as_ref() {
            return Ok(runtime.handle().clone());
        }
        let made =
            Builder::new_multi_thread().worker_threads(THREADS).thread_name("store").enable_all().build()?;
        let handle = made.handle().clone();
        *runtime = Some(made);
        Ok(handle)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let runtime = self.0.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // Dropped as it is, a runtime waits for its threads, which an async caller must not.
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
    }
}
