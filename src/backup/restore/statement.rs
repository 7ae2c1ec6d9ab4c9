//! What a statement of pg_dump's text after the data does, as far as its order matters.
//!
//! Told by the statement itself and not by pg_dump's heading comment: a hostile name can make a heading say
//! anything, but not a statement. pg_dump writes its names qualified. What is not understood is
//! [`Kind::Other`], and keeps its place.

use crate::backup::manifest::TableName;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A setting of the session, for every statement after it: its name.
    Setting(String),
    /// An index: its table can be read meanwhile, and have other indexes made (`SHARE`).
    Index { table: TableName, name: String },
    /// A constraint of one table alone, which locks it against everything (`ACCESS EXCLUSIVE`).
    Constraint { table: TableName, name: String },
    /// A constraint between two tables, which locks both against writes and each other.
    ForeignKey { table: TableName, name: String, other: TableName },
    /// What belongs to the index or constraint of this schema and name, and needs a lock on its table or not:
    /// its comment, `CLUSTER ON`, `REPLICA IDENTITY`.
    Belongs { schema: String, name: String, locks: bool },
    /// The filling of a materialized view.
    Refresh,
    /// Anything else.
    Other,
}

impl Kind {
    /// The kind of one statement, comments before it included.
    pub fn of(statement: &str) -> Self {
        Scan::new(statement).kind().unwrap_or(Kind::Other)
    }
}

/// A statement without the comments before it; nothing, if it has nothing else.
pub(in crate::backup) fn without_comments(statement: &str) -> &str {
    let mut rest = statement.trim_start();
    while rest.starts_with("--") {
        rest = rest.split_once('\n').map_or("", |(_, after)| after).trim_start();
    }
    rest
}

/// Reads a statement from its left.
#[derive(Clone, Copy)]
struct Scan<'a> {
    rest: &'a str,
}

impl<'a> Scan<'a> {
    fn new(statement: &'a str) -> Self {
        Self { rest: without_comments(statement) }
    }

    /// `None` where something else stands than was looked for.
    fn kind(mut self) -> Option<Kind> {
        if self.words("SET") {
            return Some(Kind::Setting(self.identifier()?));
        }
        if self.words("SELECT pg_catalog.set_config('search_path',") {
            return Some(Kind::Setting("search_path".into()));
        }
        if self.words("REFRESH MATERIALIZED VIEW") {
            return Some(Kind::Refresh);
        }
        if self.words("CREATE UNIQUE INDEX") || self.words("CREATE INDEX") {
            let name = self.identifier()?;
            return (self.words("ON ONLY") || self.words("ON"))
                .then(|| Some(Kind::Index { table: self.name()?, name }))?;
        }
        if self.words("ALTER TABLE") {
            return self.alter_table();
        }
        if self.words("COMMENT ON INDEX") {
            let TableName { schema, name } = self.name()?;
            return Some(Kind::Belongs { schema, name, locks: false });
        }
        if self.words("COMMENT ON CONSTRAINT") {
            let name = self.identifier()?;
            return self
                .words("ON")
                .then(|| Some(Kind::Belongs { schema: self.name()?.schema, name, locks: true }))?;
        }
        if self.words("ALTER INDEX ONLY") || self.words("ALTER INDEX") {
            let TableName { schema, name } = self.name()?;
            let own = self.words("ALTER COLUMN") || self.words("DEPENDS ON EXTENSION");
            return own.then_some(Kind::Belongs { schema, name, locks: true });
        }
        None
    }

    fn alter_table(&mut self) -> Option<Kind> {
        let only = self.words("ONLY");
        let table = self.name()?;
        if self.words("CLUSTER ON") || self.words("REPLICA IDENTITY USING INDEX") {
            let name = self.identifier()?;
            return Some(Kind::Belongs { schema: table.schema, name, locks: true });
        }
        if !self.words("ADD CONSTRAINT") {
            return None;
        }
        let name = self.identifier()?;
        if ["PRIMARY KEY", "UNIQUE", "EXCLUDE", "CHECK"].iter().any(|words| self.words(words)) {
            return Some(Kind::Constraint { table, name });
        }
        // Without ONLY it is a partitioned table's, and takes the locks of all its partitions.
        if only && self.words("FOREIGN KEY (") {
            self.identifier()?;
            while self.words(",") {
                self.identifier()?;
            }
            let other =
                (self.words(") REFERENCES ONLY") || self.words(") REFERENCES")).then(|| self.name())??;
            return Some(Kind::ForeignKey { table, name, other });
        }
        None
    }

    /// Takes these words and signs, one after another; all of them or nothing.
    fn words(&mut self, words: &str) -> bool {
        let mut rest = self.rest;
        for word in words.split(' ') {
            let Some(after) = rest.strip_prefix(word) else { return false };
            let is_word = |character: Option<char>| character.is_some_and(is_word);
            if is_word(word.chars().last()) && is_word(after.chars().next()) {
                return false;
            }
            rest = after.trim_start();
        }
        self.rest = rest;
        true
    }

