//! One file of a version folder: what Alembic would find in the module, read without running it. **Pure** but for
//! the reading of the file.

use std::path::{Path, PathBuf};

use super::python::{self, Line, Literal, Token};
use crate::migrate::chain::Text;
use crate::migrate::graph::Revision;

/// A migration of an Alembic project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// What it is in the graph.
    pub revision: Revision,
    /// What it says of itself.
    pub text: Text,
    /// What its functions call that only a database can answer.
    pub asks: Vec<Ask>,
    /// Parts of it commit by themselves (`autocommit_block`, `COMMIT`), so that a failure may leave a part.
    pub commits: bool,
}

/// A call that is answered by a database, and by nothing where there is none (`--sql`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// What is called: `get_bind`.
    pub name: String,
    /// On which line.
    pub line: u32,
}

/// Why a file could not be read as a migration.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// The system refused.
    #[error("read {}", .path.display())]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A string or bracket that does not end.
    #[error("{}:{line}: what begins here does not end", .path.display())]
    Unfinished {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u32,
    },
    /// A header that must be there.
    #[error("{}: there is no `{key} = …`", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// Which.
        key: &'static str,
    },
    /// A header that only Python could tell.
    #[error("{}:{line}: `{key}` is computed, so it can't be known without running the file", .path.display())]
    Computed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u32,
        /// Which.
        key: &'static str,
    },
}

const REVISION: &str = "revision";
const DOWN: &str = "down_revision";
const LABELS: &str = "branch_labels";
const DEPENDS: &str = "depends_on";

/// Reads one file.
///
/// # Errors
/// [`HeaderError`] with file and line.
pub fn read(path: &Path) -> Result<Migration, HeaderError> {
    let bytes =
        std::fs::read(path).map_err(|source| HeaderError::Unreadable { path: path.to_path_buf(), source })?;
    parse(&String::from_utf8_lossy(&bytes), path)
}

/// Reads the text of a file; `path` is noted.
///
/// # Errors
/// [`HeaderError`].
pub fn parse(text: &str, path: &Path) -> Result<Migration, HeaderError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let lines = python::lines(&text)
        .map_err(|open| HeaderError::Unfinished { path: path.to_path_buf(), line: open.line })?;
    let module = Module { lines: &lines, path };
    let missing = |key| HeaderError::Missing { path: path.to_path_buf(), key };
    let revision = match module.header(REVISION)?.ok_or_else(|| missing(REVISION))? {
        (Literal::Text(id), _) => id,
        (_, line) => return Err(HeaderError::Computed { path: path.to_path_buf(), line, key: REVISION }),
    };
    // Alembic itself wants this one to be there.
    let down = module.header(DOWN)?.ok_or_else(|| missing(DOWN))?.0.into_list();
    let list =
        |key| module.header(key).map(|found| found.map(|(value, _)| value.into_list()).unwrap_or_default());
    let revision = Revision {
        id: revision,
        down,
        labels: list(LABELS)?,
        depends_on: list(DEPENDS)?,
        file: path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
    };
    let said = Said::of(module.docstring());
    let (up, down) = (module.function("upgrade"), module.function("downgrade"));
    let reversible = match (&up, &down) {
        (_, Some(down)) if down.raises() => false,
        (Some(up), Some(down)) => !down.is_empty() || up.is_empty(),
        // Imported, or made otherwise: for Alembic to find out.
        (_, None) => module.assigns("downgrade"),
        (None, Some(_)) => true,
    };
    Ok(Migration {
        revision,
        text: Text {
            description: said.description,
            notes: said.notes,
            created: said.created,
            path: path.to_path_buf(),
            checksum: None,
            reversible,
        },
        asks: module.asks(),
        commits: module.commits(),
    })
}

impl Literal {
    /// As Alembic's `util.to_tuple`.
    fn into_list(self) -> Vec<String> {
        match self {
            Literal::None => Vec::new(),
            Literal::Text(text) => vec![text],
            Literal::List(list) => list,
        }
    }
}

