//! The header of a migration file: what its first comments say.

use super::super::graph::Revision;
use super::{Fault, KEYS, Section, comment};

/// The comments above the first section.
#[derive(Debug)]
pub(super) struct Header {
    pub revision: Revision,
    pub description: String,
    pub notes: String,
    pub transactional: bool,
    pub created: Option<String>,
}

impl Header {
    pub fn read(text: &str) -> Result<Self, (u32, Fault)> {
        let mut header = Header {
            revision: Revision::default(),
            description: String::new(),
            notes: String::new(),
            transactional: true,
            created: None,
        };
        let mut seen: Vec<&'static str> = Vec::new();
        for (line, said) in comments(text) {
            if Section::begun_by(said).is_some() {
                break;
            }
            // The lint reads these; they are neither keys nor description.
            if said.starts_with("backstay:") || said.starts_with("squawk-ignore") {
                continue;
            }
            match Entry::of(said, header.description.is_empty()) {
                Entry::Key(key, _) if seen.contains(&key) => return Err((line, Fault::RepeatedKey(key))),
                Entry::Key(key, value) => {
                    seen.push(key);
                    header.set(key, value).map_err(|fault| (line, fault))?;
                }
                Entry::Unknown { key, nearest } => {
                    return Err((line, Fault::UnknownKey { key: key.to_string(), nearest }));
                }
                Entry::Text(said) if header.description.is_empty() => header.description = said.to_string(),
                Entry::Text(said) => {
                    header.notes.push_str(said);
                    header.notes.push('\n');
                }
            }
        }
        if header.revision.id.is_empty() {
            return Err((1, Fault::NoRevision));
        }
        Ok(header)
    }

    fn set(&mut self, key: &'static str, value: &str) -> Result<(), Fault> {
        let list = || value.split(',').map(|v| v.trim().to_string()).filter(|v| !v.is_empty()).collect();
        let bad = |expected| Err(Fault::BadValue { key, value: value.to_string(), expected });
        match key {
            "revision" if value.is_empty() => return bad("write the revision's id"),
            "revision" => self.revision.id = value.to_string(),
            "revises" => self.revision.down = list(),
            "branch" => self.revision.labels = list(),
            "depends-on" => self.revision.depends_on = list(),
            "created" => self.created = Some(value.to_string()).filter(|value| !value.is_empty()),
            _ => match value {
                "off" => self.transactional = false,
                "on" => {}
                _ => return bad("write `on` or `off`"),
            },
        }
        Ok(())
    }
}

/// What stands on lines that are comments, with the number of the line. As to the server, a carriage return alone ends
/// a comment too.
fn comments(text: &str) -> impl Iterator<Item = (u32, &str)> {
    let lines = (1..).zip(text.lines());
    lines.flat_map(|(number, line)| line.split('\r').filter_map(move |part| Some((number, comment(part)?))))
}

/// One comment of a header.
enum Entry<'a> {
    Key(&'static str, &'a str),
    Unknown { key: &'a str, nearest: Option<&'static str> },
    Text(&'a str),
}

impl<'a> Entry<'a> {
    /// Above the description every `word:` must be a known key; below it only what resembles one is taken for
    /// a misspelt one: a `-- transacton: off` must not pass as prose.
    fn of(said: &'a str, above_description: bool) -> Self {
        let Some((key, value)) = said.split_once(':') else { return Entry::Text(said) };
        let key = key.trim_end();
        let resembles =
            !key.is_empty() && key.chars().all(|c| c.is_ascii_alphabetic() || c == '-' || c == '_');
        if !resembles {
            return Entry::Text(said);
        }
        let plain = key.to_ascii_lowercase().replace('_', "-");
        if let Some(known) = KEYS.into_iter().find(|k| *k == plain) {
            return Entry::Key(known, value.trim());
        }
        let nearest = crate::nearest::nearest(&plain, KEYS);
        let lowercase = key.chars().all(|c| !c.is_ascii_uppercase());
        if nearest.is_some() || (above_description && lowercase) {
            return Entry::Unknown { key, nearest };
        }
        Entry::Text(said)
    }
}
