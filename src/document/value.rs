//! One value of a file, read as what its key must be.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::tree::{Data, Node, Place};
use super::variables::{Piece, pieces};
use super::{Finding, Noted, Reader, Table, either, secret};
use crate::nearest::nearest;
use crate::time::parse_duration;

/// What was read, or proof that it was told why not.
pub(crate) type Read<T> = Result<T, Noted>;

/// The longest timeout: PostgreSQL's own hold milliseconds in 32 bits.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 24 * 3600);
/// The longest time of any kind, far from what overflows a clock.
const LONGEST: Duration = Duration::from_secs(3650 * 24 * 3600);
/// How many levels deep a person's data may nest before it is taken for an attack on the stack.
const DEEPEST: usize = 64;

/// One value, with where it stands and what its key is called.
#[derive(Clone)]
pub(crate) struct Value<'a> {
    reader: &'a Reader,
    node: &'a Node,
    /// The key with its tables: `health.http.url`.
    path: String,
}

impl<'a> Value<'a> {
    pub(super) fn new(reader: &'a Reader, node: &'a Node, path: &str) -> Self {
        Self { reader, node, path: path.to_string() }
    }

    /// The whole file.
    pub(super) fn root(reader: &'a Reader, node: &'a Node) -> Self {
        Self::new(reader, node, "")
    }

