//! Threads that read, compress and hash, apart from those that the rest of the program waits on.

use tokio::task::JoinHandle;

use super::outbox::Outbox;
use crate::backup::error::BackupError;

/// Starts `work` on a thread of its own with a runtime of its own: its session is driven by the same thread
/// that packs its rows, so bytes are handed from nobody to nobody. Ends early when its outbox does.
pub(super) fn spawn<T, F>(
    outbox: Outbox,
    work: impl FnOnce(Outbox) -> F + Send + 'static,
) -> JoinHandle<Result<T, BackupError>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, BackupError>>,
{
    tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| BackupError::Thread(format!("the backup ({e})")))?;
        let given_up = outbox.closed();
        runtime.block_on(async {
            tokio::select! {
                () = given_up => Err(BackupError::GivenUp),
                done = work(outbox) => done,
            }
        })
    })
}
