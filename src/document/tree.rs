//! A TOML document as nodes that know their place in the text.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Finding;

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// These bytes of the file.
    At(Range<usize>),
    /// Nowhere in the file: it came from the defaults.
    Default,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) data: Data,
    pub(crate) place: Place,
}

#[derive(Debug, Clone)]
pub(crate) enum Data {
    Text(String),
    /// Integers past `i64` are kept as the nearest that fits: every key has narrower bounds.
    Integer(i128),
    Float(f64),
    Boolean(bool),
    Moment,
    List(Vec<Node>),
    /// In the order of the file.
    Table(Vec<Entry>),
}

/// `key = value` of a table.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// Where the key stands.
    pub(crate) place: Place,
    pub(crate) node: Node,
}

impl Entry {
    /// An entry of the defaults.
    pub(crate) fn default_of(key: &str, data: Data) -> Self {
        let node = Node { data, place: Place::Default };
        Self { key: key.to_string(), place: Place::Default, node }
    }
}

impl Node {
    /// Takes over from `defaults` every key that is not said here, at every depth. A table of the
    /// defaults fills each table of a list: it is what every `[[x]]` starts from.
    pub(crate) fn fill_from(&mut self, defaults: &Node) {
        match (&mut self.data, &defaults.data) {
            (Data::Table(entries), Data::Table(defaults)) => {
                for default in defaults {
                    match entries.iter_mut().find(|e| e.key == default.key) {
                        Some(entry) => entry.node.fill_from(&default.node),
                        None => entries.push(default.clone()),
                    }
                }
            }
            (Data::List(items), Data::Table(_)) => items.iter_mut().for_each(|item| item.fill_from(defaults)),
            _ => {}
        }
    }

    /// The value of `key`, if this is a table that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match &self.data {
            Data::Table(entries) => entries.iter().find(|e| e.key == key).map(|e| &e.node),
            _ => None,
        }
    }

    /// Its elements: of a list, or itself alone (`[x]` where `[[x]]` may stand).
    pub(crate) fn items(&self) -> &[Node] {
        match &self.data {
            Data::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    /// The string as it is written, `${NAME}` and all.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self.data, Data::Integer(_))
    }

    pub(crate) fn is_table(&self) -> bool {
        matches!(self.data, Data::Table(_))
    }

    /// What it is, for a message.
    pub(crate) fn sort(&self) -> &'static str {
        match self.data {
            Data::Text(_) => "a string",
            Data::Integer(_) => "a whole number",
            Data::Float(_) => "a fraction",
            Data::Boolean(_) => "a boolean",
            Data::Moment => "a date",
            Data::List(_) => "a list",
            Data::Table(_) => "a table",
        }
    }
}

/// The tree of `text`, and what is wrong with its syntax.
pub(crate) fn parse(text: &str) -> (Node, Vec<(Place, Finding)>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let place = Place::At(table.span());
    let root = Node { data: Data::Table(entries(table.into_inner())), place };
    let errors = errors.iter().map(|error| {
        let span = error.span().unwrap_or(text.len()..text.len());
        (Place::At(span), Finding::new(format!("this is not TOML: {}", error.message())).label("here"))
    });
    (root, errors.collect())
}

/// The syntax errors that say something: behind a bracket or quote that is never closed, all others are
/// of the parser's own making.
pub(super) fn telling(errors: Vec<(Place, Finding)>) -> Vec<(Place, Finding)> {
    match errors.iter().position(|(_, finding)| finding.message().contains("unclosed")) {
        Some(unclosed) => errors.into_iter().skip(unclosed).take(1).collect(),
        None => errors,
    }
}

/// The tree of a file that ships with this program: it has no place in the user's files.
pub(crate) fn parse_defaults(text: &str) -> Node {
    let mut root = parse(text).0;
    forget_places(&mut root);
    root
}

fn entries(table: DeTable<'_>) -> Vec<Entry> {
    let mut entries: Vec<(usize, Entry)> = table
        .into_iter()
        .map(|(key, value)| {
            let span = key.span();
            let entry = Entry {
                key: key.into_inner().into_owned(),
                place: Place::At(span.clone()),
                node: convert(value),
            };
            (span.start, entry)
        })
        .collect();
    entries.sort_by_key(|(start, _)| *start);
    entries.into_iter().map(|(_, entry)| entry).collect()
}

fn convert(value: Spanned<DeValue<'_>>) -> Node {
    let place = Place::At(value.span());
    let data = match value.into_inner() {
        DeValue::String(text) => Data::Text(text.into_owned()),
        DeValue::Integer(number) => {
            Data::Integer(i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX))
        }
        DeValue::Float(number) => Data::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(truth) => Data::Boolean(truth),
        DeValue::Datetime(_) => Data::Moment,
        DeValue::Array(items) => Data::List(items.into_iter().map(convert).collect()),
        DeValue::Table(table) => Data::Table(entries(table)),
    };
    Node { data, place }
}

fn forget_places(node: &mut Node) {
    node.place = Place::Default;
    match &mut node.data {
        Data::List(items) => items.iter_mut().for_each(forget_places),
        Data::Table(entries) => entries.iter_mut().for_each(|entry| {
            entry.place = Place::Default;
            forget_places(&mut entry.node);
        }),
        _ => {}
    }
}
