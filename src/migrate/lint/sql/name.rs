//! Names of relations, types and routines, as the server would fold them.

use std::fmt;

use squawk_syntax::ast;

/// How many bytes of a name PostgreSQL keeps.
const LONGEST: usize = 63;

/// A name with its schema, where one is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// The schema; `None`: the search path decides.
    pub schema: Option<String>,
    /// The name itself.
    pub name: String,
}

impl Name {
    /// `schema.name`.
    pub fn full(schema: &str, name: &str) -> Self {
        Self { schema: Some(schema.to_string()), name: name.to_string() }
    }

    /// The name without a schema.
    pub fn bare(name: &str) -> Self {
        Self { schema: None, name: name.to_string() }
    }

    /// The same object under another name, in the same schema.
    pub fn renamed(&self, name: &str) -> Self {
        Self { schema: self.schema.clone(), name: name.to_string() }
    }

    /// What a reference names.
    pub fn of_ref(path: Option<ast::PathRef>) -> Option<Self> {
        let path = path?;
        let name = cut(path.segment()?.text());
        Some(Self { schema: path.qualifier().and_then(|q| q.segment()).map(|s| cut(s.text())), name })
    }

    /// What a definition names.
    pub fn of_path(path: Option<ast::Path>) -> Option<Self> {
        let path = path?;
        let name = cut(path.segment()?.text());
        Some(Self { schema: path.qualifier().and_then(|q| q.segment()).map(|s| cut(s.text())), name })
    }
}

impl fmt::Display for Name {
    /// As a person writes it: `public.` is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.schema.as_deref() {
            None | Some("public") => f.write_str(&self.name),
            Some(schema) => write!(f, "{schema}.{}", self.name),
        }
    }
}

/// A name cut as the server cuts it.
pub(super) fn cut(mut name: String) -> String {
    name.truncate(name.floor_char_boundary(LONGEST));
    name
}
