//! Bytes on their way from the database to the store: compressed, hashed, counted and fingerprinted on
//! blocking threads, in pieces, so that memory is bounded whatever the size of a table.
//!
//! Between the stages stand queues of a few pieces each; a slow stage makes the ones before it wait.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::error::BackupError;
use super::fingerprint::{RowHasher, TableContent};
use super::manifest::{Codec, Object};
use crate::store::Store;

/// The size of a piece; a single row that is larger travels whole.
pub(super) const PIECE: usize = 256 * 1024;
/// Pieces that may wait between two stages.
pub(super) const QUEUE: usize = 4;

/// An object on its way to the store: pieces go in at one end, the future drives the other.
pub(super) struct Packing<'a> {
    store: &'a dyn Store,
    full_name: String,
    name: String,
    stage: tokio::task::JoinHandle<std::io::Result<Packed>>,
    packed: mpsc::Receiver<Vec<u8>>,
}

/// What the packing thread found.
struct Packed {
    raw_bytes: u64,
    stored_bytes: u64,
    sha256: String,
    content: Option<TableContent>,
}

/// Where the pieces go in. Dropped without [`Pieces::end`], the object is not written.
pub(super) struct Pieces {
    sender: mpsc::Sender<Piece>,
    buffer: Vec<u8>,
}

enum Piece {
    Bytes(Bytes),
    End,
}

/// What became of an object's bytes.
pub(super) struct Stored {
    /// The object, unless there was not one byte for it.
    pub object: Option<Object>,
    /// The rows, if the bytes are COPY text with every row ended.
    pub content: Option<TableContent>,
}

/// Begins an object: `full_name` on the store, `name` within the backup.
pub(super) fn pack<'a>(
    store: &'a dyn Store,
    full_name: String,
    name: String,
    codec: Codec,
) -> (Pieces, Packing<'a>) {
    let (sender, pieces) = mpsc::channel(QUEUE);
    let (output, packed) = mpsc::channel(QUEUE);
    let stage = tokio::task::spawn_blocking(move || pack_thread(pieces, output, codec));
    (Pieces { sender, buffer: Vec::with_capacity(PIECE) }, Packing { store, full_name, name, stage, packed })
}

impl Pieces {
    /// Takes bytes, small or large.
    ///
    /// Does nothing when the other end is gone: it then knows why.
    pub async fn put(&mut self, bytes: Bytes) {
        if bytes.len() >= PIECE {
            self.flush().await;
            let _ = self.sender.send(Piece::Bytes(bytes)).await;
            return;
        }
        self.buffer.extend_from_slice(&bytes);
        if self.buffer.len() >= PIECE {
            self.flush().await;
        }
    }

    /// Takes bytes that are only lent.
    pub async fn put_slice(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            self.flush().await;
        }
    }

    /// All bytes are in: the object may be finished.
    pub async fn end(mut self) {
        self.flush().await;
        let _ = self.sender.send(Piece::End).await;
    }

    async fn flush(&mut self) {
        if !self.buffer.is_empty() {
            let full = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
            let _ = self.sender.send(Piece::Bytes(full.into())).await;
        }
    }
}

impl Packing<'_> {
    /// Streams to the store until the pieces end, and makes the object appear. An object that got no byte
    /// at all is not created. If the pieces were dropped before their end, nothing appears.
    ///
    /// # Errors
    /// If the store refuses (a full disk), or the pieces' other end gave up.
    pub async fn finish(mut self) -> Result<Stored, BackupError> {
        let refused = |source| BackupError::Stream { verb: "write", object: self.full_name.clone(), source };
        let mut stored = Vec::new();
        while let Some(bytes) = self.packed.recv().await {
            stored.extend_from_slice(&bytes);
        }
        let packed = self
            .stage
            .await
            .map_err(|_| BackupError::Thread(format!("packing {}", self.full_name)))?
            .map_err(refused)?;
        let Packed { raw_bytes, stored_bytes, sha256, content } = packed;
        if stored.is_empty() {
            return Ok(Stored { object: None, content });
        }
        self.store
            .replace(&self.full_name, stored.into())
            .await
            .map_err(|e| BackupError::store(self.store, e))?;
        Ok(Stored { object: Some(Object { name: self.name, raw_bytes, stored_bytes, sha256 }), content })
    }
}

/// Passes compressed bytes on, hashed and counted.
struct Outlet {
    output: mpsc::Sender<Vec<u8>>,
    buffer: Vec<u8>,
    sha256: Sha256,
    bytes: u64,
}

impl Outlet {
    fn pass(&mut self) -> std::io::Result<()> {
        let full = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        self.sha256.update(&full);
        self.bytes += full.len() as u64;
        self.output.blocking_send(full).map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            self.pass()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn pack_thread(
    mut pieces: mpsc::Receiver<Piece>,
    output: mpsc::Sender<Vec<u8>>,
    codec: Codec,
) -> std::io::Result<Packed> {
    let outlet = Outlet { output, buffer: Vec::with_capacity(PIECE), sha256: Sha256::new(), bytes: 0 };
    let (Codec::Gzip { level } | Codec::Zstd { level }) = codec;
    let mut encoder = GzEncoder::new(outlet, Compression::new(level.clamp(1, 9)));
    let mut rows = RowHasher::default();
    let mut raw_bytes = 0u64;
    loop {
        match pieces.blocking_recv() {
            Some(Piece::Bytes(bytes)) => {
                raw_bytes += bytes.len() as u64;
                rows.update(&bytes);
                encoder.write_all(&bytes)?;
            }
            Some(Piece::End) => break,
            // The source gave up: what came so far must not look like an object.
            None => {
                return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "its source ended early"));
            }
        }
    }
    let mut outlet = encoder.finish()?;
    if raw_bytes > 0 {
        outlet.pass()?;
    }
    Ok(Packed {
        raw_bytes,
        stored_bytes: outlet.bytes,
        sha256: hex::encode(outlet.sha256.finalize()),
        content: rows.finish(),
    })
}