struct Module<'a> {
    lines: &'a [Line],
    path: &'a Path,
}

impl Module<'_> {
    /// What is assigned to a name of the module, last of all, and where.
    fn header(&self, key: &'static str) -> Result<Option<(Literal, u32)>, HeaderError> {
        let Some((line, value)) = self.lines.iter().rev().find_map(|line| Some((line, assigned(line, key)?)))
        else {
            return Ok(None);
        };
        let computed = || HeaderError::Computed { path: self.path.to_path_buf(), line: line.number, key };
        // Under an `if` only Python knows.
        if line.indent > 0 {
            return Err(computed());
        }
        python::literal(value).map(|value| Some((value, line.number))).ok_or_else(computed)
    }

    fn docstring(&self) -> &str {
        let first = self.lines.first().map(|line| line.tokens.as_slice());
        match first {
            Some([(Token::Text(text), _)]) => text,
            _ => "",
        }
    }

    /// The body of a function of the module.
    fn function(&self, name: &str) -> Option<Body<'_>> {
        let begins = |line: &Line| {
            let tokens: Vec<&Token> = line.tokens.iter().map(|(token, _)| token).collect();
            line.indent == 0
                && matches!(tokens.as_slice(), [def, found, ..] if def.is("def") && found.is(name))
        };
        let at = self.lines.iter().rposition(begins)?;
        let mut statements: Vec<&[(Token, u32)]> = Vec::new();
        // `def downgrade(): pass`
        let head = &self.lines[at].tokens;
        let colon = head.iter().rposition(|(token, _)| *token == Token::Sign(':'))?;
        if colon + 1 < head.len() {
            statements.push(&head[colon + 1..]);
        }
        let below = self.lines[at + 1..].iter().take_while(|line| line.indent > 0);
        statements.extend(below.map(|line| line.tokens.as_slice()));
        Some(Body { statements })
    }

    /// Whether the name is bound by something else than a `def`.
    fn assigns(&self, name: &str) -> bool {
        let binds = |line: &Line| {
            let imports = line.tokens.iter().any(|(token, _)| token.is("import"));
            line.indent == 0
                && (assigned(line, name).is_some()
                    || (imports && line.tokens.iter().any(|(token, _)| token.is(name))))
        };
        self.lines.iter().any(binds)
    }

    fn asks(&self) -> Vec<Ask> {
        const NAMES: [&str; 11] = [
            "get_bind",
            "fetchall",
            "fetchone",
            "fetchmany",
            "scalar",
            "scalars",
            "first",
            "inspect",
            "Session",
            "sessionmaker",
            "mappings",
        ];
        let mut asks: Vec<Ask> = Vec::new();
        for line in self.lines.iter().filter(|line| line.indent > 0) {
            for pair in line.tokens.windows(2) {
                let [(Token::Word(name), at), (Token::Sign('('), _)] = pair else { continue };
                if NAMES.contains(&name.as_str()) && !asks.iter().any(|ask| ask.name == *name) {
                    asks.push(Ask { name: name.clone(), line: *at });
                }
            }
        }
        asks
    }

    fn commits(&self) -> bool {
        let mut tokens = self.lines.iter().flat_map(|line| &line.tokens);
        tokens.any(|(token, _)| match token {
            Token::Word(word) => word == "autocommit_block" || word == "commit",
            Token::Text(text) => {
                let text = text.trim_start().to_ascii_uppercase();
                text.starts_with("COMMIT") || text == "AUTOCOMMIT"
            }
            _ => false,
        })
    }
}

