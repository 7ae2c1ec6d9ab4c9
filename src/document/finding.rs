//! One thing that is wrong with a file, and all of them together, as a person is shown them.

use std::fmt;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode};

use super::Source;
use super::tree::Place;
use crate::failure::Failure;
use crate::redact::redact;

/// One thing that is wrong with a file: what, where, and what would be right.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Finding {
    message: String,
    label: String,
    help: Option<String>,
    /// Bytes of the *shown* source.
    start: usize,
    length: usize,
}

impl Finding {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), label: String::new(), help: None, start: 0, length: 0 }
    }

    /// What stands under the underlined place.
    #[must_use]
    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// What would be right.
    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Pins it to a place; what is not in the file is shown where it could be added.
    #[must_use]
    pub(super) fn at(mut self, source: &Source, place: &Place) -> Self {
        let place = match place {
            Place::At(range) => source.place(range),
            Place::Default => source.end(),
        };
        (self.start, self.length) = (place.start, place.len());
        self
    }

    /// With every secret masked that a variable brought in. Before it is laid out: a secret of several words may be torn
    /// apart where a line ends, and then nobody knows it any more.
    fn masked(self) -> Self {
        let mask = |text: String| redact(&text).into_owned();
        Self { message: mask(self.message), label: mask(self.label), help: self.help.map(mask), ..self }
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl Diagnostic for Finding {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as _)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = (!self.label.is_empty()).then(|| self.label.clone());
        Some(Box::new(std::iter::once(LabeledSpan::new(label, self.start, self.length))))
    }
}

/// A file that can't be used, with everything that is wrong with it: never empty.
#[derive(Debug, Clone)]
pub struct Invalid {
    source: Source,
    findings: Vec<Finding>,
}

impl Invalid {
    pub(super) fn new(source: Source, findings: Vec<Finding>) -> Self {
        let mut findings: Vec<Finding> = findings.into_iter().map(Finding::masked).collect();
        findings.sort_by_key(|finding| finding.start);
        if findings.is_empty() {
            // Only a reader that gives up without a word gets here: say at least which file it was.
            findings.push(Finding::new("this file could not be understood").at(&source, &Place::Default));
        }
        Self { source, findings }
    }

    /// The file's name.
    pub fn file(&self) -> &str {
        self.source.name()
    }

    /// Everything that is wrong, in the order of the file.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Line and column of a finding, both from 1.
    pub fn position(&self, finding: &Finding) -> (usize, usize) {
        self.source.line_and_column(finding.start)
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.findings.as_slice() {
            [only] => f.write_str(&only.message),
            findings => write!(f, "{} has {} mistakes", self.source.name(), findings.len()),
        }
    }
}

impl std::error::Error for Invalid {}

impl Diagnostic for Invalid {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        match self.findings.as_slice() {
            [only] => only.help(),
            _ => None,
        }
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        match self.findings.as_slice() {
            [only] => only.labels(),
            _ => None,
        }
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        match self.findings.as_slice() {
            [_] => None,
            findings => Some(Box::new(findings.iter().map(|finding| finding as &dyn Diagnostic))),
        }
    }
}

impl From<&Invalid> for Failure {
    /// In one line a finding; the excerpts are for [`render`].
    fn from(invalid: &Invalid) -> Self {
        let mut failure = Failure::usage(format!("read {}", invalid.file()));
        for finding in &invalid.findings {
            let (line, column) = invalid.position(finding);
            failure = failure.because_of(format!("line {line}, column {column}: {}", finding.message));
            for next in
                [&Some(finding.label.clone()).filter(|l| l.starts_with("did you mean")), &finding.help]
            {
                if let Some(next) = next.as_ref().filter(|next| !failure.next.contains(next)) {
                    failure = failure.then(next);
                }
            }
        }
        failure
    }
}

impl From<Box<Invalid>> for Failure {
    fn from(invalid: Box<Invalid>) -> Self {
        Failure::from(invalid.as_ref())
    }
}

/// Proof that a finding was noted: what could not be read has been told.
#[derive(Debug)]
pub(crate) struct Noted(());

impl Noted {
    pub(super) fn new() -> Self {
        Self(())
    }

    /// For what could not be read because of a finding that was noted elsewhere.
    pub(super) fn follows() -> Self {
        Self(())
    }
}

/// `diagnostic` as text for a terminal `width` columns wide, coloured or plain, with every secret masked.
pub fn render(diagnostic: &dyn Diagnostic, width: usize, colour: bool) -> String {
    let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let mut out = String::new();
    let handler = GraphicalReportHandler::new_themed(theme).with_width(width).with_links(false);
    // Writing to a string can't fail; a place outside the source can, and then the bare words remain.
    if handler.render_report(&mut out, diagnostic).is_err() {
        out = diagnostic.to_string();
    }
    redact(&out).into_owned()
}
