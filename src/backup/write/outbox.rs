//! Between the threads that pack and the store: objects on their way, at most one waiting for each thread.

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};

use crate::backup::error::BackupError;
use crate::backup::manifest::Object;
use crate::backup::name::Place;
use crate::backup::pack::Packed;
use crate::store::{Created, Store};

/// An object that is to be created.
pub(super) struct Parcel {
    name: String,
    packed: Packed,
    receipt: oneshot::Sender<()>,
}

/// Where a thread puts what it packed. The next object is taken when the one before is durable: so memory
/// holds two for each thread, one being packed and one being stored.
pub(super) struct Outbox {
    parcels: mpsc::Sender<Parcel>,
    /// The receipt of the object before.
    pending: Option<oneshot::Receiver<()>>,
}

impl Outbox {
    /// Ends when nobody takes parcels any more.
    pub fn closed(&self) -> impl Future<Output = ()> + use<> {
        let parcels = self.parcels.clone();
        async move { parcels.closed().await }
    }

    /// Hands an object over, and gives it as the manifest has it.
    ///
    /// # Errors
    /// [`BackupError::GivenUp`] if an earlier object could not be stored, or nobody wants the backup any more.
    pub async fn send(&mut self, name: String, packed: Packed) -> Result<Object, BackupError> {
        self.settle().await?;
        let object = packed.object(&name);
        let (receipt, pending) = oneshot::channel();
        self.parcels.send(Parcel { name, packed, receipt }).await.map_err(|_| BackupError::GivenUp)?;
        self.pending = Some(pending);
        Ok(object)
    }

    /// Waits until all that was handed over is durable.
    ///
    /// # Errors
    /// As [`Outbox::send`].
    pub async fn settle(&mut self) -> Result<(), BackupError> {
        match self.pending.take() {
            Some(receipt) => receipt.await.map_err(|_| BackupError::GivenUp),
            None => Ok(()),
        }
    }
}

/// Runs a thread for each piece of `work` beside the store: each is given an outbox, all end before this returns.
///
/// `start` starts one piece on a thread of its own; it ends early when its outbox does.
///
/// # Errors
/// The first of the store's or of a thread's; all others end then, and their objects stay as leftovers.
pub(super) async fn run<W, T>(
    store: &dyn Store,
    place: &Place,
    work: Vec<W>,
    start: impl Fn(W, Outbox) -> tokio::task::JoinHandle<Result<T, BackupError>>,
) -> Result<Vec<T>, BackupError> {
    let (parcels, mut incoming) = mpsc::channel(work.len().max(1));
    let outbox = || Outbox { parcels: parcels.clone(), pending: None };
    let mut working: FuturesUnordered<_> = work.into_iter().map(|piece| start(piece, outbox())).collect();
    drop(parcels);
    let mut storing = FuturesUnordered::new();
    let mut results = Vec::new();
    loop {
        tokio::select! {
            Some(parcel) = incoming.recv() => storing.push(deliver(store, place, parcel)),
            Some(delivered) = storing.next() => delivered?,
            Some(ended) = working.next() => {
                let ended = ended.map_err(|_| BackupError::Thread("the backup".into()))?;
                results.push(ended?);
            }
            else => return Ok(results),
        }
    }
}

async fn deliver(store: &dyn Store, place: &Place, parcel: Parcel) -> Result<(), BackupError> {
    let Parcel { name, packed, receipt } = parcel;
    create(store, place, &name, packed.bytes).await?;
    // A thread that ended early wants no receipt.
    let _ = receipt.send(());
    Ok(())
}

/// Creates an object of the backup; it must be new, or be there with the same bytes (our own retried write).
///
/// # Errors
/// If the store refuses, or another's object has that name.
pub(super) async fn create(
    store: &dyn Store,
    place: &Place,
    name: &str,
    bytes: Bytes,
) -> Result<(), BackupError> {
    let full_name = place.object(name);
    match store.create(&full_name, bytes.clone()).await {
        Ok(Created::New) => Ok(()),
        Ok(Created::Exists) => match store.read(&full_name).await {
            Ok(there) if there == bytes => Ok(()),
            Ok(_) => Err(BackupError::IdTaken(place.id.clone())),
            Err(error) => Err(BackupError::store(store, error)),
        },
        Err(error) => Err(BackupError::store(store, error)),
    }
}
