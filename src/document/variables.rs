//! `${NAME}` in the strings of a file: where it is looked for, and how it is written.
//!
//! `${NAME}` stands for the variable's value, `${NAME:-text}` for `text` where it is not set or empty,
//! `$${` for `${` itself. Every other `$` is a `$`. What a variable holds is not expanded again.

use std::collections::BTreeMap;
use std::ops::Range;

/// Where `${NAME}` is looked for: first the process's environment, then the `env_file`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variables {
    process: BTreeMap<String, String>,
    file: BTreeMap<String, String>,
    /// The `env_file` in words, for the message about a missing variable.
    file_described: Option<String>,
    exposure: Exposure,
    incomplete: bool,
}

/// Which values are hidden once a file has taken them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Exposure {
    /// Those that are secrets by their name or their form.
    #[default]
    HideTelling,
    /// All of them, unless the name plainly names no secret.
    HideAll,
}

impl Variables {
    /// The environment of the process alone.
    pub(crate) fn of_process(process: &BTreeMap<String, String>) -> Self {
        Self { process: process.clone(), ..Self::default() }
    }

    pub(crate) fn exposing(mut self, exposure: Exposure) -> Self {
        self.exposure = exposure;
        self
    }

    /// With an env file behind it. `described` says which, and if it is there at all.
    pub(crate) fn with_file(mut self, described: String, file: BTreeMap<String, String>) -> Self {
        self.file = file;
        self.file_described = Some(described);
        self
    }

    /// With an env file that could not be read, which was told: that a variable is missing says nothing.
    pub(crate) fn with_unreadable_file(mut self) -> Self {
        self.incomplete = true;
        self
    }

    pub(super) fn incomplete(&self) -> bool {
        self.incomplete
    }

    /// The value of `name`; it is registered as a secret if it is one.
    pub(super) fn take(&self, name: &str) -> Option<&str> {
        let value = self.process.get(name).or_else(|| self.file.get(name))?;
        super::register_variable(name, value, self.exposure == Exposure::HideAll);
        Some(value)
    }

    /// Where a variable was looked for, as the rest of a sentence.
    pub(super) fn looked_in(&self) -> String {
        match &self.file_described {
            Some(file) => format!("the environment and {file}"),
            None => "the environment".into(),
        }
    }

    /// The names that an env file gives: a missing one may be misspelled there.
    pub(super) fn names_of_file(&self) -> impl Iterator<Item = &str> {
        self.file.keys().map(String::as_str)
    }
}

/// A piece of a string.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    Literal(&'t str),
    /// `${NAME}` or `${NAME:-default}`, and where it stands.
    Variable {
        name: &'t str,
        default: Option<&'t str>,
        place: Range<usize>,
    },
    /// A `${` that is neither.
    Malformed(Range<usize>),
}

/// Takes a string to pieces.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut literal = 0;
    let mut from = 0;
    while let Some(found) = text[from..].find("${") {
        let at = from + found;
        if text[literal..at].ends_with('$') {
            // `$${`: the first `$` goes, the rest is text.
            pieces.push(Piece::Literal(&text[literal..at - 1]));
            literal = at;
            from = at + 2;
            continue;
        }
        pieces.push(Piece::Literal(&text[literal..at]));
        let piece = reference(text, at);
        from = match &piece {
            Piece::Variable { place, .. } | Piece::Malformed(place) => place.end,
            Piece::Literal(_) => at + 2,
        };
        literal = from;
        pieces.push(piece);
    }
    pieces.push(Piece::Literal(&text[literal..]));
    pieces.retain(|piece| *piece != Piece::Literal(""));
    pieces
}

fn reference(text: &str, at: usize) -> Piece<'_> {
    let Some(length) = text[at..].find('}') else { return Piece::Malformed(at..text.len()) };
    let place = at..at + length + 1;
    let inside = &text[at + 2..at + length];
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if is_name(name) { Piece::Variable { name, default, place } } else { Piece::Malformed(place) }
}

/// Whether a variable can be called so: letters, digits and `_`, no digit first.
pub(crate) fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> String {
        let set = |name: &str| match name {
            "A" => Some("1"),
            "EMPTY" => Some(""),
            "NESTED" => Some("${A}"),
            _ => None,
        };
        pieces(text)
            .iter()
            .map(|piece| match piece {
                Piece::Literal(text) => (*text).to_string(),
                Piece::Variable { name, default, .. } => match (set(name), default) {
                    (Some("") | None, Some(default)) => (*default).to_string(),
                    (Some(value), _) => value.to_string(),
                    (None, None) => format!("<no {name}>"),
                },
                Piece::Malformed(place) => format!("<bad {}>", &text[place.clone()]),
            })
            .collect()
    }

    #[test]
    fn references_are_expanded_and_all_else_is_literal() {
        for (text, expanded) in [
            ("", ""),
            ("plain", "plain"),
            ("${A}", "1"),
            ("x${A}y${A}z", "x1y1z"),
            ("$A $ $$ $$A a$", "$A $ $$ $$A a$"),
            ("$${A}", "${A}"),
            ("$$${A}", "$${A}"),
            ("${B:-x y}", "x y"),
            ("${EMPTY:-x}", "x"),
            ("${EMPTY}", ""),
            ("${B:-}", ""),
            ("${A:-x}", "1"),
            ("${NESTED}", "${A}"),
            ("${B}", "<no B>"),
            ("${}", "<bad ${}>"),
            ("${1A}", "<bad ${1A}>"),
            ("${A", "<bad ${A>"),
            ("${A-x}", "<bad ${A-x}>"),
            ("ä${A}ö", "ä1ö"),
        ] {
            assert_eq!(expand(text), expanded, "{text}");
        }
    }
}
