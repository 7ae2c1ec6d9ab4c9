//! The findings as `ledger.json` has them. **Pure.**

use super::document::{self, Changed, Deletions, LargeObject, LargeObjects};
use super::large::LargeFound;
use super::look::{Found, SequenceFound};
use super::table::Gone;

/// What is known of the rows that are gone, and how many they are.
pub(super) fn deletions(gone: &Gone) -> (Deletions, u64) {
    match gone {
        Gone::Nothing => (Deletions::None, 0),
        Gone::Keys(n) => (Deletions::Certain, *n),
        Gone::Mixed(n) => (Deletions::Mixed, *n),
        Gone::Counted(n, _) => (Deletions::Counted, *n),
    }
}

pub(super) fn sequence(sequence: &SequenceFound) -> document::Sequence {
    document::Sequence { sequence: sequence.name.clone(), at_open: sequence.then, now: sequence.now }
}

pub(super) fn large_objects(found: &LargeFound) -> Option<LargeObjects> {
    let written = found.written.iter().map(|object| LargeObject { oid: object.oid, bytes: object.bytes });
    (!found.is_empty()).then(|| LargeObjects {
        written: written.collect(),
        removed: found.removed.clone(),
        rights: found.rights,
    })
}

pub(super) fn definitions(found: &Found) -> Vec<Changed> {
    let changed = |what: &str, count, names| Changed { what: what.to_string(), count, names };
    let mut described: Vec<Changed> =
        found.definitions.iter().map(|d| changed(d.what, d.count, d.names.clone())).collect();
    if found.dropped > 0 {
        described.push(changed("functions, triggers or policies were dropped", found.dropped, vec![]));
    }
    described
}