/// The tokens behind the `=` of `key = …` or `key: type = …`.
fn assigned<'l>(line: &'l Line, key: &str) -> Option<&'l [(Token, u32)]> {
    let ((first, _), rest) = line.tokens.split_first()?;
    if !first.is(key) {
        return None;
    }
    let sign = |at: usize| match rest.get(at) {
        Some((Token::Sign(sign), _)) => Some(*sign),
        _ => None,
    };
    let equals = match sign(0)? {
        '=' => 0,
        // A type can hold brackets and dots, but no `=`.
        ':' => rest.iter().position(|(token, _)| *token == Token::Sign('='))?,
        _ => return None,
    };
    // `revision == x` is no assignment.
    (sign(equals + 1) != Some('=')).then(|| &rest[equals + 1..])
}

struct Body<'a> {
    statements: Vec<&'a [(Token, u32)]>,
}

impl Body<'_> {
    /// The statements that do something.
    fn acts(&self) -> impl Iterator<Item = &&[(Token, u32)]> {
        let idle = |tokens: &[(Token, u32)]| match tokens {
            [(token, _)] => token.is("pass") || token.is("return") || matches!(token, Token::Text(_)),
            tokens => tokens.iter().all(|(token, _)| *token == Token::Sign('.')),
        };
        self.statements.iter().filter(move |tokens| !idle(tokens))
    }

    fn is_empty(&self) -> bool {
        self.acts().next().is_none()
    }

    fn raises(&self) -> bool {
        self.acts().next().is_some_and(|tokens| tokens.first().is_some_and(|(token, _)| token.is("raise")))
    }
}

/// What a docstring says.
#[derive(Default)]
struct Said {
    description: String,
    notes: String,
    created: Option<String>,
}

