//! The text of new files.

use super::Draft;

/// The template that is used where none is configured.
pub const SHIPPED: &str = include_str!("template.sql");

const PLACEHOLDERS: [&str; 6] = ["revision", "revises", "branch", "depends_on", "description", "created"];

/// A migration file with `{revision}`, `{revises}`, `{branch}`, `{depends_on}`, `{description}` and `{created}` in
/// it. A line whose placeholder stands for nothing (a base revises nothing) is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(String);

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {{{name}}} is no placeholder; known are {}", PLACEHOLDERS.map(|p| format!("{{{p}}}")).join(", "))]
pub struct TemplateError {
    /// The line, from 1.
    pub line: usize,
    /// What stands in the braces.
    pub name: String,
}

impl Default for Template {
    fn default() -> Self {
        Self(SHIPPED.to_string())
    }
}

impl Template {
    /// The template of this text. Only words of small letters in braces are placeholders: SQL has other braces.
    ///
    /// # Errors
    /// A placeholder that is not known, with its line.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        for (line, content) in (1..).zip(text.lines()) {
            if let Some(name) = names(content).find(|name| !PLACEHOLDERS.contains(name)) {
                return Err(TemplateError { line, name: name.to_string() });
            }
        }
        Ok(Self(text.to_string()))
    }

    /// The text of a draft's file.
    pub fn of(&self, draft: &Draft) -> String {
        let revision = &draft.revision;
        let values = [
            revision.id.clone(),
            revision.down.join(", "),
            revision.labels.join(", "),
            revision.depends_on.join(", "),
            draft.description.trim().to_string(),
            draft.created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        ];
        let value = |name: &str| PLACEHOLDERS.iter().position(|known| *known == name).map(|at| &values[at]);
        let says_nothing = |line: &str| names(line).any(|name| value(name).is_some_and(String::is_empty));
        let lines = self.0.lines().filter(|line| !says_nothing(line)).map(|line| filled(line, value) + "\n");
        lines.collect()
    }
}

/// One pass from the left: what a value holds is not looked at again.
fn filled<'a>(line: &str, value: impl Fn(&str) -> Option<&'a String>) -> String {
    let (mut text, mut rest) = (String::new(), line);
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        match after.split_once('}').and_then(|(name, tail)| Some((value(name)?, tail))) {
            Some((value, tail)) => {
                text.push_str(value);
                rest = tail;
            }
            None => {
                text.push('{');
                rest = after;
            }
        }
    }
    text + rest
}

fn names(line: &str) -> impl Iterator<Item = &str> {
    let parts = line.split('{').skip(1).filter_map(|part| Some(part.split_once('}')?.0));
    parts.filter(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
}

#[cfg(test)]
mod tests {
    use super::super::super::graph::Revision;
    use super::*;

    #[test]
    fn lines_that_would_say_nothing_are_left_out() {
        let created = "2025-11-18T12:00:07Z".parse().unwrap();
        let draft =
            Draft { revision: Revision::new("a1", &[]), description: "First {revises}".into(), created };
        let text = Template::default().of(&draft);
        assert!(
            text.starts_with("-- revision: a1\n-- created: 2025-11-18T12:00:07Z\n-- First {revises}\n"),
            "{text}"
        );
        assert!(!text.contains("revises:") && !text.contains("branch"), "{text}");
        let merge = Draft { revision: Revision::new("m", &["a", "b"]), ..draft };
        assert!(Template::default().of(&merge).contains("\n-- revises: a, b\n"));
    }

    #[test]
    fn braces_of_sql_are_no_placeholders() {
        let text = "-- {revision}\nSELECT '{}'::int[], '{1,2}', '{\"a\": {}}';\n";
        let created = "2025-11-18T12:00:07Z".parse().unwrap();
        let draft = Draft { revision: Revision::new("a1", &[]), description: "x".into(), created };
        let filled = Template::parse(text).unwrap().of(&draft);
        assert_eq!(filled, text.replace("{revision}", "a1"));
        let wrong = Template::parse("\n-- {up_revision}\n").unwrap_err();
        assert_eq!((wrong.line, wrong.name.as_str()), (2, "up_revision"));
    }
}
