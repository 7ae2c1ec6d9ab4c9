//! A manifest is read only whole and as it was written: what it adds up to can be relied on, no byte of it can be
//! changed, and a newer one is refused. The record of a proof is the same when it is written and read again.

use backstay::backup::fingerprint::Content;
use backstay::backup::manifest::{FORMAT, Manifest, ManifestError};
use backstay::backup::proof::ProofRecord;

/// See the module.
pub fn hold(input: &[u8]) {
    if let Ok(read) = Manifest::parse(input) {
        adds_up(&read);
    }
    if let Ok(manifest) = serde_json::from_slice::<Manifest>(input) {
        sealed(&manifest, input);
    }
    if let Ok(record) = serde_json::from_slice::<ProofRecord>(input) {
        let text = serde_json::to_vec_pretty(&record).expect("what was read can be written");
        assert_eq!(serde_json::from_slice::<ProofRecord>(&text).ok(), Some(record));
    }
}

/// What the input says, with a checksum that holds: whoever changes a manifest can mend that too.
fn sealed(manifest: &Manifest, input: &[u8]) {
    let manifest = Manifest { format: FORMAT, ..manifest.clone() };
    let bytes = manifest.to_bytes().expect("what was read can be written");
    match Manifest::parse(&bytes) {
        Ok(read) => {
            assert_eq!(Manifest { checksum: manifest.checksum.clone(), ..read.clone() }, manifest);
            assert_eq!(read.to_bytes().ok().as_ref(), Some(&bytes));
            adds_up(&read);
        }
        Err(error) => {
            let checksum = matches!(error, ManifestError::Json(_) | ManifestError::Format(_));
            assert!(!checksum, "what we wrote is refused: {error}");
        }
    }
    let newer = Manifest { format: FORMAT + 1, ..manifest.clone() };
    let newer = newer.to_bytes().expect("what was read can be written");
    assert!(matches!(Manifest::parse(&newer), Err(ManifestError::Format(_))));

    let seed = input.iter().fold(7usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    let mut changed = bytes;
    let at = seed % changed.len();
    changed[at] ^= 1 << (seed % 7);
    assert!(Manifest::parse(&changed).is_err(), "byte {at} was changed");
}

fn adds_up(manifest: &Manifest) {
    let sum = |sizes: &mut dyn Iterator<Item = u64>| sizes.map(u128::from).sum::<u128>();
    assert_eq!(u128::from(manifest.raw_bytes()), sum(&mut manifest.objects.iter().map(|o| o.raw_bytes)));
    assert_eq!(
        u128::from(manifest.stored_bytes()),
        sum(&mut manifest.objects.iter().map(|o| o.stored_bytes))
    );
    assert_eq!(u128::from(manifest.rows()), sum(&mut manifest.tables.iter().map(|table| table.rows)));
    for table in &manifest.tables {
        assert_eq!(u128::from(table.rows), sum(&mut table.chunks.iter().map(|chunk| chunk.rows)));
    }
    let chunks = manifest.tables.iter().map(|table| table.chunks.len()).sum::<usize>();
    let waves = manifest.waves();
    assert_eq!(waves.values().flatten().map(|(_, chunks)| chunks.len()).sum::<usize>(), chunks);
    assert!(manifest.large_object_parts().iter().all(|part| manifest.object(&part.name).is_some()));
    let _ = Content::of_manifest(manifest);
}
