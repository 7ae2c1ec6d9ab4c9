//! What the lint found, as people and programs are told.

use std::path::PathBuf;

use serde_json::{Value, json};

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Not told.
    Off,
    /// Told.
    Warn,
    /// Told, and no release goes on with it.
    Error,
}

impl Level {
    /// As config and answers write it.
    pub fn word(self) -> &'static str {
        match self {
            Level::Off => "off",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }
}

/// One thing that is wrong with a migration, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// How much it weighs.
    pub level: Level,
    /// The revision.
    pub revision: String,
    /// Its file.
    pub file: PathBuf,
    /// The line, from 1; 0 where the statement was written by a tool, and stands on no line of the file.
    pub line: u32,
    /// The number of the statement in its section, from 1; `None`: the file as a whole.
    pub statement: Option<usize>,
    /// The statement's first line.
    pub excerpt: String,
    /// What is wrong, in a sentence.
    pub what: String,
    /// What shows it: the size of the table, the view, the query.
    pub evidence: Vec<String>,
    /// What to do instead.
    pub help: Vec<String>,
}

impl Finding {
    /// For programs.
    pub fn document(&self) -> Value {
        json!({
            "rule": self.rule,
            "level": self.level.word(),
            "revision": self.revision,
            "file": self.file.display().to_string(),
            "line": self.line,
            "statement": self.statement,
            "excerpt": self.excerpt,
            "what": self.what,
            "evidence": self.evidence,
            "help": self.help,
        })
    }

    /// In one line: `error dropped-column-still-used: …`.
    pub fn line(&self) -> String {
        format!("{} {}: {}", self.level.word(), self.rule, self.what)
    }
}

/// For people: by file, each finding below the line that it is about.
pub fn show(findings: &[Finding]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut place = None;
    let mut file = None;
    for finding in findings {
        if file.replace(&finding.file) != Some(&finding.file) {
            lines.push(format!("{} ({})", finding.file.display(), finding.revision));
            place = None;
        }
        if place.replace((finding.line, finding.statement)) != Some((finding.line, finding.statement)) {
            let excerpt = if finding.excerpt.is_empty() { "the file as a whole" } else { &finding.excerpt };
            let place = match (finding.line, finding.statement) {
                (0, Some(number)) => format!("statement {number}"),
                (line, _) => line.to_string(),
            };
            lines.push(format!("  {place}: {excerpt}"));
        }
        lines.push(format!("    {}", finding.line()));
        lines.extend(finding.evidence.iter().map(|evidence| format!("      {evidence}")));
        lines.extend(finding.help.iter().map(|help| format!("      -> {help}")));
    }
    lines
}

/// How many there are of each level: `2 errors, 1 warning`.
pub fn tally(findings: &[Finding]) -> String {
    let of = |level| findings.iter().filter(|finding| finding.level == level).count() as u64;
    let (errors, warnings) = (of(Level::Error), of(Level::Warn));
    format!(
        "{}, {}",
        crate::words::count(errors, "error", "errors"),
        crate::words::count(warnings, "warning", "warnings")
    )
}
