//! The content of a database as numbers that can be compared.
//!
//! A table's fingerprint is the sum, modulo 2^128, of the XXH3-128 of each of its rows as `COPY … TO STDOUT`
//! writes it (text format, our pinned settings, line end not included). A sum does not care for the order of
//! the rows, so chunks may be read in any order and a restored heap may lie differently; unlike an exclusive
//! or, it sees a row that is there twice. It guards against accidents, not against an adversary.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::manifest::{Manifest, Sequence, TableName};
pub(super) use super::reading::large_objects;
pub use super::reading::{Options, database, database_as, smallest};

/// A sum of row hashes; 32 hex digits as text.
#[derive(Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Fingerprint(u128);

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl std::fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> String {
        fingerprint.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        match u128::from_str_radix(&text, 16) {
            Ok(sum) if digits => Ok(Self(sum)),
            _ => Err(format!("{text:?} is no fingerprint")),
        }
    }
}

/// How many rows, and their fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableContent {
    /// Rows.
    pub rows: u64,
    /// Their fingerprint.
    pub fingerprint: Fingerprint,
}

impl std::ops::AddAssign for TableContent {
    fn add_assign(&mut self, other: Self) {
        self.rows = self.rows.wrapping_add(other.rows);
        self.fingerprint.0 = self.fingerprint.0.wrapping_add(other.fingerprint.0);
    }
}

/// Takes COPY text in pieces cut anywhere, and gives rows and fingerprint.
#[derive(Default)]
pub struct RowHasher {
    content: TableContent,
    /// The row that began in an earlier piece.
    open: Option<Box<Xxh3>>,
}

impl RowHasher {
    /// Takes the next piece.
    pub fn update(&mut self, mut piece: &[u8]) {
        // In COPY's text format a raw newline ends a row and nothing else: those in values are escaped.
        while let Some(end) = memchr::memchr(b'\n', piece) {
            let hash = match self.open.take() {
                Some(mut open) => {
                    open.update(&piece[..end]);
                    open.digest128()
                }
                None => xxh3_128(&piece[..end]),
            };
            self.content += TableContent { rows: 1, fingerprint: Fingerprint(hash) };
            piece = &piece[end + 1..];
        }
        if !piece.is_empty() {
            self.open.get_or_insert_with(Box::default).update(piece);
        }
    }

    /// Rows and fingerprint of all pieces; `None` if the last row has no end: the text was cut.
    pub fn finish(self) -> Option<TableContent> {
        self.open.is_none().then_some(self.content)
    }
}

/// The content of a database: what two databases that are copies of each other share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// Every table with rows of its own.
    pub tables: BTreeMap<TableName, TableContent>,
    /// Every sequence: `last_value` and `is_called`.
    pub sequences: BTreeMap<TableName, (i64, bool)>,
    /// Large objects, if there are any.
    pub large_objects: Option<TableContent>,
}

impl Content {
    /// What a backup says its database held.
    pub fn of_manifest(manifest: &Manifest) -> Self {
        Self {
            tables: add_up(manifest.tables.iter().map(|t| (t.counted_as().clone(), t.content()))),
            sequences: sequences(&manifest.sequences),
            large_objects: manifest.large_objects,
        }
    }

    /// What differs from `other`, each difference named with the thing; empty if nothing does.
    pub fn differences(&self, other: &Content) -> Vec<Difference> {
        let mut found = Vec::new();
        compare(&self.tables, &other.tables, |name, left, right| {
            found.push(Difference::Table { table: name.clone(), left: left.copied(), right: right.copied() });
        });
        compare(&self.sequences, &other.sequences, |name, left, right| {
            found.push(Difference::Sequence {
                sequence: name.clone(),
                left: left.copied(),
                right: right.copied(),
            });
        });
        if self.large_objects != other.large_objects {
            found.push(Difference::LargeObjects { left: self.large_objects, right: other.large_objects });
        }
        found
    }
}

/// Partitions that are loaded through their root count together.
fn add_up(tables: impl IntoIterator<Item = (TableName, TableContent)>) -> BTreeMap<TableName, TableContent> {
    let mut sums: BTreeMap<TableName, TableContent> = BTreeMap::new();
    for (name, content) in tables {
        *sums.entry(name).or_default() += content;
    }
    sums
}

/// Sequences by their names.
pub(super) fn sequences(list: &[Sequence]) -> BTreeMap<TableName, (i64, bool)> {
    list.iter().map(|s| (s.sequence.clone(), (s.last_value, s.is_called))).collect()
}

