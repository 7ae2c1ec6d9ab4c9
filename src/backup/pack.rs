//! Text to an object's bytes: compressed, counted, hashed and fingerprinted, in the caller's thread.
//!
//! An object is held whole in memory until the store has it, so every object but the largest row's own is
//! bounded ([`FULL`]): memory does not grow with the database, and a store that must know an object's length
//! and checksum beforehand can be told.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use super::fingerprint::{RowHasher, TableContent};
use super::manifest::{Codec, Object};

/// Pieces in which text is passed between stages; a single row that is larger travels whole.
pub(super) const PIECE: usize = 256 * 1024;
/// Stored bytes at which an object is full, and the next one begins.
pub(crate) const FULL: usize = 6 << 20;
/// Text is gathered to so much before it is compressed. For gzip a call costs more than a row's copy. For zstd
/// a block is a frame of its own: an encoder that is fed piece by piece looks for matches in a ring of its own
/// and takes half as long again, and at this size the frames cost less than one byte in a hundred.
const GZIP_BLOCK: usize = 64 << 10;
const ZSTD_BLOCK: usize = 1 << 20;

/// An object in the making.
pub(crate) struct Packer {
    encoder: Encoder,
    gathered: Vec<u8>,
    rows: RowHasher,
    raw_bytes: u64,
}

/// What encodes, onto the object's bytes.
enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Zstd { frames: zstd::bulk::Compressor<'static>, output: Vec<u8> },
}

/// An object's bytes, whole.
pub(crate) struct Packed {
    /// As they are stored.
    pub bytes: Bytes,
    /// Bytes before compression.
    pub raw_bytes: u64,
    /// SHA-256 of the stored bytes.
    pub sha256: String,
}

impl Packed {
    /// Text as it is.
    pub fn plain(text: &str) -> Self {
        let sha256 = hex::encode(Sha256::digest(text));
        Self { bytes: text.to_string().into(), raw_bytes: text.len() as u64, sha256 }
    }

    /// The object that these bytes are under `name`, as the manifest has it.
    pub fn object(&self, name: &str) -> Object {
        Object {
            name: name.to_string(),
            raw_bytes: self.raw_bytes,
            stored_bytes: self.bytes.len() as u64,
            sha256: self.sha256.clone(),
        }
    }
}

impl Packer {
    /// An empty object.
    ///
    /// # Errors
    /// If the codec's library has no memory for it.
    pub fn new(codec: Codec) -> io::Result<Self> {
        // What is never touched is not resident: a small object does not cost a full one's memory.
        let bytes = Vec::with_capacity(FULL + PIECE);
        let encoder = match codec {
            Codec::Gzip { level } => {
                Encoder::Gzip(GzEncoder::new(bytes, Compression::new(level.clamp(1, 9))))
            }
            Codec::Zstd { level } => {
                let level = i32::try_from(level.clamp(1, 19)).unwrap_or(1);
                Encoder::Zstd { frames: zstd::bulk::Compressor::new(level)?, output: bytes }
            }
        };
        let gathered = Vec::with_capacity(2 * encoder.block());
        Ok(Self { encoder, gathered, rows: RowHasher::default(), raw_bytes: 0 })
    }

    /// Takes text.
    ///
    /// # Errors
    /// As the codec's library says; none is known.
    pub fn put(&mut self, text: &[u8]) -> io::Result<()> {
        self.raw_bytes += text.len() as u64;
        if self.gathered.len() + text.len() <= self.gathered.capacity() {
            self.gathered.extend_from_slice(text);
        } else {
            // Too large to be gathered: a row of many megabytes is not copied once more.
            self.encode()?;
            self.rows.update(text);
            self.encoder.write(text)?;
        }
        if self.gathered.len() >= self.encoder.block() { self.encode() } else { Ok(()) }
    }

    fn encode(&mut self) -> io::Result<()> {
        self.rows.update(&self.gathered);
        self.encoder.write(&self.gathered)?;
        self.gathered.clear();
        Ok(())
    }

    /// Bytes of text so far.
    pub fn raw_bytes(&self) -> u64 {
        self.raw_bytes
    }

    /// Stored bytes so far; what the encoder still holds back is not counted.
    pub fn stored_bytes(&self) -> usize {
        self.encoder.output().len()
    }

    /// Takes the rows since the last call as a chunk of their own; `None` if the text ends in mid-row.
    ///
    /// # Errors
    /// As [`Packer::put`].
    pub fn end_chunk(&mut self) -> io::Result<Option<TableContent>> {
        self.encode()?;
        Ok(std::mem::take(&mut self.rows).finish())
    }

    /// The object's bytes.
    ///
    /// # Errors
    /// As [`Packer::put`].
    pub fn finish(mut self) -> io::Result<Packed> {
        self.encode()?;
        let bytes = match self.encoder {
            Encoder::Gzip(encoder) => encoder.finish()?,
            Encoder::Zstd { output, .. } => output,
        };
        let sha256 = hex::encode(Sha256::digest(&bytes));
        Ok(Packed { bytes: bytes.into(), raw_bytes: self.raw_bytes, sha256 })
    }
}

impl Encoder {
    fn block(&self) -> usize {
        match self {
            Encoder::Gzip(_) => GZIP_BLOCK,
            Encoder::Zstd { .. } => ZSTD_BLOCK,
        }
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        match self {
            Encoder::Gzip(encoder) => encoder.write_all(text),
            Encoder::Zstd { frames, output } => {
                for block in text.chunks(2 * ZSTD_BLOCK) {
                    output.extend_from_slice(&frames.compress(block)?);
                }
                Ok(())
            }
        }
    }

    fn output(&self) -> &Vec<u8> {
        match self {
            Encoder::Gzip(encoder) => encoder.get_ref(),
            Encoder::Zstd { output, .. } => output,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn pack(codec: Codec, pieces: &[&[u8]]) -> (Packed, Option<TableContent>) {
        let mut packer = Packer::new(codec).unwrap();
        pieces.iter().for_each(|piece| packer.put(piece).unwrap());
        let content = packer.end_chunk().unwrap();
        (packer.finish().unwrap(), content)
    }

    #[test]
    fn both_codecs_give_the_text_back() {
        let long = [vec![b'x'; 3 * ZSTD_BLOCK], b"\n".to_vec()].concat();
        let pieces: [&[u8]; 4] = [b"one\t1\n", &long, b"two\t2\n", b"three"];
        let whole = pieces.concat();
        let (gzip, cut) = pack(Codec::Gzip { level: 4 }, &pieces);
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&gzip.bytes[..]).read_to_end(&mut text).unwrap();
        assert_eq!((text.as_slice(), cut), (whole.as_slice(), None));
        let (zstd, _) = pack(Codec::Zstd { level: 1 }, &pieces);
        assert_eq!(zstd::decode_all(&zstd.bytes[..]).unwrap(), whole);
        assert_eq!((gzip.raw_bytes, zstd.raw_bytes), (whole.len() as u64, whole.len() as u64));
    }

    #[test]
    fn chunks_of_one_object_are_counted_apart() {
        let mut packer = Packer::new(Codec::default()).unwrap();
        packer.put(b"a\nb\n").unwrap();
        let first = packer.end_chunk().unwrap().unwrap();
        packer.put(b"b\na\n").unwrap();
        let second = packer.end_chunk().unwrap().unwrap();
        assert_eq!((first.rows, first), (2, second));
        assert_eq!(packer.raw_bytes(), 8);
    }
}
