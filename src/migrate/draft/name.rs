//! The names of new files.

use jiff::Timestamp;

use super::Draft;

/// Longest slug, in characters, as in Alembic.
const SLUG: usize = 40;

/// A file's name with `{revision}`, `{slug}` and `{timestamp}` in it; `.sql` is added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern(String);

/// What is wrong with a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A placeholder that is not known.
    #[error("{{{0}}} is no placeholder; known are {{revision}}, {{slug}} and {{timestamp}}")]
    Unknown(
        /// What stands in the braces.
        String,
    ),
    /// Two files could get one name.
    #[error("{{revision}} or {{timestamp}} must be in it, or two files could get one name")]
    NotUnique,
    /// It would leave the folder, or be hidden.
    #[error("a file's name has no slash, no control character, and no dot at its beginning")]
    NoName,
}

impl Default for NamePattern {
    fn default() -> Self {
        Self("{timestamp}_{slug}".to_string())
    }
}

impl NamePattern {
    /// The pattern of this text; or `timestamp` (`20251118120000_add_user_preferences`, the default), or `alembic`
    /// (`c08085465bad_add_user_preferences`).
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let text = match text {
            "timestamp" => return Ok(Self::default()),
            "alembic" => "{revision}_{slug}",
            text => text,
        };
        if text.starts_with('.') || text.contains(|c: char| c == '/' || c == '\\' || c.is_control()) {
            return Err(PatternError::NoName);
        }
        let bare =
            ["{revision}", "{slug}", "{timestamp}"].iter().fold(text.to_string(), |t, p| t.replace(p, ""));
        if let Some((_, rest)) = bare.split_once('{') {
            return Err(PatternError::Unknown(rest.split('}').next().unwrap_or(rest).to_string()));
        }
        if !text.contains("{revision}") && !text.contains("{timestamp}") {
            return Err(PatternError::NotUnique);
        }
        Ok(Self(text.strip_suffix(".sql").unwrap_or(text).to_string()))
    }

    /// The name of a draft's file.
    pub fn of(&self, draft: &Draft) -> String {
        let name = self
            .0
            .replace("{revision}", &draft.revision.id)
            .replace("{slug}", &slug(&draft.description))
            .replace("{timestamp}", &timestamp(draft.created));
        format!("{}.sql", name.trim_end_matches('_'))
    }
}

/// `YYYYMMDDHHMMSS`, UTC.
pub(super) fn timestamp(at: Timestamp) -> String {
    at.strftime("%Y%m%d%H%M%S").to_string()
}

/// A description as a part of a file's name: its words, in lower case.
fn slug(description: &str) -> String {
    let words = description.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let slug = words.collect::<Vec<_>>().join("_").to_lowercase();
    if slug.chars().count() <= SLUG {
        return slug;
    }
    let cut: String = slug.chars().take(SLUG).collect();
    cut.rsplit_once('_').map_or(cut.clone(), |(whole, _)| whole.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::super::graph::Revision;
    use super::*;

    fn name(pattern: &str, description: &str) -> String {
        let created = "2025-11-18T12:00:07Z".parse().unwrap();
        let revision = Revision::new("c08085465bad", &[]);
        let draft = Draft { revision, description: description.to_string(), created };
        NamePattern::parse(pattern).unwrap().of(&draft)
    }

    #[test]
    fn names_follow_their_pattern() {
        assert_eq!(name("timestamp", "Add user preferences"), "20251118120007_add_user_preferences.sql");
        assert_eq!(name("alembic", "Add user-preferences!"), "c08085465bad_add_user_preferences.sql");
        assert_eq!(name("V{timestamp}__{slug}.sql", "Größe"), "V20251118120007__größe.sql");
        assert_eq!(name("alembic", "../../etc/passwd"), "c08085465bad_etc_passwd.sql");
        assert_eq!(name("alembic", "…"), "c08085465bad.sql");
        let long = name("alembic", "Change the type of a column that has many rows in production");
        assert_eq!(long, "c08085465bad_change_the_type_of_a_column_that_has.sql");
    }

    #[test]
    fn bad_patterns_are_refused() {
        let wrong = |text| NamePattern::parse(text).unwrap_err();
        assert_eq!(wrong("{rev}_{slug}"), PatternError::Unknown("rev".into()));
        assert_eq!(wrong("{slug}"), PatternError::NotUnique);
        for text in ["../{revision}", ".{revision}", "a\\{revision}", "{revision}\n"] {
            assert_eq!(wrong(text), PatternError::NoName, "{text:?}");
        }
    }
}