fn compare<V: PartialEq>(
    left: &BTreeMap<TableName, V>,
    right: &BTreeMap<TableName, V>,
    mut differs: impl FnMut(&TableName, Option<&V>, Option<&V>),
) {
    let names: std::collections::BTreeSet<_> = left.keys().chain(right.keys()).collect();
    for name in names {
        let (a, b) = (left.get(name), right.get(name));
        if a != b {
            differs(name, a, b);
        }
    }
}

/// One thing that two contents do not share; `None` is "not there".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// A table's rows.
    Table {
        /// Which.
        table: TableName,
        /// On the left.
        left: Option<TableContent>,
        /// On the right.
        right: Option<TableContent>,
    },
    /// A sequence's state.
    Sequence {
        /// Which.
        sequence: TableName,
        /// On the left.
        left: Option<(i64, bool)>,
        /// On the right.
        right: Option<(i64, bool)>,
    },
    /// The large objects as a whole.
    LargeObjects {
        /// On the left.
        left: Option<TableContent>,
        /// On the right.
        right: Option<TableContent>,
    },
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rows = |c: &Option<TableContent>| c.map_or("not there".into(), |c| format!("{} rows", c.rows));
        let content = |f: &mut std::fmt::Formatter<'_>, what: &str, left: &_, right: &_| match (left, right) {
            (Some(TableContent { rows: a, .. }), Some(TableContent { rows: b, .. })) if a == b => {
                write!(f, "{what}: as many rows ({a}), but other content")
            }
            _ => write!(f, "{what}: {} and {}", rows(left), rows(right)),
        };
        match self {
            Difference::Table { table, left, right } => content(f, &format!("table {table}"), left, right),
            Difference::LargeObjects { left, right } => content(f, "large objects", left, right),
            Difference::Sequence { sequence, left, right } => {
                let state = |s: &Option<(i64, bool)>| match s {
                    Some((value, true)) => value.to_string(),
                    Some((value, false)) => format!("{value}, not called"),
                    None => "not there".to_string(),
                };
                write!(f, "sequence {sequence}: {} and {}", state(left), state(right))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(pieces: &[&[u8]]) -> Option<TableContent> {
        let mut hasher = RowHasher::default();
        pieces.iter().for_each(|piece| hasher.update(piece));
        hasher.finish()
    }

    #[test]
    fn pieces_cut_anywhere_give_the_same() {
        let text = b"1\ta\n\n2\t\\N\n333333\tlonger than the rest\n";
        let whole = hash(&[text]).unwrap();
        assert_eq!(whole.rows, 4);
        for cut in 0..=text.len() {
            for second in cut..=text.len() {
                let pieces = [&text[..cut], &text[cut..second], &text[second..]];
                assert_eq!(hash(&pieces), Some(whole), "{cut} {second}");
            }
        }
    }

    #[test]
    fn order_does_not_matter_but_number_does() {
        assert_eq!(hash(&[b"a\nb\nc\n"]), hash(&[b"c\na\nb\n"]));
        assert_ne!(hash(&[b"a\na\n"]), hash(&[b"b\nb\n"]));
        assert_ne!(hash(&[b"a\n"]), hash(&[b"a\na\n"]));
        assert_ne!(hash(&[b"ab\n"]), hash(&[b"a\nb\n"]));
    }

    #[test]
    fn a_cut_row_is_seen() {
        assert_eq!(hash(&[b"a\nb"]), None);
        assert_eq!(hash(&[]), Some(TableContent::default()));
    }

    #[test]
    fn a_fingerprint_is_32_digits() {
        let text = String::from(Fingerprint(255));
        assert_eq!(text, "000000000000000000000000000000ff");
        assert_eq!(Fingerprint::try_from(text), Ok(Fingerprint(255)));
        assert!(Fingerprint::try_from("+f".to_string()).is_err());
        assert!(Fingerprint::try_from("+00000000000000000000000000000ff".to_string()).is_err());
    }

    #[test]
    fn differences_are_named() {
        let name = TableName::new("public", "a \"b\"");
        let one = Content {
            tables: [(name.clone(), TableContent { rows: 1, fingerprint: Fingerprint(1) })].into(),
            sequences: [(name.clone(), (5, true))].into(),
            large_objects: None,
        };
        assert!(one.differences(&one).is_empty());
        let other = Content {
            tables: [(name.clone(), TableContent { rows: 1, fingerprint: Fingerprint(2) })].into(),
            ..Content::default()
        };
        let said: Vec<String> = one.differences(&other).iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                r#"table "public"."a ""b""": as many rows (1), but other content"#,
                r#"sequence "public"."a ""b""": 5 and not there"#,
            ]
        );
    }
}
