//! `alembic.ini` as Python's `ConfigParser` reads it (Python manual, "Supported INI File Structure"), as far as
//! Alembic's own settings go. **Pure.**

use std::collections::BTreeMap;

/// How deep one value may stand in another (`ConfigParser`'s own bound).
const DEEPEST: usize = 10;
/// How much of other values may stand in one, in bytes and names: ten values that each name the next ten times would
/// otherwise fill the memory, or take for ever.
const MOST: usize = 64 * 1024;

/// A file of sections.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ini {
    sections: BTreeMap<String, BTreeMap<String, String>>,
}

/// What is left of the bounds while a value is put together.
struct Bound {
    depth: usize,
    left: usize,
}

/// What is wrong in the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IniError {
    /// A line that is neither section nor key.
    #[error("line {line} is neither a [section] nor a `key = value`")]
    Line {
        /// Which, from 1.
        line: usize,
    },
    /// A value that names another that there is not, or itself.
    #[error("`{key}` in [{section}]: {why}")]
    Value {
        /// The section.
        section: String,
        /// The key.
        key: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Ini {
    /// Reads the text.
    ///
    /// # Errors
    /// [`IniError::Line`].
    pub fn parse(text: &str) -> Result<Self, IniError> {
        let mut ini = Self::default();
        let (mut section, mut key) = (None::<String>, None::<(String, usize)>);
        for (number, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
            let said = line.trim();
            if said.is_empty() || said.starts_with(['#', ';']) {
                continue;
            }
            let depth = line.chars().take_while(|c| c.is_whitespace()).count();
            if let (Some(section), Some((key, indent))) = (&section, &key)
                && depth > *indent
            {
                let values = ini.sections.entry(section.clone()).or_default();
                let value = values.entry(key.clone()).or_default();
                value.push('\n');
                value.push_str(said);
                continue;
            }
            if let Some(name) =
                said.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(name, _)| name)
            {
                ini.sections.entry(name.to_string()).or_default();
                (section, key) = (Some(name.to_string()), None);
                continue;
            }
            let (Some(section), Some(at)) = (&section, said.find(['=', ':'])) else {
                return Err(IniError::Line { line: number + 1 });
            };
            // Keys are read in lower case.
            let name = said[..at].trim().to_lowercase();
            let values = ini.sections.entry(section.clone()).or_default();
            values.insert(name.clone(), said[at + 1..].trim().to_string());
            key = Some((name, depth));
        }
        Ok(ini)
    }

    /// Whether there is such a section.
    pub fn has(&self, section: &str) -> bool {
        self.sections.contains_key(section)
    }

    /// The names of its sections that hold `key`.
    pub fn sections_with(&self, key: &str) -> Vec<&str> {
        let holds = self.sections.iter().filter(|(_, values)| values.contains_key(key));
        holds.map(|(name, _)| name.as_str()).collect()
    }

    /// The value of `key` in `section` or in `[DEFAULT]`, with every `%(name)s` replaced; `here` is the file's
    /// folder.
    ///
    /// # Errors
    /// [`IniError::Value`].
    pub fn get(&self, section: &str, key: &str, here: &str) -> Result<Option<String>, IniError> {
        match self.raw(section, key) {
            Some(raw) => self.expand(section, key, raw, here, &mut Bound { depth: 0, left: MOST }).map(Some),
            None => Ok(None),
        }
    }

    fn raw(&self, section: &str, key: &str) -> Option<&str> {
        let of = |name: &str| self.sections.get(name).and_then(|values| values.get(key));
        of(section).or_else(|| of("DEFAULT")).map(String::as_str)
    }

    /// `ConfigParser`'s `BasicInterpolation`.
    fn expand(
        &self,
        section: &str,
        key: &str,
        text: &str,
        here: &str,
        bound: &mut Bound,
    ) -> Result<String, IniError> {
        let wrong =
            |why: String| Err(IniError::Value { section: section.to_string(), key: key.to_string(), why });
        if bound.depth > DEEPEST {
            return wrong("it stands for itself".to_string());
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            out.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            if let Some(after) = after.strip_prefix('%') {
                out.push('%');
                rest = after;
                continue;
            }
            let Some((name, after)) = after.strip_prefix('(').and_then(|named| named.split_once(")s")) else {
                return wrong("a % must be written %%, or begin a %(name)s".to_string());
            };
            let name = name.to_lowercase();
            let (named, written) = match (name.as_str(), self.raw(section, &name)) {
                (_, Some(raw)) => (raw, true),
                ("here", None) => (here, false),
                (name, None) => return wrong(format!("%({name})s is nowhere")),
            };
            let Some(left) = bound.left.checked_sub(1 + named.len()) else {
                return wrong(format!("the values that it names are longer than {MOST} bytes"));
            };
            bound.left = left;
            if written {
                bound.depth += 1;
                out.push_str(&self.expand(section, &name, named, here, bound)?);
                bound.depth -= 1;
            } else {
                out.push_str(named);
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENERIC: &str = "\u{feff}# A generic, single database configuration.\r\n[DEFAULT]\nroot = %(here)s/app\n\n\
        [alembic]\nscript_location = %(root)s/alembic\n; a comment\nfile_template = %%(year)d_%%(rev)s\n\
        Prepend_Sys_Path = .\nversion_locations =\n    %(here)s/one\n    # between\n    %(here)s/two\n\
        sqlalchemy.url = driver://user:pass@localhost/dbname # not a comment\nempty =\nurl: x=y\n\n[loggers]\nkeys=root\n";

    #[test]
    fn values_are_read_as_python_reads_them() {
        let ini = Ini::parse(GENERIC).unwrap();
        let get = |key: &str| ini.get("alembic", key, "/srv").unwrap();
        assert_eq!(get("script_location").as_deref(), Some("/srv/app/alembic"));
        assert_eq!(get("file_template").as_deref(), Some("%(year)d_%(rev)s"));
        assert_eq!(get("prepend_sys_path").as_deref(), Some("."));
        assert_eq!(get("version_locations").as_deref(), Some("\n/srv/one\n/srv/two"));
        assert_eq!(
            get("sqlalchemy.url").as_deref(),
            Some("driver://user:pass@localhost/dbname # not a comment")
        );
        assert_eq!(
            (get("empty").as_deref(), get("url").as_deref(), get("none")),
            (Some(""), Some("x=y"), None)
        );
        assert_eq!(ini.sections_with("script_location"), ["alembic"]);
        assert!(ini.has("loggers") && !ini.has("ai"));
    }

    #[test]
    fn what_python_refuses_is_refused() {
        for (text, why) in [
            ("x = 1\n", "line 1 is neither a [section] nor a `key = value`"),
            ("[a]\nwords\n", "line 2 is neither a [section] nor a `key = value`"),
            ("[a]\nx = 50%\n", "`x` in [a]: a % must be written %%, or begin a %(name)s"),
            ("[a]\nx = %(y)s\n", "`x` in [a]: %(y)s is nowhere"),
            ("[a]\nx = %(x)s\n", "`x` in [a]: it stands for itself"),
        ] {
            let said = Ini::parse(text).and_then(|ini| ini.get("a", "x", "/"));
            assert_eq!(said.unwrap_err().to_string(), why, "{text}");
        }
    }
}
