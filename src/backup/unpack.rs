//! Objects on their way from the store: decompressed, hashed, counted and held against the manifest on
//! blocking threads, in pieces, so that memory is bounded whatever the size of a table.

use std::io::{BufRead, Read};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use super::error::BackupError;
use super::fingerprint::{RowHasher, TableContent};
use super::manifest::{Chunk, Object, Table};
use super::mismatch::Mismatch;
use super::pack::PIECE;
use crate::store::{Store, StoreError};

/// Pieces that may wait between two stages.
const QUEUE: usize = 4;

/// The chunks of one object, in the order in which they stand there, each with its table.
pub(super) type Chunks<'a> = [(&'a Table, &'a Chunk)];

/// Reads one object of a backup to its last byte: decompresses it as its name says (`.gz`, `.zst`), holds
/// size and SHA-256 against the manifest, and hands the text on through `output` if given. Never decodes
/// more than the manifest's `raw_bytes`.
///
/// The text that was handed on is proven only when this returns: whoever takes it must not commit before.
///
/// # Errors
/// [`BackupError::Mismatch`] if the object, or the rows of one of its `chunks`, are not what the manifest
/// says; else what the store says.
pub(super) async fn unpack(
    store: &dyn Store,
    full_name: &str,
    object: &Object,
    chunks: &Chunks<'_>,
    output: Option<mpsc::Sender<Bytes>>,
) -> Result<(), BackupError> {
    let (sender, stored) = mpsc::channel(QUEUE);
    let lengths = chunks.iter().map(|(_, chunk)| chunk.bytes).collect();
    let (name, most) = (object.name.clone(), object.raw_bytes);
    let stage = tokio::task::spawn_blocking(move || {
        let inlet = Inlet { stored, piece: Vec::new(), at: 0, sha256: Sha256::new(), bytes: 0 };
        let text = Text { output, most, raw_bytes: 0, rows: RowsOfChunks::new(lengths) };
        unpack_thread(inlet, text, &name)
    });
    let reading = read_pieces(store, full_name, sender).await;
    let unpacked = stage.await.map_err(|_| BackupError::Thread(format!("reading {full_name}")))?;
    reading.map_err(|error| match error {
        BackupError::Store { source: StoreError::Missing { .. }, .. } => {
            BackupError::Mismatch(Mismatch::Missing { object: object.name.clone() })
        }
        other => other,
    })?;
    unpacked.check(object, chunks).map_err(BackupError::Mismatch)
}

/// The whole text of one object, proven. For what is small or needed whole: DDL, objects that tables share.
///
/// # Errors
/// As [`unpack`].
pub(super) async fn unpack_whole(
    store: &dyn Store,
    full_name: &str,
    object: &Object,
    chunks: &Chunks<'_>,
) -> Result<Bytes, BackupError> {
    let (sender, mut pieces) = mpsc::channel::<Bytes>(QUEUE);
    let collect = async {
        let mut text = Vec::new();
        while let Some(piece) = pieces.recv().await {
            text.extend_from_slice(&piece);
        }
        Ok(text)
    };
    let ((), text) = tokio::try_join!(unpack(store, full_name, object, chunks, Some(sender)), collect)?;
    Ok(text.into())
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

/// The stored bytes as they come in, hashed and counted.
struct Inlet {
    stored: mpsc::Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
    sha256: Sha256,
    bytes: u64,
}

impl BufRead for Inlet {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.at == self.piece.len()
            && let Some(piece) = self.stored.blocking_recv()
        {
            self.sha256.update(&piece);
            self.bytes += piece.len() as u64;
            (self.piece, self.at) = (piece, 0);
        }
        Ok(&self.piece[self.at..])
    }

    fn consume(&mut self, bytes: usize) {
        self.at = self.piece.len().min(self.at + bytes);
    }
}

impl Read for Inlet {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = Read::read(&mut self.fill_buf()?, buffer)?;
        self.consume(read);
        Ok(read)
    }
}

/// The text as it is handed on, counted, its rows hashed.
struct Text {
    output: Option<mpsc::Sender<Bytes>>,
    /// Bytes by the manifest.
    most: u64,
    raw_bytes: u64,
    rows: RowsOfChunks,
}

