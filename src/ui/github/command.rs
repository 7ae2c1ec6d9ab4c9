//! The commands of a workflow, as GitHub's documentation has them ("Workflow commands for GitHub Actions"), and their
//! escapes: **pure**.

use crate::redact::redact;

/// The longest message of an annotation, in characters: what is longer is cut by GitHub, somewhere.
const LONGEST: usize = 4000;

/// How much an annotation weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Worth knowing.
    Notice,
    /// To be looked at.
    Warning,
    /// Something failed.
    Error,
}

/// A line of a file of the repository, for an annotation to stand beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot<'a> {
    /// The path, from the repository's root.
    pub file: &'a str,
    /// From 1; 0 for the file as a whole.
    pub line: u32,
}

/// An annotation of the job, secrets masked.
pub fn annotation(weight: Weight, title: &str, message: &str) -> String {
    annotate(weight, &format!("title={}", property(title)), message)
}

/// An annotation beside a line of a file, secrets masked.
pub fn annotation_at(weight: Weight, spot: Spot<'_>, title: &str, message: &str) -> String {
    let line = if spot.line == 0 { String::new() } else { format!(",line={}", spot.line) };
    annotate(weight, &format!("file={}{line},title={}", property(spot.file), property(title)), message)
}

fn annotate(weight: Weight, properties: &str, message: &str) -> String {
    let word = match weight {
        Weight::Notice => "notice",
        Weight::Warning => "warning",
        Weight::Error => "error",
    };
    format!("::{word} {properties}::{}", data(message))
}

/// From here the log is folded.
pub fn group(title: &str) -> String {
    format!("::group::{}", data(title))
}

/// The end of the fold.
pub fn end_group() -> String {
    "::endgroup::".to_string()
}

/// A row in which no older command stands: those are obeyed wherever they do.
pub fn disarm(row: &str) -> String {
    row.replace("##[", "## [")
}

/// One line of `$GITHUB_OUTPUT`. The value is ours, and one line: what would end the line is a space.
pub fn output(name: &str, value: &str) -> String {
    let value: String = redact(value).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{name}={value}\n")
}

/// A message with what has a meaning in a command spelt out.
fn data(text: &str) -> String {
    let text = disarm(&redact(text));
    let cut: String = text.chars().take(LONGEST).collect();
    let cut = if cut.len() < text.len() { format!("{cut}…") } else { cut };
    cut.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// As [`data`], for a value before the message.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_is_spelt_out() {
        assert_eq!(
            annotation(Weight::Error, "a: b, c 5%", "100 % wrong\r\n::set-output name=x::y, z"),
            "::error title=a%3A b%2C c 5%25::100 %25 wrong%0D%0A::set-output name=x::y, z"
        );
        let spot = Spot { file: "migrations/a,b.sql", line: 3 };
        assert_eq!(
            annotation_at(Weight::Warning, spot, "rule", "x"),
            "::warning file=migrations/a%2Cb.sql,line=3,title=rule::x"
        );
        let whole = Spot { line: 0, ..spot };
        assert!(
            annotation_at(Weight::Notice, whole, "r", "x")
                .starts_with("::notice file=migrations/a%2Cb.sql,title=r::")
        );
        assert_eq!(group("before 1/2 a%b\n::endgroup::"), "::group::before 1/2 a%25b%0A::endgroup::");
    }

    #[test]
    fn neither_older_commands_nor_further_outputs_get_through() {
        assert_eq!(
            disarm("12:00:01 x | ##[error]no ##[endgroup]"),
            "12:00:01 x | ## [error]no ## [endgroup]"
        );
        assert!(!annotation(Weight::Error, "##[group]", "##[error]").contains("##["));
        assert_eq!(output("run", "r-1\nexit=0\r"), "run=r-1 exit=0 \n");
    }

    #[test]
    fn secrets_are_masked_before_they_are_spelt_out() {
        crate::redact::register("100%:secret,");
        assert_eq!(
            annotation(Weight::Error, "100%:secret,", "a 100%:secret, b"),
            "::error title=***::a *** b"
        );
        assert_eq!(output("run", "100%:secret,"), "run=***\n");
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let told = annotation(Weight::Error, "t", &"é".repeat(LONGEST + 1));
        assert!(told.ends_with("é…") && told.chars().count() < LONGEST + 40);
    }
}
