//! Bytes on their way between the database and the store: compressed, hashed, counted and fingerprinted on
//! blocking threads, in pieces, so that memory is bounded whatever the size of a table.
//!
//! Between the stages stand queues of a few pieces each; a slow stage makes the ones before it wait.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use super::error::BackupError;
use super::fingerprint::{RowHasher, TableContent};
use super::manifest::{Codec, Object};
use super::verify::Mismatch;
use crate::store::Store;

/// The size of a piece; a single row that is larger travels whole.
pub(super) const PIECE: usize = 256 * 1024;
/// Pieces that may wait between two stages.
const QUEUE: usize = 4;

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
    let Codec::Gzip { level } = codec;
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