    pub(crate) fn node(&self) -> &'a Node {
        self.node
    }

    /// The key alone: `url`.
    pub(crate) fn key(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or_default()
    }

    /// The file's own text at `span`.
    pub(super) fn written(&self, span: &std::ops::Range<usize>) -> Option<&'a str> {
        self.reader.written(span)
    }

    /// Notes that the value is wrong.
    pub(crate) fn wrong(&self, finding: Finding) -> Noted {
        self.reader.note(&self.node.place, finding)
    }

    /// Notes that it is not `expected`.
    pub(crate) fn wrong_sort(&self, expected: &str) -> Noted {
        self.wrong(self.mismatch(expected))
    }

    fn mismatch(&self, expected: &str) -> Finding {
        let label = format!("this is {}", self.node.sort());
        match self.path.as_str() {
            "" => Finding::new(format!("this must be {expected}")).label(label),
            _ => Finding::new(format!("`{}` must be {expected}", self.key())).label(label),
        }
    }

    /// A table, read by `read`; keys that it does not ask for are unknown.
    pub(crate) fn table<T>(self, read: impl FnOnce(&mut Table<'a>) -> Read<T>) -> Read<T> {
        Table::read(self.reader, self.node, &self.path, read)
    }

    /// A list, each of its elements read by `read`.
    pub(crate) fn list<T>(self, of: &str, read: impl Fn(Value<'a>) -> Read<T>) -> Read<Vec<T>> {
        match &self.node.data {
            Data::List(items) => {
                all(items.iter().map(|item| read(Value::new(self.reader, item, &self.path))))
            }
            _ => Err(self.wrong_sort(of)),
        }
    }

    /// A string, with every `${NAME}` in it replaced. May be empty.
    pub(crate) fn text(self) -> Read<String> {
        match &self.node.data {
            Data::Text(text) => self.expand(text),
            _ => Err(self.wrong_sort("a string")),
        }
    }

    /// A string that says something, on one line.
    pub(crate) fn line(self) -> Read<String> {
        let text = self.clone().filled()?;
        if text.chars().any(char::is_control) {
            let finding =
                Finding::new(format!("`{}` must be one line without control characters", self.key()));
            return Err(self.wrong(finding.label("this is not")));
        }
        Ok(text)
    }

    /// A string that says something.
    pub(crate) fn filled(self) -> Read<String> {
        let text = self.clone().text()?;
        if text.trim().is_empty() {
            let mut finding = Finding::new(format!("`{}` is empty", self.key())).label("nothing here");
            if matches!(&self.node.data, Data::Text(written) if !written.trim().is_empty()) {
                finding = finding.label("this stands for nothing").help("the variable is set, but empty");
            }
            return Err(self.wrong(finding));
        }
        if text.contains('\0') {
            let finding = Finding::new(format!("`{}` holds a NUL byte", self.key())).label("here");
            return Err(self.wrong(finding.help("neither the system nor PostgreSQL takes one")));
        }
        Ok(text)
    }

    pub(crate) fn boolean(self) -> Read<bool> {
        match &self.node.data {
            Data::Boolean(truth) => Ok(*truth),
            _ => Err(self.wrong(self.mismatch("true or false").help("without quotes: `true` or `false`"))),
        }
    }

    /// A whole number within `range`.
    pub(crate) fn number(self, range: RangeInclusive<u64>) -> Read<u64> {
        let Data::Integer(number) = &self.node.data else {
            return Err(self.wrong_sort("a whole number"));
        };
        u64::try_from(*number).ok().filter(|number| range.contains(number)).ok_or_else(|| {
            let (low, high) = (range.start(), range.end());
            let bounds = match *high {
                u64::MAX => format!("at least {low}"),
                _ => format!("from {low} to {high}"),
            };
            let finding = Finding::new(format!("`{}` must be {bounds}", self.key())).label("this is not");
            self.wrong(finding)
        })
    }

    /// A timeout: longer than zero, and no longer than PostgreSQL can count.
    pub(crate) fn duration(self) -> Read<Duration> {
        let duration = self.clone().time(LONGEST_TIMEOUT)?;
        if duration.is_zero() {
            let finding = Finding::new(format!("`{}` must be longer than zero", self.key()));
            return Err(self.wrong(finding.label("this is no time at all")));
        }
        Ok(duration)
    }

    /// A time; zero is one.
    pub(crate) fn duration_or_zero(self) -> Read<Duration> {
        self.time(LONGEST)
    }

    fn time(self, longest: Duration) -> Read<Duration> {
        const FORM: &str = "write it like \"500ms\", \"30s\", \"15m\", \"1h30m\" or \"2d\"";
        if !matches!(self.node.data, Data::Text(_)) {
            return Err(self.wrong(self.mismatch("a duration").help(FORM)));
        }
        let text = self.clone().text()?;
        let duration = parse_duration(&text).map_err(|_| {
            let finding = Finding::new(format!("`{}` must be a duration", self.key()));
            self.wrong(finding.label("this is none").help(FORM))
        })?;
        if duration > longest {
            let days = longest.as_secs() / (24 * 3600);
            let finding = Finding::new(format!("`{}` must be at most {days}d", self.key()));
            return Err(self.wrong(finding.label("this is longer")));
        }
        Ok(duration)
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(self, words: &[(&str, T)]) -> Read<T> {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let right = either(&names);
        if !matches!(self.node.data, Data::Text(_)) {
            return Err(self.wrong_sort(&right));
        }
        let text = self.clone().text()?;
        words.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
            let label = match nearest(&text, names.iter().copied()) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => "this is none of them".into(),
            };
            self.wrong(Finding::new(format!("`{}` must be {right}", self.key())).label(label))
        })
    }

    /// A program and its arguments.
    pub(crate) fn command(self) -> Read<Vec<String>> {
        const FORM: &str = "a program and its arguments, as a list of strings";
        const EXAMPLE: &str = "write [\"systemctl\", \"restart\", \"api\"]; a shell needs to be named: \
                               [\"sh\", \"-c\", \"…\"]";
        if !matches!(self.node.data, Data::List(_)) {
            return Err(self.wrong(self.mismatch(FORM).help(EXAMPLE)));
        }
        let words = self.clone().list(FORM, Value::text)?;
        let problem = match words.first() {
            None => "has no program in it",
            Some(program) if program.trim().is_empty() => "names an empty program",
            _ if words.iter().any(|word| word.contains('\0')) => "holds a NUL byte, which no program takes",
            _ => return Ok(words),
        };
        let finding = Finding::new(format!("`{}` {problem}", self.key())).label("here").help(EXAMPLE);
        Err(self.wrong(finding))
    }

    /// A path; a relative one starts at `root`.
    pub(crate) fn path(self, root: &Path) -> Read<PathBuf> {
        self.line().map(|text| absolute(root, Path::new(&text)))
    }

    /// Any value, as JSON.
    pub(crate) fn json(self) -> Read<serde_json::Value> {
        self.json_at(0)
    }

    fn json_at(self, depth: usize) -> Read<serde_json::Value> {
        let (reader, path) = (self.reader, self.path.clone());
        match &self.node.data {
            _ if depth > DEEPEST => Err(self.wrong(Finding::new("this nests too deep").label("here"))),
            Data::Text(_) => self.text().map(Into::into),
            Data::Boolean(truth) => Ok((*truth).into()),
            Data::Integer(number) => i64::try_from(*number)
                .map(Into::into)
                .map_err(|_| self.wrong(Finding::new("this number is too large").label("here"))),
            Data::Float(number) => serde_json::Number::from_f64(*number)
                .map(Into::into)
                .ok_or_else(|| self.wrong(Finding::new("JSON has no such number").label("here"))),
            Data::Moment => Err(self.wrong(
                Finding::new("JSON has no dates")
                    .label("a date")
                    .help("write it in quotes, as the body has it"),
            )),
            Data::List(items) => {
                let items = items.iter().map(|item| Value::new(reader, item, &path).json_at(depth + 1));
                all(items).map(Into::into)
            }
            Data::Table(entries) => {
                let members = entries.iter().map(|entry| {
                    let value = Value::new(reader, &entry.node, &path).json_at(depth + 1)?;
                    Ok((entry.key.clone(), value))
                });
                Ok(serde_json::Value::Object(all(members)?.into_iter().collect()))
            }
        }
    }

    /// Replaces every `${NAME}` of `text`; all that are missing are told.
    fn expand(&self, text: &str) -> Read<String> {
        let mut expanded = String::with_capacity(text.len());
        let mut noted = None;
        for (index, piece) in references_counted(text) {
            match self.resolve(piece, index, text) {
                Ok(part) => expanded.push_str(&part),
                Err(told) => noted = Some(told),
            }
        }
        secret::register_literal(self.key(), &expanded);
        noted.map_or(Ok(expanded), Err)
    }

    fn resolve(&self, piece: Piece<'_>, index: usize, text: &str) -> Read<String> {
        match piece {
            Piece::Literal(text) => Ok(text.to_string()),
            Piece::Variable { name, default, .. } => {
                let variables = self.reader.variables();
                match (variables.take(name), default) {
                    (None | Some(""), Some(default)) => Ok(default.to_string()),
                    (Some(value), _) => Ok(value.to_string()),
                    // Told already, at the env file.
                    (None, None) if variables.incomplete() => Err(Noted::follows()),
                    (None, None) => {
                        let finding = missing_variable(name, &variables);
                        drop(variables);
                        Err(self.reader.note(&self.place_of_reference(index, text), finding))
                    }
                }
            }
            Piece::Malformed(_) => {
                let finding = Finding::new("this is no variable")
                    .label("a `${` that is not understood")
                    .help("write ${NAME}, or ${NAME:-default}; a `${` that is meant as it stands is written $${");
                Err(self.reader.note(&self.place_of_reference(index, text), finding))
            }
        }
    }

    /// Where the `index`th reference of `text` stands: within the value if what stands in the file has
    /// as many, else (escapes hide some) the whole value.
    fn place_of_reference(&self, index: usize, text: &str) -> Place {
        let Place::At(span) = &self.node.place else { return Place::Default };
        let Some(written) = self.reader.written(span) else { return self.node.place.clone() };
        let places = places_of_references(written);
        match places.get(index) {
            Some(place) if places.len() == places_of_references(text).len() => {
                Place::At(span.start + place.start..span.start + place.end)
            }
            _ => self.node.place.clone(),
        }
    }
}

