//! Names of tables as a person gives them.

use super::statement::quoted_identifier;
use crate::backup::manifest::TableName;

/// Names tables: `users` (in any schema), `public.users`, `audit.*`, `"My schema"."a.b"`. Letters count as
/// they stand in the catalog; `*` outside quotes stands for any characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablePattern {
    text: String,
    schema: Option<Vec<Piece>>,
    name: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Any,
}

impl TablePattern {
    /// Whether it names this table.
    pub fn matches(&self, table: &TableName) -> bool {
        self.schema.as_ref().is_none_or(|schema| fits(schema, &table.schema)) && fits(&self.name, &table.name)
    }
}

impl From<&TableName> for TablePattern {
    /// The pattern of exactly this table.
    fn from(table: &TableName) -> Self {
        let literal = |text: &String| vec![Piece::Literal(text.clone())];
        Self { text: table.quoted(), schema: Some(literal(&table.schema)), name: literal(&table.name) }
    }
}

impl std::fmt::Display for TablePattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for TablePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} names no table; names are TABLE, SCHEMA.TABLE, with * for any characters, or \"quoted\""
            )
        };
        let (first, rest) = part(text).ok_or_else(wrong)?;
        let (schema, name) = match rest.strip_prefix('.') {
            None if rest.is_empty() => (None, first),
            None => return Err(wrong()),
            Some(rest) => match part(rest) {
                Some((name, "")) => (Some(first), name),
                _ => return Err(wrong()),
            },
        };
        Ok(Self { text: text.to_string(), schema, name })
    }
}

/// One part of a name, to the dot or the end.
fn part(text: &str) -> Option<(Vec<Piece>, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (name, rest) = quoted_identifier(quoted)?;
        return (!name.is_empty()).then(|| (vec![Piece::Literal(name)], rest));
    }
    let end = text.find('.').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() || name.contains('"') {
        return None;
    }
    let mut pieces = Vec::new();
    for (at, literal) in name.split('*').enumerate() {
        if at > 0 {
            pieces.push(Piece::Any);
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.to_string()));
        }
    }
    Some((pieces, rest))
}

fn fits(pieces: &[Piece], text: &str) -> bool {
    match pieces {
        [] => text.is_empty(),
        [Piece::Literal(literal), rest @ ..] => {
            text.strip_prefix(literal).is_some_and(|text| fits(rest, text))
        }
        [Piece::Any, rest @ ..] => {
            text.char_indices().any(|(at, _)| fits(rest, &text[at..])) || fits(rest, "")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, schema: &str, name: &str) -> bool {
        pattern.parse::<TablePattern>().unwrap().matches(&TableName::new(schema, name))
    }

    #[test]
    fn names_and_stars() {
        for (pattern, yes) in [
            ("users", true),
            ("public.users", true),
            ("other.users", false),
            ("Users", false),
            ("*.users", true),
            ("public.*", true),
            ("u*s", true),
            ("u*r", false),
            ("*", true),
            ("p*c.*se*", true),
            ("\"u*s\"", false),
            ("\"public\".\"users\"", true),
        ] {
            assert_eq!(matches(pattern, "public", "users"), yes, "{pattern}");
        }
        assert!(matches("\"a.\"\"b\".\"c*\"", "a.\"b", "c*"));
        assert!(matches("a*é", "s", "aéé"));
    }

    #[test]
    fn a_table_is_its_own_pattern() {
        let table = TableName::new("a.b", "c\"*");
        let pattern = TablePattern::from(&table);
        assert!(pattern.matches(&table) && !pattern.matches(&TableName::new("a.b", "c\"x")));
        assert_eq!(pattern.to_string().parse::<TablePattern>(), Ok(pattern));
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for text in ["", ".", "a.", ".a", "a.b.c", "\"a", "\"a\"b", "a\"b", "\"\"", "a.\"b\"c"] {
            assert!(text.parse::<TablePattern>().is_err(), "{text}");
        }
    }
}
