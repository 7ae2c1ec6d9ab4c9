//! Objects on their way from the store: decompressed, hashed, counted and held against the manifest on
//! blocking threads, in pieces, so that memory is bounded whatever the size of a table.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use super::error::BackupError;
use super::fingerprint::{RowHasher, TableContent};
use super::manifest::Object;
use super::pack::PIECE;
use super::verify::Mismatch;
use crate::store::Store;

/// Pieces that may wait between two stages.
const QUEUE: usize = 4;

/// Reads one object of a backup to its last byte: decompresses it, holds size and SHA-256 against the
/// manifest, and hands the text on through `output` if given.
///
/// The text that was handed on is proven only when this returns: whoever takes it must not commit before.
/// Gives the rows of COPY text, `None` if the last one has no end.
///
/// # Errors
/// [`BackupError::Mismatch`] if the object is not what the manifest says; else what the store says.
pub(super) async fn unpack(
    store: &dyn Store,
    full_name: &str,
    object: &Object,
    output: Option<mpsc::Sender<Bytes>>,
) -> Result<Option<TableContent>, BackupError> {
    let (sender, stored) = mpsc::channel(QUEUE);
    let compressed = object.name.ends_with(".gz");
    let stage = tokio::task::spawn_blocking(move || unpack_thread(stored, output, compressed));
    let reading = read_pieces(store, full_name, sender).await;
    let unpacked = stage.await.map_err(|_| BackupError::Thread(format!("reading {full_name}")))?;
    reading.map_err(|error| match error {
        BackupError::Store { source: crate::store::StoreError::Missing { .. }, .. } => {
            BackupError::Mismatch(Mismatch::Missing { object: object.name.clone() })
        }
        other => other,
    })?;
    unpacked.check(object).map_err(BackupError::Mismatch)?;
    Ok(unpacked.content)
}

async fn read_pieces(
    store: &dyn Store,
    full_name: &str,
    sender: mpsc::Sender<Vec<u8>>,
) -> Result<(), BackupError> {
    let mut reader = store.reader(full_name).await.map_err(|e| BackupError::store(store, e))?;
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        let read =
            (&mut reader).take(PIECE as u64).read_to_end(&mut piece).await.map_err(|source| {
                BackupError::Stream { verb: "read", object: full_name.to_string(), source }
            })?;
        if read == 0 || sender.send(piece).await.is_err() {
            return Ok(());
        }
    }
}

/// What the unpacking thread found.
struct Unpacked {
    raw_bytes: u64,
    stored_bytes: u64,
    sha256: String,
    broken: Option<String>,
    content: Option<TableContent>,
}

impl Unpacked {
    /// The stored bytes first: where they differ, what follows from them says nothing more.
    fn check(&self, object: &Object) -> Result<(), Mismatch> {
        let name = || object.name.clone();
        if self.stored_bytes != object.stored_bytes {
            return Err(Mismatch::Size {
                object: name(),
                expected: object.stored_bytes,
                found: self.stored_bytes,
            });
        }
        if self.sha256 != object.sha256 {
            return Err(Mismatch::Hash { object: name() });
        }
        if let Some(reason) = &self.broken {
            return Err(Mismatch::Undecodable { object: name(), reason: reason.clone() });
        }
        if self.raw_bytes != object.raw_bytes {
            return Err(Mismatch::RawSize {
                object: name(),
                expected: object.raw_bytes,
                found: self.raw_bytes,
            });
        }
        Ok(())
    }
}

/// The stored bytes as they come in, hashed and counted.
struct Inlet {
    stored: mpsc::Receiver<Vec<u8>>,
    piece: std::io::Cursor<Vec<u8>>,
    sha256: Sha256,
    bytes: u64,
}

impl Read for Inlet {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let read = Read::read(&mut self.piece, buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(piece) = self.stored.blocking_recv() else { return Ok(0) };
            self.sha256.update(&piece);
            self.bytes += piece.len() as u64;
            self.piece = std::io::Cursor::new(piece);
        }
    }
}

fn unpack_thread(
    stored: mpsc::Receiver<Vec<u8>>,
    output: Option<mpsc::Sender<Bytes>>,
    compressed: bool,
) -> Unpacked {
    let mut inlet = Inlet { stored, piece: std::io::Cursor::default(), sha256: Sha256::new(), bytes: 0 };
    let mut raw_bytes = 0;
    let mut rows = RowHasher::default();
    let mut take = |text: &mut dyn Read| -> std::io::Result<()> {
        loop {
            let mut piece = vec![0; PIECE];
            let read = text.read(&mut piece)?;
            if read == 0 {
                return Ok(());
            }
            piece.truncate(read);
            raw_bytes += read as u64;
            rows.update(&piece);
            if let Some(output) = &output {
                // Whoever took the text is gone: the rest is still read, for the proof.
                let _ = output.blocking_send(piece.into());
            }
        }
    };
    let read = if compressed { take(&mut MultiGzDecoder::new(&mut inlet)) } else { take(&mut inlet) };
    // A decoder stops where it stumbles; the hash is over every byte.
    let drained = std::io::copy(&mut inlet, &mut std::io::sink());
    Unpacked {
        raw_bytes,
        stored_bytes: inlet.bytes,
        sha256: hex::encode(inlet.sha256.finalize()),
        broken: read.and(drained.map(drop)).err().map(|error| error.to_string()),
        content: rows.finish(),
    }
}