impl Text {
    fn take(&mut self, source: &mut dyn Read) -> std::io::Result<()> {
        loop {
            // One byte more would tell that there are more than the manifest's: it is counted, not passed on.
            let left = (self.most - self.raw_bytes).saturating_add(1);
            let mut piece = Vec::with_capacity(PIECE);
            let read = (&mut *source).take(left.min(PIECE as u64)).read_to_end(&mut piece)? as u64;
            if read == 0 {
                return Ok(());
            }
            if read == left {
                self.raw_bytes += read;
                return Ok(());
            }
            self.raw_bytes += read;
            self.rows.update(&piece);
            if let Some(output) = &self.output {
                // Whoever took the text may be gone: the rest is still read, for the proof.
                let _ = output.blocking_send(piece.into());
            }
        }
    }
}

/// Hashes the rows of each chunk of an object by themselves.
struct RowsOfChunks {
    lengths: std::vec::IntoIter<u64>,
    /// Bytes of the present chunk that are still to come.
    left: Option<u64>,
    hasher: RowHasher,
    done: Vec<Option<TableContent>>,
}

impl RowsOfChunks {
    fn new(lengths: Vec<u64>) -> Self {
        let mut lengths = lengths.into_iter();
        Self { left: lengths.next(), lengths, hasher: RowHasher::default(), done: Vec::new() }
    }

    /// Takes the next piece, cut anywhere.
    fn update(&mut self, mut piece: &[u8]) {
        while let Some(left) = self.left
            && !piece.is_empty()
        {
            let here = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            self.hasher.update(&piece[..here]);
            piece = &piece[here..];
            match left - here as u64 {
                0 => self.next_chunk(),
                rest => self.left = Some(rest),
            }
        }
    }

    fn next_chunk(&mut self) {
        self.done.push(std::mem::take(&mut self.hasher).finish());
        self.left = self.lengths.next();
    }

    /// Rows and fingerprint of each chunk; `None` where the last row has no end.
    fn finish(mut self) -> Vec<Option<TableContent>> {
        while self.left.is_some() {
            self.next_chunk();
        }
        self.done
    }
}

/// What the unpacking thread found.
struct Unpacked {
    raw_bytes: u64,
    stored_bytes: u64,
    sha256: String,
    broken: Option<String>,
    contents: Vec<Option<TableContent>>,
}

fn unpack_thread(mut inlet: Inlet, mut text: Text, name: &str) -> Unpacked {
    let extension = name.rsplit('.').next();
    let read = match extension {
        Some("gz") => text.take(&mut MultiGzDecoder::new(&mut inlet)),
        Some("zst") => {
            zstd::stream::read::Decoder::with_buffer(&mut inlet).and_then(|mut zst| text.take(&mut zst))
        }
        _ => text.take(&mut inlet),
    };
    // A decoder stops where it stumbles; the hash is over every byte.
    let drained = std::io::copy(&mut inlet, &mut std::io::sink());
    Unpacked {
        raw_bytes: text.raw_bytes,
        stored_bytes: inlet.bytes,
        sha256: hex::encode(inlet.sha256.finalize()),
        broken: read.and(drained.map(drop)).err().map(|error| error.to_string()),
        contents: text.rows.finish(),
    }
}

impl Unpacked {
    /// The stored bytes first: where they differ, what follows from them says nothing more.
    fn check(self, object: &Object, chunks: &Chunks<'_>) -> Result<(), Mismatch> {
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
        if let Some(reason) = self.broken {
            return Err(Mismatch::Undecodable { object: name(), reason });
        }
        if self.raw_bytes > object.raw_bytes {
            return Err(Mismatch::TooLong { object: name(), expected: object.raw_bytes });
        }
        if self.raw_bytes != object.raw_bytes {
            return Err(Mismatch::RawSize {
                object: name(),
                expected: object.raw_bytes,
                found: self.raw_bytes,
            });
        }
        let wrong =
            |((table, chunk), content): (&(&Table, &Chunk), _)| Mismatch::of_chunk(table, chunk, content);
        chunks.iter().zip(self.contents).find_map(wrong).map_or(Ok(()), Err)
    }
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
