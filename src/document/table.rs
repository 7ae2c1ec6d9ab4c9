//! A table that hands out its values by key and knows which keys nobody asked for.

use super::tree::{Data, Entry, Node, Place};
use super::value::{Read, Value, all};
use super::{Finding, Noted, Reader, spell_out};
use crate::nearest::nearest;

/// A table while it is read. Ask for *every* key before giving up on any: keys that were never asked
/// for are told as unknown once the reading function returns.
pub(crate) struct Table<'a> {
    reader: &'a Reader,
    node: &'a Node,
    entries: &'a [Entry],
    /// What messages call it: `health.http`; empty for the file itself.
    name: String,
    asked: Vec<&'static str>,
    any_key: bool,
}

impl<'a> Table<'a> {
    /// Reads `node` with `read`, then tells its unknown keys.
    pub(super) fn read<T>(
        reader: &'a Reader,
        node: &'a Node,
        name: &str,
        read: impl FnOnce(&mut Table<'a>) -> Read<T>,
    ) -> Read<T> {
        let Data::Table(entries) = &node.data else {
            return Err(Value::new(reader, node, name).wrong_sort("a table"));
        };
        let mut table =
            Table { reader, node, entries, name: name.to_string(), asked: Vec::new(), any_key: false };
        let result = read(&mut table);
        match table.tell_unknown_keys() {
            Some(noted) => result.and(Err(noted)),
            None => result,
        }
    }

    /// The value of `key`, from the file or the defaults.
    pub(crate) fn take<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Value<'a>) -> Read<T>,
    ) -> Read<Option<T>> {
        self.asked.push(key);
        self.entry(key).map(|entry| read(self.value(entry))).transpose()
    }

    /// The value of `key`, only if the file itself says it: the defaults have but a template there.
    pub(crate) fn take_own<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Value<'a>) -> Read<T>,
    ) -> Read<Option<T>> {
        self.asked.push(key);
        let own = self.entry(key).filter(|entry| entry.place != Place::Default);
        own.map(|entry| read(self.value(entry))).transpose()
    }

    /// The value of `key`, which must be there; `right` shows how it is written.
    pub(crate) fn require<T>(
        &mut self,
        key: &'static str,
        right: &str,
        read: impl FnOnce(Value<'a>) -> Read<T>,
    ) -> Read<T> {
        self.take(key, read)?.ok_or_else(|| self.missing(key, right))
    }

    /// Every table of `[[key]]` in the file, in order; also of a single `[key]`.
    pub(crate) fn each<T>(&mut self, key: &'static str, read: impl Fn(Value<'a>) -> Read<T>) -> Read<Vec<T>> {
        let path = self.path(key);
        let reader = self.reader;
        let items = self.take_own(key, |value| {
            let items = value.node().items().iter();
            all(items.map(|item| read(Value::new(reader, item, &path))))
        })?;
        Ok(items.unwrap_or_default())
    }

    /// All its keys with their values: keys are names of the person's own choice here.
    pub(crate) fn every<T>(&mut self, read: impl Fn(&str, Value<'a>) -> Read<T>) -> Read<Vec<T>> {
        self.any_key = true;
        all(self.entries.iter().map(|entry| read(&entry.key, self.value(entry))))
    }

    /// What messages call the table from here on.
    pub(crate) fn call_it(&mut self, name: &str) {
        self.name = name.to_string();
    }

    /// Says nothing of unknown keys: what would be right is not known.
    pub(crate) fn allow_any_key(&mut self) {
        self.any_key = true;
    }

    /// Whether the file itself says `key`.
    pub(crate) fn says(&self, key: &str) -> bool {
        self.entry(key).is_some_and(|entry| entry.place != Place::Default)
    }

    /// The node of `key`.
    pub(crate) fn find(&self, key: &str) -> Option<&'a Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// Where the value of `key` stands, or the table if it is not there.
    pub(crate) fn place_of(&self, key: &str) -> &'a Place {
        self.entry(key).map_or(&self.node.place, |entry| &entry.node.place)
    }

    pub(crate) fn reader(&self) -> &'a Reader {
        self.reader
    }

    /// Notes a finding about the table as a whole.
    pub(crate) fn wrong(&self, finding: Finding) -> Noted {
        self.reader.note(&self.node.place, finding)
    }

    /// Notes a finding at the value of `key`, or at the table if the key is not there.
    pub(crate) fn wrong_at(&self, key: &str, finding: Finding) -> Noted {
        self.reader.note(self.place_of(key), finding)
    }

    fn missing(&self, key: &str, right: &str) -> Noted {
        let (message, place) = match self.name.as_str() {
            "" => (format!("`{key}` is missing"), &Place::Default),
            name => (format!("`{key}` is missing in `{name}`"), &self.node.place),
        };
        let help = match (self.name.as_str(), &self.node.place) {
            ("", _) | (_, Place::At(_)) => format!("write {right}"),
            (name, Place::Default) => format!("write [{name}], and below it {right}"),
        };
        let finding = Finding::new(message).label(format!("add `{key}` here")).help(help);
        self.reader.note(place, finding)
    }

    fn tell_unknown_keys(&self) -> Option<Noted> {
        if self.any_key {
            return None;
        }
        let unknown = self
            .entries
            .iter()
            .filter(|entry| entry.place != Place::Default && !self.asked.contains(&entry.key.as_str()));
        unknown.fold(None, |_, entry| Some(self.reader.note(&entry.place, self.unknown_key(&entry.key))))
    }

    fn unknown_key(&self, key: &str) -> Finding {
        let right = spell_out(&self.asked);
        let (message, help) = match self.name.as_str() {
            "" => (format!("unknown key `{key}`"), format!("the file takes {right}")),
            name => (format!("unknown key `{key}` in `{name}`"), format!("`{name}` takes {right}")),
        };
        let label = match nearest(key, self.asked.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "nothing is called so here".into(),
        };
        Finding::new(message).label(label).help(help)
    }

    fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    fn value(&self, entry: &'a Entry) -> Value<'a> {
        Value::new(self.reader, &entry.node, &self.path(&entry.key))
    }

    fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_string() } else { format!("{}.{key}", self.name) }
    }
}
