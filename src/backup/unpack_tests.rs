use std::io::Write as _;

use super::*;
use crate::backup::fingerprint::Fingerprint;
use crate::backup::manifest::TableName;
use crate::store::Directory;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn object(name: &str, raw_bytes: usize, stored: &[u8]) -> Object {
    Object {
        name: name.into(),
        raw_bytes: raw_bytes as u64,
        stored_bytes: stored.len() as u64,
        sha256: hex::encode(Sha256::digest(stored)),
    }
}

async fn read(object: &Object, stored: &[u8]) -> Result<Bytes, BackupError> {
    let folder = tempfile::tempdir().unwrap();
    let store = Directory::new(folder.path());
    store.create("o", Bytes::copy_from_slice(stored)).await.unwrap();
    unpack_whole(&store, "o", object, &[]).await
}

#[tokio::test]
async fn each_codec_gives_the_text_back() {
    let text: Vec<u8> = (0..600_000u32).flat_map(|n| n.to_string().into_bytes()).collect();
    let zst = zstd::encode_all(&text[..], 3).unwrap();
    // Several members, several frames: one text.
    let (head, tail) = text.split_at(1_000_001);
    let members = [gzip(head), gzip(tail)].concat();
    let frames = [zstd::encode_all(head, 1).unwrap(), zstd::encode_all(tail, 1).unwrap()].concat();
    for (name, stored) in
        [("a.gz", gzip(&text)), ("a.gz", members), ("a.zst", zst), ("a.zst", frames), ("a.sql", text.clone())]
    {
        assert!(read(&object(name, text.len(), &stored), &stored).await.unwrap() == text, "{name}");
    }
}

#[tokio::test]
async fn no_more_is_decoded_than_the_manifest_says() {
    let bomb = vec![0; 50_000_000];
    for (name, stored) in [("a.gz", gzip(&bomb)), ("a.zst", zstd::encode_all(&bomb[..], 1).unwrap())] {
        for most in [0, 1, 1000, PIECE, bomb.len() - 1] {
            let error = read(&object(name, most, &stored), &stored).await.unwrap_err();
            assert!(
                matches!(&error, BackupError::Mismatch(Mismatch::TooLong { expected, .. }) if *expected == most as u64),
                "{name} {most}: {error}"
            );
        }
        let error = read(&object(name, bomb.len() + 1, &stored), &stored).await.unwrap_err();
        assert!(matches!(error, BackupError::Mismatch(Mismatch::RawSize { .. })), "{error}");
    }
}

#[tokio::test]
async fn a_cut_object_is_refused_even_where_its_hash_holds() {
    let text = vec![b'x'; 10_000];
    for (name, stored) in [("a.gz", gzip(&text)), ("a.zst", zstd::encode_all(&text[..], 1).unwrap())] {
        let cut = &stored[..stored.len() - 3];
        let error = read(&object(name, text.len(), cut), cut).await.unwrap_err();
        assert!(matches!(error, BackupError::Mismatch(Mismatch::Undecodable { .. })), "{name} {error}");
    }
}

#[test]
fn chunks_are_hashed_by_themselves_wherever_the_pieces_are_cut() {
    let hash = |text: &[u8]| {
        let mut hasher = RowHasher::default();
        hasher.update(text);
        hasher.finish()
    };
    let text = b"1\n22\n333\n4444\nx";
    let wanted = vec![hash(b"1\n22\n"), hash(b""), hash(b"333\n4444\n"), None];
    for size in 1..=text.len() {
        let mut rows = RowsOfChunks::new(vec![5, 0, 9, 1]);
        text.chunks(size).for_each(|piece| rows.update(piece));
        assert_eq!(rows.finish(), wanted, "in pieces of {size}");
    }
}

#[tokio::test]
async fn the_chunk_that_differs_is_named() {
    let text = b"1\n22\n333\n";
    let content = |text: &[u8]| {
        let mut hasher = RowHasher::default();
        hasher.update(text);
        hasher.finish().unwrap()
    };
    let table = |name: &str| Table {
        table: TableName::new("s", name),
        columns: Vec::new(),
        condition: None,
        through: None,
        wave: 0,
        rows: 0,
        fingerprint: Fingerprint::default(),
        chunks: Vec::new(),
    };
    let chunk = |from, bytes, content: TableContent| Chunk {
        object: "data/1.copy".into(),
        from,
        bytes,
        rows: content.rows,
        fingerprint: content.fingerprint,
    };
    let (a, b) = (table("a"), table("b"));
    let (one, two) = (chunk(0, 2, content(b"1\n")), chunk(2, 7, content(b"22\n334\n")));
    let folder = tempfile::tempdir().unwrap();
    let store = Directory::new(folder.path());
    store.create("o", Bytes::from_static(text)).await.unwrap();
    let object = object("data/1.copy", text.len(), text);
    let read = unpack(&store, "o", &object, &[(&a, &one), (&b, &two)], None).await;
    assert!(
        matches!(&read, Err(BackupError::Mismatch(Mismatch::Fingerprint { table, .. })) if table.name == "b"),
        "{read:?}"
    );
}