impl Said {
    fn of(docstring: &str) -> Self {
        let mut said = Self::default();
        let (first, rest) = docstring.trim().split_once("\n\n").unwrap_or((docstring.trim(), ""));
        said.description = first.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut notes: Vec<&str> = Vec::new();
        for line in rest.lines().map(str::trim_end) {
            if let Some(created) = line.trim_start().strip_prefix("Create Date:") {
                said.created = Some(created.trim().to_string());
            } else if !["Revision ID:", "Revises:"].iter().any(|known| line.trim_start().starts_with(known)) {
                notes.push(line);
            }
        }
        said.notes = notes.join("\n").trim().to_string();
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migration(text: &str) -> Migration {
        parse(text, Path::new("versions/x.py")).unwrap()
    }

    fn refusal(text: &str) -> String {
        parse(text, Path::new("versions/x.py")).unwrap_err().to_string()
    }

    const GENERATED: &str = "\"\"\"Add priority to questions\n\nRevision ID: abc123def456\nRevises: 989ceebf408f\n\
        Create Date: 2025-12-06 10:30:00.123456\n\nWith a note.\n\"\"\"\nfrom typing import Sequence, Union\n\n\
        from alembic import op\nimport sqlalchemy as sa\n\n# revision identifiers, used by Alembic.\n\
        revision: str = 'abc123def456'\ndown_revision: Union[str, Sequence[str], None] = '989ceebf408f'\n\
        branch_labels: Union[str, Sequence[str], None] = None\ndepends_on = (\"a\", 'b')\n\n\n\
        def upgrade() -> None:\n    \"\"\"Upgrade schema.\"\"\"\n    op.add_column('q', sa.Column('p', sa.String()))\n\n\n\
        def downgrade() -> None:\n    op.drop_column('q', 'p')\n";

    #[test]
    fn a_generated_file() {
        let found = migration(GENERATED);
        assert_eq!(found.revision.id, "abc123def456");
        assert_eq!((found.revision.down, found.revision.labels), (vec!["989ceebf408f".to_string()], vec![]));
        assert_eq!(found.revision.depends_on, ["a", "b"]);
        assert_eq!((found.revision.file.as_str(), found.text.reversible), ("x.py", true));
        assert_eq!(found.text.description, "Add priority to questions");
        assert_eq!(found.text.notes, "With a note.");
        assert_eq!(found.text.created.as_deref(), Some("2025-12-06 10:30:00.123456"));
        assert_eq!((found.asks.len(), found.commits), (0, false));
    }

    #[test]
    fn headers_in_other_forms() {
        let found =
            migration("revision = \"\"\"a\"\"\"\ndown_revision = 'b', 'c'\nbranch_labels = 'x'  # 'y'\n");
        assert_eq!(found.revision.down, ["b", "c"]);
        assert_eq!(found.revision.labels, ["x"]);
        assert_eq!((found.text.description.as_str(), found.text.created), ("", None));
        let found = migration("# revision = 'no'\nrevision = ('a')\ndown_revision = (\n    None\n)\n");
        assert_eq!((found.revision.id.as_str(), found.revision.down), ("a", vec![]));
        let found =
            migration("revision = 'a'\nrevision = 'b'\ndown_revision = None\nif revision == 'c': pass\n");
        assert_eq!(found.revision.id, "b");
    }

    #[test]
    fn what_only_python_knows_is_named() {
        assert_eq!(
            refusal("\"\"\"x\"\"\"\nrevision = make_id()\ndown_revision = None\n"),
            "versions/x.py:2: `revision` is computed, so it can't be known without running the file"
        );
        assert!(
            refusal("revision = 'a'\ndown_revision = f'{x}'\n")
                .starts_with("versions/x.py:2: `down_revision`")
        );
        assert!(
            refusal("revision = 'a'\ndown_revision = None\nif x:\n    depends_on = 'b'\n")
                .contains(":4: `depends_on`")
        );
        assert_eq!(refusal("import os\n"), "versions/x.py: there is no `revision = …`");
        assert_eq!(refusal("revision = 'a'\n"), "versions/x.py: there is no `down_revision = …`");
        assert_eq!(refusal("revision = 'a'\nx = (\n"), "versions/x.py:2: what begins here does not end");
    }

    #[test]
    fn a_way_down() {
        let reversible = |upgrade: &str, downgrade: &str| {
            migration(&format!(
                "revision = 'a'\ndown_revision = None\ndef upgrade():{upgrade}\n{downgrade}\n"
            ))
            .text
            .reversible
        };
        let acts = "\n    op.execute('x')";
        assert!(reversible(acts, "def downgrade() -> None:\n    op.execute('y')"));
        assert!(reversible(acts, "def downgrade(): op.execute('y')"));
        assert!(!reversible(acts, "def downgrade():\n    pass"));
        assert!(!reversible(acts, "def downgrade():\n    '''No way.'''\n    # none\n    pass"));
        assert!(!reversible(acts, "def downgrade(): ..."));
        assert!(!reversible(acts, "def downgrade():\n    raise NotImplementedError('x')"));
        assert!(!reversible(acts, "def downgrade():\n    '''x'''\n    raise Exception"));
        assert!(!reversible(acts, ""));
        assert!(reversible(acts, "from helpers import downgrade"));
        assert!(reversible(acts, "downgrade = undo(upgrade)"));
        assert!(reversible(" pass", "def downgrade(): pass"), "a merge");
        assert!(!reversible(" pass", "def downgrade():\n    raise Exception"));
    }

    #[test]
    fn what_asks_a_database_is_seen() {
        let found = migration(
            "revision = 'a'\ndown_revision = None\ndef upgrade():\n    c = op.get_bind()\n    rows = c.execute(q).fetchall()\n\
             \x20   with op.get_context().autocommit_block():\n        op.execute('VACUUM')\n",
        );
        let names: Vec<(&str, u32)> = found.asks.iter().map(|ask| (ask.name.as_str(), ask.line)).collect();
        assert_eq!(names, [("get_bind", 4), ("fetchall", 5)]);
        assert!(found.commits);
        assert!(
            migration("revision = 'a'\ndown_revision = None\ndef upgrade():\n    op.execute('COMMIT')\n")
                .commits
        );
    }
}