    /// `schema.name`.
    fn name(&mut self) -> Option<TableName> {
        let schema = self.identifier()?;
        self.rest = self.rest.strip_prefix('.')?;
        Some(TableName { schema, name: self.identifier()? })
    }

    /// An identifier, without its quotes; what stands after it has no space before it then.
    fn identifier(&mut self) -> Option<String> {
        let (name, rest) = match self.rest.strip_prefix('"') {
            Some(quoted) => quoted_identifier(quoted)?,
            None => {
                let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
                (self.rest[..end].to_string(), &self.rest[end..])
            }
        };
        self.rest = rest.trim_start();
        (!name.is_empty()).then_some(name)
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '$') || !character.is_ascii()
}

/// The identifier whose opening quote is taken already, and what stands after its closing one.
pub(super) fn quoted_identifier(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (head, tail) = rest.split_once('"')?;
        name.push_str(head);
        match tail.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => return Some((name, tail)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(schema: &str, name: &str) -> TableName {
        TableName::new(schema, name)
    }

    #[test]
    fn indexes_and_constraints_name_their_tables() {
        let heading = "\n\n--\n-- Name: x; Type: TABLE; Schema: a; Owner: b\n--\n\n";
        let index = Kind::Index { table: table("public", "t"), name: "i".into() };
        assert_eq!(Kind::of("CREATE INDEX i ON public.t USING btree (a)"), index);
        assert_eq!(
            Kind::of(&format!("{heading}CREATE UNIQUE INDEX i ON ONLY public.t USING btree (a)")),
            index
        );
        let hostile = "CREATE INDEX \"CREATE; \"\"i\" ON \"S. x\".\"ON \"\"ONLY\"\" t\" USING btree (a)";
        let (table_, name) = (table("S. x", "ON \"ONLY\" t"), "CREATE; \"i".to_string());
        assert_eq!(Kind::of(hostile), Kind::Index { table: table_, name });
        for body in ["PRIMARY KEY (id)", "UNIQUE (a, b)", "EXCLUDE USING gist (r WITH &&)", "CHECK ((a > 0))"]
        {
            let sql = format!("{heading}ALTER TABLE ONLY public.t\n    ADD CONSTRAINT \"i\" {body}");
            assert_eq!(Kind::of(&sql), Kind::Constraint { table: table("public", "t"), name: "i".into() });
        }
    }

    #[test]
    fn foreign_keys_name_both_tables() {
        let sql = "ALTER TABLE ONLY public.a\n    ADD CONSTRAINT f FOREIGN KEY (\"x) REFERENCES no.no(\", y) \
                   REFERENCES \"Other\".b(x, y) ON DELETE CASCADE";
        let (table_, other) = (table("public", "a"), table("Other", "b"));
        assert_eq!(Kind::of(sql), Kind::ForeignKey { table: table_, name: "f".into(), other });
        assert_eq!(Kind::of(&sql.replace("ONLY ", "")), Kind::Other, "a partitioned table's keeps its place");
    }

    #[test]
    fn what_belongs_to_an_index_is_known() {
        for (sql, locks) in [
            ("COMMENT ON INDEX public.i IS 'x'", false),
            ("COMMENT ON CONSTRAINT i ON public.t IS 'x'", true),
            ("ALTER TABLE public.t CLUSTER ON i", true),
            ("ALTER TABLE ONLY public.t REPLICA IDENTITY USING INDEX i", true),
            ("ALTER INDEX ONLY public.i ALTER COLUMN 1 SET STATISTICS 100", true),
        ] {
            let wanted = Kind::Belongs { schema: "public".into(), name: "i".into(), locks };
            assert_eq!(Kind::of(sql), wanted, "{sql}");
        }
    }

    #[test]
    fn settings_are_known_and_the_rest_keeps_its_place() {
        assert_eq!(Kind::of("\n\nSET default_tablespace = ''"), Kind::Setting("default_tablespace".into()));
        let path = "SELECT pg_catalog.set_config('search_path', '', false)";
        assert_eq!(Kind::of(path), Kind::Setting("search_path".into()));
        assert_eq!(Kind::of("REFRESH MATERIALIZED VIEW public.v"), Kind::Refresh);
        for sql in [
            "",
            "-- only a comment",
            "ALTER INDEX public.p ATTACH PARTITION public.c",
            "CREATE TRIGGER t AFTER INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.f()",
            "CREATE OR REPLACE VIEW public.v AS SELECT 1",
            "ALTER TABLE public.t ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE public.t ADD CONSTRAINT n NOT NULL x",
            "CREATE INDEXES",
            "CREATE INDEX i ON t (x)",
            "CREATE INDEX \"never closed ON public.t",
            "SELECT pg_catalog.setval('s', 1)",
        ] {
            assert_eq!(Kind::of(sql), Kind::Other, "{sql}");
        }
    }
}
