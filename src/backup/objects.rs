//! The schema of a database object by object, and what differs between two schemas. **Pure.**

mod lines;

use std::fmt;

use super::schema::{entries, sorted_lines, without_casts};

/// One entry of pg_dump's text: what one `-- Name: …; Type: …` stands over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What it is, in pg_dump's words: `TABLE`, `INDEX`, `FK CONSTRAINT`.
    pub kind: String,
    /// The schema that it stands in, if it stands in one.
    pub schema: Option<String>,
    /// Its name as pg_dump has it: of what belongs to a table the table's name and its own, of a function the
    /// arguments' types too.
    pub name: String,
    /// The statements that make it.
    pub definition: String,
}

/// What kind of difference there is between two definitions of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// They say different things.
    Content,
    /// The same lines in another order: columns that were taken away and added again.
    Order,
    /// Only casts and parentheses stand elsewhere, as PostgreSQL itself puts them when a dump is read back.
    Spelling,
}

/// What differs in one object. The first schema is the expected one, the second the one that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// Only the expected schema has it.
    Missing(Object),
    /// Only the schema that was found has it.
    Unexpected(Object),
    /// Both have it, in different forms.
    Changed {
        /// As expected.
        expected: Object,
        /// As found.
        found: Object,
        /// How far they differ.
        nature: Nature,
    },
}

impl fmt::Display for Object {
    /// `fk constraint public.orders orders_user_id_fkey`: for a person, not for SQL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind.to_lowercase())?;
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl Object {
    /// Whether both are the same thing, whatever they are made of.
    fn is(&self, other: &Object) -> bool {
        (&self.kind, &self.schema, &self.name) == (&other.kind, &other.schema, &other.name)
    }
}

impl Difference {
    /// The object, in the form that was found if there is one.
    pub fn object(&self) -> &Object {
        match self {
            Difference::Missing(object) | Difference::Unexpected(object) => object,
            Difference::Changed { found, .. } => found,
        }
    }

    /// In words, where the migrations are what is expected, and a database what was found.
    pub fn meaning(&self) -> &'static str {
        match self {
            Difference::Missing(_) => "in the migrations, not in the database",
            Difference::Unexpected(_) => "in the database, not in the migrations",
            Difference::Changed { nature: Nature::Content, .. } => "differs",
            Difference::Changed { nature: Nature::Order, .. } => "differs in the order of its lines",
            Difference::Changed { nature: Nature::Spelling, .. } => "is only written otherwise",
        }
    }

    /// `+` (only found), `-` (only expected) or `~`.
    pub fn mark(&self) -> char {
        match self {
            Difference::Missing(_) => '-',
            Difference::Unexpected(_) => '+',
            Difference::Changed { .. } => '~',
        }
    }

    /// How far it goes.
    pub fn nature(&self) -> Nature {
        match self {
            Difference::Changed { nature, .. } => *nature,
            _ => Nature::Content,
        }
    }

    /// The definition line by line, marked `-` (only expected) and `+` (only found) as in a unified diff; of
    /// what is the same the neighbouring lines.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Difference::Missing(object) => lines::unified(&object.definition, ""),
            Difference::Unexpected(object) => lines::unified("", &object.definition),
            Difference::Changed { expected, found, .. } => {
                lines::unified(&expected.definition, &found.definition)
            }
        }
    }
}

/// Takes the text of [`super::schema::schema_of`] apart. What holds for the session alone is no object.
pub fn objects(text: &str) -> Vec<Object> {
    let mut found = Vec::new();
    let mut access_method = HEAP.to_string();
    for (number, entry) in entries(text).into_iter().enumerate() {
        let (entry, settings) = cut_settings(entry);
        if number > 0
            && let Some(mut object) = read(entry)
        {
            let stored = matches!(object.kind.as_str(), "TABLE" | "MATERIALIZED VIEW");
            if stored && access_method != HEAP {
                object.definition = format!("{access_method}\n{}", object.definition);
            }
            found.push(object);
        }
        if let Some(setting) = settings.into_iter().find(|line| line.starts_with(ACCESS_METHOD)) {
            access_method = setting.to_string();
        }
    }
    found
}

const HEAP: &str = "SET default_table_access_method = heap;";
const ACCESS_METHOD: &str = "SET default_table_access_method = ";
const TABLESPACE: &str = "SET default_tablespace = ";

/// Cuts off the settings behind an entry: they are meant for the entries after it, whichever those are. The
/// last one comes first.
fn cut_settings(entry: &str) -> (&str, Vec<&str>) {
    let mut rest = entry.trim_end();
    let mut settings = Vec::new();
    while let Some((before, line)) = rest.rsplit_once('\n') {
        if !line.starts_with(ACCESS_METHOD) && !line.starts_with(TABLESPACE) {
            break;
        }
        settings.push(line);
        rest = before.trim_end();
    }
    (rest, settings)
}

fn read(entry: &str) -> Option<Object> {
    let (heading, rest) = entry.split_once('\n')?;
    // From the right: a name may hold anything.
    let (rest_of_heading, owner) = heading.rsplit_once("; Owner: ")?;
    let (rest_of_heading, schema) = rest_of_heading.rsplit_once("; Schema: ")?;
    let (name, kind) = rest_of_heading.rsplit_once("; Type: ")?;
    let statements = rest.strip_prefix("--").unwrap_or(rest).trim();
    // What only explains why there is nothing to do (`*not* creating schema`) makes nothing.
    if statements.lines().all(|line| line.is_empty() || line.starts_with("--")) {
        return None;
    }
    let tablespace = owner.split_once("; Tablespace: ").map(|(_, name)| name);
    Some(Object {
        kind: kind.to_string(),
        schema: Some(schema).filter(|schema| *schema != "-").map(String::from),
        name: name.to_string(),
        definition: match tablespace {
            Some(tablespace) => format!("-- in tablespace {tablespace}\n{statements}"),
            None => statements.to_string(),
        },
    })
}

/// What differs, in the order of the expected objects, then of those that were found. pg_dump orders what
/// depends on each other by numbers that two databases do not share, so their order is no difference.
pub fn compare(expected: Vec<Object>, found: Vec<Object>) -> Vec<Difference> {
    let mut found: Vec<Option<Object>> = found.into_iter().map(Some).collect();
    // What is wholly the same first: pg_dump's name of a thing is not always unique.
    let left: Vec<Object> =
        expected.into_iter().filter(|object| take(&mut found, |other| other == object).is_none()).collect();
    let mut differences = Vec::new();
    for expected in left {
        differences.push(match take(&mut found, |other| other.is(&expected)) {
            Some(found) => Difference::Changed { nature: nature(&expected, &found), expected, found },
            None => Difference::Missing(expected),
        });
    }
    differences.extend(found.into_iter().flatten().map(Difference::Unexpected));
    differences
}

fn take(objects: &mut [Option<Object>], wanted: impl Fn(&Object) -> bool) -> Option<Object> {
    objects.iter_mut().find(|object| object.as_ref().is_some_and(&wanted))?.take()
}

fn nature(expected: &Object, found: &Object) -> Nature {
    let (expected, found) = (&expected.definition, &found.definition);
    if sorted_lines(expected) == sorted_lines(found) {
        Nature::Order
    } else if without_casts(expected) == without_casts(found) {
        Nature::Spelling
    } else {
        Nature::Content
    }
}

#[cfg(test)]
mod tests;