/// `path` from `root`, without the `.` that people write.
pub(crate) fn absolute(root: &Path, path: &Path) -> PathBuf {
    root.join(path).components().collect()
}

/// All that was read, or proof that some could not be. Reads to the end in either case.
pub(crate) fn all<T>(items: impl IntoIterator<Item = Read<T>>) -> Read<Vec<T>> {
    let mut values = Vec::new();
    let mut noted = None;
    for item in items {
        match item {
            Ok(value) => values.push(value),
            Err(told) => noted = Some(told),
        }
    }
    noted.map_or(Ok(values), Err)
}

fn missing_variable(name: &str, variables: &super::Variables) -> Finding {
    let label = match nearest(name, variables.names_of_file()) {
        Some(meant) => format!("not set; the env file has `{meant}`"),
        None => "not set".into(),
    };
    Finding::new(format!("the variable {name} is not set")).label(label).help(format!(
        "it was looked for in {}; set it there, or give a default: ${{{name}:-…}}",
        variables.looked_in()
    ))
}

fn references_counted(text: &str) -> impl Iterator<Item = (usize, Piece<'_>)> {
    let mut count = 0;
    pieces(text).into_iter().map(move |piece| {
        let index = count;
        count += usize::from(!matches!(piece, Piece::Literal(_)));
        (index, piece)
    })
}

fn places_of_references(text: &str) -> Vec<std::ops::Range<usize>> {
    pieces(text)
        .into_iter()
        .filter_map(|piece| match piece {
            Piece::Variable { place, .. } | Piece::Malformed(place) => Some(place),
            Piece::Literal(_) => None,
        })
        .collect()
}
